#!/usr/bin/python3
# turn: 0 (tests/run)
"""Replicas of a pipeline: one queue, the same bytes whoever computes them, and a lost replica loses nothing."""
import json
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from relay import *
from served import Server, words

TINY = synth("tiny.gguf", "--size", "tiny", "--seed", 3)
ENCODER = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")
PICTURE = os.path.join(ROOT, "models/demo/picture.png")


def jobs(name, lines):
    with open(path(name), "w") as f:
        for line in lines:
            f.write(json.dumps(line) + "\n")
    return path(name)


LONG = jobs("long.jsonl", [{"prompt": "once upon a time %d" % i, "max_tokens": 150 + i, "seed": i, "temperature": i % 2} for i in range(12)])


def batch(out, *options, lines=LONG, model=TINY):
    return [GEMMAPIPE, "batch", "--model", model, "--in", lines, "--out", path(out), *options]


def result(out):
    with open(path(out), "rb") as f:
        return f.read()


def one():
    """Of one pipeline."""
    if not os.path.exists(path("one")):
        good(*batch("one", "--workers", 2))
    return result("one")


def same_bytes():
    for out, ways in (("two", ("--workers", 4, "--replicas", 2)), ("three", ("--workers", 3, "--replicas", 3, "--sequences", 5)),
                      ("cut", ("--split", "3,4", "--replicas", 2)), ("auto", ("--workers", 2, "--replicas", "auto"))):
        good(*batch(out, *ways))
        need(result(out) == one(), "%s: other bytes than of one pipeline" % out)


def by_address():
    with Workers(3) as w:
        status, _, err = run(*batch("far", *w.connect, "--replicas", 2, "--report-json", path("far.json")))
    need(status == 0 and result("far") == one(), err)
    with open(path("far.json")) as f:
        r = json.load(f)
    need(sorted(len(k["stages"]) for k in r["replicas"]) == [1, 2] and sum(k["output_tokens"] for k in r["replicas"]) == r["total_output_tokens"], r)


def pictures():
    """A picture is known to all replicas, whichever of them computed its rows."""
    lines = jobs("see.jsonl", [{"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it? %d" % i},
                                {"type": "image_url", "image_url": {"url": "picture.png"}}]}], "max_tokens": 8, "n": 2} for i in range(6)])
    shutil.copy(PICTURE, path("picture.png"))
    good(*batch("see1", "--workers", 2, "--mmproj", ENCODER, lines=lines, model=DEMO))
    good(*batch("see2", "--workers", 4, "--replicas", 2, "--sequences", 4, "--mmproj", ENCODER, lines=lines, model=DEMO))
    need(result("see1") == result("see2") and b'"error":null' in result("see1").replace(b" ", b""), result("see1")[:400])


def under_way(process, out):
    """Waits until some tokens stand in the journal."""
    for _ in range(2000 * SLOWER):
        if process.poll() is not None or (os.path.exists(path(out) + ".journal") and os.path.getsize(path(out) + ".journal") > 3000):
            break
        time.sleep(0.005)
    need(process.poll() is None, "it was over too soon")


def losing(out, *ways, kill):
    p = start(*batch(out, *ways))
    under_way(p, out)
    kids = sorted(children_of(p.pid))
    for k in kill:
        os.kill(kids[k], signal.SIGKILL)
    return wait(p, 60, "a batch that lost workers")


def mended():
    status, _, err = losing("mended", "--workers", 4, "--replicas", 2, kill=[1])
    need(status == 0 and result("mended") == one(), err)
    need("was ended by signal" in err and "is lost:" not in err, err)


def lost_for_good():
    """The other goes on alone; with the last one the job can be resumed, by one pipeline too."""
    status, _, err = losing("left", "--workers", 4, "--replicas", 2, "--wait-for-workers", 0, kill=[2])
    need(status == 0 and result("left") == one() and "replica 2 is lost" in err, err)
    status, _, err = losing("gone", "--workers", 2, "--replicas", 2, "--wait-for-workers", 0, kill=[0, 1])
    need(status == 9 and "--resume" in err, "%d: %s" % (status, err))
    good(*batch("gone", "--workers", 1, "--resume"))
    need(result("gone") == one(), "other bytes after --resume")


