#!/usr/bin/python3
# turn: 0 (tests/run)
"""Pictures through the relay: the encoder cut over workers, rows in a prompt, against the float32 reference.
timeout: 600
"""
import base64
import os
import shutil
import random
import struct
import sys

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "reference"))
import numpy as np
import ref_gemma3
from drawn import ENCODER, corpus, normalised, png
from relay import *

SEES = ["--model", DEMO, "--mmproj", ENCODER, "--quiet"]


def scenes(n):
    rng = random.Random(11)
    return [(s, corpus.draw(s, rng)) for s in (corpus.scene(rng) for _ in range(n))]


SCENES = scenes(4)
PICTURES = [png("scene%d.png" % i, im) for i, (_, im) in enumerate(SCENES)]


def error(want, got):
    return float(((want.astype("f8") - got) ** 2).sum() / (want.astype("f8") ** 2).sum())


def rows(picture, *more):
    good(GEMMAPIPE, "embed-image", "--mmproj", ENCODER, "--image", picture, "--out", path("rows.f32"), "--quiet", *more)
    return np.fromfile(path("rows.f32"), "<f4")


def rows_near_the_reference():
    g, worst = ref_gemma3.GGUF(ENCODER), [0, 0]
    for (_, im), picture in zip(SCENES, PICTURES):
        want = ref_gemma3.vision(g, normalised(im)).reshape(-1)
        for i, way in enumerate(([], ["--vision-type", "q8_0", "--workers", "2"])):
            worst[i] = max(worst[i], error(want, rows(picture, *way)))
    need(worst[0] <= 1e-6, "error %.1e with the file's weights" % worst[0])
    need(worst[1] <= 1e-3, "error %.1e with q8_0" % worst[1])
    return "at most %.0e; with q8_0 %.0e" % tuple(worst)


def ways():
    yield "here 1", ["--here", "1"]
    yield "here 3", ["--here", "3", "--micro-batch", "5"]
    yield "two threads", ["--here", "2", "--threads", "2"]
    yield "local 2", ["--workers", "2"]
    yield "one worker sees", ["--workers", "3", "--vision-split", "0,4,0"]
    yield "more workers than layers", ["--workers", "5"]
    yield "copies", ["--workers", "3", "--vision-split", "copies"]
    yield "two copies, one blind", ["--here", "3", "--vision-split", "all,0,all"]
    yield "two see, three read", ["--workers", "5", "--vision-workers", "2", "--send-weights"]
    yield "sent weights", ["--workers", "3", "--send-weights", "--vision-split", "2,0,2"]


def one_hash():
    ask = [GEMMAPIPE, "run", *SEES, "--temp", "0", "--fingerprint", "--image", PICTURES[0], "--image", PICTURES[1], "Describe the picture."]
    want = good(*ask)
    for name, way in ways():
        need(good(*ask, *way) == want, "%s gives another answer" % name)
    for n in (1, 2, 3, 5):
        for threads in ("1", "2"):
            more = ["--threads", threads]
            need(good(*ask, "--workers", n, *more) == want, "%d workers of %s threads give another answer" % (n, threads))
            need(good(*mpirun(n + 1), *ask, *more) == want, "MPI with %d workers of %s threads gives another answer" % (n, threads))
            with Workers(n, *more) as w:
                need(good(*ask, *w.connect) == want, "ZeroMQ with %d workers of %s threads gives another answer" % (n, threads))
    need(good(*mpirun(4), *ask, "--vision-split", "copies") == want, "MPI gives another answer with copies")
    for n, way in ((4, ["--vision-workers", "2"]), (5, ["--vision-workers", "2", "--vision-split", "copies"])):
        need(good(*mpirun(n), *ask, *way) == want, "MPI gives another answer: %s" % way)
        with Workers(n - 1) as w:
            need(good(*ask, *w.connect, *way) == want, "ZeroMQ gives another answer: %s" % way)
    for way in (["--vision-split", "copies", "--send-weights"], ["--vision-split", "all,0,all"]):
        with Workers(3) as w:
            need(good(*ask, *w.connect, *way) == want, "ZeroMQ gives another answer: %s" % way)
    for isa in ("ref", "neon" if EMULATED else "avx2"):
        need(good(*ask, env={"GEMMAPIPE_ISA": isa}) == want, "%s gives another answer" % isa)


