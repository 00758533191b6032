#!/usr/bin/python3
# turn: 1 (tests/run)
"""What listening workers keep from run to run: a second run of the same plan is sent nothing and is ready at once, another plan is
sent what is missing, and weights of another model are never taken for those that are wanted."""
import os
import re
import shutil
import time

from relay import DEMO, GEMMAPIPE, PARTITION, ROOT, Workers, claim, finish, good, need, path, run, start, synth, wait

ENCODER = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")
PICTURE = os.path.join(ROOT, "models/demo/picture.png")
SEES = ["--mmproj", ENCODER, "--image", PICTURE]


def ask(w, *more, model=DEMO, prompt="Describe the picture."):
    """The answer with its fingerprint; of each worker how many tensors it had and wanted; seconds until all were ready."""
    status, out, err = run(GEMMAPIPE, "run", "--model", model, *w.connect, "--temp", 0, "-n", 12, "--fingerprint", "--report", "--verbose",
                           *more, prompt)
    need(status == 0, err[-800:])
    said = sorted(re.findall(r"(worker \d+).* has (\d+) of its (\d+) tensors", err))
    have = [(int(a), int(b)) for _, a, b in said]
    ready = re.search(r"ready after ([0-9.]+) s", err)
    need(have and ready, err[-800:])
    return out, have, float(ready.group(1))


def again(*options):
    with Workers(3, "--no-file") as w:
        first, had, _ = ask(w, *SEES, *options)
        need(len(had) == 3 and all(a == 0 for a, _ in had), "before the first run they have %r" % had)
        second, had, seconds = ask(w, *SEES, *options)
        need(all(a == b for a, b in had), "after the first run they have %r" % had)
        need(first == second, "another answer")
        return "ready after %.3f s" % seconds


def another_plan():
    with Workers(2, "--no-file") as w:
        one, _, _ = ask(w, "--split", "5,3")
        two, had, _ = ask(w, "--split", "4,4")
        layer = had[0][1] // 4
        need(had[0] == (4 * layer, 4 * layer), "the first has %d of %d" % had[0])  # one layer less, and no new one
        need(had[1][0] == had[1][1] - layer, "the second has %d of %d" % had[1])   # one layer more
        _, had, _ = ask(w, *SEES, "--split", "4,4", "--vision-split", "0,4")
        need(had[0][0] == had[0][1] and had[1][0] == 4 * layer + 2, "%r" % had) # the text stays when pictures come
        need(one == two, "another answer")


def to_and_fro():
    """Where a worker was told how much memory it may take, layers that moved away stay as long as they fit."""
    for memory in (["--memory", "100M"], []):
        with Workers(2, "--no-file", *memory) as w:
            had = [ask(w, "--split", cut)[1] for cut in ("6,2", "2,6", "6,2")][2]
            need(all(a == b for a, b in had) == bool(memory), "with %s they have %r" % (memory, had))


def of_another_model():
    """A file of the same name and sizes with other weights."""
    models = [path("one.gguf"), path("two.gguf")]
    for seed, model in enumerate(models):
        good(PARTITION, "synth", model, "--seed", seed + 1)
    name = path("model.gguf")
    with Workers(2, "--no-file") as w:
        answers = []
        for model in models:
            shutil.copy(model, name)
            out, had, _ = ask(w, model=name, prompt="hello")
            need(all(a == 0 for a, _ in had), "%r are held of another model" % had)
            answers.append(out)
        need(answers[0] != answers[1], "two models give one answer")


