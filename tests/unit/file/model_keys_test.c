/* tests/unit/file/model_keys_test.c — a model's sizes from its metadata: what is read, what is derived, what is refused. */
#define _GNU_SOURCE
#include "partition/file/model_file.h"
#include "partition/model/config.h"
#include "tests/support/check.h"
#include "tests/support/forge.h"

#include <math.h>

/* Metadata of a small sound model, and its embedding. A claim takes a key out, or adds some. */
struct recipe {
    const char *without;
    uint32_t layers, hidden, heads, head_dim, vocab, tokens;
    void (*add)(struct forge *f);
};

static const struct recipe plain = {.layers = 13, .hidden = 64, .heads = 4, .head_dim = 16, .vocab = 8, .tokens = 8};

static void forge_unless(struct forge *f, const struct recipe *r, const char *name, uint32_t v)
{
    if (!r->without || strcmp(r->without, name)) forge_u32(f, name, v);
}

static void forge_vocabulary(struct forge *f, const struct recipe *r)
{
    forge_array(f, "tokenizer.ggml.tokens", GGUF_STRING, r->tokens);
    for (uint32_t i = 0; i < r->tokens; i++) forge_text(f, "x");
    forge_array(f, "tokenizer.ggml.scores", GGUF_F32, r->tokens);
    for (uint32_t i = 0; i < r->tokens; i++) forge_le(f, 0, 4);
    forge_unless(f, r, "tokenizer.ggml.eos_token_id", 1);
}

static struct forge *cook(const struct recipe *r)
{
    struct forge *f = forge_new();
    if (!r->without || strcmp(r->without, "general.architecture")) forge_string(f, "general.architecture", "gemma3");
    forge_unless(f, r, "gemma3.block_count", r->layers);
    forge_unless(f, r, "gemma3.embedding_length", r->hidden);
    forge_unless(f, r, "gemma3.feed_forward_length", 96);
    forge_unless(f, r, "gemma3.attention.head_count", r->heads);
    forge_unless(f, r, "gemma3.attention.head_count_kv", 2);
    forge_unless(f, r, "gemma3.attention.key_length", r->head_dim);
    forge_unless(f, r, "gemma3.attention.sliding_window", 512);
    forge_unless(f, r, "gemma3.context_length", 4096);
    if (!r->without || strcmp(r->without, "gemma3.rope.freq_base")) forge_f32(f, "gemma3.rope.freq_base", 1e6f);
    if (!r->without || strcmp(r->without, "gemma3.attention.layer_norm_rms_epsilon"))
        forge_f32(f, "gemma3.attention.layer_norm_rms_epsilon", 1e-6f);
    if (r->tokens) forge_vocabulary(f, r);
    if (r->add) r->add(f);
    forge_tensor(f, "token_embd.weight", T_F32, 2, (uint64_t[]){r->hidden, r->vocab}, 0);
    forge_data(f, 32, 4 * (size_t)r->hidden * r->vocab);
    return f;
}

static int read_recipe(struct model_config *c, const struct recipe *r, struct err *why)
{
    struct forge *f = cook(r);
    struct gguf *g;
    int rc = open_forged(&g, f, why);
    if (!rc) rc = config_read(c, g, why);
    gguf_close(&g);
    free(f);
    return rc;
}

static void refused(struct recipe r, const char *word)
{
    struct model_config c;
    struct err no = {0};
    int rc = read_recipe(&c, &r, &no);
    CHECK(rc == E_FILE && strstr(no.text, word), "wanted \"%s\", got %d: %s", word, rc, no.text);
}

static struct recipe adding(void (*add)(struct forge *f))
{
    struct recipe r = plain;
    r.add = add;
    return r;
}

/* ---- what is read ---- */

TEST(sizes_are_read_and_the_unsaid_is_filled_in)
{
    struct model_config c;
    NEED(read_recipe(&c, &plain, why));
    CHECK(c.layers == 13 && c.hidden == 64 && c.ffn == 96 && c.heads == 4 && c.kv_heads == 2 && c.head_dim == 16);
    CHECK(c.window == 512 && c.context == 4096 && c.vocab == 8 && c.pattern == 6);
    CHECK(c.rope_base_global == 1e6f && c.rope_base_local == 1e4f && c.rope_factor == 1 && c.norm_epsilon == 1e-6f);
    CHECK(c.attention_scale == 0.25f);
    CHECK(layer_is_global(&c, 5) && layer_is_global(&c, 11) && !layer_is_global(&c, 0) && !layer_is_global(&c, 12));
}

