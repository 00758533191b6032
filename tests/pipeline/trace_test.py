#!/usr/bin/python3
"""The trace of a run with pictures: it holds everything that was computed once, in an order that can be, and shows stages of
the encoder at the next picture while earlier ones are already text. Only the order of events is looked at, no duration:
the processes of one machine share one clock.
"""
import collections
import json
import os
import signal
import sys
import time
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "reference"))
from drawn import ENCODER, noise, png, scenes
from encoders import F16, make
from relay import *

SEES = ["--model", DEMO, "--mmproj", ENCODER, "--quiet", "--temp", "0"]
PICTURES, LAYERS = 12, 4
FILES = scenes(PICTURES, 5)


def questions():
    """A file of prompts: each about its own picture, then one about none."""
    lines = ["/image %s Describe the picture." % p for p in FILES]
    with open(path("questions"), "w") as f:
        f.write("\n".join(lines + ["What is 12 + 9?"]) + "\n")
    return path("questions")


QUESTIONS = questions()


class Trace:
    def __init__(self, name, *way):
        self.out = good(*way, "--prompts", QUESTIONS, "-n", "6", "--trace", path(name))
        with open(path(name)) as f:
            events = json.load(f)["traceEvents"]
        self.at = {(e["ph"], e["cat"], e["id"]): e for e in events if e["ph"] in "be"}
        self.seen, self.text = collections.defaultdict(list), collections.defaultdict(list)
        for e in events:
            if e["ph"] == "X":
                of = (self.seen if e["cat"] == "picture" else self.text)[e["pid"]]
                of.append((e["ts"], e["ts"] + e["dur"], e["args"][e["cat"]], e["args"].get("layers") or e["args"].get("rows")))
        self.batches = collections.defaultdict(list)  # of a request
        for (ph, cat, n), e in self.at.items():
            if ph == "b" and cat == "batch":
                for part in e["args"]["of"]:
                    self.batches[part["request"]].append(n)


def whole(name, stages, way):
    t = Trace(name, *way)
    need(t.out == good(GEMMAPIPE, "run", *SEES, "--prompts", QUESTIONS, "-n", "6"), "the answers differ")
    for kind in ("request", "picture", "batch"):
        begun, ended = (sorted(n for ph, cat, n in t.at if (ph, cat) == (p, kind)) for p in "be")
        need(begun and begun == ended, "%s: %d begin, %d end" % (kind, len(begun), len(ended)))
    for node in range(1, stages + 1):
        line = sorted(t.seen[node] + t.text[node])
        need(all(a[1] <= b[0] for a, b in zip(line, line[1:])), "worker %d did two things at once" % node)
        numbers = [b for _, _, b, _ in t.text[node]]
        need(sorted(numbers) == sorted(set(numbers)) == sorted(n for ph, cat, n in t.at if (ph, cat) == ("b", "batch")), "worker %d: micro-batches" % node)
    for p in range(PICTURES):
        layers, end = 0, t.at["b", "picture", p]["ts"]
        for node in range(1, stages + 1):
            parts = [s for s in t.seen[node] if s[2] == p]
            if not parts:
                continue
            layers += sum(s[3] for s in parts)
            need(parts[0][0] >= end, "picture %d reached worker %d before it left the last" % (p, node))
            end = parts[-1][1]
        need(layers == LAYERS and end <= t.at["e", "picture", p]["ts"], "picture %d: %d layers" % (p, layers))
    return t


def overlap(t):
    """Pairs of (request, picture of a later one) where the picture is begun at a stage before the request's last text is done."""
    found = 0
    for k in range(PICTURES - 1):
        mine, next_one = (t.at["b", "request", r]["args"]["pictures"][0] for r in (k, k + 1))
        done = max(end for node in t.text for _, end, b, _ in t.text[node] if b in t.batches[k])
        begun = min(begin for node in t.seen for begin, _, p, _ in t.seen[node] if p == next_one)
        found += begun < done and t.at["e", "picture", mine]["ts"] < done
    return found


