#!/usr/bin/python3
"""Perplexity: the same number to the last bit however the model is cut, the number that all scores say, and a base that llama.cpp's tool
could have written."""
import json
import math
import os
import random
import signal
import struct
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

sys.path.insert(0, os.path.join(ROOT, "models/demo"))
import corpus

CTX = 64
TEXT, BASE = path("text"), path("base")
WAYS = (["--workers", "1"], ["--workers", "3", "--micro-batch", "23"], ["--here", "2", "--split", "4+8,4+8", "--sequences", "3"], ["--here", "3", "--split", "2+3,5+0,1+13"])


def perplexity(*options, model=DEMO):
    return json.loads(good(GEMMAPIPE, "perplexity", "--model", model, "--quiet", "--json", *options))


def same_numbers(*options):
    """The JSON of the first way, which is that of all but for the clock."""
    said = [{k: v for k, v in perplexity(*options, *way).items() if k not in ("seconds", "rows")} for way in WAYS]
    need(all(s == said[0] for s in said), "the ways differ: %s" % said)
    return said[0]


def ids_of_text():
    return [2] + list(map(int, good(GEMMAPIPE, "tokenize", "--model", DEMO, stdin=open(TEXT, "rb").read()).split()))


def log_softmax(ids):
    """Of every position, in double, from the scores that `logits` writes."""
    good(GEMMAPIPE, "logits", "--model", DEMO, "--quiet", "--ids", ",".join(map(str, ids)), "--out", path("scores"))
    scores = np.fromfile(path("scores"), "<f4").reshape(len(ids), -1).astype("f8")
    return scores, scores - np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1, keepdims=True)) - scores.max(1, keepdims=True)


def close(a, b, most, what):
    need(abs(a - b) <= most * abs(b), "%s is %.9g, not %.9g" % (what, a, b))


