#!/usr/bin/python3
"""tests/package/pages_test.py — the manual pages, the completions and the links of the book say what is there.

  tests/package/pages_test.py --draft     writes the options that --help has and the pages lack, ready to be put in
"""
import glob, os, re, shutil, subprocess, sys, tempfile

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
B = os.path.abspath(os.environ.get("B", "build"))
failed = False


def claim(name, wrong):
    """wrong: a list of sentences"""
    global failed
    for line in wrong[:40]: print("  " + line)
    print(("FAIL " if wrong else "ok ") + name, flush=True)
    failed |= bool(wrong)


def skip(name, why): print("skip %s: %s" % (name, why), flush=True)


def run(*words, **more):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, **more).stdout


def commands():
    return re.findall(r"^  ([a-z][a-z-]*) +\S", run(B + "/gemmapipe", "--help"), re.M)


def options_of(text):
    """name -> (value or None, what it does), of the lines of a table"""
    found = {}
    for m in re.finditer(r"^  (--?[a-z][\w-]*)(?: (\S+))? +(\S.*(?:\n {20,}\S.*)*)$", text, re.M):
        name, value, says = m.groups()
        if value and "  " in text[m.end(1):m.start(2)]: value, says = None, value + " " + says  # the first word of what it does
        found[name] = (value, re.sub(r"\s+", " ", says))
    return found


def partition_options():
    """verb -> set of options"""
    found = {}
    for part in re.split(r"^  gemmapipe-partition ", run(B + "/gemmapipe-partition", "--help"), flags=re.M)[1:]:
        verb = part.split()[0]
        if verb.startswith("-"): continue
        names = re.findall(r"(?:^|[ \[|])(--?[a-z][\w-]*)", part.split("\n")[0])
        for line in part.split("\n")[1:]:
            if not re.match(r" +--?[a-z]", line): continue
            words = line.split()
            while words and words[0].startswith("-"): names.append(words[0]); words = words[1 if len(words) > 1 and words[1].startswith("-") else 2:]
        found[verb] = set(names)
    return found


def page_items(path, section):
    """option -> the text below it, of the items in a section of a page"""
    text = open(path).read()
    part = re.search(r"^\.S[hs] %s\n(.*?)(?=^\.S[hs] |\Z)" % section, text, re.M | re.S)
    items = {}
    for m in re.finditer(r"^\.It Fl (\S+).*\n((?:(?!\.It|\.El).*\n)*)", part.group(1) if part else "", re.M):
        items["-" + m.group(1)] = m.group(2)
    return items


def differ(page, there, wanted):
    return ["%s: %s is not in it, and --help has it" % (page, o) for o in sorted(wanted - there)] + \
           ["%s: %s is in it, and --help does not have it" % (page, o) for o in sorted(there - wanted)]


def of_whom(option, by_command):
    have = [c for c, options in by_command.items() if option in options]
    return "all commands" if len(have) == len(by_command) else ", ".join(have)


def draft_item(option, value, says, whom=None):
    text = says.replace("\\", "\\e")
    text = text[0].upper() + text[1:] + ("" if text.endswith((".", ")")) else ".")
    text = re.sub(r"(?<![\w-])(--?[a-z][\w-]*)", lambda m: m.group(1).replace("-", "\\-", 2 if m.group(1).startswith("--") else 1), text)
    text = re.sub(r"\. (?=[A-Z])", ".\n", text)  # mdoc wants each sentence on a line of its own
    return ".It Fl %s%s\n%s\n" % (option[1:], " Ar " + value if value else "", text) + ("Of %s.\n" % whom if whom else "")


