/* tests/support/kernels_data.h — invented weights and activations for the kernel tests. */
#pragma once

#include "base/checked.h"
#include "base/dice.h"
#include "base/half.h"
#include "partition/format/blocks.h"
#include "tests/support/check.h"
#include "worker/kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

static const uint32_t all_types[] = {T_Q4_0, T_Q4_1, T_Q5_0, T_Q5_1, T_Q8_0, T_Q4_K,
                                     T_Q5_K, T_Q6_K, T_F16,  T_BF16, T_F32};
#define ALL_TYPES (sizeof all_types / sizeof *all_types)

static inline float random_float(uint64_t *state) /* -1..1 */
{
    return (float)((double)(dice_throw(state) >> 11) * 0x1p-52 - 1);
}

static inline void *memory(size_t bytes) /* 64-byte aligned; a test that cannot have it ends here */
{
    void *p = aligned_alloc(64, round_up(bytes + 1, 64));
    if (!p) abort();
    memset(p, 0xa5, round_up(bytes + 1, 64));
    return p;
}

/* All rows of a->x into a. */
static inline void quantize_rows(const struct kernels *k, struct acts *a)
{
    for (uint32_t r = 0; r < a->rows; r++) k->quantize(a, r, a->x + r * a->ldx, 0, a->cols);
}

static inline void put16(uint8_t *at, uint16_t v)
{
    memcpy(at, &v, 2);
}

/* One block of a file: any quants, and scales of either sign round 0.01. */
static inline void random_block(uint32_t type, uint8_t *block, uint64_t *seed)
{
    const struct block_info *info = block_info(type);
    for (uint32_t i = 0; i < info->bytes; i++) block[i] = (uint8_t)dice_throw(seed);
    uint16_t d = f32_to_f16(random_float(seed) * 0.02f), m = f32_to_f16(random_float(seed) * 0.1f);
    switch (type) {
    case T_F32: {
        float f = random_float(seed);
        memcpy(block, &f, 4);
        break;
    }
    case T_F16: put16(block, f32_to_f16(random_float(seed))); break;
    case T_BF16: put16(block, f32_to_bf16(random_float(seed))); break;
    case T_Q6_K: put16(block + 208, d); break;
    case T_Q4_1: case T_Q5_1: case T_Q4_K: case T_Q5_K: put16(block + 2, m); /* fall through */
    default: put16(block, d);
    }
}

struct matrix {
    uint32_t type, rows, cols;
    uint8_t *file; /* rows as a file holds them */
    struct panels panels;
};

static inline struct matrix matrix_make(uint32_t type, uint32_t rows, uint32_t cols, uint64_t seed)
{
    struct matrix m = {.type = type, .rows = rows, .cols = cols};
    const struct block_info *info = block_info(type);
    size_t bytes = rows * block_row_bytes(type, cols);
    m.file = memory(bytes);
    for (size_t at = 0; at < bytes; at += info->bytes) random_block(type, m.file + at, &seed);
    panels_init(&m.panels, type, rows, cols, memory(panels_bytes(type, rows, cols)));
    panels_pack(&m.panels, type, 0, rows, m.file);
    return m;
}

static inline void matrix_free(struct matrix *m)
{
    free(m->file);
    free(m->panels.data);
}

static inline float *floats_make(size_t n, float size, uint64_t seed)
{
    float *x = memory(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = random_float(&seed) * size;
    return x;
}

/* Equal in every bit; two NaNs are equal. Returns the first place that is not, or n. */
static inline size_t floats_differ(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (f32_bits(a[i]) != f32_bits(b[i]) && !(a[i] != a[i] && b[i] != b[i])) return i;
    return n;
}
