#!/usr/bin/env python3
"""A Hugging Face checkpoint of Gemma 3 with random weights, in any of the layouts found in the wild.

  synth_checkpoint.py OUT_DIR [--size tiny|270m|1b|4b|12b|27b] [--layers N] [--vocab N] ...      needs python3-numpy

Written tensor by tensor, so size is limited by the disk only. The same arguments give the same bytes. Without
--tokenizer it invents a tokenizer.model (SentencePiece protobuf, written here by hand) that fits the vocabulary.
"""
import argparse, json, os, struct, sys
import numpy as np

SIZES = {  # layers hidden ffn heads kv_heads head_dim window context vocab scalar vision
    "tiny": (2, 64, 128, 4, 2, 16, 32, 1024, 600, 16, True),
    "270m": (18, 640, 2048, 4, 1, 256, 512, 32768, 262144, 256, False),
    "1b": (26, 1152, 6912, 4, 1, 256, 512, 32768, 262144, 256, False),
    "4b": (34, 2560, 10240, 8, 4, 256, 1024, 131072, 262208, 256, True),
    "12b": (48, 3840, 15360, 16, 8, 256, 1024, 131072, 262208, 256, True),
    "27b": (62, 5376, 21504, 32, 16, 128, 1024, 131072, 262208, 168, True),
}
STYLES = {  # text, vision, projector, head
    "published": ("language_model.model.", "vision_tower.vision_model.", "multi_modal_projector.", "language_model.lm_head.weight"),
    "resaved": ("model.language_model.", "model.vision_tower.vision_model.", "model.multi_modal_projector.", "lm_head.weight"),
    "flat": ("model.", None, None, "lm_head.weight"),
    "prerelease": ("language_model.model.", "vision_model.vision_model.", "multimodal_projector.", "language_model.lm_head.weight"),
}
BYTES = {"BF16": 2, "F16": 2, "F32": 4}
CHUNK = 1 << 24


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("out")
    p.add_argument("--size", choices=SIZES, default="tiny")
    for name in ("layers", "hidden", "ffn", "heads", "kv-heads", "head-dim", "window", "context", "vocab"): p.add_argument("--" + name, type=int)
    p.add_argument("--style", choices=STYLES, help="of names; default: published, or flat without vision")
    p.add_argument("--config", choices=("nested", "flat", "sparse", "new"), help="sparse: as the first 4B file, most keys left out; new: rope_parameters and layer_types")
    p.add_argument("--dtype", choices=BYTES, default="BF16")
    p.add_argument("--shards", type=int, default=1)
    p.add_argument("--head", choices=("none", "same", "other"), default="none", help="a stored lm_head: equal to the embeddings, or not")
    p.add_argument("--vision", choices=("none", "tiny", "real"), help="default: by size")
    p.add_argument("--nan", metavar="NAME", help="one NaN into the tensor whose name ends in NAME")
    p.add_argument("--tokenizer", metavar="DIR", help="copies tokenizer.model, tokenizer.json and tokenizer_config.json from there")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    names = ("layers", "hidden", "ffn", "heads", "kv_heads", "head_dim", "window", "context", "vocab", "scalar", "see")
    for name, value in zip(names, SIZES[a.size]):
        if getattr(a, name, None) is None: setattr(a, name, value)
    a.vision = a.vision or ("none" if not a.see else "tiny" if a.size == "tiny" else "real")
    a.style = a.style or ("flat" if a.vision == "none" else "published")
    a.config = a.config or ("flat" if a.vision == "none" else "nested")
    return a


def vision_sizes(kind):
    return dict(hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16, image_size=896, patch_size=14) if kind == "real" else \
        dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3, image_size=56, patch_size=14)