def is_away():
    """While others may still come to mend it, nobody waits for them."""
    with Workers(2) as w:
        p = start(*batch("away", *w.connect, "--replicas", 2, "--wait-for-workers", 600))
        under_way(p, "away")
        w.processes[0].kill()
        status, _, err = wait(p, 60, "a batch with a replica that is away")
    need(status == 0 and result("away") == one(), err)


def with_keys():
    key = {}
    for name in ("alice", "bob", "carol"):
        key[name] = good(GEMMAPIPE, "keys", "new", "--keys", path(name)).decode().split()[0]
    for mine, other in (("alice", "bob"), ("alice", "carol"), ("bob", "alice"), ("carol", "alice")):
        good(GEMMAPIPE, "keys", "trust", other, key[other], "--keys", path(mine))
    names, ports = ("bob", "carol"), free_ports(2)
    workers = [start(WORKER, "--listen", "tcp://127.0.0.1:%d" % port, "--keys", path(name)) for name, port in zip(names, ports)]
    where = ",".join("%s@tcp://127.0.0.1:%d" % pair for pair in zip(names, ports))
    good(*batch("keys", "--connect", where, "--keys", path("alice"), "--replicas", 2))
    need(result("keys") == one(), "other bytes by encrypted links")
    for w in workers:
        w.kill()


def need_two_replicas(server):
    for _ in range(100 * SLOWER):
        status, _, text = server.ask("/pipeline")
        if status == 200:
            break
        time.sleep(0.05)
    need(status == 200 and [s["replica"] for s in json.loads(text)["stages"]] == [1, 2], "%d %s" % (status, text))


def served():
    with Server("--workers", "2", "--replicas", "2", "--sequences", "2") as several:
        said = [words(several.chat("What is %d + 4?" % i, max_tokens=12)) for i in range(4)]
        need_two_replicas(several)
        need(b"gemmapipe_replicas_ready{" in several.ask("/metrics")[2] and b"} 2\n" in several.ask("/metrics")[2].split(b"gemmapipe_replicas_ready{")[1], "two replicas are ready")
        os.kill(sorted(children_of(several.process.pid))[0], signal.SIGKILL)
        again = [words(several.chat("What is %d + 4?" % i, max_tokens=12)) for i in range(4)]
    with Server("--here", "1") as other:
        need(said == again == [words(other.chat("What is %d + 4?" % i, max_tokens=12)) for i in range(4)], (said, again))


def measured():
    out = json.loads(good(GEMMAPIPE, "bench", "--model", DEMO, "--workers", 2, "--replicas", 2, "--pp", 16, "--tg", 4, "--batch", "1,4", "--reps", 1, "--json"))
    need(out["replicas"] == 2 and len(out["stages"]) == 2 and all(len(t["stages"]) == 2 for t in out["tests"]), out)


def planned():
    """What plan shows is what a batch makes; where one pipeline cannot use so many workers it takes replicas."""
    words = ("--replicas", 2, "--sequences", 6, "--ctx", 256)
    plan = json.loads(good(GEMMAPIPE, "plan", "--model", TINY, "--workers", 3, "--json", *words))
    _, _, err = run(*batch("planned", "--workers", 3, "--report", *words))
    need(len(plan["replicas"]) == 2 and all(" plan %s," % p["plan"] in err for p in plan["replicas"]), (plan, err))
    status, _, err = run(GEMMAPIPE, "plan", "--model", TINY, "--workers", 12, "--sequences", 6)
    need(status == 2, err)
    plan = json.loads(good(GEMMAPIPE, "plan", "--model", TINY, "--workers", 12, "--sequences", 6, "--json", "--replicas", "auto"))
    need(len(plan["replicas"]) > 1 and plan["one_pipeline_tokens_s"] == 0, plan)
    one = good(GEMMAPIPE, "plan", "--model", TINY, "--workers", 2, "--replicas", "auto")
    need(b"no number of replicas is faster" in one, one)


