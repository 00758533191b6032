#!/usr/bin/env python3
"""Writes the seeds of the readers of checkpoints, plans and cluster files: a few sound files each, and one for each known way such files have broken a reader.

make_checkpoint_seeds.py [DIRECTORY]      the files in the repository came from here; run it again after a change.
Files whose name begins with "sound" must be accepted, all others refused: tests/fuzz/corpus.h holds the readers to it.
"""
import json, os, struct, sys

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds")
MAX = 2**64 - 1


def put(target, name, data):
    folder = os.path.join(ROOT, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f: f.write(data if isinstance(data, bytes) else data.encode())


# ---- safetensors ----

def tensor(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def st(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def safetensors():
    p = lambda name, data: put("safetensors_fuzz", name, data)
    a, b = tensor([2, 3], 0, 24), tensor([4], 24, 32, "BF16")
    p("sound", st({"__metadata__": {"format": "pt"}, "a.weight": a, "b.weight": b}, bytes(32)))
    p("sound_padded", st(json.dumps({"b": tensor([1], 2, 4, "F16"), "a": tensor([], 0, 2, "BF16")}) + "   ", bytes(4)))
    p("sound_empty", st({}))
    p("sound_escapes", st('{"a\\u002fb": {"shape":[1],"data_offsets":[0,4],"dtype":"F\\u00332","more":[{"x":null}]}}', bytes(4)))
    one = {"a": tensor([2], 0, 8)}
    p("header_length_all_ones", st(one, bytes(8), MAX))
    p("header_length_plus_eight_wraps", st(one, bytes(8), MAX - 7))
    p("header_longer_than_the_file", st(one, bytes(8), 10000))
    p("header_shorter_than_the_json", st(one, bytes(8), 20))
    p("file_of_seven_bytes", b"\x10" + bytes(6))
    p("nothing", b"")
    p("shape_product_wraps", st({"a": tensor([2**32, 2**32, 2], 0, 8)}, bytes(8)))
    p("shape_product_wraps_to_the_size", st({"a": tensor([2**62 + 2], 0, 8)}, bytes(8)))
    p("shape_times_size_wraps", st({"a": tensor([2**63, 2], 0, 0)}))
    p("five_dims", st({"a": tensor([1, 1, 1, 1, 2], 0, 8)}, bytes(8)))
    p("dim_negative", st({"a": tensor([-2], 0, 8)}, bytes(8)))
    p("dim_with_a_fraction", st({"a": tensor([2.0], 0, 8)}, bytes(8)))
    p("dim_beyond_64_bits", st('{"a":{"dtype":"F32","shape":[18446744073709551618],"data_offsets":[0,8]}}', bytes(8)))
    p("offsets_backwards", st({"a": tensor([2], 8, 0)}, bytes(8)))
    p("offset_past_the_end", st({"a": tensor([2], 8, 16)}, bytes(8)))
    p("offset_plus_start_wraps", st({"a": tensor([2], MAX - 7, MAX)}, bytes(8)))
    p("offsets_three", st('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}', bytes(8)))
    p("size_is_not_the_shape", st({"a": tensor([3], 0, 8)}, bytes(8)))
    p("tensors_overlap", st({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, bytes(12)))
    p("tensors_share_their_bytes", st({"a": tensor([2], 0, 8), "b": tensor([2], 0, 8)}, bytes(8)))
    p("a_hole_between", st({"a": tensor([2], 0, 8), "b": tensor([2], 12, 20)}, bytes(20)))
    p("bytes_behind_the_last", st(one, bytes(12)))
    p("data_cut_short", st(one, bytes(7)))
    p("tensor_twice", st('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', bytes(8)))
    p("dtype_twice", st('{"a":{"dtype":"F32","dtype":"BF16","shape":[2],"data_offsets":[0,8]}}', bytes(8)))
    p("dtype_missing", st('{"a":{"shape":[2],"data_offsets":[0,8]}}', bytes(8)))
    p("dtype_of_quantised_weights", st({"a": tensor([8], 0, 8, "U8")}, bytes(8)))
    p("name_empty", st({"": tensor([2], 0, 8)}, bytes(8)))
    p("name_with_a_zero", st('{"a\\u0000b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)))
    p("name_of_300_bytes", st({"a" * 300: tensor([2], 0, 8)}, bytes(8)))
    p("json_nested_deep", st('{"a":' + "[" * 5000, bytes(8)))
    p("json_cut_in_an_escape", st(b'{"a\\'))
    p("json_half_a_surrogate", st('{"\\ud800":1}'))
    p("json_something_behind", st('{}{}'))
    p("metadata_is_a_number", st('{"__metadata__":3}'))
    p("index_climbs_out", json.dumps({"weight_map": {"a": "../model.safetensors"}}))
    p("index_names_a_path", json.dumps({"weight_map": {"a": "/etc/x.safetensors"}}))
    p("index_names_a_hidden_file", json.dumps({"weight_map": {"a": ".safetensors"}}))
    p("index_names_another_kind", json.dumps({"weight_map": {"a": "model.bin"}}))
    p("index_names_nothing", json.dumps({"weight_map": {}}))
    p("index_without_a_map", json.dumps({"metadata": {"total_size": 8}}))
    p("index_with_two_maps", '{"weight_map":{"a":"x.safetensors"},"weight_map":{"a":"x.safetensors"}}')
    p("index_of_a_missing_shard", json.dumps({"metadata": {"total_size": 8}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}))


# ---- config.json ----

def config():
    p = lambda name, data: put("hf_config_fuzz", name, data if isinstance(data, str) else json.dumps(data))
    flat = dict(architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", hidden_size=640, num_hidden_layers=18, intermediate_size=2048, num_attention_heads=4,
                num_key_value_heads=1, head_dim=256, sliding_window=512, max_position_embeddings=32768, vocab_size=262144, query_pre_attn_scalar=256, rope_theta=1e6,
                rope_local_base_freq=10000, rope_scaling=None, eos_token_id=[1, 106], hidden_activation="gelu_pytorch_tanh", final_logit_softcapping=None)
    text = dict(model_type="gemma3_text", hidden_size=2560, intermediate_size=10240, num_hidden_layers=34, sliding_window=1024, rope_scaling=dict(factor=8.0, rope_type="linear"))
    vision = dict(hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16, image_size=896, patch_size=14, model_type="siglip_vision_model", vision_use_head=False)
    nested = dict(model_type="gemma3", mm_tokens_per_image=256, image_token_index=262144, eos_token_id=[1, 106], text_config=text, vision_config=vision)
    with_text = lambda **k: nested | dict(text_config=text | k)
    with_vision = lambda **k: nested | dict(vision_config=vision | k)
    p("sound_flat", flat)
    p("sound_nested", nested)
    p("sound_without_pictures", {k: v for k, v in nested.items() if k != "vision_config"})
    p("sound_27b", with_text(num_hidden_layers=62, hidden_size=5376, intermediate_size=21504, num_attention_heads=32, num_key_value_heads=16, head_dim=128, query_pre_attn_scalar=168))
    p("sound_new_keys", nested | dict(text_config={k: v for k, v in text.items() if k != "rope_scaling"} | dict(
        rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6), sliding_attention=dict(rope_type="default", rope_theta=1e4)),
        layer_types=["full_attention" if i % 6 == 5 else "sliding_attention" for i in range(34)], dtype="bfloat16", _sliding_window_pattern=6)))
    p("nothing", "")
    p("a_list", "[]")
    p("another_architecture", flat | dict(model_type="llama"))
    p("no_model_type", {k: v for k, v in flat.items() if k != "model_type"})
    p("model_type_is_a_number", flat | dict(model_type=3))
    p("layers_zero", flat | dict(num_hidden_layers=0))
    p("layers_negative", flat | dict(num_hidden_layers=-1))
    p("layers_beyond_32_bits", flat | dict(num_hidden_layers=2**32 + 18))
    p("layers_beyond_64_bits", flat | dict(num_hidden_layers=2**64 + 18))
    p("layers_with_a_fraction", flat | dict(num_hidden_layers=18.5))
    p("layers_in_quotes", flat | dict(num_hidden_layers="18"))
    p("layers_twice", json.dumps(flat)[:-1] + ', "num_hidden_layers": 26}')
    p("hidden_size_huge", flat | dict(hidden_size=2**31))
    p("heads_no_multiple", flat | dict(num_attention_heads=4, num_key_value_heads=3))
    p("head_dim_odd", flat | dict(head_dim=255))
    p("scalar_zero", flat | dict(query_pre_attn_scalar=0))
    p("scalar_that_gguf_cannot_say", flat | dict(query_pre_attn_scalar=144))
    p("epsilon_infinite", json.dumps(flat)[:-1] + ', "rms_norm_eps": 1e999}')
    p("rope_theta_zero", flat | dict(rope_theta=0))
    p("rope_factor_missing", with_text(rope_scaling=dict(rope_type="linear")))
    p("rope_of_another_kind", with_text(rope_scaling=dict(rope_type="yarn", factor=8.0)))
    p("layer_types_irregular", with_text(layer_types=["full_attention"] * 3 + ["sliding_attention"] * 31))
    p("layer_types_too_few", with_text(layer_types=["sliding_attention"] * 5 + ["full_attention"]))
    p("layer_types_unknown", with_text(layer_types=["chunked_attention"] * 34))
    p("soft_cap", flat | dict(final_logit_softcapping=30.0))
    p("attention_both_ways", flat | dict(use_bidirectional_attention=True))
    p("quantised_already", nested | dict(quantization_config=dict(quant_method="bitsandbytes")))
    p("another_activation", flat | dict(hidden_activation="silu"))
    p("vision_patch_zero", with_vision(patch_size=0))
    p("vision_patches_uneven", with_vision(patch_size=15))
    p("vision_heads_uneven", with_vision(num_attention_heads=7))
    p("vision_rows_no_square", nested | dict(mm_tokens_per_image=200))
    p("vision_rows_over_patches", nested | dict(mm_tokens_per_image=65536))
    p("vision_is_a_list", nested | dict(vision_config=[1]))
    p("nested_deep", '{"model_type":"gemma3_text","x":' + "[" * 4000 + "]" * 4000 + "}")
    p("cut_short", json.dumps(flat)[:-20])
    p("trailing_comma", '{"model_type":"gemma3_text",}')


# ---- tokenizer.json ----

def tokenizer_json():
    p = lambda name, data: put("tokenizer_json_fuzz", name, data if isinstance(data, (str, bytes)) else json.dumps(data))
    added = lambda i, text, special=True: dict(id=i, content=text, single_word=False, lstrip=False, rstrip=False, normalized=False, special=special)
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "\n", "<0x00>", "<0x41>", "he", "the", "\u2581the", "\u2581", "h", "e", "t"]
    vocab = {w: i for i, w in enumerate(words)}
    merges = [["h", "e"], ["t", "he"], ["\u2581", "the"], ["\u2581t", "he"]]
    def make(vocab=vocab, merges=merges, extra=(), **model):
        return dict(version="1.0", added_tokens=[added(0, "<pad>"), added(1, "<eos>"), added(2, "<bos>"), added(3, "<unk>"), added(4, "\n", False), *extra], normalizer=None,
                    model=dict(type="BPE", unk_token="<unk>", byte_fallback=True) | model | dict(vocab=vocab, merges=merges))
    p("sound", make())
    p("sound_merges_in_one_text", make(merges=[" ".join(m) for m in merges]))
    p("sound_merges_first", '{"model":{"merges":[["h","e"]],"vocab":{"h":0,"e":1,"he":2}},"added_tokens":null}')
    p("sound_escapes", '{"model":{"vocab":{"\\u2581":0,"\\ud83d\\ude42":1,"\\"\\\\\\/\\b\\f\\n\\r\\t":2},"merges":[]}}')
    p("sound_added_beyond_the_table", make(extra=[added(20, "<image_soft_token>")]))
    p("sound_first_token_is_empty", '{"model":{"vocab":{"":2},"merges":[]}}')
    p("nothing", "")
    p("id_minus_one", make(vocab=vocab | {"x": -1}))
    p("id_all_ones_of_32_bits", make(vocab=vocab | {"x": 2**32 - 1}))
    p("id_cut_to_32_bits_is_fine", make(vocab=vocab | {"x": 2**32 + 14}))
    p("id_beyond_any_vocabulary", make(vocab=vocab | {"x": 2**24}))
    p("id_with_a_fraction", make(vocab=vocab | {"x": 14.5}))
    p("id_twice", make(vocab=vocab | {"x": 3}))
    p("text_twice_other_id", json.dumps(make()).replace('"he": 7', '"he": 7, "he": 7'))
    p("token_of_two_thousand_bytes", make(vocab=vocab | {"x" * 2000: 14}))
    p("added_id_minus_one", make(extra=[added(-1, "<x>")]))
    p("added_id_beyond", make(extra=[added(2**31, "<x>")]))
    p("added_with_another_text", make(extra=[added(7, "<x>")]))
    p("sound_added_renames", make(extra=[added(13, "<x>")]))
    p("sound_with_a_decoder", make() | dict(added_tokens_decoder={"7": added(7, "<x>"), "20": dict(content="<y>", special=True), "21": dict(content="<z>")}))
    p("added_without_content", make(extra=[dict(id=20)]))
    p("added_of_two_thousand_bytes", make(extra=[added(20, "x" * 2000)]))
    p("merge_that_makes_no_token", make(merges=[["t", "t"]]))
    p("merge_of_one", make(merges=[["h"]]))
    p("merge_of_three", make(merges=[["h", "e", ""]]))
    p("merge_without_a_space", make(merges=["he"]))
    p("merge_of_three_thousand_bytes", make(merges=["h " + "e" * 3000]))
    p("merge_is_a_number", make(merges=[7]))
    p("vocab_is_a_list", make(vocab=["a", "b"]))
    p("merges_missing", dict(model=dict(type="BPE", vocab=vocab)))
    p("vocab_twice", '{"model":{"vocab":{"a":0},"vocab":{"a":0},"merges":[]}}')
    p("model_twice", '{"model":{"vocab":{"a":0},"merges":[]},"model":{"vocab":{"a":0},"merges":[]}}')
    p("model_missing", dict(added_tokens=[]))
    p("another_model", make(type="Unigram"))
    p("no_tokens", make(vocab={}) | dict(added_tokens=[]))
    p("half_a_surrogate", '{"model":{"vocab":{"\\udc00":0},"merges":[]}}')
    p("control_character", b'{"model":{"vocab":{"\n":0},"merges":[]}}')
    p("nested_deep", '{"model":' + '{"a":' * 4000)
    p("cut_short", json.dumps(make())[:-30])


# ---- tokenizer.model ----

def varint(n):
    out = b""
    while n > 127: out += bytes([n & 127 | 128]); n >>= 7
    return out + bytes([n])


def field(number, data, length=None): return varint(number << 3 | 2) + varint(len(data) if length is None else length) + data
def piece(text, score=0.0, kind=None): return field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + (b"" if kind is None else b"\x18" + varint(kind)))


def tokenizer_model():
    p = lambda name, data: put("tokenizer_model_fuzz", name, data)
    head = piece("<pad>", 0, 3) + piece("<eos>", 0, 3) + piece("<bos>", 0, 3) + piece("<unk>", 0, 2) + piece("<0x00>", 0, 6) + piece("\n", 0, 4) + piece("he", -0.0) + piece("\u2581t", -1)
    p("sound", head + field(2, b"\x18\x02") + field(3, field(1, b"identity")))
    p("sound_unknown_fields", head + b"\x99\x06" + bytes(8) + b"\x95\x06" + bytes(4) + b"\xf8\x3f\x01" + field(1000, b"abc"))
    p("sound_piece_without_text", piece("a") + field(1, b""))
    p("sound_first_piece_is_empty", field(1, b"") + piece("a"))
    p("nothing", b"")
    p("no_pieces", field(3, field(1, b"identity")))
    p("length_all_ones", head + b"\x0a" + varint(MAX))
    p("length_plus_place_wraps", head + b"\x0a" + varint(MAX - 40))
    p("length_past_the_end", head + field(1, b"abc", 400))
    p("inner_length_past_the_end", head + field(1, b"\x0a" + varint(90) + b"abc"))
    p("inner_length_all_ones", head + field(1, b"\x0a" + varint(MAX) + b"abc"))
    p("varint_of_eleven_bytes", head + b"\x80" * 10 + b"\x01")
    p("varint_of_65_bits", head + b"\xf8\x3f" + b"\xff" * 9 + b"\x02")
    p("varint_cut", head + b"\xf8\x3f\xff")
    p("group", head + b"\x0b\x0c")
    p("wire_type_seven", head + b"\x0f")
    p("fixed_cut", head + b"\x99\x06\x00")
    p("type_zero", head + piece("x", 0, 0))
    p("type_nine", head + piece("x", 0, 9))
    p("type_cut_to_32_bits_is_fine", head + piece("x", 0, 2**32 + 1))
    p("score_nan", head + piece("x", float("nan")))
    p("score_infinite", head + piece("x", float("-inf")))
    p("token_of_two_thousand_bytes", head + piece("x" * 2000))
    p("unigram", head + field(2, b"\x18\x01"))


# ---- plans ----

def plans():
    p = lambda name, data: put("plan_json_fuzz", name, data if isinstance(data, str) else json.dumps(data))
    stage = lambda first, end, head=False, **k: dict(worker="east", first=first, end=end, head=head) | k
    plan = lambda *stages, **k: dict(model="m.gguf", fingerprint="0123456789abcdef" * 2, layers=8, context=4096) | k | dict(stages=list(stages))
    p("sound", plan(stage(0, 3, total=5), stage(3, 6), stage(6, 8, True, milliseconds=0.5)))
    p("sound_head_alone", plan(stage(0, 8), stage(8, 8, True)))
    p("sound_bare", '{"stages":[{"first":0,"end":8,"head":true}]}')
    part = lambda first, end, *parts, **k: stage(first, end, parts=list(parts)) | k
    p("sound_divided", plan(part(0, 3, 0, 5), stage(3, 6), part(6, 8, 5, 16)))
    p("sound_divided_in_front", plan(part(0, 3, 0, 9, total=5), part(3, 8, 9, 16)))
    p("sound_whole_in_parts", plan(stage(0, 5, True, parts=[0, 16]), stage(5, 8)))
    p("sound_parts_without_a_word_of_head", '{"stages":[{"first":0,"end":8,"parts":[0,7]},{"first":8,"end":8,"parts":[7,16]}]}')
    p("parts_overlap", plan(part(0, 3, 0, 9), part(3, 8, 8, 16)))
    p("parts_with_a_gap", plan(part(0, 3, 0, 8), part(3, 8, 9, 16)))
    p("parts_too_few", plan(part(0, 3, 0, 8), part(3, 8, 8, 15)))
    p("parts_beyond_sixteen", plan(part(0, 3, 0, 8), part(3, 8, 8, 17)))
    p("parts_beyond_32_bits", plan(part(0, 8, 0, 2**32 + 16)))
    p("parts_backwards", plan(part(0, 3, 8, 0), part(3, 8, 8, 16)))
    p("parts_empty", plan(part(0, 3, 0, 0), part(3, 8, 0, 16)))
    p("parts_no_array", plan(stage(0, 8, parts=16)))
    p("parts_an_object", plan(stage(0, 8, parts={"0": 16})))
    p("parts_of_one_number", plan(part(0, 8, 16)))
    p("parts_of_three_numbers", plan(part(0, 8, 0, 16, 16)))
    p("parts_negative", plan(part(0, 8, -1, 16)))
    p("parts_twice", '{"stages":[{"first":0,"end":8,"parts":[0,16],"parts":[0,16]}]}')
    p("parts_unlike_the_head", plan(stage(0, 3, True, parts=[0, 8]), part(3, 8, 8, 16)))
    p("head_unlike_the_parts", plan(stage(0, 8, False, parts=[0, 16])))
    p("parts_alone_in_the_middle", plan(stage(0, 8), part(8, 8, 0, 8), part(8, 8, 8, 16)))
    p("nothing", "")
    p("no_stages", plan())
    p("stages_twice", '{"stages":[{"first":0,"end":8,"head":true}],"stages":[{"first":0,"end":8,"head":true}]}')
    p("sixty_four_stages", plan(*[stage(0, 0)] * 63, stage(0, 8, True)))
    p("a_gap", plan(stage(0, 3), stage(4, 8, True)))
    p("an_overlap", plan(stage(0, 5), stage(4, 8, True)))
    p("backwards", plan(stage(0, 8), stage(8, 3, True)))
    p("too_many_layers", plan(stage(0, 9, True)))
    p("too_few_layers", plan(stage(0, 7, True)))
    p("first_negative", plan(stage(-1, 8, True)))
    p("end_beyond_32_bits", plan(stage(0, 2**32 + 8, True)))
    p("head_in_the_middle", plan(stage(0, 3, True), stage(3, 8, True)))
    p("no_head", plan(stage(0, 8)))
    p("empty_stage", plan(stage(0, 0), stage(0, 8, True)))
    p("end_twice", '{"stages":[{"first":0,"end":8,"end":8,"head":true}]}')
    p("another_model", plan(stage(0, 8, True), layers=9))
    p("fingerprint_short", plan(stage(0, 8, True), fingerprint="0123"))
    p("nested_deep", '{"stages":' + "[" * 4000)


# ---- cluster files ----

def clusters():
    p = lambda name, data: put("cluster_file_fuzz", name, data if isinstance(data, (str, bytes)) else json.dumps(data))
    worker = lambda i=2, **k: dict(address="tcp://10.0.0.%d:7001" % i) | k
    cluster = lambda *workers, **k: dict(workers=list(workers)) | k
    p("sound", cluster(worker(2, memory="2G", threads=4, speed=0.5), worker(3, name="attic", memory=800000000), context=4096, sequences=4, wait=60))
    p("sound_bare", cluster(worker()))
    p("sound_by_hand", cluster(worker(2, layers=12, head=9), worker(3, layers=14, head=7)))
    p("sound_head_of_the_last", cluster(worker(2, layers=12), worker(3, layers=14)))
    p("sound_a_thousand", cluster(*[dict(address="tcp://node-%d:7001" % i) for i in range(1000)]))
    p("one_more_than_a_thousand", cluster(*[dict(address="tcp://node-%d:7001" % i) for i in range(1001)]))
    p("nothing", "")
    p("no_workers", {})
    p("workers_empty", cluster())
    p("workers_twice", '{"workers":[{"address":"tcp://a:1"}],"workers":[{"address":"tcp://a:1"}]}')
    p("a_word_after_the_end", '{"workers":[{"address":"tcp://a:1"}]} x')
    p("a_zero_byte", b'{"workers":[{"address":"tcp://a:1"}]}\0')
    p("a_zero_byte_in_an_address", '{"workers":[{"address":"tcp://a\\u0000b:1"}]}')
    p("an_escape_sequence_in_an_address", '{"workers":[{"address":"tcp://a\\u001b[2J:1"}]}')
    p("address_too_long", cluster(dict(address="tcp://" + "a" * 300 + ":1")))
    p("the_same_address_twice", cluster(worker(), worker()))
    p("memory_wraps", cluster(worker(memory="99999999999999999999G")))
    p("memory_negative", cluster(worker(memory=-1)))
    p("threads_beyond_all", cluster(worker(threads=2**33)))
    p("speed_infinite", '{"workers":[{"address":"tcp://a:1","speed":1e999}]}')
    p("speed_zero", cluster(worker(speed=0)))
    p("layers_of_some", cluster(worker(2, layers=12), worker(3)))
    p("head_without_layers", cluster(worker(2, head=16)))
    p("head_of_seventeen_parts", cluster(worker(2, layers=12, head=10), worker(3, layers=14, head=7)))
    p("head_wraps", cluster(worker(2, layers=12, head=2**32 - 1), worker(3, layers=14, head=17)))
    p("a_misspelt_key", cluster(worker(memroy="2G")))
    p("nested_deep", '{"workers":' + "[" * 4000)


safetensors(), config(), tokenizer_json(), tokenizer_model(), plans(), clusters()
