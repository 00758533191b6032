#!/usr/bin/python3
"""Writes tests/fuzz/seeds/image_fuzz: one small sound picture of each kind that is read, made with Pillow (python3-pil), and a
few that have broken readers.

make_image_seeds.py [DIRECTORY]        the files in the repository came from here; run it again after a change
"""
import os, random, struct, sys, zlib
from PIL import Image

W, H = 19, 13
dice = random.Random(3)


def scene():
    im = Image.new("RGB", (W, H))
    for y in range(H):
        for x in range(W): im.putpixel((x, y), (x * 13, y * 19, 255 if (x - 9) ** 2 + (y - 6) ** 2 < 25 else dice.randrange(40)))
    return im


def png(w, h, bits, colour, data, interlace=0):
    chunk = lambda t, b: struct.pack(">I", len(b)) + t + b + struct.pack(">I", zlib.crc32(t + b))
    head = struct.pack(">IIBBBBB", w, h, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds/image_fuzz")
    os.makedirs(out, exist_ok=True)
    path = lambda name: os.path.join(out, name)
    rgb = scene()
    alpha = rgb.copy()
    alpha.putalpha(rgb.convert("L"))
    few, grey = rgb.quantize(13), rgb.convert("L")
    turned = Image.Exif()
    turned[0x0112] = 6
    rgb.save(path("baseline.jpg"), quality=60, exif=turned)
    rgb.save(path("progressive.jpg"), quality=60, progressive=True, subsampling=0)
    grey.save(path("grey.jpg"), quality=40, optimize=True)
    rgb.convert("CMYK").save(path("cmyk.jpg"), quality=40, optimize=True)
    rgb.save(path("rgb.png"), exif=turned)
    alpha.save(path("rgba.png"))
    rgb.save(path("lossy.webp"), quality=50, exif=turned)
    alpha.save(path("lossy-alpha.webp"), quality=50)
    alpha.save(path("lossless.webp"), lossless=True, exact=True)
    rgb.save(path("animated.webp"), save_all=True, append_images=[rgb.rotate(180)])
    grey.convert("LA").save(path("la.png"))
    few.save(path("palette.png"), transparency=bytes(range(0, 260, 20)), bits=4)
    few.save(path("palette.gif"), transparency=2, interlace=True)
    few.save(path("several.gif"), save_all=True, append_images=[few.rotate(180)])
    rgb.save(path("rgb.bmp"))
    few.save(path("palette.bmp"))
    rgb.save(path("rgb.tga"))
    alpha.save(path("rgba-rle.tga"), compression="tga_rle")
    few.save(path("palette.tga"))
    rgb.save(path("rgb.ppm"))
    grey.save(path("grey.pgm"))
    rgb.convert("1").save(path("one.pbm"))
    files = {
        "deep.png": png(5, 4, 16, 6, b"".join(b"\0" + bytes(dice.randrange(256) for _ in range(40)) for _ in range(4))),
        "interlaced.png": png(3, 3, 8, 0, b"".join(b"\0" + bytes(n) for n in (1, 1, 2, 1, 1, 3)) + b"\0\7\7\7", 1),
        "bomb.png": png(1, 1, 8, 2, bytes(20 << 20)),       # 20 KB that inflate to 20 MB
        "huge.png": png(100000, 100000, 8, 2, b"\0\1\2\3"),
        "no-reason.png": png(3, 3, 8, 0, b"")[:33] + struct.pack(">I", 0xe801000e) + b"IDATx",   # refused, but no reason given
        "plain.ppm": b"P3\n# red, green\n2 1 255\n255 0 0  0 255 0\n",
        "plain.pbm": b"P1 4 2\n1010 0101\n",
    }
    for name, b in files.items():
        with open(path(name), "wb") as f: f.write(b)


main()
