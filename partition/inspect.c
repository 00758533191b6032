/* partition/inspect.c — what a file is, what is in it, whether it runs here, and what it would take. */
#include "partition/inspect.h"

#include "base/log.h"
#include "partition/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LABEL "  %-12s"

/* A value as text, safe to print; "unknown" without it. */
static void show_key(char out[128], const struct gguf *g, const char *wanted)
{
    char value[128];
    snprintf(out, 128, "unknown");
    for (size_t i = 0; i < gguf_key_count(g); i++)
        if (!strcmp(gguf_key_at(g, i, NULL, value, sizeof value), wanted)) memcpy(out, value, sizeof value);
}

static void print_kind(FILE *to, const struct gguf *g)
{
    uint64_t bytes = 0;
    char size[24], arch[128], name[128];
    show_key(arch, g, "general.architecture");
    show_key(name, g, "general.name");
    for (int i = 0; i < gguf_file_count(g); i++) bytes += gguf_bytes(g, i);
    fprintf(to, "%s\n", gguf_path(g, 0));
    fprintf(to, LABEL "GGUF, architecture %s, named %s\n", "kind", arch, name);
    fprintf(to, LABEL "%s (%" PRIu64 " bytes) in %d file%s\n", "size", show_bytes(size, bytes), bytes,
            gguf_file_count(g), gguf_file_count(g) == 1 ? "" : "s");
}

static void print_types(FILE *to, const struct gguf *g)
{
    size_t n = gguf_tensor_count(g);
    fprintf(to, LABEL "%zu\n", "tensors", n);
    for (uint32_t type = 0; type < 64; type++) {
        uint64_t count = 0, bytes = 0;
        char size[24];
        for (size_t i = 0; i < n; i++)
            if (gguf_tensor_at(g, i)->type == type) count++, bytes += gguf_tensor_at(g, i)->bytes;
        if (count)
            fprintf(to, LABEL "%-5s %5" PRIu64 "  %s\n", "", block_info(type)->name, count, show_bytes(size, bytes));
    }
}

static void print_tensors(FILE *to, const struct gguf *g)
{
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        char shape[96] = "";
        for (uint32_t d = t->n_dims; d-- > 0;)
            snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%" PRIu64 "%s", t->dims[d], d ? " x " : "");
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

static uint32_t global_layers(const struct model_config *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->layers; i++) n += layer_is_global(c, i);
    return n;
}

static void print_config(FILE *to, const struct model *m)
{
    const struct model_config *c = &m->config;
    fprintf(to, LABEL "%u (%u global), hidden %u, ffn %u\n", "layers", c->layers, global_layers(c), c->hidden, c->ffn);
    fprintf(to, LABEL "%u heads over %u key/value heads of %u, scale %.9g, window %u, context %u\n", "attention",
            c->heads, c->kv_heads, c->head_dim, (double)c->attention_scale, c->window, c->context);
    fprintf(to, LABEL "global base %g divided by %g, local base %g; norm epsilon %g\n", "rope",
            (double)c->rope_base_global, (double)c->rope_factor, (double)c->rope_base_local, (double)c->norm_epsilon);
    fprintf(to, LABEL "%u tokens, head %s (%s)\n", "vocabulary", c->vocab,
            m->head.data == m->embedding.data ? "tied to the embedding" : "of its own", block_info(m->head.type)->name);
    fprintf(to, LABEL "%016" PRIx64 "%016" PRIx64 "\n", "fingerprint", m->fingerprint.high, m->fingerprint.low);
}

static int print_memory(FILE *to, const struct model *m, uint32_t context, struct err *why)
{
    const struct model_config *c = &m->config;
    struct share all = {0, c->layers, true};
    struct capacity cap = {
        .context = context < c->context ? context : c->context, .sequences = 1, .rows = 64, .in_flight = 2};
    struct tensor *tensors = calloc(share_count(all), sizeof *tensors);
    if (!tensors) return fail(why, E_MEMORY, "no memory for a list of tensors");
    share_tensors(m, all, tensors);
    struct stage_bytes b = stage_bytes(c, all, tensors, &cap, 1);
    free(tensors);
    char total[24], weights[24], kv[24], rest[24];
    fprintf(to, LABEL "%s on one worker, one sequence of %u: weights %s, KV cache %s, the rest %s\n", "memory",
            show_bytes(total, b.total), cap.context, show_bytes(weights, b.weights), show_bytes(kv, b.kv),
            show_bytes(rest, b.total - b.weights - b.kv));
    return 0;
}

int inspect_file(FILE *to, const char *path, const struct inspect *how, struct err *why)
{
    struct gguf *g;
    struct model *m;
    struct err no;
    TRY(gguf_open(&g, path, why));
    print_kind(to, g);
    print_types(to, g);
    int rc = 0;
    if (model_open(&m, path, &no)) {
        fprintf(to, LABEL "no: %s\n", "runs", no.text);
    } else {
        print_config(to, m);
        rc = print_memory(to, m, how->context, why);
        fprintf(to, LABEL "yes\n", "runs");
        model_close(&m);
    }
    if (how->keys) print_keys(to, g);
    if (how->tensors) print_tensors(to, g);
    gguf_close(&g);
    return rc;
}
