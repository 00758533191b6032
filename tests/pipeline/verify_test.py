#!/usr/bin/python3
"""Workers that compute wrongly, because a test has changed something in their memory, are named by --verify and put aside."""
import json
import http.client
import struct
import subprocess
import threading

from relay import *
from served import Server, chat, until

SUMS = path("sums.txt")
with open(SUMS, "w") as f:
    f.writelines("What is %d + %d?\n" % (i, i + 3) for i in range(1, 9))


def sums(*options):
    return run(GEMMAPIPE, "run", "--model", DEMO, "--temp", 0, "--fingerprint", "--prompts", SUMS, *options)


RIGHT = sums("--here", 1)[1]


# ---- the memory of a worker ----

def memory_of(pid, wanted):
    """(address, bytes) of each mapping of which this is so."""
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            begin, end = (int(x, 16) for x in line.split()[0].split("-"))
            if wanted(line, end - begin):
                mem.seek(begin)
                yield begin, mem.read(end - begin)


def own_memory(pid):
    """What the process may write to; a sanitizer's own tables, which are mostly holes, are larger."""
    return memory_of(pid, lambda line, n: line.split()[1] == "rw-p" and n < 1 << 30)


def program(pid):
    name = os.path.basename(WORKER) + (".elf" if EMULATED else "")  # what an emulator was given (Makefile)
    return memory_of(pid, lambda line, n: line.rstrip().endswith(name) and line.split()[1][1] != "w")


def places(pid, pattern, memory=own_memory):
    found = []
    for begin, held in memory(pid):
        at = held.find(pattern)
        while at >= 0:
            found.append(begin + at)
            at = held.find(pattern, at + 1)
    return found


def places_of_a_norm(pid):
    """Some of it, wherever it is, as what was sent may lie around: norms are in memory as in the file."""
    with open(DEMO, "rb") as f:
        model = f.read()
    rows = {model[i:i + 64] for i in range(0, len(model), 32)}
    for begin, held in own_memory(pid):
        for i in range(0, len(held), 64):
            if held[i:i + 64] in rows and all(0.01 < abs(x) < 100 for x in struct.unpack("<16f", held[i:i + 64])):
                return places(pid, held[i:i + 64])
    raise Failed("no norm was found in the worker's memory")


def put(pid, where, value):
    with open("/proc/%d/mem" % pid, "r+b", 0) as mem:
        for at in where:
            mem.seek(at)
            mem.write(value)


def compute_wrongly(pid):
    """From now on in every layer, as a broken processor: a number of the program's own is another one for this process alone."""
    where = places(pid, GELU, program)
    need(where, "the worker's program has no such number")
    put(pid, where, OTHER_GELU)


def may_look_into_others():
    try:
        p = subprocess.Popen(["sleep", "5"])
        open("/proc/%d/mem" % p.pid, "r+b").close()
        return True
    except OSError:
        return False
    finally:
        p.kill()
        p.wait()


GELU, OTHER_GELU = struct.pack("<f", float.fromhex("-0x1.2444f2p-4")), struct.pack("<f", -0.05)
EPSILON, OTHER_EPSILON = struct.pack("<f", 1e-6), struct.pack("<f", 1e-2)


# ---- claims ----

def nothing_found():
    for options in (["--workers", 3], ["--here", 2, "--lookup"], ["--here", 2, "--wire", "bf16"]):
        right = sums(*options)[1]
        status, out, err = sums(*options, "--verify", 1)
        need(status == 0 and out == right, "%s: another answer: %s" % (options, err))
        need("verified: 8 answers" in err and " 0 times a worker was wrong" in err, err)
    seen = ["run", "--model", DEMO, "--mmproj", os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf"), "--here", 2, "--temp", 0,
            "--image", os.path.join(ROOT, "models/demo/picture.png"), "Describe the picture."]
    status, out, err = run(GEMMAPIPE, *seen, "--verify", 1)
    need(status == 0 and out == good(GEMMAPIPE, *seen) and "verified: 1 answer was" in err, "a picture: %s" % err)


def layers_move():
    """What the layers' other places cost shows in nothing that is said."""
    with Workers(3) as w:
        status, out, err = sums(*w.connect, "--verify", 2)
        need(status == 0 and out == RIGHT and "layers move to other workers" in err, err)
        need("verified: 4 answers" in err and " 0 times a worker was wrong" in err, err)
    err = run(GEMMAPIPE, "run", "--model", DEMO, "--workers", 2, "--ctx", 512, "--memory", "17200K,16600K", "--split", "6,2", "--verify", 1, "Hello")[2]
    need("some stay where they are" in err and "verified: 1 answer was" in err, err)
    need("cannot move to other workers" in sums("--here", 2, "--verify", 8)[2], "threads of one process are no others")


def always_wrong():
    with Workers(3) as w:
        need(sums(*w.connect)[1] == RIGHT, "the first run")
        compute_wrongly(w.processes[1].pid)
        status, out, err = sums(*w.connect, "--verify", 4)
        found = [line for line in err.splitlines() if "otherwise than when it was computed again" in line]
        need(status == 0 and out != RIGHT and found and all(w.addresses[1] in line for line in found), err)
        need(" 0 times a worker was wrong" not in err, err)
    with Workers(2) as w:
        need(sums(*w.connect)[1] == RIGHT, "the first run of two")
        compute_wrongly(w.processes[1].pid)
        status, _, err = sums(*w.connect, "--verify", 4)
        found = [line for line in err.splitlines() if "one of them computes wrongly" in line]
        need(status == 0 and len(found) == 1 and all(a in found[0] for a in w.addresses), err)
        need(" 0 times a worker was wrong" in err, err)


