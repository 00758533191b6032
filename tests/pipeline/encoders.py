"""Picture encoders with random weights, of any shape of the family, for the pipeline tests."""
import os

import numpy as np

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

# The generator is a program: everything but its last line, which runs it.
synth = {"__name__": "synth"}
with open(os.path.join(ROOT, "tests", "reference", "synth_gguf.py")) as f:
    exec(compile(f.read().rsplit("main()", 1)[0], "synth_gguf.py", "exec"), synth)
F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8



def make(path, shape, seed):
    """An encoder whose attention looks at some patches more than at others. The weights are the same, swapped or not.
    shape: name, layers, width, ffn, heads, image, patch, pool, hidden, type of the matrices, ffn names swapped."""
    name, L, W, F, H, image, patch, pool, hidden, kind, swapped = shape
    kv, U32, STR, BOOL, F32T = (synth[k] for k in ("kv", "U32", "STR", "BOOL", "F32T"))
    c = "clip.vision."
    m = synth["Out"](path, np.random.default_rng(seed))
    m.meta += [kv("general.architecture", STR, "clip"), kv("clip.projector_type", STR, "gemma3"),
               kv("clip.has_vision_encoder", BOOL, True), kv("clip.use_gelu", BOOL, True)]
    m.meta += [kv(c + k, U32, v) for k, v in (("image_size", image), ("patch_size", patch), ("embedding_length", W),
               ("feed_forward_length", F), ("block_count", L), ("attention.head_count", H), ("projection_dim", hidden),
               ("projector.scale_factor", pool))]
    m.meta += [kv(c + "attention.layer_norm_epsilon", F32T, 1e-6)]
    m.add("v.patch_embd.weight", (patch, patch, 3, W), F32, 0.08); m.add("v.patch_embd.bias", (W,), F32, 0.1)
    m.add("v.position_embd.weight", (W, (image // patch) ** 2), F32, 0.3)
    for i in range(L):
        b = "v.blk.%d." % i
        up, down = ("ffn_down", "ffn_up") if swapped else ("ffn_up", "ffn_down")
        for n, d in (("attn_q", (W, W)), ("attn_k", (W, W)), ("attn_v", (W, W)), ("attn_out", (W, W)), (up, (W, F)), (down, (F, W))):
            m.add(b + n + ".weight", d, kind, 2.0 / W ** 0.5 if n in ("attn_q", "attn_k") else 1.0 / W ** 0.5)
            m.add(b + n + ".bias", (d[1],), F32, 0.1)
        for n in ("ln1", "ln2"):
            m.add(b + n + ".weight", (W,), F32, 0.1, 1.0); m.add(b + n + ".bias", (W,), F32, 0.1)
    m.add("v.post_ln.weight", (W,), F32, 0.1, 1.0); m.add("v.post_ln.bias", (W,), F32, 0.1)
    m.add("mm.input_projection.weight", (hidden, W), F16, 0.05); m.add("mm.soft_emb_norm.weight", (W,), F32, 0.1, 1.0)
    m.write()
