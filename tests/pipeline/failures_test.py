#!/usr/bin/python3
# turn: 0 (tests/run)
"""What goes wrong, and is not to be mended, ends soon, with one sentence that says what and where, and leaves no process behind."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

ENCODER = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")
MODEL = synth("tiny.gguf", "--size", "tiny", "--seed", 3)
LONG = ["--raw", "-n", "3000", "--temp", "0", "--ctx", "4096", "--quiet", "--wait-for-workers", "0"]  # a loss is the end: what else it can be, see recovery_test.py


def refused(status, words, *command, **more):
    got, out, err = run(*command, **more)
    need(got == status, "status %d instead of %d: %s" % (got, status, err))
    lines = [l for l in err.splitlines() if l.strip()]
    need(len(lines) >= 1, "nothing was said")
    for w in words if isinstance(words, tuple) else (words,):
        need(w in err, "\"%s\" is not in: %s" % (w, err))
    need("-----" in err or len(lines) == 1, "more than one sentence: %s" % err)  # mpirun adds a banner of its own


def damaged(name, change):
    out = path(name)
    data = bytearray(open(MODEL, "rb").read())
    data = change(data)
    open(out, "wb").write(data)
    return out


def bad_files():
    refused(3, "cannot open", GEMMAPIPE, "run", "--model", path("none.gguf"), "hi")
    for name, change, words in (
            ("short.gguf", lambda d: d[:len(d) // 2], "short.gguf"),
            ("magic.gguf", lambda d: b"NOPE" + d[4:], "magic.gguf"),
            ("counts.gguf", lambda d: d[:8] + b"\xff" * 16 + d[24:], "counts.gguf"),
            ("empty.gguf", lambda d: b"", "empty.gguf")):
        bad = damaged(name, change)
        for way in ([], ["--workers", "2"]):
            refused(3, words, GEMMAPIPE, "run", "--model", bad, *way, "hi")


def foreign_words():
    """Bytes that move a terminal, in file names, in a picture and in arguments, do not reach it."""
    name = path("a\x1b[2J\u202e\x9b.png")
    with open(os.path.join(ROOT, "models/demo/picture.png"), "rb") as f, open(name, "wb") as to:
        to.write(f.read(33) + b"\0\0\0\x01\x1b[2J" + f.read())
    commands = [(GEMMAPIPE, "run", "--model", MODEL, "--mmproj", ENCODER, "--image", name, "hi"), (GEMMAPIPE, "plan", "--model", name),
                (GEMMAPIPE, "si\x1b[2Jng"), (WORKER, "--listen", "tcp://\x1b[2J:1"), (PARTITION, "inspect", name),
                (PARTITION, "inspect", "--json", name)]
    for command in commands:
        _, out, err = run(*command)
        said = err + (out if isinstance(out, str) else out.decode(errors="replace"))
        need(said and not any(c in said for c in "\x1b\x9b\u202e"), "%s: %r" % (command, said))


def bad_words():
    refused(2, "say which model", GEMMAPIPE, "run", "hi")
    refused(2, "--temp", GEMMAPIPE, "run", "--model", MODEL, "--temp", "warm", "hi")
    refused(2, "not a command", GEMMAPIPE, "sing")
    refused(2, "unknown option", GEMMAPIPE, "run", "--model", MODEL, "--nonsense", "hi")
    refused(2, "exclude each other", GEMMAPIPE, "run", "--model", MODEL, "--workers", "2", "--here", "2", "hi")
    refused(2, "token id 9999", GEMMAPIPE, "logits", "--model", MODEL, "--ids", "2,9999", "--out", path("x"))
    refused(2, "--ids wants numbers", GEMMAPIPE, "logits", "--model", MODEL, "--ids", "2,,3", "--out", path("x"))
    refused(2, "the model has 7", GEMMAPIPE, "run", "--model", MODEL, "--split", "3,3", "hi")
    for split, words in (("3+8,4+7", "15 sixteenths of the head, wanted all 16"), ("3+8,4+", "3+8,4+"), ("3+16,0+0", "7"), ("3,0+16,4", "worker 2 no layer")):
        refused(2, words, GEMMAPIPE, "run", "--model", MODEL, "--split", split, "hi")
    refused(2, "--listen", WORKER)
    for size, words in (("lots", "not a size"), ("0", "nothing"), ("0M", "nothing")):
        refused(2, words, WORKER, "--listen", "tcp://127.0.0.1:1", "--memory", size)
        refused(2, words, GEMMAPIPE, "run", "--model", MODEL, "--workers", "2", "--memory", size, "hi")


def whole_heads_are_not_split():
    refused(2, "the head was wanted whole", GEMMAPIPE, "run", "--model", MODEL, "--split", "3+8,4+8", "--whole-head", "hi")


def results_named_like_inputs():
    """By their own name or by a link; nothing is lost."""
    picture, asked, cluster = path("picture.png"), path("asked.txt"), path("cluster.json")
    sees = ["--mmproj", path("sees.gguf")]
    for a, b in ((ENCODER, sees[1]), (os.path.join(ROOT, "models/demo/picture.png"), picture)): shutil.copy(a, b)
    open(asked, "w").write("/image %s What?\nhi\n" % picture)
    open(cluster, "w").write('{"workers": [{"address": "tcp://127.0.0.1:1"}]}')
    os.symlink(MODEL, path("soft.gguf")), os.link(picture, path("hard.png"))
    before = {f: open(f, "rb").read() for f in (MODEL, picture, sees[1], asked, cluster)}
    run_demo = [GEMMAPIPE, "run", "--model", DEMO, "-n", "2", "--quiet"]
    for command in (
            [GEMMAPIPE, "logits", "--model", MODEL, "--ids", "2,3", "--out", MODEL], [GEMMAPIPE, "run", "--model", MODEL, "--trace", path("soft.gguf"), "hi"],
            [*run_demo, *sees, "--image", picture, "--trace", path("hard.png"), "hi"], [*run_demo, *sees, "--trace", sees[1], "hi"],
            [*run_demo, "--prompts", asked, "--trace", asked], [*run_demo, *sees, "--prompts", asked, "--trace", picture],
            [GEMMAPIPE, "run", "--model", MODEL, "--cluster", cluster, "--trace", cluster, "hi"],
            [GEMMAPIPE, "embed-image", *sees, "--image", picture, "--out", picture], [GEMMAPIPE, "embed-image", *sees, "--image", picture, "--out", sees[1]],
            [PARTITION, "synth", MODEL, "--tokenizer", path("soft.gguf")]):
        status, _, err = run(*command, timeout=20)
        need(status == 2 and "are the same file" in err, "%s: status %d: %s" % (command, status, err))
    need(all(open(f, "rb").read() == was for f, was in before.items()), "an input was changed")


def too_long():
    refused(2, "the context holds 16", GEMMAPIPE, "run", "--model", MODEL, "--raw", "--ctx", "16", "word " * 40)
    refused(2, "was trained for", GEMMAPIPE, "run", "--model", MODEL, "--ctx", "100000", "hi")


def too_little_memory():
    refused(4, "MiB", GEMMAPIPE, "run", "--model", MODEL, "--workers", "2", "--memory", "1M", "hi")
    refused(4, "", GEMMAPIPE, "plan", "--model", MODEL, "--workers", "2", "--memory", "1M")


def few_files():
    """libzmq would abort."""
    few = ["sh", "-c", "ulimit -n 6; exec \"$@\"", "sh"]
    for way in (["--workers", "2"], ["--connect", "tcp://127.0.0.1:1"]):
        refused(5, "ulimit -n", *few, GEMMAPIPE, "run", "--model", MODEL, *way, "hi")
    refused(5, "ulimit -n", *few, WORKER, "--listen", "tcp://127.0.0.1:%d" % free_ports(1)[0])


def no_such_kernels():
    for way in ((), ("--here", "2"), ("--workers", "2")):
        refused(2, "no kernels named \"sse9\"", GEMMAPIPE, "run", "--model", MODEL, *way, "hi", env={"GEMMAPIPE_ISA": "sse9"})


def nobody_listens():
    port = free_ports(1)[0]
    before = time.time()
    refused(5, "127.0.0.1:%d" % port, GEMMAPIPE, "run", "--model", MODEL, "--wait", "2", "--quiet", "--connect", "tcp://127.0.0.1:%d" % port, "hi")
    need(time.time() - before < 8 * SLOWER, "it took %.1f s" % (time.time() - before))
    refused(5, "connection refused", GEMMAPIPE, "run", "--model", MODEL, "--wait", "1", "--connect", "tcp://localhost:%d" % port, "hi")
    refused(5, "no host of that name", GEMMAPIPE, "run", "--model", MODEL, "--insecure", "--wait", "1", "--connect", "tcp://no host:%d" % port, "hi")
    refused(2, "same address", GEMMAPIPE, "run", "--model", MODEL, "--connect", "tcp://[::1]:7001,tcp://[::1]:7001", "hi")


def many_do_not_listen():
    addresses = ["tcp://127.0.0.1:%d" % p for p in free_ports(20)]
    _, _, err = run(GEMMAPIPE, "run", "--model", MODEL, "--wait", "1", "--quiet", "--connect", ",".join(addresses), "hi")
    named = sum(a in err for a in addresses)
    need(0 < named < 20 and " and %d more" % (20 - named) in err, "%d of 20 are named: %s" % (named, err))


def port_in_use():
    with Workers(1) as w:
        time.sleep(0.3)
        refused(5, w.addresses[0], WORKER, "--listen", w.addresses[0])


def one_rank():
    refused(5, "mpirun", *mpirun(1), GEMMAPIPE, "run", "--model", MODEL, "hi")


def mpi_bad_model():
    status, out, err = run(*mpirun(3), GEMMAPIPE, "run", "--model", path("none.gguf"), "hi", timeout=30)
    need(status != 0, "it went well?")
    need(err.count("cannot open") == 1, "said %d times: %s" % (err.count("cannot open"), err))


def mpi_refuses_once():
    for words, *options in (("not a number", "--split", "x"), ("the split places", "--split", "3,3"), ("cannot open", "--cluster", path("none.json"))):
        status, _, err = run(*mpirun(3), GEMMAPIPE, "run", "--model", MODEL, *options, "hi", timeout=30)
        need(status != 0 and err.count(words) == 1, "status %d: %s" % (status, err))
    for words, *command in (("plan: ", "plan", "--model", MODEL), ("Exit status", "--help"), ("gemmapipe run --model", "run", "--help")):
        out = good(*mpirun(3), GEMMAPIPE, *command, timeout=30).decode()
        need(out.count(words) == 1, "said %d times: %s" % (out.count(words), out))


def generation(*way, env=None):
    """A long answer under way; returns the process once text comes."""
    p = start(GEMMAPIPE, "run", "--model", MODEL, *LONG, *way, "once upon a time there was", env=env)
    first_text(p)
    return p


def local_worker_killed():
    p = generation("--workers", "3")
    kids = sorted(children_of(p.pid))
    need(len(kids) == 3, "%d children instead of 3" % len(kids))
    os.kill(kids[1], signal.SIGKILL)
    before = time.time()
    status, _, err = wait(p, 20, "a run whose worker was killed")
    need(status == 7, "status %d: %s" % (status, err))
    need("worker 2" in err and "signal 9" in err, err)
    need(len(err.strip().splitlines()) == 1, "more than one sentence: %s" % err)
    need(time.time() - before < 6 * SLOWER, "it took %.1f s" % (time.time() - before))
    need(not any(alive(k) for k in kids), "a worker lives on")


def worker_frozen():
    """Its connection stands, its pongs stop."""
    p = generation("--workers", "3")
    kids = sorted(children_of(p.pid))
    os.kill(kids[1], signal.SIGSTOP)
    before = time.time()
    status, _, err = wait(p, 40, "a run whose worker was frozen")
    need(status == 7 and "worker 2" in err and "not answered" in err, "status %d: %s" % (status, err))
    need(time.time() - before < 25 * SLOWER, "it took %.1f s" % (time.time() - before))
    need(all_gone(kids), "a worker lives on")


def worker_stopped_for_a_moment():
    """In the middle of an answer, which cannot end meanwhile: the report has it, and not of its neighbour's processor or of a message."""
    p = generation("--workers", "2", "--report-json", path("stopped"))
    kid = sorted(children_of(p.pid))[1]
    os.kill(kid, signal.SIGSTOP)
    time.sleep(0.5)
    os.kill(kid, signal.SIGCONT)
    status, _, err = wait(p, 60, "a run whose worker was stopped for a moment")
    need(status == 0, "status %d: %s" % (status, err))
    with open(path("stopped")) as f: stages = json.load(f)["stages"]
    need(stages[1]["stopped"] > 0, stages)


