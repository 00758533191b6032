/* partition/make/synth.c — see synth.h.
 *
 * The tensors come from the same table the reader checks files against (weights.h), so a synthetic model has by
 * construction what a real one must have; the metadata is that of converted files. Data is made and written in pieces
 * that stay in the cache: a 27B model needs no more memory than a tiny one. */
#include "partition/file/model_file.h"
#include "partition/make/synth.h"

#include "base/log.h"
#include "partition/file/gguf_write.h"
#include "partition/make/random_weights.h"
#include "partition/make/synth_vocabulary.h"
#include "partition/model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define PIECE (256u << 10)

static const struct synth sizes[] = {
    {"tiny", 7, 256, 512, 4, 2, 64, 32, 4096, 512, 8, T_Q8_0, T_Q4_0, T_Q8_0, false, 1, NULL},
    {"270m", 18, 640, 2048, 4, 1, 256, 512, 32768, 262144, 1, T_Q8_0, T_Q4_0, T_Q8_0, false, 1, NULL},
    {"1b", 26, 1152, 6912, 4, 1, 256, 512, 32768, 262144, 1, T_Q8_0, T_Q4_0, T_Q8_0, false, 1, NULL},
    {"4b", 34, 2560, 10240, 8, 4, 256, 1024, 131072, 262144, 8, T_Q8_0, T_Q4_0, T_Q8_0, false, 1, NULL},
    {"12b", 48, 3840, 15360, 16, 8, 256, 1024, 131072, 262144, 8, T_Q8_0, T_Q4_0, T_Q8_0, false, 1, NULL},
    {"27b", 62, 5376, 21504, 32, 16, 128, 1024, 131072, 262144, 8, T_Q8_0, T_Q4_0, T_Q8_0, false, 1, NULL},
};

int synth_size(struct synth *out, const char *size, struct err *why)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!strcasecmp(size, sizes[i].size)) {
            *out = sizes[i];
            return 0;
        }
    return fail(why, E_USAGE, "no size is called \"%s\"; there are " SYNTH_SIZES, size);
}

int synth_type(const char *name, uint32_t *out, struct err *why)
{
    for (uint32_t type = 0; type < 64; type++)
        if (block_info(type) && !strcasecmp(name, block_info(type)->name)) {
            *out = type;
            return 0;
        }
    return fail(why, E_USAGE,
                "no number format is called \"%s\"; there are f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, "
                "q5_k, q6_k",
                name);
}

/* ---- metadata ---- */

static void put_sizes(struct gguf_out *o, const struct synth *s, const struct model_config *c)
{
    char name[64];
    snprintf(name, sizeof name, "synthetic gemma3 %s, seed %llu", s->size, (unsigned long long)s->seed);
    gguf_put_text(o, "general.architecture", "gemma3");
    gguf_put_text(o, "general.type", "model");
    gguf_put_text(o, "general.name", name);
    gguf_put_u32(o, "general.file_type", gguf_file_type(s->matrix));
    gguf_put_u32(o, "general.quantization_version", 2);
    config_write(c, o, false);
}

static void put_vocabulary(struct gguf_out *o, const struct wordlist *v)
{
    gguf_put_text(o, "tokenizer.ggml.model", "llama");
    gguf_put_text(o, "tokenizer.ggml.pre", "default");
    gguf_put_array(o, "tokenizer.ggml.tokens", GGUF_STRING, v->count, &v->tokens);
    gguf_put_array(o, "tokenizer.ggml.scores", GGUF_F32, v->count, &v->scores);
    gguf_put_array(o, "tokenizer.ggml.token_type", GGUF_I32, v->count, &v->types);
    gguf_put_u32(o, "tokenizer.ggml.bos_token_id", v->bos);
    gguf_put_u32(o, "tokenizer.ggml.eos_token_id", v->eos);
    gguf_put_u32(o, "tokenizer.ggml.unknown_token_id", v->unknown);
    gguf_put_u32(o, "tokenizer.ggml.padding_token_id", v->padding);
    gguf_put_bool(o, "tokenizer.ggml.add_bos_token", true);
    gguf_put_bool(o, "tokenizer.ggml.add_eos_token", false);
    gguf_put_bool(o, "tokenizer.ggml.add_space_prefix", false);
}

/* ---- tensors ---- */

struct named {
    char name[ROLE_NAME_ROOM];
    struct tensor t;
};

