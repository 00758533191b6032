#!/usr/bin/python3
# turn: 1 (tests/run)
"""Whoever is lost in whatever state: the answer goes on, and not a bit of it is another one.
timeout: 600
"""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from asks import *

TOO_LITTLE = memory_alone(0, "--ctx", "2048")  # for one worker, and enough for each of two
_quiet = {}


def quiet(command):
    """What the same command says where nobody is lost."""
    key = " ".join(command)
    if key not in _quiet:
        _quiet[key] = good(GEMMAPIPE, *command, "--here", "1")
    return _quiet[key]


def same(command, p, first=b""):
    """The rest of a run that lost somebody; returns what it said on stderr."""
    status, out, err = wait(p, 60, "a run that lost a worker")
    need(status == 0, "status %d: %s" % (status, err))
    need(first + out == quiet(command), "other words: %s" % err)
    need("has not answered for 15 s" not in err, "whoever was just started was given up: %s" % err)
    return err


def losing(command, *ways, kill, number=signal.SIGKILL):
    """Kills the local workers of these numbers as soon as something came."""
    p = start(GEMMAPIPE, *command, *ways)
    first = os.read(p.stdout.fileno(), 1)  # past the buffer, which communicate() would not see
    kids = sorted(children_of(p.pid))
    for k in kill:
        os.kill(kids[k], number)
    err = same(command, p, first)
    need(err.count("was ended by signal") >= 1 and "going on after" in err, err)
    need(all_gone(kids), "a worker lives on")
    return err


def local_workers():
    for k in range(3):
        err = losing(SCORED, "--workers", "3", kill=[k])
        need("worker %d" % (k + 1) in err and "rows to compute again" in err, err)


def all_at_once():
    losing(SCORED, "--workers", "3", kill=[0, 1, 2])


def begun(command, *ways):
    """Under way: something came."""
    p = start(GEMMAPIPE, *command, *ways)
    return p, os.read(p.stdout.fileno(), 1)


def spare_takes_over():
    with Workers(3) as w:
        p, first = begun(SCORED, *w.connect, "--spare", "1")
        w.processes[0].kill()
        err = same(SCORED, p, first)
        need("going on after" in err and "planned anew for" not in err, err)


def heard(p, sentence):
    """What was said on stderr, as far as this."""
    said = b""
    while sentence not in said:
        more = os.read(p.stderr.fileno(), 4096)
        need(more, "not said: %s; but: %s" % (sentence, said))
        said += more
    return said.decode()


def let_go(worker, said):
    need(worker.wait(10 * PATIENCE) == 0 and "hands over" in said and "was lost" not in said and "stopped by" not in said, said)


def told_to_end():
    """What is under way comes home, then the spare one has its part."""
    with Workers(2) as w:
        p, first = begun(LONG_ONE, *w.connect, "--spare", "1")
        w.processes[0].terminate()
        err = same(LONG_ONE, p, first)
        need("going on after" in err, err)
        let_go(w.processes[0], err)


def goes_on_until_another_comes():
    """The other one has too little memory for all."""
    long = LONG_ONE
    at = "tcp://127.0.0.1:%d" % free_ports(1)[0]
    with Workers(2) as w:
        p, first = begun(long, *w.connect, "--memory", "19M", "--accept", at)
        w.processes[0].terminate()
        said = heard(p, b"too few without it")
        need(w.processes[0].poll() is None, "it did not wait")
        w.processes += join(1, at)
        said += same(long, p, first)
        let_go(w.processes[0], said)


def local_one_told_to_end():
    """A long answer: on a busy machine a short one may be over before it is told."""
    p, first = begun(LONG_ONE, "--workers", "2")
    os.kill(sorted(children_of(p.pid))[1], signal.SIGTERM)
    need("hands over" in same(LONG_ONE, p, first), "no")


def more_than_the_split():
    with Workers(3) as w:
        p, first = begun(SCORED, *w.connect, "--split", "3,4")
        w.processes[1].kill()
        need("going on after" in same(SCORED, p, first), "no")


def survivors_hold_it():
    with Workers(3) as w:
        p, first = begun(SCORED, *w.connect, "--split", "2,2,3")
        w.processes[1].kill()
        err = same(SCORED, p, first)
        need("planned anew for 2 workers, of 3" in err, err)


