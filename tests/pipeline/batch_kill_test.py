#!/usr/bin/python3
# turn: 0 (tests/run)
"""A batch job with pictures that is killed again and again: its coordinator, a worker, mpirun; a rank that is frozen. What is resumed ends as
if nothing had been.

A few kills in seconds; with LONG=1 (`make test-all`) fifty, and a job of a million lines beside them.
timeout: 600
"""
import json
import os
import random
import shutil
import signal
import time

from relay import DEMO, EMULATED, GEMMAPIPE, ROOT, all_gone, children_of, claim, finish, mpirun, need, path, run, start, wait

ENCODER = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")
LONG = os.environ.get("LONG") == "1"
# Emulated a line takes thirty times as long.
KILLS, LINES = 50 if LONG else 3 if EMULATED else 8, 40 if EMULATED else 200
SEED = int(os.environ.get("SEED", time.time_ns() % 100000 if LONG else 11))
WAYS = [["--workers", "2"], ["--here", "3"], ["--workers", "3", "--order", "input"], "mpi"]


def job_of(lines):
    shutil.copy(os.path.join(ROOT, "models/demo/picture.png"), path("picture.png"))
    with open(path("jobs.jsonl"), "w") as f:
        for i in range(lines):
            text = {"type": "text", "text": "Count from 1 to %d." % (i % 20 + 3)}
            picture = {"type": "image_url", "image_url": {"url": "picture.png"}}
            body = {"messages": [{"role": "user", "content": [picture, text] if i % 7 == 0 else [text]}], "temperature": 1, "max_tokens": 60, "n": 1 + (i % 5 == 0)}
            if i % 9 == 4: body["response_format"] = {"type": "json_object"}
            f.write(json.dumps({"custom_id": "c%d" % i, "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n")
    return path("jobs.jsonl")


def command(out, *options):
    return [GEMMAPIPE, "batch", "--model", DEMO, "--mmproj", ENCODER, "--in", path("jobs.jsonl"), "--out", path(out), "--quiet", *options]


def journal_bytes():
    return os.path.getsize(path("killed.out.journal")) if os.path.exists(path("killed.out.journal")) else 0


def at_a_moment(p, dice, early):
    """When it has begun, in the middle, or at its end: by time, or by what it has written. False: it ended before."""
    if early:
        time.sleep(dice.uniform(0, 0.3))
        return p.poll() is None
    until = journal_bytes() + dice.randrange(2000, 40000)
    while p.poll() is None and journal_bytes() < until:
        time.sleep(0.002)
    return p.poll() is None


def one_kill(dice, early):
    """True if somebody was killed."""
    way = dice.choice(WAYS)
    p = start(*(mpirun(3) if way == "mpi" else []), *command("killed.out", "--resume", *([] if way == "mpi" else way)))
    came = at_a_moment(p, dice, early)
    everybody = [p.pid] + children_of(p.pid)
    if came:
        victim = dice.choice([p.pid, *everybody]) # the coordinator, or mpirun; a worker; under mpirun any rank
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            came = False
    status, _, err = wait(p, 60, "a job of which somebody was killed")
    need(all_gone(everybody, 20), "somebody lives on after %s" % way)
    need(status in (0, -9, 7, 9) or (way == "mpi" and came), "%s: status %d: %s" % (way, status, err))
    return came and status != 0


def killed():
    job_of(LINES)
    status, _, err = run(*command("whole.out", "--workers", "2"))
    need(status == 0, "status %d: %s" % (status, err))
    whole = open(path("whole.out"), "rb").read()
    need(whole.count(b"\n") == LINES, "every line once")
    dice, kills, jobs, early = random.Random(SEED), 0, 0, 0
    while kills < KILLS or not jobs:
        early = early + 1 if dice.random() < 0.4 and early < 2 and kills < KILLS else 0 # a line that crashes five times in a row is given up
        if kills < KILLS:
            kills += one_kill(dice, early)
        else:
            status, _, err = run(*command("killed.out", "--resume"))
            need(status == 0, "status %d: %s" % (status, err))
        if os.path.exists(path("killed.out")):
            need(open(path("killed.out"), "rb").read() == whole, "after %d kills the results of job %d are others, SEED=%d" % (kills, jobs + 1, SEED))
            jobs += 1
            for ending in ("", ".journal", ".journal.lock"):
                os.remove(path("killed.out" + ending))
    return "%d kills, %d whole jobs, SEED=%d" % (kills, jobs, SEED)


def frozen():
    """A rank that stands still keeps its connection and answers nothing: rank 0 misses it, says which one it is, and ends all."""
    job_of(LINES)
    status, _, err = run(*command("quiet.out", "--workers", "2"))
    need(status == 0, err)
    p = start(*mpirun(3), *command("frozen.out"))
    while p.poll() is None and not (os.path.exists(path("frozen.out.journal")) and os.path.getsize(path("frozen.out.journal")) > 3000):
        time.sleep(0.002) # until some lines are answered
    ranks = children_of(p.pid)
    os.kill(next(r for r in ranks if b"OMPI_COMM_WORLD_RANK=2\0" in open("/proc/%d/environ" % r, "rb").read()), signal.SIGSTOP)
    status, _, err = wait(p, 60, "a job with a frozen rank")
    said = [line for line in err.splitlines() if line.startswith("gemmapipe")]
    need(status == 9 and len(said) == 2, "status %d: %s" % (status, err))
    need("was lost: it has not answered for 3 s" in said[0] and "--resume goes on" in said[1], err)
    need("MPI_ABORT" not in err or err.index(said[1]) < err.index("MPI_ABORT"), "the end came before the reason: %s" % err)
    need(all_gone(ranks), "a rank lives on")
    status, _, err = run(*command("frozen.out", "--resume", "--workers", "2"))
    need(status == 0 and open(path("frozen.out"), "rb").read() == open(path("quiet.out"), "rb").read(), "status %d: %s" % (status, err))


def a_million():
    """Beside the model a million lines take less than 50 MB, begun and resumed."""
    def peak(lines, *options):
        with open(path("many.jsonl"), "w") as f:
            for i in range(lines):
                f.write('{"custom_id":"request-%d","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}}\n' % i)
        status, _, err = run(GEMMAPIPE, "batch", "--model", DEMO, "--in", path("many.jsonl"), "--out", path("many.out"), "--workers", 1,
                             "--report-json", path("many.json"), *options, timeout=500)
        need(status == 8, "status %d: %s" % (status, err))
        return json.load(open(path("many.json")))["coordinator_bytes"] / 1e6

    alone, million = peak(1), peak(1000000, "--overwrite")
    journal = open(path("many.out.journal"), "rb").readlines()
    with open(path("many.out.journal"), "wb") as f:
        f.writelines(journal[:900000])
    resumed = peak(1000000, "--resume")
    need(max(million, resumed) - alone < 50, "%.1f MB, resumed %.1f; with one line %.1f" % (million, resumed, alone))
    return "%.1f MB, resumed %.1f; with one line %.1f" % (million, resumed, alone)


claim("a_job_killed_again_and_again_ends_as_if_nothing_had_been", killed)
claim("a_job_with_a_frozen_rank_ends_by_name_and_goes_on", frozen)
if LONG:
    claim("a_million_lines_take_less_than_50_mb", a_million)
finish()
