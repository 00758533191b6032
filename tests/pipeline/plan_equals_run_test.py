#!/usr/bin/python3
"""`gemmapipe plan` prints exactly the plan that `run` makes of the same words: 30 drawn models and command lines.

A third of them each time, which third by the number of commits; ALL=1 runs them all. The hash `made_from` covers model, offers
and wish, the hash `plan` all that is assigned; the report's table has layers and bytes of every worker beside them.
"""
import json
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "reference"))
from drawn import noise, png
from encoders import F16, make
from relay import *

DRAWS, PARTS = 30, 3


def draw_model(rng, name):
    hidden, heads = rng.choice([64, 96, 160]), rng.choice([1, 2, 4])
    options = ["--size", "tiny", "--layers", rng.randint(3, 14), "--hidden", hidden, "--ffn", 32 * rng.randint(2, 9), "--heads", heads,
               "--kv-heads", rng.choice([h for h in (1, 2, 4) if heads % h == 0]), "--vocab", rng.choice([400, 3000, 20000]),
               "--embd", rng.choice(["q8_0", "f16", "q4_0"]), "--matrix", rng.choice(["q4_0", "q8_0", "f16"]), "--ctx", 512, "--seed", rng.randint(1, 99)]
    return synth(name + ".gguf", *options), hidden


def draw_encoder(rng, name, hidden):
    file, width = path(name + "-mmproj.gguf"), rng.choice([64, 96])
    make(file, (name, rng.randint(3, 7), width, 2 * width, 2, 56, 14, 2, hidden, F16, False), rng.randint(1, 99))
    return file


def draw_split(rng, layers, workers, with_head):
    cuts = sorted(rng.sample(range(1, layers), workers - 1))
    runs = [b - a for a, b in zip([0] + cuts, cuts + [layers])]
    if not with_head:
        return ",".join(map(str, runs))
    marks = sorted(rng.randint(0, 15) for _ in range(workers - 1))
    return ",".join("%d+%d" % (n, b - a) for n, a, b in zip(runs, [0] + marks, marks + [16]))


def layers_of(model):
    return json.loads(good(GEMMAPIPE, "plan", "--model", model, "--json"))["layers"]


def draw_questions(rng, pictures):
    lines = ["hello " * rng.randint(1, 20) for _ in range(rng.randint(1, 20))]
    picture = lambda: png("p%d.png" % rng.randint(1, 4), noise(60, 80, 1))
    options = ["-n", rng.randint(1, 3)]
    if rng.random() < 0.5:
        options += ["--image", picture()] if pictures else []
        return options, [lines[0]]
    if pictures:
        lines[0] = "/image %s %s" % (picture(), lines[0])
    with open(path("prompts"), "w") as f:
        f.write("\n".join(lines) + "\n")
    return options + ["--prompts", path("prompts")], []


def draw_habits(rng):
    options = []
    if rng.random() < 0.3: options += ["--ctx", rng.choice([256, 512])]
    if rng.random() < 0.3: options += ["--sequences", rng.randint(1, 6)]
    if rng.random() < 0.3: options += ["--micro-batch", rng.choice([16, 64])]
    if rng.random() < 0.2: options += ["--in-flight", rng.randint(1, 6)]
    if rng.random() < 0.3: options += ["--threads", rng.randint(1, 3)]
    options += rng.choice([[], [], ["--top-k", 0], ["--top-k", 0, "--temp", 0], ["--top-k", 2000], ["--whole-head"]])
    return options


def draw_sight(rng, workers):
    options = ["--vision-type", "q8_0"] if rng.random() < 0.3 else []
    if workers > 1 and rng.random() < 0.3:
        return options + ["--vision-workers", rng.randint(1, workers - 1)], True
    return options + rng.choice([[], [], ["--vision-split", "layers"], ["--vision-split", "copies"]]), False


