#!/usr/bin/python3
"""A test's questions: what all scores say, the same bytes however the model is cut and however often the job was killed, pictures too."""
import json
import os
import random
import signal
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

sys.path.insert(0, os.path.join(ROOT, "models/demo"))
import corpus

MMPROJ = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")
EVAL = [GEMMAPIPE, "eval", "--model", DEMO, "--ctx", "256"]
WAYS = (["--workers", "1"], ["--workers", "3"], ["--workers", "3", "--replicas", "2"], ["--here", "2", "--split", "4+8,4+8", "--micro-batch", "19"])
TURN = "<start_of_turn>user\n%s<end_of_turn>\n<start_of_turn>model\n"


def choice(rng, i):
    """As the harness writes a sample to a file; every third as a person would."""
    country = rng.choice(list(corpus.CAPITALS))
    right = corpus.CAPITALS[country]
    cities = rng.sample([c for c in corpus.CAPITALS.values() if c != right], 3) + [right]
    rng.shuffle(cities)
    pairs = [[TURN % ("What is the capital of %s?" % country) + "The capital of %s is" % country, " %s." % c] for c in cities]
    if i % 3 == 0:
        return {"arguments": pairs, "target": right + "."}
    return {"doc_id": i, "doc": {"country": country}, "target": str(cities.index(right)), "resps": [], "metrics": ["acc"],
            "arguments": {"gen_args_%d" % k: {"arg_0": a, "arg_1": b} for k, (a, b) in enumerate(pairs)}}


def generated(rng, i):
    question, answer = corpus.text_turn(rng)
    how = {"until": [".", "<end_of_turn>"], "max_gen_toks": 100, "do_sample": False}
    return {"doc_id": i, "output_type": "generate_until", "target": answer.rstrip("."), "arguments": [[TURN % question, how]]}


def likelihood(rng, i):
    question, answer = corpus.text_turn(rng)
    return {"doc_id": i, "output_type": "loglikelihood", "target": answer, "arguments": [[TURN % question, answer + "<end_of_turn>"]]}


def write(name, lines):
    with open(path(name), "w") as f:
        f.writelines((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    return path(name)


def evaluate(tasks, *options, status=0):
    """(what the results come to, the lines of results)"""
    got, out, err = run(*EVAL, "--tasks", tasks, "--out", path("out"), "--json", "--overwrite", "--quiet", *options)
    need(got == status, "ended with %d: %s" % (got, err[-400:]))
    said = json.loads(out)
    return {(r["type"], r["measure"]): r for r in said["results"]}, [json.loads(r) for r in open(path("out"))]


def the_sums_are_what_the_lines_say():
    sums, lines = evaluate(ALL)
    for way in WAYS:
        need(evaluate(ALL, *way) == (sums, lines), "%s says otherwise" % way)
    choices = [r for r in lines if r["output_type"] == "multiple_choice"]
    for name in ("acc", "acc_norm"):
        mean, s = np.mean([r[name] for r in choices]), sums["multiple_choice", name]
        need(s["lines"] == len(choices) == 12 and abs(s["value"] - mean) < 1e-8 and abs(s["stderr"] - np.sqrt(mean * (1 - mean) / 11)) < 1e-8, "%s" % s)
    need(sums["multiple_choice", "acc"]["value"] == 1 and sums["generate_until", "exact_match"]["value"] >= 0.9, "the demo model knows better: %s" % sums)
    best = [np.argmax([r[0][0] for r in c["resps"]]) for c in choices]
    need(all(c["acc"] == 1 for c in choices) and [c["resps"][b][0][1] for c, b in zip(choices, best)] == [True] * 12, "the right one is not the greedy one")
    need(sums["generate_until", "exact_match"]["low"] < 0.9 < sums["generate_until", "exact_match"]["high"] + 0.1, "%s" % sums)


def a_likelihood_is_that_of_all_scores():
    lines = [likelihood(random.Random(5), i) for i in range(3)]
    _, results = evaluate(write("likely", lines), "--workers", "2")
    for task, result in zip(lines, results):
        context, rest = task["arguments"][0]
        ids = [[2] + list(map(int, good(GEMMAPIPE, "tokenize", "--model", DEMO, "--special", stdin=t.encode()).split())) for t in (context.rstrip(), context + rest)]
        good(GEMMAPIPE, "logits", "--model", DEMO, "--quiet", "--ids", ",".join(map(str, ids[1])), "--out", path("scores"))
        scores = np.fromfile(path("scores"), "<f4").reshape(len(ids[1]), -1).astype("f8")
        logs = scores - np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1, keepdims=True)) - scores.max(1, keepdims=True)
        want = sum(logs[i - 1, ids[1][i]] for i in range(len(ids[0]), len(ids[1])))
        need(abs(result["likelihood"] - want) < 1e-4 * max(1, abs(want)), "%r and not %r" % (result["likelihood"], want))


