#!/usr/bin/env python3
"""The demo checkpoint as a GGUF pair: Q4_0 text with a Q8_0 table, F16 picture encoder.

  to_gguf.py CHECKPOINT_DIR OUT.gguf OUT-mmproj.gguf      needs python3-numpy, python3-sentencepiece
"""
import json, struct, sys
import numpy as np
import sentencepiece as spm

U32, F32T, BOOL, STR, ARR, I32 = 4, 6, 7, 8, 9, 5
src, text_out, see_out = sys.argv[1:4]
cfg = json.load(open(src + "/config.json")); t, v = cfg["text_config"], cfg["vision_config"]
blob = open(src + "/model.safetensors", "rb").read(); n = struct.unpack("<Q", blob[:8])[0]; head = json.loads(blob[8:8 + n])


def get(name):
    h = head[name]; a, b = h["data_offsets"]
    return (np.frombuffer(blob[8 + n + a:8 + n + b], "<u2").astype("u4") << 16).view("f4").reshape(h["shape"])


def q4_0(x):
    b = x.reshape(-1, 32); i = np.abs(b).argmax(1); d = np.take_along_axis(b, i[:, None], 1)[:, 0] / np.float32(-8)
    with np.errstate(divide="ignore"): inv = np.where(d != 0, np.float32(1) / d, np.float32(0)).astype("f4")
    q = np.minimum(15, np.trunc((b.astype("f8") * inv[:, None] + 8.5).astype("f4"))).astype("u1")
    return np.concatenate([d.astype("<f2").view("u1").reshape(-1, 2), q[:, :16] | q[:, 16:] << 4], 1).tobytes()


def q8_0(x):
    b = x.reshape(-1, 32); d = np.abs(b).max(1) / np.float32(127)
    with np.errstate(divide="ignore"): inv = np.where(d != 0, np.float32(1) / d, np.float32(0)).astype("f4")
    y = b * inv[:, None]; q = (np.sign(y) * np.floor(np.abs(y) + np.float32(.5))).astype("i1")
    return np.concatenate([d.astype("<f2").view("u1").reshape(-1, 2), q.view("u1")], 1).tobytes()


PACK = {0: lambda x: x.astype("<f4").tobytes(), 1: lambda x: x.astype("<f2").tobytes(), 2: q4_0, 8: q8_0}


def s(x): b = x.encode(); return struct.pack("<Q", len(b)) + b


def kv(k, ty, val, sub=None):
    o = s(k) + struct.pack("<I", ty)
    one = lambda ty, x: {U32: lambda: struct.pack("<I", x), I32: lambda: struct.pack("<i", x), F32T: lambda: struct.pack("<f", x), BOOL: lambda: struct.pack("<?", x), STR: lambda: s(x)}[ty]()
    return o + (struct.pack("<IQ", sub, len(val)) + b"".join(one(sub, x) for x in val) if ty == ARR else one(ty, val))


def write(path, meta, tensors):
    datas = [PACK[ty](np.ascontiguousarray(x, "f4")) for _, x, ty in tensors]; off = 0
    o = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta)) + b"".join(meta)
    for (name, x, ty), d in zip(tensors, datas):
        o += s(name) + struct.pack("<I", x.ndim) + struct.pack(f"<{x.ndim}Q", *x.shape[::-1]) + struct.pack("<IQ", ty, off); off += (len(d) + 31) // 32 * 32
    o += b"\0" * (-len(o) % 32)
    open(path, "wb").write(o + b"".join(d + b"\0" * (-len(d) % 32) for d in datas))


sp = spm.SentencePieceProcessor(src + "/tokenizer.model"); V = t["vocab_size"]
user = {"\n", "\n\n", "\n\n\n", "\t"}
kind = [2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 4 if sp.id_to_piece(i) in user else 1 for i in range(V)]
g = "gemma3."
meta = [kv("general.architecture", STR, "gemma3"), kv("general.name", STR, "gemmapipe demo"), kv("general.file_type", U32, 2), kv(g + "context_length", U32, t["max_position_embeddings"]),
        kv(g + "embedding_length", U32, t["hidden_size"]), kv(g + "block_count", U32, t["num_hidden_layers"]), kv(g + "feed_forward_length", U32, t["intermediate_size"]),
        kv(g + "attention.head_count", U32, t["num_attention_heads"]), kv(g + "attention.head_count_kv", U32, t["num_key_value_heads"]), kv(g + "attention.key_length", U32, t["head_dim"]),
        kv(g + "attention.value_length", U32, t["head_dim"]), kv(g + "attention.layer_norm_rms_epsilon", F32T, 1e-6), kv(g + "attention.sliding_window", U32, t["sliding_window"]),
        kv(g + "rope.freq_base", F32T, t["rope_theta"]), kv(g + "rope.scaling.type", STR, "linear"), kv(g + "rope.scaling.factor", F32T, t["rope_scaling"]["factor"]),
        kv("tokenizer.ggml.model", STR, "llama"), kv("tokenizer.ggml.pre", STR, "default"), kv("tokenizer.ggml.tokens", ARR, [sp.id_to_piece(i) for i in range(V)], STR),
        kv("tokenizer.ggml.scores", ARR, [float(sp.get_score(i)) for i in range(V)], F32T), kv("tokenizer.ggml.token_type", ARR, kind, I32), kv("tokenizer.ggml.bos_token_id", U32, 2),
        kv("tokenizer.ggml.eos_token_id", U32, 1), kv("tokenizer.ggml.unknown_token_id", U32, 3), kv("tokenizer.ggml.padding_token_id", U32, 0), kv("tokenizer.ggml.add_bos_token", BOOL, True),
        kv("tokenizer.ggml.add_eos_token", BOOL, False), kv("tokenizer.ggml.add_space_prefix", BOOL, False)]
