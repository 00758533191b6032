#!/usr/bin/env python3
"""Makes wire.txt: the bytes of one frame of every message, written from docs/WIRE.md alone, without the program's code.

    python3 tests/golden/make_wire.py > tests/golden/wire.txt
    python3 tests/golden/make_wire.py tests/fuzz/seeds/wire_fuzz       # the same frames as seeds, a file each

The values are those of tests/support/samples.h. Uses nothing but the standard library: the hash of the piece is a constant,
computed with xxhsum."""
import os
import struct
import sys

POLY = 0x82F63B78
TABLE = []
for i in range(256):
    c = i
    for _ in range(8):
        c = (c >> 1) ^ (POLY if c & 1 else 0)
    TABLE.append(c)


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = (c >> 8) ^ TABLE[(c ^ b) & 255]
    return c ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283

TYPES = {name: i + 1 for i, name in enumerate(
    "HELLO GREET ASSIGN ACCEPT PIECE PIECE_ACK READY WORK RESULT LOGITS PING PONG REPORT_ASK REPORT STOP FAULT CREDIT LOST - PICTURE PICTURE_ROWS DIARY_ASK DIARY SCORE SCORED PROBE PROBED UNREACHABLE MEET - LEAVE HERE - - - - - ROW_HASHES CHECK".split())}


ON_A_ROUTE = "WORK RESULT LOGITS SCORE SCORED PICTURE PICTURE_ROWS ROW_HASHES".split()


def frame(name, body=b"", run=0, plan=0, epoch=0, sequence=0, sender=0, to=0):
    route = 513 if name in ON_A_ROUTE else 0
    head = struct.pack("<4sHHQQIIHHHHQIQ", b"GPIP", 5, TYPES[name], run, plan, epoch, sequence, sender, to, route, 0, len(body),
                       crc32c(body), 0)
    assert len(head) == 60
    return name, head + struct.pack("<I", crc32c(head)) + body


def text(s):
    b = s.encode()
    return struct.pack("<H", len(b)) + b


def sampling():
    return struct.pack("<fIfffIQ", 0.7, 64, 0.95, 0.05, 1.1, 64, 0x1122334455667788)


def work(dtype, activations, top=0, biases=(), orders=(), told=()):
    body = struct.pack("<QIIIB3xI4x", 0xB0B1B2B3B4B5B6B7, 2, 6, 5, dtype, len(orders))
    body += struct.pack("<IIIIQQ", 3, 100, 4, 4 | (32 if told else 0), 0x0102030405060708, 0x1112131415161718)
    body += (sampling() if not told else struct.pack("<fIfffIQ", 0, 0, 0, 0, 1, 0, 0)) + struct.pack("<II", len(told), 0)
    body += struct.pack("<IIIIQQ", 9, 0, 2, 1 | 8, 42, 0x67656D6D61706970) + sampling() + struct.pack("<II", 1, top)
    for i in range(6):
        body += struct.pack("<II", 1000 + i, 103 if i < 4 else i - 4)
    body += b"".join(struct.pack("<4IQ", *o) for o in orders)
    assert len(body) % 8 == 0
    body += bytes(range(activations)) + struct.pack("<II", len(biases), 0)
    return frame("WORK", body + b"".join(struct.pack("<IIf", *b) for b in biases) + struct.pack("<%dI" % len(told), *told))


piece = bytes(range(200, 236))
PIECE_HASH = 0xA2401C0E50F6202A  # XXH3_64bits of `piece`
config = struct.pack("<10I5f", 26, 1152, 6912, 4, 1, 256, 512, 6, 32768, 262144, 1e6, 1e4, 8.0, 1e-6, 0.0625)

encoder = struct.pack("<8If", 896, 14, 27, 1152, 4304, 16, 4, 2560, 1e-6)


def chain(part, front, route, epoch, after, fingerprint, address, path, types, hashes=(), before=0, keys=bytes(64), relayed=0, back=""):
    return (struct.pack("<4IBBHHHIQQQ", *part, front, relayed, route, after, before, epoch, 0x2122232425262728 if route else 0, *fingerprint) + keys + text(address) + text(back) + text(path)
            + struct.pack("<I", len(types)) + bytes(types) + struct.pack("<I%dQ" % len(hashes), len(hashes), *hashes))


def assign(has_text):
    body = struct.pack("<IBBxx3Bx", 2, has_text, 1, 0, 1, 1)
    if has_text:
        body += config + struct.pack("<5I", 4096, 8, 512, 4, 400)
        body += chain((7, 19, 3, 9), 0, 1, 6, 3, (0x1234567890ABCDEF, 0xFEDCBA0987654321), "tcp://10.0.0.7:7001", "/models/gemma-3-1b.gguf",
                      [0, 2, 2, 1, 14, 2, 0], [0x4142434445464748 + i for i in range(7)], 9, bytes(range(64)), 1, "tcp://[fe80::9]:7009")
    body += encoder + struct.pack("<IB3x", 2, 1)
    return body + chain((9, 27, 0, 1), 0, 2, 5, 0, (0x0011223344556677, 0x8899AABBCCDDEEFF), "", "/models/mmproj.gguf", [1, 0, 0, 8, 0])


def probe():
    part = struct.pack("<IBBxx3Bx", 2, 0, 1, 0, 0, 0) + struct.pack("<8If", 112, 14, 27, 1152, 4304, 16, 4, 2560, 1e-6) + struct.pack("<IB3x", 1, 0)
    body = struct.pack("<III6I", 300, 9, 2, 1, 1, 64, 8, 4, 0) + struct.pack("<I", 3) + b"abc" + struct.pack("<Q", 123456789)
    return body + part + chain((1, 2, 0, 0), 0, 0, 0, 1, (0, 0), "", "", [1, 0, 0, 8, 0])