def remote_worker_killed():
    w = Workers(3, "--once")
    p = generation(*w.connect)
    w.processes[1].kill()
    status, _, err = wait(p, 20, "a run whose worker was killed")
    need(status == 7 and "worker 2" in err, "status %d: %s" % (status, err))
    for i in (0, 2):
        s, _, e = wait(w.processes[i], 10, "a worker of a failed run")
        need(s == 7 and "worker 2" in e, "worker %d ended with %d: %s" % (i + 1, s, e))


def link_between_workers(fault, *words):
    """All processes live, and the coordinator reaches each of them. The connection from worker 1 was made last."""
    with Workers(2) as w:
        cable = Cable(int(w.addresses[1].rsplit(":", 1)[1]))
        p = generation("--connect", "%s,%s" % (w.addresses[0], cable.address))
        fault(cable, -1)
        status, _, err = wait(p, 60, "a run with a broken link between two workers")
        need(status == 7 and all(word in err for word in ("worker 1", "worker 2", *words)), "status %d: %s" % (status, err))
        need(len(err.strip().splitlines()) == 1, "more than one sentence: %s" % err)
        good(GEMMAPIPE, "run", "--model", MODEL, "--quiet", "--temp", "0", "-n", "2", *w.connect, "hi")


def worker_killed_while_loading():
    big = synth("wide.gguf", "--size", "tiny", "--hidden", "1024", "--ffn", "8192", "--seed", "5")
    w = Workers(2, "--no-file")
    p = start(GEMMAPIPE, "run", "--model", big, "--quiet", "--wait", "5", *w.connect, "hi")
    time.sleep(0.15)
    w.processes[0].kill()
    status, _, err = wait(p, 20, "a run whose worker was killed while loading")
    need(status in (5, 7, 0), "status %d: %s" % (status, err))
    if status:
        need("worker 1" in err, err)
    w.processes[1].terminate()
    wait(w.processes[1], 10, "the other worker")
    return "status %d" % status


