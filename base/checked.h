/* base/checked.h — arithmetic on sizes that came from outside: false if the result would not fit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool add_ok(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool mul_ok(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* `to` is a power of two. */
static inline bool round_up_ok(uint64_t a, uint64_t to, uint64_t *out)
{
    if (!add_ok(a, to - 1, out)) return false;
    *out &= ~(to - 1);
    return true;
}

/* For sizes of our own that cannot wrap. */
static inline size_t round_up(size_t a, size_t to)
{
    return (a + to - 1) / to * to;
}