def overlapping(name, stages, *way):
    t = whole(name, stages, way)
    n = overlap(t)
    need(n > 0, "no picture was in the encoder while the one before it was in the text")
    blind = PICTURES  # the request without a picture
    last = max(t.at["e", "picture", p]["ts"] for p in range(PICTURES))
    need(t.at["b", "batch", t.batches[blind][0]]["ts"] < last, "a question without a picture waited for all pictures of others")
    stages = {node for node in t.seen for _, _, p, _ in t.seen[node]}
    return "%d of %d pictures; the encoder on %d workers" % (n, PICTURES - 1, len(stages))


def in_turn(name, workers, *way):
    t = whole(name, workers, way)
    at = [{node for node in t.seen for s in t.seen[node] if s[2] == p} for p in range(PICTURES)]
    need(all(len(a) == 1 and a == {t.at["b", "picture", p]["args"]["to"]} for p, a in enumerate(at)), "a picture at several workers: %r" % at)
    counts = [sum(node in a for a in at) for node in range(1, workers + 1)]
    need(min(counts) >= 2, "pictures per worker: %r" % counts)
    return "pictures per worker: %r" % counts


def set_apart(name, workers, apart, *way):
    t = Trace(name, *way)
    text, see = ({node for node in d if d[node]} for d in (t.text, t.seen))
    need(text == set(range(1, workers - apart + 1)) and see == set(range(workers - apart + 1, workers + 1)), "text on %r, pictures on %r" % (text, see))
    need(overlap(t) > 0, "no overlap")
    return "%d of %d pictures" % (overlap(t), PICTURES - 1)


def memory_decides():
    way = [*RUN, "--workers", "3", "--verbose"]
    plan = lambda *more: good(GEMMAPIPE, "plan", "--model", DEMO, "--mmproj", ENCODER, "--workers", "3", "--sequences", "8", *more).decode()
    need("the whole encoder on each of 3 of 3" in plan("--memory", "64M"), plan("--memory", "64M"))
    need("split over 3 of 3" in plan() and "split over 3 of 3" in plan("--memory", "64M", "--vision-split", "layers"), plan())
    t = Trace("chosen.json", *way, "--memory", "64M")
    need(len({t.at["b", "picture", p]["args"]["to"] for p in range(PICTURES)}) == 3, "no copies in spite of memory for them")
    t = Trace("plain.json", *way)
    need(len({t.at["b", "picture", p]["args"]["to"] for p in range(PICTURES)}) == 1, "copies where nobody spoke of memory")


def shared_batches():
    """Six questions about one picture and two about none are ready at once: their rows travel together, the picture's in one piece."""
    said = "<bos><start_of_turn>user\n\n\n<start_of_image>" + "<image_soft_token>" * 16
    ids = [int(i) for i in good(GEMMAPIPE, "tokenize", "--model", DEMO, "--special", stdin=said.encode()).split()]
    first, end = len(ids) - 16, len(ids)
    with open(path("same"), "w") as f:
        f.write(("/image %s Where is it?\n" % FILES[0]) * 6 + "What is 3 + 4?\n" * 2)
    shared = 0
    for rows in ("20", "40", "256"):
        good(*RUN, "--workers", 2, "--prompts", path("same"), "-n", "2", "--micro-batch", rows, "--trace", path("same.json"))
        sent = [e["args"]["of"] for e in json.load(open(path("same.json")))["traceEvents"] if e["ph"] == "b" and e["cat"] == "batch"]
        for of in sent:
            whole = 0
            for part in (p for p in of if p["request"] < 6):
                a, b = part["position"], part["position"] + part["rows"]
                need(not first < a < end and not first < b < end, "a picture's rows %d-%d are cut: %r" % (first, end, part))
                whole += a <= first and b >= end
            shared += whole > 0 and len(of) > 1
    need(shared > 0, "no micro-batch holds a picture and rows of another request")
    return "%d micro-batches with a picture and others' rows" % shared