def chunks_are_judged_as_all_scores_say():
    said, ids = same_numbers("--file", TEXT, "--ctx", CTX), ids_of_text()
    nll = []
    for i in range(len(ids) // CTX):
        chunk = [2] + ids[i * CTX + 1:(i + 1) * CTX]
        logs = log_softmax(chunk)[1]
        nll += [-logs[at, chunk[at + 1]] for at in range(CTX // 2, CTX - 1)]
    need((said["words"], said["windows"]) == (len(nll), len(ids) // CTX), "%d words in %d chunks" % (said["words"], said["windows"]))
    close(said["perplexity"], math.exp(np.mean(nll)), 1e-6, "the perplexity")
    close(said["error"], math.exp(np.mean(nll)) * np.std(nll) / math.sqrt(len(nll) - 1), 1e-6, "its error")


def windows_judge_every_word_once():
    said, ids = same_numbers("--file", TEXT, "--ctx", CTX, "--stride", 24), ids_of_text()
    nll, done, at = [], 0, 0
    while done < len(ids) - 1:
        window = [2] + ids[1 + at:at + CTX]
        logs, first = log_softmax(window)[1], done - at
        nll += [-logs[k, window[k + 1]] for k in range(first, len(window) - 1)]
        done, at = at + len(window) - 1, at + 24
    need(said["words"] == len(nll) == len(ids) - 1, "%d words, %d are there" % (said["words"], len(ids) - 1))
    close(said["perplexity"], math.exp(np.mean(nll)), 1e-6, "the perplexity")


def write_base(file, ids, shift):
    """As llama-perplexity writes one: `shift` is added to the scores of every third word, so that there is something to find."""
    n, true = len(ids) // CTX, []
    with open(file, "wb") as f:
        for i in range(n):
            chunk = [2] + ids[i * CTX + 1:(i + 1) * CTX]
            mine, logs = log_softmax(chunk)
            if not i:
                f.write(b"_logits_" + struct.pack("<3i", CTX, mine.shape[1], n) + struct.pack("<%di" % (n * CTX), *ids[:n * CTX]))
            mine[:, ::3] += shift
            base = mine - np.log(np.exp(mine - mine.max(1, keepdims=True)).sum(1, keepdims=True)) - mine.max(1, keepdims=True)
            for at in range(CTX // 2, CTX - 1):
                low = max(base[at].min(), base[at].max() - 16)
                step = (base[at].max() - low) / 65535
                f.write(struct.pack("<2f", step, low) + np.rint(np.maximum(base[at] - low, 0) / step).astype("<u2").tobytes() + b"\0\0" * (mine.shape[1] % 2))
                p = np.exp(base[at])
                true.append((p * (base[at] - logs[at])).sum())
    return true


def a_base_of_another_program_is_read():
    true = write_base(path("other"), ids_of_text(), 0.3)
    said = same_numbers("--kl", path("other"))
    close(said["kl"]["mean"], np.mean(true), 2e-3, "the mean divergence")
    close(said["kl"]["99.9"], np.percentile(true, 99.9), 1e-2, "that of one word in a thousand")
    need(abs(said["kl"]["50"] - np.median(true)) < 1e-6, "the median is %g, not %g" % (said["kl"]["50"], np.median(true)))
    need(0.7 < said["same_top"] < 1, "the likeliest word is the same for %g" % said["same_top"])


def a_base_is_the_same_bytes_and_no_distance_from_itself():
    bytes_of = []
    for way in WAYS:
        perplexity("--file", TEXT, "--ctx", CTX, "--save-logits", BASE, *way)
        bytes_of.append(open(BASE, "rb").read())
    need(all(b == bytes_of[0] for b in bytes_of), "the ways wrote different bases")
    said = perplexity("--kl", BASE)
    need(abs(said["kl"]["mean"]) < 1e-5 and said["same_top"] > 0.99, "%s" % said)


def a_worker_that_is_killed_changes_no_number():
    with open(path("more"), "w") as f:
        f.write(LINES * 6)
    want = perplexity("--file", path("more"), "--ctx", CTX, "--save-logits", BASE)
    quiet = open(BASE, "rb").read()
    job = start(GEMMAPIPE, "perplexity", "--model", DEMO, "--json", "--file", path("more"), "--ctx", CTX, "--save-logits", BASE, "--workers", "3", "--micro-batch", "1")
    while len(children_of(job.pid)) < 3 and job.poll() is None:
        time.sleep(0.01)
    time.sleep(0.3)
    for child in children_of(job.pid)[:1]:
        os.kill(child, signal.SIGKILL)
    status, out, err = wait(job, 60, "a perplexity of which a worker is killed")
    need(status == 0, "ended with %d: %s" % (status, err[-300:]))
    said = json.loads(out)
    need(all(said[k] == want[k] for k in ("perplexity", "error", "words")) and open(BASE, "rb").read() == quiet, "%s and not %s" % (said, want))
    return "killed in time" if "another process" in err else "too late to matter"


def refused(status, words, *options):
    got, out, err = run(GEMMAPIPE, "perplexity", "--model", DEMO, *options)
    need(got == status and words in err and not out, "ended with %d: %s" % (got, err[-300:]))


def what_cannot_be_judged_is_said():
    base = open(BASE, "rb").read()
    for name, data in (("short", base[:-1]), ("head", base[:15]), ("words", base[:12] + b"\1\0\0\0" + base[16:]), ("huge", base[:16] + b"\377" * 4 + base[20:]),
                       ("id", base[:24] + b"\377\377\377\177" + base[28:]), ("tiny", base[:8] + b"\3\0\0\0" + base[12:])):
        with open(path(name), "wb") as f:
            f.write(data)
    refused(3, "bytes; ", "--kl", path("short"))
    refused(3, "holds no base", "--kl", path("head"))
    refused(3, "a vocabulary of 1 words, the model has 1024", "--kl", path("words"))
    refused(3, "4294967295 chunks", "--kl", path("huge"))
    refused(3, "has the id 2147483647", "--kl", path("id"))
    refused(3, "chunks of 3 ids", "--kl", path("tiny"))
    with open(path("little"), "w") as f:
        f.write("What is 12 + 9?")
    refused(2, "two chunks of 512 want 1024", "--file", path("little"))
    refused(2, "a stride of 64 leaves words out", "--file", TEXT, "--ctx", CTX, "--stride", 64)
    refused(2, "wants a text, --file FILE, or a base", "--ctx", CTX)
    refused(2, "the same file", "--file", TEXT, "--ctx", CTX, "--save-logits", TEXT)
    need(open(TEXT).read() == LINES, "the text was written over")


rng = random.Random(7)
LINES = "".join("%s %s\n" % corpus.text_turn(rng) for _ in range(25))
with open(TEXT, "w") as f:
    f.write(LINES)
claim("chunks_are_judged_as_all_scores_say", chunks_are_judged_as_all_scores_say)
claim("windows_judge_every_word_once", windows_judge_every_word_once)
claim("a_base_of_another_program_is_read", a_base_of_another_program_is_read)
claim("a_base_is_the_same_bytes_and_no_distance_from_itself", a_base_is_the_same_bytes_and_no_distance_from_itself)
claim("a_worker_that_is_killed_changes_no_number", a_worker_that_is_killed_changes_no_number)
claim("what_cannot_be_judged_is_said", what_cannot_be_judged_is_said)
finish()
