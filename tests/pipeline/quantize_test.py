#!/usr/bin/python3
"""gemmapipe-partition quantize as a person meets it: the bundled checkpoint, and everything that can go wrong half-way.
Whatever goes wrong is one sentence on stderr, an exit status that says which kind, and no file under any name.
"""
import json, os, re, resource, shutil, signal, struct, subprocess, sys, tempfile, time

BUILD = os.environ.get("B", "build")
PARTITION = os.path.abspath(os.path.join(BUILD, "gemmapipe-partition"))
GEMMAPIPE = os.path.abspath(os.path.join(BUILD, "gemmapipe"))
DEMO = os.path.abspath("models/demo")
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 8: (32, 34), 14: (256, 210), 30: (1, 2)}
F32, F16, Q4_0, Q8_0, Q6_K, BF16 = 0, 1, 2, 8, 14, 30
PATIENCE = 16 if os.environ.get("EMULATOR") else 4 # as relay.py: times as long as on a machine that does nothing else
problems = []


def check(condition, *what):
    if not condition: problems.append(" ".join(map(str, what)))


def quantize(*args, folder=None, **more):
    p = subprocess.run([PARTITION, "quantize", *args], cwd=folder, capture_output=True, text=True, timeout=120 * PATIENCE, **more)
    return p.returncode, p.stdout, p.stderr


# ---- GGUF files, written and read without the project's help ----

def text(s): return struct.pack("<Q", len(s)) + s.encode()


def header(keys, tensors):
    """keys: (name, type, packed value); tensors: (name, dims, type, offset)."""
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for name, kind, value in keys: out += text(name) + struct.pack("<I", kind) + value
    for name, dims, kind, offset in tensors:
        out += text(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, kind, offset)
    return out + bytes(-len(out) % 32)


