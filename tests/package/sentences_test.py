#!/usr/bin/python3
"""tests/package/sentences_test.py — docs/TROUBLESHOOTING.md lists every sentence of an error that the programs have, and no other.

  tests/package/sentences_test.py --write     puts into the lists what the sources have now

The advice is written by hand; below it, between a line <!-- sentences: CODE FOLDER … --> and <!-- end -->, stand the sentences of fail() and its like with
that code in those folders, the first list that fits a sentence having it. What a value stands for is shown as …
"""
import glob, os, re, sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
PAGE = "docs/TROUBLESHOOTING.md"
ROOMS = ("base", "partition", "transport", "worker", "coordinator")
LIST = re.compile(r"<!-- sentences: (\S+)(.*?) -->\n(.*?)<!-- end -->", re.S)
CALL = re.compile(r"\b(fail|fail_errno|fail_about|json_fail|cursor_refuse|request_refuse|reply_error)\(")
# Those that bring a code of their own, and where their format stands.
OWN = {"json_fail": ("E_FILE", 1), "cursor_refuse": ("E_WIRE", 1), "request_refuse": ("E_USAGE", 4), "reply_error": ("E_USAGE", 3)}
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


def arguments(text, at):
    """The words between the parentheses that begin before `at`, split at the commas that are theirs."""
    depth, start, found = 1, at, []
    while depth:
        c = text[at]
        if c == '"': at = LITERAL.match(text, at).end(); continue
        if c == "'": at += 4 if text[at + 1] == "\\" else 3; continue
        if c in "([{": depth += 1
        if c in ")]}": depth -= 1
        if depth == 1 and c == "," or not depth: found.append(text[start:at]); start = at + 1
        at += 1
    return found


def sentence(words):
    """A format, as it is read: … for a value."""
    said = re.sub(r'"\s*PRI\w+\s*"', "d", words)
    said = "".join(LITERAL.findall(said))
    said = re.sub(r"%%", "\0", said)
    said = re.sub(r"%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|ll|[hlzjt])?[a-zA-Z]", "…", said)
    return said.replace("\0", "%").replace('\\"', '"').replace("\\\\", "\\").replace("\\n", " ")


def sentences():
    """(code, file, sentence) of every fail() in the sources"""
    for path in sorted(p for room in ROOMS for p in glob.glob(room + "/**/*.c", recursive=True)):
        text = re.sub(r"/\*.*?\*/", "", open(path).read(), flags=re.S)
        for call in CALL.finditer(text):
            if re.search(r"^(?:int|void|static int) $", text[text.rfind("\n", 0, call.start()) + 1:call.start()]): continue  # where fail itself is written
            words = arguments(text, call.end())
            code, at = OWN.get(call.group(1), (next((w.strip() for w in words[1:3] if re.match(r"\s*E_[A-Z]+$", w)), "E_FILE"), 2))
            for said in (w for w in words[at:at + 2] if '"' in w):
                forms = said.split(":") if "?" in LITERAL.sub("", said) else [said]
                for form in forms:
                    text_of = sentence(form)
                    if len(text_of) > 3: yield code, path, text_of
                break


def wanted(page):
    """list header -> its sentences"""
    lists = [(m.group(1), m.group(2).split()) for m in LIST.finditer(page)]
    found, homeless = {(c, tuple(f)): set() for c, f in lists}, []
    for code, path, said in sentences():
        if code == "E_INTERNAL" or said.startswith("no memory"): continue  # one advice each, in the page
        home = next(((c, tuple(f)) for c, f in lists if c == code and (not f or any(path.startswith(x) for x in f))), None)
        if home: found[home].add(said)
        else: homeless.append("%s: \"%s\" (%s) belongs to no list of %s" % (path, said, code, PAGE))
    return found, homeless


def main():
    page = open(PAGE).read()
    found, wrong = wanted(page)
    lines = lambda m: "".join("* %s\n" % s.replace("<", "\\<") for s in sorted(found[(m.group(1), tuple(m.group(2).split()))], key=lambda s: (s.lstrip("…" + " ").lower(), s)))
    now = LIST.sub(lambda m: m.group(0).replace(m.group(3) + "<!-- end", lines(m) + "<!-- end") if m.group(3) else m.group(0).replace("<!-- end", lines(m) + "<!-- end"), page)
    if "--write" in sys.argv: open(PAGE, "w").write(now); page = now
    there, after = set(re.findall(r"^\* (.*)$", page, re.M)), set(re.findall(r"^\* (.*)$", now, re.M))
    wrong += ["not in %s: %s" % (PAGE, s) for s in sorted(after - there)] + ["in %s, and no program says it: %s" % (PAGE, s) for s in sorted(there - after)]
    if wrong: print("\n".join("  " + w for w in wrong[:30]) + "\n  tests/package/sentences_test.py --write mends the lists")
    print(("FAIL " if wrong else "ok ") + "every_sentence_of_an_error_is_in_the_page_with_what_to_do")
    return bool(wrong)


sys.exit(main())
