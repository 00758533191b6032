#!/usr/bin/python3
"""gemmapipe bench: what it prints is whole and adds up, over every link; the comparison with peers takes what they print."""
import json
import os
import signal
import stat
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

HIDDEN, LAYERS = 128, 8  # of the demo model
BENCH = ["bench", "--model", DEMO, "--quiet", "--threads", "1"]
SMALL = ["--pp", "24,40", "--tg", "6", "--batch", "1,3", "--reps", "2", "--json"]
COMPARE = os.path.join(ROOT, "tests", "peer", "compare")


def near(a, b, part=0.01):
    return abs(a - b) <= part * max(abs(a), abs(b))


def check_test(t, reps, stages):
    """One test's figures against each other."""
    name, tokens = t["test"], reps * t["sequences"] * t["tokens"]
    need(len(t["runs"]) == reps and min(t["runs"]) > 0, "%s has the runs %s" % (name, t["runs"]))
    need(near(t["least"], min(t["runs"])) and near(t["most"], max(t["runs"])) and near(t["mean"], sum(t["runs"]) / reps), "%s: %s" % (name, t))
    need(t["least"] <= t["tok_s"] <= t["most"] and t["stddev"] >= 0, "%s: median %g" % (name, t["tok_s"]))
    need(near(t["seconds"], sum(t["sequences"] * t["tokens"] / r for r in t["runs"])), "%s: %g s do not fit the runs" % (name, t["seconds"]))
    need(t["rows"] == tokens, "%s sent %d rows for %d tokens" % (name, t["rows"], tokens))
    links = stages if stages > 1 else 1
    least = tokens * HIDDEN * 4 * links
    need(least < t["wire_bytes"] < least + 40 * tokens * links + 1000 * t["micro_batches"] * (links + 1),
         "%s: %d bytes on the wire, rows alone are %d" % (name, t["wire_bytes"], least))
    need(near(t["wire_bytes_per_token"] * tokens, t["wire_bytes"]), "%s: bytes per token" % name)
    need(len(t["stages"]) == stages and 0 <= t["bubble"] < 1, "%s: %s" % (name, t))
    for s in t["stages"]:
        need(s["micro_batches"] == t["micro_batches"], "%s: a stage counts %d micro-batches of %d" % (name, s["micro_batches"], t["micro_batches"]))
        need(0 < s["busy"] <= 1.1 and near(s["busy"] + s["waiting"], max(1, s["busy"])), "%s: %s" % (name, s))
    need(near(1 - t["bubble"], min(1, sum(s["busy"] for s in t["stages"]) / stages), 0.02), "%s: the bubble is not what stages did not compute" % name)
    need(t["int8_macs"] > tokens * 1e5 and t["bytes_read"] > 1e5 and t["of_arithmetic"] > 0 and t["of_reading"] > 0, "%s: %s" % (name, t))


def adds_up(stages, *command):
    b = json.loads(good(*command, *BENCH, *SMALL))
    need([t["test"] for t in b["tests"]] == ["pp24", "pp40", "tg6", "tg6@3"], "the tests are %s" % [t["test"] for t in b["tests"]])
    need(b["workers"] == stages and len(b["stages"]) == stages and b["reps"] == 2, "%s workers" % b["workers"])
    need(b["ready_s"] > 0 and b["peak_bytes"] > 1 << 20, "ready after %s s" % b["ready_s"])
    end = 0
    for i, s in enumerate(b["stages"]):
        need(s["first"] == end and s["head"] == (i == stages - 1) and s["planned_bytes"] > s["weight_bytes"] and s["peak_bytes"] > 1 << 20, str(s))
        end = s["end"]
    need(end == LAYERS, "the stages hold %d layers" % end)
    for t in b["tests"]: check_test(t, 2, stages)
    limits = b["limits"]
    need(limits["int8_macs_s"] > limits["f32_macs_s"] > 1e8 and limits["read_bytes_s"] > 1e8 and limits["threads"] >= 1, "limits %s" % limits)
    need(b["tests"][0]["first_token_s"] > 0 and near(b["tests"][0]["first_token_s"], b["tests"][0]["seconds"] / 2), "the first token ends a prompt")


def ways():
    for stages, more in ((1, []), (3, ["--here", "3"]), (2, ["--workers", "2"])):
        b = list(BENCH)
        BENCH.extend(more)
        try: adds_up(stages, GEMMAPIPE)
        finally: BENCH[:] = b
    adds_up(2, *mpirun(3), GEMMAPIPE)


def runs_on():
    """The demo model ends every answer within a few dozen tokens; rates of 120 each need all of them made."""
    b = json.loads(good(GEMMAPIPE, *BENCH, "--pp", "0", "--tg", "120", "--batch", "8", "--reps", "1", "--json"))
    need(b["tests"][0]["rows"] == 8 * 120, "%d rows for 960 tokens" % b["tests"][0]["rows"])