def two_replicas():
    def numbers(server):
        metrics = server.ask("/metrics")[2].decode()
        return [int(line.split()[-1]) for name in ("answers_verified", "weights_verified", "workers_wrong")
                for line in metrics.splitlines() if line.startswith("gemmapipe_%s_total{" % name)]
    with Workers(2) as w, Server("--replicas", 2, *w.connect, "--verify", 1, "--no-prefix-reuse") as s:
        for _ in range(3):
            s.chat("What is 4 + 5?")
        until(lambda: numbers(s)[0] >= 3)  # one that is being compared when the fault begins would tell whose it is
        need(numbers(s)[1] >= 4 and numbers(s)[2] == 0, numbers(s))
        compute_wrongly(w.processes[1].pid)
        s.chat("What is 5 + 5?")
        line = told(s, "one of them computes wrongly")
        need(all(a in line for a in w.addresses), line)
        need(numbers(s)[2] == 0, numbers(s))


def said_once():
    jobs, done = path("jobs.jsonl"), path("done.jsonl")
    with open(jobs, "w") as f:
        f.writelines(json.dumps({"prompt": "What is %d + 3?" % i}) + "\n" for i in range(1, 9))
    status, _, err = run(GEMMAPIPE, "batch", "--model", DEMO, "--workers", 2, "--in", jobs, "--out", done, "--verify", 4)
    need(status == 0 and err.count("verified:") == 1 and "verified: 2 answers" in err, err)


def damaged_weights():
    with Workers(2) as w:
        need(sums(*w.connect, "--split", "4,4")[1] == RIGHT, "the first run")
        pid = w.processes[1].pid
        put(pid, [at + 3 for at in places_of_a_norm(pid)], b"\x44")  # a float of some hundreds
        need(sums(*w.connect, "--split", "4,4")[1] != RIGHT, "the fault changes nothing")
        status, out, err = sums(*w.connect, "--split", "4,4", "--verify", 4)
        need(status == 0 and out == RIGHT, "wrong answers: %s" % err)
        need("worker 2" in err and "is not in its memory as it was loaded" in err and "1 times a worker was wrong" in err, err)
        need(sums(*w.connect, "--split", "4,4")[1] == RIGHT, "the damage is still there")


def told(server, words, seconds=20):
    """Reads what the server says until it says this."""
    said = []
    timer = threading.Timer(seconds * PATIENCE, server.process.kill)
    timer.start()
    for line in server.process.stderr:
        said.append(line.decode())
        if words in said[-1]:
            timer.cancel()
            return said[-1]
    raise Failed("it did not say \"%s\": %s" % (words, "".join(said)))


def a_replica_is_wrong():
    right = None
    with Workers(3) as w, Server("--replicas", 3, *w.connect, "--verify", 1) as s:
        right = s.chat("What is 4 + 5?")["choices"][0]["message"]["content"]
        pid = w.processes[1].pid
        put(pid, places(pid, EPSILON), OTHER_EPSILON)
        for _ in range(6):
            s.chat("What is 4 + 5?", max_tokens=8)
        line = told(s, "otherwise than when it was computed again")
        need("worker" in line and w.addresses[1] in line, line)
        for _ in range(4):
            need(s.chat("What is 4 + 5?")["choices"][0]["message"]["content"] == right, "another answer afterwards")
        metrics = s.ask("/metrics")[2].decode()
        need('gemmapipe_workers_wrong_total{model_name="demo-q4_0"} 1' in metrics, metrics[-600:])


def a_fault_that_passes():
    with Workers(1) as w, Server(*w.connect, "--verify", 1) as s:
        right = s.chat("What is 4 + 5?")
        pid = w.processes[0].pid
        where = places(pid, EPSILON)
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60 * PATIENCE)
        c.request("POST", "/v1/chat/completions", json.dumps(chat("Tell me more.", stream=True, ignore_eos=True, max_tokens=400)))
        r = c.getresponse()
        for _ in range(20):
            r.readline()
        put(pid, where, OTHER_EPSILON)
        r.read()
        need("computed layer 0 of row" in told(s, "otherwise than when it was computed again"), "another row")
        need(s.chat("What is 4 + 5?")["choices"] == right["choices"], "another answer afterwards")


claim("answers_are_compared_and_stay_as_they_are", nothing_found)
claim("what_was_found_is_said_once", said_once)
claim("layers_move_and_answers_stay_as_they_are", layers_move)
if may_look_into_others():
    claim("who_always_computes_wrongly_is_named_where_a_third_can_tell_and_both_are_where_none_can", always_wrong)
    claim("of_two_replicas_that_differ_both_are_named_and_counted", two_replicas)
    claim("a_worker_whose_weights_changed_in_memory_is_named_and_loads_them_anew", damaged_weights)
    claim("of_three_replicas_the_one_that_computes_otherwise_is_put_aside", a_replica_is_wrong)
    claim("alone_a_fault_that_comes_in_the_middle_is_found", a_fault_that_passes)
else:
    print("skip faults_are_found: this user may not look into other processes")
finish()
