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
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ref_gemma3
from encoders import F16, F32, Q8_0, make
from relay import OPENBLAS

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
    for kind, most in [("file", most_as_file), ("q8_0", 1e-3)] + [("float32", 1e-6)] * OPENBLAS:
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
