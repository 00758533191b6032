/* partition/make/recipe.h — which number format each tensor of a converted model gets (pure: names and numbers only).
 *
 *   norms, biases, patches, positions      F32
 *   layer matrices                         --type, Q4_0
 *   embedding table, and a head of its own --embd; without it Q6_K beside Q4_0 matrices where rows are whole blocks of
 *                                          256, else Q8_0; beside other matrices the format of those
 *   picture encoder matrices               --vision, F16; F16 too where rows are not whole blocks of the format asked
 *   picture projection                     F16
 *
 * What is quantised already stays as it is. Weights that were trained for one grid lose by another, so asking for
 * another format of quantised layers is refused unless `requantize` says that it is meant; the table may be asked for
 * freely. */
#pragma once

#include "partition/checkpoint/checkpoint.h"

#define RECIPE_KEEP UINT32_MAX /* not asked for */

struct recipe {
    uint32_t matrix, embedding, vision; /* formats asked for, or RECIPE_KEEP */
    bool requantize;
};

/* A tensor of unknown origin by its name in a GGUF file. */
enum tensor_use recipe_use(const char *name, uint32_t n_dims);

/* E_USAGE if it is refused. Whether rows are whole blocks of a format that was asked for is left to convert_write. */
int recipe_format(const struct recipe *r, enum chain part, enum tensor_use use, const char *name, uint32_t from,
                  uint64_t columns, uint32_t *out, struct err *why);