SEEN = "\n\n<start_of_image>" + "<image_soft_token>" * 16 + "<end_of_image>\n\n"
SOFT, STOP = 8, (1, 5)  # ids of the demo's vocabulary


def answer_of_reference(g, text, pictures, most=40):
    """What the reference says, greedily, to a rendered prompt; pictures: rows, in the order of their soft tokens."""
    ids = [int(i) for i in good(GEMMAPIPE, "tokenize", "--model", DEMO, "--special", stdin=text.encode()).split()]
    starts = [i for i, t in enumerate(ids) if t == SOFT and ids[i - 1] != SOFT]
    need(len(starts) == len(pictures), "%d places for %d pictures" % (len(starts), len(pictures)))
    said = []
    while len(said) < most:
        said.append(int(ref_gemma3.logits(g, ids + said, list(zip(starts, pictures)))[-1].argmax()))
        if said[-1] in STOP:
            break
    return good(GEMMAPIPE, "detokenize", "--model", DEMO, stdin=" ".join(map(str, said[:-1])).encode()).decode()


def user(text):
    return "<start_of_turn>user\n" + text + "<end_of_turn>\n<start_of_turn>model\n"


def answers_like_the_reference():
    os.environ["EMBED_SCALE"] = "bf16"
    g, e = ref_gemma3.GGUF(DEMO), ref_gemma3.GGUF(ENCODER)
    seen = [ref_gemma3.vision(e, normalised(im)) for _, im in SCENES]
    ask = "What colour is the background?"
    for chosen in ([0], [1, 2], [3, 0, 1]):
        want = answer_of_reference(g, "<bos>" + user(SEEN * len(chosen) + ask), [seen[i] for i in chosen])
        images = [x for i in chosen for x in ("--image", PICTURES[i])]
        got = good(GEMMAPIPE, "run", *SEES, "--temp", "0", "--workers", "3", *images, ask).decode().strip()
        need(got == want, "pictures %s: \"%s\", the reference says \"%s\"" % (chosen, got, want))
    turns = "/image %s\n%s\nWhat is 3 + 4?\n/image %s\n/image %s\nDescribe the picture.\n" % (PICTURES[0], ask, PICTURES[1], PICTURES[3])
    got = good(GEMMAPIPE, "chat", *SEES, "--temp", "0", "--workers", "2", stdin=turns.encode()).decode().splitlines()
    text = "<bos>"
    for question, pictures, i in ((SEEN + ask, [0], 0), ("What is 3 + 4?", [0], 1), (SEEN * 2 + "Describe the picture.", [0, 1, 3], 2)):
        want = answer_of_reference(g, text + user(question), [seen[k] for k in pictures])
        need(got[i] == want, "turn %d: \"%s\", the reference says \"%s\"" % (i + 1, got[i], want))
        text += user(question) + want + "<end_of_turn>\n"
    del os.environ["EMBED_SCALE"]


def same_picture_many_questions():
    with open(path("questions"), "w") as f:
        f.write("What colour is the background?\nHow many shapes are there?\nWhat colour is the background?\n" * 4)
    ask = [GEMMAPIPE, "run", *SEES, "--temp", "0", "--image", PICTURES[2], "--prompts", path("questions")]
    got = good(*ask, "--workers", "3", "--sequences", "5").decode().splitlines()
    need(len(got) == 12 and len(set(got)) == 2, repr(got))
    need(got[0] == "The background is %s." % SCENES[2][0]["background"], got[0])


def many_ways_to_bring_it():
    ask = [GEMMAPIPE, "run", *SEES, "--temp", "0", "--fingerprint", "What colour is the background?"]
    data = open(PICTURES[0], "rb").read()
    want = good(*ask, "--image", PICTURES[0])
    need(good(*ask, "--image", "-", stdin=data) == want, "stdin differs")
    need(good(*ask, "--image", "data:image/png;base64," + base64.b64encode(data).decode()) == want, "a data URL differs")


JPEG = (  # 8 x 8 pixels, baseline
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI//////////////////////////////////////////"
    "//////////2wBDAVVaWnhpeOuCguv/////////////////////////////////////////////////////////////////////////wAARCAAI"
    "AAgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/xAAYEAEAAwEAAAAAAAAAAAAAAAAAAhESIf/EABUBAQEAAAAAAAAAAAAAAAAAAA"
    "AB/8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAwDAQACEQMRAD8AqlrlAIP/2Q==")


