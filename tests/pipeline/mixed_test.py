#!/usr/bin/python3
"""Machines of two architectures in one pipeline: workers of this machine and emulated ARM ones, over ZeroMQ, give the fingerprints of
tests/golden/fingerprints.txt. Runs where $B is emulated (tests/arm.sh); NATIVE is where this machine's own programs lie.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

NATIVE = os.path.join(ROOT, os.environ.get("NATIVE", "build"))
MMPROJ, PICTURE = (os.path.join(ROOT, "models/demo", n) for n in ("demo-mmproj-f16.gguf", "picture.png"))


def golden():
    for line in open(os.path.join(ROOT, "tests/golden/fingerprints.txt")):
        if not line.startswith("#"):
            want, picture, options, prompt = line.rstrip("\n").split("\t")
            yield want, ["--mmproj", MMPROJ, "--image", PICTURE] if picture == "yes" else [], options.split(), prompt


def same_fingerprints(coordinator, folders):
    addresses = ["tcp://127.0.0.1:%d" % p for p in free_ports(len(folders))]
    workers = [start(os.path.join(f, "gemmapipe-worker"), "--listen", a, "--quiet", "--threads", "1") for f, a in zip(folders, addresses)]
    try:
        for want, picture, options, prompt in golden():
            out = good(os.path.join(coordinator, "gemmapipe"), "run", "--model", DEMO, *picture, *options, "--connect", ",".join(addresses), "--send-weights",
                       "--fingerprint", "--quiet", prompt).decode()
            need("fingerprint " + want in out, "%s gives %s, not %s" % (prompt, out, want))
    finally:
        for w in workers:
            w.terminate()
        for w in workers:
            wait(w, 20, "a worker told to stop")


def script_is_sent():
    out = good(GEMMAPIPE, "up", "--scan", "here").decode()
    need('"name": "%s"' % os.uname().nodename in out, "the script that is part of the program was not run: " + out)


if not EMULATED or not os.access(os.path.join(NATIVE, "gemmapipe-worker"), os.X_OK):
    print("skip pipelines_of_two_architectures: make arm has them, where the programs of this machine were made")
else:
    claim("an_x86_coordinator_with_workers_of_both_gives_the_same_fingerprints", same_fingerprints, NATIVE, [NATIVE, BUILD, NATIVE])
    claim("an_arm_coordinator_with_workers_of_both_gives_the_same_fingerprints", same_fingerprints, BUILD, [BUILD, NATIVE])
    claim("an_arm_coordinator_has_the_script_that_looks_at_machines", script_is_sent)
finish()
