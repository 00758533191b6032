#!/usr/bin/python3
"""Prompt lookup (--lookup) changes no word and no bit of a score, however the model is cut, and its guesses come true where text
repeats itself."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

COUNT = "Count from 7 to 19."
TURN = "<start_of_turn>user\n" + COUNT + "<end_of_turn>\n<start_of_turn>model\n"
COUNTED = ", ".join(map(str, range(7, 20))) + "."
AGAIN = TURN + COUNTED + "<end_of_turn>\n" + TURN
PICTURE = ["--mmproj", os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf"), "--image", os.path.join(ROOT, "models/demo/picture.png")]
GREEDY, DRAWN = ("--temp", "0"), ("--temp", "1", "--seed", "3", "--repeat-penalty", "1.3", "--repeat-last", "256")
WAYS = {"one process": ["--here", 1], "a divided head": ["--here", 3, "--split", "3+4,3+5,2+7"], "processes": ["--workers", 2]}


def answers(way, prompts, *more, program=(GEMMAPIPE,)):
    """Words and fingerprints, and what the report says of guesses."""
    open(path("prompts"), "w").write("".join(p + "\n" for p in prompts))
    asked = prompts if len(prompts) == 1 else ["--prompts", path("prompts")]
    out = good(*program, "run", "--model", DEMO, "-n", 60, "--threads", 1, "--fingerprint", "--quiet", "--report-json", path("report.json"),
               *way, *more, *asked)
    report = json.load(open(path("report.json")))
    return out, report["lookup_drafted"], report["lookup_accepted"]


def same_and_guessed(way, prompts, *more, program=(GEMMAPIPE,)):
    plain, none, _ = answers(way, prompts, *more, program=program)
    guessed, drafted, accepted = answers(way, prompts, *more, "--lookup", program=program)
    need(plain == guessed, "--lookup says %r instead of %r" % (guessed, plain))
    need(none == 0 and drafted > 0, "%d guesses without --lookup, %d with it" % (none, drafted))
    return drafted, accepted


def a_text_that_repeats_itself():
    notes = []
    for name, way in WAYS.items():
        drafted, accepted = same_and_guessed(way, [AGAIN], "--raw", "--special", *GREEDY)
        need(accepted > drafted / 2, "%s: of %d guesses %d were right" % (name, drafted, accepted))
        notes.append("%s %d of %d" % (name, accepted, drafted))
    return ", ".join(notes)


def drawn_words_with_penalties():
    same_and_guessed(WAYS["a divided head"], [COUNT], "--top-k", 0, "--temp", 0.3, "--seed", 5, "--repeat-penalty", 1.01)
    drafted, accepted = same_and_guessed(WAYS["a divided head"], [COUNT, "Count from 9 to 19.", COUNT], *DRAWN)
    return "%d of %d" % (accepted, drafted)


def over_mpi():
    same_and_guessed([], [COUNT, "Count from 3 to 19."], *GREEDY, program=(*mpirun(3), GEMMAPIPE))


def behind_a_picture():
    same_and_guessed(WAYS["processes"], [COUNT], *PICTURE, *GREEDY)


def a_conversation():
    """A slot that was kept holds what was accepted and nothing else."""
    questions = (COUNT + "\n").encode() * 3
    said = [good(GEMMAPIPE, "chat", "--model", DEMO, "--quiet", "--temp", 0, "-n", 40, "--workers", 2, "--threads", 1, *more, stdin=questions)
            for more in ([], ["--lookup"])]
    need(said[0] == said[1], "%r instead of %r" % (said[1], said[0]))


def a_batch_job():
    asked = {"messages": [{"role": r, "content": t} for r, t in (("user", COUNT), ("assistant", COUNTED), ("user", COUNT))]}
    wishes = [{"logprobs": True, "top_logprobs": 3}, {"temperature": 1, "n": 2}, {"frequency_penalty": 1}, {"logit_bias": {"300": 2}}, {}]
    lines = [dict(asked, custom_id=str(i), **wish) for i, wish in enumerate(wishes)]
    open(path("jobs.jsonl"), "w").write("".join(json.dumps(dict(line, max_tokens=40)) + "\n" for line in lines))
    for name, more in (("plain", []), ("guessed", ["--lookup"])):
        good(GEMMAPIPE, "batch", "--model", DEMO, "--in", path("jobs.jsonl"), "--out", path(name), "--quiet", "--workers", 2, "--threads", 1,
             "--temp", 0, "--report-json", path("report.json"), *more)
    need(json.load(open(path("report.json")))["lookup_accepted"] > 0, "no guess was right")
    need(open(path("plain"), "rb").read() == open(path("guessed"), "rb").read(), "the results differ")


claim("a text that repeats itself is guessed, and its words and scores stay", a_text_that_repeats_itself)
claim("words that are drawn, with penalties over the guesses before them, stay", drawn_words_with_penalties)
claim("over MPI too", over_mpi)
claim("a picture before the text changes nothing", behind_a_picture)
claim("a conversation goes on behind what was accepted", a_conversation)
claim("a batch job has the same results to the last byte", a_batch_job)
finish()
