/* partition/model/vision_weights.c — which tensors the encoder has.
 *
 * One table says it all, as in partition/model/weights.c. */
#include "partition/model/vision_weights.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

enum vision_side { ONE, WIDTH, FFN, PIXELS, PATCHES, HIDDEN };

static const struct {
    const char *name;
    enum vision_side rows, cols; /* one row: a vector */
} roles[V_ROLES] = {
    [V_LN1] = {"ln1.weight", ONE, WIDTH},
    [V_LN1_BIAS] = {"ln1.bias", ONE, WIDTH},
    [V_Q] = {"attn_q.weight", WIDTH, WIDTH},
    [V_Q_BIAS] = {"attn_q.bias", ONE, WIDTH},
    [V_K] = {"attn_k.weight", WIDTH, WIDTH},
    [V_K_BIAS] = {"attn_k.bias", ONE, WIDTH},
    [V_V] = {"attn_v.weight", WIDTH, WIDTH},
    [V_V_BIAS] = {"attn_v.bias", ONE, WIDTH},
    [V_O] = {"attn_out.weight", WIDTH, WIDTH},
    [V_O_BIAS] = {"attn_out.bias", ONE, WIDTH},
    [V_LN2] = {"ln2.weight", ONE, WIDTH},
    [V_LN2_BIAS] = {"ln2.bias", ONE, WIDTH},
    [V_UP] = {"ffn_up.weight", FFN, WIDTH},
    [V_UP_BIAS] = {"ffn_up.bias", ONE, FFN},
    [V_DOWN] = {"ffn_down.weight", WIDTH, FFN},
    [V_DOWN_BIAS] = {"ffn_down.bias", ONE, WIDTH},
    [V_PATCH] = {"v.patch_embd.weight", WIDTH, PIXELS},
    [V_PATCH_BIAS] = {"v.patch_embd.bias", ONE, WIDTH},
    [V_POSITIONS] = {"v.position_embd.weight", PATCHES, WIDTH},
    [V_POST] = {"v.post_ln.weight", ONE, WIDTH},
    [V_POST_BIAS] = {"v.post_ln.bias", ONE, WIDTH},
    [V_SOFT_NORM] = {"mm.soft_emb_norm.weight", ONE, WIDTH},
    [V_PROJECTION] = {"mm.input_projection.weight", WIDTH, HIDDEN},
};

const char *vision_role_name(enum vision_role role)
{
    return roles[role].name;
}

bool vision_role_is_vector(enum vision_role role)
{
    return roles[role].rows == ONE;
}

static uint32_t size_of(const struct vision_config *c, enum vision_side size)
{
    switch (size) {
    case ONE: return 1;
    case WIDTH: return c->width;
    case FFN: return c->ffn;
    case PIXELS: return vision_pixels(c);
    case PATCHES: return vision_patches(c);
    case HIDDEN: return c->hidden;
    }
    return 0;
}

struct tensor vision_tensor(const struct vision_config *c, enum vision_role role, uint32_t layer)
{
    return (struct tensor){.chain = CHAIN_VISION, .role = role, .layer = layer, .type = T_F32, .rows = size_of(c, roles[role].rows),
                                  .cols = size_of(c, roles[role].cols)};
}

/* ---- parts ---- */

void vision_part_shape(const struct vision_config *c, struct part s, struct tensor *out)
{
    for (int role = V_PATCH; s.front && role < V_POST; role++) *out++ = vision_tensor(c, (enum vision_role)role, 0);
    for (uint32_t layer = s.first; layer < s.end; layer++)
        for (int role = 0; role < V_LAYER_ROLES; role++) *out++ = vision_tensor(c, (enum vision_role)role, layer);
    for (int role = V_POST; part_has_back(s) && role < V_ROLES; role++) *out++ = vision_tensor(c, (enum vision_role)role, 0);
}

void vision_part_tensors(const struct vision_model *m, struct part s, struct tensor *out)
{
    size_t layers = (size_t)(s.end - s.first) * V_LAYER_ROLES;
    for (int role = V_PATCH; s.front && role < V_POST; role++) *out++ = m->rest[role - V_LAYER_ROLES];
    memcpy(out, m->layer_tensors + (size_t)s.first * V_LAYER_ROLES, layers * sizeof *out);
    out += layers;
    for (int role = V_POST; part_has_back(s) && role < V_ROLES; role++) *out++ = m->rest[role - V_LAYER_ROLES];
}

/* Which number formats a role may have; rows of blocks must be whole. */
bool vision_type_is_possible(const struct tensor *t)
{
    if (vision_role_is_vector(t->role)) return t->type == T_F32;
    if (t->type == T_F32 || t->type == T_F16 || t->type == T_BF16) return true;
    if (t->role == V_POSITIONS || (t->type != T_Q8_0 && t->type != T_Q4_0)) return false;
    return block_row_bytes(t->type, t->cols) != 0;
}

int vision_part_check(const struct vision_config *c, struct part s, const struct tensor *tensors,
                       struct err *why)
{
    if (s.first > s.end || s.end > c->layers || (s.front && s.first != 0) || (part_has_back(s) && s.end != c->layers) ||
        (s.first == s.end && !s.front && !part_has_back(s)))
        return fail(why, E_WIRE, "a stage of vision layers %u to %u of %u%s%s cannot be", s.first, s.end, c->layers,
                    s.front ? " with patches" : "", part_has_back(s) ? " with projector" : "");
    size_t n = part_count(CHAIN_VISION, s);
    struct tensor *wanted = calloc(n, sizeof *wanted);
    if (!wanted) return fail(why, E_MEMORY, "no memory for a list of %zu tensors", n);
    vision_part_shape(c, s, wanted);
    int code = 0;
    for (size_t i = 0; i < n && !code; i++) {
        const struct tensor *t = &tensors[i], *w = &wanted[i];
        if (t->role != w->role || t->layer != w->layer || t->rows != w->rows || t->cols != w->cols)
            code = fail(why, E_WIRE, "tensor %zu of the vision part should be %s of layer %u, [%u, %u]; it is another",
                        i, roles[w->role].name, w->layer, w->rows, w->cols);
        else if (!vision_type_is_possible(t))
            code = fail(why, E_WIRE, "%s of vision layer %u cannot have number format %u with rows of %u",
                        roles[w->role].name, w->layer, t->type, t->cols);
    }
    free(wanted);
    return code;
}

struct vision_kept vision_kept(const struct tensor *t, enum vision_type as)
{
    const bool floats = t->type == T_F32 || t->type == T_F16 || t->type == T_BF16;
    if (t->role == V_PROJECTION) return (struct vision_kept){floats ? t->type : T_F32, t->cols, t->rows};
    if (t->role == V_POSITIONS) return (struct vision_kept){T_F32, t->rows, t->cols};
    if (as == VISION_Q8_0 && floats && t->role < V_LAYER_ROLES && !vision_role_is_vector(t->role))
        return (struct vision_kept){T_Q8_0, t->rows, (uint32_t)round_up(t->cols, block_info(T_Q8_0)->elems)};
    return (struct vision_kept){t->type, t->rows, t->cols};
}

