#!/usr/bin/python3
# turn: 0 (tests/run)
"""Where the model is cut, whether its head is whole or in parts, how its parts talk, how many threads, which instruction
set, how prompts are cut into micro-batches and who shares them: none of it changes one bit of one score.

By default every pair of settings meets in some run; with FULL=1 every combination is run.
"""
import itertools
import os
import sys
from contextlib import ExitStack

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

TEXT = "the one that runs to the other end and returns there, then on to the next one, over and over until it is done"
OTHERS = ["a short one", "and another that is somewhat longer than that", "one", "two words", TEXT[::-1], TEXT[20:70]]
WORKERS, KINDS, THREADS, BATCHES, COMPANY = (1, 2, 3, 5), ("here", "local", "mpi", "zmq"), (1, 2), (1, 7, 64), (0, 6)
HEADS = ("whole", "divided")
DIVIDED = {1: "7+16", 2: "3+9,4+7", 3: "3+4,2+12,2+0", 5: "1+1,1+0,1+6,2+8,2+1"}  # by workers
FULL = os.environ.get("FULL") == "1"


def instruction_sets():
    flags = "asimd asimddp i8mm" if EMULATED else open("/proc/cpuinfo").read()
    found = ["ref"]
    if "avx2" in flags and "fma" in flags:
        found.append("avx2")
    if "avx_vnni" in flags or "avx512_vnni" in flags:
        found.append("avxvnni")
    if "avx512_vnni" in flags:
        found.append("avx512")
    if "asimd" in flags:
        found.append("neon")
    if "asimddp" in flags:
        found.append("neondot")
    if "asimddp" in flags and "i8mm" in flags:
        found.append("i8mm")
    return found


def prompts_file(company):
    name = path("prompts-%d" % company)
    with open(name, "w") as f:
        f.write("\n".join([TEXT] + OTHERS[:company]) + "\n")
    return name


def answer(model, kind, workers, threads, isa, batch, company, head, sampling=("--temp", "0")):
    command = ["run", "--model", model, "--raw", "-n", "10", "--threads", threads, "--micro-batch", batch, "--fingerprint", "--quiet",
               "--prompts", prompts_file(company), *sampling]
    command += ["--whole-head"] if head == "whole" else ["--split", DIVIDED[workers]]
    env = {"GEMMAPIPE_ISA": isa}
    if kind == "here":
        out = good(GEMMAPIPE, *command, "--here", workers, env=env)
    elif kind == "local":
        out = good(GEMMAPIPE, *command, "--workers", workers, env=env)
    elif kind == "mpi":
        out = good(*mpirun(workers + 1), GEMMAPIPE, *command, env=env)
    else:
        with Workers(workers, "--threads", str(threads), env=env) as w:
            out = good(GEMMAPIPE, *command, *w.connect, env=env)
    lines = out.decode().splitlines()
    return fingerprints(out)[0], lines[0]


def chosen(isas):
    everything = list(itertools.product(KINDS, WORKERS, THREADS, isas, BATCHES, COMPANY, HEADS))
    if FULL:
        return everything
    covered, picked = set(), []
    for c in sorted(everything, key=lambda c: str(c)[::-1]):  # neighbours in this order differ in most settings
        pairs = {(i, c[i], j, c[j]) for i in range(7) for j in range(i + 1, 7)}
        if len(pairs - covered) >= 3:
            covered |= pairs
            picked.append(c)
    for c in everything:  # what is left over
        pairs = {(i, c[i], j, c[j]) for i in range(7) for j in range(i + 1, 7)}
        if pairs - covered:
            covered |= pairs
            picked.append(c)
    return picked


def same_everywhere(model, sampling):
    want = answer(model, "here", 1, 1, "ref", 64, 0, "whole", sampling)
    combinations = chosen(instruction_sets())
    for kind, workers, threads, isa, batch, company, head in combinations:
        got = answer(model, kind, workers, threads, isa, batch, company, head, sampling)
        need(got == want, "%s, %d workers, %d threads, %s, micro-batch %d, %d others, head %s: %s instead of %s" %
             (kind, workers, threads, isa, batch, company, head, got, want))
    return "%d runs" % len(combinations)


DRAWN = ("--temp", "1.5", "--seed", "7", "--repeat-penalty", "1.3")


