/* partition/file/model_file.c — a text model's GGUF file holds exactly the tensors of the architecture, or is refused. */
#include "partition/file/model_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Puts the file's tensor `name` into *t, whose role and shape are set. */
static int bind(const struct gguf *g, const char *name, struct tensor *t, struct err *why)
{
    const struct gguf_tensor *found = gguf_tensor(g, name);
    if (!found) return fail(why, E_FILE, "%s has no tensor %s", gguf_path(g, 0), name);
    const char *path = gguf_path(g, (int)found->file);
    uint32_t rank = role_is_norm(t->role) ? 1 : 2;
    if (found->n_dims != rank)
        return fail(why, E_FILE, "%s: tensor %s has %u dimensions, wanted %u", path, name, found->n_dims, rank);
    if (found->dims[0] != t->cols || found->dims[1] != t->rows)
        return fail(why, E_FILE, "%s: tensor %s is [%" PRIu64 ", %" PRIu64 "], by the metadata it is [%u, %u]", path,
                    name, found->dims[1], found->dims[0], t->rows, t->cols);
    if (role_is_norm(t->role) && found->type != T_F32)
        return fail(why, E_FILE, "%s: tensor %s is %s, a norm is F32", path, name, block_info(found->type)->name);
    t->type = found->type;
    t->data = found->data;
    return 0;
}

static bool is_known(const struct model_config *c, const char *name)
{
    char role_part[80];
    uint32_t layer;
    if (!strcmp(name, "token_embd.weight") || !strcmp(name, "output.weight") || !strcmp(name, "output_norm.weight"))
        return true;
    if (sscanf(name, "blk.%" SCNu32 ".%79s", &layer, role_part) != 2 || layer >= c->layers) return false;
    for (int role = 0; role < W_LAYER_ROLES; role++) {
        char wanted[ROLE_NAME_ROOM];
        role_tensor_name(wanted, (enum role)role, layer);
        if (!strcmp(name, wanted)) return true;
    }
    return false;
}

/* Called when all that is wanted is there: more tensors than that means unknown ones. */
static int check_nothing_else(const struct gguf *g, const struct model_config *c, struct err *why)
{
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (is_known(c, t->name)) continue;
        bool vision = !strncmp(t->name, "v.", 2) || !strncmp(t->name, "mm.", 3);
        return fail(why, E_FILE, "%s holds the tensor %s, which is not part of a Gemma 3 text model of %u layers%s",
                    gguf_path(g, (int)t->file), t->name, c->layers,
                    vision ? "; the picture encoder belongs into a file of its own" : "");
    }
    return 0;
}

static int bind_all(struct model *m, struct err *why)
{
    const struct gguf *g = m->file;
    const struct model_config *c = &m->config;
    char name[ROLE_NAME_ROOM];
    m->layer_tensors = calloc((size_t)c->layers * W_LAYER_ROLES, sizeof *m->layer_tensors);
    if (!m->layer_tensors) return fail(why, E_MEMORY, "no memory for the tensors of %u layers", c->layers);
    for (uint32_t layer = 0; layer < c->layers; layer++)
        for (int role = 0; role < W_LAYER_ROLES; role++) {
            struct tensor *t = &m->layer_tensors[layer * W_LAYER_ROLES + (uint32_t)role];
            *t = text_tensor(c, (enum role)role, layer);
            role_tensor_name(name, t->role, layer);
            TRY(bind(g, name, t, why));
        }
    m->output_norm = text_tensor(c, W_OUTPUT_NORM, 0);
    TRY(bind(g, "output_norm.weight", &m->output_norm, why));
    m->embedding = text_tensor(c, W_HEAD, 0);
    TRY(bind(g, "token_embd.weight", &m->embedding, why));
    m->head = m->embedding;
    if (gguf_tensor(g, "output.weight")) TRY(bind(g, "output.weight", &m->head, why));
    return check_nothing_else(g, c, why);
}

static int open_model(struct model *m, const char *path, struct err *why)
{
    TRY(gguf_open(&m->file, path, why));
    TRY(config_read(&m->config, m->file, why));
    TRY(bind_all(m, why));
    m->fingerprint = gguf_fingerprint(m->file);
    return 0;
}

int model_open(struct model **out, const char *path, struct err *why)
{
    *out = NULL;
    struct model *m = calloc(1, sizeof *m);
    if (!m) return fail(why, E_MEMORY, "no memory to open %s", path);
    int code = open_model(m, path, why);
    if (code) model_close(&m);
    *out = m;
    return code;
}

void model_close(struct model **model)
{
    struct model *m = *model;
    *model = NULL;
    if (!m) return;
    gguf_close(&m->file);
    free(m->layer_tensors);
    free(m);
}
