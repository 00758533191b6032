#!/usr/bin/python3
# turn: 1 (tests/run)
"""Bytes planned are bytes taken, at the size of a real model; and whoever waits, sleeps."""
import json
import os
import re
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "reference"))
from drawn import noise, png
from encoders import F16, make
from relay import *

SLACK, FIXED = 0.05, 32.0  # of the plan; MiB


def table(err):
    """Rows of --report: (planned, measured) in MiB per stage."""
    rows = []
    for line in err.splitlines():
        m = re.match(r"\s+\d+\s+(?:head|\d+-\d+(?: \+ (?:head|\d+/16))?)\s+\S+\s+\d+\s+([\d.]+)\s+([\d.]+)", line)
        if m:
            rows.append((float(m.group(1)), float(m.group(2))))
    coordinator = re.search(r"coordinator: peak ([\d.]+)", err)
    return rows, float(coordinator.group(1))


def rates(err):
    return "; ".join(l.strip() for l in err.splitlines() if "tok/s" in l)


def within(model, *way):
    text = "The relay carries every word from one to the next. " * 12
    status, out, err = run(GEMMAPIPE, "run", "--model", model, "--raw", "--temp", "0", "-n", "8", "--ctx", "1024", "--report", *way, text, timeout=400)
    need(status == 0, err)
    rows, coordinator = table(err)
    need(rows, "no table in: %s" % err)
    for planned, measured in rows:
        need(measured <= planned * (1 + SLACK) + FIXED, "planned %.1f MiB, measured %.1f" % (planned, measured))
        need(measured >= planned * (1 - SLACK) - FIXED, "planned %.1f MiB, measured only %.1f" % (planned, measured))
    if len(rows) > 1:
        largest = max(p for p, _ in rows)
        need(coordinator < 300 and coordinator < largest, "the coordinator took %.1f MiB" % coordinator)
    return "planned/measured MiB %s, coordinator %.0f; %s" % (" ".join("%.0f/%.0f" % r for r in rows), coordinator, rates(err))


def encoder_within(*way):
    """90 MB of encoder and pictures waiting at its doors, beside a text model that weighs next to nothing."""
    text, sight = synth("light.gguf", "--size", "tiny"), path("encoder.gguf")
    if not os.path.exists(sight):
        make(sight, ("encoder", 8, 768, 2048, 8, 448, 14, 4, 256, F16, False), 1)
    with open(path("pictures"), "w") as f:
        for i in range(3):
            f.write("/image %s What?\n" % png("picture%d.png" % i, noise(448, 448, i)))
    status, _, err = run(GEMMAPIPE, "run", "--model", text, "--mmproj", sight, "--prompts", path("pictures"), "-n", "2", "--report", *way)
    need(status == 0, err)
    rows, coordinator = table(err)
    need(len(rows) == 2, "no table of two stages in: %s" % err)
    for planned, measured in rows:
        need(measured <= planned * (1 + SLACK) + 8 and measured >= planned * (1 - SLACK) - FIXED, "planned %.1f MiB, measured %.1f" % (planned, measured))
    return "planned/measured MiB %s, coordinator %.0f" % (" ".join("%.0f/%.0f" % r for r in rows), coordinator)


def sharing(model, memory, context, prompts):
    """Sequences that do not fit at their longest: the pool of pages is planned, taken before READY, and not exceeded."""
    with open(path("lines"), "w") as f:
        f.writelines("%s\n" % ("one and another " * (1 + i % 3)) for i in range(prompts))
    way = ["--model", model, "--workers", "4", "--memory", memory, "--ctx", context, "--sequences", "16", "--prompts", path("lines"), "-n", "1"]
    positions = json.loads(good(GEMMAPIPE, "plan", *way, "--json"))["kv_positions"]
    need(context <= positions < 16 * context, "%d positions" % positions)
    status, _, err = run(GEMMAPIPE, "run", *way, "--report", timeout=400)
    need(status == 0 and "%d together" % positions in err, err)
    rows, _ = table(err)
    need(len(rows) == 4, err)
    for planned, measured in rows:
        need(planned * (1 - SLACK) - 20 <= measured <= planned * (1 + SLACK) + 8, "planned %.1f MiB, measured %.1f" % (planned, measured))
    return "%d positions; planned/measured MiB %s" % (positions, " ".join("%.0f/%.0f" % r for r in rows))


def idle(command, workers_of):
    """Worker processes of a chat that waits for its user."""
    r, w = os.pipe()
    p = start(*command, stdin=r)
    os.close(r)
    os.write(w, b"Hello\n")
    first_text(p)
    time.sleep(1.0)
    pids = workers_of(p)
    before = {k: processor_seconds(k) for k in pids}
    time.sleep(4)
    used = {k: (processor_seconds(k) - before[k]) / 4 for k in pids}
    os.close(w)
    wait(p, 20, "a chat whose input ended")
    worst = max(used.values())
    need(worst < 0.02, "an idle process uses %.1f %% of a core" % (100 * worst))
    return "at most %.2f %% of a core" % (100 * worst)


def local_idle():
    return idle([GEMMAPIPE, "chat", "--model", DEMO, "--workers", "3", "--quiet", "--temp", "0"], lambda p: children_of(p.pid))


def mpi_idle():
    return idle([*mpirun(4), GEMMAPIPE, "chat", "--model", DEMO, "--quiet", "--temp", "0"], lambda p: children_of(p.pid))


def big_enough(gib):
    free = shutil.disk_usage(FOLDER).free / 2 ** 30
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") / 2 ** 30
    return free > gib and memory > 2.5 * gib


claim("idle_local_workers_sleep", local_idle)
claim("idle_ranks_sleep", mpi_idle)
if os.environ.get("SAN"):
    print("skip memory_is_what_was_planned: sanitizers need more than the program")
    finish()
claim("a_split_encoder_takes_what_was_planned", encoder_within, "--workers", "2", "--vision-split", "layers")
claim("copies_of_an_encoder_take_what_was_planned", encoder_within, "--workers", "2", "--vision-split", "copies")
claim("sequences_share_the_pages_that_memory_has", lambda: sharing(synth("long.gguf", "--size", "tiny", "--ctx", "131072"), "300M", 131072, 16))
if big_enough(3):
    model = synth("4b.gguf", "--size", "4b", "--embd", "q6_k")
    claim("a_4b_model_takes_what_was_planned_in_one_process", within, model)
    claim("a_4b_model_takes_what_was_planned_on_three_workers", within, model, "--workers", "3")
    claim("a_4b_model_has_sixteen_sequences_in_four_times_a_gigabyte", sharing, model, "1G", 4096, 3)
    claim("a_4b_model_takes_what_was_planned_when_sent_to_workers", within, model, "--workers", "3", "--send-weights")
else:
    print("skip a_4b_model_takes_what_was_planned: less than 3 GiB of disk or 8 GiB of memory")
finish()
