#!/usr/bin/python3
"""Whoever is lost in whatever state: the answer goes on, and not a bit of it is another one."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

MODEL = synth("tiny.gguf", "--size", "tiny", "--seed", 3)
SCORED = ["run", "--model", MODEL, "--raw", "--temp", "0", "-n", "1200", "--ctx", "2048", "--fingerprint", "once upon a time there was"]


_quiet = {}


def quiet(command):
    """What the same command says where nobody is lost."""
    key = " ".join(command)
    if key not in _quiet:
        _quiet[key] = good(GEMMAPIPE, *command, "--here", "1")
    return _quiet[key]


def same(command, p, first=b""):
    """The rest of a run that lost somebody; returns what it said on stderr."""
    status, out, err = wait(p, 60, "a run that lost a worker")
    need(status == 0, "status %d: %s" % (status, err))
    need(first + out == quiet(command), "other words: %s" % err)
    return err


def losing(command, *ways, kill, number=signal.SIGKILL):
    """Kills the local workers of these numbers as soon as something came."""
    p = start(GEMMAPIPE, *command, *ways)
    first = os.read(p.stdout.fileno(), 1)  # past the buffer, which communicate() would not see
    kids = sorted(children_of(p.pid))
    for k in kill:
        os.kill(kids[k], number)
    err = same(command, p, first)
    need(err.count("was ended by signal") >= 1 and "going on after" in err, err)
    need(all_gone(kids), "a worker lives on")
    return err


def local_workers():
    for k in range(3):
        err = losing(SCORED, "--workers", "3", kill=[k])
        need("worker %d" % (k + 1) in err and "rows to compute again" in err, err)


def all_at_once():
    losing(SCORED, "--workers", "3", kill=[0, 1, 2])


claim("a_killed_worker_process_is_started_again_and_not_a_bit_is_another", local_workers)
claim("so_if_all_are_killed_at_once", all_at_once)
finish()
