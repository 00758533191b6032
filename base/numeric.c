/* base/numeric.c — see numeric.h. */
#include "base/numeric.h"

#include "base/half.h"
#include "base/little_endian.h"

#include <stdio.h>
#include <string.h>

static const char *const maths[MATHS] = {"int8", "float32"};
static const char *const kv_types[KV_TYPES] = {"f16", "q8_0", "f32"};
static const char *const wires[WIRE_DTYPES] = {"f32", "bf16"};

static int read_word(const char *word, const char *what, const char *const *names, uint8_t n, uint8_t *out, struct err *why)
{
    char list[64];
    int at = 0;
    for (uint8_t i = 0; i < n; i++) {
        if (!strcmp(word, names[i])) return *out = i, 0;
        at += snprintf(list + at, sizeof list - (size_t)at, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " or ", names[i]);
    }
    return fail(why, E_USAGE, "--%s wants %s, not \"%.40s\"", what, list, word);
}

int numeric_read_math(const char *word, uint8_t *out, struct err *why)
{
    return read_word(word, "math", maths, MATHS, out, why);
}

int numeric_read_kv(const char *word, uint8_t *out, struct err *why)
{
    return read_word(word, "kv", kv_types, KV_TYPES, out, why);
}

int numeric_read_wire(const char *word, uint8_t *out, struct err *why)
{
    return read_word(word, "wire", wires, WIRE_DTYPES, out, why);
}

int numeric_check(struct numeric_mode m, struct err *why)
{
    if (m.math >= MATHS || m.kv >= KV_TYPES || m.wire >= WIRE_DTYPES)
        return fail(why, E_USAGE, "this program does not know math %u, keys and values of type %u, wire %u", m.math, m.kv, m.wire);
    if (m.kv == KV_F32 && m.math != MATH_FLOAT32) return fail(why, E_USAGE, "keys and values in f32 are for float32 math alone");
    return 0;
}

char *numeric_show(char out[NUMERIC_TEXT], struct numeric_mode m)
{
    snprintf(out, NUMERIC_TEXT, "math %s, keys and values %s, wire %s", maths[m.math], kv_types[m.kv], wires[m.wire]);
    return out;
}

/* ---- rows ---- */

uint32_t wire_value_bytes(enum wire_dtype type)
{
    return type == WIRE_BF16 ? 2 : 4;
}

void wire_round(enum wire_dtype type, float *x, size_t n)
{
    for (size_t i = 0; type == WIRE_BF16 && i < n; i++) x[i] = bf16_to_f32(f32_to_bf16(x[i]));
}

void wire_put(enum wire_dtype type, uint8_t *to, const float *x, size_t n)
{
    if (type != WIRE_BF16) {
        memcpy(to, x, n * sizeof *x);
        return;
    }
    for (size_t i = 0; i < n; i++) put_le(to + 2 * i, f32_to_bf16(x[i]), 2);
}

void wire_get(enum wire_dtype type, float *x, const uint8_t *from, size_t n)
{
    if (type != WIRE_BF16) {
        memcpy(x, from, n * sizeof *x);
        return;
    }
    for (size_t i = 0; i < n; i++) x[i] = bf16_to_f32((uint16_t)le_of(from + 2 * i, 2));
}
