/* partition/tool/inspect_json.c — see inspect_json.h. */
#include "partition/file/gguf.h"
#include "partition/tool/inspect_json.h"

#include "base/json.h"
#include "partition/model/part_text.h"

#include <inttypes.h>
#include <stdio.h>

static void pair(FILE *to, const char *key, const char *text)
{
    fprintf(to, ",\n \"%s\": ", key);
    json_print_text(to, text);
}

static void print_config(FILE *to, const struct findings *f)
{
    const struct model_config *c = &f->config;
    fprintf(to, ",\n \"text\": {\"layers\": %u, \"hidden\": %u, \"ffn\": %u, \"heads\": %u, \"kv_heads\": %u, ",
            c->layers, c->hidden, c->ffn, c->heads, c->kv_heads);
    fprintf(to, "\"head_dim\": %u, \"window\": %u, \"pattern\": %u, \"context\": %u, \"vocabulary\": %u, ", c->head_dim,
            c->window, c->pattern, c->context, c->vocab);
    fprintf(to, "\"rope_base_global\": %.9g, \"rope_base_local\": %.9g, \"rope_factor\": %.9g, ",
            (double)c->rope_base_global, (double)c->rope_base_local, (double)c->rope_factor);
    fprintf(to, "\"norm_epsilon\": %.9g, \"attention_scale\": %.9g, \"head_tied\": %s}", (double)c->norm_epsilon,
            (double)c->attention_scale, f->tied ? "true" : "false");
}

static void print_vision(FILE *to, const struct findings *f)
{
    const struct hf_vision_config *v = &f->vision;
    fprintf(to, ",\n \"pictures\": {\"layers\": %u, \"hidden\": %u, \"ffn\": %u, \"heads\": %u, \"image_size\": %u, ",
            v->layers, v->hidden, v->ffn, v->heads, v->image_size);
    fprintf(to, "\"patch_size\": %u, \"image_rows\": %u, \"projection\": %u}", v->patch_size, v->image_rows,
            f->projection);
}

static void print_shape(FILE *to, uint32_t n, const uint64_t *dims)
{
    fprintf(to, "[");
    while (n-- > 0) fprintf(to, "%" PRIu64 "%s", dims[n], n ? ", " : "");
    fprintf(to, "]");
}

static void print_tensor(FILE *to, bool first, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *dims,
                         uint64_t bytes)
{
    fprintf(to, "%s\n  {\"name\": \"%s\", \"type\": \"%s\", \"shape\": ", first ? "" : ",", name,
            block_info(type)->name);
    print_shape(to, n_dims, dims);
    fprintf(to, ", \"bytes\": %" PRIu64, bytes);
}

static void print_tensors(FILE *to, const struct gguf *g, const struct checkpoint *c)
{
    bool first = true;
    fprintf(to, ",\n \"tensor_list\": [");
    for (size_t i = 0; g && i < gguf_tensor_count(g); i++, first = false) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        print_tensor(to, first, t->name, t->type, t->n_dims, t->dims, t->bytes);
        fprintf(to, ", \"file\": %u, \"offset\": %" PRIu64 "}", t->file, t->offset);
    }
    for (int part = CHAIN_TEXT; c && part <= CHAIN_VISION; part++)
        for (size_t i = 0; i < checkpoint_count(c, (enum chain)part); i++, first = false) {
            const struct checkpoint_tensor *t = checkpoint_at(c, (enum chain)part, i);
            print_tensor(to, first, t->name, t->type, t->n_dims, t->dims, t->bytes);
            fprintf(to, ", \"source\": \"%s\", \"add_one\": %s}", t->source, t->add_one ? "true" : "false");
        }
    fprintf(to, "]");
}

static void print_sums(FILE *to, const struct findings *f)
{
    fprintf(to, ",\n \"bytes\": %" PRIu64 ",\n \"files\": %d,\n \"tensors\": %zu,\n \"types\": {", f->bytes, f->files,
            f->tensors);
    for (int i = 0; i < f->n_types; i++)
        fprintf(to, "%s\"%s\": {\"tensors\": %" PRIu64 ", \"bytes\": %" PRIu64 "}", i ? ", " : "", f->types[i].name,
                f->types[i].count, f->types[i].bytes);
    fprintf(to, "}");
}

static void print_memory(FILE *to, const struct findings *f)
{
    const struct part_bytes *b = &f->memory;
    fprintf(to, ",\n \"memory\": {\"context\": %u, \"weights\": %" PRIu64 ", \"kv\": %" PRIu64, f->context, b->weights,
            b->kv);
    fprintf(to, ", \"total\": %" PRIu64 "}", b->total);
}

void print_json(FILE *to, const struct findings *f, const struct gguf *g, const struct checkpoint *c)
{
    static const char *const kinds[] = {"text", "vision", "shard", "checkpoint", "other"};
    char hex[33];
    fprintf(to, "{\"path\": ");
    json_print_text(to, f->path);
    pair(to, "kind", kinds[f->find]);
    pair(to, "architecture", f->architecture);
    if (*f->name) pair(to, "name", f->name);
    print_sums(to, f);
    if (f->has_config) print_config(to, f);
    if (f->has_vision) print_vision(to, f);
    if (f->find == FIND_SHARD) {
        fprintf(to, ",\n \"part\": {");
        part_write_json(to, f->shard.part);
        fprintf(to, "}");
    }
    if (f->has_fingerprint) pair(to, "fingerprint", show_hash128(hex, f->fingerprint));
    if (f->has_memory) print_memory(to, f);
    fprintf(to, ",\n \"remarks\": [");
    for (int i = 0; i < f->n_quirks; i++) fputs(i ? ", " : "", to), json_print_text(to, f->quirks[i]);
    fprintf(to, "],\n \"runs\": %s", f->runs ? "true" : "false");
    pair(to, f->runs ? "how" : "why", f->verdict);
    if (g || c) print_tensors(to, g, c);
    fprintf(to, "}\n");
}