def killed_and_resumed_it_is_the_same():
    evaluate(ALL)
    want = open(path("out"), "rb").read()
    command = EVAL + ["--tasks", ALL, "--out", path("out"), "--json", "--quiet", "--sequences", "2", "--workers", "2"]
    said = good(*command, "--overwrite")
    for records in (3, 9):
        job = start(*command, *(["--overwrite"] if records == 3 else ["--resume"]))
        while job.poll() is None and not (os.path.exists(path("out.journal")) and open(path("out.journal")).read().count('"done":') >= records):
            time.sleep(0.005)
        job.send_signal(signal.SIGKILL)
        job.wait()
    need(good(*command, "--resume") == said and open(path("out"), "rb").read() == want, "the results changed")


def a_picture_is_asked_about():
    rng, lines = random.Random(2), []
    for i in range(3):
        scene, pixels = corpus.unseen(i + 6)
        corpus.png(path("%d.png" % i), pixels)
        right = corpus.caption(scene)
        others = [corpus.caption(corpus.scene(rng)) for _ in range(2)]
        lines.append({"images": ["%d.png" % i], "target": 1, "arguments": [[TURN % "<image>Describe the picture.", c] for c in (others[0], right, others[1])]})
        lines.append({"images": ["%d.png" % i], "target": right, "arguments": [[TURN % "<image>Describe the picture.", {"until": []}]]})
    tasks = write("see", lines)
    sums, results = evaluate(tasks, "--mmproj", MMPROJ)
    need(evaluate(tasks, "--mmproj", MMPROJ, "--workers", "3") == (sums, results), "three workers say otherwise")
    need(sums["multiple_choice", "acc"]["value"] == 1 and sums["generate_until", "exact_match"]["value"] == 1, "%s" % sums)


def numbers_and_first_lines_are_filtered():
    how = {"until": ["<end_of_turn>"]}
    lines = [{"target": "so #### 21", "arguments": [[TURN % "What is 12 + 9?", how]]}, {"target": " 12 + 9 = 21. \n#### 22", "arguments": [[TURN % "What is 12 + 9?", how]]}]
    tasks = write("filters", lines)
    marks = {f: [r["exact_match"] for r in evaluate(tasks, "--filter", f)[1]] for f in ("strip", "whole", "first-line", "last-number")}
    need(marks == {"strip": [0, 0], "whole": [0, 0], "first-line": [0, 1], "last-number": [1, 0]}, "%s" % marks)


def a_line_that_cannot_be_asked_is_an_error_alone():
    pair, long = [["1 + 1 =", " 2"], ["1 + 1 =", " 3"]], [["a " * 400, "b"]]
    bad = ['{"arguments": ', {"target": 1}, {"arguments": pair}, {"arguments": pair, "target": "7"}, {"arguments": pair, "target": "0", "output_type": "loglikelihood"},
           {"arguments": [["a"]]}, {"arguments": [["a", ""]]}, {"arguments": long}, {"arguments": [["a", {"do_sample": True}]], "target": ""},
           {"arguments": [["a", "b"]] * 129}, {"arguments": [["<image>", "b"]], "images": ["none.png"]}, {"arguments": [["a", {"until": "x"}], ["a", {}]], "target": ""}, []]
    sums, results = evaluate(write("bad", bad + [{"arguments": pair, "target": 0}]), status=8)
    errors = open(path("out.errors")).read().splitlines()
    need(len(errors) == len(bad) and [r["line"] for r in results] == [len(bad) + 1], "%d errors, results %s" % (len(errors), results))
    for words, error in zip(("", "no arguments", "no target", "none of the 2 choices", "output type", "a context and a continuation are wanted", "adds no token", "context holds 256",
                             "do_sample", "more than 128", "encoder", "one is judged"), errors):
        need(words in error, "\"%s\" is not in %s" % (words, error))
    need(run(*EVAL, "--tasks", path("bad"), "--filter", "odd")[0] == 2 and run(*EVAL)[0] == 2, "a filter that is none")


rng = random.Random(11)
ALL = write("all", [make(rng, i) for i in range(12) for make in (choice, generated, likelihood)])
claim("the_sums_are_what_the_lines_say", the_sums_are_what_the_lines_say)
claim("a_likelihood_is_that_of_all_scores", a_likelihood_is_that_of_all_scores)
claim("killed_and_resumed_it_is_the_same", killed_and_resumed_it_is_the_same)
claim("a_picture_is_asked_about", a_picture_is_asked_about)
claim("numbers_and_first_lines_are_filtered", numbers_and_first_lines_are_filtered)
claim("a_line_that_cannot_be_asked_is_an_error_alone", a_line_that_cannot_be_asked_is_an_error_alone)
finish()
