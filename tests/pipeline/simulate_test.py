#!/usr/bin/python3
"""Clusters that do not exist: `gemmapipe plan --simulate` says what they would do, in text, as JSON and as a picture. And clusters that do:
what is simulated of them is printed beside what they do; these are measured rates, and so never judged here.

With MODEL=FILE.gguf this is the measurement of docs/SPEED.md: that model, and a longer load.
"""
import json
import os
import sys
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

EXAMPLE = os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "simulated.example.json")


def cluster(name, **said):
    with open(path(name), "w") as f:
        json.dump(said, f)
    return path(name)


def worker(i=0, **said):
    return {"address": "tcp://10.0.0.%d:7001" % (i + 1), **said}


def simulated(file, *more):
    return json.loads(good(GEMMAPIPE, "plan", "--model", DEMO, "--simulate", file, "--json", *more))


def the_example():
    out = good(GEMMAPIPE, "plan", "--model", DEMO, "--simulate", EXAMPLE, "--timeline", path("s.svg")).decode()
    need("16 workers in 4 replicas" in out and out.count(" %\n") > 2 and "board 1" in out, out)
    xml.etree.ElementTree.parse(path("s.svg"))
    with open(path("s.svg")) as f: picture = f.read()
    need("simulated: 16 stages in 4 replicas" in picture and picture.count("busy ") == 16 and "replica 4, 4 desk 4" in picture, picture[:3000])
    r = simulated(EXAMPLE, "--requests", "100", "--prompt-tokens", "20,60", "--answer-tokens", "5,9", "--arrivals", "200")
    need(r["completed"] == 100 and 500 <= r["total_output_tokens"] <= 900 and r["replicas"] == 4, r)
    need(0 < r["median_ttft_ms"] <= r["p99_ttft_ms"] <= r["p99_e2el_ms"] and 0 <= r["bubble"] < 1, r)


