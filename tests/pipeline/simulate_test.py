#!/usr/bin/python3
"""Clusters that do not exist: `gemmapipe plan --simulate` says what they would do, in text, as JSON and as a picture."""
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
    r = simulated(EXAMPLE, "--requests", "100", "--prompt-tokens", "20,60", "--answer-tokens", "5,9", "--arrivals", "200")
    need(r["completed"] == 100 and 500 <= r["total_output_tokens"] <= 900 and r["replicas"] == 4, r)
    need(0 < r["median_ttft_ms"] <= r["p99_ttft_ms"] <= r["p99_e2el_ms"] and 0 <= r["bubble"] < 1, r)


def more_is_more():
    one, four = (simulated(cluster("n.json", workers=[worker(copies=4)], replicas=n, sequences=4), "--answer-tokens", "20") for n in (1, 4))
    need(four["output_throughput"] > one["output_throughput"], "replicas of a small model: %r and %r" % (one, four))
    fast, slow = (simulated(cluster("n.json", workers=[worker(i, mbit=m) for i in range(3)])) for m in (1000, 1))
    need(slow["output_throughput"] < fast["output_throughput"], "a slow link changes nothing")
    lossy = simulated(cluster("n.json", workers=[worker(i, mbit=1000, loss=0.05) for i in range(3)]))
    need(lossy["output_throughput"] < fast["output_throughput"], "lost messages change nothing")


def refused():
    for word, said in (("replicas", dict(workers=[worker()], replicas=2)), ("at most", dict(workers=[worker(copies=600), worker(1, copies=600)])),
                       ("loss", dict(workers=[worker(loss=2)])), ("copies", dict(workers=[worker(copies=0)])), ("mbit", dict(workers=[worker(mbit="fast")])),
                       ("layers", dict(workers=[worker(layers=8)]))):
        status, _, err = run(GEMMAPIPE, "plan", "--model", DEMO, "--simulate", cluster("bad.json", **said))
        need(status == 3 and word in err and len(err.splitlines()) == 1, "%r: %d %s" % (said, status, err))
    for more in (["--workers", "2"], ["--prompt-tokens", "9,3"], ["--answer-tokens", "1,2,3"], ["hi"], ["--mmproj", DEMO], ["--requests", "0"]):
        status, _, err = run(GEMMAPIPE, "plan", "--model", DEMO, "--simulate", EXAMPLE, *more)
        need(status == 2 and len(err.splitlines()) == 1, "%r: %d %s" % (more, status, err))
    status, _, err = run(GEMMAPIPE, "run", "--model", DEMO, "--cluster", cluster("copies.json", workers=[worker(copies=3)]), "hi")
    need(status == 3 and "copies" in err, "a run with copies: %d %s" % (status, err))


claim("the_example_of_a_simulated_cluster_is_lived_through", the_example)
claim("replicas_links_and_losses_show_in_the_rates", more_is_more)
claim("what_cannot_be_simulated_is_refused_in_a_sentence", refused)
finish()