def deep():
    b = json.loads(good(GEMMAPIPE, *BENCH, "--pp", "16", "--pp-batch", "2", "--tg", "4", "--batch", "2", "--depth", "50", "--reps", "1", "--json"))
    need([t["test"] for t in b["tests"]] == ["pp16@2@d50", "tg4@2@d50"], str(b["tests"]))
    need([t["rows"] for t in b["tests"]] == [32, 8], "rows before the depth were counted: %s" % [t["rows"] for t in b["tests"]])


def table():
    out = good(GEMMAPIPE, *BENCH, "--workers", "2", "--pp", "8", "--tg", "2", "--batch", "1,2", "--reps", "1").decode()
    for word in ("pp8", "tg2@2", "limits of this machine", "planned MiB", "2 worker processes", "first token after", "GMAC/s"):
        need(word in out, "the table does not hold \"%s\":\n%s" % (word, out))


def bad_words():
    for text, more in (("--batch", ["--batch", "3,x"]), ("nothing to measure", ["--tg", "0", "--pp", "0"]), ("positions", ["--pp", "1000000"]),
                       ("--reps", ["--reps", "0"]), ("--batch", ["--batch", "0"]), ("not one of bench", ["--temp", "1"])):
        status, out, err = run(GEMMAPIPE, *BENCH, *more)
        need(status == 2 and text in err and len(err.strip().splitlines()) == 1 and not out, "%s: %d %s" % (more, status, err))


def interrupted():
    p = start(GEMMAPIPE, *BENCH, "--workers", "2", "--reps", "1000", "--tg", "500")
    children, end = [], time.time() + 10
    while len(children) < 2 and time.time() < end: children, _ = children_of(p.pid), time.sleep(0.05)
    time.sleep(0.7)
    p.send_signal(signal.SIGINT)
    status, out, err = wait(p, 10, "an interrupted bench")
    need(status == 130 and not out and len(children) == 2, "%d %s" % (status, err))
    need(all_gone(children), "workers were left behind")


def script(folder, name, text):
    os.makedirs(path(folder), exist_ok=True)
    at = os.path.join(path(folder), name)
    with open(at, "w") as f: f.write("#!/bin/sh\n" + text)
    os.chmod(at, os.stat(at).st_mode | stat.S_IXUSR)


def compared():
    """A peer whose rates are known (JSON may write a whole number without a point), and one that is not there."""
    script("peer", "llama-bench", """echo 'loading'; echo '[{"n_prompt": 12, "n_gen": 0, "avg_ts": 200}, {"n_prompt": 0, "n_gen": 4, "avg_ts": 0.5}]'\n""")
    script("peer", "llama-batched-bench", """printf '|  PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | T s | S t/s |\\n|--|--|\\n' >&2
printf '|   1 |  4 | 2 |  10 |  0.1 |  10.0 |  0.2 |  40.00 |  0.3 |  33.3 |\\n' >&2\n""")
    status, out, err = run(COMPARE, "--model", DEMO, "--pp", "12", "--tg", "4", "--batch", "2", "--rounds", "2", "--threads", "1", "--save", path("rounds"),
                           "--peer", "known=" + path("peer"), "--peer", "missing=/nowhere")
    out = out.decode()
    need(status == 0 and "missing: absent: no llama-bench in /nowhere" in err, err)
    with open(path("rounds")) as f: rounds = [json.loads(l) for l in f]
    need(len(rounds) == 2 and rounds[0]["known"] == {"pp12": 200.0, "tg4": 0.5, "tg4@2": 40.0}, str(rounds))
    want = sorted(r["gemmapipe"]["tg4@2"] / 40 for r in rounds)
    head, row = ([c.strip() for c in l.split("|")] for l in out.splitlines() if l.startswith(("| engine", "| gemmapipe / known")))
    need(sorted(head[3:6]) == ["pp12", "tg4", "tg4@2"], "columns %s" % head)
    need(near(float(row[head.index("tg4@2")]), sum(want) / 2, 0.02), "ratios %s are not in\n%s" % (want, out))
    status, out, err = run(COMPARE, "--model", DEMO, "--pp", "12", "--tg", "4", "--batch", "2", "--rounds", "1", "--only", "known", "--peer", "known=" + path("peer"))
    need(status == 0 and b"| pp12 |" in out, "a whole number got no column:\n%s" % out)


claim("a_bench_adds_up_over_every_link", ways)
claim("a_bench_goes_on_past_the_end_of_answers", runs_on)
claim("rows_before_the_depth_do_not_count", deep)
claim("a_bench_has_a_table_for_people", table)
claim("wrong_sizes_get_one_sentence", bad_words)
claim("ctrl_c_ends_a_bench_and_its_workers", interrupted)
claim("a_comparison_names_its_ratios_and_who_is_absent", compared)
finish()