def a_trace():
    """In the form of a run's (trace_test.py reads those): what begins ends, each stage does one thing at a time, and all rows are there."""
    words = ["--requests", "40", "--arrivals", "300", "--prompt-tokens", "20,60", "--answer-tokens", "5,9"]
    r = simulated(EXAMPLE, *words, "--trace", path("s.json"), "--timeline", path("t.svg"))
    need(r == simulated(EXAMPLE, *words), "to be traced changes a simulation")
    with open(path("s.json")) as f: events = json.load(f)["traceEvents"]
    names = {e["pid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    need(len(names) == 17 and names[0] == "coordinator" and names[1] == "replica 1, worker 1 (board 1)" and "desk 4" in names[3007], names)
    for kind, many in (("request", r["completed"]), ("batch", r["micro_batches"])):
        begin, end = ({e["id"]: e["ts"] for e in events if e["ph"] == p and e.get("cat") == kind} for p in "be")
        need(len(begin) == many and begin.keys() == end.keys() and all(begin[i] < end[i] for i in begin), "%s: %d begin, %d end" % (kind, len(begin), len(end)))
    rows = [e for e in events if e["ph"] == "X" and e["name"].startswith("batch")]
    need(sum(e["args"]["rows"] for e in rows) == 4 * r["rows"], "rows of four stages: %d" % sum(e["args"]["rows"] for e in rows))
    for pid in names:
        line = sorted((e["ts"], e["dur"]) for e in events if e["ph"] == "X" and e["pid"] == pid)
        need(all(a[0] + a[1] <= b[0] + 0.002 for a, b in zip(line, line[1:])), "worker %s does two things at once" % names[pid])
    last = {e["name"]: e["args"]["under way"] for e in events if e["ph"] == "C"}
    need(len(last) == 8 and not any(last.values()), last)
    need(sum(e["ph"] == "s" for e in events) * 3 == sum(e["ph"] == "t" for e in events) > 0, "arrows of four stages")


def more_is_more():
    one, four = (simulated(cluster("n.json", workers=[worker(copies=4)], replicas=n, sequences=4), "--answer-tokens", "20") for n in (1, 4))
    need(four["output_throughput"] > one["output_throughput"], "replicas of a small model: %r and %r" % (one, four))
    fast, slow = (simulated(cluster("n.json", workers=[worker(i, mbit=m) for i in range(3)])) for m in (1000, 1))
    need(slow["output_throughput"] < fast["output_throughput"], "a slow link changes nothing")
    lossy = simulated(cluster("n.json", workers=[worker(i, mbit=1000, loss=0.05) for i in range(3)]))
    need(lossy["output_throughput"] < fast["output_throughput"], "lost messages change nothing")


def planned(file, *more):
    return json.loads(good(GEMMAPIPE, "plan", "--model", DEMO, "--cluster", file, "--no-probe", "--sequences", 1, "--ctx", 320, "--json", *more))["expected"]["alone"]


def a_part_of_a_core():
    """A quarter of the time is a quarter of the speed, however many threads have it together, for the plan and for the simulator; and a part that
    is more than its threads can use is no limit."""
    load = ["--requests", 4, "--sequences", 1, "--prompt-tokens", 1, "--answer-tokens", 300]
    for threads, share in ((1, 0.25), (4, 1)):
        files = [cluster("share-%g.json" % k, workers=[worker(threads=threads, speed=0.01, **({"share": k, "period_ms": 5} if k else {}))])
                 for k in (0, share, 9)]
        for rates in ([simulated(f, *load)["output_throughput"] for f in files], [planned(f) for f in files]):
            need(0.22 < rates[1] / rates[0] < 0.28 and rates[2] == rates[0], "%d threads: %r" % (threads, rates))


def refused():
    for word, said in (("replicas", dict(workers=[worker()], replicas=2)), ("at most", dict(workers=[worker(copies=600), worker(1, copies=600)])),
                       ("loss", dict(workers=[worker(loss=2)])), ("copies", dict(workers=[worker(copies=0)])), ("mbit", dict(workers=[worker(mbit="fast")])),
                       ("not 5000", dict(workers=[worker(share=5000)])), ("no \"share\"", dict(workers=[worker(period_ms=5)])),
                       ("layers", dict(workers=[worker(layers=8)]))):
        status, _, err = run(GEMMAPIPE, "plan", "--model", DEMO, "--simulate", cluster("bad.json", **said))
        need(status == 3 and word in err and len(err.splitlines()) == 1, "%r: %d %s" % (said, status, err))
    for more in (["--workers", "2"], ["--prompt-tokens", "9,3"], ["--answer-tokens", "1,2,3"], ["hi"], ["--mmproj", DEMO], ["--requests", "0"]):
        status, _, err = run(GEMMAPIPE, "plan", "--model", DEMO, "--simulate", EXAMPLE, *more)
        need(status == 2 and len(err.splitlines()) == 1, "%r: %d %s" % (more, status, err))
    status, _, err = run(GEMMAPIPE, "run", "--model", DEMO, "--cluster", cluster("copies.json", workers=[worker(copies=3)]), "hi")
    need(status == 3 and "copies" in err, "a run with copies: %d %s" % (status, err))


LONG = "MODEL" in os.environ


def model():
    """Large enough that computing counts beside messages."""
    return os.environ["MODEL"] if LONG else synth("wide.gguf", "--size", "tiny", "--layers", 8, "--hidden", 512, "--ffn", 2048, "--heads", 4, "--kv-heads", 1, "--vocab", 4000)


def did(words, these, requests, answer):
    """What these workers do with so many requests, all there at once."""
    with open(path("load.jsonl"), "w") as f:
        f.write((json.dumps({"prompt": "one two three four five " * 6, "max_tokens": answer, "ignore_eos": True}) + "\n") * requests)
    good(GEMMAPIPE, "batch", *words, "--cluster", these, "--in", path("load.jsonl"), "--out", path("answers"), "--overwrite", "--no-prefix-reuse", "--quiet",
         "--report-json", path("did.json"))
    with open(path("did.json")) as f: return json.load(f)


def foreseen_and_done(addresses, sequences, thoroughly):
    """Whoever connects to several measures them, for half a second (too short for slow lines); then it is foreseen, then done."""
    requests, answer = (16, 24) if LONG else (10, 6)
    words = ["--model", model(), "--ctx", 256, "--sequences", sequences]
    even = json.loads(good(GEMMAPIPE, "plan", *words, "--no-probe", "--workers", len(addresses), "--json"))["stages"]
    memory = {"memory": int(1.1 * max(s["total"] for s in even))} if len(addresses) > 2 else {}  # or two would be planned where there are two cores
    these = cluster("these", workers=[{"address": a, **memory} for a in addresses])
    if thoroughly: good(GEMMAPIPE, "plan", *words, "--cluster", these, "--probe")
    prompt = did(words, these, 1, 1)["prompt_rows"]
    return json.loads(good(GEMMAPIPE, "plan", *words, "--simulate", these, "--json", "--requests", requests, "--prompt-tokens", prompt,
                           "--answer-tokens", answer)), did(words, these, requests, answer)


def stages(done):
    return ["%d-%d" % (s["first"], s["end"] - 1) for s in done["stages"] if "first" in s]


def conserved(said, done, hidden):
    """Whatever it took, rows are rows; those of a worker that a busy machine made too late are computed again. Each goes once to every
    stage; heads and signs of life are less than that again."""
    for name in ("completed", "total_output_tokens", "prompt_rows"):
        need(said[name] == done[name] > 0, "%s: simulated %r, real %r" % (name, said[name], done[name]))
    rows = [r["rows"] - r["rows_again"] for r in (said, done)]
    need(rows[0] == rows[1] > 0, "rows: simulated %d, real %d" % tuple(rows))
    for r, n in ((said, said["stages"]), (done, len(stages(done)))):
        least = r["rows"] * hidden * 4 * n
        need(r["rows_again"] or least <= r["wire_bytes"] < 2 * least, "%d bytes of rows, on the wire %d" % (least, r["wire_bytes"]))
        need(min(r["output_throughput"], r["mean_ttft_ms"], r["mean_tpot_ms"], r["micro_batches"]) > 0, r)


def beside_reality():
    """Processes of one thread each on this machine, at last behind lines of a set bandwidth and delay."""
    hidden = json.loads(good(PARTITION, "inspect", model(), "--json"))["text"]["hidden"]
    os.environ["GEMMAPIPE_NO_PROBE"] = ""
    print("  %-40s %9s %9s %6s   %s" % ("tokens of answers a second", "simulated", "real", "off", "ms from token to token; layers"))
    try:
        for n, sequences, line in [(1, 4, None), (2, 4, None), (3, 6, None), (4, 8, None)] + [(2, 4, (0.002, 100e6 / 8))] * LONG + [(2, 4, (0.01, 20e6 / 8))]:
            with Workers(n, "--threads", 1) as w:
                addresses = [Line(("127.0.0.1", int(a.rsplit(":", 1)[1])), *line).address for a in w.addresses] if line else w.addresses
                said, done = foreseen_and_done(addresses, sequences, LONG or n == 1 or bool(line))
            name = "%d process%s, %d sequences" % (n, "es" * (n > 1), sequences) + (", %g Mbit/s, %g ms" % (line[1] * 8e-6, 1e3 * line[0]) if line else "")
            rates = said["output_throughput"], done["output_throughput"]
            print("  %-40s %9.1f %9.1f %+4.0f %%   %5.1f %5.1f   %s%s" % (name, *rates, 100 * (rates[0] / rates[1] - 1), said["mean_tpot_ms"], done["mean_tpot_ms"],
                  " ".join(stages(done)), "" if said["measured"] else "   (not measured, for lack of time: nominal speeds)"), flush=True)
            conserved(said, done, hidden)
    finally:
        os.environ["GEMMAPIPE_NO_PROBE"] = "1"


claim("the_example_of_a_simulated_cluster_is_lived_through", the_example)
claim("what_is_simulated_can_be_traced_as_a_run", a_trace)
claim("replicas_links_and_losses_show_in_the_rates", more_is_more)
claim("a_part_of_a_core_is_planned_and_simulated_as_such", a_part_of_a_core)
claim("what_cannot_be_simulated_is_refused_in_a_sentence", refused)
claim("what_is_simulated_of_real_workers_is_printed_beside_what_they_do", beside_reality)
finish()