/* The order of real files: embedding, layers, final norm; then a head of its own if there is one. */
static struct named *list_tensors(const struct synth *s, const struct model_config *c, size_t *count)
{
    struct part all = {0, c->layers, 0, HEAD_PARTS, false};
    size_t n = part_count(CHAIN_TEXT, all), at = 0;
    struct tensor *shapes = calloc(n, sizeof *shapes);
    struct named *list = calloc(n + 1, sizeof *list);
    if (!shapes || !list) {
        free(shapes);
        free(list);
        return NULL;
    }
    text_part_shape(c, all, shapes);
    list[at] = (struct named){"token_embd.weight", shapes[n - 1]};
    list[at++].t.type = s->embedding;
    for (size_t i = 0; i < n - 2; i++, at++) {
        list[at].t = shapes[i];
        if (!role_is_norm(shapes[i].role)) list[at].t.type = s->matrix;
        role_tensor_name(list[at].name, shapes[i].role, shapes[i].layer);
    }
    list[at++] = (struct named){"output_norm.weight", shapes[n - 2]};
    if (s->untied) {
        list[at] = (struct named){"output.weight", shapes[n - 1]};
        list[at++].t.type = s->head;
    }
    free(shapes);
    *count = at;
    return list;
}

static int check_blocks(const struct named *list, size_t n, struct err *why)
{
    for (size_t i = 0; i < n; i++) {
        const struct block_info *info = block_info(list[i].t.type);
        if (list[i].t.cols % info->elems)
            return fail(why, E_USAGE, "%s cannot be %s: its rows have %u values, wanted a multiple of %u", list[i].name,
                        info->name, list[i].t.cols, info->elems);
    }
    return 0;
}

static int write_tensor(struct gguf_out *o, const struct named *x, struct noise *noise, uint8_t *piece, uint64_t *done,
                        struct progress *p, struct err *why)
{
    const struct block_info *info = block_info(x->t.type);
    uint64_t left = (uint64_t)x->t.rows * (x->t.cols / info->elems);
    bool norm = role_is_norm(x->t.role);
    while (left) {
        size_t n = PIECE / info->bytes;
        if (n > left) n = (size_t)left;
        noise_blocks(noise, x->t.type, piece, n, norm ? 1.0f : 0.0f, norm ? 0.1f : 0.02f);
        TRY(gguf_out_data(o, piece, n * info->bytes, why));
        left -= n;
        progress_at(p, *done += n * info->bytes);
    }
    return 0;
}

static int write_data(struct gguf_out *o, const struct synth *s, const struct named *list, size_t n, struct err *why)
{
    struct noise *noise = malloc(sizeof *noise);
    uint8_t *piece = malloc(PIECE);
    struct progress p;
    uint64_t done = 0;
    int code = noise && piece ? gguf_out_begin(o, why) : fail(why, E_MEMORY, "no memory to make weights");
    if (!code) {
        noise_init(noise);
        progress_begin(&p, "writing weights", "B", gguf_out_total(o));
        for (size_t i = 0; i < n && !code; i++) {
            noise_seed(noise, s->seed, list[i].name);
            code = write_tensor(o, &list[i], noise, piece, &done, &p, why);
        }
        progress_end(&p);
    }
    free(noise);
    free(piece);
    return code;
}

/* ---- the whole ---- */

static struct model_config config_of(const struct synth *s, uint32_t vocab)
{
    return (struct model_config){
        .layers = s->layers, .hidden = s->hidden, .ffn = s->ffn, .heads = s->heads, .kv_heads = s->kv_heads,
        .head_dim = s->head_dim, .window = s->window, .pattern = 6, .context = s->context, .vocab = vocab,
        .rope_base_global = 1e6f, .rope_base_local = 1e4f, .rope_factor = s->rope_factor, .norm_epsilon = 1e-6f,
        .attention_scale = 1,
    };
}

static int write_file(const struct synth *s, const struct model_config *c, const struct wordlist *v, const struct named *list, size_t n,
                      const char *path, struct err *why)
{
    struct gguf_out *o;
    TRY(gguf_out_open(&o, path, why));
    put_sizes(o, s, c);
    put_vocabulary(o, v);
    for (size_t i = 0; i < n; i++) {
        uint64_t dims[2] = {list[i].t.cols, list[i].t.rows};
        gguf_put_tensor(o, list[i].name, list[i].t.type, role_is_norm(list[i].t.role) ? 1 : 2, dims);
    }
    int code = write_data(o, s, list, n, why);
    if (!code) code = gguf_out_finish(o, why);
    gguf_out_close(&o);
    return code;
}

int synth_write(const struct synth *s, const char *path, struct err *why)
{
    struct wordlist v;
    TRY(s->tokenizer ? wordlist_copy(&v, s->tokenizer, why) : wordlist_invent(&v, s->vocab, why));
    struct model_config c = config_of(s, v.count);
    size_t n = 0;
    int code = config_check(&c, "the model asked for", why);
    if (code && why) code = why->code = E_USAGE; /* here the numbers came from a person, not from a file */
    struct named *list = code ? NULL : list_tensors(s, &c, &n);
    if (!code && !list) code = fail(why, E_MEMORY, "no memory for the tensors of %u layers", c.layers);
    if (!code) code = check_blocks(list, n, why);
    if (!code) code = write_file(s, &c, &v, list, n, path, why);
    free(list);
    wordlist_free(&v);
    return code;
}
