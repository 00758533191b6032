#!/usr/bin/python3
# turn: 1 (tests/run)
"""Ten million blocks of Q4_0 and of Q8_0, byte for byte against the published rule written a second time, in numpy.

Independent on purpose, down to the arithmetic: no fused multiply-add here. x*id of two f32 is exact in f64, and a fused
x*id + 8.5 reaches the integer N iff x*id >= N - 8.5 - h, h being half the distance to the f32 below N (a tie goes to N,
which is even in its last bit). That bound is exact in f64 too.
"""
import os, subprocess, sys, threading
import numpy as np

BUILD = os.environ.get("B", "build")
PIECE = 32768                                   # blocks: what quantize_rows takes at a time
HALF_BELOW = np.array([0, 2**-25, 2**-24, 2**-23, 2**-23] + [2**-22] * 4 + [2**-21] * 8)
rng = np.random.default_rng(20250409)


def q4_0(x):
    at = np.abs(x).argmax(1)                    # the first of equals
    d = x[np.arange(len(x)), at] / np.float32(-8)
    d[~x.any(1)] = -0.0
    with np.errstate(divide="ignore", over="ignore"): inverse = np.where(d == 0, np.float32(0), np.float32(1) / d)
    lost = np.isinf(inverse)
    product = x.astype(np.float64) * np.where(lost, 0, inverse).astype(np.float64)[:, None]
    q = np.floor(product + 8.5)
    close = np.nonzero(product + 8.5 - q > 1 - 2**-19)
    above = q[close] + 1
    q[close] += product[close] >= above - 8.5 - HALF_BELOW[above.astype(int)]
    q = np.minimum(q, 15).astype(np.uint8)
    q[lost] = 0
    out = np.empty((len(x), 18), np.uint8)
    out[:, :2] = d.astype("<f2").view(np.uint8).reshape(-1, 2)
    out[:, 2:] = q[:, :16] | q[:, 16:] << 4
    return out


def q8_0(x):
    d = np.abs(x).max(1) / np.float32(127)
    with np.errstate(divide="ignore", over="ignore"): inverse = np.where(d == 0, np.float32(0), np.float32(1) / d)
    inverse[np.isinf(inverse)] = 0
    v = (x * inverse[:, None]).astype(np.float64)
    out = np.empty((len(x), 34), np.uint8)
    out[:, :2] = d.astype("<f2").view(np.uint8).reshape(-1, 2)
    out[:, 2:] = np.trunc(v + np.copysign(0.5, v)).astype(np.int8).view(np.uint8)
    return out


def normal():
    return rng.standard_normal((PIECE, 32), np.float32) * np.float32(0.03)


def bf16():
    return (normal().view(np.uint32) & np.uint32(0xffff0000)).view(np.float32)


def ties():
    """Multiples of an eighth: extremes of both signs, quants exactly between two."""
    return rng.integers(-16, 17, (PIECE, 32)).astype(np.float32) / np.float32(8)


def edges():
    """A few units in the last place around every value where a quant changes."""
    x = np.empty((PIECE, 32), np.float32)
    x[:, 0] = (1 + rng.random(PIECE, np.float32)) * rng.choice(np.array([-1, 1], np.float32), PIECE)
    steps = np.where(rng.random((PIECE, 1)) < 0.5, 8, 127).astype(np.float32)
    level = np.floor((rng.random((PIECE, 31)) * 2 - 1) * (steps - 1)).astype(np.float32) + np.float32(0.5)
    v = x[:, :1] / steps * level
    x[:, 1:] = (v.view(np.int32) + rng.integers(-2, 3, v.shape, np.int32)).view(np.float32)
    return x


def tiny():
    """Every exponent from subnormal up, one range per block; some blocks all zero, some of signed zeros."""
    exponent = (rng.integers(0, 100, (PIECE, 1)) + rng.integers(-6, 1, (PIECE, 32))).clip(0).astype(np.uint32)
    bits = rng.integers(0, 2**32, (PIECE, 32), np.uint32) & np.uint32(0x807fffff) | exponent << np.uint32(23)
    x = bits.view(np.float32)
    x[::50] = 0
    x[1::50] = np.copysign(np.float32(0), x[1::50])
    x[2::50, 5:] = 0
    return x