def session_of(pid):
    """Processes alive in the session that pid began."""
    found = []
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open("/proc/%s/stat" % p).read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == pid and fields[0] != "Z":
            found.append(p)
    return found


def refused(status, words, *command):
    p = start(*command, own_group=True)
    got, _, err = wait(p, 30, " ".join(map(str, command))[-200:])
    need(got == status and words in err and len(err.strip().splitlines()) == 1, "status %d: %s" % (got, err))
    need(not session_of(p.pid), "something is left running after: %s" % err)


def prompts_as_other_programs_write_them():
    """A byte order mark, line ends of two bytes, names with blanks; more pictures than are held at once, and lines that cannot be
    asked, each named."""
    picture = path("a  picture's.png")
    shutil.copy(PICTURES[0], picture)
    one = b"What colour is the shape?"
    lines = [b'/image "%s" %s' % (picture.encode(), one), b"/image none.png what?", b"/image", b'/image "unfinished what?', b"/image  %s %s" % (PICTURES[0].encode(), one)]
    lines += [b'/image "%s" /image %s Which is larger?' % (picture.encode(), PICTURES[1].encode())] * 70
    open(path("written"), "wb").write(b"\xef\xbb\xbf" + b"\r\n".join(lines) + b"\r\n")
    status, out, err = run(GEMMAPIPE, "run", *SEES, "--temp", "0", "-n", "9", "--workers", "2", "--prompts", path("written"))
    ask = lambda question, *pictures: good(GEMMAPIPE, "run", *SEES, "--temp", "0", "-n", "9", *[w for p in pictures for w in ("--image", p)], question).replace(b"\n", b"\\n")[:-2]
    want = [ask(one, PICTURES[0]), *[b"\\unanswered"] * 3, ask(one, PICTURES[0]), *[ask("Which is larger?", *PICTURES[:2])] * 70]
    need(status == 8 and out.splitlines() == want, "status %d: %r" % (status, out[:600]))
    need(all("line %d: " % i in err for i in (2, 3, 4)) and "none.png" in err and "3 of 75" in err and err.count("line") == 3, err)
    open(path("written"), "w").write("/image %s " % PICTURES[0] * 65 + "Which?\n")
    status, _, err = run(GEMMAPIPE, "run", *SEES, "--prompts", path("written"))
    need(status == 2 and "more than 64 pictures" in err, "status %d: %s" % (status, err))


