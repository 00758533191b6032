#!/usr/bin/python3
"""The commands as a person uses them, with the bundled model."""
import glob
import os
import re
import resource
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

DEMO_RUN = [GEMMAPIPE, "run", "--model", DEMO, "--quiet"]


def many_prompts():
    """Sums the model was trained on, answered in order whatever finishes first."""
    with open(path("sums.txt"), "w") as f:
        f.write("".join("What is %d + %d?\n" % (i % 30, i * 7 % 30) for i in range(60)))
    want = ["%d + %d = %d." % (i % 30, i * 7 % 30, i % 30 + i * 7 % 30) for i in range(60)]
    for way in (["--workers", "3", "--sequences", "7"], ["--here", "2", "--micro-batch", "9"]):
        got = good(*DEMO_RUN, "--temp", "0", "--prompts", path("sums.txt"), *way).decode().splitlines()
        need(got == want, "%d of 60 answers are right" % sum(a == b for a, b in zip(got, want)))
    got = good(*DEMO_RUN, "--temp", "0", "--prompts", "-", stdin=b"What is 3 + 4?\r\n\nOpposite of hot?").decode()
    need(got == "3 + 4 = 7.\nThe opposite of hot is cold.\n", repr(got))


def no_prompts():
    open(path("nothing"), "w").close()
    status, _, err = run(*DEMO_RUN, "--prompts", path("nothing"))
    need(status == 2 and "holds no prompt" in err, "%d %s" % (status, err))


def conversation():
    turns = b"What is 3 + 4?\nWhat is the capital of Peru?\nSpell garden.\n"
    want = "3 + 4 = 7.\nThe capital of Peru is Lima.\ng-a-r-d-e-n.\n"
    for way in (["--workers", "3"], ["--here", "1", "--micro-batch", "3"]):
        got = good(GEMMAPIPE, "chat", "--model", DEMO, "--temp", "0", "--quiet", *way, stdin=turns).decode()
        need(got == want, repr(got))


def long_conversation():
    turns = b"".join(b"What is %d + %d?\n" % (i, i + 1) for i in range(1, 13))
    status, out, err = run(GEMMAPIPE, "chat", "--model", DEMO, "--temp", "0", "--ctx", "96", "--workers", "2", stdin=turns)
    need(status == 0, err)
    need(out.decode() == "".join("%d + %d = %d.\n" % (i, i + 1, 2 * i + 1) for i in range(1, 13)), out.decode())
    need("oldest turns are forgotten" in err, "nothing was forgotten: %s" % err)


def cores_of(pid):
    """The cores that threads of a process are bound to, of those bound to a single one."""
    found = []
    for status in glob.glob("/proc/%d/task/*/status" % pid):
        allowed = re.search(r"Cpus_allowed_list:\s*(\S+)", open(status).read())[1]
        if allowed.isdigit(): found.append(int(allowed))
    return found


def whole_core(cpu):
    """By the number of its first thread."""
    try: return int(re.match(r"\d+", open("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list" % cpu).read())[0])
    except OSError: return cpu


def crowded():
    def remarks(threads, *way):
        status, _, err = run(GEMMAPIPE, "run", "--model", DEMO, "--temp", "0", "-n", "1", "--threads", threads, *way, "hi")
        need(status == 0, err)
        return re.findall(r"(\d+) threads will compute on (\d+) core", err)

    (threads, cores), = remarks(len(os.sched_getaffinity(0)) + 1)
    for way, want in (([], []), (["--workers", "2"], [(str(2 * int(cores)), cores)]), (["--here", "2"], [(str(2 * int(cores)), cores)])):
        got = remarks(cores, *way)
        need(got == want, "%s: %s instead of %s" % (way, got, want))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    good(GEMMAPIPE, "run", "--model", DEMO, "--temp", "0", "--quiet", "--threads", cores, "--here", "4", "Count from 1 to 20.")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    slept, pushed = after.ru_nvcsw - used.ru_nvcsw, after.ru_nivcsw - used.ru_nivcsw
    need(slept > pushed, "threads went to sleep %d times, and were made to leave their core %d times" % (slept, pushed))


