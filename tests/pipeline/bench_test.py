#!/usr/bin/python3
# turn: 1 (tests/run)
"""gemmapipe bench: what it prints is whole and adds up, over every link; a sweep is measured once and drawn; the comparison with peers
takes what they print."""
import contextlib
import csv
import io
import json
import os
import pty
import re
import signal
import stat
import sys
import time
import xml.dom.minidom

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


def drawn_depths_are_not_computed():
    """Only the rows that count, and one to begin with, are rows of the run's micro-batches that compute; the others are there all the same."""
    for deep in ([], ["--here", "2", "--split", "4+8,4+8"]):
        b = json.loads(good(GEMMAPIPE, *BENCH, "--pp", "8", "--tg", "3", "--batch", "1,2", "--reps", "1", "--json", "--depth-drawn", "150", *deep))
        need([t["test"] for t in b["tests"]] == ["pp8@d150", "tg3@d150", "tg3@2@d150"], "the tests are %s" % [t["test"] for t in b["tests"]])
        need([t["rows"] for t in b["tests"]] == [8, 3, 6], "rows %s" % [t["rows"] for t in b["tests"]])
    status, _, err = run(GEMMAPIPE, "logits", "--model", DEMO, "--depth-drawn", "9", "--out", path("none"), "text")
    need(status == 2 and "stands before --ids" in err, err)


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
    children = children_once_there(p.pid, 2)
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


# ---- sweeps ----

SWEEP = [GEMMAPIPE, *BENCH, "--reps", "1", "--sweep", "prompt=24", "--sweep", "answer=8"]


def read(name):
    with open(path(name), "rb") as f: return f.read()


def points(text):
    return list(csv.DictReader(io.StringIO(text.decode())))


def swept(rows):
    return [(int(r["sequences"]), int(r["workers"])) for r in rows]


def sweep():
    good(*SWEEP, "--sweep", "sequences=1,3", "--sweep", "workers=1,2", "--csv", path("s.csv"), "--plot", path("s.svg"))
    rows = points(read("s.csv"))
    need(swept(rows) == [(1, 1), (1, 2), (3, 1), (3, 2)], str(rows))
    for r in rows:
        n, seconds = int(r["sequences"]), float(r["seconds"])
        need((r["requests"], r["failed"]) == (str(n), "0"), str(r))
        need(int(r["input_tokens"]) == 24 * n and int(r["output_tokens"]) == 8 * n and r["reused_tokens"] == "0", str(r))
        need(near(float(r["output_throughput"]) * seconds, 8 * n) and near(float(r["input_throughput"]) * seconds, 24 * n), str(r))
        need(0 < float(r["median_tpot_ms"]) <= float(r["p99_tpot_ms"]) * 1.001 and 0 < float(r["median_ttft_ms"]) < 1e3 * seconds, str(r))
        need(0 <= float(r["bubble"]) < 1 and float(r["wire_bytes_per_token"]) > HIDDEN * 4, str(r))
        need(int(r["planned_bytes"]) > 1 << 20 and int(r["measured_bytes"]) > 1 << 20, str(r))
    drawing = xml.dom.minidom.parse(path("s.svg"))
    told = [c.getElementsByTagName("title")[0].firstChild.data for c in drawing.getElementsByTagName("circle")]
    want = ["workers %d; sequences in flight %d: %.4g" % (w, n, float(r["output_throughput"]))
            for w in (1, 2) for r in rows for n in [int(r["sequences"])] if int(r["workers"]) == w]
    need(told == want, "the drawing says %s, the table %s" % (told, want))
    texts = [t.firstChild.data for t in drawing.getElementsByTagName("text") if t.firstChild]
    for word in ("workers 1", "workers 2", "sequences in flight", "demo-q4_0.gguf, prompt 24, answer 8", "1", "3", "0"):
        need(word in texts, "\"%s\" is not in the drawing: %s" % (word, texts))


