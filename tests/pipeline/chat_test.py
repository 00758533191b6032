#!/usr/bin/python3
"""Chat as people and scripts use it: what cannot be asked is said and dropped, and the conversation goes on."""
import os
import re
import sys

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
    said(b"/image no.png\nDescribe the picture.\n" + SUM, ANSWER, "because its picture could not be read", *SEES)
    said(b"/image no.png\n/image %s\nDescribe the pictures.\n" % PICTURE.encode() + SUM, ANSWER, "because its picture could not be read", *SEES)


def commands_are_known_however_they_are_written():
    plain = good(GEMMAPIPE, "run", "--model", DEMO, "--temp", "0", *SEES, "--image", PICTURE, "Describe the picture.").decode()
    for word in (b"/image %s ", b"/Image %s\r", b"  \r\n/IMAGE   \"%s\"", b"/image\t'%s' \r"):
        said(word % PICTURE.encode() + b"\nDescribe the picture.\n", plain, "", *SEES, status=0)
    for word in (b"/bye", b"/Exit \r", b"/quit"): said(SUM + word + b"\n" + SUM, ANSWER, "", status=0)
    said(b"/help\n", "", "/image FILE", status=0)
    for word in (b"/image", b"/image  ", b"/picture x.png", b"/bye now", b"//"): said(word + b"\n" + SUM, ANSWER, "/image FILE, /help and /bye")


def a_slash_behind_a_blank_is_a_question():
    said(b" /help What is 3 + 4?\n", chat(b"  /help What is 3 + 4?\n")[1].decode(), "", status=0)


def a_zero_byte_cuts_no_question():
    cut, whole = (chat(b"What is 3 + 4?" + rest + b"\n", "--report", "--verbose")[2] for rest in (b"", b"\0 Spell river."))
    rows = [int(re.search(r"prompt:\s+(\d+)", err)[1]) for err in (cut, whole)]
    need(rows[1] >= rows[0] + 4, "the question became %d rows, what stands before the zero %d" % (rows[1], rows[0]))


for name, function in list(globals().items()):
    if callable(function) and getattr(function, "__module__", "") == "__main__" and name not in ("chat", "said"):
        claim(name, function)
finish()
