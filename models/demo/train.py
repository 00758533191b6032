#!/usr/bin/env python3
"""Train the demo model: a very small Gemma 3 (text and pictures), quantisation-aware for Q4_0, written as a Hugging Face checkpoint.

  python3 train.py OUT_DIR [--minutes 60] [--seed 1]      needs python3-torch, python3-sentencepiece, python3-numpy
OUT_DIR gets config.json, model.safetensors (bf16, unquantised, as Google publishes its QAT checkpoints), tokenizer.json, tokenizer.model,
tokenizer_config.json, preprocessor_config.json and eval.json (what it scored on questions and scenes held out of training).
state.pt beside OUT_DIR holds the float weights of the last export, for --resume.
"""
import argparse, json, math, os, random, struct, time
import numpy as np
import sentencepiece as spm
import torch
import torch.nn as nn
import torch.nn.functional as F
import corpus as C

D, L, FF, H, KV, HD, WIN, VOCAB = 128, 8, 384, 4, 2, 32, 32, 1024
VD, VL, VF, VH, IMG, P = 96, 4, 256, 3, 224, 14
NTOK = (IMG // P // 4) ** 2
PAD, EOS, BOS, UNK, SOT, EOT, SOI, EOI, SOFT = range(9)
CONTROL = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]


def tokenizer(out):
    rng = random.Random(0)
    with open(out + "/corpus.txt", "w") as f:
        for _ in range(40000):
            turns = C.picture_turns(C.scene(rng), rng) if rng.random() < .4 else [C.text_turn(rng)]
            for q, a in turns: f.write(q + "\n" + a + "\n")
        f.write("user\nmodel\n" * 4000)
        for w in "The quick brown fox jumps over the lazy dog and runs along the river to see what is in the picture of a house".split(): f.write((w + "\n") * 20)
    home = os.getcwd(); os.chdir(out)  # names without folders: they are written into the file
    spm.SentencePieceTrainer.train(input="corpus.txt", model_prefix="tokenizer", vocab_size=VOCAB, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False, split_digits=True, hard_vocab_limit=False, minloglevel=2,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", unk_piece="<unk>",
        control_symbols=CONTROL, user_defined_symbols=["\n", "\n\n", "\n\n\n", "\t"], character_coverage=1.0)
    os.chdir(home)
    os.remove(out + "/corpus.txt"); os.remove(out + "/tokenizer.vocab")
    sp = spm.SentencePieceProcessor(out + "/tokenizer.model")
    assert [sp.piece_to_id(c) for c in CONTROL] == [SOT, EOT, SOI, EOI, SOFT]
    return sp


class Quant(torch.autograd.Function):
    """Q4_0 rounding in the forward pass, straight through in the backward pass."""
    @staticmethod
    def forward(ctx, w):
        b = w.reshape(-1, 32)
        i = b.abs().argmax(1, keepdim=True)
        d = b.gather(1, i) / -8
        inv = torch.where(d != 0, 1 / d, torch.zeros_like(d))
        q = torch.clamp(torch.floor(b * inv + 8.5), 0, 15) - 8
        return (q * d.half().float()).reshape(w.shape)

    @staticmethod
    def backward(ctx, g): return g


class Lin(nn.Linear):
    qat = False
    def __init__(self, i, o):
        super().__init__(i, o, bias=False); nn.init.normal_(self.weight, 0, 1 / math.sqrt(i))
    def forward(self, x): return F.linear(x, Quant.apply(self.weight) if Lin.qat else self.weight)


class RMS(nn.Module):
    def __init__(self, n): super().__init__(); self.weight = nn.Parameter(torch.zeros(n))
    def forward(self, x): return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


def rotate(x, base, factor):
    n, h = x.shape[1], x.shape[-1] // 2
    a = torch.arange(n).float()[:, None] * (base ** (-torch.arange(h).float() / h) / factor)[None]
    c, s = a.cos()[None, :, None], a.sin()[None, :, None]
    p, q = x[..., :h], x[..., h:]
    return torch.cat((p * c - q * s, q * c + p * s), -1)


