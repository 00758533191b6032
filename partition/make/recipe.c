/* partition/make/recipe.c — see recipe.h. */
#include "partition/make/recipe.h"

#include "partition/format/blocks.h"

#include <string.h>

static bool is_quantised(uint32_t type)
{
    return block_info(type)->elems > 1;
}

enum tensor_use recipe_use(const char *name, uint32_t n_dims)
{
    if (n_dims == 1 || strstr(name, "norm.")) return USE_F32;
    if (!strcmp(name, "token_embd.weight")) return USE_EMBEDDING;
    if (!strcmp(name, "output.weight")) return USE_HEAD;
    if (!strcmp(name, "mm.input_projection.weight")) return USE_PROJECTION;
    if (!strcmp(name, "v.patch_embd.weight") || !strcmp(name, "v.position_embd.weight")) return USE_F32;
    return USE_MATRIX;
}

static uint32_t asked_or(uint32_t asked, uint32_t otherwise)
{
    return asked == RECIPE_KEEP ? otherwise : asked;
}

static uint32_t table_format(const struct recipe *r, uint32_t from, uint64_t columns)
{
    uint32_t matrix = asked_or(r->matrix, T_Q4_0);
    if (r->embedding != RECIPE_KEEP) return r->embedding;
    if (is_quantised(from)) return from;
    if (matrix != T_Q4_0) return matrix;
    return columns % 256 ? T_Q8_0 : T_Q6_K;
}

static int matrix_format(const struct recipe *r, enum chain part, const char *name, uint32_t from, uint64_t columns,
                         uint32_t *out, struct err *why)
{
    const enum about about = part == CHAIN_TEXT ? ABOUT_TEXT_FORMAT : ABOUT_VISION_FORMAT;
    uint32_t asked = part == CHAIN_TEXT ? r->matrix : r->vision;
    uint32_t format = asked_or(asked, part == CHAIN_TEXT ? T_Q4_0 : T_F16);
    if (part == CHAIN_VISION && columns % block_info(format)->elems) format = T_F16;
    *out = format;
    if (!is_quantised(from) || format == from || r->requantize) return 0;
    *out = from;
    if (asked == RECIPE_KEEP || (part == CHAIN_VISION && format == T_F16)) return 0;
    return fail_about(why, about, E_USAGE, "%s is %s already, and quantising it again as %s would lose what it was trained for", name,
                      block_info(from)->name, block_info(format)->name);
}

int recipe_format(const struct recipe *r, enum chain part, enum tensor_use use, const char *name, uint32_t from,
                  uint64_t columns, uint32_t *out, struct err *why)
{
    switch (use) {
    case USE_F32: *out = T_F32; return 0;
    case USE_PROJECTION: *out = is_quantised(from) ? from : T_F16; return 0;
    case USE_EMBEDDING:
    case USE_HEAD: *out = table_format(r, from, columns); return 0;
    case USE_MATRIX: return matrix_format(r, part, name, from, columns, out, why);
    }
    return fail(why, E_INTERNAL, "%s is of no known use", name);
}
