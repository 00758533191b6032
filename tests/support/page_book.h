/* tests/support/page_book.h — one stage's pool kept block by block: what a worker does with orders and rows, but for the keys and values.
 *
 * It believes no one: an order or a row that does not fit what the stage holds, or a pool that is overrun, is E_WIRE, as a real
 * stage's is. Functions are static because a test program is one file. */
#pragma once

#include "coordinator/engine/pages.h"
#include "partition/model/memory.h"

#include <string.h>

#define BOOK_SLOTS 8
#define BOOK_INDEXES 16 /* blocks of a sequence, at most */
#define BOOK_BLOCKS 4096
#define BOOK_PAST 32       /* rows whose histories a slot remembers, to go back to */

struct book_rows { /* of a slot or a beginning: block numbers, 0: none */
    uint32_t rows;
    uint64_t history, past[BOOK_PAST]; /* past: of the first n rows at n % BOOK_PAST, written by whoever knows the ids */
    uint64_t seen; /* what the rows of pictures among them were, written by whoever computes them */
    uint16_t global[BOOK_INDEXES], local[BOOK_INDEXES]; /* by index; by place in the ring */
    bool used;
};

struct book {
    struct pages_stage stage;
    uint32_t window, ring, slots;
    struct book_rows slot[BOOK_SLOTS], beginning[WIRE_BEGINNINGS];
    uint16_t count[2][BOOK_BLOCKS]; /* who refers to a block; [0] global, [1] local */
    uint32_t in_use[2];
};

static uint16_t book_take(struct book *b, int kind)
{
    uint16_t i = 1;
    while (b->count[kind][i]) i++;
    b->count[kind][i] = 1;
    b->in_use[kind]++;
    return i;
}

static void book_release(struct book *b, int kind, uint16_t *block)
{
    if (*block && !--b->count[kind][*block]) b->in_use[kind]--;
    *block = 0;
}

static uint16_t book_share(struct book *b, int kind, uint16_t block)
{
    b->count[kind][block] += block != 0;
    return block;
}

static void book_empty(struct book *b, struct book_rows *r)
{
    for (int i = 0; i < BOOK_INDEXES; i++) book_release(b, 0, &r->global[i]), book_release(b, 1, &r->local[i]);
    *r = (struct book_rows){.history = HISTORY_EMPTY};
}

static inline void book_forget_all(struct book *b)
{
    for (int i = 0; i < BOOK_SLOTS; i++) book_empty(b, &b->slot[i]);
    for (int i = 0; i < WIRE_BEGINNINGS; i++) book_empty(b, &b->beginning[i]);
}

static inline void book_open(struct book *b, const struct pages_stage *stage, const struct pages_limits *limits)
{
    memset(b, 0, sizeof *b);
    b->stage = *stage;
    b->window = limits->window;
    b->ring = limits->ring;
    b->slots = limits->slots;
    book_forget_all(b);
}

/* The blocks of these rows: a place of the ring that is shared is left to the others, its own is written over. */
static inline int book_rows(struct book *b, uint32_t slot, uint32_t rows, struct err *why)
{
    struct book_rows *r = &b->slot[slot];
    for (uint32_t p = r->rows; p < r->rows + rows; p++) {
        uint16_t *local = &r->local[p / KV_PAGE % b->ring];
        if (p % KV_PAGE) continue;
        r->global[p / KV_PAGE] = book_take(b, 0);
        if (*local && b->count[1][*local] == 1) continue;
        book_release(b, 1, local);
        *local = book_take(b, 1);
    }
    r->rows += rows;
    const uint64_t pages = (uint64_t)b->stage.global * b->in_use[0] + (uint64_t)b->stage.local * b->in_use[1];
    if (pages <= b->stage.pool) return 0;
    return fail(why, E_WIRE, "%llu pages are in use of %llu", (unsigned long long)pages, (unsigned long long)b->stage.pool);
}

static int book_keep(struct book *b, const struct order *o, struct err *why)
{
    const struct book_rows *r = &b->slot[o->slot];
    struct book_rows *k = &b->beginning[o->beginning];
    const uint32_t end = o->rows / KV_PAGE, seen = o->rows >= b->window ? (o->rows - b->window + 1) / KV_PAGE : 0;
    if (k->used || !o->rows || o->rows % KV_PAGE || r->rows != o->rows || r->history != o->history)
        return fail(why, E_WIRE, "beginning %u of %u rows of slot %u, which has %u", o->beginning, o->rows, o->slot, r->rows);
    *k = (struct book_rows){.rows = o->rows, .history = o->history, .seen = r->seen, .used = true};
    for (uint32_t i = 0; i < end; i++) k->global[i] = book_share(b, 0, r->global[i]);
    for (uint32_t i = seen; i < end; i++) k->local[i % b->ring] = book_share(b, 1, r->local[i % b->ring]);
    return 0;
}

static int book_begin(struct book *b, const struct order *o, struct err *why)
{
    struct book_rows *r = &b->slot[o->slot];
    const struct book_rows *k = &b->beginning[o->beginning];
    if (r->rows || !k->used || k->rows != o->rows || k->history != o->history)
        return fail(why, E_WIRE, "slot %u with %u rows begins at beginning %u of %u", o->slot, r->rows, o->beginning, k->rows);
    *r = *k;
    for (int i = 0; i < BOOK_INDEXES; i++) book_share(b, 0, r->global[i]), book_share(b, 1, r->local[i]);
    return 0;
}

static int book_back(struct book *b, const struct order *o, struct err *why)
{
    struct book_rows *r = &b->slot[o->slot];
    if (o->rows >= r->rows || r->rows - o->rows > WIRE_DRAFT || r->past[o->rows % BOOK_PAST] != o->history)
        return fail(why, E_WIRE, "slot %u with %u rows goes back to %u", o->slot, r->rows, o->rows);
    for (uint32_t i = (o->rows + KV_PAGE - 1) / KV_PAGE; i * KV_PAGE < r->rows; i++) {
        book_release(b, 0, &r->global[i]);
        book_release(b, 1, &r->local[i % b->ring]);
    }
    r->rows = o->rows;
    r->history = o->history;
    return 0;
}

static inline int book_order(struct book *b, const struct order *o, struct err *why)
{
    if (o->slot >= b->slots || o->beginning >= WIRE_BEGINNINGS) return fail(why, E_WIRE, "slot %u, beginning %u", o->slot, o->beginning);
    switch (o->kind) {
    case ORDER_FORGET: return book_empty(b, &b->slot[o->slot]), 0;
    case ORDER_KEEP: return book_keep(b, o, why);
    case ORDER_BEGIN: return book_begin(b, o, why);
    case ORDER_DROP:
        if (!b->beginning[o->beginning].used) return fail(why, E_WIRE, "there is no beginning %u", o->beginning);
        return book_empty(b, &b->beginning[o->beginning]), 0;
    case ORDER_BACK: return book_back(b, o, why);
    default: return fail(why, E_WIRE, "order %u", o->kind);
    }
}