def lost_while_seeing():
    """An encoder slow enough that all pictures are on their way when a worker is killed."""
    text, sight = synth("wide.gguf", "--size", "tiny"), path("slow.gguf")
    make(sight, ("slow", 6, 256, 1024, 4, 672, 14, 4, 256, F16, False), 1)
    files = [x for i in range(6) for x in ("--image", png("slow%d.png" % i, noise(672, 672, i)))]
    for split in ("layers", "copies"):
        p = start(GEMMAPIPE, "run", "--model", text, "--mmproj", sight, "--quiet", "--wait-for-workers", 0, "--workers", 2, "--threads", 1, "--vision-split", split, *files, "hi")
        end = time.time() + 20 * PATIENCE
        while sum(processor_seconds(k) > 0.3 for k in children_of(p.pid)) < 2:
            need(time.time() < end and p.poll() is None, "no pictures under way")
            time.sleep(0.02)
        kids = children_of(p.pid)
        victim = max(kids)
        os.kill(victim, signal.SIGKILL)
        status, out, err = wait(p, 10, "a run that lost a worker")
        need(status == 7 and "process %d" % victim in err and len(err.splitlines()) == 1, "status %d: %s" % (status, err))
        need(all_gone(kids), "workers are left")


def reported():
    _, _, err = run(GEMMAPIPE, "run", *SEES, "--prompts", QUESTIONS, "-n", "3", "--workers", "3", "--report")
    rows = [l.split() for l in err.split("% of its busy time", 1)[1].splitlines()[1:4]]
    need([r[0] for r in rows] == ["1", "2", "3"] and all(r[-3] == str(PICTURES) for r in rows), repr(rows))
    need("another stage saw another picture" in err, err)
    _, _, err = run(GEMMAPIPE, "embed-image", "--mmproj", ENCODER, "--image", FILES[0], "--out", path("r"), "--workers", "6", "--report", "--trace", path("e"))
    need("projector" in err and "for 0 % another stage computed text" in err, err)
    need(len(json.load(open(path("e")))["traceEvents"]) > 6, "an empty trace")


def no_trace_of_a_failure():
    status, _, err = run(GEMMAPIPE, "run", *SEES, "--trace", path("failed"), "--image", path("none.png"), "hi")
    need(status == 3, err)
    need(not [f for f in os.listdir(FOLDER) if f.startswith("failed")], "a run that failed left a trace")
    status, _, err = run(GEMMAPIPE, "run", *SEES, "--trace", path("no/such/folder"), "hi")
    need(status == 3 and "no/such/folder" in err, err)


def drawn():
    """The picture of a run: every micro-batch of every stage is in it once, and so is every picture."""
    t, out = Trace("drawn.json", *RUN, "--workers", "3", "--timeline", path("drawn.svg")), open(path("drawn.svg")).read()
    root = xml.etree.ElementTree.fromstring(out)
    bars = [g[0].text for g in root.iter("{http://www.w3.org/2000/svg}g")]
    need(sum(len(v) for v in t.text.values()) >= sum(" in micro-batch " in b for b in bars) > 10, "%d bars" % len(bars))
    need(sum(b.startswith("picture ") for b in bars) > PICTURES, "few pictures")
    need(out.count("busy ") == 3 and "measured: 3 stages" in out, "a stage is missing")
    need("predicted" not in out, "something was predicted of workers that nobody measured")
    os.environ.update(XDG_CACHE_HOME=path("cache"), GEMMAPIPE_NO_PROBE="")
    good(GEMMAPIPE, "plan", "--model", DEMO, "--workers", "2", "--probe")
    good(GEMMAPIPE, "run", "--model", DEMO, "--workers", "2", "--quiet", "-n", "4", "--timeline", path("both.svg"), "hi")
    os.environ["GEMMAPIPE_NO_PROBE"] = "1"
    titles = [t.text for t in xml.etree.ElementTree.parse(path("both.svg")).iter("{http://www.w3.org/2000/svg}text") if t.get("class") == "t"]
    need(len(titles) == 2 and titles[0].startswith("predicted: 2 stages") and titles[1].startswith("measured: 2 stages"), repr(titles))
    status, _, err = run(*RUN, "--timeline", "-", "hi")
    need(status == 2 and "--timeline wants the name of a file" in err, err)


