/* worker/encoder/vision_attention.h — what the rows of a picture show each other: queries, keys and values of one layer.
 *
 * Filled piece by piece, then looked at piece by piece; between the two everyone waits. They are kept as short integers
 * (kernels.h). Owns nothing. */
#pragma once

#include "partition/model/vision_memory.h"
#include "worker/kernels/kernels.h"

struct patch_attention {
    const struct kernels *k;
    uint32_t patches, width, heads, dim;
    float scale; /* of attention, and from e to powers of two */
    int16_t *queries, *keys, *values;
    float *query_scales, *key_scales, *value_scales;
    bool exact; /* float32 math: queries as they are, keys and values in pages as those of text */
    float *floats; /* these queries, [patches, width] */
    const uint8_t **pages;
};

/* The three pieces of memory are as large as vision_scratch says. */
void patch_attention_init(struct patch_attention *s, const struct vision_config *c, bool exact, const struct kernels *k, void *queries,
                          void *keys, void *values);

/* Rows first..first+n-1: qkv [n, 3 width] are queries, keys and values without their biases; it is spoiled. `first` is a
 * multiple of SHORT_KEYS, and so is n unless the picture ends there. */
void patch_attention_store(const struct patch_attention *s, uint32_t first, uint32_t n, float *qkv, const float *q_bias,
                           const float *k_bias, const float *v_bias);

/* out [n, width]: what these rows see in all rows. */
void patch_attention_look(const struct patch_attention *s, uint32_t first, uint32_t n, float *out, void *scratch);