def goes_on():
    """Behind a line that was being written; what is there stays to the byte, and nothing is measured twice."""
    more = ["--sweep", "workers=1", "--csv", path("r.csv")]
    good(*SWEEP, "--sweep", "sequences=1,2", *more)
    before = read("r.csv")
    with open(path("r.csv"), "ab") as f: f.write(before.splitlines()[1][:50])
    good(*SWEEP, "--sweep", "sequences=4,2,1", *more)
    after = read("r.csv")
    need(after.startswith(before) and swept(points(after)) == [(1, 1), (2, 1), (4, 1)], after.decode())
    out = good(*SWEEP, "--sweep", "sequences=1,4", *more, "--plot", path("r.svg"))
    need(not out and read("r.csv") == after and read("r.svg").count(b"<circle") == 2, "a point that was there was measured again")
    good(*SWEEP, "--sweep", "sequences=1", "--whole-head", *more)
    need(len(points(read("r.csv"))) == 4, "other settings are another point")


def stopped():
    many = [*SWEEP[:SWEEP.index("--reps")], "--sweep", "answer=300", "--sweep", "sequences=1,2,3,4,5,6,7,8", "--csv", path("i.csv")]
    p = start(*many, "--plot", path("i.svg"))
    end = time.time() + 20 * PATIENCE
    while time.time() < end and (not os.path.exists(path("i.csv")) or read("i.csv").count(b"\n") < 2): time.sleep(0.01)
    p.send_signal(signal.SIGINT)
    status, out, err = wait(p, 10, "an interrupted sweep")
    before = read("i.csv")
    need(status == 9 and "points are measured" in err and not os.path.exists(path("i.svg")), "%d %s" % (status, err))
    good(*many)
    rows = points(read("i.csv"))
    need(read("i.csv").startswith(before) and sorted(int(r["sequences"]) for r in rows) == list(range(1, 9)), str(rows))


