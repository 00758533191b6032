#!/usr/bin/python3
"""Scores of prompts with pictures against the float32 reference and its picture mask, on random models and encoders: where
the picture stands, more than one, across the sliding window, in crops, from files with old and new names.
"""
import math
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "reference"))
import numpy as np
import ref_gemma3
from drawn import noise, normalised, png, stretched
from encoders import F16, F32, make
from relay import *

WINDOW, VOCAB, BOS, SOFT = 32, 512, 2, 265
TEXT = {"float": (["--seed", 5, "--matrix", "f16", "--embd", "f16"], 1e-6), "q4_0": (["--seed", 2], 1e-3)}
#                    name     layers width ffn heads image patch pool hidden
SMALL = ("sixteen_rows", 3, 96, 160, 3, 112, 14, 2, 256, F16, False)
LARGE = ("more_rows_than_the_window", 2, 64, 96, 2, 168, 14, 2, 256, F32, False)
CROPS = ("for_crops", 2, 64, 96, 2, 256, 32, 2, 256, F16, False)


class Sight:
    """An encoder, and pictures with what the reference makes of them."""

    def __init__(self, shape, swapped=False, seed=3):
        self.file = path("%s%d.gguf" % (shape[0], swapped))
        make(self.file, shape[:-1] + (swapped,), seed)
        self.side = shape[5]
        self.rows = (shape[5] // shape[6] // shape[7]) ** 2
        g = ref_gemma3.GGUF(self.file)
        self.pixels = [noise(self.side, self.side, i) for i in range(2)]
        self.files = [png("%s-%d.png" % (shape[0], i), p) for i, p in enumerate(self.pixels)]
        self.seen = [ref_gemma3.vision(g, normalised(p)) for p in self.pixels]


def text(n, seed):
    return [int(i) for i in np.random.default_rng(seed).integers(270, VOCAB, n)]


def prompt(sight, *parts):
    """parts: a number of words, or "A" or "B" for a picture. Returns ids, [(start, rows)], options."""
    ids, images, options = [BOS], [], []
    for i, part in enumerate(parts):
        if isinstance(part, int):
            ids += text(part, i)
            continue
        which = "AB".index(part)
        images.append((len(ids), sight.seen[which]))
        options += ["--image", sight.files[which]]
        ids += [SOFT] * sight.rows
    return ids, images, options


def ours(model, sight, ids, options, *way):
    out = path("scores.f32")
    good(GEMMAPIPE, "logits", "--model", model, "--mmproj", sight.file, *options, "--ids", ",".join(map(str, ids)), "--out", out, "--quiet",
         "--embed-scale", "exact", *way)
    return np.fromfile(out, "<f4").reshape(len(ids), -1)


def errors(want, got):
    w, g = want.astype("f8"), got.astype("f8")
    return ((w - g) ** 2).sum(1) / (w ** 2).sum(1)


def model_of(kind):
    return synth("text-%s.gguf" % kind, "--size", "tiny", *TEXT[kind][0])


WHERE = [("first", SMALL, ["A", 20]), ("last", SMALL, [20, "A"]), ("in_the_middle", SMALL, [9, "A", 30]),
         ("two", SMALL, [5, "A", 7, "B", 11]), ("the_same_twice", SMALL, ["A", 3, "A", 9]), ("long_after_the_window", SMALL, [70, "A", 3, "B", 60]),
         ("longer_than_the_window", LARGE, [13, "A", 50]), ("two_longer_than_the_window", LARGE, [1, "A", 1, "B"])]
SIGHTS = {s[0]: Sight(s) for s in (SMALL, LARGE)}


def agrees(shape, parts):
    sight, notes = SIGHTS[shape[0]], []
    ids, images, options = prompt(sight, *parts)
    pictured = np.array([i == SOFT for i in ids])
    for kind, (_, limit) in TEXT.items():
        want = ref_gemma3.logits(ref_gemma3.GGUF(model_of(kind)), ids, images)
        got = ours(model_of(kind), sight, ids, options, "--here", 2, "--micro-batch", 33)
        e = errors(want, got)
        for which, name in ((pictured, "rows of pictures"), (~pictured, "words")):
            need(np.median(e[which]) <= limit, "%s: error %.2e at the median of the %s, more than %.0e" % (kind, np.median(e[which]), name, limit))
        need(ours(model_of(kind), sight, ids, options, "--workers", 3, "--vision-split", "copies").tobytes() == got.tobytes(), "copies give other bits")
        notes.append("%s %.0e" % (kind, np.median(e)))
    return ", ".join(notes)


def the_mask_matters():
    """With the rows of a picture looking back only, the reference is far away: the claims above would see it."""
    sight = SIGHTS[SMALL[0]]
    ids, images, options = prompt(sight, 9, "A", 30)
    g = ref_gemma3.GGUF(model_of("float"))
    causal = ref_gemma3.logits(g, ids, [(start + i, rows[i:i + 1]) for start, rows in images for i in range(len(rows))])
    other = ref_gemma3.logits(g, ids, [(images[0][0], sight.seen[1])])
    got = ours(model_of("float"), sight, ids, options)
    need(np.median(errors(causal, got)) > 1e-4, "the picture's mask makes no difference: %.1e" % np.median(errors(causal, got)))
    need(np.median(errors(other, got)) > 1e-4, "which picture it is makes no difference: %.1e" % np.median(errors(other, got)))


def old_and_new_names():
    """An encoder file whose two ffn matrices have exchanged names is the same encoder, to the last bit."""
    new, old = SIGHTS[SMALL[0]], Sight(SMALL, swapped=True)
    ids, images, options = prompt(new, 4, "A", 8, "B", 5)
    got = [ours(model_of("q4_0"), s, ids, options, "--here", 3) for s in (new, old)]
    need(b"v.blk.0.ffn_down" in open(old.file, "rb").read() and open(old.file, "rb").read() != open(new.file, "rb").read(), "no other file")
    need(got[0].tobytes() == got[1].tobytes(), "other scores")
    e = np.median(errors(ref_gemma3.logits(ref_gemma3.GGUF(model_of("q4_0")), ids, images), got[1]))
    need(e <= 1e-3, "error %.1e" % e)


def crops_of(pixels):
    """As the published processor: the longer side in pieces, if it is long enough."""
    h, w = pixels.shape[:2]
    long, short = max(h, w), min(h, w)
    if long / short < 1.2:
        return []
    n = min(max(min(math.floor(long / short + 0.5), long // 256), 2), 4)
    size = math.ceil(long / n)
    if min(size, short) < 256:
        return []
    return [pixels[:, i * size:(i + 1) * size] if w >= h else pixels[i * size:(i + 1) * size] for i in range(n)]


def pan_and_scan():
    sight = Sight(CROPS)
    model, g, e = model_of("float"), ref_gemma3.GGUF(model_of("float")), ref_gemma3.GGUF(sight.file)
    seq = "\n\n<start_of_image>" + "<image_soft_token>" * sight.rows + "<end_of_image>\n\n"
    notes = []
    for h, w, n in ((256, 1024, 4), (701, 300, 2), (300, 350, 0), (255, 900, 0)):
        pixels = noise(h, w, h)
        squares = [stretched(p, sight.side) for p in [pixels] + crops_of(pixels)]
        need(len(squares) == 1 + n, "%d crops of %d x %d" % (len(squares) - 1, w, h))
        picture = seq
        if n:
            picture = "Here is the original image " + seq + " and here are some crops to help you see better " + " ".join([seq] * n)
        said = "<bos><start_of_turn>user\n" + picture + "ab cd<end_of_turn>\n<start_of_turn>model\n"
        ids = [int(i) for i in good(GEMMAPIPE, "tokenize", "--model", model, "--special", stdin=said.encode()).split()]
        starts = [i for i, t in enumerate(ids) if t == SOFT and ids[i - 1] != SOFT]
        need(len(starts) == 1 + n, "%d places for %d squares" % (len(starts), 1 + n))
        images = list(zip(starts, [ref_gemma3.vision(e, normalised(s)) for s in squares]))
        want = ref_gemma3.logits(g, ids, images)
        how = ["--model", model, "--mmproj", sight.file, "--image", png("pan.png", pixels), "--pan-and-scan", "--quiet", "--embed-scale", "exact"]
        good(GEMMAPIPE, "logits", *how, "--out", path("pan.f32"), "--workers", 2, "ab cd")
        got = np.fromfile(path("pan.f32"), "<f4").reshape(-1, want.shape[1])
        need(got.shape == want.shape, "%d rows, the reference has %d" % (len(got), len(want)))
        bad = np.median(errors(want, got))
        need(bad <= 1e-6, "%d x %d: error %.1e" % (w, h, bad))
        answer = [int(want[-1].argmax())]
        if n == 4:
            answer.append(int(ref_gemma3.logits(g, ids + answer, images)[-1].argmax()))
        words = good(GEMMAPIPE, "detokenize", "--model", model, stdin=" ".join(map(str, answer)).encode())
        ran = good(GEMMAPIPE, "run", *how, "--temp", 0, "-n", len(answer), "--workers", 3, "ab cd")
        need(ran.decode().strip() == words.decode(errors="replace").strip(), "answer %r, the reference's %r" % (ran, words))
        notes.append("%d crops %.0e" % (n, bad))
    return ", ".join(notes)


def places_and_pictures():
    sight = SIGHTS[SMALL[0]]
    ids, _, options = prompt(sight, 3, "A", 3)
    ask = [GEMMAPIPE, "logits", "--model", model_of("q4_0"), "--mmproj", sight.file, "--quiet", "--out", path("x.f32")]
    for given, more, word in ((ids, options * 2, "1 of the 2"), (ids + ids[4:], options, "more pictures"), (ids[:10], options, "6 places"),
                              (ids[:1], options, "0 of the 1")):
        status, _, err = run(*ask, *more, "--ids", ",".join(map(str, given)))
        need(status == 2 and word in err and len(err.splitlines()) == 1, "status %d: %s" % (status, err))
    status, _, err = run(*ask, *options, "--ids", "2,3", "and a prompt")
    need(status == 2 and "--ids" in err, err)
    need(not os.path.exists(path("x.f32")), "a file of scores from a command that was refused")


for case in WHERE:
    claim("scores_with_a_picture_%s_agree_with_the_reference" % case[0], agrees, *case[1:])
claim("the_reference_would_notice_a_wrong_mask", the_mask_matters)
claim("encoders_with_old_and_new_names_are_one", old_and_new_names)
claim("pan_and_scan_is_the_published_processors", pan_and_scan)
claim("places_without_picture_and_pictures_without_place_are_refused", places_and_pictures)
finish()