/* 5376 / 32 = 168; a shape that small has the same quotient. */
TEST(sixty_two_layers_have_the_scale_of_the_27b)
{
    struct recipe r = plain;
    struct model_config c;
    r.layers = 62, r.hidden = 336, r.heads = 2, r.head_dim = 128;
    NEED(read_recipe(&c, &r, why));
    CHECK(fabsf(c.attention_scale - 0.0771516750f) < 4e-9f, "%.9g", (double)c.attention_scale);
    r.layers = 61;
    NEED(read_recipe(&c, &r, why));
    CHECK(fabsf(c.attention_scale - 0.0883883476f) < 4e-9f, "%.9g", (double)c.attention_scale);
}

static void linear_8(struct forge *f)
{
    forge_string(f, "gemma3.rope.scaling.type", "linear");
    forge_f32(f, "gemma3.rope.scaling.factor", 8);
    forge_f32(f, "gemma3.rope.freq_base_swa", 20000);
}

static void scaling_none(struct forge *f)
{
    forge_string(f, "gemma3.rope.scaling.type", "none");
}

static void factor_alone(struct forge *f)
{
    forge_f32(f, "gemma3.rope.scaling.factor", 4);
}

TEST(rope_scaling_is_linear_or_none)
{
    struct recipe r = adding(linear_8);
    struct model_config c;
    NEED(read_recipe(&c, &r, why));
    CHECK(c.rope_factor == 8 && c.rope_base_local == 20000);
    r = adding(scaling_none);
    NEED(read_recipe(&c, &r, why));
    CHECK(c.rope_factor == 1);
    r = adding(factor_alone);
    NEED(read_recipe(&c, &r, why));
    CHECK(c.rope_factor == 4);
}

static void yarn(struct forge *f)
{
    forge_string(f, "gemma3.rope.scaling.type", "yarn");
}

static void linear_alone(struct forge *f)
{
    forge_string(f, "gemma3.rope.scaling.type", "linear");
}

static void linear_nan(struct forge *f)
{
    forge_f32(f, "gemma3.rope.scaling.factor", NAN);
}

TEST(rope_scaling_we_do_not_compute_is_refused)
{
    refused(adding(yarn), "\"yarn\"");
    refused(adding(linear_alone), "gemma3.rope.scaling.factor");
    refused(adding(linear_nan), "RoPE factor");
}

/* ---- the pattern of layers ---- */

static uint32_t every;

static void pattern_number(struct forge *f)
{
    forge_u32(f, "gemma3.attention.sliding_window_pattern", every);
}

static void pattern_list(struct forge *f)
{
    forge_array(f, "gemma3.attention.sliding_window_pattern", GGUF_BOOL, 13);
    for (uint32_t i = 0; i < 13; i++) forge_le(f, (i + 1) % every != 0, 1);
}

TEST(the_pattern_may_be_a_number_or_a_list)
{
    struct model_config c;
    for (every = 1; every <= 14; every++) {
        struct recipe number = adding(pattern_number), list = adding(pattern_list);
        NEED(read_recipe(&c, &number, why));
        CHECK(c.pattern == every, "number %u: %u", every, c.pattern);
        NEED(read_recipe(&c, &list, why));
        CHECK(c.pattern == every, "list %u: %u", every, c.pattern);
    }
}

static void pattern_irregular(struct forge *f)
{
    forge_array(f, "gemma3.attention.sliding_window_pattern", GGUF_BOOL, 13);
    for (int i = 0; i < 13; i++) forge_le(f, i != 5 && i != 10, 1);
}

static void pattern_short(struct forge *f)
{
    forge_array(f, "gemma3.attention.sliding_window_pattern", GGUF_BOOL, 6);
    forge_le(f, 0x0001010101, 6);
}

TEST(a_pattern_that_does_not_repeat_is_refused)
{
    refused(adding(pattern_irregular), "irregular at layer 10");
    refused(adding(pattern_short), "6 elements");
    every = 0;
    refused(adding(pattern_number), "pattern of layers is 0");
}

/* ---- what is refused ---- */

TEST(every_size_must_be_there)
{
    static const char *const keys[] = {
        "general.architecture", "gemma3.block_count", "gemma3.embedding_length", "gemma3.feed_forward_length",
        "gemma3.attention.head_count", "gemma3.attention.head_count_kv", "gemma3.attention.key_length",
        "gemma3.attention.sliding_window", "gemma3.context_length", "gemma3.rope.freq_base",
        "gemma3.attention.layer_norm_rms_epsilon",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct recipe r = plain;
        r.without = keys[i];
        refused(r, keys[i]);
    }
}

static void wrong_value_length(struct forge *f)
{
    forge_u32(f, "gemma3.attention.value_length", 32);
}

static void soft_cap(struct forge *f)
{
    forge_f32(f, "gemma3.final_logit_softcapping", 30);
}

static void soft_cap_zero(struct forge *f)
{
    forge_f32(f, "gemma3.attn_logit_softcapping", 0);
}

static void huge_window(struct forge *f)
{
    forge_key(f, "gemma3.attention.sliding_window", GGUF_U64);
    forge_le(f, 1ull << 32, 8);
}

