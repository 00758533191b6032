#!/usr/bin/python3
"""How well the bundled demo model knows its trade, asked through the engine: scenes and questions that training never saw.

  tests/pipeline/demo_scores_test.py                       20 scenes, 100 questions of each kind: seconds
  SCENES=300 QUESTIONS=500 tests/pipeline/demo_scores_test.py [WORD...]     as many as you like
  EVAL=models/demo/checkpoint/eval.json SCENES=…           and writes the scores there
"""
import json
import os
import random
import sys
import zlib

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

sys.path.insert(0, os.path.join(ROOT, "models/demo"))
import corpus

SEES = ["--model", DEMO, "--mmproj", os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf"), "--quiet", "--temp", "0"]
BUNDLED = os.path.join(ROOT, "models/demo/picture.png")
SHARED = ["--workers", "3", "--vision-split", "2,1,1"]
scores = {}


def unseen_scenes(n, seed=2026):
    rng = random.Random(seed)
    while n:
        s = corpus.scene(rng)
        if not corpus.held_out_scene(s):
            continue
        corpus.png(path("scene.png"), corpus.draw(s, rng))
        yield corpus.caption(s)
        n -= 1


def caption(picture, *way):
    """The answer, and the hash of all logits that led to it."""
    out = good(GEMMAPIPE, "run", *SEES, "--fingerprint", "--image", picture, *way, "Describe the picture.").decode()
    return out.splitlines()[0], fingerprints(out.encode())


def captions():
    n = int(os.environ.get("SCENES", 4 if os.environ.get("SAN") else 20))
    right, wrong = 0, []
    for want in unseen_scenes(n):
        said, hashed = caption(path("scene.png"), *SHARED)
        need((said, hashed) == caption(path("scene.png")), "one process and three workers differ about \"%s\"" % want)
        right += said == want
        if said != want:
            wrong.append("\n  \"%s\" for \"%s\"" % (said, want))
    scores["pictures, scenes never seen"] = right / n
    need(right >= 0.95 * n, "%d of %d captions are right%s" % (right, n, "".join(wrong[:10])))
    return "%d of %d%s" % (right, n, "".join(wrong) if len(wrong) <= 3 else "")


def questions(kind, wanted, least):
    n = int(os.environ.get("QUESTIONS", 100))
    rng, asked = random.Random(2026), []
    while len(asked) < n:
        turn = corpus.text_turn(rng)
        if wanted(turn[0]):
            asked.append(turn)
    with open(path("questions"), "w") as f:
        f.writelines(q + "\n" for q, _ in asked)
    said = good(GEMMAPIPE, "run", "--model", DEMO, "--quiet", "--temp", "0", "-n", "120", "--ctx", "160", "--workers", "3", "--sequences", "16",
                "--prompts", path("questions"), timeout=280).decode().splitlines()
    need(len(said) == n, "%d answers to %d questions" % (len(said), n))
    wrong = ["\n  %s %s" % (q, got) for (q, a), got in zip(asked, said) if got != a]
    scores[kind] = 1 - len(wrong) / n
    need(len(wrong) <= n - least * n, "%d of %d are right%s" % (n - len(wrong), n, "".join(wrong[:10])))
    return "%d of %d" % (n - len(wrong), n)


def the_bundled_picture():
    """models/demo/picture.png is what `corpus.py 6 picture.png` draws, of a scene that training never saw."""
    scene, pixels = corpus.unseen(6)
    corpus.png(path("again.png"), pixels)
    packed = [open(p, "rb").read()[41:-16] for p in (path("again.png"), BUNDLED)]  # between the heads and the tail of our PNG files
    need(zlib.decompress(packed[0]) == zlib.decompress(packed[1]), "the corpus draws another picture")
    said, _ = caption(BUNDLED, *SHARED)
    need(said == corpus.caption(scene), "\"%s\" for \"%s\"" % (said, corpus.caption(scene)))
    return said


claim("the_demo_names_the_bundled_picture", the_bundled_picture)
claim("the_demo_names_scenes_never_drawn_in_training", captions)
claim("the_demo_answers_sums_never_seen_in_training", questions, "sums and counting, questions never seen", corpus.held_out, 0.95)
claim("the_demo_answers_questions", questions, "all text questions", lambda q: True, 0.95)
if os.environ.get("EVAL"):
    with open(os.environ["EVAL"], "w") as f:
        json.dump({k: round(v, 4) for k, v in scores.items()}, f, indent=1)
        f.write("\n")
finish()
