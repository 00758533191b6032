"""The demo model's files in Hugging Face layout: its tokenizer, trained on the corpus, and the checkpoint.

export() writes what Google publishes beside a Gemma 3: weights in bf16, config, tokenizer in both forms, preprocessor.
"""
import json
import os
import random
import struct

import sentencepiece as spm
import corpus as C
from net import *

PAD, EOS, BOS, UNK, SOT, EOT, SOI, EOI = range(8)  # SOFT is 8
CONTROL = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]
WHITE = ["\n", "\n\n", "\n\n\n", "\t"]
PANGRAM = ("The quick brown fox jumps over the lazy dog and runs along the river to see what is in the picture "
           "of a house")


def tokenizer(out):
    """The tokenizer in the folder, or a new one."""
    if not os.path.exists(out + "/tokenizer.model"): train_tokenizer(out)
    sp = spm.SentencePieceProcessor(out + "/tokenizer.model")
    assert [sp.piece_to_id(c) for c in CONTROL] == [SOT, EOT, SOI, EOI, SOFT]
    return sp


def train_tokenizer(out):
    rng = random.Random(0)
    with open(out + "/corpus.txt", "w") as f:
        for _ in range(40000):
            turns = C.picture_turns(C.scene(rng), rng) if rng.random() < .4 else [C.text_turn(rng)]
            for q, a in turns: f.write(q + "\n" + a + "\n")
        f.write("user\nmodel\n" * 4000)
        for w in PANGRAM.split(): f.write((w + "\n") * 20)
    home = os.getcwd(); os.chdir(out)  # names without folders: they are written into the file
    spm.SentencePieceTrainer.train(
        input="corpus.txt", model_prefix="tokenizer", vocab_size=VOCAB, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False, split_digits=True,
        hard_vocab_limit=False, character_coverage=1.0, minloglevel=2, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
        pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", unk_piece="<unk>", control_symbols=CONTROL,
        user_defined_symbols=WHITE)
    os.chdir(home)
    os.remove(out + "/corpus.txt"); os.remove(out + "/tokenizer.vocab")


def text_name(name):
    part = name.split(".")[0]
    if part in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm"): return "self_attn." + name
    return "mlp." + name if part in ("gate_proj", "up_proj", "down_proj") else name


def vision_name(name):
    return "mlp." + name if name.startswith("fc") else name if name.startswith("layer_norm") else "self_attn." + name


def named_tensors(model):
    text, vision, bridge = "language_model.model.", "vision_tower.vision_model.", "multi_modal_projector.mm_"
    t = {text + "embed_tokens.weight": model.embed,
         text + "norm.weight": model.norm.weight,
         vision + "embeddings.patch_embedding.weight": model.patch.weight.view(VD, 3, P, P),
         vision + "embeddings.patch_embedding.bias": model.patch.bias,
         vision + "embeddings.position_embedding.weight": model.pos,
         vision + "post_layernorm.weight": model.post.weight,
         vision + "post_layernorm.bias": model.post.bias,
         bridge + "soft_emb_norm.weight": model.soft.weight,
         bridge + "input_projection_weight": model.proj}
    for i, layer in enumerate(model.layers):
        t.update((f"{text}layers.{i}.{text_name(n)}", p) for n, p in layer.named_parameters())
    for i, layer in enumerate(model.vlayers):
        t.update((f"{vision}encoder.layers.{i}.{vision_name(n)}", p) for n, p in layer.named_parameters())
    return t


def bf16(p):
    """The bytes of a tensor in bf16, rounded to nearest even."""
    b = p.detach().float().contiguous().numpy().view("u4")
    return ((b + 0x7FFF + ((b >> 16) & 1)) >> 16).astype("<u2").tobytes()


def write_safetensors(path, tensors):
    head, blob, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name in sorted(tensors):
        b = bf16(tensors[name])
        head[name] = {"dtype": "BF16", "shape": list(tensors[name].shape), "data_offsets": [at, at + len(b)]}
        blob.append(b); at += len(b)
    h = json.dumps(head).encode()
    h += b" " * (-len(h) % 8)
    with open(path, "wb") as f: f.write(struct.pack("<Q", len(h)) + h + b"".join(blob))


def config(pieces):
    text = {"model_type": "gemma3_text", "vocab_size": pieces, "hidden_size": D, "num_hidden_layers": L,
            "intermediate_size": FF, "num_attention_heads": H, "num_key_value_heads": KV, "head_dim": HD,
            "sliding_window": WIN, "sliding_window_pattern": 6, "query_pre_attn_scalar": HD, "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
            "rms_norm_eps": 1e-6, "max_position_embeddings": 2048, "hidden_activation": "gelu_pytorch_tanh",
            "tie_word_embeddings": True}
    vision = {"model_type": "siglip_vision_model", "hidden_size": VD, "intermediate_size": VF, "num_hidden_layers": VL,
              "num_attention_heads": VH, "image_size": IMG, "patch_size": P, "layer_norm_eps": 1e-6,
              "vision_use_head": False}
    return {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "torch_dtype": "bfloat16",
            "boi_token_index": SOI, "eoi_token_index": EOI, "image_token_index": SOFT, "mm_tokens_per_image": NTOK,
            "eos_token_id": [EOS, EOT], "text_config": text, "vision_config": vision}


PREPROCESSOR = {"image_processor_type": "Gemma3ImageProcessor", "do_resize": True, "resample": 2,
                "size": {"height": IMG, "width": IMG}, "do_rescale": True, "rescale_factor": 1 / 255,
                "do_normalize": True, "image_mean": [.5] * 3, "image_std": [.5] * 3, "do_pan_and_scan": None}
TOKENIZER = {"add_bos_token": True, "add_eos_token": False, "bos_token": "<bos>", "eos_token": "<eos>",
             "pad_token": "<pad>", "unk_token": "<unk>", "tokenizer_class": "GemmaTokenizer"}


def tokenizer_json(sp):
    """The same vocabulary as Hugging Face writes it: BPE with its merges, in the order of the pieces they make."""
    n = sp.get_piece_size()
    pieces = [sp.id_to_piece(i) for i in range(n)]
    ids = {p: i for i, p in enumerate(pieces)}
    special = [i for i in range(n) if sp.is_control(i) or sp.is_unknown(i)]
    added = [{"id": i, "content": pieces[i], "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": i in special} for i in sorted(special + [ids[w] for w in WHITE])]
    normal = [p for i, p in enumerate(pieces) if i not in special and not sp.is_byte(i) and p not in WHITE]
    known = set(normal)
    merges = [[p[:k], p[k:]] for p in normal for k in range(len(p) - 1, 0, -1) if p[:k] in known and p[k:] in known]
    to_space = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                              "invert": False},
            "post_processor": None,
            "decoder": {"type": "Sequence", "decoders": [to_space, {"type": "ByteFallback"}, {"type": "Fuse"}]},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": ids, "merges": merges}}


def export(model, sp, out, scores):
    def write(name, value, **how):
        with open(out + "/" + name, "w") as f: json.dump(value, f, **how)

    write_safetensors(out + "/model.safetensors", named_tensors(model))
    write("config.json", config(sp.get_piece_size()), indent=1)
    write("preprocessor_config.json", PREPROCESSOR, indent=1)
    write("tokenizer.json", tokenizer_json(sp), ensure_ascii=False)
    write("tokenizer_config.json", TOKENIZER, indent=1)
    write("eval.json", scores, indent=1)