TEST(settings_we_do_not_compute_are_refused)
{
    struct recipe r = adding(soft_cap_zero);
    struct model_config c;
    NEED(read_recipe(&c, &r, why));
    refused(adding(soft_cap), "gemma3.final_logit_softcapping is 30");
    refused(adding(wrong_value_length), "gemma3.attention.value_length is 32");
    r = adding(huge_window);
    r.without = "gemma3.attention.sliding_window";
    refused(r, "4294967296");
}

static void type_of_nine(struct forge *f)
{
    forge_array(f, "tokenizer.ggml.token_type", GGUF_I32, 9);
    for (int i = 0; i < 9; i++) forge_le(f, 1, 4);
}

static void bos_outside(struct forge *f)
{
    forge_u32(f, "tokenizer.ggml.bos_token_id", 8);
}

TEST(the_vocabulary_must_agree_with_the_embedding)
{
    struct recipe r = plain;
    r.tokens = 7, refused(r, "tokenizer.ggml.tokens has 7");
    r.tokens = 9, refused(r, "tokenizer.ggml.tokens has 9");
    r.tokens = 0, refused(r, "tokenizer.ggml.tokens");
    refused(adding(type_of_nine), "tokenizer.ggml.token_type has 9");
    refused(adding(bos_outside), "bos_token_id is 8");
}

static void architecture_of(struct forge *f, const char *name)
{
    forge_string(f, "general.architecture", name);
}

static void llama(struct forge *f)
{
    architecture_of(f, "llama\x1b[31m");
}

static void clip(struct forge *f)
{
    architecture_of(f, "clip");
}

static void ollama_key(struct forge *f)
{
    forge_u32(f, "gemma3.mm.tokens_per_image", 256);
}

static void ollama_rope(struct forge *f)
{
    forge_f32(f, "gemma3.rope.local.freq_base", 10000);
}

TEST(other_models_are_refused_with_what_to_do)
{
    struct recipe r = adding(llama);
    r.without = "general.architecture";
    refused(r, "architecture \"llama?[31m\"");
    r.add = clip;
    refused(r, "give the text model's file as the model");
    refused(adding(ollama_key), "made by Ollama");
    refused(adding(ollama_rope), "get the model as published in GGUF");
}

/* ---- bounds ---- */

static const struct model_config good = {
    .layers = 34, .hidden = 2560, .ffn = 10240, .heads = 8, .kv_heads = 4, .head_dim = 256, .window = 1024, .pattern = 6,
    .context = 131072, .vocab = 262144, .rope_base_global = 1e6f, .rope_base_local = 1e4f, .rope_factor = 8,
    .norm_epsilon = 1e-6f, .attention_scale = 0.0625f,
};

static void bad(struct model_config c, const char *word)
{
    struct err no = {0};
    CHECK(config_check(&c, "worker 3", &no) == E_FILE, "%s", word);
    CHECK(strstr(no.text, word) && strstr(no.text, "worker 3"), "wanted \"%s\": %s", word, no.text);
}

#define BAD(field, value, word)                                                                                        \
    ({                                                                                                                 \
        struct model_config c_ = good;                                                                                 \
        c_.field = value;                                                                                              \
        bad(c_, word);                                                                                                 \
    })

TEST(no_size_is_zero_or_absurd)
{
    NEED(config_check(&good, "worker 3", why));
    BAD(layers, 0, "layers"), BAD(layers, UINT32_MAX, "layers");
    BAD(hidden, 0, "hidden"), BAD(hidden, 1u << 20, "hidden");
    BAD(ffn, 0, "ffn"), BAD(ffn, UINT32_MAX, "ffn");
    BAD(heads, 0, "heads"), BAD(heads, 1u << 16, "heads"), BAD(heads, 6, "multiple");
    BAD(kv_heads, 0, "key/value heads"), BAD(kv_heads, 3, "multiple"), BAD(kv_heads, 16, "multiple");
    BAD(head_dim, 0, "head dimension"), BAD(head_dim, 514, "head dimension"), BAD(head_dim, 127, "even");
    BAD(pattern, 0, "pattern"), BAD(window, UINT32_MAX, "window");
    BAD(context, 0, "context"), BAD(context, UINT32_MAX, "context");
    BAD(vocab, 0, "vocabulary"), BAD(vocab, UINT32_MAX, "vocabulary");
}

TEST(no_number_is_negative_infinite_or_not_a_number)
{
    static const float wrong[] = {-1, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        BAD(rope_base_global, wrong[i], "global RoPE base");
        BAD(rope_base_local, wrong[i], "local RoPE base");
        BAD(rope_factor, wrong[i], "RoPE factor");
        BAD(norm_epsilon, wrong[i], "epsilon");
        BAD(attention_scale, wrong[i], "scale");
    }
    BAD(rope_factor, 0, "RoPE factor");
    BAD(attention_scale, 0, "scale");
}
