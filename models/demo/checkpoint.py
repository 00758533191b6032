"""The demo model's files in Hugging Face layout: its SentencePiece tokenizer, trained on the corpus, and the checkpoint in bf16."""
import json
import os
import random
import struct

import sentencepiece as spm
import corpus as C
from net import *

PAD, EOS, BOS, UNK, SOT, EOT, SOI, EOI = range(8)  # SOFT is 8
CONTROL = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]


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
        for w in "The quick brown fox jumps over the lazy dog and runs along the river to see what is in the picture of a house".split(): f.write((w + "\n") * 20)
    home = os.getcwd(); os.chdir(out)  # names without folders: they are written into the file
    spm.SentencePieceTrainer.train(input="corpus.txt", model_prefix="tokenizer", vocab_size=VOCAB, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False, split_digits=True, hard_vocab_limit=False, minloglevel=2,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", unk_piece="<unk>",
        control_symbols=CONTROL, user_defined_symbols=["\n", "\n\n", "\n\n\n", "\t"], character_coverage=1.0)
    os.chdir(home)
    os.remove(out + "/corpus.txt"); os.remove(out + "/tokenizer.vocab")


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
