#!/usr/bin/python3
"""What prompts begin with alike is computed once, and pages are shared by all sequences: no word and no score changes, however few pages
there are and however the model is cut."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

ENCODER = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")
SYSTEM = ("You answer questions about numbers and pictures in very few words, and never explain what you say. The reader is in a hurry and "
          "has no time for long sentences. Numbers are written with digits. ")
EXAMPLES = SYSTEM + "For instance: what is 3 + 4? The answer to that is 7. What is 12 - 5? The answer to that is 7 as well. And so on, for all. "
WAYS = {"one process": ["--here", 1], "two": ["--workers", 2], "three": ["--workers", 3]}


def jobs():
    """Three beginnings, one of them within another; pictures behind one, the same and others; several answers to one prompt."""
    shutil.copy(os.path.join(ROOT, "models/demo/picture.png"), path("a.png"))
    with open(path("jobs.jsonl"), "w") as f:
        for i in range(24):
            question = [{"type": "text", "text": "What is %d + %d?" % (i, i % 7)}]
            if i % 6 == 5:
                question = [{"type": "image_url", "image_url": {"url": "a.png"}}, {"type": "text", "text": "Describe the picture." if i % 4 else "Colour?"}]
            turns = [{"role": "system", "content": EXAMPLES if i % 2 else SYSTEM}, {"role": "user", "content": question}]
            line = {"messages": turns[1:] if i < 4 else turns, "max_tokens": 12, "temperature": i % 3 / 2, "n": 1 + (i % 5 == 3), "logprobs": True}
            if i < 4: line.update(max_tokens=70, ignore_eos=True)
            if i in (1, 2): turns[1]["content"] = "Now read this, and take your time, before you say what it is about. " * 2  # they take what the first needs later
            f.write(json.dumps(line) + "\n")
        for i in range(24):  # wherever the picture lies, and prompts part behind it
            picture = [{"type": "text", "text": "Look. " * (i // 2)}, {"type": "image_url", "image_url": {"url": "a.png"}},
                       {"type": "text", "text": "Where is the ring?" if i % 2 else "Colour?"}]
            f.write(json.dumps({"messages": [{"role": "user", "content": picture}], "max_tokens": 2, "temperature": 0}) + "\n")
    return path("jobs.jsonl")


def results(way, *more, program=(GEMMAPIPE,)):
    good(*program, "batch", "--model", DEMO, "--mmproj", ENCODER, "--in", jobs(), "--out", path("out"), "--overwrite", "--quiet", "--threads", 1,
         "--ctx", 320, "--report-json", path("report.json"), *way, *more)
    report = json.load(open(path("report.json")))
    return open(path("out"), "rb").read(), report["reused_rows"], report["prompt_rows"]


def a_batch_says_the_same():
    plain, _, rows = results(WAYS["one process"], "--no-prefix-reuse")
    notes = []
    for name, way in WAYS.items():
        for pages in [[], ["--kv-positions", 320, "--sequences", 6]]:
            shared, reused, _ = results(way, *pages)
            need(shared == plain, "%s %s: other results" % (name, pages))
            need(pages or reused > rows / 4, "%s: %d of %d rows were shared" % (name, reused, rows))
            notes.append("%d" % reused)
        again, _, _ = results(way, "--no-prefix-reuse", "--kv-positions", 320)
        computed_again = json.load(open(path("report.json")))["rows_again"]
        need(again == plain and computed_again, "%s: other results with few pages, or nobody went home: %d" % (name, computed_again))
    over_mpi, reused, _ = results([], program=(*mpirun(3), GEMMAPIPE))
    need(over_mpi == plain and reused > rows / 4, "MPI: other results, or %d rows shared" % reused)
    return "of %d rows %s were there already" % (rows, ", ".join(notes))


def prompts_have_the_same_scores():
    open(path("prompts"), "w").write("".join("What is %d + 4?\n" % i for i in range(9)) + "What is 8 + 4?\n")
    say = lambda *more: good(GEMMAPIPE, "run", "--model", DEMO, "-n", 16, "--threads", 1, "--temp", 0, "--fingerprint", "--quiet", "--workers", 3, "--split", "3+4,3+5,2+7",
                             "--system", EXAMPLES, "--prompts", path("prompts"), "--report-json", path("report.json"), *more)
    plain = say("--no-prefix-reuse")
    need(json.load(open(path("report.json")))["reused_rows"] == 0, "rows are shared that should not be")
    need(say() == plain, "other scores")
    reused = json.load(open(path("report.json")))["reused_rows"]
    need(reused > 9 * 64, "%d rows were shared" % reused)
    need(say("--lookup", "--kv-positions", 320) == plain, "other scores with lookup and few pages")


claim("a_batch_says_the_same_whether_its_lines_share_what_they_begin_with_or_not", a_batch_says_the_same)
claim("prompts_have_the_same_scores_whether_they_share_or_not", prompts_have_the_same_scores)
finish()
