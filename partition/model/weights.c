/* partition/model/weights.c — which tensors a Gemma 3 has.
 *
 * One table says it all: name, and rows and columns in terms of the config. Everything else (opening a file, describing
 * a part to a worker that has no file) reads the table, so file and wire cannot disagree about a shape. */
#include "partition/model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum text_side { ONE, HIDDEN, FFN, QUERY, KEY_VALUE, HEAD_DIM, VOCAB };

static const struct {
    const char *name;
    enum text_side rows, cols; /* one row: a norm */
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

static uint32_t size_of(const struct model_config *c, enum text_side size)
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

struct tensor text_tensor(const struct model_config *c, enum role role, uint32_t layer)
{
    return (struct tensor){.chain = CHAIN_TEXT, .role = role, .layer = layer, .type = role_is_norm(role) ? T_F32 : 0,
                           .rows = size_of(c, roles[role].rows), .cols = size_of(c, roles[role].cols)};
}

/* ---- parts ---- */

void text_part_shape(const struct model_config *c, struct part s, struct tensor *out)
{
    for (uint32_t layer = s.first; layer < s.end; layer++)
        for (int role = 0; role < W_LAYER_ROLES; role++) *out++ = text_tensor(c, (enum role)role, layer);
    if (!part_has_head(s)) return;
    *out++ = text_tensor(c, W_OUTPUT_NORM, 0);
    *out = text_tensor(c, W_HEAD, 0);
    out->rows = part_words(c, s);
    out->first_row = part_first_word(c, s);
}

int text_part_check(const struct model_config *c, struct part s, const struct tensor *tensors, struct err *why)
{
    size_t n = part_count(CHAIN_TEXT, s);
    struct tensor *wanted = calloc(n + 1, sizeof *wanted);
    if (!wanted) return fail(why, E_MEMORY, "no memory for a list of %zu tensors", n);
    text_part_shape(c, s, wanted);
    int code = 0;
    for (size_t i = 0; i < n && !code; i++) {
        const struct tensor *t = &tensors[i], *w = &wanted[i];
        if (t->role != w->role || t->layer != w->layer || t->rows != w->rows || t->cols != w->cols)
            code = fail(why, E_WIRE, "tensor %zu of the part should be %s of layer %u, [%u, %u]; it is another", i,
                        role_name(w->role), w->layer, w->rows, w->cols);
        else if (!block_info(t->type) || block_row_bytes(t->type, t->cols) == 0)
            code = fail(why, E_WIRE, "%s of layer %u cannot have number format %u with rows of %u", role_name(w->role),
                        w->layer, t->type, t->cols);
        else if (role_is_norm(w->role) && t->type != T_F32)
            code = fail(why, E_WIRE, "%s of layer %u is a norm and must be F32, not %s", role_name(w->role), w->layer,
                        block_info(t->type)->name);
    }
    free(wanted);
    return code;
}

void text_part_tensors(const struct model *m, struct part s, struct tensor *out)
{
    size_t layers = (size_t)(s.end - s.first) * W_LAYER_ROLES;
    memcpy(out, m->layer_tensors + (size_t)s.first * W_LAYER_ROLES, layers * sizeof *out);
    if (!part_has_head(s)) return;
    out[layers] = m->output_norm;
    out[layers + 1] = m->head;
    out[layers + 1].rows = part_words(&m->config, s);
    out[layers + 1].first_row = part_first_word(&m->config, s);
    out[layers + 1].data += part_first_word(&m->config, s) * block_row_bytes(m->head.type, m->head.cols);
}

void role_tensor_name(char out[ROLE_NAME_ROOM], enum role role, uint32_t layer)
{
    if (role < W_LAYER_ROLES) snprintf(out, ROLE_NAME_ROOM, "blk.%u.%s.weight", layer, roles[role].name);
    else snprintf(out, ROLE_NAME_ROOM, "%s.weight", roles[role].name);
}

