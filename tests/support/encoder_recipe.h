/* tests/support/encoder_recipe.h — a small sound encoder's file. A claim takes a thing out, changes one, or adds some.
 * Needs _GNU_SOURCE before the first include. */
#pragma once

#include "tests/support/forge.h"

#define RECIPE_WIDTH 32
#define RECIPE_FFN 64
#define RECIPE_LAYERS 2

/* 16 patches, one token. */
struct recipe {
    const char *without; /* a key or a tensor */
    const char *arch, *projector;
    uint32_t image, heads, hidden;
    uint32_t made;         /* columns of the projection */
    uint32_t matrices;     /* their type */
    bool swapped;          /* as older files name the ffn */
    const char *misshapen; /* a tensor with one column too many */
    const char *extra;     /* a tensor that does not belong */
    void (*add)(struct forge *f);
};

static const struct recipe plain = {.arch = "clip", .projector = "gemma3", .image = 8, .heads = 2, .hidden = 24, .made = 24,
                                    .matrices = T_F16};

static inline bool has(const struct recipe *r, const char *name)
{
    return !r->without || strcmp(r->without, name);
}

static inline void put_u32(struct forge *f, const struct recipe *r, const char *name, uint32_t v)
{
    if (has(r, name)) forge_u32(f, name, v);
}

static inline void put_tensor(struct forge *f, const struct recipe *r, uint64_t *offset, const char *name, uint32_t type,
                       uint32_t n_dims, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (!has(r, name)) return;
    if (r->misshapen && !strcmp(r->misshapen, name)) a += block_info(type)->elems;
    const uint64_t dims[4] = {a, b, c, d};
    forge_tensor(f, name, type, n_dims, dims, *offset);
    *offset += (block_row_bytes(type, a) * b * c * d + 31) / 32 * 32;
}

static inline void put_layer(struct forge *f, const struct recipe *r, uint64_t *at, int layer)
{
    const struct {
        const char *name;
        uint64_t cols, rows;
    } matrices[] = {{"attn_q", RECIPE_WIDTH, RECIPE_WIDTH}, {"attn_k", RECIPE_WIDTH, RECIPE_WIDTH}, {"attn_v", RECIPE_WIDTH, RECIPE_WIDTH},
                    {"attn_out", RECIPE_WIDTH, RECIPE_WIDTH}, {r->swapped ? "ffn_down" : "ffn_up", RECIPE_WIDTH, RECIPE_FFN},
                    {r->swapped ? "ffn_up" : "ffn_down", RECIPE_FFN, RECIPE_WIDTH}};
    char name[80];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "v.blk.%d.%s.weight", layer, matrices[i].name);
        put_tensor(f, r, at, name, r->matrices, 2, matrices[i].cols, matrices[i].rows, 1, 1);
        snprintf(name, sizeof name, "v.blk.%d.%s.bias", layer, matrices[i].name);
        put_tensor(f, r, at, name, T_F32, 1, matrices[i].rows, 1, 1, 1);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "v.blk.%d.ln%d.%s", layer, 1 + i / 2, i % 2 ? "bias" : "weight");
        put_tensor(f, r, at, name, T_F32, 1, RECIPE_WIDTH, 1, 1, 1);
    }
}

static inline struct forge *cook(const struct recipe *r)
{
    struct forge *f = forge_new();
    uint64_t at = 0;
    forge_string(f, "general.architecture", r->arch);
    if (has(r, "clip.projector_type")) forge_string(f, "clip.projector_type", r->projector);
    put_u32(f, r, "clip.vision.image_size", r->image);
    put_u32(f, r, "clip.vision.patch_size", 2);
    put_u32(f, r, "clip.vision.embedding_length", RECIPE_WIDTH);
    put_u32(f, r, "clip.vision.feed_forward_length", RECIPE_FFN);
    put_u32(f, r, "clip.vision.block_count", RECIPE_LAYERS);
    put_u32(f, r, "clip.vision.attention.head_count", r->heads);
    put_u32(f, r, "clip.vision.projection_dim", r->hidden);
    if (has(r, "clip.vision.attention.layer_norm_epsilon")) forge_f32(f, "clip.vision.attention.layer_norm_epsilon", 1e-6f);
    if (r->add) r->add(f);
    put_tensor(f, r, &at, "v.patch_embd.weight", T_F32, 4, 2, 2, 3, RECIPE_WIDTH);
    put_tensor(f, r, &at, "v.patch_embd.bias", T_F32, 1, RECIPE_WIDTH, 1, 1, 1);
    put_tensor(f, r, &at, "v.position_embd.weight", T_F32, 2, RECIPE_WIDTH, 16, 1, 1);
    for (int i = 0; i < RECIPE_LAYERS; i++) put_layer(f, r, &at, i);
    put_tensor(f, r, &at, "v.post_ln.weight", T_F32, 1, RECIPE_WIDTH, 1, 1, 1);
    put_tensor(f, r, &at, "v.post_ln.bias", T_F32, 1, RECIPE_WIDTH, 1, 1, 1);
    put_tensor(f, r, &at, "mm.soft_emb_norm.weight", T_F32, 1, RECIPE_WIDTH, 1, 1, 1);
    put_tensor(f, r, &at, "mm.input_projection.weight", T_F16, 2, r->made, RECIPE_WIDTH, 1, 1);
    if (r->extra) put_tensor(f, r, &at, r->extra, T_F32, 1, 8, 1, 1, 1);
    forge_data(f, 32, at);
    return f;
}