def planned(command):
    """The plan, or the status and sentence of its refusal."""
    status, out, err = run(GEMMAPIPE, "plan", *command, "--json")
    return (json.loads(out), "") if not status else (None, "%d %s" % (status, err.splitlines()[-1]))


def holdings(plan, workers):
    """Of each worker layers and bytes as the report shows them."""
    layers, total = ["pictures"] * workers, [0] * workers
    for i, s in enumerate(plan["stages"]):
        layers[i], total[i] = (s["first"], s["end"]), s["total"]
    for w in plan.get("pictures", {}).get("workers", []):
        total[w["number"] - 1] += w["total"]
    return layers, ["%.1f" % (t / 2 ** 20) for t in total]


def reported(err, workers):
    layers, total = [], []
    for line in err.splitlines():
        m = re.match(r"\s+(\d+)  (\S.*?)\s+\S+\s+\d+\s+([\d.]+)\s+(?:[\d.]+\s+)+\d+$", line)
        if not m: continue
        run_of = re.match(r"(\d+)-(\d+)", m.group(2))
        layers.append((int(run_of.group(1)), int(run_of.group(2)) + 1) if run_of else m.group(2))
        total.append(m.group(3))
    hashes = re.search(r"plan ([0-9a-f]{16}), made from ([0-9a-f]{16})", err)
    need(hashes and len(layers) == workers, "no table for %d workers: %s" % (workers, err))
    return hashes.groups(), layers, total


def compare(command, workers, show):
    """Plan and run of one command line; True if both made a plan."""
    plan, refusal = planned(command)
    status, _, err = run(GEMMAPIPE, "run", *command, "--report")
    if not plan:
        words = lambda text: re.sub(r"worker (\d+) \([^)]*\)", r"worker \1", text.strip())  # a plan knows no names
        need(words("%d %s" % (status, err.splitlines()[-1])) == words(refusal), "%s\n  plan: %s\n  run: %d %s" % (show, refusal, status, err))
        return False
    need(status == 0, "%s: planned, but the run ended with %d: %s" % (show, status, err))
    layers, total = holdings(plan, workers)
    hashes, layers_run, total_run = reported(err, workers)
    need(hashes == (plan["plan"], plan["made_from"]), "%s: hashes %r and %r" % (show, (plan["plan"], plan["made_from"]), hashes))
    heads_only = [a == b or (a != "pictures" and a[0] == a[1]) for a, b in zip(layers, layers_run)]
    need(all(heads_only) and total == total_run, "%s: %r %r and %r %r" % (show, layers, total, layers_run, total_run))
    return True


def draw_memory(rng, command, workers, machines):
    """Limits about what a plan without any takes: some bind, some are too small."""
    if rng.random() < 0.4 and not machines: return []
    plan, _ = planned(command)
    if not plan: return ["--memory", "1G"] if machines else []
    factor = lambda: rng.choice([0.9, 1.05, 1.3, 3] if rng.random() < 0.7 else [0.97, 1.0, 1.02])
    return ["--memory", ",".join(str(int(float(t) * 2 ** 20 * factor() + 2 ** 17)) for t in holdings(plan, workers)[1])]


def equal(number):
    rng = random.Random(number)
    pictures, way = number % 2 == 1, rng.choice(["--workers", "--here", "--split", "--connect"])
    model, hidden = draw_model(rng, "m%d" % number)
    layers, workers = layers_of(model), rng.randint(1, 4)
    workers = min(workers, layers)
    questions, prompt = draw_questions(rng, pictures)
    command, apart = ["--model", model, *questions, *draw_habits(rng)], False
    if pictures:
        sight, apart = draw_sight(rng, workers)
        command += ["--mmproj", draw_encoder(rng, "m%d" % number, hidden), *sight]
    if way == "--split":
        if apart: way = "--workers"
        else: command += ["--split", draw_split(rng, layers, workers, rng.random() < 0.5 and "--whole-head" not in command)]
    if way == "--connect":
        if "--threads" not in command: command += ["--threads", 1]
        memory = draw_memory(rng, [*command, "--workers", workers, *prompt], workers, True)
        with Workers(workers) as w:
            return compare([*command, *memory, *w.connect, *prompt], workers, " ".join(map(str, [*command, *memory, *prompt])))
    if way != "--split": command += [way, workers]
    memory = draw_memory(rng, [*command, *prompt], workers, False)
    return compare([*command, *memory, *prompt], workers, " ".join(map(str, [*command, *memory, *prompt])))