FRAMES = [
    frame("GREET", struct.pack("<HHIQ3Bx", 2, 4, 3, 0x5A5A5A5A12345678, 1, 2, 1)),
    frame("HELLO", struct.pack("<IIQQIIIIQ", 4242, 8, 17 << 30, 0x3132333435363738, 3, 1500, 100000, 4000, 0x4142434445464748) + text("0.1") + text("attic") + text("avx512-vnni") + text("Xeon") + text("OpenBLAS")),
    frame("ASSIGN", assign(True)),
    frame("ACCEPT", struct.pack("<6QI", 1, 2, 3, 4, 5, 15, 5) + bytes([1, 1, 0, 0, 1])),
    frame("PIECE", struct.pack("<III4xQQ", 5, 6, 2, PIECE_HASH, len(piece)) + piece),
    frame("PIECE_ACK"),
    frame("READY", struct.pack("<Qd", 123456789, 2.5)),
    work(0, 120),
    work(1, 60, orders=[(4, 0, 7, 0, 0), (2, 9, 255, 64, 0x3132333435363738)]),
    frame("RESULT", struct.pack("<QI4x", 12, 2) + struct.pack("<IIIfQI4x", 1, 200, 5000, -0.5, 0x0F0E0D0C0B0A0908, 0)
          + struct.pack("<IIIfQI4x", 2, 201, 5001, -1.5, 0, 0)),
    frame("LOGITS", struct.pack("<QIIQI4x", 11, 2, 77, 0xABCDEF, 5) + bytes(range(20))),
    frame("PING", struct.pack("<QQIIQQ", 1, 2, 3, 0, 5, 0)),
    frame("PONG", struct.pack("<QQIIQQ", 4, 5, 6, 7, 8, 9)),
    frame("REPORT_ASK"),
    frame("REPORT", struct.pack("<13Q", *range(1, 14))),
    frame("STOP"),
    frame("FAULT", struct.pack("<I", 3) + text("the file is gone")),
    frame("ASSIGN", assign(False)),
    frame("PICTURE", struct.pack("<QII", 31, 3, 2) + bytes(range(24))),
    frame("PICTURE_ROWS", struct.pack("<QII", 31, 3, 2) + bytes(range(24))),
    frame("DIARY_ASK", struct.pack("<Q", 1234567)),
    frame("DIARY", struct.pack("<QQQI4x", 99, 7, 9, 2) + struct.pack("<QQQII", 10, 20, 3, 128, 0) + struct.pack("<QQQII", 21, 40, 5, 9, 1)),
    frame("SCORE", struct.pack("<QIIIB3xI4x", 0xB0B1B2B3B4B5B6B7, 1, 1, 5, 0, 0)
          + struct.pack("<IIIIQQ", 9, 1, 1, 8, 42, 0x67656D6D61706970) + sampling() + struct.pack("<II", 1, 0)
          + struct.pack("<II", 1005, 1) + bytes(range(20)) + struct.pack("<II", 0, 0)),
    frame("SCORED", struct.pack("<QIIII", 12, 9, 1, 3, 2) + struct.pack("<ffQ", 1.5, 2.5, 77) + struct.pack("<ffQ", -1.5, 1, 78)
          + struct.pack("<I", 3) + struct.pack("<Iff", 60000, 1.5, 3) + struct.pack("<Iff", 70000, 1.25, 1.25) + struct.pack("<Iff", 70001, 1.25, 1.25)),
    work(0, 120, 20, [(9, 1, float("-inf")), (9, 106, -100), (9, 70000, 0.5)]),
    frame("RESULT", struct.pack("<QI4x", 12, 2) + struct.pack("<IIIfQI4x", 1, 200, 5000, -0.5, 0, 2) + struct.pack("<IfIf", 7, -0.25, 5000, -0.5)
          + struct.pack("<IIIfQI4x", 2, 201, 5001, -1.5, 0, 0)),
    frame("SCORED", struct.pack("<QIIII", 12, 9, 1, 3, 1) + struct.pack("<ffQ", 1.5, 2.5, 77) + struct.pack("<IIff", 1, 60000, 1.5, 3)
          + struct.pack("<IIfIf", 2, 60000, 3, 70000, 1.25)),
    frame("PROBE", probe()),
    frame("PROBED", struct.pack("<I4dI", 2, 0.25, 0.5, 0, 0, 3) + b"xyz"),
    frame("UNREACHABLE", struct.pack("<IB", 3, 1) + text("it broke")),
    work(0, 120, told=(1002, 70000)),
    frame("LEAVE"),
    frame("HERE"),
    frame("MEET", struct.pack("<II?3x", 2, 4096, True) + bytes(range(32)) + text("tcp://b:7001")),
    frame("ROW_HASHES", struct.pack("<QIII4x", 9, 4, 2, 3) + bytes(range(48))),
    frame("CHECK", struct.pack("<I", 1) + text("layer 3")),
]

if len(sys.argv) > 1:
    os.makedirs(sys.argv[1], exist_ok=True)
    for i, (name, data) in enumerate(FRAMES):
        with open(os.path.join(sys.argv[1], "%02d-%s" % (i, name.lower())), "wb") as f:
            f.write(data)
else:
    print("# One frame of every message, made by tests/golden/make_wire.py from docs/WIRE.md; the values are in tests/support/samples.h.")
    for name, data in FRAMES:
        print(name, data.hex())
