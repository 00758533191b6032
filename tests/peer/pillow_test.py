#!/usr/bin/python3
# turn: 1 (tests/run)
"""tests/peer/pillow_test.py — our pictures against Pillow's: what the published processor computes with.

Resizing must give Pillow's bytes, for every size and content. So must reading where a format loses nothing; JPEG decoders
may differ by a few levels. Where we differ on purpose (alpha on white, the high byte of 16 bits) Pillow is told to do the same.
timeout: 300
"""
import base64, io, os, random, re, shutil, struct, subprocess, sys, tempfile

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
try:
    import numpy as np
    from PIL import Image, ImageDraw, ImageOps
except ImportError as e:
    print("skip pillow: %s (python3-pil, python3-numpy)" % e)
    sys.exit(0)
try: BILINEAR, TRANSPOSED = Image.Resampling.BILINEAR, Image.Transpose
except AttributeError: BILINEAR, TRANSPOSED = Image.BILINEAR, Image

WORDS, CASES = sys.argv[1:], 600
rng, dice = np.random.default_rng(5), random.Random(5)


class Refused(Exception): pass


class Ours:
    """The program that answers with our pictures."""

    def __init__(self):
        program = os.path.join(os.environ.get("B", "build"), "tests/peer/image_lines")
        self.p = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line, data=b"", width=3):
        self.p.stdin.write(line.encode() + b"\n" + data)
        self.p.stdin.flush()
        head = self.p.stdout.readline().decode().rstrip("\n")
        if head.startswith("no "): raise Refused(head[3:])
        if not head.startswith("ok "): raise SystemExit("the program ended at: " + line)
        self.a, self.b = (int(v) for v in head.split()[1:])
        n = self.a * max(self.b, 1) * width
        return self.p.stdout.read(n)

    def picture(self, line, data=b""):
        b = self.ask(line, data)
        return np.frombuffer(b, "u1").reshape(self.b, self.a, 3)

    def raw(self, a): return self.picture("raw %d %d" % (a.shape[1], a.shape[0]), a.tobytes())

    def close(self):
        self.p.stdin.close()
        return self.p.wait()


