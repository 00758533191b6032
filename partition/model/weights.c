/* partition/model/weights.c — which tensors a Gemma 3 has, and that a file has exactly these.
 *
 * One table says it all: name, and rows and columns in terms of the config. Everything else (opening a file, describing
 * a share to a worker that has none) reads the table, so file and wire cannot disagree about a shape. */
#include "partition/model/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum size { ONE, HIDDEN, FFN, QUERY, KEY_VALUE, HEAD_DIM, VOCAB };

static const struct {
    const char *name;
    enum size rows, cols; /* one row: a norm */
} roles[W_ROLES] = {
    [W_ATTN_NORM] = {"attn_norm", ONE, HIDDEN},
    [W_Q] = {"attn_q", QUERY, HIDDEN},
    [W_K] = {"attn_k", KEY_VALUE, HIDDEN},
    [W_V] = {"attn_v", KEY_VALUE, HIDDEN},
    [W_Q_NORM] = {"attn_q_norm", ONE, HEAD_DIM},
    [W_K_NORM] = {"attn_k_norm", ONE, HEAD_DIM},
    [W_O] = {"attn_output", HIDDEN, QUERY},
    [W_ATTN_POST_NORM] = {"post_attention_norm", ONE, HIDDEN},
    [W_FFN_NORM] = {"ffn_norm", ONE, HIDDEN},
    [W_GATE] = {"ffn_gate", FFN, HIDDEN},
    [W_UP] = {"ffn_up", FFN, HIDDEN},
    [W_DOWN] = {"ffn_down", HIDDEN, FFN},
    [W_FFN_POST_NORM] = {"post_ffw_norm", ONE, HIDDEN},
    [W_OUTPUT_NORM] = {"output_norm", ONE, HIDDEN},
    [W_HEAD] = {"output", VOCAB, HIDDEN},
};

const char *role_name(enum role role)
{
    return roles[role].name;
}

bool role_is_norm(enum role role)
{
    return roles[role].rows == ONE;
}

static uint32_t size_of(const struct model_config *c, enum size size)
{
    switch (size) {
    case ONE: return 1;
    case HIDDEN: return c->hidden;
    case FFN: return c->ffn;
    case QUERY: return c->heads * c->head_dim;
    case KEY_VALUE: return c->kv_heads * c->head_dim;
    case HEAD_DIM: return c->head_dim;
    case VOCAB: return c->vocab;
    }
    return 0;
}

static struct tensor shape_of(const struct model_config *c, enum role role, uint32_t layer)
{
    return (struct tensor){.chain = CHAIN_TEXT, .role = role, .layer = layer, .type = role_is_norm(role) ? T_F32 : 0,
                           .rows = size_of(c, roles[role].rows), .cols = size_of(c, roles[role].cols)};
}

/* ---- shares ---- */

void text_part_shape(const struct model_config *c, struct part s, struct tensor *out)
{
    for (uint32_t layer = s.first; layer < s.end; layer++)
        for (int role = 0; role < W_LAYER_ROLES; role++) *out++ = shape_of(c, (enum role)role, layer);
    if (!part_has_head(s)) return;
    *out++ = shape_of(c, W_OUTPUT_NORM, 0);
    *out = shape_of(c, W_HEAD, 0);
    out->rows = part_words(c, s);
}

void text_part_tensors(const struct model *m, struct part s, struct tensor *out)
{
    size_t layers = (size_t)(s.end - s.first) * W_LAYER_ROLES;
    memcpy(out, m->layer_tensors + (size_t)s.first * W_LAYER_ROLES, layers * sizeof *out);
    if (!part_has_head(s)) return;
    out[layers] = m->output_norm;
    out[layers + 1] = m->head;
    out[layers + 1].rows = part_words(&m->config, s);
    out[layers + 1].data += part_first_word(&m->config, s) * block_row_bytes(m->head.type, m->head.cols);
}

/* ---- a file's tensors ---- */

void role_tensor_name(char out[ROLE_NAME_ROOM], enum role role, uint32_t layer)
{
    if (role < W_LAYER_ROLES) snprintf(out, ROLE_NAME_ROOM, "blk.%u.%s.weight", layer, roles[role].name);
    else snprintf(out, ROLE_NAME_ROOM, "%s.weight", roles[role].name);
}

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
            *t = shape_of(c, (enum role)role, layer);
            role_tensor_name(name, t->role, layer);
            TRY(bind(g, name, t, why));
        }
    m->output_norm = shape_of(c, W_OUTPUT_NORM, 0);
    TRY(bind(g, "output_norm.weight", &m->output_norm, why));
    m->embedding = shape_of(c, W_HEAD, 0);
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
    int rc = open_model(m, path, why);
    if (rc) model_close(&m);
    *out = m;
    return rc;
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
