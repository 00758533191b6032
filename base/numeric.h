/* base/numeric.h — in what numbers a run computes: the same for all its workers, told in GREET and ASSIGN, part of the plan's hash and
 * of a batch job's journal. All zero is how everything computes unless asked otherwise; the numbers are on the wire and stay. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum math { MATH_INT8, MATH_FLOAT32, MATHS };        /* activations in 8 bits and our kernels; float32 by a BLAS library */
enum kv_type { KV_F16, KV_Q8_0, KV_F32, KV_TYPES };  /* keys and values as a worker keeps them */
enum wire_dtype { WIRE_F32, WIRE_BF16, WIRE_DTYPES }; /* rows between layers, and so between workers */

struct numeric_mode {
    uint8_t math, kv, wire;
};

/* E_USAGE, if a number is not known, or the three do not go together. */
int numeric_check(struct numeric_mode m, struct err *why);

/* "math int8, keys and values f16, wire f32" into `out`; returns out. */
#define NUMERIC_TEXT 64
char *numeric_show(char out[NUMERIC_TEXT], struct numeric_mode m);

/* What a word of the command line means, by the names above. E_USAGE with a list of those there are. */
int numeric_read_math(const char *word, uint8_t *out, struct err *why);
int numeric_read_kv(const char *word, uint8_t *out, struct err *why);
int numeric_read_wire(const char *word, uint8_t *out, struct err *why);

/* The three as one number above every version of the numbers; 0: as everything computes unless asked otherwise. */
static inline uint64_t numeric_number(struct numeric_mode m)
{
    return (uint64_t)m.math << 32 | (uint64_t)m.kv << 40 | (uint64_t)m.wire << 48;
}

/* Rows as they travel: bytes of a value, and n values rounded, written and read. Reading what was written and writing it again gives the
 * same bytes. */
uint32_t wire_value_bytes(enum wire_dtype type);
void wire_round(enum wire_dtype type, float *x, size_t n);
void wire_put(enum wire_dtype type, uint8_t *to, const float *x, size_t n);
void wire_get(enum wire_dtype type, float *x, const uint8_t *from, size_t n);

static inline bool numeric_same(struct numeric_mode a, struct numeric_mode b)
{
    return numeric_number(a) == numeric_number(b);
}
