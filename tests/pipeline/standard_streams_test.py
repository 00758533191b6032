#!/usr/bin/python3
"""How programs end with the descriptors they are given: a disk that is full, a reader that does not read or has gone, descriptors
that came closed."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

RUN = [GEMMAPIPE, "run", "--model", DEMO, "--temp", "0", "--quiet"]
CHAT = [GEMMAPIPE, "chat", "--model", DEMO, "--temp", "0", "--quiet"]
PRINTS = ([GEMMAPIPE, "--help"], [GEMMAPIPE, "--version"], [GEMMAPIPE, "plan", "--help"], [GEMMAPIPE, "plan", "--model", DEMO],
          [GEMMAPIPE, "tokenize", "--model", DEMO], [GEMMAPIPE, "detokenize", "--model", DEMO], CHAT,
          [GEMMAPIPE, "run", "--model", DEMO, "-n", "2", "hi"], [GEMMAPIPE, "run", "--model", DEMO, "-n", "2", "--prompts", "-"],
          [GEMMAPIPE, "logits", "--model", DEMO, "--ids", "2,5", "--fingerprint", "--out", path("scores")],
          [PARTITION, "--help"], [PARTITION, "inspect", DEMO], [WORKER, "--help"], [WORKER, "--version"])


def without(closed, *command, stdin="/dev/null"):
    """Runs a command whose descriptors `closed` are so; returns (status, stdout, stderr)."""
    words = ["sh", "-c", 'exec "$@" <%s %s' % (stdin, " ".join("%d>&-" % fd for fd in closed)), "sh", *command]
    return run(*words, timeout=20)


def cannot_be_written():
    open(path("ids"), "w").write("12 13\n")
    for command in PRINTS:
        for status, _, err in (run("sh", "-c", 'exec "$@" <%s >/dev/full' % path("ids"), "sh", *command), without([1], *command, stdin=path("ids"))):
            need(status == 3 and err.count("stdout") == 1, "%s: status %d: %s" % (command, status, err))


def closed_descriptors():
    rows = 4 * 1024 * 4 # four tokens of the demo's vocabulary, float32
    for closed in ([2], [1, 2], [0, 1, 2]):
        status, _, _ = without(closed, GEMMAPIPE, "logits", "--model", DEMO, "--ids", "2,5,6,7", "--verbose", "--report", "--out", path("o.f32"))
        need(status == 0 and os.path.getsize(path("o.f32")) == rows, "without %s: status %d, %d bytes" % (closed, status, os.path.getsize(path("o.f32"))))
    status, _, err = without([1], GEMMAPIPE, "run", "--model", DEMO, "--trace", path("t.json"), "-n", "2", "hi")
    need(status == 3 and not os.path.exists(path("t.json")), "status %d: %s" % (status, err))
    status, out, err = without([0], *CHAT, "--workers", "2")
    need(status == 0 and not out, "status %d: %s" % (status, err))


class FullPipe:
    """A pipe that takes nothing more until it is read."""

    def __init__(self):
        self.read, self.write = os.pipe()
        os.set_blocking(self.write, False)
        self.filled = 0
        try:
            while True: self.filled += os.write(self.write, b"x" * 4096)
        except BlockingIOError: pass
        os.set_blocking(self.write, True)

    def start(self, *command):
        p = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=self.write, stderr=subprocess.PIPE)
        os.close(self.write)
        return p

    def rest(self):
        """What was written to it, read slowly at first."""
        got = b""
        while len(got) < 20000: got += os.read(self.read, 500)
        with os.fdopen(self.read, "rb") as f: return (got + f.read())[self.filled:]


def prompts(name, *lines):
    open(path(name), "w").write("".join(l + "\n" for l in lines))
    return ["--prompts", path(name)]


def full_pipes_end_with_ctrl_c():
    many = [*RUN, "--workers", "2", "--fingerprint", *prompts("two", "What is 3 + 4?", "What is 4 + 4?")]
    for command in ([*RUN, "--workers", "2", "What is 3 + 4?"], many):
        p = FullPipe()
        process = p.start(*command)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        status, _, err = wait(process, 30, "an interrupted program whose pipe is full")
        need(status == 130, "%s: status %d: %s" % (command, status, err))
        os.close(p.read)


def slow_readers_get_all():
    """A coordinator that waits for its reader hears its workers: one that dies meanwhile is noticed."""
    p = FullPipe()
    process = p.start(*RUN, "--workers", "2", *prompts("five", *["What is %d + 4?" % i for i in range(5)]))
    time.sleep(0.5)
    need(process.poll() is None, "it ended before anybody read")
    got, status = p.rest().decode(), process.wait(timeout=20 * PATIENCE)
    need(status == 0 and got == "".join("%d + 4 = %d.\n" % (i, i + 4) for i in range(5)), "status %d: %r" % (status, got))
    p = FullPipe()
    process = p.start(*RUN[:-1], "--verbose", "--workers", "2", "--wait-for-workers", "0", *prompts("five", *["What is %d + 4?" % i for i in range(5)]))
    for _ in range(2): # both are at work: one that is killed before has never come, which is another matter
        while b" holds " not in (line := process.stderr.readline()): need(line, "it ended by itself")
    time.sleep(0.5)
    workers = children_once_there(process.pid, 2)
    os.kill(workers[1], signal.SIGKILL)
    need(all_gone(workers), "the other worker was not told")
    got, status = p.rest().decode(), process.wait(timeout=20 * PATIENCE)
    need(status in (7, 8) and len(got.splitlines()) == 5, "status %d: %r" % (status, got))


def answers_come_when_their_turn_comes():
    """The first is there while the second is made; what cannot be made any more is marked and counted."""
    more = ["-n", "1900", "--ctx", "2048", "--sequences", "1", "--wait-for-workers", "0", *prompts("three", "What is 3 + 4?", "Count from 1 to 900.", "What is 4 + 4?")]
    for end, want, sentence in ((signal.SIGKILL, 8, "signal 9"), (signal.SIGINT, 130, "interrupted")):
        p = start(*RUN, "--workers", "2", *more)
        need(p.stdout.readline() == b"3 + 4 = 7.\n", "the first answer did not come")
        os.kill(children_of(p.pid)[1] if end == signal.SIGKILL else p.pid, end)
        status, out, err = wait(p, 20, "a run that lost a worker")
        need(status == want and out == b"\\unanswered\n" * 2, "status %d: %r %s" % (status, out, err))
        need(err.count(sentence) == 1 and "2 of 3 prompts could not be answered" in err, err)


def stopped_terminals_hold_nobody():
    """Ctrl-S before the first word; then Ctrl-C, or Ctrl-Q."""
    want = b"".join(b"%d + 4 = %d.\r\n" % (i, i + 4) for i in range(5))
    for end, status in (("interrupt", 130), ("go on", 0)):
        master, slave = os.openpty()
        os.write(master, b"\x13")
        process = subprocess.Popen([*RUN, "--workers", "2", *prompts("five", *["What is %d + 4?" % i for i in range(5)])],
                                   stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.PIPE)
        time.sleep(0.5)
        need(process.poll() is None, "it ended although its terminal was stopped")
        if end == "interrupt": process.send_signal(signal.SIGINT)
        else: os.write(master, b"\x11")
        got = wait(process, 20, "a program on a stopped terminal")
        need(got[0] == status, "%s: status %d: %s" % (end, got[0], got[2]))
        need(status or os.read(master, 1000) == want, "not all came after Ctrl-Q")
        os.close(slave), os.close(master)


claim("what_stdout_does_not_take_is_said_by_every_command", cannot_be_written)
claim("descriptors_that_came_closed_get_nothing_of_what_is_opened", closed_descriptors)
claim("ctrl_c_ends_who_writes_to_a_full_pipe", full_pipes_end_with_ctrl_c)
claim("a_slow_reader_gets_all_and_keeps_nobody_from_listening", slow_readers_get_all)
claim("each_answer_is_written_when_its_turn_comes_and_what_is_missing_is_marked", answers_come_when_their_turn_comes)
claim("a_stopped_terminal_holds_back_its_answers_and_nothing_else", stopped_terminals_hold_nobody)
finish()
