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