p = "language_model.model."
ts = [("token_embd.weight", get(p + "embed_tokens.weight"), 8), ("output_norm.weight", get(p + "norm.weight") + 1, 0)]
names = [("attn_norm", "input_layernorm", 0), ("attn_q", "self_attn.q_proj", 2), ("attn_k", "self_attn.k_proj", 2), ("attn_v", "self_attn.v_proj", 2), ("attn_output", "self_attn.o_proj", 2),
         ("attn_q_norm", "self_attn.q_norm", 0), ("attn_k_norm", "self_attn.k_norm", 0), ("post_attention_norm", "post_attention_layernorm", 0), ("ffn_norm", "pre_feedforward_layernorm", 0),
         ("ffn_gate", "mlp.gate_proj", 2), ("ffn_up", "mlp.up_proj", 2), ("ffn_down", "mlp.down_proj", 2), ("post_ffw_norm", "post_feedforward_layernorm", 0)]
for i in range(t["num_hidden_layers"]):
    for a, b, ty in names: ts.append((f"blk.{i}.{a}.weight", get(f"{p}layers.{i}.{b}.weight") + (ty == 0), ty))
write(text_out, meta, ts)

c = "clip.vision."; q = "vision_tower.vision_model."
meta = [kv("general.architecture", STR, "clip"), kv("general.type", STR, "mmproj"), kv("general.file_type", U32, 1), kv("clip.projector_type", STR, "gemma3"), kv("clip.has_vision_encoder", BOOL, True), kv("clip.use_gelu", BOOL, True),
        kv(c + "image_size", U32, v["image_size"]), kv(c + "patch_size", U32, v["patch_size"]), kv(c + "embedding_length", U32, v["hidden_size"]), kv(c + "feed_forward_length", U32, v["intermediate_size"]),
        kv(c + "projection_dim", U32, t["hidden_size"]), kv(c + "block_count", U32, v["num_hidden_layers"]), kv(c + "attention.head_count", U32, v["num_attention_heads"]), kv(c + "attention.layer_norm_epsilon", F32T, 1e-6),
        kv(c + "image_mean", ARR, [.5] * 3, F32T), kv(c + "image_std", ARR, [.5] * 3, F32T)]
ts = [("v.patch_embd.weight", get(q + "embeddings.patch_embedding.weight"), 0), ("v.patch_embd.bias", get(q + "embeddings.patch_embedding.bias"), 0), ("v.position_embd.weight", get(q + "embeddings.position_embedding.weight"), 0),
      ("v.post_ln.weight", get(q + "post_layernorm.weight"), 0), ("v.post_ln.bias", get(q + "post_layernorm.bias"), 0), ("mm.soft_emb_norm.weight", get("multi_modal_projector.mm_soft_emb_norm.weight") + 1, 0),
      ("mm.input_projection.weight", get("multi_modal_projector.mm_input_projection_weight"), 1)]
for i in range(v["num_hidden_layers"]):
    for a, b in (("ln1", "layer_norm1"), ("ln2", "layer_norm2"), ("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"), ("attn_v", "self_attn.v_proj"), ("attn_out", "self_attn.out_proj"), ("ffn_up", "mlp.fc1"), ("ffn_down", "mlp.fc2")):
        x = get(f"{q}encoder.layers.{i}.{b}.weight"); ts.append((f"v.blk.{i}.{a}.weight", x, 1 if x.ndim == 2 else 0)); ts.append((f"v.blk.{i}.{a}.bias", get(f"{q}encoder.layers.{i}.{b}.bias"), 0))
write(see_out, meta, ts)