def tensors_of(path):
    """name -> (dims, type, bytes)"""
    b = open(path, "rb").read()
    width, at = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8], 24
    def skip(kind):
        nonlocal at
        if kind == 8: at += 8 + struct.unpack_from("<Q", b, at)[0]
        elif kind == 9:
            elem, count = struct.unpack_from("<IQ", b, at)
            at += 12
            if width[elem]: at += width[elem] * count
            else:
                for _ in range(count): skip(elem)
        else: at += width[kind]
    n_tensors, n_keys = struct.unpack_from("<QQ", b, 8)
    for _ in range(n_keys):
        skip(8)
        at += 4
        skip(struct.unpack_from("<I", b, at - 4)[0])
    found = {}
    for _ in range(n_tensors):
        n, = struct.unpack_from("<Q", b, at)
        name, rank = b[at + 8 : at + 8 + n].decode(), struct.unpack_from("<I", b, at + 8 + n)[0]
        at += 12 + n
        dims = struct.unpack_from("<%dQ" % rank, b, at)
        kind, offset = struct.unpack_from("<IQ", b, at + 8 * rank)
        at += 8 * rank + 12
        found[name] = dims, kind, offset
    start, out = -(-at // 32) * 32, {}
    for name, (dims, kind, offset) in found.items():
        count = 1
        for d in dims: count *= d
        size = count // BLOCKS[kind][0] * BLOCKS[kind][1]
        out[name] = dims, kind, b[start + offset : start + offset + size]
    return out


def large_encoder(path, rows=400_000):
    """A picture encoder of one matrix, gigabytes of zeros that take no disk: long enough to be interrupted."""
    head = header([("general.architecture", 8, text("clip"))], [("v.blk.0.attn_q.weight", (4096, rows), F32, 0)])
    with open(path, "wb") as f:
        f.write(head)
        f.truncate(len(head) + 4096 * rows * 4)


def nothing_but(folder, *names):
    left = sorted(os.listdir(folder))
    check(left == sorted(names), "left behind:", left)


# ---- claims ----

def the_bundled_checkpoint_gives_the_bundled_model(folder):
    rc, out, err = quantize(DEMO + "/checkpoint", "m.gguf", "--mmproj", "v.gguf", "--table", folder=folder)
    check(rc == 0, err)
    for made, bundled in (("m.gguf", "demo-q4_0.gguf"), ("v.gguf", "demo-mmproj-f16.gguf")):
        ours, theirs = tensors_of(os.path.join(folder, made)), tensors_of(os.path.join(DEMO, bundled))
        check(sorted(ours) == sorted(theirs), "other tensors in", made)
        for name in theirs: check(ours.get(name) == theirs[name], made, name, "differs")
    check(re.search(r"^blk\.0\.ffn_up\.weight +BF16 +Q4_0 +98304 +27648 +0\.0\d+$", out, re.M), "no line for blk.0.ffn_up in\n" + out)
    check("m.gguf: " in out and "v.gguf: " in out and "at most" in out, out)
    nothing_but(folder, "m.gguf", "v.gguf")


def blocks_are_those_of_numpy(folder):
    """Every bundled matrix against the checkpoint's numbers, rounded here by the formats' definitions."""
    import numpy as np
    raw = open(DEMO + "/checkpoint/model.safetensors", "rb").read()
    start = 8 + struct.unpack_from("<Q", raw)[0]
    head = json.loads(raw[8:start])

    def values(name):
        at, end = head[name]["data_offsets"]
        return (np.frombuffer(raw[start + at : start + end], "<u2").astype("u4") << 16).view("f4").reshape(-1, 32)

    def scaled(x, d):
        with np.errstate(divide="ignore"): return x * np.where(d != 0, np.float32(1) / d, np.float32(0)).astype("f4")

    def q4_0(x):
        d = np.take_along_axis(x, np.abs(x).argmax(1)[:, None], 1) / np.float32(-8)
        q = np.minimum(15, np.trunc((scaled(x.astype("f8"), d) + 8.5).astype("f4"))).astype("u1")
        return np.concatenate([d.astype("<f2").view("u1"), q[:, :16] | q[:, 16:] << 4], 1).tobytes()

    def q8_0(x):
        d = np.abs(x).max(1)[:, None] / np.float32(127)
        y = scaled(x, d)
        q = (np.sign(y) * np.floor(np.abs(y) + np.float32(.5))).astype("i1")
        return np.concatenate([d.astype("<f2").view("u1"), q.view("u1")], 1).tobytes()

    model, encoder = tensors_of(DEMO + "/demo-q4_0.gguf"), tensors_of(DEMO + "/demo-mmproj-f16.gguf")
    pairs = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    for i in range(8):
        for theirs, ours in pairs.items():
            name = "blk.%d.%s.weight" % (i, ours)
            check(model[name][2] == q4_0(values("language_model.model.layers.%d.%s.weight" % (i, theirs))), name, "differs")
    check(model["token_embd.weight"][2] == q8_0(values("language_model.model.embed_tokens.weight")), "the table differs")
    for i in range(4):
        for theirs, ours in {"self_attn.v_proj": "attn_v", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down"}.items():
            want = values("vision_tower.vision_model.encoder.layers.%d.%s.weight" % (i, theirs)).astype("<f2").tobytes()
            check(encoder["v.blk.%d.%s.weight" % (i, ours)][2] == want, "encoder", i, ours, "differs")


def the_quantised_model_answers_as_the_bundled_one(folder):
    quantize(DEMO + "/checkpoint", "m.gguf", folder=folder)
    said = [subprocess.run([GEMMAPIPE, "run", "--model", m, "--temp", "0", "--fingerprint", "What is 12 + 9?"], cwd=folder,
                           capture_output=True, text=True, timeout=60 * PATIENCE) for m in ("m.gguf", DEMO + "/demo-q4_0.gguf")]
    check(said[0].returncode == 0 and "21" in said[0].stdout, said[0].stdout, said[0].stderr)
    check(said[0].stdout == said[1].stdout, said[0].stdout, said[1].stdout)


def a_folder_by_way_of_bf16_gives_the_same_blocks(folder):
    check(quantize(DEMO + "/checkpoint", "wide.gguf", "--type", "bf16", folder=folder)[0] == 0)
    check(quantize("wide.gguf", "late.gguf", "--embd", "q8_0", folder=folder)[0] == 0)
    wide, late = tensors_of(os.path.join(folder, "wide.gguf")), tensors_of(os.path.join(folder, "late.gguf"))
    check({t[1] for t in wide.values()} == {F32, BF16}, "types", {t[1] for t in wide.values()})
    check(late == tensors_of(DEMO + "/demo-q4_0.gguf"), "blocks differ")


def what_is_quantised_already_stays_unless_that_is_meant(folder):
    demo = DEMO + "/demo-q4_0.gguf"
    rc, _, err = quantize(demo, "again.gguf", "--type", "q8_0", folder=folder)
    check(rc == 2 and "is Q4_0 already" in err and "--requantize" in err, rc, err)
    nothing_but(folder)
    check(quantize(demo, "copy.gguf", folder=folder)[0] == 0)
    check(tensors_of(os.path.join(folder, "copy.gguf")) == tensors_of(demo), "a copy differs")
    check(quantize(demo, "again.gguf", "--type", "q8_0", "--requantize", folder=folder)[0] == 0)
    check(tensors_of(os.path.join(folder, "again.gguf"))["blk.0.ffn_up.weight"][1] == Q8_0)
    check(quantize(demo, "table.gguf", "--embd", "q4_0", folder=folder)[0] == 0)
    check(tensors_of(os.path.join(folder, "table.gguf"))["token_embd.weight"][1] == Q4_0)


def the_table_is_q6_k_where_rows_allow_and_rows_that_do_not_fit_are_told(folder):
    synth = [PARTITION, "synth", "wide.gguf", "--matrix", "f16", "--embd", "f16"]
    subprocess.run(synth, cwd=folder, check=True)
    check(quantize("wide.gguf", "q.gguf", folder=folder)[0] == 0)
    check(tensors_of(os.path.join(folder, "q.gguf"))["token_embd.weight"][1] == Q6_K)
    rc, _, err = quantize(DEMO + "/checkpoint", "no.gguf", "--embd", "q6_k", folder=folder)
    check(rc == 2 and "128 values, wanted a multiple of 256" in err, rc, err)
    rc, _, err = quantize(DEMO + "/checkpoint", "no.gguf", "--type", "q3_k", folder=folder)
    check(rc == 2 and "--type wants one of q4_0|q8_0|f16|bf16" in err, rc, err)
    nothing_but(folder, "wide.gguf", "q.gguf")


def picture_matrices_of_other_widths_stay_f16(folder):
    keys = [("general.architecture", 8, text("clip"))]
    rows = [("v.blk.0.ffn_down.weight", (48, 4)), ("v.blk.0.ffn_up.weight", (64, 4)), ("v.blk.0.ln1.weight", (48,)),
            ("mm.input_projection.weight", (64, 2)), ("v.patch_embd.weight", (2, 2, 3, 4))]
    tensors, data = [], b""
    for name, dims in rows:
        count = 1
        for d in dims: count *= d
        tensors.append((name, dims, F32, len(data)))
        data += struct.pack("<%df" % count, *[i / 64 for i in range(count)])
        data += bytes(-len(data) % 32)
    with open(os.path.join(folder, "v.gguf"), "wb") as f: f.write(header(keys, tensors) + data)
    rc, _, err = quantize("v.gguf", "q.gguf", "--vision", "q8_0", folder=folder)
    check(rc == 0, err)
    types = [t[1] for t in tensors_of(os.path.join(folder, "q.gguf")).values()]
    check(types == [F16, Q8_0, F32, F16, F32], types)


def nameless_files_are_known_to(folder):
    try: os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY))
    except OSError: return False
    return True


