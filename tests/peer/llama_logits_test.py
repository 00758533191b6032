#!/usr/bin/python3
"""tests/peer/llama_logits_test.py — three engines, one model, one list of ids: llama.cpp, the float32 reference, and ours.

llama.cpp multiplies Q4_0 weights by 8-bit activations, as we do, and is off the float32 truth by that; its error is the
yardstick for ours. Each comparison is on centred scores (a constant added to all of them changes nothing), as squared
error over squared size, per position; and on the best id, wherever the reference's lead is larger than the noise.
timeout: 600

The peer comes ready-made in the npm package node-llama-cpp (its Linux libraries, and llama.cpp's header out of the source
bundle), fetched once into .cache/. Without npm, git or a network the test says so and is skipped.
"""
import glob, os, platform, subprocess, sys
import numpy as np

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tests/reference"))
import ref_gemma3 as ref

VERSION = "3.22.1"
CACHE = os.path.join(ROOT, ".cache", "llama-" + VERSION)
ENGINE = os.path.join(ROOT, os.environ.get("B", "build"), "gemmapipe")
CLOSE = 1e-3            # median over positions, docs/DESIGN.md "What must be equal"
APART = 3e-3            # two engines that each quantise activations their own way

# name, ids, arguments of synth_gguf.py. tiny has a window of 32: every list crosses it.
MODELS = [
    ("tiny-f16", 96, ["--size", "tiny", "--embd", "f16", "--seed", "1"]),
    ("tiny-q6_k", 96, ["--size", "tiny", "--embd", "q6_k", "--seed", "2"]),
    ("tiny-q8_0", 96, ["--size", "tiny", "--embd", "q8_0", "--seed", "3"]),
    ("tiny-q4_0", 96, ["--size", "tiny", "--embd", "q4_0", "--seed", "4"]),
    ("tiny-13-layers", 160, ["--size", "tiny", "--embd", "f16", "--seed", "5", "--layers", "13"]),
    ("270m-7-layers", 48, ["--size", "270m", "--embd", "q8_0", "--seed", "6", "--layers", "7"]),
]


class Absent(Exception): """What was asked for is not to be had; says why. Of the peer: the test is skipped. Of scores: it fails."""


def do(*command, **more):
    try: return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, **more).stdout
    except FileNotFoundError: raise Absent("no %s on this machine" % command[0])
    except subprocess.TimeoutExpired: raise Absent("%s did not come to an end" % " ".join(command[:3]))
    except subprocess.CalledProcessError as e:
        last = (e.stderr.decode(errors="replace").strip().splitlines() or ["exit status %d" % e.returncode])[-1]
        raise Absent("%s: %s" % (" ".join(command[:3]), last))


def fetch_peer():
    """The compiled peer_logits and the directory of the libraries it uses."""
    arch = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine())
    if not arch: raise Absent("node-llama-cpp has no libraries for " + platform.machine())
    program, libraries = CACHE + "/peer_logits", CACHE + "/package/bins/linux-" + arch
    source = os.path.join(ROOT, "tests/peer/llama/peer_logits.c")
    if not os.path.exists(CACHE + "/include/llama.h"):
        os.makedirs(CACHE + "/include", exist_ok=True)
        for package in ("@node-llama-cpp/linux-%s@%s" % (arch, VERSION), "node-llama-cpp@" + VERSION):
            archive = do("npm", "pack", "--silent", package, cwd=CACHE).decode().split()[-1]
            only = [] if package[0] == "@" else ["package/llama/gitRelease.bundle"]
            do("tar", "xzf", archive, *only, cwd=CACHE)
            os.remove(os.path.join(CACHE, archive))
        do("rm", "-rf", CACHE + "/source.git")
        do("git", "clone", "-q", "--bare", CACHE + "/package/llama/gitRelease.bundle", CACHE + "/source.git")
        headers = do("git", "-C", CACHE + "/source.git", "archive", "HEAD", "include", "ggml/include")
        do("tar", "x", "-C", CACHE, input=headers)
        do("rm", "-rf", CACHE + "/source.git", CACHE + "/package/llama")
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
        named = [p for p in glob.glob(libraries + "/lib*.so") if "cpu" not in p and "common" not in p]
        do("gcc", "-O1", "-I" + CACHE + "/include", "-I" + CACHE + "/ggml/include", source, *named, "-Wl,-rpath," + libraries,
           "-Wl,--allow-shlib-undefined", "-o", program)
    return program, libraries


