#!/usr/bin/env python3
"""Train the demo model: a very small Gemma 3 (text and pictures) that learns to bear Q4_0, as a Hugging Face checkpoint.

  python3 train.py OUT_DIR [--glance N] [--see N] [--read N] [--workers W] [--resume state.pt]
                                             needs python3-torch, python3-sentencepiece, python3-numpy
Three lessons, each a number of steps:
  glance   the encoder alone, on windows of 8x8 of its 16x16 patches around a shape: every patch says what shape, colour
           and size it belongs to. Naming the whole picture teaches shapes too, but takes far more pictures; and a window
           costs a fifth of a picture, because attention is quadratic and most of a picture is background.
  see      the encoder alone, whole pictures: every patch, every row that the text model will get, and all rows together
           (which shape is first, and where) say what they see.
  read     text and conversations about pictures, everything but the encoder; from 40% on with Q4_0 rounding.
The optimiser is Muon for the layers' matrices (as far in 1,300 steps of glance as AdamW in 2,900), AdamW for the rest.
--workers processes, one thread each, share the weights and step without waiting for each other: a second core helps, a
busy one does no harm. So two runs are never the same. OUT_DIR/../state.pt holds the float weights, every 100 steps.

OUT_DIR gets model.safetensors (bf16, unquantised, as Google publishes its QAT checkpoints), config.json, tokenizer.model
(kept if it is there), tokenizer.json, tokenizer_config.json, preprocessor_config.json and eval.json: what it scored here
on what training never saw.
"""
import argparse
import os
import random
import time

import numpy as np
import torch
import torch.multiprocessing as mp
import corpus as C
from checkpoint import *
from net import *

GRID = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
MIDDLE = (np.arange(SIDE) * P + P / 2).astype("f4")
NAMES = {"size": ["small", "large"], "colour": list(C.COLOURS), "shape": list(C.SHAPES), "place": list(C.PLACES)}


def names_of_scene(s):
    """A scene as class numbers, a slot each; the last class of a slot means 'none'."""
    words = [s["background"]] + [w for sh in s["shapes"] for w in sh]
    return [NAMES[k].index(words[i]) if i < len(words) else n - 1 for i, (k, n) in enumerate(SLOTS)]


def names_of_places(s, where):
    """Classes of HERE for all patches [4, SIDE * SIDE] and rows [4, NTOK]: what is under a patch's middle, most in a row."""
    m = SIDE // 4
    patches = np.array([n - 1 for _, n in HERE])[:, None, None].repeat(SIDE, 1).repeat(SIDE, 2)
    patches[3] = NAMES["colour"].index(s["background"])
    rows, most = patches[:, :m, :m].copy(), np.zeros((m, m), int)
    for (sh, col, cx, cy, r), (size, *_) in zip(where, s["shapes"]):
        under = (MIDDLE[None] - cx) ** 2 + (MIDDLE[:, None] - cy) ** 2 < r * r
        count = under.reshape(m, 4, m, 4).sum((1, 3))
        for i, name in enumerate((NAMES["shape"].index(sh), NAMES["colour"].index(col), NAMES["size"].index(size))):
            patches[i][under] = name; rows[i][count > most] = name
        most = np.maximum(most, count)
    return patches.reshape(4, -1), rows.reshape(4, -1)


def scene_to_learn(rng):
    while True:
        s = C.scene(rng)
        if not C.held_out_scene(s): return s


def pixels(pictures): return torch.from_numpy(np.stack(pictures)).float() / 127.5 - 1


