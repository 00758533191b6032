"""The demo model in PyTorch: Gemma 3's text layers and picture encoder, very small, and aids that help it learn to see.

Matrices of the text layers can be rounded to Q4_0 in the forward pass (Lin.qat), so that they learn to bear it. GELU
has two forms: the architecture's (tanh) and, while training, the erf form, which differs by less than 5e-4 and is four
times faster on a CPU; whoever scores the model sets fast_gelu(False).
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
import corpus as C

D, L, FF, H, KV, HD, WIN, VOCAB = 128, 8, 384, 4, 2, 32, 32, 1024
VD, VL, VF, VH, IMG, P = 96, 4, 256, 3, 224, 14
SIDE = IMG // P
NTOK = (SIDE // 4) ** 2
SOFT = 8
# What a place in the picture is asked for; the last class of the first three means that no shape is here.
HERE = (("shape", len(C.SHAPES) + 1), ("colour", len(C.COLOURS) + 1), ("size", 3), ("background", len(C.COLOURS)))
# What the whole picture is asked for: the background, and size, colour, shape and place of two shapes, or 'none'.
SLOTS = [("colour", len(C.COLOURS) + 1)] + 2 * [("size", 3), ("colour", len(C.COLOURS) + 1), ("shape", len(C.SHAPES) + 1),
                                                ("place", len(C.PLACES) + 1)]
_gelu = "tanh"


def fast_gelu(yes):
    global _gelu
    _gelu = "none" if yes else "tanh"


def gelu(x): return F.gelu(x, approximate=_gelu)


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
    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


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
        self.input_layernorm, self.post_attention_layernorm = RMS(D), RMS(D)
        self.pre_feedforward_layernorm, self.post_feedforward_layernorm = RMS(D), RMS(D)
        self.q_proj, self.o_proj = Lin(D, H * HD), Lin(H * HD, D)
        self.k_proj, self.v_proj = Lin(D, KV * HD), Lin(D, KV * HD)
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
        return x + self.post_feedforward_layernorm(self.down_proj(gelu(self.gate_proj(h)) * self.up_proj(h)))


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
        return x + self.fc2(gelu(self.fc1(self.layer_norm2(x))))


class Gemma(nn.Module):
    ENCODER = ("patch.", "pos", "vlayers.", "post.")
    BRIDGE = ("soft.", "proj")
    AIDS = ("patch_says.", "row_says.", "guess.")  # never exported

    def __init__(self, vocab):
        super().__init__()
        self.embed = nn.Parameter(torch.randn(vocab, D) * D ** -.5)
        self.layers = nn.ModuleList(Layer(i) for i in range(L)); self.norm = RMS(D)
        self.patch = nn.Linear(3 * P * P, VD); self.pos = nn.Parameter(torch.randn(SIDE ** 2, VD) * .02)
        self.vlayers = nn.ModuleList(VLayer() for _ in range(VL)); self.post = nn.LayerNorm(VD, eps=1e-6)
        self.soft = RMS(VD); self.proj = nn.Parameter(torch.randn(VD, D) * VD ** -.5)
        here = sum(n for _, n in HERE)
        self.patch_says, self.row_says = nn.Linear(VD, here), nn.Linear(D, here)
        self.guess = nn.Linear(NTOK * D, sum(n for _, n in SLOTS))

    def see(self, px, at):
        """px float [b, n, n, 3] in -1..1; at: its patches' numbers in a whole picture -> the encoder's last rows."""
        b, g = px.shape[0], px.shape[1] // P
        t = px.view(b, g, P, g, P, 3).permute(0, 1, 3, 5, 2, 4).reshape(b, g * g, 3 * P * P)
        x = self.patch(t) + self.pos[at]
        for l in self.vlayers: x = l(x)
        return self.post(x)

    def rows(self, x):
        """The encoder's patches of whole pictures -> rows of the text model [b, NTOK, D]."""
        b, m = x.shape[0], SIDE // 4
        return self.soft(x.view(b, m, 4, m, 4, VD).mean((2, 4)).reshape(b, m * m, VD)) @ self.proj

    def forward(self, ids, rows=None):
        b, n = ids.shape
        x = self.embed[ids] * math.sqrt(D)
        soft = ids == SOFT
        if rows is not None: x = x.masked_scatter(soft[..., None].expand_as(x), rows.float())
        i, j = torch.arange(n)[:, None], torch.arange(n)[None]
        same = soft[:, :, None] & soft[:, None]
        full = (j <= i)[None] | same
        masks = [torch.zeros(b, 1, n, n).masked_fill_(~m[:, None], -1e9) for m in (full, full & (i - j < WIN)[None])]
        for l in self.layers: x = l(x, masks)
        return F.linear(self.norm(x), self.embed)