def config(a):
    t = dict(model_type="gemma3_text", hidden_size=a.hidden, num_hidden_layers=a.layers, intermediate_size=a.ffn, sliding_window=a.window)
    if a.config != "sparse":
        t |= dict(vocab_size=a.vocab, num_attention_heads=a.heads, num_key_value_heads=a.kv_heads, head_dim=a.head_dim, query_pre_attn_scalar=a.scalar, rms_norm_eps=1e-6,
                  max_position_embeddings=a.context, hidden_activation="gelu_pytorch_tanh", attn_logit_softcapping=None, final_logit_softcapping=None, attention_bias=False)
    factor = 8.0 if a.see else None
    if a.config == "new":
        t["rope_parameters"] = dict(full_attention=dict(rope_type="linear", factor=factor, rope_theta=1e6) if factor else dict(rope_type="default", rope_theta=1e6), sliding_attention=dict(rope_type="default", rope_theta=1e4))
        t["layer_types"] = ["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(a.layers)]
        t["dtype"] = "bfloat16"
    else:
        t["rope_scaling"] = dict(factor=factor, rope_type="linear") if factor else None
        if a.config != "sparse": t |= dict(rope_theta=1e6, rope_local_base_freq=1e4, sliding_window_pattern=6)
    if a.config == "flat":
        return t | dict(architectures=["Gemma3ForCausalLM"], bos_token_id=2, eos_token_id=[1, 106], pad_token_id=0, torch_dtype="bfloat16")
    c = dict(architectures=["Gemma3ForConditionalGeneration"], model_type="gemma3", boi_token_index=255999, eoi_token_index=256000, image_token_index=262144, mm_tokens_per_image=256,
             eos_token_id=[1, 106], initializer_range=0.02, text_config=t, torch_dtype="bfloat16", transformers_version="4.50.0.dev0")
    if a.vision != "none": c["vision_config"] = vision_sizes(a.vision) | dict(model_type="siglip_vision_model", vision_use_head=False)
    if a.vision == "tiny": c |= dict(mm_tokens_per_image=1, boi_token_index=6, eoi_token_index=7, image_token_index=8)
    return c


def tensors(a):
    """(name, shape, kind) of everything, in the order it is stored."""
    text, see, project, head = STYLES[a.style]
    q, kv = a.heads * a.head_dim, a.kv_heads * a.head_dim
    yield text + "embed_tokens.weight", (a.vocab, a.hidden), "table"
    for i in range(a.layers):
        p = f"{text}layers.{i}."
        for name, shape in (("self_attn.q_proj", (q, a.hidden)), ("self_attn.k_proj", (kv, a.hidden)), ("self_attn.v_proj", (kv, a.hidden)), ("self_attn.o_proj", (a.hidden, q)),
                            ("mlp.gate_proj", (a.ffn, a.hidden)), ("mlp.up_proj", (a.ffn, a.hidden)), ("mlp.down_proj", (a.hidden, a.ffn))):
            yield f"{p}{name}.weight", shape, "matrix"
        for name, n in (("input_layernorm", a.hidden), ("post_attention_layernorm", a.hidden), ("pre_feedforward_layernorm", a.hidden), ("post_feedforward_layernorm", a.hidden),
                        ("self_attn.q_norm", a.head_dim), ("self_attn.k_norm", a.head_dim)):
            yield f"{p}{name}.weight", (n,), "norm"
    yield text + "norm.weight", (a.hidden,), "norm"
    if a.head != "none": yield head, (a.vocab, a.hidden), "table" if a.head == "same" else "matrix"
    if a.vision == "none" or see is None: return
    v = vision_sizes(a.vision); d, f = v["hidden_size"], v["intermediate_size"]
    yield see + "embeddings.patch_embedding.weight", (d, 3, v["patch_size"], v["patch_size"]), "matrix"
    yield see + "embeddings.patch_embedding.bias", (d,), "matrix"
    yield see + "embeddings.position_embedding.weight", ((v["image_size"] // v["patch_size"]) ** 2, d), "matrix"
    for i in range(v["num_hidden_layers"]):
        p = f"{see}encoder.layers.{i}."
        for name, shape in (("layer_norm1", (d,)), ("layer_norm2", (d,)), ("self_attn.q_proj", (d, d)), ("self_attn.k_proj", (d, d)), ("self_attn.v_proj", (d, d)),
                            ("self_attn.out_proj", (d, d)), ("mlp.fc1", (f, d)), ("mlp.fc2", (d, f))):
            yield f"{p}{name}.weight", shape, "norm" if len(shape) == 1 else "matrix"
            yield f"{p}{name}.bias", shape[:1], "matrix"
    yield see + "post_layernorm.weight", (d,), "norm"
    yield see + "post_layernorm.bias", (d,), "matrix"
    yield project + "mm_input_projection_weight", (d, a.hidden), "matrix"
    yield project + "mm_soft_emb_norm.weight", (d,), "norm"


def values(rng, n, kind, dtype):
    """n numbers as they lie in the file. Many: bits from the generator, a few octaves round 0.02; few: a bell curve."""
    if n > 1 << 20 and dtype == "BF16":
        r = np.frombuffer(rng.bytes(2 * n), "<u2")
        return (r & 0x80ff | 0x3b80) + ((r & 0x0300) >> 1)
    x = rng.standard_normal(n, "f4") * np.float32(0.3 if kind == "norm" else 0.02)
    if dtype == "F32": return x.astype("<f4")
    if dtype == "F16": return x.astype("<f2").view("<u2")
    b = x.view("<u4"); return ((b + 0x7fff + ((b >> 16) & 1)) >> 16).astype("<u2")


def write_data(f, a, index, name, shape, kind):
    n = int(np.prod(shape)); seed = 0 if kind == "table" else index + 1  # the two tables are the same
    rng = np.random.default_rng([a.seed, seed])
    for at in range(0, n, CHUNK):
        x = values(rng, min(CHUNK, n - at), kind, a.dtype)
        if at == 0 and a.nan and name.endswith(a.nan): x = x.copy(); x.view("<u2")[-1] = 0x7fff
        x.tofile(f)


def write_file(path, a, entries):
    head, offset = {"__metadata__": {"format": "pt"}}, 0
    for _, name, shape, kind in entries:
        n = int(np.prod(shape)) * BYTES[a.dtype]
        head[name] = dict(dtype=a.dtype, shape=list(shape), data_offsets=[offset, offset + n]); offset += n
    text = json.dumps(head, separators=(",", ":")).encode(); text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text); f.flush()
        for index, name, shape, kind in entries: write_data(f, a, index, name, shape, kind)
    return offset


def shards(a):
    """Runs of tensors, about the same number of bytes each."""
    entries = [(i, *t) for i, t in enumerate(tensors(a))]
    total = sum(int(np.prod(e[2])) for e in entries); out, done = [[] for _ in range(a.shards)], 0
    for e in entries:
        out[min(a.shards - 1, done * a.shards // total)].append(e); done += int(np.prod(e[2]))
    return [s for s in out if s]


def write_weights(a):
    parts = shards(a)
    if a.shards == 1: return write_file(f"{a.out}/model.safetensors", a, parts[0])
    where, total = {}, 0
    for i, part in enumerate(parts):
        name = f"model-{i + 1:05}-of-{len(parts):05}.safetensors"
        total += write_file(f"{a.out}/{name}", a, part)
        where |= {e[1]: name for e in part}
    json.dump(dict(metadata=dict(total_size=total), weight_map=where), open(f"{a.out}/model.safetensors.index.json", "w"), indent=1)
    return total


# ---- a tokenizer of our own ----

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def varint(n):
    out = b""
    while n > 127: out += bytes([n & 127 | 128]); n >>= 7
    return out + bytes([n])


def field(number, data): return varint(number << 3 | 2) + varint(len(data)) + data


def gemma_pieces():
    yield from (("<pad>", CONTROL), ("<eos>", CONTROL), ("<bos>", CONTROL), ("<unk>", UNKNOWN), ("<mask>", USER), ("[multimodal]", USER))
    for i in range(99): yield f"<unused{i}>", USER
    yield from (("<start_of_turn>", USER), ("<end_of_turn>", USER))
    for i in range(31): yield "\n" * (i + 1), USER
    for i in range(30): yield "\u2581" * (i + 2), USER
    for i in range(70): yield "</s>" if i == 44 else f"<tag{i}>", USER
    for i in range(256): yield f"<0x{i:02X}>", BYTE
    for i in range(494, 236743): yield "\u2581w" + "".join(chr(97 + i // 26**k % 26) for k in range(4)), NORMAL
    yield "\u2581", NORMAL
    for i in range(236744, 255968): yield chr(0x4e00 + i - 236744), NORMAL
    for i in range(31): yield "\t" * (i + 1), USER
    yield from (("<start_of_image>", USER), ("<end_of_image>", USER))
    for i in range(256001, 262144): yield f"<unused{i - 255902}>", USER


def small_pieces(n):
    specials = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>")
    for s in specials: yield s, UNKNOWN if s == "<unk>" else CONTROL
    yield "\n", USER
    for i in range(256): yield f"<0x{i:02X}>", BYTE
    letters = "\u2581etaoinshrdlcumwfgypbvkjxqz"
    for i in range(n - 266): yield (letters[i] if i < len(letters) else "".join(letters[1 + i // 26**k % 26] for k in range(3))), NORMAL


def write_tokenizer(a):
    if a.tokenizer:
        for name in ("tokenizer.model", "tokenizer.json", "tokenizer_config.json"):
            if os.path.exists(f"{a.tokenizer}/{name}"): open(f"{a.out}/{name}", "wb").write(open(f"{a.tokenizer}/{name}", "rb").read())
        return
    learned, out = 0, []
    for text, kind in gemma_pieces() if a.vocab >= 262144 else small_pieces(a.vocab):
        score = 0.0
        if kind == NORMAL: score = -float(learned); learned += 1
        out.append(field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + (b"" if kind == NORMAL else b"\x18" + varint(kind))))
    open(f"{a.out}/tokenizer.model", "wb").write(b"".join(out))


def main():
    a = arguments()
    os.makedirs(a.out, exist_ok=True)
    json.dump(config(a), open(f"{a.out}/config.json", "w"), indent=1)
    write_tokenizer(a)
    total = write_weights(a)
    print(f"{a.out}: {total} bytes of weights", file=sys.stderr)


if __name__ == "__main__": main()