def writes_into(pid, folder):
    """Whether it has a file open there that is not the one it reads, under a name or none."""
    try: open_ones = [os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)]
    except OSError: return False # one was closed meanwhile, or the process has ended
    return any(name.startswith(folder + "/") and not name.endswith("/in.gguf") for name in open_ones)


def started(folder, *args, **more):
    large_encoder(os.path.join(folder, "in.gguf"))
    p = subprocess.Popen([PARTITION, "quantize", "in.gguf", "out.gguf", "--vision", "q8_0", "--threads", "1", *args], cwd=folder,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    end = time.time() + 20 * PATIENCE
    while p.poll() is None and time.time() < end and not writes_into(p.pid, os.path.realpath(folder)): time.sleep(0.02)
    return p


def a_killed_run_leaves_no_file(folder):
    p = started(folder)
    check(p.poll() is None, "was done too early to be killed")
    p.kill()
    p.wait()
    nothing_but(folder, "in.gguf", *([] if nameless_files_are_known_to(folder) else ["out.gguf.partial"]))


def an_interrupted_run_says_so_and_leaves_no_file(folder):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        p = started(folder)
        check(p.poll() is None, "was done too early to be interrupted")
        p.send_signal(number)
        out, err = p.communicate(timeout=20 * PATIENCE)
        check(p.returncode == 130 and "out.gguf is not written" in err and not out, number, p.returncode, err)
        nothing_but(folder, "in.gguf")


def an_interrupted_split_leaves_neither_shards_nor_folder(folder):
    """The shards are long enough to be interrupted: a model of a gigabyte, of which zeros take no disk."""
    model = os.path.join(folder, "m.gguf")
    subprocess.run([PARTITION, "synth", model, "--size", "270m", "--layers", "4"], check=True, capture_output=True)
    command = [PARTITION, "split", model, "--layers", "1,1,1,1", "-o", os.path.join(folder, "shards")]
    for number in (signal.SIGHUP, signal.SIGINT):
        p = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        first = p.stderr.readline() # one shard is whole
        p.send_signal(number)
        _, err = p.communicate(timeout=20 * PATIENCE)
        check("shard-1-of-4" in first and p.returncode == 130, number, p.returncode, first, err)
        nothing_but(folder, "m.gguf")


def a_dash_is_standard_output_where_a_file_can_go_there(folder):
    def into_pipe(*command): return subprocess.run([PARTITION, *command], cwd=folder, capture_output=True, timeout=60 * PATIENCE)
    p = into_pipe("quantize", DEMO + "/checkpoint", "-")
    quantize(DEMO + "/checkpoint", "m.gguf", folder=folder)
    check(p.returncode == 0 and p.stdout == open(os.path.join(folder, "m.gguf"), "rb").read() and b"of memory" in p.stderr, p.returncode, p.stderr)
    p = into_pipe("synth", "-")
    check(p.returncode == 0 and p.stdout[:4] == b"GGUF", p.returncode, p.stderr)
    p = into_pipe("split", "m.gguf", "--layers", "4,4", "-o", "-")
    check(p.returncode == 2 and b"several files" in p.stderr and not p.stdout, p.returncode, p.stderr)
    nothing_but(folder, "m.gguf")


def a_disk_that_is_full_is_told_before_the_work(folder):
    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    large_encoder(os.path.join(folder, "in.gguf"))
    rc, _, err = quantize("in.gguf", "out.gguf", folder=folder, preexec_fn=small)
    check(rc == 3 and "cannot write out.gguf" in err and err.count("\n") == 1, rc, err)
    nothing_but(folder, "in.gguf")
    mounted = os.path.join(folder, "disk")
    os.mkdir(mounted)
    script = "mount -t tmpfs -o size=1m none disk || exit 77; %s quantize in.gguf disk/out.gguf; echo $?; ls disk" % PARTITION
    p = subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60 * PATIENCE)
    if p.returncode not in (1, 77): check("the disk has" in p.stderr and p.stdout.split() == ["3"], p.stdout, p.stderr)