class Layer(nn.Module):
    def __init__(self, i):
        super().__init__()
        self.glob = (i + 1) % 6 == 0
        self.input_layernorm, self.post_attention_layernorm, self.pre_feedforward_layernorm, self.post_feedforward_layernorm = RMS(D), RMS(D), RMS(D), RMS(D)
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = Lin(D, H * HD), Lin(D, KV * HD), Lin(D, KV * HD), Lin(H * HD, D)
        self.q_norm, self.k_norm = RMS(HD), RMS(HD)
        self.gate_proj, self.up_proj, self.down_proj = Lin(D, FF), Lin(D, FF), Lin(FF, D)

    def forward(self, x, masks):
        b, n, _ = x.shape
        h = self.input_layernorm(x)
        q, k, v = self.q_proj(h).view(b, n, H, HD), self.k_proj(h).view(b, n, KV, HD), self.v_proj(h).view(b, n, KV, HD)
        r = (1e6, 8.) if self.glob else (1e4, 1.)
        q, k = rotate(self.q_norm(q), *r), rotate(self.k_norm(k), *r)
        k, v = k.repeat_interleave(H // KV, 2), v.repeat_interleave(H // KV, 2)
        q, k, v = (t.transpose(1, 2).contiguous() for t in (q * HD ** -.5, k, v))
        s = torch.matmul(q, k.transpose(2, 3)) + masks[0 if self.glob else 1]
        o = torch.matmul(s.softmax(-1), v).transpose(1, 2).reshape(b, n, H * HD)
        x = x + self.post_attention_layernorm(self.o_proj(o))
        h = self.pre_feedforward_layernorm(x)
        return x + self.post_feedforward_layernorm(self.down_proj(F.gelu(self.gate_proj(h), approximate="tanh") * self.up_proj(h)))


class VLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(VD, eps=1e-6), nn.LayerNorm(VD, eps=1e-6)
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(VD, VD) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(VD, VF), nn.Linear(VF, VD)

    def forward(self, x):
        b, n, _ = x.shape
        h = self.layer_norm1(x)
        q, k, v = (m(h).view(b, n, VH, VD // VH).transpose(1, 2) for m in (self.q_proj, self.k_proj, self.v_proj))
        o = ((q @ k.transpose(2, 3)) * (VD // VH) ** -.5).softmax(-1) @ v
        x = x + self.out_proj(o.transpose(1, 2).reshape(b, n, VD))
        return x + self.fc2(F.gelu(self.fc1(self.layer_norm2(x)), approximate="tanh"))


SLOTS = [("colour", len(C.COLOURS) + 1)] + [("size", 3), ("colour", len(C.COLOURS) + 1), ("shape", len(C.SHAPES) + 1), ("place", len(C.PLACES) + 1)] * 2


def labels(s):
    """A scene as class numbers, a slot each; the last class of a slot means 'none'."""
    names = {"size": ["small", "large"], "colour": list(C.COLOURS), "shape": list(C.SHAPES), "place": list(C.PLACES)}
    words = [s["background"]] + [w for sh in s["shapes"] for w in sh]
    return [names[k].index(words[i]) if i < len(words) else n - 1 for i, (k, n) in enumerate(SLOTS)]


class Gemma(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embed = nn.Parameter(torch.randn(vocab, D) * D ** -.5)
        self.layers = nn.ModuleList(Layer(i) for i in range(L)); self.norm = RMS(D)
        self.patch = nn.Linear(3 * P * P, VD); self.pos = nn.Parameter(torch.randn((IMG // P) ** 2, VD) * .02)
        self.vlayers = nn.ModuleList(VLayer() for _ in range(VL)); self.post = nn.LayerNorm(VD, eps=1e-6)
        self.guess = nn.Linear(NTOK * D, sum(n for _, n in SLOTS))  # training aid only: names the scene from the picture's rows
        self.soft = RMS(VD); self.proj = nn.Parameter(torch.randn(VD, D) * VD ** -.5)

    def see(self, px):
        """px float [b, IMG, IMG, 3] in -1..1 -> rows [b, NTOK, D]."""
        b, g = px.shape[0], IMG // P
        t = px.view(b, g, P, g, P, 3).permute(0, 1, 3, 5, 2, 4).reshape(b, g * g, 3 * P * P)
        x = self.patch(t) + self.pos
        for l in self.vlayers: x = l(x)
        m = g // 4
        return self.soft(self.post(x).view(b, m, 4, m, 4, VD).mean((2, 4)).reshape(b, m * m, VD)) @ self.proj

    def forward(self, ids, px=None):
        b, n = ids.shape
        x = self.embed[ids] * math.sqrt(D)
        soft = ids == SOFT
        if px is not None:
            rows = self.see(px); self.named = self.guess(rows.reshape(b, -1))
            x = x.masked_scatter(soft[..., None].expand_as(x), rows)
        i, j = torch.arange(n)[:, None], torch.arange(n)[None]
        same = soft[:, :, None] & soft[:, None]
        full = (j <= i)[None] | same
        masks = [torch.zeros(b, 1, n, n).masked_fill_(~m[:, None], -1e9) for m in (full, full & (i - j < WIN)[None])]
        for l in self.layers: x = l(x, masks)
        return self.norm(x) @ self.embed.T


def encode(sp, turns, picture):
    """ids and a mask of what is to be learned: the model's words and its end of turn."""
    nl = sp.piece_to_id("\n")
    ids, learn = [BOS], [0]
    add = lambda t, m: (ids.extend(t), learn.extend([m] * len(t)))
    for k, (q, a) in enumerate(turns):
        add([SOT] + sp.encode("user"), 0)
        if picture and k == 0: add(sp.encode("\n\n\n") + [SOI] + [SOFT] * NTOK + [EOI] + sp.encode("\n\n" + q), 0)
        else: add(sp.encode("\n" + q), 0)
        add([EOT, nl, SOT] + sp.encode("model\n"), 0)
        add(sp.encode(a) + [EOT], 1); add([nl], 0)
    return ids, learn


def batch(sp, rng, n, with_picture):
    rows, px, named = [], [], []
    for _ in range(n):
        if with_picture:
            s = C.scene(rng)
            while C.held_out_scene(s): s = C.scene(rng)
            px.append(C.draw(s, rng, IMG, IMG)); named.append(labels(s)); rows.append(encode(sp, C.picture_turns(s, rng), True))
        else:
            t = []
            while True:
                q = C.text_turn(rng)
                if C.held_out(q[0]): continue
                r = encode(sp, t + [q], False)
                if t and len(r[0]) > 112: break
                t.append(q); row = r
            rows.append(row)
    m = min(max(len(r[0]) for r in rows), 112)
    ids = torch.tensor([(r[0] + [PAD] * m)[:m] for r in rows]); learn = torch.tensor([(r[1] + [0] * m)[:m] for r in rows])
    return ids, learn, torch.tensor(np.stack(px)).float() / 127.5 - 1 if px else None, torch.tensor(named)


def name_loss(model, named):
    """Cross entropy of the scene's names, and how many of each slot were right; after model.see or forward filled model.named."""
    p = model.named.split([n for _, n in SLOTS], 1)
    hits = (torch.stack([q.argmax(1) for q in p], 1) == named).float().mean(0)
    return sum(F.cross_entropy(q, named[:, i]) for i, q in enumerate(p)), hits


def learn_to_see(model, rng, minutes, n=32):
    """The encoder alone, four times faster than with the language model behind it: shapes need many pictures."""
    ps = [p for k, p in model.named_parameters() if k.startswith(("patch", "pos", "vlayers", "post", "soft", "proj", "guess"))]
    opt = torch.optim.AdamW(ps, 1e-3, weight_decay=.01); t0, step, seen = time.time(), 0, 0
    while time.time() - t0 < 60 * minutes:
        frac = (time.time() - t0) / (60 * minutes)
        for g in opt.param_groups: g["lr"] = 1.5e-3 * min(1, (step + 1) / 50) * (.475 * (1 + math.cos(math.pi * frac)) + .05)
        px, named = [], []
        while len(px) < n:
            s = C.scene(rng)
            if not C.held_out_scene(s): px.append(C.draw(s, rng, IMG, IMG)); named.append(labels(s))
        model.named = model.guess(model.see(torch.tensor(np.stack(px)).float() / 127.5 - 1).reshape(n, -1))
        loss, hits = name_loss(model, torch.tensor(named))
        opt.zero_grad(); loss.backward(); nn.utils.clip_grad_norm_(ps, 1.); opt.step()
        seen = hits if step == 0 else .95 * seen + .05 * hits; step += 1
        if step % 50 == 0: print(f"see {step} {frac:.3f} loss {loss.item():.3f} named", [round(float(h), 2) for h in seen], flush=True)


@torch.no_grad()
def answer(model, sp, turns, px=None, limit=120):
    ids = encode(sp, turns[:-1] + [(turns[-1], "")], px is not None)[0][:-2]
    out = []
    while len(out) < limit:
        t = int(model(torch.tensor([ids + out]), px)[0, -1].argmax())
        if t in (EOT, EOS): break
        out.append(t)
    return sp.decode(out)


def score(model, sp, n=200):
    rng = random.Random(99); res = {}
    good = tot = 0
    while tot < n:
        s = C.scene(rng)
        if not C.held_out_scene(s): continue
        q, a = C.picture_turns(s, rng)[0]
        px = torch.tensor(C.draw(s, rng, IMG, IMG))[None].float() / 127.5 - 1
        good += answer(model, sp, [q], px) == a; tot += 1
    res["pictures, scenes never seen"] = good / tot
    good = tot = 0
    while tot < n:
        q, a = C.text_turn(rng)
        if not C.held_out(q): continue
        good += answer(model, sp, [q]) == a; tot += 1
    res["sums and counting, questions never seen"] = good / tot
    good = 0
    for _ in range(n):
        q, a = C.text_turn(rng); good += answer(model, sp, [q]) == a
    res["all text questions"] = good / n
    return res


def export(model, sp, out, scores):
    pre = "language_model.model."; v = "vision_tower.vision_model."
    t = {pre + "embed_tokens.weight": model.embed, pre + "norm.weight": model.norm.weight,
         v + "embeddings.patch_embedding.weight": model.patch.weight.view(VD, 3, P, P), v + "embeddings.patch_embedding.bias": model.patch.bias,
         v + "embeddings.position_embedding.weight": model.pos, v + "post_layernorm.weight": model.post.weight, v + "post_layernorm.bias": model.post.bias,
         "multi_modal_projector.mm_soft_emb_norm.weight": model.soft.weight, "multi_modal_projector.mm_input_projection_weight": model.proj}
    for i, l in enumerate(model.layers):
        for n, p in l.named_parameters():
            m = n.split(".")[0]
            g = "self_attn." if m in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm") else "mlp." if m in ("gate_proj", "up_proj", "down_proj") else ""
            t[f"{pre}layers.{i}.{g}{n}"] = p
    for i, l in enumerate(model.vlayers):
        for n, p in l.named_parameters():
            g = "mlp." if n.startswith("fc") else "" if n.startswith("layer_norm") else "self_attn."
            t[f"{v}encoder.layers.{i}.{g}{n}"] = p
    head, blob, off = {"__metadata__": {"format": "pt"}}, [], 0
    for n in sorted(t):
        b = t[n].detach().float().contiguous().numpy().view("u4")
        b = ((b + 0x7FFF + ((b >> 16) & 1)) >> 16).astype("<u2").tobytes()
        head[n] = {"dtype": "BF16", "shape": list(t[n].shape), "data_offsets": [off, off + len(b)]}; blob.append(b); off += len(b)
    h = json.dumps(head).encode(); h += b" " * (-len(h) % 8)
    open(out + "/model.safetensors", "wb").write(struct.pack("<Q", len(h)) + h + b"".join(blob))
    n = sp.get_piece_size()
    cfg = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "torch_dtype": "bfloat16", "boi_token_index": SOI, "eoi_token_index": EOI, "image_token_index": SOFT,
           "mm_tokens_per_image": NTOK, "eos_token_id": [EOS, EOT],
           "text_config": {"model_type": "gemma3_text", "vocab_size": n, "hidden_size": D, "num_hidden_layers": L, "intermediate_size": FF, "num_attention_heads": H, "num_key_value_heads": KV, "head_dim": HD,
                           "sliding_window": WIN, "sliding_window_pattern": 6, "query_pre_attn_scalar": HD, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
                           "rms_norm_eps": 1e-6, "max_position_embeddings": 2048, "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True},
           "vision_config": {"model_type": "siglip_vision_model", "hidden_size": VD, "intermediate_size": VF, "num_hidden_layers": VL, "num_attention_heads": VH, "image_size": IMG, "patch_size": P, "layer_norm_eps": 1e-6, "vision_use_head": False}}
    json.dump(cfg, open(out + "/config.json", "w"), indent=1)
    json.dump({"image_processor_type": "Gemma3ImageProcessor", "do_resize": True, "resample": 2, "size": {"height": IMG, "width": IMG}, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
               "image_mean": [.5] * 3, "image_std": [.5] * 3, "do_pan_and_scan": None}, open(out + "/preprocessor_config.json", "w"), indent=1)
    pieces = [sp.id_to_piece(i) for i in range(n)]; ids = {p: i for i, p in enumerate(pieces)}
    normal = [i for i in range(n) if not (sp.is_control(i) or sp.is_unknown(i) or sp.is_byte(i)) and pieces[i] not in ("\n", "\n\n", "\n\n\n", "\t")]
    ok = {pieces[i] for i in normal}
    merges = [[p[:k], p[k:]] for p in (pieces[i] for i in normal) for k in range(len(p) - 1, 0, -1) if p[:k] in ok and p[k:] in ok]
    special = [i for i in range(n) if sp.is_control(i) or sp.is_unknown(i)]
    user = [ids[u] for u in ("\n", "\n\n", "\n\n\n", "\t")]
    tok = {"version": "1.0", "truncation": None, "padding": None,
           "added_tokens": [{"id": i, "content": pieces[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": i in special} for i in sorted(special + user)],
           "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
           "post_processor": None, "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
           "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": ids, "merges": merges}}
    json.dump(tok, open(out + "/tokenizer.json", "w"), ensure_ascii=False)
    json.dump({"add_bos_token": True, "add_eos_token": False, "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>", "tokenizer_class": "GemmaTokenizer"}, open(out + "/tokenizer_config.json", "w"), indent=1)
    json.dump(scores, open(out + "/eval.json", "w"), indent=1)


def main():
    ap = argparse.ArgumentParser(); ap.add_argument("out"); ap.add_argument("--minutes", type=float, default=60); ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--lr", type=float, default=2e-3); ap.add_argument("--see", type=float, default=0, help="minutes of learning to see first: the encoder alone, naming scenes")
    ap.add_argument("--qat-from", type=float, default=.55, help="fraction of the time after which weights are rounded to Q4_0 in the forward pass")
    ap.add_argument("--score", type=int, default=200, help="questions of each kind at the end")
    ap.add_argument("--resume", help="a state.pt of an earlier run: goes on from its weights")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    sp = tokenizer(a.out); rng = random.Random(a.seed); torch.manual_seed(a.seed)
    model = Gemma(sp.get_piece_size())
    print("pieces", sp.get_piece_size(), "parameters", sum(p.numel() for p in model.parameters()), flush=True)
    if a.resume: model.load_state_dict(torch.load(a.resume), strict=False)
    learn_to_see(model, rng, a.see)
    opt = torch.optim.AdamW(model.parameters(), 1e-3, betas=(.9, .98), weight_decay=.01)
    t0, step, avg = time.time(), 0, [0., 0.]
    while True:
        frac = (time.time() - t0) / (60 * a.minutes)
        if frac >= 1: break
        Lin.qat = frac > a.qat_from
        for g in opt.param_groups: g["lr"] = a.lr * min(1, (step + 1) / 100) * (.5 * (1 + math.cos(math.pi * frac)) * .98 + .02)
        for kind in (0, 1, 1, 1):  # pictures are the harder half
            ids, learn, px, named = batch(sp, rng, 16, kind == 1)
            lg = model(ids[:, :-1], px)
            w = learn[:, 1:].float()
            loss = (F.cross_entropy(lg.transpose(1, 2), ids[:, 1:], reduction="none") * w).sum() / w.sum()
            total = loss
            if kind: extra, hit = name_loss(model, named); total = loss + .3 * extra
            opt.zero_grad(); total.backward(); nn.utils.clip_grad_norm_(model.parameters(), 1.); opt.step()
            avg[kind] = .98 * avg[kind] + .02 * loss.item()
        step += 1
        if step % 25 == 0: print(f"step {step} {frac:.3f} text {avg[0] / (1 - .98 ** step):.4f} picture {avg[1] / (1 - .98 ** (3 * step)):.4f} qat {Lin.qat} named", [round(float(h), 2) for h in hit], flush=True)
        if step % 200 == 0: export(model, sp, a.out, {}); torch.save(model.state_dict(), a.out + "/../state.pt")
    Lin.qat = True
    scores = score(model, sp, a.score); print(scores, flush=True)
    export(model, sp, a.out, scores)


main()