def ranks():
    """Under mpirun ranks are shared out as workers are; what one of them cannot be given is told to all."""
    for out, n, ways in (("ranks", 5, ("--replicas", 2)), ("cut_ranks", 5, ("--split", "3,4", "--replicas", 2)), ("auto_ranks", 3, ("--replicas", "auto"))):
        good(*mpirun(n), *batch(out, *ways, "--report-json", path("ranks.json")), timeout=60)
        need(result(out) == one(), "%s: other bytes than of one pipeline" % out)
        with open(path("ranks.json")) as f:
            r = json.load(f)
        need(sum(len(k["stages"]) for k in r.get("replicas", [r])) == n - 1, r)
    status, _, err = run(*mpirun(3), *batch("no", "--replicas", 3), timeout=60)
    need(status != 0 and "3 replicas were asked for, of 2 workers" in err, err)
    status, _, err = run(*mpirun(3), *batch("no", "--replicas", 2, "--memory", "1M"), timeout=60)
    need(status != 0 and err.count("may use 1.00 MiB") == 1, err)


def rank_lost():
    """MPI ends with each of its ranks: the other replica does not go on, and one pipeline of other workers resumes the job."""
    p = start(*mpirun(5), *batch("stands", "--replicas", 2))
    under_way(p, "stands")
    all_ranks = sorted(children_of(p.pid))
    os.kill(all_ranks[3], signal.SIGSTOP)
    status, _, err = wait(p, 60, "a batch that lost a rank")
    need(status == 9 and "worker 3 (process %d on" % all_ranks[3] in err and "is lost:" not in err and "--resume" in err, "%d: %s" % (status, err))
    need(all_gone(all_ranks), "a rank lives on")
    good(*batch("stands", "--workers", 1, "--resume"))
    need(result("stands") == one(), "other bytes after --resume")


def served_by_ranks():
    with Server("--replicas", "2", "--sequences", "2", under=mpirun(3)) as s:
        said = [words(s.chat("What is %d + 4?" % i, max_tokens=12)) for i in (3, 5)]
        need(said == ["3 + 4 = 7.", "5 + 4 = 9."], said)
        need_two_replicas(s)
        s.process.send_signal(signal.SIGUSR1)
        need(s.process.wait(30 * PATIENCE) == 0, "it did not end well")


def refused():
    for ways, said in ((("--here", 2, "--replicas", 2), "one pipeline"), (("--workers", 1, "--replicas", 2), "1 worker"),
                       (("--workers", 4, "--replicas", 2, "--spare", 1), "to spare"), (("--workers", 2, "--replicas", "many"), "auto or a number")):
        status, _, err = run(*batch("no", *ways))
        need(status == 2 and said in err, "%s: %d %s" % (ways, status, err))


claim("a_batch_has_the_same_bytes_whoever_computes_it", same_bytes)
claim("workers_that_listen_elsewhere_are_shared_out", by_address)
claim("pictures_are_shared", pictures)
claim("a_replica_that_lost_a_worker_is_mended_while_others_go_on", mended)
claim("a_replica_that_is_lost_for_good_loses_nothing", lost_for_good)
claim("a_replica_that_may_still_be_mended_is_not_waited_for", is_away)
claim("replicas_have_encrypted_links_too", with_keys)
claim("a_server_with_replicas_answers_as_one_pipeline_does", served)
claim("bench_measures_all_replicas", measured)
claim("replicas_are_planned_as_they_are_made", planned)
claim("what_cannot_be_shared_out_is_refused", refused)
claim("under_mpirun_ranks_are_shared_out", ranks)
claim("a_rank_that_is_lost_ends_all_replicas", rank_lost)
claim("a_server_of_ranks_has_replicas_too", served_by_ranks)
finish()
