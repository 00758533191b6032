/* partition/tool/findings.c — see findings.h: opens what is there by the reader that fits, and notes what it says.
 *
 * A GGUF file that is sound as a file is looked at even if it is no model we run: the reader's own sentence then is the
 * verdict. A checkpoint is counted as what `quantize` would make of it without options. */
#include "partition/file/gguf.h"
#include "partition/file/model_file.h"
#include "partition/tool/findings.h"

#include "base/mapped.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void quirk(struct findings *f, const char *format, ...)
{
    va_list args;
    if (f->n_quirks == QUIRKS_MOST) return;
    va_start(args, format);
    vsnprintf(f->quirks[f->n_quirks++], sizeof f->quirks[0], format, args);
    va_end(args);
}

/* ---- what any file has ---- */

/* A text value without its quotes; "unknown" without it. */
static void text_of_key(char out[128], const struct gguf *g, const char *key)
{
    struct gguf_string s;
    snprintf(out, 128, "unknown");
    if (gguf_text(g, key, &s, NULL)) return;
    snprintf(out, 128, "%.*s", (int)(s.n < 127 ? s.n : 127), s.text);
}

static void count_type(struct findings *f, uint32_t type, uint64_t bytes)
{
    const char *name = block_info(type)->name;
    int i = 0;
    while (i < f->n_types && f->types[i].name != name) i++;
    if (i == TYPES_MOST) return;
    if (i == f->n_types) f->types[f->n_types++] = (struct type_sum){.name = name};
    f->types[i].count++;
    f->types[i].bytes += bytes;
}

static void look_at_gguf(struct findings *f, const struct gguf *g)
{
    text_of_key(f->architecture, g, "general.architecture");
    text_of_key(f->name, g, "general.name");
    f->files = gguf_file_count(g);
    f->tensors = gguf_tensor_count(g);
    for (int i = 0; i < f->files; i++) f->bytes += gguf_bytes(g, i);
    for (size_t i = 0; i < f->tensors; i++) count_type(f, gguf_tensor_at(g, i)->type, gguf_tensor_at(g, i)->bytes);
}

/* Reads every number that is no quant: a worker refuses a tensor that holds what is none. */
static bool is_finite(const struct gguf_tensor *t)
{
    const uint64_t piece = (1u << 20) / block_info(t->type)->bytes * block_info(t->type)->bytes;
    bool finite = true;
    for (uint64_t at = 0; at < t->bytes && finite; at += piece) {
        const uint64_t n = t->bytes - at < piece ? t->bytes - at : piece;
        finite = block_is_finite(t->type, t->data + at, n);
        mapped_forget(t->data + at, n);
    }
    return finite;
}

static void look_at_numbers(struct findings *f, const struct gguf *g)
{
    for (size_t i = 0; i < f->tensors && f->runs; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (is_finite(t)) continue;
        f->runs = false;
        snprintf(f->verdict, sizeof f->verdict, "tensor %s is damaged: it holds something that is no finite number", t->name);
    }
}

/* ---- text ---- */

static int count_memory(struct findings *f, const struct model_config *c, struct tensor *tensors, uint32_t context)
{
    struct part all = {0, c->layers, 0, HEAD_PARTS, false};
    f->context = context < c->context ? context : c->context;
    struct capacity cap = {.context = f->context, .sequences = 1, .rows = 64, .in_flight = 2};
    f->memory = text_part_bytes(c, all, tensors, &cap, 1);
    f->has_memory = true;
    return 0;
}

static int look_at_model(struct findings *f, const struct model *m, uint32_t context, struct err *why)
{
    struct part all = {0, m->config.layers, 0, HEAD_PARTS, false};
    f->has_config = f->has_fingerprint = f->runs = true;
    f->config = m->config;
    f->head_type = block_info(m->head.type)->name;
    f->tied = m->head.data == m->embedding.data;
    f->fingerprint = m->fingerprint;
    snprintf(f->verdict, sizeof f->verdict, "gemmapipe run --model %.500s --workers 2 \"...\"", f->path);
    struct tensor *tensors = calloc(part_count(CHAIN_TEXT, all), sizeof *tensors);
    if (!tensors) return fail(why, E_MEMORY, "no memory for a list of tensors");
    text_part_tensors(m, all, tensors);
    count_memory(f, &m->config, tensors, context);
    free(tensors);
    return quirks_of_text(f, m, why);
}

