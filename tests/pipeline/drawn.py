"""Pictures for the pipeline tests: drawn by the demo's corpus, or noise of any size, written as PNG."""
import os
import random
import struct
import sys
import zlib

import numpy as np
from relay import ROOT, path

sys.path.insert(0, os.path.join(ROOT, "models/demo"))
import corpus

ENCODER = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")


def png(name, pixels):
    h, w, _ = pixels.shape
    raw = np.concatenate([np.zeros((h, 1), "u1"), pixels.reshape(h, w * 3)], 1).tobytes()
    chunk = lambda t, d: struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
    with open(path(name), "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))
    return path(name)


def scenes(n, seed):
    """Files of n drawn pictures."""
    rng = random.Random(seed)
    return [png("scene%d-%d.png" % (seed, i), corpus.draw(corpus.scene(rng), rng)) for i in range(n)]


def noise(height, width, seed):
    """Something of every scale: a gradient, stripes, noise."""
    y, x = np.mgrid[0:height, 0:width].astype("f4") / max(height, width)
    im = np.stack([x - y, np.sin(40 * x), np.cos(25 * y * x)], -1) * 90 + 128
    return np.clip(im + 30 * np.random.default_rng(seed).standard_normal(im.shape), 0, 255).astype("u1")


def normalised(pixels):
    return pixels.astype("f4") / np.float32(127.5) - 1


def _weights(n, m):
    """Pillow's bilinear, in 22 bits: which of n inputs make each of m outputs (docs/MODEL.md, "Pictures")."""
    out, s = np.zeros((m, n), "i8"), n / m
    r = max(s, 1)
    for j in range(m):
        c = (j + 0.5) * s
        x = np.arange(max(0, int(c - r + 0.5)), min(n, int(c + r + 0.5)))
        w = np.maximum(0, 1 - np.abs(x + 0.5 - c) / r)
        out[j, x] = (0.5 + w / w.sum() * 2 ** 22).astype("i8")
    return out


def stretched(pixels, side):
    """[side, side, 3]: first across, rounded to 8 bits, then down."""
    down = lambda x: np.clip((np.tensordot(_weights(len(x), side).astype("f8"), x.astype("f8"), 1).astype("i8") + 2 ** 21) >> 22, 0, 255)
    x = pixels.astype("i8")
    if x.shape[1] != side: x = down(x.transpose(1, 0, 2)).transpose(1, 0, 2)
    if x.shape[0] != side: x = down(x)
    return x.astype("u1")
