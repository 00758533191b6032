/* partition/file/model_keys.c — a text model's sizes, read from the metadata of its GGUF file.
 *
 * Gemma 3 files leave much unsaid (docs/MODEL.md, "What the file does not say"): the local RoPE base, the pattern of
 * five local layers and a global one, the attention scale. What is unsaid is a constant of the architecture; what is
 * said must be there and make sense. A file with a setting we do not compute (soft caps, YaRN) is refused rather than
 * run wrong. */
#include "partition/file/model_file.h"

#include "partition/file/gguf_write.h"

#include <inttypes.h>
#include <string.h>

#define LOCAL_ROPE_BASE 10000.0f
#define USUAL_PATTERN 6

static int check_architecture(const struct gguf *g, struct err *why)
{
    struct gguf_string arch;
    TRY(gguf_text(g, "general.architecture", &arch, why));
    if (gguf_text_is(arch, "gemma3")) return 0;
    if (gguf_text_is(arch, "clip"))
        return fail(why, E_FILE,
                    "%s holds the picture encoder of a model (an mmproj file); give the text model's file as the model",
                    gguf_path(g, 0));
    char name[GGUF_SHOWN];
    return fail(why, E_FILE, "%s is a model of architecture \"%s\"; gemmapipe runs gemma3 only", gguf_path(g, 0),
                gguf_show_text(name, arch));
}

static int check_not_shard(const struct gguf *g, struct err *why)
{
    if (!gguf_has(g, "gemmapipe.model_fingerprint")) return 0;
    return fail(why, E_FILE, "%s is one worker's shard of a model; give the whole model's file as the model",
                gguf_path(g, 0));
}

static int check_no_soft_caps(const struct gguf *g, struct err *why)
{
    static const char *const keys[] = {"gemma3.attn_logit_softcapping", "gemma3.final_logit_softcapping"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        float cap = 0;
        if (gguf_has(g, keys[i])) TRY(gguf_f32(g, keys[i], &cap, why));
        if (cap != 0)
            return fail(why, E_FILE, "%s: %s is %g; Gemma 3 has no soft caps and gemmapipe computes none",
                        gguf_path(g, 0), keys[i], (double)cap);
    }
    return 0;
}

/* A list says for every layer whether it is local. Only lists that repeat as "n - 1 local, one global" are run. */
static int pattern_of_list(struct model_config *c, const struct gguf *g, struct err *why)
{
    const char *key = "gemma3.attention.sliding_window_pattern";
    struct gguf_array list;
    TRY(gguf_list(g, key, &list, why));
    if (list.type != GGUF_BOOL || list.count != c->layers)
        return fail(why, E_FILE, "%s: %s has %" PRIu64 " elements, wanted a truth value for each of the %u layers",
                    gguf_path(g, 0), key, list.count, c->layers);
    uint32_t local = 0;
    while (local < c->layers && list.data[local]) local++;
    c->pattern = local + 1;
    for (uint32_t i = 0; i < c->layers; i++)
        if ((list.data[i] == 0) != ((i + 1) % c->pattern == 0))
            return fail(why, E_FILE, "%s: %s is irregular at layer %u; wanted every %u-th layer to be global",
                        gguf_path(g, 0), key, i, c->pattern);
    return 0;
}

static int read_pattern(struct model_config *c, const struct gguf *g, struct err *why)
{
    const char *key = "gemma3.attention.sliding_window_pattern";
    uint32_t type = GGUF_U32;
    c->pattern = USUAL_PATTERN;
    if (!gguf_has(g, key)) return 0;
    for (size_t i = 0; i < gguf_key_count(g); i++) {
        uint32_t t;
        if (!strcmp(gguf_key_at(g, i, &t, NULL, 0), key)) type = t;
    }
    return type == GGUF_ARRAY ? pattern_of_list(c, g, why) : gguf_u32(g, key, &c->pattern, why);
}

static int read_rope(struct model_config *c, const struct gguf *g, struct err *why)
{
    struct gguf_string scaling = {"", 0};
    TRY(gguf_f32(g, "gemma3.rope.freq_base", &c->rope_base_global, why));
    c->rope_base_local = LOCAL_ROPE_BASE;
    if (gguf_has(g, "gemma3.rope.freq_base_swa"))
        TRY(gguf_f32(g, "gemma3.rope.freq_base_swa", &c->rope_base_local, why));

    c->rope_factor = 1;
    if (gguf_has(g, "gemma3.rope.scaling.type")) TRY(gguf_text(g, "gemma3.rope.scaling.type", &scaling, why));
    if (gguf_text_is(scaling, "none")) return 0;
    if (scaling.n && !gguf_text_is(scaling, "linear"))
        return fail(why, E_FILE, "%s: gemma3.rope.scaling.type is \"%.*s\", wanted linear or none", gguf_path(g, 0),
                    scaling.n < 20 ? (int)scaling.n : 20, scaling.text);
    if (scaling.n || gguf_has(g, "gemma3.rope.scaling.factor"))
        TRY(gguf_f32(g, "gemma3.rope.scaling.factor", &c->rope_factor, why));
    return 0;
}