def worker_gone_before_loading():
    w = Workers(2, "--once")
    w.processes[0].kill()
    w.processes[0].wait()
    status, _, err = run(GEMMAPIPE, "run", "--model", MODEL, "--wait", "2", "--quiet", *w.connect, "hi", timeout=30)
    need(status == 5 and w.addresses[0] in err, "status %d: %s" % (status, err))
    s, _, e = wait(w.processes[1], 10, "the other worker")
    need(s == 7, "the other worker ended with %d: %s" % (s, e))


def coordinator_killed():
    """One of its workers is stopped, and cannot be asked to end."""
    runtime = path("runtime")
    os.mkdir(runtime)
    before = set(os.listdir("/tmp"))
    p = generation("--workers", "2", env={"XDG_RUNTIME_DIR": runtime})
    kids = children_of(p.pid)
    os.kill(kids[0], signal.SIGSTOP)
    p.kill()
    p.communicate()
    gone = all_gone(kids)
    for k in kids if not gone else []:
        os.kill(k, signal.SIGKILL)
    need(gone, "workers outlive a killed coordinator")
    left = os.listdir(runtime) + [f for f in set(os.listdir("/tmp")) - before if f.startswith("gemmapipe-") and "test" not in f]
    need(not left, "left behind: %s" % left)