def bad_pictures():
    data = open(PICTURES[0], "rb").read()
    open(path("cut.png"), "wb").write(data[:len(data) // 2])
    open(path("huge.png"), "wb").write(data[:16] + struct.pack(">II", 100000, 100000) + data[24:])
    open(path("text.jpg"), "w").write("this is no picture")
    open(path("none.png"), "wb").close()
    open(path("zero.png"), "wb").write(data[:16] + struct.pack(">II", 0, 0) + data[24:])
    open(path("wide.ppm"), "wb").write(b"P6\n100000 100000\n255\nabc")
    open(path("web.webp"), "wb").write(b"RIFF\0\0\0\0WEBPVP8 " + bytes(40))
    jpeg = base64.b64decode(JPEG)
    open(path("whole.jpg"), "wb").write(jpeg)
    open(path("cut.jpg"), "wb").write(jpeg[:len(jpeg) - 30])
    at = jpeg.index(b"\xff\xc0") + 5
    open(path("huge.jpg"), "wb").write(jpeg[:at] + b"\xff\xff\xff\xff" + jpeg[at + 4:])
    good(GEMMAPIPE, "run", *SEES, "-n", "1", "--image", path("whole.jpg"), "hi")
    for name in ("cut.png", "huge.png", "zero.png", "text.jpg", "none.png", "missing.png", "wide.ppm", "web.webp", "cut.jpg", "huge.jpg"):
        way = ["--workers", "2"] if name in ("huge.png", "cut.jpg") else []
        refused(3, name, GEMMAPIPE, "run", *SEES, *way, "--image", path("whole.jpg"), "--image", path(name), "hi")
    refused(3, "cut.jpg", GEMMAPIPE, "embed-image", "--mmproj", ENCODER, "--image", path("cut.jpg"), "--out", path("no"), "--workers", "2", "--quiet")
    refused(3, "cut.jpg", GEMMAPIPE, "logits", *SEES, "--image", path("cut.jpg"), "--out", path("no"), "--here", "2", "hi")
    open(path("asked"), "w").write("hello\n/image %s what?\n" % path("cut.jpg"))
    for word, more in (("cut.jpg", [*SEES, "--workers", "2"]), ("--image", [*SEES, "--image", PICTURES[0]]), ("--mmproj", ["--model", DEMO, "--quiet"])):
        status, out, err = run(GEMMAPIPE, "run", *more, "-n", "4", "--prompts", path("asked"))
        need(status == 8 and "line 2" in err and word in err, "status %d: %s" % (status, err))
        need(len(out.splitlines()) == 2 and out.splitlines()[0] != b"\\unanswered" == out.splitlines()[1], "the other prompt was not answered: %r" % out)
    open(path("asked"), "w").write("hello\n%s\n" % ("a b c " * 1000))
    for word, more in (("trained for no more", []), ("--ctx raises it", ["--ctx", "64"])):
        status, out, err = run(GEMMAPIPE, "run", "--model", DEMO, "-n", "4", *more, "--prompts", path("asked"))
        need(status == 8 and "line 2" in err and word in err and err.count("--ctx") == word.count("--ctx"), "status %d: %s" % (status, err))
    for status, word, more in ((3, "cut.jpg", ["--image", path("cut.jpg")]), (2, "--vision-split", ["--vision-split", "1,1"]),
                               (4, "beside its part of the picture encoder", ["--vision-split", "copies", "--memory", "18M"])):
        with Workers(2) as w: # a run that was begun and failed ends its workers
            refused(status, word, GEMMAPIPE, "run", *SEES, *w.connect, *more, "--image", PICTURES[0], "hi")
    refused(2, "leaves no worker", GEMMAPIPE, "run", *SEES, "--workers", "2", "--vision-workers", "2", "--image", PICTURES[0], "hi")
    refused(2, "more than 64 pictures", GEMMAPIPE, "run", *SEES, *["--image", PICTURES[0]] * 65, "hi")
    refused(2, "--mmproj", GEMMAPIPE, "run", "--model", DEMO, "--image", PICTURES[0], "hi")
    other = synth("wide.gguf", "--size", "tiny")
    refused(3, "256", GEMMAPIPE, "run", "--model", other, "--mmproj", ENCODER, "--image", PICTURES[0], "hi")
    refused(3, "", GEMMAPIPE, "run", "--model", DEMO, "--mmproj", DEMO, "--image", PICTURES[0], "hi")
    refused(2, "context", GEMMAPIPE, "run", *SEES, "--workers", "2", "--ctx", "32", *["--image", PICTURES[0]] * 3, "hi")
    status, _, err = run(*mpirun(3), GEMMAPIPE, "run", *SEES, "--image", path("huge.png"), "hi")
    need(status == 3 and err.count("huge.png") == 1, "status %d: %s" % (status, err))
    refused(3, "--picture-memory raises it", GEMMAPIPE, "run", *SEES, "--picture-memory", "64K", "--image", PICTURES[0], "hi")
    planned = good(GEMMAPIPE, "plan", *SEES, "--workers", "2", "--image", PICTURES[0], "hi").decode()
    need("at most 384.00 MiB of the coordinator while it reads a picture" in planned, planned)
    refused(2, "--vision-split", GEMMAPIPE, "run", *SEES, "--workers", "2", "--vision-split", "1,1", "--image", PICTURES[0], "hi")


claim("rows_of_pictures_agree_with_the_reference", rows_near_the_reference)
claim("nothing_about_the_cluster_changes_what_is_seen", one_hash)
claim("answers_about_pictures_are_those_of_the_reference", answers_like_the_reference)
claim("one_picture_serves_many_questions", same_picture_many_questions)
claim("a_picture_comes_from_a_file_stdin_or_a_data_url", many_ways_to_bring_it)
claim("prompts_are_read_as_other_programs_write_them", prompts_as_other_programs_write_them)
claim("bad_pictures_get_one_sentence", bad_pictures)
finish()
