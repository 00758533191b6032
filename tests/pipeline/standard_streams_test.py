#!/usr/bin/python3
"""How programs end with the descriptors they are given: a disk that is full, a reader that does not read or has gone, descriptors
that came closed."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

CHAT = [GEMMAPIPE, "chat", "--model", DEMO, "--temp", "0", "--quiet"]
PRINTS = ([GEMMAPIPE, "--help"], [GEMMAPIPE, "--version"], [GEMMAPIPE, "plan", "--help"], [GEMMAPIPE, "plan", "--model", DEMO],
          [GEMMAPIPE, "tokenize", "--model", DEMO], [GEMMAPIPE, "detokenize", "--model", DEMO], CHAT,
          [GEMMAPIPE, "run", "--model", DEMO, "-n", "2", "hi"], [GEMMAPIPE, "run", "--model", DEMO, "-n", "2", "--prompts", "-"],
          [GEMMAPIPE, "logits", "--model", DEMO, "--ids", "2,5", "--fingerprint", "--out", path("scores")],
          [PARTITION, "--help"], [PARTITION, "inspect", DEMO], [WORKER, "--help"], [WORKER, "--version"])


def without(closed, *command, stdin="/dev/null"):
    """Runs a command whose descriptors `closed` are so; returns (status, stdout, stderr)."""
    words = ["sh", "-c", 'exec "$@" <%s %s' % (stdin, " ".join("%d>&-" % fd for fd in closed)), "sh", *command]
    return run(*words, timeout=20)


def cannot_be_written():
    open(path("ids"), "w").write("12 13\n")
    for command in PRINTS:
        for status, _, err in (run("sh", "-c", 'exec "$@" <%s >/dev/full' % path("ids"), "sh", *command), without([1], *command, stdin=path("ids"))):
            need(status == 3 and err.count("stdout") == 1, "%s: status %d: %s" % (command, status, err))


def closed_descriptors():
    rows = 4 * 1024 * 4 # four tokens of the demo's vocabulary, float32
    for closed in ([2], [1, 2], [0, 1, 2]):
        status, _, _ = without(closed, GEMMAPIPE, "logits", "--model", DEMO, "--ids", "2,5,6,7", "--verbose", "--report", "--out", path("o.f32"))
        need(status == 0 and os.path.getsize(path("o.f32")) == rows, "without %s: status %d, %d bytes" % (closed, status, os.path.getsize(path("o.f32"))))
    status, _, err = without([1], GEMMAPIPE, "run", "--model", DEMO, "--trace", path("t.json"), "-n", "2", "hi")
    need(status == 3 and not os.path.exists(path("t.json")), "status %d: %s" % (status, err))
    status, out, err = without([0], *CHAT, "--workers", "2")
    need(status == 0 and not out, "status %d: %s" % (status, err))


claim("what_stdout_does_not_take_is_said_by_every_command", cannot_be_written)
claim("descriptors_that_came_closed_get_nothing_of_what_is_opened", closed_descriptors)
finish()