def coordinator_killed_far():
    w = Workers(2, "--once")
    p = generation(*w.connect)
    p.kill()
    p.communicate()
    for i in range(2):
        s, _, e = wait(w.processes[i], 10, "a worker whose coordinator was killed")
        need(s == 7 and "coordinator" in e, "status %d: %s" % (s, e))


def coordinators_killed_again_and_again():
    """At moments spread over greeting, loading and work; the workers stay, and what they have stays with them."""
    question = [GEMMAPIPE, "run", "--model", DEMO, "--temp", "0", "--fingerprint", "--verbose", "--send-weights"]
    want = fingerprints(good(*question, "--here", "1", "-n", "8", "What is 12 + 9?"))
    with Workers(2) as w:
        pids = [p.pid for p in w.processes]
        for i in range(50):
            p = start(*question, *w.connect, "-n", "4000", "--ctx", "8192", "Count from 1 to 900.")
            time.sleep(0.004 * (i % 12))
            p.kill()
            p.communicate()
            status, out, err = run(*question, *w.connect, "-n", "8", "What is 12 + 9?")
            need(status == 0 and fingerprints(out) == want, "after %d failed runs: status %d, %s" % (i + 1, status, err))
        status, out, err = run(*question, *w.connect, "-n", "8", "What is 12 + 9?")
        have = re.findall(r" has (\d+) of its (\d+) tensors", err)
        need(status == 0 and len(have) == 2 and all(a == b for a, b in have), "the next run of the same plan: %s" % err)
        need([p.pid for p in w.processes if p.poll() is None] == pids, "a worker ended")