def half_the_memory():
    """Of pages there are half as many then: the newest wait, and all are answered. What each epoch took is in the report."""
    name = path("sixteen.txt")
    with open(name, "w") as f:
        f.writelines("once upon a time there were %d and they\n" % i for i in range(16))
    ask = ["run", "--model", MODEL, "--no-probe", "--raw", "--temp", "1", "--seed", "3", "-n", "150", "--ctx", "512", "--sequences", "16", "--fingerprint", "--prompts", name]
    with Workers(2) as w:
        p = start(GEMMAPIPE, *ask, *w.connect, "--memory", memory_alone(0.85, "--ctx", "512", "--sequences", "16"), "--report", "--verbose")
        said = heard(p, b"holds layers")
        before = processor_seconds(w.processes[1].pid)
        while processor_seconds(w.processes[1].pid) < before + 0.1:  # under way, and far from its end
            need(p.poll() is None and w.processes[1].poll() is None, "it ended before it was under way")
            time.sleep(0.005)
        w.processes[1].kill()
        said += same(ask, p)
        need("going on after" in said and "planned anew for 1 worker" in said, said)
        need("no more than one so long together" in said, said[-2500:])
        need(re.search(r"epoch 1, MiB measured of MiB planned: worker 1 [0-9.]+ of [0-9.]+, worker 2", said), said[-2500:])


def comes_back():
    """As by its service; meanwhile the other has too little memory for all."""
    with Workers(2) as w:
        p, first = begun(SCORED, *w.connect, "--memory", "19M")
        w.processes[0].kill()
        w.processes[0].wait()
        time.sleep(0.3)
        w.processes[0] = start(WORKER, "--listen", w.addresses[0], "--quiet")
        need("going on after" in same(SCORED, p, first), "no")


def nobody_comes():
    with Workers(1) as w:
        p, _ = begun(SCORED, *w.connect, "--wait-for-workers", "1")
        w.processes[0].kill()
        status, _, err = wait(p, 20, "a run whose only worker was killed")
        need(status == 7 and "worker 1" in err and "within 1 s nobody came" in err and "--wait-for-workers" in err, "status %d: %s" % (status, err))


def stopped_one_wakes():
    """It was taken for lost: it hears nothing good, and is invited again."""
    with Workers(2) as w:
        p, first = begun(SCORED, *w.connect, "--memory", "19M")
        w.processes[0].send_signal(signal.SIGSTOP)
        said = heard(p, b"has not answered for 3 s")
        w.processes[0].send_signal(signal.SIGCONT)
        said += same(SCORED, p, first)
        need("going on after" in said, said)





def pictures():
    """On their way through a split encoder, with text under way."""
    ask = of_pictures()
    for k, way in ((0, "layers"), (1, "copies"), (2, "layers")):
        losing(ask, "--workers", "3", "--vision-split", way, kill=[k])


def pictures_made_again():
    """A conversation of more pictures than rows are kept of; workers that have forgotten it are shown all of them once more."""
    talk = "".join("/image %s\nWhat is that?\n" % drawn_picture(i) for i in range(22))
    ask = ["chat", "--model", DEMO, "--mmproj", ENCODER, "--no-probe", "--temp", "0", "-n", "8", "--ctx", "2048"]
    want = good(GEMMAPIPE, *ask, "--here", "1", stdin=(talk + "And the first?\n").encode())
    p = start(GEMMAPIPE, *ask, "--workers", "2", stdin=subprocess.PIPE)
    p.stdin.write(talk.encode())
    p.stdin.flush()
    out = b""
    while out.count(b"\n") < 22:
        more = os.read(p.stdout.fileno(), 4096)
        need(more, "it ended after %s" % out)
        out += more
    for k in children_of(p.pid):
        os.kill(k, signal.SIGKILL)
    p.stdin.write(b"And the first?\n")
    p.stdin.close()
    p.stdin = None
    status, rest, err = wait(p, 60, "a conversation that lost its workers")
    need(status == 0 and out + rest == want and "was ended by" in err, "%d: %s %s" % (status, rest, err))


def divided_heads():
    for k in (0, 1):
        losing(SCORED, "--split", "3+8,4+8", kill=[k])


def served():
    """A stream under way, and one that is asked for while nobody computes."""
    body = {"messages": [{"role": "user", "content": "Tell me a long story."}], "temperature": 0, "max_tokens": 200, "stream": True}
    p = start(GEMMAPIPE, "serve", "--model", DEMO, "--no-probe", "--workers", "2", "--listen", "127.0.0.1:0")
    said = ""
    while "serving" not in said:
        said += p.stderr.readline().decode()
    port = int(re.search(r"listening at http://127.0.0.1:(\d+)", said).group(1))

    def ask():
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60 * PATIENCE)
        c.request("POST", "/v1/chat/completions", json.dumps(body))
        return c.getresponse()

    def words(text):
        return [json.loads(e[6:])["choices"][0]["delta"] for e in text.decode().split("\n\n") if e.startswith("data: {")]

    want = words(ask().read())
    one = ask()
    begun = one.read(300)
    for k in children_of(p.pid):
        os.kill(k, signal.SIGKILL)
    other = ask()
    got = [words(begun + one.read()), words(other.read())]
    need(got[0] == want and got[1] == want, "other words: %s" % got)
    p.send_signal(signal.SIGTERM)
    status, _, err = wait(p, 20, "a server told to end")
    need(status == 0 and "going on after" in err, "status %d: %s" % (status, err))


