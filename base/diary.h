/* base/diary.h — what was computed from when to when: the last DIARY_SPANS intervals, in order.
 *
 * Kept always, because writing one costs nanoseconds and nobody knows beforehand which run will be asked about. Memory is
 * touched as it fills: 32 bytes an interval, 256 KiB at most. Not safe from several threads: the caller locks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define DIARY_SPANS 8192

enum diary_what { DIARY_ROWS = 0, DIARY_PICTURE = 1, DIARY_SCORES = 2 };

struct diary_span {
    uint64_t begin_ns, end_ns; /* clock_ns */
    uint64_t number;           /* of the micro-batch, or of the picture */
    uint32_t amount;           /* rows of the micro-batch, rows of it that were scored, or layers of the encoder */
    uint32_t what;             /* enum diary_what */
};

struct diary {
    uint64_t n; /* ever written; the last DIARY_SPANS of them are held */
    struct diary_span span[DIARY_SPANS];
};

void diary_add(struct diary *d, struct diary_span s);

/* As diary_add, but an interval of the same picture as the one before, with nothing in between, is joined to it. */
void diary_extend(struct diary *d, struct diary_span s);

/* Intervals are numbered from 0 in the order in which they were added. The oldest that is still held, and any from it to n - 1. */
uint64_t diary_oldest(const struct diary *d);
const struct diary_span *diary_at(const struct diary *d, uint64_t i);