def interrupted():
    p = generation("--workers", "3")
    kids = children_of(p.pid)
    p.send_signal(signal.SIGINT)
    status, _, err = wait(p, 10, "an interrupted run")
    need(status == 130, "status %d: %s" % (status, err))
    need(not any(alive(k) for k in kids), "a worker lives on")


def terminal_closed():
    for prefix, number, words in (([], signal.SIGTERM, "SIGTERM"), ([], signal.SIGHUP, "SIGHUP"), (["nohup"], signal.SIGHUP, "")):
        p = start(*prefix, GEMMAPIPE, "run", "--model", MODEL, *LONG, "--workers", "2", "once upon a time there was", own_group=True)
        first_text(p)
        kids = children_of(p.pid)
        os.killpg(p.pid, number)
        if prefix:
            first_text(p)
            p.send_signal(signal.SIGINT)
        status, _, err = wait(p, 10, "a run whose terminal was closed")
        said = [l for l in err.splitlines() if l.startswith("gemmapipe:")]
        need(status == 130 and len(said) == 1 and words in said[0], "status %d: %s" % (status, err))
        need(not any(alive(k) for k in kids), "a worker lives on")


def rank_killed():
    p = start(*mpirun(4), GEMMAPIPE, "run", "--model", MODEL, *LONG, "once upon a time there was")
    first_text(p)
    ranks = [c for c in children_of(p.pid)]
    need(len(ranks) == 4, "%d ranks instead of 4" % len(ranks))
    os.kill(sorted(ranks)[2], signal.SIGKILL)
    status, _, err = wait(p, 20, "a run whose rank was killed")
    need(status != 0, "it went well?")
    need("signal 9" in err and "gemmapipe: mpirun ends its ranks" in err, "rank 0 had no time to say it: %s" % err)
    need(all_gone(ranks), "a rank lives on")


def two_coordinators():
    with Workers(1) as w:
        p = generation(*w.connect)
        refused(5, "busy", GEMMAPIPE, "run", "--model", MODEL, "--wait", "5", "--quiet", *w.connect, "hi")
        p.send_signal(signal.SIGINT)
        wait(p, 10, "the first run")
        need(good(GEMMAPIPE, "run", "--model", MODEL, "--quiet", "--temp", "0", "-n", "2", *w.connect, "hi") is not None, "no")