def weights_that_are_no_numbers_are_named(folder):
    shutil.copytree(DEMO + "/checkpoint", os.path.join(folder, "ck"))
    path = os.path.join(folder, "ck/model.safetensors")
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        n, = struct.unpack("<Q", f.read(8))
        table = json.loads(f.read(n))
        name = next(k for k in table if k.endswith("layers.3.mlp.up_proj.weight"))
        columns = table[name]["shape"][1]
        f.seek(8 + n + table[name]["data_offsets"][0] + 2 * (5 * columns + 7))
        f.write(struct.pack("<H", 0x7fc0))
    rc, _, err = quantize("ck", "out.gguf", folder=folder)
    check(rc == 3 and "blk.3.ffn_up.weight is NaN at row 5, column 7" in err and err.count("\n") <= 3, rc, err)
    nothing_but(folder, "ck")


def a_folder_that_lacks_a_file_is_one_sentence(folder):
    rc, _, err = quantize("nowhere", "out.gguf", folder=folder)
    check(rc == 3 and "nowhere" in err and err.count("\n") == 1, rc, err)
    os.mkdir(os.path.join(folder, "ck"))
    shutil.copy(DEMO + "/checkpoint/config.json", os.path.join(folder, "ck"))
    rc, _, err = quantize("ck", "out.gguf", folder=folder)
    check(rc == 3 and err.count("\n") == 1, rc, err)
    with open(os.path.join(folder, "ck/model.safetensors.index.json"), "w") as f:
        json.dump({"weight_map": {"model.embed_tokens.weight": "model-00002-of-00002.safetensors"}}, f)
    rc, _, err = quantize("ck", "out.gguf", folder=folder)
    check(rc == 3 and "model-00002-of-00002" in err and err.count("\n") == 1, rc, err)
    nothing_but(folder, "ck")