def of_replicas():
    """One picture and one trace: each micro-batch is at the workers of one replica, under a number that no other has; each ask has its own colour."""
    with open(path("lines.jsonl"), "w") as f:
        f.writelines(json.dumps({"prompt": "once upon a time %d" % i, "max_tokens": 9, "ignore_eos": True}) + "\n" for i in range(12))
    good(GEMMAPIPE, "batch", "--model", DEMO, "--quiet", "--in", path("lines.jsonl"), "--out", path("lines.out"), "--workers", 2, "--replicas", 2, "--sequences", 4,
         "--trace", path("two.json"), "--timeline", path("two.svg"))
    with open(path("two.json")) as f: events = json.load(f)["traceEvents"]
    begun = [(e["cat"], e["id"]) for e in events if e["ph"] == "b"]
    need(sorted(begun) == sorted((e["cat"], e["id"]) for e in events if e["ph"] == "e") and len(set(begun)) == len(begun), "what began is not what ended, once each")
    need([n for kind, n in begun if kind == "request"] == list(range(12)), "requests: %r" % begun)
    names = {e["pid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    spans = [(e["pid"], e["args"]["batch"]) for e in events if e["ph"] == "X"]
    need(set(names) == {0, 1, 1002} and {p for p, _ in spans} == {1, 1002} and names[1002].startswith("replica 2, "), "processes %r" % names)
    need(sorted(n + 10 ** 12 * (p > 1000) for p, n in spans) == sorted(n for kind, n in begun if kind == "batch"), "micro-batches that were sent are not those computed")
    with open(path("two.svg")) as f: picture = f.read()
    xml.etree.ElementTree.fromstring(picture)
    need("measured: 2 stages in 2 replicas" in picture and "replica 1, 1 " in picture and "replica 2, 1 " in picture and "12 asks, 108 tokens" in picture, picture[:3000])
    need(sum('class="h%d"' % hue in picture for hue in range(12)) > 1, "asks of two replicas have one colour")


RUN = [GEMMAPIPE, "run", *SEES, "--sequences", "8"]
claim("pictures_overlap_with_text_of_earlier_ones_local", overlapping, "local.json", 3, *RUN, "--workers", "3")
claim("pictures_overlap_with_text_of_earlier_ones_mpi", overlapping, "mpi.json", 2, *mpirun(3), *RUN)
claim("pictures_overlap_when_one_worker_sees", overlapping, "one.json", 3, *RUN, "--workers", "3", "--vision-split", "0,4,0")
claim("pictures_go_to_copies_in_turn_local", in_turn, "copies.json", 3, *RUN, "--workers", "3", "--vision-split", "copies")
claim("pictures_go_to_copies_in_turn_mpi", in_turn, "copies-mpi.json", 2, *mpirun(3), *RUN, "--vision-split", "copies")
claim("workers_for_pictures_alone_compute_no_text", set_apart, "apart.json", 4, 2, *RUN, "--workers", "4", "--vision-workers", "2")
claim("memory_decides_between_split_and_copies", memory_decides)
claim("a_picture_shares_its_micro_batch_and_is_never_cut", shared_batches)
claim("a_worker_lost_while_pictures_are_seen_is_named", lost_while_seeing)
claim("the_report_tells_of_pictures", reported)
claim("a_picture_of_the_run_shows_what_every_stage_did", drawn)
claim("replicas_share_a_picture_and_a_trace", of_replicas)
claim("a_run_that_fails_leaves_no_trace", no_trace_of_a_failure)
finish()
