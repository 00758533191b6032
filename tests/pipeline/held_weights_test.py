#!/usr/bin/python3
"""What listening workers keep from run to run: a second run of the same plan is sent nothing and is ready at once, another plan is
sent what is missing, and weights of another model are never taken for those that are wanted."""
import os
import re
import shutil

from relay import DEMO, GEMMAPIPE, PARTITION, ROOT, Workers, claim, finish, good, need, path, run, start, wait

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
claim("weights_of_another_model_are_loaded", of_another_model)
claim("layers_outlive_a_coordinator_that_was_killed", coordinator_killed)
finish()