def coordinators_crossing():
    """Each greets first whom the other greets last: at least one gets both workers, and no worker ends."""
    with Workers(2) as w:
        for _ in range(4):
            runs = [start(GEMMAPIPE, "run", "--model", MODEL, "--quiet", "--temp", "0", "-n", "2", "--no-probe", "--connect", ",".join(order), "hi")
                    for order in (w.addresses, w.addresses[::-1])]
            ends = [wait(p, 30, "one of two coordinators") for p in runs]
            need(0 in [status for status, _, _ in ends], "both were refused: %s" % ends)
            need(all(status == 0 or (status == 5 and "busy" in err) for status, _, err in ends), ends)
        need(all(p.poll() is None for p in w.processes), "a worker ended")


def coordinator_first():
    ports = free_ports(2)
    addresses = ["tcp://127.0.0.1:%d" % p for p in ports]
    p = start(GEMMAPIPE, "run", "--model", MODEL, "--quiet", "--raw", "--temp", "0", "-n", "4", "--connect", ",".join(addresses), "hi")
    time.sleep(1)
    workers = [start(WORKER, "--listen", a, "--once", "--quiet") for a in addresses]
    status, out, err = wait(p, 20, "a run that was there first")
    need(status == 0, err)
    for k in workers:
        s, _, e = wait(k, 10, "a worker with --once")
        need(s == 0, e)


claim("damaged_files_get_one_sentence", bad_files)
claim("wrong_words_get_one_sentence", bad_words)
claim("foreign_words_do_not_move_a_terminal", foreign_words)
claim("who_wants_a_whole_head_is_not_given_a_divided_one", whole_heads_are_not_split)
claim("a_result_named_like_an_input_is_refused", results_named_like_inputs)
claim("a_prompt_longer_than_the_context_is_refused", too_long)
claim("a_plan_that_does_not_fit_is_refused", too_little_memory)
if EMULATED: print("skip too_few_open_files_are_said_before_any_is_missing: what starts an emulated program needs more itself")
else: claim("too_few_open_files_are_said_before_any_is_missing", few_files)
claim("kernels_that_are_not_there_are_named", no_such_kernels)
claim("no_worker_listening_is_said_within_the_limit", nobody_listens)
claim("of_many_workers_that_do_not_listen_some_are_named_and_the_others_counted", many_do_not_listen)
claim("a_port_in_use_is_said", port_in_use)
claim("mpirun_with_one_rank_is_refused", one_rank)
claim("mpirun_says_a_bad_model_once", mpi_bad_model)
claim("mpirun_refuses_once_and_explains_once", mpi_refuses_once)
claim("a_killed_worker_process_ends_the_run_by_name", local_worker_killed)
claim("a_frozen_worker_ends_the_run_by_name", worker_frozen)
claim("a_worker_that_is_stopped_for_a_moment_is_told_from_a_slow_one", worker_stopped_for_a_moment)
claim("a_killed_worker_elsewhere_ends_the_run_and_its_mates", remote_worker_killed)
claim("a_broken_link_between_two_workers_ends_the_run_and_names_both", link_between_workers, Cable.cut, "cannot reach")
claim("a_link_that_swallows_ends_the_run_and_names_both", link_between_workers, Cable.swallow, "cannot reach")
claim("a_bit_turned_round_between_two_workers_is_blamed_on_that_link", link_between_workers, Cable.damage, "was damaged on the way")
claim("a_worker_killed_while_loading_ends_the_run", worker_killed_while_loading)
claim("a_worker_gone_before_loading_ends_the_run", worker_gone_before_loading)
claim("workers_end_with_a_killed_coordinator", coordinator_killed)
claim("workers_elsewhere_end_with_a_killed_coordinator", coordinator_killed_far)
claim("listening_workers_serve_the_next_run_after_each_of_fifty_failed_ones", coordinators_killed_again_and_again)
claim("ctrl_c_ends_every_process", interrupted)
claim("the_end_of_the_terminal_is_said_and_nohup_is_heeded", terminal_closed)
claim("a_killed_rank_ends_every_rank", rank_killed)
claim("a_second_coordinator_is_told_busy", two_coordinators)
claim("of_two_coordinators_that_cross_one_gets_all_workers", coordinators_crossing)
claim("the_coordinator_may_come_first", coordinator_first)
finish()
