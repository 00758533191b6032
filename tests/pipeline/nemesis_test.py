#!/usr/bin/python3
# turn: 0 (tests/run)
"""Workers are killed, stopped and cut off at random moments: no answer is lost, and no word is another.

A few in seconds; with LONG=1 (`make test-all`) EVENTS of them, 200 unless said. SEED=N repeats them. What is printed at the end: how long it took
until a loss was said, and how well the replay that was announced agrees with the time until the next word.
timeout: 600
"""
import os
import random
import re
import signal
import sys

sys.path.insert(0, os.path.dirname(__file__))
from asks import *

LONG = os.environ.get("LONG") == "1"
EVENTS = int(os.environ.get("EVENTS", 200 if LONG else 6))
SEED = int(os.environ.get("SEED", time.time_ns() % 100000 if LONG else 7))
FOR_EVER = 1000.0
STORY = [*scored(400)[:-2], "once upon a time there was a king and " * 45]


class Here:
    """Workers that the command starts: one that is lost is started again by it."""

    def __init__(self, n, dice):
        self.dice, self.options = dice, ["--workers", str(n)]

    def disturb(self, command):
        kids = children_of(command.pid)
        if not kids:
            return None
        kid = self.dice.choice(kids)
        seconds = self.dice.choice([0, 0, 0, 1.0, 2.0, FOR_EVER])
        return kill(kid) if not seconds else stop(kid, seconds)

    def end(self):
        pass


class There:
    """Workers behind cables, each under a service that starts it again."""

    def __init__(self, n, dice):
        self.dice = dice
        self.ports = free_ports(n)
        self.workers = [self.begin(i) for i in range(n)]
        self.cables = [Cable(p) for p in self.ports]
        self.options = ["--connect", ",".join(c.address for c in self.cables), "--wait-for-workers", "60", *self.dice.choice([[], ["--spare", "1"]][:n])]

    def begin(self, i):
        return start(WORKER, "--listen", "tcp://127.0.0.1:%d" % self.ports[i], "--quiet")

    def disturb(self, _):
        i = self.dice.randrange(len(self.workers))
        what, seconds = self.dice.choice(["kill", "kill", "stop", "cut"]), self.dice.choice([0.2, 1.0, 4.0])
        if self.workers[i].poll() is not None or not self.cables[i].open:
            return None
        if what == "cut":
            self.cables[i].cut_all()
            later(seconds, self.cables[i].mend)
            return "cut", seconds, self.workers[i].pid
        if what == "stop":
            return stop(self.workers[i].pid, seconds)
        self.workers[i].kill()
        self.workers[i].wait()
        later(seconds, lambda: self.workers.__setitem__(i, self.begin(i)))
        return "kill", seconds, self.workers[i].pid

    def end(self):
        for w in self.workers:
            w.kill()
            w.communicate()


_later = []


def later(seconds, what):
    _later.append(threading.Timer(seconds, what))
    _later[-1].daemon = True
    _later[-1].start()


def nothing_later():
    for t in _later:
        t.join()
    _later.clear()


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    return "kill", 0, pid


def stop(pid, seconds):
    def go_on():
        try:
            os.kill(pid, signal.SIGCONT)
        except OSError:
            pass
    os.kill(pid, signal.SIGSTOP)
    if seconds < FOR_EVER:
        later(seconds, go_on)
    return "stop", seconds, pid


class Heard:
    """What a command says, and when."""

    def __init__(self, p, typed):
        self.p, self.out, self.words, self.lines = p, b"", [], []
        self.readers = [threading.Thread(target=f, daemon=True) for f in (self.read_out, self.read_err)]
        for r in self.readers:
            r.start()
        if typed:
            p.stdin.write(typed)
            p.stdin.close()

    def read_out(self):
        while more := os.read(self.p.stdout.fileno(), 65536):
            self.out += more
            self.words.append(time.time())

    def read_err(self):
        for line in self.p.stderr:
            self.lines.append((time.time(), line.decode(errors="replace")))

    def end(self, seconds):
        try:
            self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
            return "it had not ended after %d s" % seconds
        for r in self.readers:
            r.join()
        return "" if self.p.returncode == 0 else "status %d" % self.p.returncode

    def said(self):
        return "".join(line for _, line in self.lines)