def gemmapipe_page():
    page = "docs/man/gemmapipe.1"
    by_command = {c: options_of(run(B + "/gemmapipe", c, "--help")) for c in commands()}
    items = page_items(page, "OPTIONS") if os.path.exists(page) else {}
    for section in re.findall(r"^\.Ss (.*)$", open(page).read(), re.M) if os.path.exists(page) else []: items.update(page_items(page, section))
    owners = {o: [c for c, options in by_command.items() if o in options] for options in by_command.values() for o in options}
    wanted = {o for o in owners if len(owners[o]) > 1}
    if "--draft" in sys.argv:
        for o in owners:
            value, says = by_command[owners[o][0]][o]
            if o in wanted and o not in items: print(draft_item(o, value, says, of_whom(o, by_command)), end="")
        return command_pages(by_command, owners)
    wrong = differ(page, set(items), wanted | {"--version"})
    if wrong: wrong.append("tests/package/pages_test.py --draft writes what is missing")
    for o in sorted(wanted & set(items)):
        if not re.search(r"^Of %s\.$" % re.escape(of_whom(o, by_command)), items[o], re.M): wrong.append("%s: %s is of %s" % (page, o, of_whom(o, by_command)))
    claim("the_page_of_gemmapipe_has_the_options_that_commands_share_and_no_others", wrong)
    text = open(page).read()
    claim("it_has_every_command", ["%s: no command %s" % (page, c) for c in commands() if not re.search(r"^\.It Cm %s\b" % c, text, re.M)])
    command_pages(by_command, owners)


def command_pages(by_command, owners):
    """The page of a command describes what it alone has, and names what it shares."""
    wrong = ["%s is the page of no command" % f for f in os.listdir("docs/man") if re.sub(r"gemmapipe-|\.1$", "", f) not in [*by_command, "gemmapipe", "worker", "partition"]]
    for command, options in by_command.items():
        page = "docs/man/gemmapipe-%s.1" % command
        own = {o for o in options if owners[o] == [command]}
        items = page_items(page, "OPTIONS") if os.path.exists(page) else {}
        if "--draft" in sys.argv:
            print("".join(draft_item(o, *options[o]) for o in sorted(own - set(items))), end="")
            continue
        named = {"-" + w for line in re.findall(r"^\.Fl (.*)$", open(page).read() if os.path.exists(page) else "", re.M) for w in line.split() if w not in ",."}
        wrong += differ(page, set(items), own) + differ(page + ", what is shared", named, set(options) - own)
    if "--draft" not in sys.argv: claim("the_page_of_each_command_has_the_options_of_its_help", wrong)


def other_pages():
    page = "docs/man/gemmapipe-worker.1"
    there, wanted = page_items(page, "OPTIONS"), options_of(run(B + "/gemmapipe-worker", "--help"))
    if "--draft" in sys.argv: return print("".join(draft_item(o, *wanted[o]) for o in wanted if o not in there), end="")
    claim("the_page_of_the_worker_has_the_options_of_help", differ(page, set(there), set(wanted)))
    page = "docs/man/gemmapipe-partition.1"
    wrong = []
    for verb, options in partition_options().items(): wrong += differ("%s, %s" % (page, verb), set(page_items(page, verb)), options)
    claim("the_page_of_partition_has_the_options_of_help", wrong)


def book():
    """Manual pages are looked things up in; the book is read. So what an option is for stands there too, and scripts say which commands they take."""
    text = "".join(open(f).read() for f in ["README.md", *glob.glob("docs/*.md"), *glob.glob("deploy/*.md")])
    by_program = {"gemmapipe " + c: set(options_of(run(B + "/gemmapipe", c, "--help"))) for c in commands()}
    computing = [words.split()[1] for words, options in by_program.items() if "--connect" in options]
    by_program["gemmapipe-worker"] = set(options_of(run(B + "/gemmapipe-worker", "--help")))
    by_program.update({"gemmapipe-partition " + v: options for v, options in partition_options().items() if v != "synth"})  # its shapes are for tests
    wrong = ["%s of %s" % (o, words) for words, options in by_program.items() for o in sorted(options - {"--help", "--version"})
             if not re.search(r"(?<![\w-])%s(?![\w-])" % re.escape(o), text)]
    claim("each_option_is_named_by_a_page_of_the_book", wrong)
    lists = {f: re.search(r"compute: (.*)", run(f, "-h")) for f in ("deploy/mpi.sh", "deploy/local.sh")}
    claim("scripts_that_start_workers_name_every_command_that_uses_them",
          ["%s: %s" % (f, m and m.group(1)) for f, m in lists.items() if not m or set(m.group(1).split(", ")) != set(computing)])