def same_draws(model):
    for more in ((), ("--top-k", "0", "--repeat-last", "256", "--min-p", "0.001")):
        want = answer(model, "here", 1, 2, "ref", 64, 0, "whole", (*DRAWN, *more))
        for workers, head in ((3, "whole"), (2, "divided"), (5, "divided")):
            got = answer(model, "local", workers, 1, "ref", 7, 6, head, (*DRAWN, *more))
            need(got == want, "%d workers, head %s: %s instead of %s" % (workers, head, got, want))


def same_in_other_numbers(model, *numbers):
    """Rounded keys and values, rounded rows, float32 math: each is a choice of its own, and none lets anybody see who computes."""
    asked = ("--temp", "0", *numbers)
    want = answer(model, "here", 1, 1, "ref", 64, 0, "whole", asked)
    need(want[0] != answer(model, "here", 1, 1, "ref", 64, 0, "whole")[0], "%s changed nothing" % (numbers,))
    for kind, workers, batch, company, head in (("local", 3, 7, 6, "divided"), ("zmq", 2, 1, 0, "whole"), ("mpi", 5, 64, 6, "divided"), ("here", 2, 7, 6, "divided")):
        got = answer(model, kind, workers, 2, instruction_sets()[-1], batch, company, head, asked)
        need(got == want, "%s, %d workers, micro-batch %d, %d others, head %s: %s instead of %s" % (kind, workers, batch, company, head, got, want))


def same_scores(model):
    """All of a row's scores, which a divided head's parts send home, of rows in micro-batches that follow each other closely."""
    files = [path("scores-%s" % head) for head in HEADS]
    said = [good(GEMMAPIPE, "logits", "--model", model, "--raw", "--micro-batch", 7, "--fingerprint", "--quiet", "--out", file, *way, TEXT)
            for file, way in zip(files, (["--here", 1], ["--workers", 3, "--split", DIVIDED[3]]))]
    need(said[0] == said[1] and open(files[0], "rb").read() == open(files[1], "rb").read(), said)


def cut_by_hand(model):
    want = answer(model, "here", 1, 1, "ref", 64, 0, "whole")
    for split in ("7", "1,6", "6,1", "7,0", "2,2,3", "1,1,1,1,1,1,1", "1+8,6+8", "6+16,1", "3+0,4+3,0+13", "1+3,1,1+3,1,1+3,1,1+7"):
        out = good(GEMMAPIPE, "run", "--model", model, "--raw", "-n", "10", "--temp", "0", "--fingerprint", "--quiet", "--split", split, TEXT)
        need(fingerprints(out)[0] == want[0], "--split %s gave %s instead of %s" % (split, fingerprints(out)[0], want[0]))


def sent_weights_are_the_same(model):
    want = answer(model, "here", 1, 1, "ref", 64, 0, "whole")
    with Workers(3, "--no-file") as w:
        for _ in range(2):  # the second run finds the same workers again
            out = good(GEMMAPIPE, "run", "--model", model, "--raw", "-n", "10", "--temp", "0", "--fingerprint", "--quiet", *w.connect, TEXT)
            need(fingerprints(out)[0] == want[0], "streamed weights gave other scores")


def workers_of_all_kinds_together(model):
    """Every worker another processor: its neighbours' bits are its own. In turn and in reverse, so that each is also the last."""
    want, isas = answer(model, "here", 1, 1, "ref", 64, 0, "whole"), instruction_sets()
    with ExitStack() as held:
        workers = [held.enter_context(Workers(1, "--threads", "1", env={"GEMMAPIPE_ISA": isa})) for isa in isas]
        for order in (workers, workers[::-1]):
            out = good(GEMMAPIPE, "run", "--model", model, "--raw", "-n", "10", "--temp", "0", "--fingerprint", "--quiet",
                       "--connect", ",".join(w.addresses[0] for w in order), TEXT)
            need(fingerprints(out)[0] == want[0], "%s gave %s instead of %s" % (isas, fingerprints(out)[0], want[0]))


