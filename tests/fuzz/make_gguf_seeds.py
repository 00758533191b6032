#!/usr/bin/env python3
"""Writes tests/fuzz/seeds/gguf_fuzz: one sound model of 4 KB, and one file for each known way a GGUF file has broken a reader.

make_gguf_seeds.py [DIRECTORY]        the files in the repository came from here; run it again after a change
"""
import os, struct, sys

U32, F32, BOOL, STR, ARR = 4, 6, 7, 8, 9
MAX = 2**64 - 1


def s(x):
    return struct.pack("<Q", len(x)) + x.encode()


def kv(key, kind, value):
    return s(key) + struct.pack("<I", kind) + value


def u32(key, v):
    return kv(key, U32, struct.pack("<I", v))


def f32(key, v):
    return kv(key, F32, struct.pack("<f", v))


def array(key, kind, count, elements):
    return kv(key, ARR, struct.pack("<IQ", kind, count) + elements)


def tensor(name, dims, offset, kind=0, rank=None):
    rank = len(dims) if rank is None else rank
    return s(name) + struct.pack("<I", rank) + struct.pack("<%dQ" % len(dims), *dims) + struct.pack("<IQ", kind, offset)


def file(keys, tensors, data, n_keys=None, n_tensors=None):
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys)
    head += b"".join(keys) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + data


def model():
    d, f, heads, dim, vocab = 8, 8, 2, 4, 8
    g = "gemma3."
    keys = [kv("general.architecture", STR, s("gemma3")), u32(g + "block_count", 1), u32(g + "embedding_length", d),
            u32(g + "feed_forward_length", f), u32(g + "attention.head_count", heads), u32(g + "attention.head_count_kv", 1),
            u32(g + "attention.key_length", dim), u32(g + "attention.sliding_window", 4), u32(g + "context_length", 64),
            f32(g + "rope.freq_base", 1e6), f32(g + "attention.layer_norm_rms_epsilon", 1e-6),
            kv(g + "rope.scaling.type", STR, s("linear")), f32(g + "rope.scaling.factor", 8),
            array(g + "attention.sliding_window_pattern", BOOL, 1, b"\1"),
            array("tokenizer.ggml.tokens", STR, vocab, b"".join(s("t%d" % i) for i in range(vocab))),
            array("tokenizer.ggml.scores", F32, vocab, bytes(4 * vocab)), u32("tokenizer.ggml.bos_token_id", 2)]
    shapes = [("token_embd", (d, vocab)), ("output_norm", (d,))]
    shapes += [("blk.0." + n, x) for n, x in (
        ("attn_norm", (d,)), ("attn_q", (d, heads * dim)), ("attn_k", (d, dim)), ("attn_v", (d, dim)), ("attn_q_norm", (dim,)),
        ("attn_k_norm", (dim,)), ("attn_output", (heads * dim, d)), ("post_attention_norm", (d,)), ("ffn_norm", (d,)),
        ("ffn_gate", (d, f)), ("ffn_up", (d, f)), ("ffn_down", (f, d)), ("post_ffw_norm", (d,)))]
    tensors, at = [], 0
    for name, dims in shapes:
        tensors.append(tensor(name + ".weight", dims, at))
        n = 4
        for x in dims: n *= x
        at += (n + 31) // 32 * 32
    return file(keys, tensors, bytes(at))


def nested(depth):
    return array("k", ARR, 1, b"".join(struct.pack("<IQ", ARR, 1) for _ in range(depth)) + struct.pack("<IQB", 0, 1, 5))


SEEDS = {
    "model": model(),
    "more_dims_than_an_array_holds": file([], [tensor("t", [1] * 8, 0)], bytes(64)),
    "array_count_times_size_wraps": file([array("k", 12, 2**61 + 1, bytes(8))], [], b""),
    "array_of_strings_without_end": file([array("k", STR, MAX, s("x"))], [], b""),
    "arrays_nested_deep": file([nested(60)], [], b""),
    "key_count_absurd": file([u32("k", 1)], [], b"", n_keys=2**60),
    "tensor_count_absurd": file([], [tensor("t", [8], 0)], bytes(32), n_tensors=2**59),
    "string_length_plus_one_wraps": file([s("k") + struct.pack("<IQ", STR, MAX)], [], bytes(64)),
    "name_length_wraps": file([struct.pack("<Q", MAX) + b"k" * 64], [], b""),
    "value_type_unknown": file([kv("k", 13, bytes(8))], [], b""),
    "dims_product_wraps": file([], [tensor("t", [2**32, 2**32], 0)], bytes(64)),
    "sum_of_sizes_wraps": file([], [tensor("t", [2**61], 0), tensor("u", [2**61], 2**63)], bytes(64)),
    "offset_plus_size_wraps": file([], [tensor("t", [8], MAX - 31)], bytes(64)),
    "offset_past_the_end": file([], [tensor("t", [8], 2**20)], bytes(64)),
    "alignment_zero": file([u32("general.alignment", 0)], [tensor("t", [8], 0)], bytes(64)),
    "alignment_rounds_to_zero": file([kv("general.alignment", 10, struct.pack("<Q", 2**63))], [tensor("t", [8], 0)], bytes(64)),
    "rows_not_whole_blocks": file([], [tensor("t", [48], 0, kind=2)], bytes(64)),
    "tensors_overlap": file([], [tensor("t", [16], 0), tensor("u", [8], 32)], bytes(64)),
    "tensor_twice": file([], [tensor("t", [8], 0), tensor("t", [8], 32)], bytes(64)),
    "key_twice": file([u32("k", 1), u32("k", 2)], [], b""),
    "number_format_unknown": file([], [tensor("t", [32], 0, kind=2**31)], bytes(64)),
    "split_without_its_pieces": file([kv("split.no", 2, b"\0\0"), kv("split.count", 2, b"\2\0")], [tensor("t", [8], 0)], bytes(32)),
}


def main():
    here = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds", "gguf_fuzz")
    os.makedirs(here, exist_ok=True)
    for name, content in SEEDS.items():
        with open(os.path.join(here, name), "wb") as f:
            f.write(content)


main()
