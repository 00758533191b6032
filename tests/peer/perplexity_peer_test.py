#!/usr/bin/python3
"""Perplexity beside llama.cpp's own tool, on the same file and text: the same number, and either reads the base that the other wrote.

  LLAMA=DIR tests/peer/perplexity_peer_test.py     DIR: with llama-perplexity (tests/peer/build_llama, target llama-perplexity)
"""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "pipeline"))
from relay import *

LLAMA = os.path.join(os.environ.get("LLAMA", ""), "llama-perplexity")
OURS = [GEMMAPIPE, "perplexity", "--model", DEMO, "--embed-scale", "exact", "--quiet", "--json", "--workers", "2"]
TEXT = path("text")


def theirs(words, *options):
    for _ in range(5):  # it sometimes ends before its last lines are printed
        status, out, err = run(LLAMA, "-m", DEMO, "-c", 64, "-t", 2, *options)
        found = re.search(words + r"[^\d-]*([\d.e+-]+)[^\d]+([\d.]+)", out.decode(errors="replace") + err)
        if found: return float(found.group(1)), float(found.group(2))
    raise Failed("llama-perplexity says nothing of %s: %s" % (words, err[-300:]))


def same_number():
    said, (ppl, error) = json.loads(good(*OURS, "--file", TEXT, "--ctx", 64)), theirs("Final estimate: PPL", "-f", TEXT)
    need(abs(said["perplexity"] - ppl) < error / 10 and abs(said["error"] - error) < 1e-2 * error, "%s and %g ± %g" % (said, ppl, error))


def bases():
    theirs("Final estimate: PPL", "-f", TEXT, "--kl-divergence-base", path("theirs"))
    good(*OURS, "--file", TEXT, "--ctx", 64, "--save-logits", path("ours"))
    need(os.path.getsize(path("ours")) == os.path.getsize(path("theirs")), "the bases differ in size")
    said = json.loads(good(*OURS, "--kl", path("theirs")))
    kl, _ = theirs("Mean    KLD", "--kl-divergence", "--kl-divergence-base", path("ours"))
    need(abs(said["kl"]["mean"]) < 1e-3 and abs(kl) < 1e-3 and said["same_top"] > 0.97, "KL %g of theirs, %g of ours" % (said["kl"]["mean"], kl))


if os.access(LLAMA, os.X_OK):
    with open(TEXT, "w") as f: f.write(open(os.path.join(ROOT, "docs/DESIGN.md")).read()[:8000])
    claim("perplexity_is_that_of_llama_cpp", same_number)
    claim("either_program_reads_the_others_base", bases)
else:
    print("skip perplexity_is_that_of_llama_cpp: LLAMA names no folder with llama-perplexity")
finish()
