#!/usr/bin/python3
"""Chat as people and scripts use it: what cannot be asked is said and dropped, and the conversation goes on."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

SUM, ANSWER = b"What is 3 + 4?\n", "3 + 4 = 7.\n"
SEES = ["--mmproj", os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")]
PICTURE = os.path.join(ROOT, "models/demo/picture.png")


def chat(lines, *options):
    return run(GEMMAPIPE, "chat", "--model", DEMO, "--temp", "0", "--here", "1", *options, stdin=lines)


def said(lines, wanted, words, *options, status=8):
    """The answers, a sentence that must be among the errors, and the exit status."""
    got, out, err = chat(lines, *options)
    need(got == status and out.decode() == wanted, "status %d, %r: %s" % (got, out.decode(), err[-600:]))
    need(words in err, "nothing says \"%s\": %s" % (words, err[-600:]))
    return err


# ---- lines that are no terminal's ----

def a_long_answer_allowed_forgets_nothing():
    _, out, err = chat(b"What is 3 + 4?\nWhat is 4 + 5?\nSpell river.\n", "-n", "8192")
    need(out.decode() == "3 + 4 = 7.\n4 + 5 = 9.\nr-i-v-e-r.\n", repr(out))
    need("forgotten" not in err, err)


def what_is_forgotten_is_counted_once():
    sums = b"".join(b"What is %d + %d?\n" % (i, i + 1) for i in range(1, 13))
    status, out, err = chat(sums, "--ctx", "128")
    need(status == 0 and out.count(b"\n") == 12, err)
    counts = [int(n) for n in re.findall(r"its oldest turns are forgotten \(questions with their answers: (\d+)\)", err)]
    need(len(counts) == err.count("forgotten") and 6 <= sum(counts) < 12, "forgotten: %s" % counts)


def too_long_a_question_is_dropped():
    err = said(SUM + b"word " * 300 + b"\n" + SUM, ANSWER * 2, "the context holds 128", "--ctx", "128")
    need("--ctx raises it" in err, err)
    trained = int(re.search(r"context\s+(\d+)", good(PARTITION, "inspect", DEMO).decode())[1])
    err = said(b"word " * (trained + 9) + b"\n" + SUM, ANSWER, "trained for no more", "--ctx", str(trained))
    need("--ctx" not in err, "advises what cannot be: %s" % err)


def too_long_a_line_is_dropped():
    said(SUM + b"x" * (3 << 20) + b"\n" + SUM, ANSWER * 2, "more than 1048576 bytes")
    said(b"x" * (1 << 20) + b"y", "", "more than 1048576 bytes")


def a_picture_without_an_encoder_is_no_end():
    said(b"/image %s\nDescribe the picture.\n" % PICTURE.encode() + SUM, ANSWER, "--mmproj")


def a_question_whose_picture_cannot_be_read_is_not_asked():
    said(b"/image no.png\nDescribe the picture.\n" + SUM, ANSWER, "because its picture was not there to be seen", *SEES)
    two = b"/image no.png\n/image %s\nDescribe the pictures.\n" % PICTURE.encode()
    said(two + SUM, ANSWER, "because its picture was not there to be seen", *SEES)


def commands_are_known_however_they_are_written():
    plain = good(GEMMAPIPE, "run", "--model", DEMO, "--temp", "0", *SEES, "--image", PICTURE, "Describe the picture.").decode()
    for word in (b"/image %s ", b"/Image %s\r", b"  \r\n/IMAGE   \"%s\"", b"/image\t'%s' \r"):
        said(word % PICTURE.encode() + b"\nDescribe the picture.\n", plain, "", *SEES, status=0)
    for word in (b"/bye", b"/Exit \r", b"/quit"): said(SUM + word + b"\n" + SUM, ANSWER, "", status=0)
    said(b"/help\n", "", "/image FILE", status=0)
    for word in (b"/image", b"/image  ", b"/picture x.png", b"/bye now", b"//"):
        said(word + b"\n" + SUM, ANSWER, "/image FILE, /help and /bye")


def a_slash_behind_a_blank_is_a_question():
    said(b" /help What is 3 + 4?\n", chat(b"  /help What is 3 + 4?\n")[1].decode(), "", status=0)


def a_zero_byte_cuts_no_question():
    cut, whole = (chat(b"What is 3 + 4?" + rest + b"\n", "--report", "--verbose")[2] for rest in (b"", b"\0 Spell river."))
    rows = [int(re.search(r"prompt:\s+(\d+)", err)[1]) for err in (cut, whole)]
    need(rows[1] >= rows[0] + 4, "the question became %d rows, what stands before the zero %d" % (rows[1], rows[0]))


# ---- at a terminal ----

STATE = path("state")
HISTORY = os.path.join(STATE, "gemmapipe", "chat_history")
LEAVE = "(Ctrl-D or /bye ends the conversation, another Ctrl-C too)"
CHAT = [GEMMAPIPE, "chat", "--model", DEMO, "--temp", "0"]


def remembered():
    with open(HISTORY) as f: return f.read().splitlines()


class Terminal:
    """A program at a pseudo-terminal of its own, its controlling terminal; the modes can be looked at when it has ended."""

    def __init__(self, *command):
        self.master, self.slave = pty.openpty()
        self.found, self.shown = self.modes(), ""
        self.resize(24, 80)
        os.makedirs(os.path.dirname(HISTORY), exist_ok=True), subprocess.run(["rm", "-f", HISTORY])
        self.p = subprocess.Popen([str(c) for c in command], stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
                                  preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), cwd=FOLDER,
                                  env=dict(os.environ, TERM="xterm", XDG_STATE_HOME=STATE, PS1="shell> "))

    def __enter__(self): return self

    def __exit__(self, *_):
        for pid in [*children_of(self.p.pid), self.p.pid]:
            try: os.kill(pid, signal.SIGKILL)
            except ProcessLookupError: pass
        self.p.wait(), os.close(self.master), os.close(self.slave)

    def modes(self): return termios.tcgetattr(self.slave)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text): os.write(self.master, text.encode())

    def look(self):
        there = bool(select.select([self.master], [], [], 0.1)[0])
        if there: self.shown += os.read(self.master, 65536).decode(errors="replace")
        return there

    def until(self, words):
        """What is shown up to these words; what comes after them is left for the next call."""
        end = time.time() + 20 * PATIENCE
        while words not in self.shown:
            need(time.time() < end, "%r was not shown: %r" % (words, self.shown[-800:]))
            self.look()
        before, self.shown = self.shown.split(words, 1)
        return before

    def ask(self, text, words):
        self.type(text)
        return self.until(words)

    def ends(self, status):
        end = time.time() + 20 * PATIENCE
        while self.p.poll() is None and time.time() < end: self.look()
        while self.look(): pass # its last words
        need(self.p.returncode == status, "ended with %s, wanted %d: %r" % (self.p.returncode, status, self.shown[-400:]))
        need(self.modes() == self.found, "the terminal was left changed: %s, found %s" % (self.modes(), self.found))


class Shell(Terminal):
    def __init__(self):
        super().__init__("bash", "--norc", "--noediting", "-i")
        self.until("shell> ")

    def start(self, command): self.type(" ".join(map(str, command)) + "\n"), self.until("\n> ")


def a_paste_is_one_question_and_never_reaches_the_shell():
    paste = "Fix this:\r\rtouch %s\r\r" % path("pwned")
    for sent, entry in (("\033[200~%s\033[201~\r" % paste, paste), (paste, paste[:-1])):
        with Shell() as s:
            s.start(CHAT)
            s.type(sent), s.until("\n> "), s.type("\004"), s.until("shell> ")
            need(s.ask("echo still$((1 + 1))\n", "still2") and not os.path.exists(path("pwned")), "the shell ran what was pasted")
            need(remembered() == [entry.replace("\r", "\\n")], remembered())


def a_picture_may_be_pasted_with_its_question():
    plain = good(GEMMAPIPE, "run", "--model", DEMO, "--temp", "0", *SEES, "--image", PICTURE, "Describe the picture.").decode()
    with Terminal(*CHAT, *SEES) as t:
        t.until("> "), t.type("\033[200~/image %s\rDescribe the picture.\033[201~\r" % PICTURE)
        t.until(plain.strip()), t.type("\004"), t.ends(0)


def an_empty_line_ends_nothing():
    with Terminal(*CHAT) as t:
        need(re.fullmatch(r"[^\n]*\n\S*", t.until("> ")), "something else is shown before the first prompt")
        t.ask("\r", "> "), t.ask("  \r", "> "), t.ask(SUM.decode(), ANSWER[:-1]), t.until("> ")
        t.type("/bye\r"), t.ends(0)


def a_line_of_any_length_is_whole():
    with Terminal(*CHAT) as t:
        t.until("> ")
        for i in range(10): t.type("x" * 999 + "-")
        t.type("end"), t.until("end"), t.type("\r"), t.until("\n> ")
        need(remembered() == [("x" * 999 + "-") * 10 + "end"], "%d bytes" % len(remembered()[0]))


def a_question_has_several_lines():
    with Terminal(*CHAT) as t:
        t.until("> "), t.type("one\\"), t.until("one"), t.type("\r"), t.until("\n")
        t.type("two\033\rthree\033[A\033[A!\r"), t.until("\n> ")
        need(remembered() == ["one!\\ntwo\\nthree"], remembered())


def what_was_typed_is_there_in_the_next_run():
    with Terminal(*CHAT) as a, Terminal(*CHAT) as b:
        a.until("> "), b.until("> ")
        for t, n in ((a, 1), (b, 2), (a, 3)): t.ask("What is %d + 4?\r" % n, "%d + 4 = %d." % (n, n + 4)), t.until("> ")
        a.type("\004"), b.type("\004"), a.ends(0), b.ends(0)
    need(remembered() == ["What is %d + 4?" % n for n in (1, 2, 3)] and os.stat(HISTORY).st_mode & 0o777 == 0o600, remembered())
    kept = open(HISTORY).read()
    with Terminal(*CHAT) as t:
        open(HISTORY, "w").write(kept)
        t.until("> "), t.type("half"), t.ask("\033[A\033[A\r", "2 + 4 = 6."), t.until("> ")
        t.ask("1 +\022\r", "1 + 4 = 5."), t.until("> ")
        need(remembered()[3:] == ["What is 2 + 4?", "What is 1 + 4?"], remembered())


def names_and_commands_are_completed():
    with Terminal(*CHAT, *SEES) as t:
        t.until("> "), t.ask("/im\t" + PICTURE[:-6] + "\t", PICTURE[-6:]), t.type("\r"), t.until("\n> ")
        t.ask("Describe the picture.\r", "A small black triangle")


def ctrl_c_stops_an_answer_and_the_second_ends():
    endless = [GEMMAPIPE, "chat", "--model", synth("endless.gguf", "--size", "tiny"), "-n", "4096", "--temp", "0"]
    with Terminal(*endless, "--workers", "2") as t:
        t.until("> ")
        for _ in range(2):
            t.ask("go on\r", "\n")
            while not t.shown: t.look()
            t.type("\003"), t.until("(stopped; "), t.until("> ")
        workers = children_of(t.p.pid)
        t.type("\003"), t.ends(130)
        need(len(workers) == 2 and all_gone(workers), "left behind: %s" % workers)


def ctrl_c_at_the_prompt_clears_the_line():
    with Terminal(*CHAT) as t:
        t.until("> "), t.ask("Spell river.\003", LEAVE), t.until("> ")
        t.ask(SUM.decode(), ANSWER[:-1]), t.until("> "), t.ask("\003", LEAVE), t.until("> "), t.type("\003"), t.ends(130)


def ctrl_z_gives_the_terminal_back():
    with Shell() as s:
        s.start(CHAT + ["--workers", "2"])
        s.type("What is 3"), s.until("What is 3"), s.type("\032"), s.until("Stopped"), s.until("shell> ")
        need("-icanon" not in s.ask("stty -a; echo mo''des\n", "modes") and s.modes()[3] & termios.ECHO, "modes of ours in the shell")
        s.ask("fg\n", "> What is 3"), s.ask(" + 4?\r", ANSWER[:-1]), s.until("> ")
        s.type("\004"), s.until("shell> ")


def a_log_may_go_elsewhere():
    with Terminal("sh", "-c", "exec %s 2>/dev/null" % " ".join(CHAT)) as t:
        t.until("> "), t.type("x" * 5000 + "\r"), t.until("\n> "), t.type("\004"), t.ends(0)
        need(remembered() == ["x" * 5000], "%d bytes" % len(remembered()[0]))


def a_history_that_is_no_file_is_done_without():
    with Terminal("sh", "-c", "mkfifo %s; exec %s" % (HISTORY, " ".join(CHAT))) as t:
        t.until("it is no regular file"), t.until("> "), t.ask(SUM.decode(), ANSWER[:-1]), t.until("> ")
        t.ask("\033[A", "What is 3"), t.ask("\r", ANSWER[:-1]), t.until("> "), t.type("\004"), t.ends(0)


def a_long_history_is_shortened_and_still_there():
    with Terminal("sh", "-c", "seq 200000 >%s; exec %s" % (HISTORY, " ".join(CHAT))) as t:
        t.until("> "), t.ask("\033[A", "200000"), t.type("\003"), t.until(LEAVE), t.type("\004"), t.ends(0)
        need(os.path.getsize(HISTORY) <= 1 << 19 and remembered()[-1] == "200000", "%d bytes" % os.path.getsize(HISTORY))


def a_window_may_change():
    with Terminal(*CHAT) as t:
        t.until("> "), t.type("What is "), t.until("What is "), t.resize(10, 20), t.type("." * 30), t.until(" \b"), t.type("\025")
        t.resize(50, 132), t.ask(SUM.decode(), ANSWER[:-1])
        t.until("> "), t.ask("\033[200~%send\033[201~" % ("line\r" * 12), "end"), t.resize(3, 80), t.type("ing\r"), t.until("\n> ")
        need(remembered()[-1] == "line\\n" * 12 + "ending", remembered()[-1])


def the_terminal_is_restored_whatever_ends_it():
    for number, status in ((signal.SIGTERM, 130), (signal.SIGABRT, -signal.SIGABRT), (signal.SIGQUIT, -signal.SIGQUIT)):
        with Terminal(*CHAT) as t:
            t.until("> "), t.type("half"), t.until("half"), t.p.send_signal(number), t.ends(status)
            need(t.shown.count("\033[?2004l") == 1, "pastes are still marked: %r" % t.shown)


for name, function in list(globals().items()):
    if type(function) is type(chat) and function.__module__ == "__main__" and name not in ("chat", "said", "remembered"):
        claim(name, function)
finish()