def change(file, tensor="blk.6.ffn_up"):
    """One weight in the middle of a large tensor."""
    said = good(PARTITION, "inspect", file, "--tensors").decode()
    n, at = map(int, re.search(re.escape(tensor) + r"\.weight .* (\d+) bytes at (\d+)", said).groups())
    with open(file, "r+b") as f:
        f.seek(at + n // 18 // 2 * 18 + 7) # behind a block's scale
        byte = f.read(1)[0]
        f.seek(-1, 1)
        f.write(bytes([byte ^ 0x40]))


def settle(file):
    """Hashes of a file are kept when it is older than the clock's tick."""
    time.sleep(max(0, os.stat(file).st_ctime + 2.1 - time.time()))


def changed_in_the_middle():
    name = path("changed.gguf")
    shutil.copy(DEMO, name)
    with Workers(2, "--no-file") as w:
        settle(name)
        before, _, _ = ask(w, model=name)
        again, had, _ = ask(w, model=name)
        need(again == before and all(a == b for a, b in had), "a second run has %r" % had)
        change(name)
        after, had, _ = ask(w, model=name)
        need(after != before, "the answer is the old weights'")
    with Workers(2, "--no-file") as w:
        need(ask(w, model=name)[0] == after, "workers that held nothing answer otherwise")


def copies_that_differ():
    """A shard that is damaged in the middle: where the hashes are not known yet, and where they are. One that is whole serves in both."""
    shards = path("shards")
    good(PARTITION, "split", DEMO, "-o", shards, "--layers", "4,4")
    files = sorted(os.path.join(shards, f) for f in os.listdir(shards) if f.endswith(".gguf"))
    os.environ["XDG_CACHE_HOME"] = path("another-cache")
    for known in (False, True):
        with Workers(1, "--shard", files[0]) as one, Workers(1, "--shard", files[1]) as two:
            both = ["--connect", one.connect[1] + "," + two.connect[1], "--split", "4,4"]
            status, out, err = run(GEMMAPIPE, "run", "--model", DEMO, *both, "--temp", 0, "-n", 4, "--verbose", "Count.")
            need(status == 0 and err.count("has 52 of its 52") == 1 and err.count("has 54 of its 54") == 1, err[-600:])
        if not known:
            shutil.rmtree(path("another-cache"))
        change(files[1])
        with Workers(1) as one, Workers(1, "--shard", files[1]) as two:
            both = ["--connect", one.connect[1] + "," + two.connect[1], "--split", "4,4"]
            status, out, err = run(GEMMAPIPE, "run", "--model", DEMO, *both, "Count.")
            named = re.search(r"ffn_up of layer 6 is not what the coordinator's file holds.*" + re.escape(files[1]), err)
            need(status == 3 and named and not out, "%d: %s" % (status, err[-600:]))
        change(files[1])


def memory_measured(w, model):
    out = run(GEMMAPIPE, "run", "--model", model, *w.connect, "--temp", 0, "-n", 2, "--report", "hi")[2]
    row = re.search(r"^ *1 +[0-9+-]\S* .*?(\d+\.\d) +(\d+\.\d) ", out, re.M)
    need(row, out)
    return float(row.group(1)), float(row.group(2))


def a_smaller_run_after_a_large_one():
    with Workers(1, "--no-file") as w:
        _, large = memory_measured(w, synth("large.gguf", "--size", "270m"))
        planned, small = memory_measured(w, DEMO)
        need(large > 200 and small < 2 * planned + 20, "measured %g, then %g MiB; planned were %g" % (large, small, planned))
        return "%g, then %g MiB" % (large, small)


def coordinator_killed():
    with Workers(2, "--no-file") as w:
        by_hand = [*SEES, "--split", "4,4", "--vision-split", "2,2"]
        want, _, _ = ask(w, *by_hand)
        p = start(GEMMAPIPE, "run", "--model", DEMO, *w.connect, "--quiet", *by_hand, "--temp", 0, "-n", 200, "Count.")
        p.stdout.read(1)
        p.kill()
        wait(p, 10, "a killed coordinator")
        got, had, _ = ask(w, *by_hand)
        need(all(a == b for a, b in had), "after a killed run they have %r" % had)
        need(got == want, "another answer")


claim("a_second_run_of_the_same_plan_is_sent_nothing", again)
claim("neither_is_one_with_copies_of_the_encoder", again, "--vision-split", "copies")
claim("nor_one_with_the_encoder_kept_as_q8_0", again, "--vision-type", "q8_0")
claim("another_plan_is_sent_what_is_missing", another_plan)
claim("layers_that_moved_away_stay_as_far_as_memory_was_given", to_and_fro)
claim("weights_of_another_model_are_loaded", of_another_model)
claim("a_file_changed_in_the_middle_of_a_tensor_is_loaded_anew", changed_in_the_middle)
claim("a_shard_that_differs_in_the_middle_is_refused_by_the_name_of_the_tensor", copies_that_differ)
claim("what_is_measured_is_the_peak_of_this_run_and_not_of_an_earlier_one", a_smaller_run_after_a_large_one)
claim("layers_outlive_a_coordinator_that_was_killed", coordinator_killed)
finish()