def model_file(name, args):
    path = "%s/%s.gguf" % (CACHE, name)
    if not os.path.exists(path): do("/usr/bin/python3", ROOT + "/tests/reference/synth_gguf.py", path, *args)
    return path


def quantised(name, folder, *options):
    """A file of our own making: what we quantise must load there and mean the same."""
    path = "%s/%s.gguf" % (CACHE, name)
    quantizer = os.path.join(os.path.dirname(ENGINE), "gemmapipe-partition")
    if not os.path.exists(quantizer): raise Absent("%s is not built" % quantizer)
    do(quantizer, "quantize", folder, path, *options)
    return path


def scores_of(command, out, ids):
    do(*command)
    if not os.path.exists(out): raise Absent("%s wrote no scores" % os.path.basename(command[0]))
    scores = np.fromfile(out, "<f4")
    os.remove(out)
    if scores.size == 0 or scores.size % len(ids): raise Absent("%s wrote %d scores for %d ids" % (os.path.basename(command[0]), scores.size, len(ids)))
    return scores.reshape(len(ids), -1)


def centred(x): return x.astype("f8") - x.astype("f8").mean(1, keepdims=True)


failed = 0


def compare(claim, a, truth, limit):
    """Prints one verdict: the error of a against truth at the median and the worst position, and where the best ids differ."""
    global failed
    a, truth = centred(a), centred(truth)
    error = ((a - truth) ** 2).sum(1) / (truth ** 2).sum(1)
    noise = np.sqrt(((a - truth) ** 2).mean(1))
    ordered = np.sort(truth, 1)
    clear = ordered[:, -1] - ordered[:, -2] > 6 * noise
    same = a.argmax(1) == truth.argmax(1)
    good = np.median(error) <= limit and same[clear].all() and clear.any()
    failed += not good
    print("%s %s: error %.1e at the median, %.1e at the worst position; best id the same at %d of %d, at %d of %d with a clear lead"
          % ("ok" if good else "FAIL", claim, np.median(error), error.max(), same.sum(), len(same), same[clear].sum(), clear.sum()), flush=True)


def check(name, path, ids, peer, libraries):
    truth = ref.logits(ref.GGUF(path), ids)
    out = "%s/%s.f32" % (CACHE, name)
    words = [str(i) for i in ids]
    theirs = scores_of([peer, libraries, path, out] + words, out, ids)
    compare("llama_near_reference[%s]" % name, theirs, truth, CLOSE)
    if not os.path.exists(ENGINE): return print("skip ours_near_reference[%s]: %s is not built" % (name, os.path.relpath(ENGINE, ROOT)))
    ours = scores_of([ENGINE, "logits", "--model", path, "--ids", ",".join(words), "--out", out, "--embed-scale", "exact"], out, ids)
    compare("ours_near_reference[%s]" % name, ours, truth, CLOSE)
    compare("ours_near_llama[%s]" % name, ours, theirs, APART)


def main():
    try: peer, libraries = fetch_peer()
    except Absent as why: return print("skip llama_logits: %s" % why)
    rng = np.random.default_rng(7)
    demo = ROOT + "/models/demo/demo-q4_0.gguf"
    checkpoint = ROOT + "/models/demo/checkpoint"
    made = [("quantised-demo", quantised("quantised-demo", checkpoint), 60),
            ("quantised-f16-table", quantised("quantised-f16-table", checkpoint, "--embd", "f16"), 60)]
    for name, path, n in [("demo", demo, 80)] + made + [(name, model_file(name, args), n) for name, n, args in MODELS]:
        vocab = ref.GGUF(path).t["token_embd.weight"][0][1]
        ids = [2] + [int(i) for i in rng.integers(9, vocab, n - 1)]
        try: check(name, path, ids, peer, libraries)
        except Absent as why:
            print("FAIL %s: %s" % (name, why))
            globals()["failed"] += 1
    sys.exit(1 if failed else 0)


main()