KINDS = [(bf16, 130), (normal, 80), (edges, 70), (ties, 30), (tiny, 20)]     # pieces: 330 * 32768 = 10.8 million blocks


class Rows:
    """A running quantize_rows: one piece in, its blocks out."""

    def __init__(self, kind, which="best"):
        self.p = subprocess.Popen([os.path.join(BUILD, "tests/peer/quantize_rows"), kind, which],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(self, x):
        self.p.stdin.write(x.tobytes())
        self.p.stdin.flush()

    def blocks(self, size):
        return np.frombuffer(self.p.stdout.read(PIECE * size), np.uint8).reshape(-1, size)

    def close(self):
        self.p.stdin.close()
        return self.p.wait()


def work_on(pieces, rows, seen, lock):
    """Compares pieces until none is left; numpy lets go of the interpreter, so two of these use two cores."""
    while True:
        with lock:
            if not pieces: return
            make, x = pieces.pop()
            if x is None: x = make()
            for r in rows.values(): r.send(x)
            got = {"q4_0": rows["q4_0"].blocks(18), "q8_0": rows["q8_0"].blocks(34)}
        for kind, rule in (("q4_0", q4_0), ("q8_0", q8_0)):
            want = rule(x)
            bad = np.nonzero((want != got[kind]).any(1))[0] if len(got[kind]) == len(want) else [0]
            with lock:
                seen[kind] += len(got[kind])
                if len(bad) and len(seen["bad"]) < 5:
                    i = bad[0]
                    seen["bad"].append("%s of %s: %s gives %s, the rule %s" % (kind, make.__name__, x[i].tolist(),
                                       bytes(got[kind][i]).hex() if len(got[kind]) > i else "nothing", bytes(want[i]).hex()))


def published_vectors_hold_for_the_rule_written_here():
    ramp = ((np.arange(32) - 15) / 8).astype(np.float32)[None]
    pair = np.full((1, 32), 0.3, np.float32)
    pair[0, :2] = -1, 1
    return [] if (q4_0(ramp).tobytes().hex() == "00b48f7f7f6e6e5d5d4c4c3b3b2a2a191908"
                  and q4_0(pair).tobytes().hex() == "0030a0af" + "aa" * 14
                  and q4_0(np.zeros((1, 32), np.float32)).tobytes().hex() == "0080" + "88" * 16
                  and q8_0(pair).tobytes().hex() == "0820817f" + "26" * 30) else ["the numpy rule is wrong"]


def ten_million_blocks_are_byte_for_byte_the_published_rule():
    pieces = [(make, None) for make, count in KINDS for _ in range(count)]
    rows, seen, lock = {k: Rows(k) for k in ("q4_0", "q8_0")}, {"q4_0": 0, "q8_0": 0, "bad": []}, threading.Lock()
    hands = [threading.Thread(target=work_on, args=(pieces, rows, seen, lock)) for _ in range(2)]
    for h in hands: h.start()
    for h in hands: h.join()
    ends = [r.close() for r in rows.values()]
    print("%d blocks of Q4_0, %d of Q8_0 compared" % (seen["q4_0"], seen["q8_0"]))
    if any(ends) or min(seen["q4_0"], seen["q8_0"]) < 10_000_000: seen["bad"].append("ended with %s" % ends)
    return seen["bad"]


def the_plain_version_too_on_every_kind_of_block():
    pieces = [(make, None) for make, _ in KINDS]
    rows, seen = {k: Rows(k, "plain") for k in ("q4_0", "q8_0")}, {"q4_0": 0, "q8_0": 0, "bad": []}
    work_on(pieces, rows, seen, threading.Lock())
    return seen["bad"] + [str(e) for e in (r.close() for r in rows.values()) if e]


def main():
    failed = 0
    for claim in (published_vectors_hold_for_the_rule_written_here, the_plain_version_too_on_every_kind_of_block,
                  ten_million_blocks_are_byte_for_byte_the_published_rule):
        bad = claim()
        for line in bad: print("   ", line)
        print("%s %s" % ("FAIL" if bad else "ok", claim.__name__), flush=True)
        failed |= bool(bad)
    return failed


sys.exit(main())