/* ---- the picture encoder ---- */

static int read_vision(struct findings *f, const struct gguf *g, struct err *why)
{
    const struct {
        const char *key;
        uint32_t *to;
    } sizes[] = {
        {"clip.vision.block_count", &f->vision.layers},
        {"clip.vision.embedding_length", &f->vision.hidden},
        {"clip.vision.feed_forward_length", &f->vision.ffn},
        {"clip.vision.attention.head_count", &f->vision.heads},
        {"clip.vision.image_size", &f->vision.image_size},
        {"clip.vision.patch_size", &f->vision.patch_size},
        {"clip.vision.projection_dim", &f->projection},
    };
    uint64_t v, pool = 4;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        TRY(gguf_u64(g, sizes[i].key, &v, why));
        *sizes[i].to = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    }
    TRY(gguf_f32(g, "clip.vision.attention.layer_norm_epsilon", &f->vision.norm_epsilon, why));
    if (gguf_has(g, "clip.vision.projector.scale_factor"))
        TRY(gguf_u64(g, "clip.vision.projector.scale_factor", &pool, why));
    uint32_t patches = f->vision.patch_size ? hf_vision_side(&f->vision) : 0;
    if (!pool || !patches || patches % pool || patches > 65535)
        return fail(why, E_FILE, "%s: pools of %" PRIu64 " over %u patches do not come out even", gguf_path(g, 0), pool,
                    patches);
    f->vision.image_rows = (uint32_t)(patches / pool * (patches / pool));
    f->has_vision = true;
    return hf_vision_check(&f->vision, gguf_path(g, 0), why);
}

static int check_vision(struct findings *f, const struct gguf *g, struct err *why)
{
    struct gguf_string projector;
    TRY(gguf_text(g, "clip.projector_type", &projector, why));
    if (!gguf_text_is(projector, "gemma3"))
        return fail(why, E_FILE, "%s is the picture encoder of another model, not of Gemma 3", gguf_path(g, 0));
    TRY(read_vision(f, g, why));
    size_t wanted = 16ul * f->vision.layers + 7;
    if (f->tensors != wanted)
        return fail(why, E_FILE, "%s has %zu tensors, wanted %zu for %u layers", gguf_path(g, 0), f->tensors, wanted,
                    f->vision.layers);
    return quirks_of_vision(f, g, why);
}

static void look_at_vision(struct findings *f, const struct gguf *g)
{
    struct err no;
    f->find = FIND_VISION;
    f->runs = !check_vision(f, g, &no);
    if (f->runs)
        snprintf(f->verdict, sizeof f->verdict, "beside a text model whose hidden size is %u", f->projection);
    else snprintf(f->verdict, sizeof f->verdict, "%s", no.text);
}

/* ---- a shard ---- */

static void look_at_shard(struct findings *f, const struct gguf *g)
{
    struct err no;
    f->find = FIND_SHARD;
    f->runs = !shard_label_read(&f->shard, g, &no);
    f->fingerprint = f->shard.fingerprint;
    f->has_fingerprint = f->runs;
    if (f->runs)
        snprintf(f->verdict, sizeof f->verdict, "gemmapipe-worker --listen tcp://ADDRESS:PORT --shard %.500s", f->path);
    else snprintf(f->verdict, sizeof f->verdict, "%s", no.text);
}