def pinned(before, *after):
    """Two workers of one thread are bound to two whole cores, or to what there is."""
    there = {whole_core(c) for c in os.sched_getaffinity(0)}
    for pin, want in (([], 0), (["--pin"], min(2, len(there)))):
        if len(os.sched_getaffinity(0)) == 1 and not pin: continue # all are bound to it
        p = subprocess.Popen([*before, GEMMAPIPE, "chat", "--model", DEMO, "--temp", "0", "--quiet", "--threads", "1", *after, *pin],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            p.stdin.write(b"What is 3 + 4?\n"), p.stdin.flush()
            need(p.stdout.readline() == b"3 + 4 = 7.\n", "no answer")
            workers = [int(w) for w in open("/proc/%d/task/%d/children" % (p.pid, p.pid)).read().split()]
            got = sorted(core for w in workers for core in cores_of(w))
            need(len(got) == (2 if pin else 0) and len({whole_core(c) for c in got}) == want, "threads are bound to %s, wanted %d whole cores" % (got, want))
        finally:
            p.stdin.close(), p.wait(20 * PATIENCE)


def pinned_by_hand():
    core = sorted(os.sched_getaffinity(0))[-1]
    with Workers(1, "--threads", "2", "--pin", str(core)) as w:
        p = subprocess.Popen([GEMMAPIPE, "chat", "--model", DEMO, "--temp", "0", "--quiet", *w.connect], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            p.stdin.write(b"What is 3 + 4?\n"), p.stdin.flush()
            need(p.stdout.readline() == b"3 + 4 = 7.\n", "no answer")
            got = cores_of(w.processes[0].pid)
            # Two that compute; who found memory for them has ended, and the port's thread is free.
            need(len(os.sched_getaffinity(0)) == 1 or got == [core] * 2, "threads are bound to %s, wanted %d twice" % (got, core))
        finally:
            p.stdin.close(), p.wait(20 * PATIENCE)


def turns_cost_their_own_rows():
    """A turn is sent alone, not with all that went before: the rows of the report tell."""
    first = b"What is the capital of Peru?\n"
    rows = []
    for n in (1, 6):
        _, _, err = run(GEMMAPIPE, "chat", "--model", DEMO, "--temp", "0", "--here", "1", "--report", stdin=first * n)
        line = [l for l in err.splitlines() if "prompt:" in l][0]
        rows.append(int(line.split("prompt:")[1].split()[0]))
    need(rows[1] < 6 * rows[0] + 6 * 4, "6 turns cost %d rows, one costs %d" % (rows[1], rows[0]))


def seeds():
    ask = [*DEMO_RUN, "--raw", "-n", "24", "--temp", "3", "--fingerprint"]
    a, b, c = (good(*ask, "--seed", s, "The") for s in ("1", "1", "2"))
    need(a == b, "one seed, two answers")
    need(a != c, "two seeds, one answer")
    unseeded = {good(*DEMO_RUN, "--raw", "-n", "24", "--temp", "3", "The") for _ in range(6)} # two agree once in forty times
    need(len(unseeded) > 1, "no seed, and yet the same answer six times")


def nobody_reads():
    p = subprocess.Popen([*map(str, DEMO_RUN), "--raw", "-n", "1500", "--temp", "3", "--seed", "1", "--workers", "2", "The"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    p.stdout.read(1)
    p.stdout.close()
    err = p.stderr.read().decode()
    need(p.wait(timeout=20 * PATIENCE) == 3 and "stdout" in err, err)


def rows_to_standard_output():
    logits = [GEMMAPIPE, "logits", "--model", DEMO, "--ids", "2,5,6", "--quiet", "--here", "1"]
    good(*logits, "--out", path("rows.f32"))
    with open(path("rows.f32"), "rb") as f: need(good(*logits, "--out", "-") == f.read(), "other numbers")
    need(run(*logits, "--out", "-", "--fingerprint")[0] == 2, "a line of text among the numbers")
    need(run(*DEMO_RUN, "--trace", "-", "x")[0] == 2, "a trace among the words")


def words_and_back():
    text = "A small red circle\n\n on the left <end_of_turn> and 7 + 5!".encode()
    ids = good(GEMMAPIPE, "tokenize", "--model", DEMO, stdin=text)
    need(good(GEMMAPIPE, "detokenize", "--model", DEMO, stdin=ids) == text, "the text changed on its way")
    need(b"5" not in ids.split(), "typed text made a control token")
    trusted = good(GEMMAPIPE, "tokenize", "--model", DEMO, "--special", stdin=b"<end_of_turn>")
    need(trusted == b"5\n", "trusted text made %s" % trusted)
    status, _, err = run(GEMMAPIPE, "detokenize", "--model", DEMO, stdin=b"12 99999")
    need(status == 2 and "99999" in err, err)


def pasted_templates():
    """A template that somebody pasted: told that it is plain text, and with --special the same as the turns it stands for."""
    question = "What is 3 + 4?"
    template = "<bos><start_of_turn>user\n" + question + "<end_of_turn>\n<start_of_turn>model\n"
    ask = [GEMMAPIPE, "run", "--model", DEMO, "--temp", "0", "-n", "8", "--fingerprint"]
    turns = good(*ask, question)
    for words in (template, template.removeprefix("<bos>")):
        status, out, err = run(*ask, "--raw", "--special", words)
        need(status == 0 and out == turns and "--special" not in err, (out, err))
    status, out, err = run(*ask, "--raw", template)
    need(status == 0 and out != turns and "<bos> in the text is plain text here; --special" in err, err)
    status, out, err = run(*ask, template)
    need(status == 0 and "--raw --special" in err, err)
    status, out, err = run(*ask, "--raw", "a <b> c")
    need("--special" not in err, err)
    status, _, err = run(*ask, "--special", "hi")
    need(status == 2 and "--raw" in err, err)


def slow_cpus():
    """By the way to choose kernels that tests have: what a CPU without vector instructions would take by itself."""
    ask = [GEMMAPIPE, "run", "--model", DEMO, "--workers", "2", "--temp", "0", "-n", "2", "hi"]
    said = lambda isa, *more: run(*ask, *more, env={"GEMMAPIPE_ISA": isa})[2]
    err = said("ref")
    need(err.count("tokens/s are to be expected") == 1 and "in plain C" in err and "nominal" in err, err)
    need("to be expected" not in said("ref", "--quiet"), "--quiet says it")
    need("to be expected" not in said(""), "a fast CPU is told so")
    if EMULATED:
        err = said("neon")
        need(err.count("tokens/s are to be expected") == 1 and "without its dot product" in err, err)


def plans():
    out = good(GEMMAPIPE, "plan", "--model", DEMO, "--workers", "3", "--memory", "1G,1G,2G", "--ctx", "512", "--sequences", "4").decode()
    need("layers" in out and "head" in out and "1.00 GiB" in out, out)
    status, _, err = run(GEMMAPIPE, "plan", "--model", DEMO, "--workers", "12")
    need(status == 2 and "9" in err, "12 workers for 9 items: %s" % err)
    out = good(GEMMAPIPE, "plan", "--model", DEMO, "--connect", "tcp://a:1,tcp://b:1", "--memory", "1G", "--top-k", "0").decode()
    for said in ("none of which was asked", "one thread each", "as there is no prompt", "drawn from all words"):
        need("assumed" in out and said in out, "nothing of \"%s\": %s" % (said, out))
    need("no limit of memory" not in out, out)
    out = good(GEMMAPIPE, "plan", "--model", DEMO, "--workers", "2", "--ctx", "2048", "--sequences", "512", "--memory", "900G").decode()
    need("2 workers on this machine" in out, out)


def manuals():
    for command in ([], ["run"], ["chat"], ["logits"], ["tokenize"], ["detokenize"], ["plan"], ["bench"]):
        out = good(GEMMAPIPE, *command, "--help").decode()
        need(len(out.splitlines()) > 5, "%s --help says too little" % command)
    need(b"--listen" in good(WORKER, "--help"), "the worker has no manual")


def confined():
    def held(w):
        with open("/proc/%d/status" % w.processes[0].pid) as f:
            return "Seccomp:\t2" in f.read()
    with Workers(1) as w, Workers(1, "--unconfined") as free:
        for each in (w, free):
            good(GEMMAPIPE, "run", "--model", DEMO, *each.connect, "-n", "1", "--", "Hi")
        need(held(w) or os.environ.get("SAN"), "no filter of system calls")
        need(not held(free), "--unconfined has one")


claim("many_prompts_are_answered_in_order", many_prompts)
claim("a_file_without_prompts_is_refused", no_prompts)
claim("a_conversation_goes_on", conversation)
claim("a_conversation_longer_than_the_context_forgets_its_oldest_turns", long_conversation)
claim("more_threads_than_cores_are_remarked", crowded)
claim("threads_are_bound_to_cores_of_their_own_if_that_is_asked_for", pinned, [], "--workers", "2")
claim("threads_of_ranks_are_bound_to_cores_of_their_own", pinned, mpirun(3))
claim("a_listening_worker_keeps_to_its_cores", pinned_by_hand)
claim("a_turn_costs_its_own_rows", turns_cost_their_own_rows)
claim("a_seed_decides_the_answer", seeds)
claim("an_answer_nobody_reads_ends", nobody_reads)
claim("a_dash_is_standard_output_for_numbers", rows_to_standard_output)
claim("text_survives_ids_and_never_makes_control_tokens", words_and_back)
claim("a_pasted_template_is_told_and_counts_if_that_is_asked_for", pasted_templates)
claim("a_slow_cpu_is_told_once_what_to_expect", slow_cpus)
claim("a_plan_names_its_bytes", plans)
claim("every_command_has_a_manual", manuals)
if EMULATED: print("skip a_worker_is_confined_while_it_works_unless_it_is_told_otherwise: an emulator passes no filters of system calls on (SECCOMP=0)")
else: claim("a_worker_is_confined_while_it_works_unless_it_is_told_otherwise", confined)
finish()