def doors(w, *closed):
    """The coordinator's connections are let in, which come first; a worker of these numbers is out of reach of the others. Cables in use must stay."""
    cables = [Cable(int(a.rsplit(":", 1)[1]), 2) for a in w.addresses]
    return cables, ["--connect", ",".join(c.address if i in closed else a for i, (c, a) in enumerate(zip(cables, w.addresses)))]


def called_back():
    """The second one cannot be called by the first, and calls it instead."""
    with Workers(3) as w:
        cables, ways = doors(w, 1, 2)
        err = same(SHORT, start(GEMMAPIPE, *SHORT, *ways, "--split", "2,2,3"))
        need("passes through here" in err and "worker 2" in err and "worker 3" in err and "worker 1" not in err, err)


def relayed():
    """Neither can be called, rows of pictures too."""
    ask = [w if w != "20" else "3" for w in of_pictures()]
    with Workers(2) as w:
        cables, ways = doors(w, 0, 1)
        err = same(ask, start(GEMMAPIPE, *ask, *ways, "--vision-split", "layers", "--report"))
        need("passes through here" in err and "rows from stage 1 to stage 2 are relayed" in err and "pictures from" in err, err)


def behind_something():
    """Nobody can connect to either: they call, and their rows for each other go by us. One is started anew."""
    at = "tcp://127.0.0.1:%d" % free_ports(1)[0]
    calling = [WORKER, "--join", at, "--quiet", "--memory", TOO_LITTLE]
    workers = [start(*calling) for _ in range(2)]
    p = start(GEMMAPIPE, *SCORED, "--accept", at, "--report")
    first = os.read(p.stdout.fileno(), 1)
    workers[0].kill()
    workers.append(start(*calling))
    err = same(SCORED, p, first)
    need("going on after" in err and "was lost" in err and "rows from stage 1 to stage 2 are relayed" in err, err)
    for w in workers:
        w.kill()


def link_breaks():
    """In the middle, and nobody is let in any more: what goes that way goes by us."""
    with Workers(2) as w:
        cable = Cable(int(w.addresses[1].rsplit(":", 1)[1]))
        p, first = begun(SHORT, "--connect", "%s,%s" % (w.addresses[0], cable.address))
        cable.cut(-1)
        err = same(SHORT, p, first)
        need("passes through here" in err and "was lost" not in err, err)


def join(n, at):
    addresses = ["tcp://127.0.0.1:%d" % p for p in free_ports(n)]
    return [start(WORKER, "--listen", a, "--join", at, "--quiet") for a in addresses]


def joiners():
    """None is named. One makes the pipeline, another takes over when it is lost."""
    at = "tcp://127.0.0.1:%d" % free_ports(1)[0]
    workers = join(1, at)
    long = LONG_ONE
    p, first = begun(long, "--accept", at)
    workers += join(1, at)
    heard(p, b"has no part so far")
    workers[0].kill()
    need("going on after" in same(long, p, first), "no")
    for w in workers:
        w.kill()


claim("a_killed_worker_process_is_started_again_and_not_a_bit_is_another", local_workers)
claim("so_if_all_are_killed_at_once", all_at_once)
claim("a_spare_worker_takes_over", spare_takes_over)
claim("a_worker_that_is_told_to_end_hands_over_first", told_to_end)
claim("and_goes_on_until_somebody_can_take_over", goes_on_until_another_comes)
claim("so_does_one_that_was_started_here", local_one_told_to_end)
claim("so_does_one_that_the_split_had_no_part_for", more_than_the_split)
claim("who_is_left_takes_over_where_that_fits", survivors_hold_it)
claim("with_half_the_memory_the_newest_wait_and_all_are_answered", half_the_memory)
claim("a_worker_that_listens_again_is_found", comes_back)
claim("where_nobody_comes_the_run_ends_at_last", nobody_comes)
claim("a_worker_that_was_only_stopped_is_stale_and_invited_again", stopped_one_wakes)
claim("pictures_under_way_are_seen_again", pictures)
claim("pictures_whose_rows_were_given_up_are_made_again", pictures_made_again)
claim("a_divided_head_is_brought_together_again", divided_heads)
claim("streams_of_a_server_go_on_and_new_ones_wait", served)
claim("workers_join_that_nobody_named", joiners)
claim("a_neighbour_that_cannot_be_called_calls", called_back)
claim("rows_of_two_that_cannot_reach_each_other_are_passed_on", relayed)
claim("so_they_are_where_a_link_breaks", link_breaks)
claim("so_are_those_of_workers_that_nobody_can_connect_to", behind_something)
finish()