static int look_at_kind(struct findings *f, const char *path, uint32_t context, struct gguf **g, struct err *why)
{
    struct model *m;
    struct err no;
    look_at_gguf(f, *g);
    f->find = FIND_OTHER;
    if (!strcmp(f->architecture, "clip")) return look_at_vision(f, *g), 0;
    if (is_shard(*g)) return look_at_shard(f, *g), 0;
    if (!strcmp(f->architecture, "gemma3")) f->find = FIND_TEXT;
    if (model_open(&m, path, &no)) {
        snprintf(f->verdict, sizeof f->verdict, "%s", no.text);
        return no.code == E_MEMORY ? fail(why, E_MEMORY, "%s", no.text) : 0;
    }
    int code = look_at_model(f, m, context, why);
    model_close(&m);
    return code;
}

static int look_at_file(struct findings *f, const char *path, uint32_t context, struct gguf **g, struct err *why)
{
    TRY(gguf_open(g, path, why));
    TRY(look_at_kind(f, path, context, g, why));
    look_at_numbers(f, *g);
    return 0;
}

/* ---- a folder ---- */

/* The formats that `quantize` gives without options. */
static int count_quantised(struct findings *f, uint32_t context, struct err *why)
{
    const struct model_config *c = &f->config;
    struct part all = {0, c->layers, 0, HEAD_PARTS, false};
    size_t n = part_count(CHAIN_TEXT, all);
    struct tensor *tensors = calloc(n, sizeof *tensors);
    if (!tensors) return fail(why, E_MEMORY, "no memory for a list of tensors");
    text_part_shape(c, all, tensors);
    for (size_t i = 0; i < n; i++) {
        if (role_is_norm(tensors[i].role)) continue;
        tensors[i].type = tensors[i].role == W_HEAD ? (c->hidden % 256 ? T_Q8_0 : T_Q6_K) : T_Q4_0;
        if (tensors[i].cols % 32) tensors[i].type = T_F16;
    }
    count_memory(f, c, tensors, context);
    free(tensors);
    return 0;
}

static void look_at_tensors(struct findings *f, const struct checkpoint *c, enum chain part)
{
    for (size_t i = 0; i < checkpoint_count(c, part); i++) {
        const struct checkpoint_tensor *t = checkpoint_at(c, part, i);
        count_type(f, t->type, t->bytes);
        f->tensors++;
        f->bytes += t->bytes;
        f->tied &= t->use != USE_HEAD;
    }
}

static int look_at_folder(struct findings *f, const char *path, uint32_t context, struct checkpoint **c,
                          struct err *why)
{
    TRY(checkpoint_open(c, path, why));
    f->find = FIND_CHECKPOINT;
    f->has_config = f->tied = true;
    f->config = checkpoint_config(*c)->text;
    f->has_vision = checkpoint_has_vision(*c);
    f->vision = checkpoint_config(*c)->vision;
    f->projection = f->config.hidden;
    f->files = (int)checkpoint_files(*c);
    snprintf(f->architecture, sizeof f->architecture, "gemma3");
    look_at_tensors(f, *c, CHAIN_TEXT);
    look_at_tensors(f, *c, CHAIN_VISION);
    struct err no;
    int unfit = checkpoint_read_tokens(*c, &no);
    for (size_t i = 0; f->n_quirks < QUIRKS_MOST && checkpoint_remark(*c, i, f->quirks[f->n_quirks], 300); i++)
        f->n_quirks++;
    if (unfit) {
        snprintf(f->verdict, sizeof f->verdict, "%s", no.text);
        return 0;
    }
    snprintf(f->verdict, sizeof f->verdict, "after: gemmapipe-partition quantize %.400s OUT.gguf%s", path,
             f->has_vision ? " --mmproj OUT-mmproj.gguf" : "");
    f->runs = true;
    return count_quantised(f, context, why);
}

int findings_of(struct findings *f, const char *path, uint32_t context, struct gguf **g, struct checkpoint **c,
                struct err *why)
{
    *f = (struct findings){.find = FIND_OTHER};
    *g = NULL;
    *c = NULL;
    snprintf(f->path, sizeof f->path, "%s", path);
    return is_folder(path) ? look_at_folder(f, path, context, c, why) : look_at_file(f, path, context, g, why);
}