def commits():
    out = subprocess.run(["git", "-C", ROOT, "rev-list", "--count", "HEAD"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return int(out or 0)


def drawn_plans():
    part = commits() % PARTS
    chosen = [n for n in range(DRAWS) if os.environ.get("ALL") == "1" or n % PARTS == part]
    made = sum(bool(equal(n)) for n in chosen)
    need(made >= len(chosen) // 3, "only %d of %d could be planned" % (made, len(chosen)))
    return "%d of %d drawn command lines, part %d of %d by the number of commits; %d planned, else refused in the same words" % (
        len(chosen), DRAWS, part + 1, PARTS, made)


def too_large_for_this_machine():
    """A plan may be for larger machines than the one that makes it, and then says so; a run is refused."""
    model = synth("long.gguf", "--size", "tiny", "--ctx", "1000000")
    command = ["--model", model, "--workers", 3, "--ctx", 1000000, "--sequences", 512, "--kv-positions", 512000000]
    out = good(GEMMAPIPE, "plan", *command).decode()
    need("on machines of their own" in out and "GiB are missing" in out, out)
    status, _, err = run(GEMMAPIPE, "run", *command, "hello")
    need(status == 4 and "GiB are missing" in err, err)


def kept():
    return [os.path.join(folder, f) for folder, _, files in os.walk(os.environ["XDG_CACHE_HOME"]) for f in files if f.endswith(".speed")]


def measured():
    """What `plan --probe` finds out is kept, and a plan and a run follow from it alike. A run of workers found by address that knows nothing
    measures by itself, in no more time than it was given; one of equal workers here is not held up by it. No bit depends on it. What is
    damaged is left aside, with a word."""
    command = ["--model", DEMO, "--workers", 3, "--threads", 1, "--fingerprint", "--temp", 0, "-n", 4]
    nominal = good(GEMMAPIPE, "run", *command, "hello")
    os.environ["GEMMAPIPE_NO_PROBE"] = ""
    try:
        status, _, err = run(GEMMAPIPE, "run", *command, "hello")
        need(status == 0 and "measuring" not in err and not kept(), err)
        status, out, err = run(GEMMAPIPE, "plan", "--model", DEMO, "--workers", 3, "--threads", 1, "--probe")
        need(status == 0 and "measuring how fast the workers are" in err and "speeds as they were measured 0 minutes ago" in out.decode(), err)
        need("measuring how fast the worker is" in err or len(os.sched_getaffinity(0)) < 2, "one process was not measured beside them: " + err)
        need(compare([*command, "hello"], 3, "known"), "no plan")
        need(good(GEMMAPIPE, "run", *command, "hello") == nominal, "measuring changed the answer or its fingerprint")
        status, _, err = run(GEMMAPIPE, "run", *command, "--report", "--report-json", path("report"), "hello")
        need(status == 0 and "ms a row: expected" in err and "the largest difference: " in err, err)
        with open(path("report")) as f: expected = json.load(f)["expected"]
        need(expected["elapsed_time"] > 0 and len(expected["stages"]) == 3 and expected["difference"], expected)
        for name in kept():
            with open(name, "r+") as f: f.truncate(100)
        status, _, err = run(GEMMAPIPE, "run", *command, "hello")
        need(status == 0 and "is left aside" in err, err)
        with Workers(2) as w:
            for _ in range(9):  # on a machine that is busy half a second may be over before the ways are measured
                for name in kept(): os.unlink(name)
                status, _, err = run(GEMMAPIPE, "run", "--model", DEMO, *w.connect, "--temp", 0, "-n", 2, "hello")
                need(status == 0 and "measuring how fast the workers are, for 0.5 s" in err, err)
                if [len(json.load(open(f))["ways"]) for f in kept()] == [1, 1]: break
            need([len(json.load(open(f))["ways"]) for f in kept()] == [1, 1], "the ways between the two workers are not known")
            out = good(GEMMAPIPE, "plan", "--model", DEMO, *w.connect).decode()
            need("speeds as they were measured 0 minutes ago" in out, out)
            need(compare(["--model", DEMO, *w.connect, "-n", 2, "hello"], 2, "connected"), "no plan")
    finally:
        os.environ["GEMMAPIPE_NO_PROBE"] = "1"


def given_speed(file, milliseconds):
    """As if it had been measured: so long for a row and layer, as long for each of more."""
    with open(file) as f: known = json.load(f)
    known.update(busy=0, derived=0, key=0, piece_key=0, layer=[[n, 1e-3 * milliseconds * n] for n in (1, 128)], head_part=[[n, 1e-4 * milliseconds * n] for n in (1, 16)])
    known["to"] = known["from"] = [1e-5, 1e9]
    with open(file, "w") as f: json.dump(known, f)


def recommended():
    """One process where it is faster by the speeds that are known, workers or replicas where these are: in the plan and in the report of a run. Two workers
    compute half of the layers each, so side by side they are as fast as one process of half their time a layer."""
    if len(os.sched_getaffinity(0)) < 2: return "one core: a worker has as many threads as one process"
    os.environ.update(GEMMAPIPE_NO_PROBE="", XDG_CACHE_HOME=path("speeds"))
    of, ask = ["--model", DEMO, "--workers", 2, "--threads", 1], ["-n", 2, "hi"]
    try:
        for _ in range(9):
            if len(kept()) < 2: good(GEMMAPIPE, "plan", *of, "--probe")
        files = {int(os.path.basename(f).split("-")[1]): f for f in kept()}
        need(sorted(files) == [1, 2], "measured: %r" % files)
        for one, best in ((0.2, "one process of 2 threads (no --workers) is recommended"), (3, "2 workers are recommended")):
            given_speed(files[1], 1), given_speed(files[2], one)
            said = "".join(run(GEMMAPIPE, "plan", *of, *ask)[1].decode() + run(GEMMAPIPE, "run", *of, "--report", *ask)[2])
            need(said.count(best) == 2, "by %g ms a layer of one process: %s" % (one, said))
            given_speed(files[1], 1), given_speed(files[2], one)  # a run refines what is known
            jobs = [{"prompt": "hi", "max_tokens": 2}] * 4
            with open(path("jobs"), "w") as f: f.writelines(json.dumps(j) + "\n" for j in jobs)
            _, _, said = run(GEMMAPIPE, "batch", *of, "--replicas", 2, "--in", path("jobs"), "--out", path("out"), "--overwrite", "--report")
            need(best.replace("2 workers", "2 replicas") in said, said)
        with open(files[2]) as f: busy = dict(json.load(f), busy=1)
        with open(files[2], "w") as f: json.dump(busy, f)
        need("recommended" not in good(GEMMAPIPE, "plan", *of, *ask).decode(), "something is recommended by what was measured while others computed")
        need("recommended" not in good(GEMMAPIPE, "plan", *of, "--memory", "1G", *ask).decode(), "one process is recommended where each worker has memory of its own")
    finally:
        os.environ.update(GEMMAPIPE_NO_PROBE="1", XDG_CACHE_HOME=path("cache"))


claim("one_process_or_replicas_are_recommended_where_speeds_say_so", recommended)
claim("measured_speeds_are_kept_and_change_no_bit", measured)
claim("a_plan_is_what_a_run_with_the_same_words_makes", drawn_plans)
claim("a_plan_too_large_for_this_machine_says_so", too_large_for_this_machine)
finish()