static int read_sizes(struct model_config *c, const struct gguf *g, struct err *why)
{
    const struct {
        const char *key;
        uint32_t *to;
    } sizes[] = {
        {"gemma3.block_count", &c->layers},
        {"gemma3.embedding_length", &c->hidden},
        {"gemma3.feed_forward_length", &c->ffn},
        {"gemma3.attention.head_count", &c->heads},
        {"gemma3.attention.head_count_kv", &c->kv_heads},
        {"gemma3.attention.key_length", &c->head_dim},
        {"gemma3.attention.sliding_window", &c->window},
        {"gemma3.context_length", &c->context},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) TRY(gguf_u32(g, sizes[i].key, sizes[i].to, why));

    static const char *const same[] = {"gemma3.attention.value_length", "gemma3.rope.dimension_count"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        uint32_t v = c->head_dim;
        if (gguf_has(g, same[i])) TRY(gguf_u32(g, same[i], &v, why));
        if (v != c->head_dim)
            return fail(why, E_FILE, "%s: %s is %u and gemma3.attention.key_length is %u; wanted the same",
                        gguf_path(g, 0), same[i], v, c->head_dim);
    }
    return gguf_f32(g, "gemma3.attention.layer_norm_rms_epsilon", &c->norm_epsilon, why);
}

static int check_count(const struct gguf *g, const char *key, uint32_t type, uint32_t wanted, struct err *why)
{
    struct gguf_array list;
    TRY(gguf_list(g, key, &list, why));
    if (list.type != type || list.count != wanted)
        return fail(why, E_FILE,
                    "%s: %s has %" PRIu64 " elements, wanted one for each of the %u rows of token_embd.weight",
                    gguf_path(g, 0), key, list.count, wanted);
    return 0;
}

/* The number of rows is in the embedding's shape; everything that speaks of ids must agree with it. */
static int read_vocabulary(struct model_config *c, const struct gguf *g, struct err *why)
{
    static const char *const ids[] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
                                      "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.padding_token_id"};
    const struct gguf_tensor *embedding = gguf_tensor(g, "token_embd.weight");
    if (!embedding) return fail(why, E_FILE, "%s has no tensor token_embd.weight", gguf_path(g, 0));
    if (embedding->n_dims != 2 || embedding->dims[1] > MODEL_VOCAB_MOST)
        return fail(why, E_FILE,
                    "%s: token_embd.weight has %u dimensions and %" PRIu64 " rows, wanted 2 and at most %d",
                    gguf_path(g, 0), embedding->n_dims, embedding->dims[1], MODEL_VOCAB_MOST);
    c->vocab = (uint32_t)embedding->dims[1];
    TRY(check_count(g, "tokenizer.ggml.tokens", GGUF_STRING, c->vocab, why));
    if (gguf_has(g, "tokenizer.ggml.scores")) TRY(check_count(g, "tokenizer.ggml.scores", GGUF_F32, c->vocab, why));
    if (gguf_has(g, "tokenizer.ggml.token_type"))
        TRY(check_count(g, "tokenizer.ggml.token_type", GGUF_I32, c->vocab, why));
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        uint32_t id = 0;
        if (gguf_has(g, ids[i])) TRY(gguf_u32(g, ids[i], &id, why));
        if (id >= c->vocab)
            return fail(why, E_FILE, "%s: %s is %u, the vocabulary ends at %u", gguf_path(g, 0), ids[i], id,
                        c->vocab - 1);
    }
    return 0;
}

int config_read(struct model_config *out, const struct gguf *g, struct err *why)
{
    struct model_config c = {0};
    TRY(check_architecture(g, why));
    TRY(gguf_refuse_ollamas(g, why));
    TRY(check_not_shard(g, why));
    TRY(check_no_soft_caps(g, why));
    TRY(read_sizes(&c, g, why));
    TRY(read_rope(&c, g, why));
    TRY(read_pattern(&c, g, why));
    TRY(read_vocabulary(&c, g, why));
    c.attention_scale = config_attention_scale(&c);
    TRY(config_check(&c, gguf_path(g, 0), why));
    *out = c;
    return 0;
}

void config_write(const struct model_config *c, struct gguf_out *o, bool local_base)
{
    gguf_put_u32(o, "gemma3.context_length", c->context);
    gguf_put_u32(o, "gemma3.embedding_length", c->hidden);
    gguf_put_u32(o, "gemma3.block_count", c->layers);
    gguf_put_u32(o, "gemma3.feed_forward_length", c->ffn);
    gguf_put_u32(o, "gemma3.attention.head_count", c->heads);
    gguf_put_u32(o, "gemma3.attention.head_count_kv", c->kv_heads);
    gguf_put_u32(o, "gemma3.attention.key_length", c->head_dim);
    gguf_put_u32(o, "gemma3.attention.value_length", c->head_dim);
    gguf_put_f32(o, "gemma3.attention.layer_norm_rms_epsilon", c->norm_epsilon);
    gguf_put_u32(o, "gemma3.attention.sliding_window", c->window);
    if (c->pattern != USUAL_PATTERN) gguf_put_u32(o, "gemma3.attention.sliding_window_pattern", c->pattern);
    gguf_put_f32(o, "gemma3.rope.freq_base", c->rope_base_global);
    if (local_base) gguf_put_f32(o, "gemma3.rope.freq_base_swa", c->rope_base_local);
    if (c->rope_factor == 1) return;
    gguf_put_text(o, "gemma3.rope.scaling.type", "linear");
    gguf_put_f32(o, "gemma3.rope.scaling.factor", c->rope_factor);
}