def files_that_must_not_be_overwritten_are_not(folder):
    shutil.copy(DEMO + "/demo-q4_0.gguf", os.path.join(folder, "m.gguf"))
    before = open(os.path.join(folder, "m.gguf"), "rb").read()
    rc, _, err = quantize("m.gguf", "./m.gguf", folder=folder)
    check(rc == 2 and "the same file" in err, rc, err)
    check(open(os.path.join(folder, "m.gguf"), "rb").read() == before)
    rc, _, err = quantize(DEMO + "/checkpoint", "x.gguf", "--mmproj", "x.gguf", folder=folder)
    check(rc == 2, rc, err)
    rc, _, err = quantize("m.gguf", "/dev/null", folder=folder)
    check(rc == 3 and "not a file" in err, rc, err)
    nothing_but(folder, "m.gguf")


def memory_stays_small_whatever_the_size_and_the_threads(folder):
    large_encoder(os.path.join(folder, "in.gguf"), 60_000)
    for threads in ("1", "64"):
        rc, out, err = quantize("in.gguf", "out.gguf", "--vision", "q8_0", "--threads", threads, folder=folder)
        most = re.search(r"at most ([\d.]+) MiB of memory", out)
        check(rc == 0 and most and float(most[1]) < 160, threads, out, err)


CLAIMS = [the_bundled_checkpoint_gives_the_bundled_model, blocks_are_those_of_numpy, the_quantised_model_answers_as_the_bundled_one,
          a_folder_by_way_of_bf16_gives_the_same_blocks, what_is_quantised_already_stays_unless_that_is_meant,
          the_table_is_q6_k_where_rows_allow_and_rows_that_do_not_fit_are_told, picture_matrices_of_other_widths_stay_f16,
          a_killed_run_leaves_no_file, an_interrupted_run_says_so_and_leaves_no_file,
          an_interrupted_split_leaves_neither_shards_nor_folder, a_dash_is_standard_output_where_a_file_can_go_there,
          a_disk_that_is_full_is_told_before_the_work, weights_that_are_no_numbers_are_named,
          a_folder_that_lacks_a_file_is_one_sentence, files_that_must_not_be_overwritten_are_not,
          memory_stays_small_whatever_the_size_and_the_threads]

failed = 0
for claim in CLAIMS:
    problems.clear()
    if claim is memory_stays_small_whatever_the_size_and_the_threads and os.environ.get("SAN"):
        print("skip %s: sanitizers need more memory than the program" % claim.__name__)
        continue
    with tempfile.TemporaryDirectory() as place: claim(place)
    for p in problems: print("    " + p)
    print(("FAIL " if problems else "ok ") + claim.__name__, flush=True)
    failed |= bool(problems)
sys.exit(failed)
