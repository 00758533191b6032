#!/usr/bin/python3
"""Our scores against a float32 reference that shares no code with us (tests/reference/ref_gemma3.py), on synthetic models
of many shapes. With float matrices only rounding (of keys and values to f16 above all) separates the two; with quantised ones the 8-bit activations do.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "reference"))
import numpy as np
import ref_gemma3
from relay import *

# name, options of synth, largest normalised squared error at the median position
SHAPES = [
    ("plain", ["--seed", 1], 1e-3),
    ("seed_2", ["--seed", 2, "--embd", "q4_0"], 1e-3),
    ("seed_3_q8_embedding", ["--seed", 3, "--embd", "q8_0"], 1e-3),
    ("q6_k_head", ["--seed", 4, "--embd", "q6_k"], 1e-3),
    ("float_matrices", ["--seed", 5, "--matrix", "f16", "--embd", "f16"], 1e-6),
    ("bfloat_matrices", ["--seed", 5, "--matrix", "bf16", "--embd", "f16"], 1e-6),
    ("q6_k_matrices", ["--seed", 6, "--matrix", "q6_k", "--head-dim", 128, "--heads", 4], 1e-3),
    ("q8_0_matrices", ["--seed", 7, "--matrix", "q8_0"], 1e-3),
    ("two_globals_head_64_gqa_1", ["--seed", 8, "--layers", 13, "--heads", 4, "--kv-heads", 4], 1e-3),
    ("head_128_gqa_2", ["--seed", 9, "--heads", 4, "--kv-heads", 2, "--head-dim", 128], 1e-3),
    ("head_256_gqa_4", ["--seed", 10, "--heads", 4, "--kv-heads", 1, "--head-dim", 256], 1e-3),
    ("odd_ffn_narrow_window", ["--seed", 11, "--ffn", 608, "--window", 5], 1e-3),
    ("ffn_one_block_more", ["--seed", 12, "--ffn", 544, "--hidden", 288, "--embd", "q8_0", "--window", 64], 1e-3),
]
N = 90  # crosses the window of 32 and leaves it behind


def ids_for(vocab):
    r = np.random.default_rng(vocab)
    return [2] + [int(i) for i in r.integers(5, vocab, N - 1)]


def ours(model, ids, *more):
    out = path("ours.f32")
    good(GEMMAPIPE, "logits", "--model", model, "--ids", ",".join(map(str, ids)), "--out", out, "--quiet", *more)
    return np.fromfile(out, "<f4").reshape(len(ids), -1)


def errors(want, got):
    w, g = want.astype("f8"), got.astype("f8")
    return ((w - g) ** 2).sum(1) / (w ** 2).sum(1)


def agrees(name, options, limit):
    model = synth("ref-%s.gguf" % name, "--size", "tiny", *options)
    vocab = 512
    ids = ids_for(vocab)
    want = ref_gemma3.logits(ref_gemma3.GGUF(model), ids)
    got = ours(model, ids, "--embed-scale", "exact", "--here", 2, "--micro-batch", 33)
    need(got.shape == want.shape, "shape %s instead of %s" % (got.shape, want.shape))
    e = errors(want, got)
    need(np.median(e) <= limit, "error %.2e at the median position, more than %.0e" % (np.median(e), limit))
    top = np.sort(want, 1)
    noise = np.sqrt(((want - got) ** 2).mean(1))
    clear = top[:, -1] - top[:, -2] > 6 * noise
    same = want.argmax(1) == got.argmax(1)
    need(same[clear].all(), "%d of %d clear winners differ" % ((~same[clear]).sum(), clear.sum()))
    return "median error %.1e, %d of %d likeliest tokens equal" % (np.median(e), same.sum(), N)


def exact(name, options, _):
    """Float32 math rounds nothing: one bound for every format, and the same bits whoever computes."""
    model = synth("ref-%s.gguf" % name, "--size", "tiny", *options)
    ids = ids_for(512)
    want = ref_gemma3.logits(ref_gemma3.GGUF(model), ids)
    asked = ["--embed-scale", "exact", "--math", "float32"]
    got = ours(model, ids, *asked, "--here", 1, "--micro-batch", 33)
    need(errors(want, got).max() <= 1e-6, "error %.1e" % errors(want, got).max())
    need((ours(model, ids, *asked, "--workers", 3, "--micro-batch", 7) == got).all(), "the cut changes a score")
    return "largest error %.1e" % errors(want, got).max()


def deep_positions():
    """A small 4B, so with scaled rotation, up to the last position there is, behind keys and values that are drawn."""
    model = synth("ref-deep.gguf", "--size", "4b", "--layers", 7, "--hidden", 256, "--ffn", 512, "--heads", 2, "--kv-heads", 1, "--head-dim", 64,
                  "--vocab", 512, "--matrix", "f16", "--embd", "f16", "--window", 48)
    need(ref_gemma3.GGUF(model).kv["gemma3.rope.scaling.factor"] == 8, "the rotation is not scaled")
    worst = 0
    for depth, n in ((1000, 60), (131072 - 12, 12)):
        ids = ids_for(512)[:n]
        want = ref_gemma3.logits(ref_gemma3.GGUF(model), ids, depth=depth)
        deep = ["--embed-scale", "exact", "--depth-drawn", depth]
        got = ours(model, ids, *deep, "--here", 2, "--micro-batch", 33)
        need((ours(model, ids, *deep, "--here", 3, "--split", "2+3,4+0,1+13", "--micro-batch", 512) == got).all(), "the cut changes a score at %d" % depth)
        worst = max(worst, errors(want, got).max())
        need(worst <= 1e-6, "error %.1e behind %d positions" % (worst, depth))
    return "largest error %.1e" % worst


def the_scale_as_trained():
    """sqrt(256) = 16 is exact in bf16; a hidden size of 288 tells the two rules apart."""
    model = synth("ref-scale.gguf", "--size", "tiny", "--hidden", 288, "--embd", "f16", "--matrix", "f16", "--seed", 20)
    ids = ids_for(512)[:20]
    g = ref_gemma3.GGUF(model)
    exact = ref_gemma3.logits(g, ids)
    os.environ["EMBED_SCALE"] = "bf16"
    rounded = ref_gemma3.logits(g, ids)
    del os.environ["EMBED_SCALE"]
    far = np.median(errors(exact, rounded))
    need(np.median(errors(rounded, ours(model, ids))) < far / 3, "the default is not the rounded scale")
    need(np.median(errors(exact, ours(model, ids, "--embed-scale", "exact"))) < far / 3, "exact is not exact")


def the_demo():
    ids = [2] + [int(x) for x in good(GEMMAPIPE, "tokenize", "--model", DEMO, stdin=b"What is the capital of Peru? " * 8).split()]
    want = ref_gemma3.logits(ref_gemma3.GGUF(DEMO), ids)
    e = errors(want, ours(DEMO, ids, "--embed-scale", "exact", "--here", 3))
    need(np.median(e) <= 1e-3, "error %.2e" % np.median(e))
    return "median error %.1e over %d positions" % (np.median(e), len(ids))


for shape in SHAPES:
    claim("scores_agree_with_the_reference_" + shape[0], agrees, *shape)
if OPENBLAS:
    for shape in SHAPES:
        claim("float32_math_is_the_reference_" + shape[0], exact, *shape)
else:
    print("skip float32_math_is_the_reference: libopenblas0 is not installed")
claim("scores_agree_with_the_reference_demo", the_demo)
claim("scores_agree_with_the_reference_up_to_position_131071", deep_positions)
claim("embedding_rows_are_scaled_as_the_model_was_trained", the_scale_as_trained)
finish()
