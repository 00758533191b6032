#!/usr/bin/env python3
"""Write a Gemma 3 GGUF (and, with --mmproj, its SigLIP projector GGUF) with random weights.

Independent of the project: it shares no code with it, so a file from here is a case the engine has not seen.
  synth_gguf.py OUT.gguf --size 4b|1b|270m|12b|27b|tiny [--embd f16|q8_0|q4_0|q6_k] [--seed N]
                [--tokenizer tokenizer.json] [--mmproj OUT.gguf] [--layers N]
"""
import argparse, json, struct, sys
import numpy as np

SIZES = {  # layers, hidden, ffn, heads, kv, head_dim, window, context, rope_scale, query_scale(None=head_dim)
    "270m": (18, 640, 2048, 4, 1, 256, 512, 32768, 1.0),
    "1b": (26, 1152, 6912, 4, 1, 256, 512, 32768, 1.0),
    "4b": (34, 2560, 10240, 8, 4, 256, 1024, 131072, 8.0),
    "12b": (48, 3840, 15360, 16, 8, 256, 1024, 131072, 8.0),
    "27b": (62, 5376, 21504, 32, 16, 128, 1024, 131072, 8.0),
    "tiny": (7, 256, 512, 4, 2, 64, 32, 4096, 8.0),
}
F32, F16, Q4_0, Q8_0, Q6_K = 0, 1, 2, 8, 14
U32, F32T, BOOL, STR, ARR, I32 = 4, 6, 7, 8, 9, 5
BLK = {F32: (1, 4), F16: (1, 2), Q4_0: (32, 18), Q8_0: (32, 34), Q6_K: (256, 210)}


def s(x):
    b = x.encode() if isinstance(x, str) else x
    return struct.pack("<Q", len(b)) + b


def kv(key, t, v, sub=None):
    out = s(key) + struct.pack("<I", t)
    if t == U32: out += struct.pack("<I", v)
    elif t == F32T: out += struct.pack("<f", v)
    elif t == BOOL: out += struct.pack("<?", v)
    elif t == STR: out += s(v)
    elif t == ARR:
        out += struct.pack("<IQ", sub, len(v))
        if sub == STR: out += b"".join(s(x) for x in v)
        elif sub == F32T: out += np.asarray(v, "<f4").tobytes()
        elif sub == I32: out += np.asarray(v, "<i4").tobytes()
    return out