def logits_and_run_agree(model):
    a = good(GEMMAPIPE, "logits", "--model", model, "--ids", "2,40,50,60,300,301", "--out", path("a.f32"), "--fingerprint", "--quiet")
    b = good(GEMMAPIPE, "logits", "--model", model, "--ids", "2,40,50,60,300,301", "--out", path("b.f32"), "--fingerprint", "--quiet",
             "--workers", 3, "--micro-batch", 2)
    need(a == b, "the fingerprints differ")
    need(open(path("a.f32"), "rb").read() == open(path("b.f32"), "rb").read(), "the files differ")
    need(os.path.getsize(path("a.f32")) == 6 * 512 * 4, "the file has %d bytes" % os.path.getsize(path("a.f32")))


def demo_answers_are_golden():
    """The numbers of today are those of yesterday, or NUMERIC_VERSION is another."""
    seeing = ["--mmproj", "models/demo/demo-mmproj-f16.gguf", "--image", "models/demo/picture.png"]
    rows = [line.rstrip("\n").split("\t") for line in open("tests/golden/fingerprints.txt") if not line.startswith("#")]
    need(len(rows) >= 3, "the golden file has %d lines" % len(rows))
    for (want, picture, options, prompt), isa in itertools.product(rows, instruction_sets()):
        out = good(GEMMAPIPE, "run", "--model", "models/demo/demo-q4_0.gguf", *(seeing if picture == "yes" else []), *options.split(),
                   "--workers", "2", "--fingerprint", "--quiet", prompt, env={"GEMMAPIPE_ISA": isa})
        need(fingerprints(out)[0] == want, "%s, %s: %s instead of %s" % (prompt, isa, fingerprints(out)[0], want))


def more_workers_than_ranks_once_could_be():
    """65 workers behind one communicator, a layer each, and the head divided."""
    deep = synth("deep.gguf", "--size", "tiny", "--layers", "65", "--seed", 3)
    command = ["run", "--model", deep, "--raw", "--temp", "0", "-n", "2", "--ctx", "32", "--threads", "1", "--fingerprint", "--quiet", "abc"]
    want = fingerprints(good(GEMMAPIPE, *command))
    got = fingerprints(good(*mpirun(66), GEMMAPIPE, *command))
    need(got == want, "%s instead of %s" % (got, want))


def another_core_is_refused(model):
    """Of one library the code for another processor has other bits."""
    with Workers(1) as a, Workers(1, env={"OPENBLAS_CORETYPE": "Sandybridge" if MACHINE == "x86_64" else "THUNDERX"}) as b:
        status, out, err = run(GEMMAPIPE, "run", "--model", model, "--connect", ",".join(a.addresses + b.addresses), "--math", "float32", "-n", 2, "x")
        need(status == 2 and "results would differ" in err and not out, "status %d: %s" % (status, err))
        good(GEMMAPIPE, "run", "--model", model, *b.connect, "--math", "float32", "-n", 2, "x")  # alone it may


model = synth("tiny.gguf", "--size", "tiny", "--seed", 3)
claim("nothing_about_the_cluster_changes_a_score", same_everywhere, model, ("--temp", "0"))
claim("keys_and_values_in_8_bits_are_the_same_everywhere", same_in_other_numbers, model, "--kv", "q8_0")
claim("rows_rounded_to_bf16_are_the_same_everywhere", same_in_other_numbers, model, "--wire", "bf16")
if OPENBLAS:
    claim("float32_math_is_the_same_everywhere", same_in_other_numbers, model, "--math", "float32")
    claim("float32_by_another_core_of_the_library_is_refused", another_core_is_refused, model)
else:
    print("skip float32_math_is_the_same_everywhere: libopenblas0 is not installed")
claim("parts_of_a_head_send_home_the_scores_of_a_whole_one", same_scores, model)
claim("nothing_about_the_cluster_changes_a_draw", lambda m: same_everywhere(m, DRAWN) if FULL else same_draws(m), model)
claim("cutting_by_hand_changes_nothing", cut_by_hand, model)
claim("weights_that_were_sent_are_the_weights_of_the_file", sent_weights_are_the_same, model)
claim("workers_with_different_kernels_give_the_same_scores", workers_of_all_kinds_together, model)
claim("logits_do_not_depend_on_the_workers", logits_and_run_agree, model)
claim("the_demo_gives_its_golden_fingerprints", demo_answers_are_golden)
claim("sixty_five_workers_give_what_one_gives", more_workers_than_ranks_once_could_be)
finish()