def windows(rng, n):
    """Pictures' windows around one of their shapes: pixels, numbers of their patches, names of their patches."""
    px, at, named = [], [], []
    for _ in range(n):
        s = scene_to_learn(rng); where = C.lay_out(s, rng)
        _, _, cx, cy, _ = rng.choice(where)
        x, y = (min(max(int(c / P) - SIDE // 4 + rng.randint(-2, 2), 0), SIDE // 2) for c in (cx, cy))
        moved = [(sh, col, cx - P * x, cy - P * y, r) for sh, col, cx, cy, r in where]
        px.append(C.draw(s, rng, IMG // 2, IMG // 2, moved))
        at.append(GRID[y:y + SIDE // 2, x:x + SIDE // 2].reshape(-1))
        named.append(names_of_places(s, where)[0][:, at[-1]])
    return pixels(px), torch.from_numpy(np.stack(at)), torch.from_numpy(np.stack(named))


def name_loss(says, named, kinds):
    """says [b, classes of all kinds, ...], named [b, kinds, ...]; and how many of each kind were right."""
    p = says.float().split([n for _, n in kinds], 1)
    hits = [(q.argmax(1) == named[:, i]).float().mean().item() for i, q in enumerate(p)]
    return sum(F.cross_entropy(q, named[:, i]) for i, q in enumerate(p)), hits


def place_loss(says, named):
    """The same for places, most of which are empty: those count less; and how many patches of shapes name their shape."""
    loss = 0
    for i, q in enumerate(says.transpose(1, 2).float().split([n for _, n in HERE], 1)):
        weight = torch.ones(q.shape[1])
        if i < 3: weight[-1] = .3
        loss = loss + F.cross_entropy(q, named[:, i], weight=weight)
        if i == 0: hits = (q.argmax(1) == named[:, 0])[named[:, 0] < len(C.SHAPES)]
    return loss, hits.float().mean().item()


def glance(model, sp, rng, part):
    px, at, named = windows(rng, 32)
    with torch.autocast("cpu", torch.bfloat16): says = model.patch_says(model.see(px, at))
    loss, hits = place_loss(says, named)
    return loss, {"loss": loss.item(), "shape": hits}


def see(model, sp, rng, part, n=32):
    px, scenes, patches, rows = [], [], [], []
    for _ in range(n):
        s = scene_to_learn(rng); where = C.lay_out(s, rng)
        px.append(C.draw(s, rng, where=where)); scenes.append(names_of_scene(s))
        a, b = names_of_places(s, where); patches.append(a); rows.append(b)
    with torch.autocast("cpu", torch.bfloat16):
        x = model.see(pixels(px), torch.from_numpy(GRID.reshape(-1)))
        r = model.rows(x)
        says = model.patch_says(x), model.row_says(r), model.guess(r.reshape(n, -1))
    of_patches, h1 = place_loss(says[0], torch.from_numpy(np.stack(patches)))
    of_rows, h2 = place_loss(says[1], torch.from_numpy(np.stack(rows)))
    of_scene, h3 = name_loss(says[2], torch.tensor(scenes), SLOTS)
    said = {"patches": of_patches.item(), "shape": h1, "rows": of_rows.item(), "shape of rows": h2,
            "scene": of_scene.item(), "its shapes": (h3[3] + h3[7]) / 2, "places": (h3[4] + h3[8]) / 2}
    return of_patches + of_rows + of_scene, said


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


def conversations(sp, rng, pictures, texts, most=112):
    """Two conversations about each picture, then some without: ids, what is to be learned, the pictures."""
    px, rows = [], []
    for _ in range(pictures):
        s = scene_to_learn(rng); px.append(C.draw(s, rng))
        rows += [encode(sp, C.picture_turns(s, rng), True) for _ in range(2)]
    for _ in range(texts):
        turns = []
        while True:
            turn = C.text_turn(rng)
            if C.held_out(turn[0]): continue
            longer = encode(sp, turns + [turn], False)
            if turns and len(longer[0]) > most: break
            turns.append(turn); row = longer
        rows.append(row)
    m = min(max(len(r[0]) for r in rows), most)
    ids = torch.tensor([(r[0] + [PAD] * m)[:m] for r in rows])
    learn = torch.tensor([(r[1] + [0] * m)[:m] for r in rows])
    return ids, learn, pixels(px)


def read(model, sp, rng, part, pictures=11, texts=6):
    Lin.qat = part > .4
    ids, learn, px = conversations(sp, rng, pictures, texts)
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad(): x = model.see(px, torch.from_numpy(GRID.reshape(-1)))
        logits = model(ids[:, :-1], model.rows(x).repeat_interleave(2, 0))
    w = learn[:, 1:].float()
    each = F.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none") * w
    mean = lambda a, b: (each[a:b].sum() / w[a:b].sum())
    about = mean(0, 2 * pictures); text = mean(2 * pictures, None)
    return about + text, {"pictures": about.item(), "text": text.item(), "q4_0": float(Lin.qat)}


def orthogonal(g):
    """Newton-Schulz: the nearest matrix whose singular values are about one."""
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = torch.addmm(x, torch.addmm(a, a, a, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.T if g.shape[0] > g.shape[1] else x


class Muon:
    """Momentum made orthogonal for matrices of layers, AdamW for everything else."""
    def __init__(self, model, kinds, rate):
        chosen = [(k, p) for k, p in model.named_parameters() if k.startswith(kinds)]
        self.matrices = [p for k, p in chosen if p.ndim == 2 and "layers." in k]
        self.rest = [p for k, p in chosen if not (p.ndim == 2 and "layers." in k)]
        self.momenta = [torch.zeros_like(p) for p in self.matrices]
        self.rate, self.adam_rate = rate, .15 * rate
        self.adam = torch.optim.AdamW(self.rest, self.adam_rate, betas=(.9, .98), weight_decay=.01)

    def step(self, loss, scale):
        for p in self.matrices + self.rest: p.grad = None
        loss.backward()
        for p in self.matrices + self.rest:
            if p.grad is None: p.grad = torch.zeros_like(p)
        nn.utils.clip_grad_norm_(self.matrices + self.rest, 1.)
        for g in self.adam.param_groups: g["lr"] = self.adam_rate * scale
        self.adam.step()
        with torch.no_grad():
            for p, v in zip(self.matrices, self.momenta):
                v.mul_(.95).add_(p.grad)
                rate = self.rate * scale
                tall = max(1, p.shape[0] / p.shape[1]) ** .5
                p.mul_(1 - .01 * rate).add_(orthogonal(p.grad + .95 * v), alpha=-rate * tall)


TEXT = ("embed", "layers.", "norm.")
LESSONS = {"glance": (glance, Gemma.ENCODER + Gemma.AIDS),
           "see": (see, Gemma.ENCODER + Gemma.BRIDGE + Gemma.AIDS),
           "read": (read, TEXT + Gemma.BRIDGE)}


def train(worker, model, sp, plan, count, out, seed):
    """One of the processes that share the model. plan: [(lesson, steps, rate)]; count: steps begun by all of them."""
    torch.set_num_threads(1); fast_gelu(True)
    rng = random.Random(seed * 1000 + worker); name = None
    while True:
        with count.get_lock(): step = count.value; count.value += 1
        for lesson, steps, rate in plan:
            if step < steps: break
            step -= steps
        else: return
        if lesson != name:
            name = lesson; teach, kinds = LESSONS[name]; opt = Muon(model, kinds, rate); mean = {}; own = 0
        part = step / steps
        loss, said = teach(model, sp, rng, part)
        opt.step(loss, min(1, (own + 1) / 50) * min(1, max(.02, 2 - 2 * part)))
        own += 1
        for k, v in said.items(): mean[k] = mean.get(k, v) * .96 + v * .04
        if own % 25 == 0:
            print(f"{name} {step} of {steps}, worker {worker}, {time.process_time():.0f} s:",
                  ", ".join(f"{k} {v:.3f}" for k, v in mean.items()), flush=True)
        if own % 100 == 0 and worker == 0: save(model, out)


def save(model, out):
    torch.save(model.state_dict(), out + "/../state.tmp"); os.replace(out + "/../state.tmp", out + "/../state.pt")


@torch.no_grad()
def answer(model, sp, question, px=None, limit=120):
    ids = encode(sp, [(question, "")], px is not None)[0][:-2]
    rows = None if px is None else model.rows(model.see(px, torch.from_numpy(GRID.reshape(-1))))
    out = []
    while len(out) < limit:
        t = int(model(torch.tensor([ids + out]), rows)[0, -1].argmax())
        if t in (EOT, EOS): break
        out.append(t)
    return sp.decode(out)


def score(model, sp, n):
    """Exact answers, with Q4_0 weights, of n questions of each kind. The engine's count: tests/pipeline/demo_scores_test.py."""
    Lin.qat = True; fast_gelu(False)
    rng = random.Random(99); right = [0, 0, 0]; seen = [0, 0]
    while seen[0] < n:
        s = C.scene(rng)
        if not C.held_out_scene(s): continue
        right[0] += answer(model, sp, "Describe the picture.", pixels([C.draw(s, rng)])) == C.caption(s); seen[0] += 1
    while seen[1] < n:
        q, a = C.text_turn(rng)
        if C.held_out(q): right[1] += answer(model, sp, q) == a; seen[1] += 1
    for _ in range(n):
        q, a = C.text_turn(rng); right[2] += answer(model, sp, q) == a
    kinds = "pictures, scenes never seen", "sums and counting, questions never seen", "all text questions"
    return {kind: r / n for kind, r in zip(kinds, right)} if n else {}


def main():
    ap = argparse.ArgumentParser(); ap.add_argument("out")
    for lesson, steps in (("glance", 5000), ("see", 800), ("read", 8000)):
        ap.add_argument("--" + lesson, type=int, default=steps, help=f"steps of this lesson ({steps})")
    ap.add_argument("--read-rate", type=float, default=.01, help="learning rate of matrices while reading (0.01)")
    ap.add_argument("--workers", type=int, default=2, help="processes that train together (2)")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--score", type=int, default=200, help="questions of each kind at the end")
    ap.add_argument("--resume", help="a state.pt of an earlier run: goes on from its weights")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True); torch.set_num_threads(1); torch.manual_seed(a.seed)
    sp = tokenizer(a.out)
    model = Gemma(sp.get_piece_size())
    size = sum(p.numel() for k, p in model.named_parameters() if not k.startswith(Gemma.AIDS))
    print("pieces", sp.get_piece_size(), "parameters", size, flush=True)
    if a.resume: model.load_state_dict(torch.load(a.resume))
    model.share_memory()
    plan = [("glance", a.glance, .01), ("see", a.see, .01), ("read", a.read, a.read_rate)]
    mp.start_processes(train, (model, sp, plan, mp.Value("l", 0), a.out, a.seed), a.workers, start_method="fork")
    save(model, a.out)
    scores = score(model, sp, a.score); print(scores, flush=True)
    export(model, sp, a.out, scores)


if __name__ == "__main__": main()