def scene(w, h, kind):
    """Noise, a smooth slope, black and white stripes, or text-like blocks: what filters get wrong differs."""
    if kind == 0: return rng.integers(0, 256, (h, w, 3), "u1")
    y, x = np.mgrid[0:h, 0:w]
    if kind == 1: return np.stack([x * 255 // max(w - 1, 1), y * 255 // max(h - 1, 1), (x + y) % 256], -1).astype("u1")
    if kind == 2: return np.repeat((((x + y * (w % 3)) % 2) * 255)[..., None], 3, 2).astype("u1")
    a = np.full((h, w, 3), 255, "u1")
    for _ in range(8):
        x0, y0 = dice.randrange(w), dice.randrange(h)
        a[y0:y0 + dice.randint(1, h), x0:x0 + dice.randint(1, w)] = rng.integers(0, 256, 3)
    return a


def differ(got, want, limit=0):
    """None, or in what two pictures differ."""
    want = np.asarray(want)
    if got.shape != want.shape: return "%s, not %s" % (got.shape, want.shape)
    d = np.abs(got.astype("i4") - want.astype("i4"))
    return None if d.max(initial=0) <= limit else "%d of %d bytes differ, by up to %d" % ((d > limit).sum(), d.size, d.max())


def on_white(im):
    im = im.convert("RGBA")
    white = Image.new("RGB", im.size, (255, 255, 255))
    white.paste(im.convert("RGB"), mask=im.getchannel("A"))
    return white


# ---- claims -------------------------------------------------------------------------------------------------------

def random_sizes_resize_to_the_same_bytes(o, d):
    for i in range(CASES):
        side = dice.choice([8, 60, 300, 300, 900])
        w, h, kind = dice.randint(1, side), dice.randint(1, side), i % 4
        to = dice.choice([(224, 224), (56, 56), (896, 896), (dice.randint(1, 300), dice.randint(1, 300)), (w, dice.randint(1, 99))])
        if i % 5 == 0: to = (to[0], to[0])
        a = scene(w, h, kind)
        o.raw(a)
        got = o.picture("resize 0 0 %d %d %d %d" % (w, h, *to))
        wrong = differ(got, Image.fromarray(a).resize(to, BILINEAR))
        if wrong: return "%d × %d (content %d) to %d × %d: %s" % (w, h, kind, *to, wrong)
    return None


def extreme_sizes_resize_to_the_same_bytes(o, d):
    for w, h, n in [(1, 1, 896), (1, 5000, 896), (20000, 1, 896), (3, 20000, 224), (4000, 3000, 896), (3000, 1700, 1), (896, 896, 896), (897, 895, 896),
                    (65535, 2, 224), (2, 65535, 224), (1792, 448, 896)]:
        a = scene(w, h, 0)
        o.raw(a)
        wrong = differ(o.picture("resize 0 0 %d %d %d %d" % (w, h, n, n)), Image.fromarray(a).resize((n, n), BILINEAR))
        if wrong: return "%d × %d to %d: %s" % (w, h, n, wrong)


def crops_resize_as_pictures_of_their_own(o, d):
    for i in range(60):
        w, h = dice.randint(2, 700), dice.randint(2, 700)
        a = scene(w, h, i % 4)
        o.raw(a)
        x, y = dice.randrange(w), dice.randrange(h)
        bw, bh = dice.randint(1, w - x), dice.randint(1, h - y)
        got = o.picture("resize %d %d %d %d 112 112" % (x, y, bw, bh))
        wrong = differ(got, Image.fromarray(a[y:y + bh, x:x + bw]).resize((112, 112), BILINEAR))
        if wrong: return "%d × %d at %d, %d of %d × %d: %s" % (bw, bh, x, y, w, h, wrong)


def patches_are_the_convolution_s_order(o, d):
    a = scene(301, 177, 0)
    o.raw(a)
    for side, patch in [(56, 14), (224, 16), (896, 14)]:
        got = np.frombuffer(o.ask("patches %d %d" % (side, patch), width=4), "<f4")
        px = np.asarray(Image.fromarray(a).resize((side, side), BILINEAR), "f4") / np.float32(127.5) - np.float32(1)
        m = side // patch
        want = px.reshape(m, patch, m, patch, 3).transpose(0, 2, 4, 1, 3).ravel()
        if got.tobytes() != want.tobytes(): return "side %d, patch %d" % (side, patch)


def published_crops(w, h, least=256, most=4, ratio=1.2):
    """Pan and scan as the published processor's description has it."""
    import math
    long, short = max(w, h), min(w, h)
    if long / short < ratio: return []
    n = min(most, max(2, min(math.floor(long / least), math.floor(long / short + 0.5))))
    step = math.ceil(long / n)
    if min(step, short) < least: return []
    spans = [(s, min(step, long - s)) for s in range(0, step * n, step)]
    return [(s, 0, l, h) if w >= h else (0, s, w, l) for s, l in spans]


def pan_and_scan_cuts_where_the_published_processor_does(o, d):
    sizes = [(dice.randint(1, 3000), dice.randint(1, 3000)) for _ in range(3000)]
    sizes += [(1200, 1000), (1199, 1000), (1000, 1200), (640, 256), (640, 255), (511, 256), (512, 256), (2000, 500), (65535, 256), (1, 1)]
    some = 0
    for w, h in sizes:
        got = [tuple(v) for v in np.frombuffer(o.ask("crops %d %d" % (w, h), width=16), "<u4").reshape(-1, 4).tolist()]
        some += bool(got)
        if got != published_crops(w, h): return "%d × %d: %s, not %s" % (w, h, got, published_crops(w, h))
    if some < 500: return "only %d had crops" % some


def compare_file(o, d, name, want, limit=0):
    wrong = differ(o.picture("open " + os.path.join(d, name)), want, limit)
    return wrong and name + ": " + wrong


def formats_that_lose_nothing_give_pillow_s_pixels(o, d):
    a = scene(61, 43, 3)
    a[5:20] = scene(61, 15, 0)
    rgb = Image.fromarray(a)
    alpha = Image.fromarray(np.concatenate([a, rng.integers(0, 256, (43, 61, 1), "u1")], 2), "RGBA")
    grey, grey_alpha = rgb.convert("L"), alpha.convert("LA")
    few = rgb.quantize(17)
    holes = few.copy()
    files = []

    def write(name, im, want=None, **how):
        im.save(os.path.join(d, name), **how)
        files.append((name, want if want is not None else on_white(im)))

    for kind in ("png", "bmp", "tga", "ppm"): write("rgb." + kind, rgb, rgb)
    for kind in ("png", "bmp", "tga", "pgm"): write("grey." + kind, grey, grey.convert("RGB"))
    for kind in ("png", "tga"): write("rgba." + kind, alpha)
    for kind in ("png", "tga"): write("la." + kind, grey_alpha)
    for bits in (1, 2, 4, 8): write("palette%d.png" % bits, rgb.quantize(2 ** bits), rgb.quantize(2 ** bits).convert("RGB"), bits=bits)
    for kind in ("bmp", "gif", "tga"): write("palette." + kind, few, few.convert("RGB"))
    write("one.png", rgb.convert("1"), rgb.convert("1").convert("RGB"))
    write("one.bmp", rgb.convert("1"), rgb.convert("1").convert("RGB"))
    write("one.pbm", rgb.convert("1"), rgb.convert("1").convert("RGB"))
    write("rle.tga", rgb, rgb, compression="tga_rle")
    for kind in ("png", "gif"): write("hole." + kind, holes, on_white(Image.open(save(d, "h." + kind, holes, transparency=3))), transparency=3)
    write("several.gif", few, few.convert("RGB"), save_all=True, append_images=[few.rotate(90), few.rotate(180)])
    write("colour-key.png", rgb, on_white(Image.open(save(d, "k.png", rgb, transparency=(255, 255, 255)))), transparency=(255, 255, 255))
    files.append(("translucent.png", on_white(Image.open(save(d, "translucent.png", few, transparency=bytes(range(0, 255, 15)))))))
    for name, how in (("lossless", {"lossless": True, "exact": True}), ("lossy", {"quality": 70})):
        for im, of in ((rgb, "rgb"), (alpha, "rgba")):
            path = save(d, "%s-%s.webp" % (name, of), im, **how)
            files.append((os.path.basename(path), on_white(Image.open(path)) if of == "rgba" else Image.open(path).convert("RGB")))
    for name, want in files:
        wrong = compare_file(o, d, name, want)
        if wrong: return wrong


def save(d, name, im, **how):
    im.save(os.path.join(d, name), **how)
    return os.path.join(d, name)


def png_bytes(w, h, bits, colour, rows, chunks=b""):
    import zlib
    chunk = lambda t, b: struct.pack(">I", len(b)) + t + b + struct.pack(">I", zlib.crc32(t + b))
    body = b"".join(b"\0" + r for r in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, bits, colour, 0, 0, 0)) + chunks + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def sixteen_bits_keep_the_high_byte(o, d):
    for colour, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
        deep = rng.integers(0, 65536, (9, 7, channels)).astype(">u2")
        with open(os.path.join(d, "deep.png"), "wb") as f: f.write(png_bytes(7, 9, 16, colour, [r.tobytes() for r in deep]))
        high = (deep >> 8).astype("u1")
        im = Image.fromarray(high if channels > 1 else high[..., 0], {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels])
        wrong = compare_file(o, d, "deep.png", on_white(im))
        if wrong: return "colour type %d: %s" % (colour, wrong)


def pnm_of_any_maximum_is_scaled(o, d):
    for magic in (2, 3, 5, 6):
        for top in (1, 7, 15, 100, 255, 256, 1023, 65535):
            ch = 3 if magic in (3, 6) else 1
            v = rng.integers(0, top + 1, (5, 6, ch))
            if magic < 4: body = " ".join(str(x) for x in v.ravel()).encode() + b"\n"
            else: body = v.astype("u1" if top < 256 else ">u2").tobytes()
            name = os.path.join(d, "x.pnm")
            with open(name, "wb") as f: f.write(b"P%d\n# a remark\n6 5\n%d\n" % (magic, top) + body)
            want = np.repeat(np.floor(v * 255 / top + 0.5), 3 // ch, 2).astype("u1")
            wrong = compare_file(o, d, "x.pnm", want)
            if wrong: return "P%d of %d: %s" % (magic, top, wrong)
            if top < 256 and differ(np.asarray(Image.open(name).convert("RGB")), want, 1): return "P%d of %d: Pillow differs" % (magic, top)
    with open(os.path.join(d, "x.pnm"), "wb") as f: f.write(b"P1 4 2 1010\n# x\n0 1 0 1")
    if compare_file(o, d, "x.pnm", np.repeat(255 * (1 - np.array([[1, 0, 1, 0], [0, 1, 0, 1]]))[..., None], 3, 2)): return "P1"


def jpeg_comes_close(o, d):
    a = scene(163, 121, 1)
    a[30:60, 40:90] = (200, 30, 40)
    rgb = Image.fromarray(a)
    for name, im, how in [("444", rgb, {"subsampling": 0}), ("422", rgb, {"subsampling": 1}), ("420", rgb, {"subsampling": 2}),
                          ("progressive", rgb, {"progressive": True}), ("grey", rgb.convert("L"), {}), ("cmyk", rgb.convert("CMYK"), {}),
                          ("tiny", rgb.resize((1, 1)), {}), ("optimised", rgb, {"optimize": True, "quality": 30})]:
        path = save(d, name + ".jpg", im, **dict({"quality": 90}, **how))
        got, want = o.picture("open " + path).astype("i4"), np.asarray(Image.open(path).convert("RGB"), "i4")
        if got.shape != want.shape: return "%s: %s, not %s" % (name, got.shape, want.shape)
        far, mean = (np.abs(got - want) > 16).mean(), np.abs(got - want).mean()   # 4:2:2: stb_image's last column is off
        if far > 0.005 or mean > 1.0: return "%s: %.2f%% of the bytes by more than 16, %.2f in the mean" % (name, far * 100, mean)


def orientation_is_honoured(o, d):
    a = scene(37, 70, 1)
    a[:20, :10] = (250, 20, 30)
    for value in range(0, 10):
        exif = Image.Exif()
        exif[0x0112] = value
        path = save(d, "turned.jpg", Image.fromarray(a), quality=95, subsampling=0, exif=exif)
        want = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
        wrong = compare_file(o, d, "turned.jpg", want, 6)
        if wrong: return "JPEG, %d: %s" % (value, wrong)
        path = save(d, "turned.png", Image.fromarray(a), exif=exif)
        wrong = compare_file(o, d, "turned.png", ImageOps.exif_transpose(Image.open(path)))
        if wrong: return "PNG, %d: %s" % (value, wrong)
        path = save(d, "turned.webp", Image.fromarray(a), exif=exif)
        wrong = compare_file(o, d, "turned.webp", ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
        if wrong: return "WebP, %d: %s" % (value, wrong)


def held(o, key):
    """MiB that the program holds (VmRSS), or has held at most (VmHWM)."""
    with open("/proc/%d/status" % o.p.pid) as f: return int(re.search(key + r":\s+(\d+)", f.read())[1]) / 1024


def needed(picture):
    """What a coordinator that may take too little says it would take."""
    command = [os.path.join(os.environ.get("B", "build"), "gemmapipe"), "embed-image", "--mmproj", "models/demo/demo-mmproj-f16.gguf", "--here", "1", "--quiet",
               "--out", os.devnull, "--picture-memory", "1K", "--image", picture]
    text = subprocess.run(command, capture_output=True).stderr.decode()
    size = re.search(r" takes ([\d.]+) MiB to decode, and may take 1.00 KiB; --picture-memory raises it", text)
    if not size: raise Refused(text)
    return float(size[1])


def reading_a_picture_never_takes_more_memory_than_is_said(o, d):
    a, deep = scene(2400, 1600, 1), rng.integers(0, 65536, (1000, 1600 * 4)).astype(">u2")
    turned = Image.Exif()
    turned[0x0112] = 6
    rgb = Image.fromarray(a)
    files = [save(d, "a.jpg", rgb, quality=90), save(d, "b.jpg", rgb, quality=90, progressive=True, subsampling=0), save(d, "c.jpg", rgb, exif=turned),
             save(d, "d.png", rgb, compress_level=1), save(d, "e.png", rgb.quantize(9), transparency=1, compress_level=1), save(d, "f.gif", rgb.quantize(9)),
             save(d, "g.webp", rgb, lossless=True, method=0), save(d, "h.webp", rgb.convert("RGBA"), method=0), save(d, "i.webp", rgb, method=0), os.path.join(d, "j.png")]
    with open(files[-1], "wb") as f: f.write(png_bytes(1600, 1000, 16, 6, [r.tobytes() for r in deep]))
    for picture in files:
        said, reader = needed(picture), Ours()
        reader.raw(a[:1, :1])
        before = held(reader, "VmRSS")
        reader.picture("open " + picture)
        taken = held(reader, "VmHWM") - before
        reader.close()
        code = 0.25 # MiB: pages of the decoder itself, which count when they are first touched
        if not said / 2 < taken <= said + code: return "%s takes %.2f MiB, %.2f were said" % (picture, taken, said)


def a_photo_of_48_million_pixels_is_read_without_an_option(o, d):
    turned = Image.Exif()
    turned[0x0112] = 6
    path = save(d, "photo.jpg", Image.new("RGB", (8000, 6000), (20, 90, 160)), exif=turned)
    got = o.picture("open " + path)
    if got.shape != (8000, 6000, 3): return str(got.shape)


def data_urls_and_files_are_the_same(o, d):
    path = save(d, "u.png", Image.fromarray(scene(31, 9, 0)))
    with open(path, "rb") as f: b = f.read()
    for cut in range(3):          # all three kinds of padding
        text = base64.b64encode(b + bytes(cut)).decode()
        for url in ("data:image/png;base64," + text, "DATA:;base64," + text.rstrip("="), "data:image/png;charset=x;BASE64," + text[:9] + " " + text[9:]):
            wrong = differ(o.picture("open " + url), Image.open(path))
            if wrong: return "%s…: %s" % (url[:30], wrong)
    sin = subprocess.run([o.p.args[0]], input=b"open -\n", capture_output=True)   # the rest of stdin: nothing
    if b"stdin is empty" not in sin.stdout: return "stdin: " + sin.stdout.decode()


CLAIMS = [v for k, v in list(globals().items()) if callable(v) and getattr(v, "__code__", None) and v.__code__.co_varnames[:2] == ("o", "d") and v.__code__.co_argcount == 2]


def main():
    failed = 0
    for claim in CLAIMS:
        if WORDS and not any(w in claim.__name__ for w in WORDS): continue
        o, d = Ours(), tempfile.mkdtemp()
        try: wrong = claim(o, d)
        except Refused as e: wrong = "refused: %s" % e
        finally: shutil.rmtree(d)
        if o.close() and not wrong: wrong = "the program ended badly"
        print("ok " + claim.__name__ if not wrong else "FAIL %s: %s" % (claim.__name__, wrong), flush=True)
        failed += bool(wrong)
    return 1 if failed else 0


sys.exit(main())