def pages_are_clean():
    if not shutil.which("mandoc"): return skip("mandoc_finds_nothing_in_the_pages", "no mandoc on this machine")
    pages = sorted("docs/man/" + f for f in os.listdir("docs/man"))
    # Debian's mandoc knows no page of another system, nor who wrote which library.
    said = [l for l in run("mandoc", "-Tlint", "-Wwarning", *pages).splitlines() if l]
    claim("mandoc_finds_nothing_in_the_pages", said)


ASK = {
    "bash": """source deploy/completion/gemmapipe.bash; COMP_WORDS=(%s ''); COMP_WORDS[-1]='%s'; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _gemmapipe; printf '%%s\\n' "${COMPREPLY[@]}" """,
    "fish": """source deploy/completion/gemmapipe.fish; complete -C '%s %s'""",
    "zsh": """compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -rl -- $@ }; _files() { print FILES }; words=(%s '%s'); CURRENT=$#words
              source deploy/completion/_gemmapipe""",
}
SHELL = {"bash": ["bash", "-c"], "fish": ["fish", "--no-config", "-c"], "zsh": ["zsh", "-fc"]}


def completed(shell, words, last):
    env = dict(os.environ, PATH=B + ":" + os.environ["PATH"])
    return {l.split("\t")[0] for l in run(*SHELL[shell], ASK[shell] % (words, last), env=env).splitlines() if l}


def completions():
    wanted = [("gemmapipe " + c, set(options_of(run(B + "/gemmapipe", c, "--help")))) for c in ("run", "serve", "plan")]
    wanted += [("gemmapipe-worker", set(options_of(run(B + "/gemmapipe-worker", "--help"))))]
    wanted += [("gemmapipe-partition " + v, {o for o in options if o.startswith("--")}) for v, options in partition_options().items()]
    for shell in ASK:
        name = "%s_completes_what_help_has" % shell
        if not shutil.which(shell): skip(name, "no %s on this machine" % shell); continue
        wrong = []
        for words, options in wanted:
            got = {o for o in completed(shell, words, "--") if o.startswith("--")}
            wrong += ["%s: %s, offered %s" % (shell, words, ("not offered: " + o) if o in options else ("too much: " + o)) for o in got ^ {o for o in options if o.startswith("--")}]
        verbs = completed(shell, "gemmapipe", "")
        wrong += ["%s: no command %s" % (shell, c) for c in commands() if c not in verbs]
        claim(name, wrong)


def anchors(path):
    """As GitHub makes them of headings."""
    found, fenced = set(), False
    for line in open(path):
        if line.startswith("```"): fenced = not fenced
        m = re.match(r"#+ +(.*)", line)
        if m and not fenced: found.add(re.sub(r"[^\w\- ]", "", m.group(1).strip().lower()).replace(" ", "-"))
    return found


def links():
    wrong = []
    pages = run("git", "ls-files", "*.md").split() or [os.path.join(at, f)[2:] for at, _, names in os.walk(".") for f in names if f.endswith(".md")]
    for page in pages:
        text = re.sub(r"^```.*?^```", "", open(page).read(), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src(?:set)?="([^"]+)"', text):
            if re.match(r"[a-z]+:", target): continue
            path, _, anchor = target.partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(path): wrong.append("%s: no %s" % (page, target))
            elif anchor and anchor not in anchors(path): wrong.append("%s: no heading for %s" % (page, target))
    claim("links_of_the_pages_lead_somewhere", wrong)


gemmapipe_page()
other_pages()
if "--draft" in sys.argv: sys.exit(0)
book()
pages_are_clean()
completions()
links()
sys.exit(failed)
