/* base/numeric.c — see numeric.h. */
#include "base/numeric.h"

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
