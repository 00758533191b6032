#!/usr/bin/python3
"""Rows of pictures against the float32 reference (tests/reference/ref_gemma3.py), for encoders of several shapes.

Normalised squared error: at most 1e-6 with the file's own weights, 1e-3 with q8_0. Cuts and threads change no bit.
"""
import os, subprocess, sys, tempfile
import numpy as np

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ROWS = os.path.join(ROOT, os.environ.get("B", "build"), "tests", "pipeline", "vision_rows")
sys.path.insert(0, os.path.join(ROOT, "tests", "reference"))
sys.dont_write_bytecode = True
import ref_gemma3

# The generator is a program: everything but its last line, which runs it.
synth = {"__name__": "synth"}
with open(os.path.join(ROOT, "tests", "reference", "synth_gguf.py")) as f:
    exec(compile(f.read().rsplit("main()", 1)[0], "synth_gguf.py", "exec"), synth)
F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8

#         name                    layers width ffn heads image patch pool hidden  matrices   swapped
SHAPES = [("heads_of_72",              2, 144, 200,  2,  112,  14,   4,   40, F16,  False),
          ("the_old_names",            3,  96, 160,  3,  112,  14,   4,   64, F16,  True),
          ("patches_not_in_sixteens",  2,  64, 112,  4,   70,  14,   5,   48, F32,  False),
          ("more_keys_than_a_piece",   2,  80, 128,  5,  288,  16,   2,   24, F16,  False),
          ("wide_pool_and_one_head",   1,  32,  96,  1,   96,   8,   3,   32, F32,  True),
          ("quantised_in_the_file",    2,  96, 160,  3,  112,  14,   4,   64, Q8_0, False)]
failed = 0


def verdict(name, good, text):
    global failed
    failed += not good
    print("%s %s%s" % ("ok" if good else "FAIL", name, "" if good else ": " + text), flush=True)


def make(path, shape, seed):
    """An encoder whose attention looks at some patches more than at others."""
    name, L, W, F, H, image, patch, pool, hidden, kind, swapped = shape
    kv, U32, STR, BOOL, F32T = (synth[k] for k in ("kv", "U32", "STR", "BOOL", "F32T"))
    c = "clip.vision."
    m = synth["Out"](path, np.random.default_rng(seed))
    m.meta += [kv("general.architecture", STR, "clip"), kv("clip.projector_type", STR, "gemma3"),
               kv("clip.has_vision_encoder", BOOL, True), kv("clip.use_gelu", BOOL, True)]
    m.meta += [kv(c + k, U32, v) for k, v in (("image_size", image), ("patch_size", patch), ("embedding_length", W),
               ("feed_forward_length", F), ("block_count", L), ("attention.head_count", H), ("projection_dim", hidden),
               ("projector.scale_factor", pool))]
    m.meta += [kv(c + "attention.layer_norm_epsilon", F32T, 1e-6)]
    m.add("v.patch_embd.weight", (patch, patch, 3, W), F32, 0.08); m.add("v.patch_embd.bias", (W,), F32, 0.1)
    m.add("v.position_embd.weight", (W, (image // patch) ** 2), F32, 0.3)
    for i in range(L):
        b = "v.blk.%d." % i
        up, down = ("ffn_down", "ffn_up") if swapped else ("ffn_up", "ffn_down")
        for n, d in (("attn_q", (W, W)), ("attn_k", (W, W)), ("attn_v", (W, W)), ("attn_out", (W, W)), (up, (W, F)), (down, (F, W))):
            m.add(b + n + ".weight", d, kind, 2.0 / W ** 0.5 if n in ("attn_q", "attn_k") else 1.0 / W ** 0.5)
            m.add(b + n + ".bias", (d[1],), F32, 0.1)
        for n in ("ln1", "ln2"):
            m.add(b + n + ".weight", (W,), F32, 0.1, 1.0); m.add(b + n + ".bias", (W,), F32, 0.1)
    m.add("v.post_ln.weight", (W,), F32, 0.1, 1.0); m.add("v.post_ln.bias", (W,), F32, 0.1)
    m.add("mm.input_projection.weight", (hidden, W), F16, 0.05); m.add("mm.soft_emb_norm.weight", (W,), F32, 0.1, 1.0)
    m.write()


def rows(directory, path, hidden, *more):
    out = os.path.join(directory, "out.f32")
    p = subprocess.run([ROWS, path, os.path.join(directory, "pixels.f32"), out, *more], capture_output=True, text=True)
    if p.returncode: return None, p.stderr.strip()
    return np.fromfile(out, "<f4").reshape(-1, hidden), ""


def error(a, b):
    return ((a.astype("f8") - b) ** 2).sum() / (b.astype("f8") ** 2).sum()


def compare(directory, name, path, most_as_file):
    g = ref_gemma3.GGUF(path)
    n, hidden, layers = (g.kv["clip.vision." + k] for k in ("image_size", "projection_dim", "block_count"))
    # Something of every scale: a gradient, stripes, noise.
    y, x = np.mgrid[0:n, 0:n].astype("f4") / n
    pixels = np.stack([x - y, np.sin(40 * x), np.cos(25 * y * x)], -1) * 0.7
    pixels = np.clip(pixels + 0.2 * np.random.default_rng(3).standard_normal((n, n, 3)), -1, 1).astype("<f4")
    pixels.tofile(os.path.join(directory, "pixels.f32"))
    want = ref_gemma3.vision(g, pixels)
    for kind, most in (("file", most_as_file), ("q8_0", 1e-3)):
        got, trouble = rows(directory, path, hidden, kind, "1")
        bad = error(got, want) if got is not None else 9
        print("  %s, %s: %.2e" % (name, kind, bad))
        verdict("%s_%s" % (name, kind), bad <= most, trouble or "error %.2e, wanted at most %.0e" % (bad, most))
        cut, trouble = rows(directory, path, hidden, kind, "2", ",".join(str(i) for i in range(1, layers)))
        verdict("%s_%s_cut_is_the_same" % (name, kind), cut is not None and got is not None and cut.tobytes() == got.tobytes(), trouble)


def main():
    with tempfile.TemporaryDirectory() as d:
        for i, shape in enumerate(SHAPES):
            path = os.path.join(d, shape[0] + ".gguf")
            make(path, shape, i)
            compare(d, shape[0], path, 1e-3 if shape[9] == Q8_0 else 1e-6)
        compare(d, "the_demo", os.path.join(ROOT, "models", "demo", "demo-mmproj-f16.gguf"), 1e-6)
    return 1 if failed else 0


sys.exit(main())