def file_of_requests():
    """The same answers as a batch gives: as long, as many, and the bad line is counted and ends nothing."""
    with open(path("jobs.jsonl"), "w") as f:
        for i in range(6): f.write(json.dumps({"prompt": "Once upon %d" % i, "max_tokens": 4 + i, "n": 1 + i % 2}) + "\n\n")
        f.write("nonsense\n")
        f.write(json.dumps({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "picture.png"}}]}], "max_tokens": 5}))
    with open(os.path.join(ROOT, "models/demo/picture.png"), "rb") as f, open(path("picture.png"), "wb") as to: to.write(f.read())
    sees = ["--mmproj", os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")]
    status, _, err = run(GEMMAPIPE, "batch", "--model", DEMO, *sees, "--in", path("jobs.jsonl"), "--out", path("results.jsonl"), "--quiet")
    need(status == 8, err)
    usage = [json.loads(l)["response"]["body"]["usage"] for l in read("results.jsonl").splitlines()]
    rows = points(good(GEMMAPIPE, *BENCH, *sees, "--jobs", path("jobs.jsonl"), "--sweep", "sequences=1,3"))
    for r in rows:
        need((r["requests"], r["failed"]) == ("8", "1") and int(r["output_tokens"]) == sum(u["completion_tokens"] for u in usage), str(r))
    need(len(rows) == 2 and rows[0]["load"] == rows[1]["load"] != "0" * 32, str(rows))


def ranks():
    """Workers of mpirun end with a run, so each start measures one point; the status says whether there is another."""
    status = 9
    for want in (1, 2):
        need(status == 9, "%d points and status %d" % (want - 1, status))
        status, _, err = run(*mpirun(3), *SWEEP, "--sweep", "sequences=1,2", "--csv", path("m.csv"))
        need(swept(points(read("m.csv"))) == [(1, 2), (2, 2)][:want], err)
    need(status == 0, err)
    good(*mpirun(3), *SWEEP, "--replicas", "2", "--sweep", "sequences=2", "--csv", path("m.csv"))
    need(swept(points(read("m.csv"))) == [(1, 2), (2, 2), (2, 2)], "replicas are another point")


def first_workers():
    with Workers(2) as w:
        rows = points(good(*SWEEP, *w.connect, "--sweep", "sequences=2", "--sweep", "workers=2,1"))
        need(swept(rows) == [(2, 2), (2, 1)] and float(rows[0]["wire_bytes_per_token"]) > float(rows[1]["wire_bytes_per_token"]), str(rows))
        status, _, err = run(*SWEEP, *w.connect, "--sweep", "workers=3")
        need(status == 2 and "3 workers, and 2 were named" in err, err)


def too_large():
    status, out, err = run(*SWEEP, "--memory", "20M", "--sweep", "sequences=1", "--sweep", "workers=1", "--sweep", "micro-batch=4096,8", timeout=30)
    need(status == 8 and swept(points(out)) == [(1, 1)] and "1 of 2 points need more memory" in err, "%d %s" % (status, err))


def odd_sweeps():
    with open(path("notes.txt"), "w") as f: f.write("mine")
    good(*SWEEP, "--sweep", "sequences=1", "--csv", path("d.csv"))
    with open(path("d.csv"), "a") as f: f.write("1,2\n")
    for status, text, more in (
            (2, "--sweep wants NAME=N,N, not \"speed=1\"", ["--sweep", "speed=1"]), (2, "not \"\"", ["--sweep", "sequences="]),
            (2, "has 4 twice", ["--sweep", "sequences=4,4"]), (2, "has answer twice", ["--sweep", "answer=1"]), (2, "from 0 to 99", ["--sweep", "prefix=100"]),
            (2, "excludes --workers", ["--sweep", "workers=1", "--workers", "1"]), (2, "cannot be swept", ["--jobs", "x"]),
            (2, "are for tests", ["--tg", "3"]), (2, "the names of files", ["--csv", "-"]), (2, "for requests of a file", ["--ctx", "99"]),
            (2, "more than 10000 points", ["--sweep", "sequences=" + ",".join(map(str, range(1, 17))), "--sweep", "workers=" + ",".join(map(str, range(1, 17))),
                                           "--sweep", "in-flight=" + ",".join(map(str, range(1, 17))), "--sweep", "micro-batch=1,2,3,4"]),
            (3, "first line is \"mine\"", ["--csv", path("notes.txt")]), (3, "line 3 of", ["--csv", path("d.csv")]), (3, "written over", ["--csv", DEMO]),
            (3, "no file that points", ["--csv", "/dev/null"]), (2, "the same file", ["--csv", path("same"), "--plot", path("same")])):
        got, out, err = run(*SWEEP, *more)
        need(got == status and text in err and len(err.strip().splitlines()) == 1 and not out, "%s: %d %s" % (more, got, err))
    need(read("notes.txt") == b"mine", "a file that was no table was changed")
    status, _, err = run(GEMMAPIPE, *BENCH, "--csv", path("d.csv"))
    need(status == 2 and "for a load" in err, err)


def one_long_run():
    """How far it is, in tokens, while its only run lasts; it is stopped then."""
    pid, terminal = pty.fork()
    if not pid:
        os.execv(GEMMAPIPE, [GEMMAPIPE, "bench", "--model", DEMO, "--threads", "1", "--pp", "0", "--tg", "2000", "--batch", "32", "--reps", "4"])
    said, wanted = "", re.compile(r"\rmeasuring (\d+)%, [\d.]+ tok/s, \d+ s left")
    while len(set(wanted.findall(said))) < 2 and " tok/s\r\n" not in said:
        said += os.read(terminal, 4096).decode(errors="replace")
    os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(OSError):
        while os.read(terminal, 4096):
            pass
    need(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130, "it is stopped, not over")
    need(len(set(wanted.findall(said))) >= 2, "it said %s" % said)


claim("a_long_measurement_says_how_far_it_is", one_long_run)
claim("a_depth_that_is_drawn_is_there_and_not_computed", drawn_depths_are_not_computed)
claim("a_bench_adds_up_over_every_link", ways)
claim("a_bench_goes_on_past_the_end_of_answers", runs_on)
claim("rows_before_the_depth_do_not_count", deep)
claim("a_bench_has_a_table_for_people", table)
claim("wrong_sizes_get_one_sentence", bad_words)
claim("ctrl_c_ends_a_bench_and_its_workers", interrupted)
claim("a_comparison_names_its_ratios_and_who_is_absent", compared)
claim("a_sweep_adds_up_and_its_drawing_holds_the_points", sweep)
claim("a_sweep_goes_on_with_what_its_table_has", goes_on)
claim("ctrl_c_leaves_a_table_that_can_be_gone_on_with", stopped)
claim("a_file_of_requests_is_a_load_like_a_batch", file_of_requests)
claim("under_mpirun_each_start_measures_one_point", ranks)
claim("swept_workers_are_the_first_of_those_named", first_workers)
claim("a_point_that_needs_too_much_memory_does_not_end_a_sweep", too_large)
claim("odd_sweeps_get_one_sentence_and_change_no_file", odd_sweeps)
finish()
