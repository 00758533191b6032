/* coordinator/engine/verdict.c — see verdict.h. */
#include "coordinator/engine/verdict.h"

#include <stddef.h>

struct question {
    const struct computing *of;
    int n;
    uint32_t rows, layers, layer;
};

static bool differ(const struct question *q, int one, int other, uint32_t *row)
{
    const struct computing *a = &q->of[one], *b = &q->of[other];
    const bool head = q->layer == q->layers;
    for (*row = 0; *row < q->rows; ++*row) {
        const size_t at = head ? *row : (size_t)*row * q->layers + q->layer;
        const uint64_t x = head ? a->chance[at] : a->hash[at], y = head ? b->chance[at] : b->hash[at];
        if (x && y && x != y) return true;
    }
    return false;
}

static bool by_the_same(const struct question *q, int one, int other)
{
    return q->of[one].by[q->layer] == q->of[other].by[q->layer];
}

static bool agree(const struct question *q, int one, int other)
{
    uint32_t row;
    return !by_the_same(q, one, other) && !differ(q, one, other, &row);
}

static bool two_others_agree(const struct question *q, int alone)
{
    uint32_t row;
    for (int i = 0; i < q->n; i++)
        for (int k = 0; k < i; k++)
            if (agree(q, i, k) && differ(q, alone, i, &row) && differ(q, alone, k, &row)) return true;
    return false;
}

static struct verdict judge(const struct question *q)
{
    struct verdict v = {.is = ALL_EQUAL, .layer = q->layer};
    for (int i = 0; i < q->n; i++)
        for (int k = 0; k < i; k++) {
            uint32_t row;
            if (!differ(q, k, i, &row)) continue;
            if (v.is == ALL_EQUAL) v.is = OPEN, v.row = row, v.wrong = i, v.other = k;
            if (by_the_same(q, k, i)) return (struct verdict){WRONG, q->layer, row, i, k};
        }
    for (int i = 0; i < q->n && v.is == OPEN; i++)
        if (two_others_agree(q, i)) v.is = WRONG, v.wrong = i;
    return v;
}

struct verdict verdict_of(const struct computing *of, int n, uint32_t rows, uint32_t layers)
{
    struct question q = {of, n, rows, layers, 0};
    struct verdict v = {.is = ALL_EQUAL};
    for (; q.layer <= layers && v.is == ALL_EQUAL; q.layer++) v = judge(&q);
    return v;
}