class Out:
    def __init__(self, path, rng):
        self.path, self.rng, self.meta, self.tensors = path, rng, [], []

    def add(self, name, dims, typ, std=0.02, const=None, arr=None):
        self.tensors.append((name, dims, typ, std, const, arr))

    def data(self, dims, typ, std, const, arr):
        n = int(np.prod(dims))
        r = self.rng
        if arr is not None:
            return np.ascontiguousarray(arr, "<f4").tobytes()
        if typ == F32:
            v = np.full(n, const, "f4") + r.standard_normal(n, "f4") * std if const is not None else r.standard_normal(n, "f4") * std
            return v.astype("<f4").tobytes()
        if typ == F16:
            return (r.standard_normal(n, "f4") * std).astype("<f2").tobytes()
        if typ == Q4_0:
            b = np.frombuffer(r.bytes(n // 32 * 18), "u1").reshape(-1, 18).copy()
            d = (std / 4.6 * (0.75 + 0.5 * r.random(n // 32, "f4"))).astype("<f2")
            b[:, :2] = d.view("u1").reshape(-1, 2)
            return b.tobytes()
        if typ == Q8_0:
            b = np.frombuffer(r.bytes(n // 32 * 34), "u1").reshape(-1, 34).copy()
            d = (std / 73.6 * (0.75 + 0.5 * r.random(n // 32, "f4"))).astype("<f2")
            b[:, :2] = d.view("u1").reshape(-1, 2)
            return b.tobytes()
        if typ == Q6_K:
            b = np.frombuffer(r.bytes(n // 256 * 210), "u1").reshape(-1, 210).copy()
            sc = r.integers(40, 120, (n // 256, 16)).astype("i1")
            b[:, 192:208] = sc.view("u1")
            d = np.full(n // 256, std / 18.5 / 80, "<f2")
            b[:, 208:] = d.view("u1").reshape(-1, 2)
            return b.tobytes()

    def write(self):
        with open(self.path, "wb") as f:
            f.write(b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.meta)))
            f.write(b"".join(self.meta))
            off = 0
            for name, dims, typ, *_ in self.tensors:
                f.write(s(name) + struct.pack("<I", len(dims)) + struct.pack("<%dQ" % len(dims), *dims) + struct.pack("<IQ", typ, off))
                be, bb = BLK[typ]
                size = int(np.prod(dims)) // be * bb
                off += (size + 31) // 32 * 32
            f.write(b"\0" * (-f.tell() % 32))
            for name, dims, typ, std, const, arr in self.tensors:
                rows = dims[1] if len(dims) > 1 else 1
                step = max(1, rows // 16) if len(dims) == 2 and arr is None else rows
                if len(dims) == 2 and arr is None:
                    done = 0
                    while done < rows:
                        k = min(step, rows - done)
                        f.write(self.data((dims[0], k), typ, std, const, None)); done += k
                else:
                    f.write(self.data(dims, typ, std, const, arr))
                f.write(b"\0" * (-f.tell() % 32))


def vocab(path, limit=None):
    if not path:
        n = limit or 512
        toks = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"] + ["<0x%02X>" % i for i in range(256)]
        toks += ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>", "\n", "▁"]
        toks += [chr(i) for i in range(33, 127)]
        i = 0
        import itertools
        for a, b in itertools.product("etaoinshrdlu", repeat=2):
            if len(toks) < n: toks.append(a + b)
        while len(toks) < n: toks.append("▁w%d" % len(toks))
        types = [3, 3, 3, 2, 1] + [6] * 256 + [3] * 5 + [1] * (len(toks) - 266)
        sc = [0.0] * 261 + [-float(i) for i in range(len(toks) - 261)]
        return toks, sc, types
    j = json.load(open(path))
    m = j["model"]["vocab"]
    n = 262144
    toks = [None] * n
    for t, i in m.items():
        if i < n: toks[i] = t
    added = {}
    for a in j["added_tokens"]:
        if a["id"] < n: toks[a["id"]] = a["content"]; added[a["id"]] = a.get("special", False)
    # BPE-merge rank -> SPM score: -rank of the token id, as the official conversion orders them
    types, sc = [], []
    for i, t in enumerate(toks):
        if t is None: t = toks[i] = "<unused_%d>" % i
        if i == 3: types.append(2)
        elif t.startswith("<0x") and len(t) == 6: types.append(6)
        elif i in added: types.append(3 if added[i] else 4)
        else: types.append(1)
        sc.append(-1000.0 if i < 256 else -float(i))
    return toks, sc, types


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out"); p.add_argument("--size", default="tiny"); p.add_argument("--embd", default="q8_0")
    p.add_argument("--seed", type=int, default=1); p.add_argument("--tokenizer"); p.add_argument("--mmproj")
    p.add_argument("--layers", type=int); p.add_argument("--vocab", type=int)
    a = p.parse_args()
    L, D, FF, H, KV, HD, W, CTX, RS = SIZES[a.size]
    if a.layers: L = a.layers
    rng = np.random.default_rng(a.seed)
    o = Out(a.out, rng)
    toks, sc, types = vocab(a.tokenizer, a.vocab)
    V = len(toks)
    g = "gemma3."
    o.meta += [kv("general.architecture", STR, "gemma3"), kv("general.name", STR, "synthetic gemma3 " + a.size),
        kv(g + "context_length", U32, CTX), kv(g + "embedding_length", U32, D), kv(g + "block_count", U32, L),
        kv(g + "feed_forward_length", U32, FF), kv(g + "attention.head_count", U32, H), kv(g + "attention.head_count_kv", U32, KV),
        kv(g + "attention.key_length", U32, HD), kv(g + "attention.value_length", U32, HD),
        kv(g + "attention.layer_norm_rms_epsilon", F32T, 1e-6), kv(g + "attention.sliding_window", U32, W),
        kv(g + "rope.freq_base", F32T, 1e6)]
    if RS != 1.0:
        o.meta += [kv(g + "rope.scaling.type", STR, "linear"), kv(g + "rope.scaling.factor", F32T, RS)]
    o.meta += [kv("general.file_type", U32, 2), kv("tokenizer.ggml.model", STR, "llama"), kv("tokenizer.ggml.pre", STR, "default"),
        kv("tokenizer.ggml.tokens", ARR, toks, STR), kv("tokenizer.ggml.scores", ARR, sc, F32T), kv("tokenizer.ggml.token_type", ARR, types, I32),
        kv("tokenizer.ggml.bos_token_id", U32, 2), kv("tokenizer.ggml.eos_token_id", U32, 1), kv("tokenizer.ggml.padding_token_id", U32, 0),
        kv("tokenizer.ggml.unknown_token_id", U32, 3), kv("tokenizer.ggml.add_bos_token", BOOL, True), kv("tokenizer.ggml.add_eos_token", BOOL, False),
        kv("tokenizer.ggml.add_space_prefix", BOOL, False)]
    et = {"f16": F16, "q8_0": Q8_0, "q4_0": Q4_0, "q6_k": Q6_K}[a.embd]
    o.add("token_embd.weight", (D, V), et)
    o.add("output_norm.weight", (D,), F32, 0.1, 1.0)
    for i in range(L):
        b = "blk.%d." % i
        o.add(b + "attn_norm.weight", (D,), F32, 0.1, 1.0)
        o.add(b + "attn_q.weight", (D, H * HD), Q4_0)
        o.add(b + "attn_k.weight", (D, KV * HD), Q4_0)
        o.add(b + "attn_v.weight", (D, KV * HD), Q4_0)
        o.add(b + "attn_output.weight", (H * HD, D), Q4_0)
        o.add(b + "attn_q_norm.weight", (HD,), F32, 0.1, 1.0)
        o.add(b + "attn_k_norm.weight", (HD,), F32, 0.1, 1.0)
        o.add(b + "post_attention_norm.weight", (D,), F32, 0.1, 1.0)
        o.add(b + "ffn_norm.weight", (D,), F32, 0.1, 1.0)
        o.add(b + "ffn_gate.weight", (D, FF), Q4_0)
        o.add(b + "ffn_up.weight", (D, FF), Q4_0)
        o.add(b + "ffn_down.weight", (FF, D), Q4_0)
        o.add(b + "post_ffw_norm.weight", (D,), F32, 0.1, 1.0)
    o.write()
    if a.mmproj:
        VL, VD, VF, VH = (27, 1152, 4304, 16) if a.size != "tiny" else (4, 128, 320, 4)
        IMG, P = 896, 14
        m = Out(a.mmproj, rng)
        c = "clip.vision."
        m.meta += [kv("general.architecture", STR, "clip"), kv("clip.projector_type", STR, "gemma3"), kv("clip.has_text_encoder", BOOL, False),
            kv("clip.has_vision_encoder", BOOL, True), kv("clip.has_llava_projector", BOOL, False), kv("clip.use_gelu", BOOL, True),
            kv(c + "image_size", U32, IMG), kv(c + "patch_size", U32, P), kv(c + "embedding_length", U32, VD), kv(c + "feed_forward_length", U32, VF),
            kv(c + "projection_dim", U32, D), kv(c + "block_count", U32, VL), kv(c + "attention.head_count", U32, VH),
            kv(c + "attention.layer_norm_epsilon", F32T, 1e-6), kv(c + "image_mean", ARR, [0.5] * 3, F32T), kv(c + "image_std", ARR, [0.5] * 3, F32T),
            kv("general.file_type", U32, 1)]
        m.add("v.patch_embd.weight", (P, P, 3, VD), F32, 0.05); m.add("v.patch_embd.bias", (VD,), F32, 0.05)
        m.add("v.position_embd.weight", (VD, (IMG // P) ** 2), F32, 0.05)
        for i in range(VL):
            b = "v.blk.%d." % i
            for n, d in (("attn_q", (VD, VD)), ("attn_k", (VD, VD)), ("attn_v", (VD, VD)), ("attn_out", (VD, VD)), ("ffn_down", (VD, VF)), ("ffn_up", (VF, VD))):
                m.add(b + n + ".weight", d, F16); m.add(b + n + ".bias", (d[1],), F32, 0.02)
            for n in ("ln1", "ln2"):
                m.add(b + n + ".weight", (VD,), F32, 0.1, 1.0); m.add(b + n + ".bias", (VD,), F32, 0.02)
        m.add("v.post_ln.weight", (VD,), F32, 0.1, 1.0); m.add("v.post_ln.bias", (VD,), F32, 0.02)
        m.add("mm.input_projection.weight", (D, VD), F32, 0.02)
        m.add("mm.soft_emb_norm.weight", (VD,), F32, 0.1, 1.0)
        m.write()


main()
