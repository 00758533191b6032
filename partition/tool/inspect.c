/* partition/tool/inspect.c — what a file is, what is in it, whether it runs here, and what it would take: as a table. */
#include "partition/file/gguf.h"
#include "partition/tool/inspect.h"

#include "base/size_text.h"
#include "partition/tool/inspect_json.h"
#include "partition/model/part_text.h"

#include <inttypes.h>
#include <stdlib.h>

#define LABEL "  %-12s"

static const char *kind_of(const struct findings *f)
{
    switch (f->find) {
    case FIND_TEXT: return "GGUF, text model";
    case FIND_VISION: return "GGUF, picture encoder (mmproj)";
    case FIND_SHARD: return "GGUF, one worker's shard";
    case FIND_CHECKPOINT: return "Hugging Face checkpoint";
    case FIND_OTHER: return "GGUF";
    }
    return "";
}

static void print_kind(FILE *to, const struct findings *f)
{
    char size[24];
    fprintf(to, "%s\n", f->path);
    fprintf(to, LABEL "%s, architecture %s%s%s\n", "kind", kind_of(f), f->architecture, *f->name ? ", named " : "",
            f->name);
    fprintf(to, LABEL "%s (%" PRIu64 " bytes) in %d file%s\n", "size", show_bytes(size, f->bytes), f->bytes, f->files,
            f->files == 1 ? "" : "s");
    fprintf(to, LABEL "%zu\n", "tensors", f->tensors);
    for (int i = 0; i < f->n_types; i++)
        fprintf(to, LABEL "%-5s %5" PRIu64 "  %s\n", "", f->types[i].name, f->types[i].count,
                show_bytes(size, f->types[i].bytes));
}

static uint32_t global_layers(const struct model_config *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->layers; i++) n += layer_is_global(c, i);
    return n;
}

static void print_config(FILE *to, const struct findings *f)
{
    const struct model_config *c = &f->config;
    fprintf(to, LABEL "%u (%u global), hidden %u, ffn %u\n", "layers", c->layers, global_layers(c), c->hidden, c->ffn);
    fprintf(to, LABEL "%u heads over %u key/value heads of %u, scale %.9g, window %u, context %u\n", "attention",
            c->heads, c->kv_heads, c->head_dim, (double)c->attention_scale, c->window, c->context);
    fprintf(to, LABEL "global base %g divided by %g, local base %g; norm epsilon %g\n", "rope",
            (double)c->rope_base_global, (double)c->rope_factor, (double)c->rope_base_local, (double)c->norm_epsilon);
    fprintf(to, LABEL "%u tokens, head %s%s%s%s\n", "vocabulary", c->vocab,
            f->tied ? "tied to the embedding" : "of its own", f->head_type ? " (" : "",
            f->head_type ? f->head_type : "", f->head_type ? ")" : "");
}

static void print_vision(FILE *to, const struct findings *f)
{
    const struct hf_vision_config *v = &f->vision;
    fprintf(to, LABEL "%u layers, hidden %u, ffn %u, %u heads; %u x %u pixels in patches of %u become %u rows of %u\n",
            "pictures", v->layers, v->hidden, v->ffn, v->heads, v->image_size, v->image_size, v->patch_size,
            v->image_rows, f->projection);
}

static void print_memory(FILE *to, const struct findings *f)
{
    const struct part_bytes *b = &f->memory;
    char total[24], weights[24], kv[24], rest[24];
    fprintf(to, LABEL "%s on one worker, one sequence of %u: weights %s, KV cache %s, the rest %s\n", "memory",
            show_bytes(total, b->total), f->context, show_bytes(weights, b->weights), show_bytes(kv, b->kv),
            show_bytes(rest, b->total - b->weights - b->kv));
}

static void print_findings(FILE *to, const struct findings *f)
{
    char hex[33], part[64];
    print_kind(to, f);
    if (f->has_config) print_config(to, f);
    if (f->has_vision) print_vision(to, f);
    if (f->find == FIND_SHARD && f->runs) fprintf(to, LABEL "%s\n", "part", show_part(part, f->shard.part));
    if (f->has_fingerprint)
        fprintf(to, LABEL "%s%s\n", "fingerprint", show_hash128(hex, f->fingerprint),
                f->find == FIND_SHARD ? " (of the whole model)" : "");
    if (f->has_memory) print_memory(to, f);
    for (int i = 0; i < f->n_quirks; i++) fprintf(to, LABEL "%s\n", i ? "" : "remarks", f->quirks[i]);
    fprintf(to, LABEL "%s%s%s\n", "runs", f->runs ? "yes" : "no", *f->verdict ? (f->runs ? ", " : ": ") : "",
            f->verdict);
}

/* ---- lists ---- */

static void print_shape(char out[96], uint32_t n, const uint64_t *dims)
{
    size_t at = 0;
    *out = 0;
    while (n-- > 0) at += (size_t)snprintf(out + at, 96 - at, "%" PRIu64 "%s", dims[n], n ? " x " : "");
}

static void print_gguf_tensors(FILE *to, const struct gguf *g)
{
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        char shape[96];
        print_shape(shape, t->n_dims, t->dims);
        fprintf(to, "%-36s %-5s %-18s %12" PRIu64 " bytes at %" PRIu64, t->name, block_info(t->type)->name, shape,
                t->bytes, t->offset);
        if (gguf_file_count(g) > 1) fprintf(to, " of file %u", t->file + 1);
        fprintf(to, "\n");
    }
}

static void print_keys(FILE *to, const struct gguf *g)
{
    for (size_t i = 0; i < gguf_key_count(g); i++) {
        char value[400];
        const char *key = gguf_key_at(g, i, NULL, value, sizeof value);
        fprintf(to, "%-44s %s\n", key, value);
    }
}

static void print_checkpoint_tensors(FILE *to, const struct checkpoint *c, enum chain part)
{
    for (size_t i = 0; i < checkpoint_count(c, part); i++) {
        const struct checkpoint_tensor *t = checkpoint_at(c, part, i);
        char shape[96];
        print_shape(shape, t->n_dims, t->dims);
        fprintf(to, "%-36s %-5s %-18s %12" PRIu64 " bytes from %s%s\n", t->name, block_info(t->type)->name, shape,
                t->bytes, t->source, t->add_one ? " + 1" : "");
    }
}

int inspect_file(FILE *to, const char *path, const struct inspect *how, struct err *why)
{
    struct gguf *g;
    struct checkpoint *c;
    struct findings *f = malloc(sizeof *f);
    if (!f) return fail(why, E_MEMORY, "no memory to look at %s", path);
    int code = findings_of(f, path, how->context, &g, &c, why);
    if (!code && how->json) print_json(to, f, how->tensors ? g : NULL, how->tensors ? c : NULL);
    if (!code && !how->json) {
        print_findings(to, f);
        if (how->keys && g) print_keys(to, g);
        if (how->tensors && g) print_gguf_tensors(to, g);
        if (how->tensors && c) print_checkpoint_tensors(to, c, CHAIN_TEXT), print_checkpoint_tensors(to, c, CHAIN_VISION);
    }
    gguf_close(&g);
    checkpoint_close(&c);
    free(f);
    return code;
}