def detections(events, lines):
    """Of each event that was noticed, how long that took: the first line after it that speaks of the loss of that process."""
    out = []
    for at, (_, _, pid) in events:
        losses = [t for t, line in lines if t > at and re.search(r"process %d (on|of) .*(was ended by|was lost|cannot go on)" % pid, line)]
        out += [losses[0] - at] if losses else []
    return out


def replays(heard, events):
    """Announced seconds, and those from the moment that all are ready to the next word, if nothing else happened meanwhile."""
    out = []
    for k, (_, line) in enumerate(heard.lines):
        announced = re.search(r"rows to compute again, in about ([0-9.]+) s", line)
        ready = next((t for t, l in heard.lines[k:] if "going on after" in l), None)
        word = next((t for t in heard.words if ready and t > ready), None)
        if announced and word and not any(ready < at < word for at, _ in events):
            out.append((float(announced.group(1)), word - ready))
    return out


def at_random():
    """Text, many texts with guesses, pictures, a chat with pictures, a batch: on two to four workers, here and behind cables."""
    dice = random.Random(SEED)
    commands = [(scored(300), None), (of_many(), None), (of_pictures(), None), (of_batch(), None), (of_chat(), questions()), (STORY, None)]
    want = [good(GEMMAPIPE, *c, "--here", "1", stdin=i) for c, i in commands]
    noticed, replayed, done, runs, bad = [], [], {}, 0, []
    while sum(done.values()) < EVENTS:
        which = runs % len(commands)
        command, typed = commands[which]
        runs += 1
        cluster = dice.choice([Here, There])(dice.randint(2, 4), dice)
        p = start(GEMMAPIPE, *command, *cluster.options, "--verbose", stdin=subprocess.PIPE if typed else subprocess.DEVNULL)
        heard, events = Heard(p, typed), []
        for _ in range(dice.randint(1, 3)):
            time.sleep(dice.uniform(0, 0.5))
            if p.poll() is not None:
                break
            try:
                event = cluster.disturb(p)
            except ProcessLookupError:  # it ended a moment ago
                continue
            if event:
                events.append((time.time(), event))
        wrong = heard.end(120)
        nothing_later()
        cluster.end()
        if not wrong and heard.out != want[which]:
            wrong = "other words"
        for _, (what, _, _) in events:
            done[what] = done.get(what, 0) + 1
        noticed += detections([e for e in events if e[1][0] != "stop" or e[1][1] > 3], heard.lines)
        if command[-2] == "--fingerprint":  # one answer, each word of which is written when it is there
            replayed += replays(heard, events)
        if wrong:
            bad.append("run %d, %s %s with %s: %s: %s" % (runs, command[0], " ".join(cluster.options), events, wrong, heard.said()[-1500:]))
            print("# " + bad[-1], flush=True)
    need(not bad, "seed %d: %d of %d runs: %s" % (SEED, len(bad), runs, "; ".join(bad)))
    note = "%s in %d runs, seed %d; nothing lost, no other word" % (", ".join("%d %s" % (n, w) for w, n in sorted(done.items())), runs, SEED)
    if noticed:
        t = sorted(noticed)
        note += "; noticed %d after %.2f s in the median, %.2f at most" % (len(t), t[len(t) // 2], t[-1])
    if replayed:
        off = sorted(real / announced for announced, real in replayed)
        print("# announced and real seconds: %s" % ", ".join("%.2f %.2f" % r for r in replayed))
        note += "; %d replays took %.2f of the announced time in the median, %.2f to %.2f" % (len(off), off[len(off) // 2], off[0], off[-1])
    return note


claim("after_kills_stops_and_cuts_at_random_moments_nothing_is_lost_and_no_word_is_another", at_random)
finish()
