/* worker/stage/kv.c — see kv.h. */
#include "worker/stage/kv.h"

#include "base/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening ---- */

/* A ring must hold the window before the first row of a micro-batch, and its last row, in different places. */
static int check_ring(const struct model_config *c, uint32_t layer, const struct capacity *cap, struct err *why)
{
    uint64_t span = (uint64_t)c->window - 1 + cap->rows;
    uint64_t touched = (span + KV_PAGE - 2) / KV_PAGE + 1, all = ((uint64_t)cap->context + KV_PAGE - 1) / KV_PAGE;
    uint64_t wanted = !layer_is_global(c, layer) && touched < all ? touched : all, n = kv_pages(c, layer, cap);
    if (n >= wanted) return 0;
    return fail(why, E_INTERNAL, "layer %u was planned with %llu pages of keys and values; it needs %llu", layer,
                (unsigned long long)n, (unsigned long long)wanted);
}

static void open_layers(struct kv *kv, const struct model_config *c, struct part s, const struct capacity *cap, uint8_t **pointer)
{
    for (uint32_t i = 0; i < kv->layers; i++) {
        const enum kv_kind kind = layer_is_global(c, s.first + i) ? KV_GLOBAL : KV_LOCAL;
        const uint32_t n = kv_pages(c, s.first + i, cap);
        kv->layer[i] = (struct kv_layer){kind, n, pointer};
        kv->of[kind].layers++;
        kv->of[kind].places = n;
        pointer += (size_t)n * cap->sequences;
    }
    kv->holders = (uint32_t *)(void *)pointer;
}

/* Blocks are few beside pages: their tables are not counted. They are written to, so that their memory is there. */
static int open_blocks(struct kv *kv, struct err *why)
{
    for (int kind = 0; kind < KV_KINDS; kind++) {
        struct kv_blocks *b = &kv->of[kind];
        const size_t n = ((size_t)kv->sequences + BEGINNINGS_MOST) * b->places;
        if (!b->layers) continue;
        b->table = malloc(n * sizeof *b->table);
        if (!b->table) return fail(why, E_MEMORY, "no memory for a table of %zu blocks of keys and values", n);
        memset(b->table, 0, n * sizeof *b->table);
    }
    return 0;
}

int kv_open(struct kv *kv, const struct model_config *c, struct part s, const struct capacity *cap, void *memory,
            struct err *why)
{
    const uint64_t pages = kv_pool_pages(c, s, cap);
    *kv = (struct kv){.type = cap->mode.kv, .kv_heads = c->kv_heads, .head_dim = c->head_dim, .layers = s.end - s.first, .window = c->window,
                      .sequences = cap->sequences, .memory = memory, .page_bytes = kv_page_bytes(c, cap->mode.kv),
                      .of[KV_LOCAL].places = kv_ring(c, cap)};
    if (pages > UINT32_MAX) return fail(why, E_MEMORY, "%llu pages of keys and values are too many", (unsigned long long)pages);
    kv->layer = calloc(kv->layers + 1, sizeof *kv->layer);
    if (!kv->layer) return fail(why, E_MEMORY, "no memory for a table of %u layers", kv->layers);
    if (!pages) return 0;
    for (uint32_t i = s.first; i < s.end; i++) TRY(check_ring(c, i, cap, why));
    open_layers(kv, c, s, cap, (uint8_t **)(void *)(kv->memory + pages * kv->page_bytes));
    TRY(open_blocks(kv, why));
    kv->next = kv->holders + pages;
    kv->n_free = (uint32_t)pages;
    for (uint32_t i = 0; i < pages; i++) kv->holders[i] = 0, kv->next[i] = i + 1;
    return 0;
}

void kv_close(struct kv *kv)
{
    free(kv->layer);
    for (int kind = 0; kind < KV_KINDS; kind++) free(kv->of[kind].table);
    *kv = (struct kv){0};
}

/* ---- which blocks a holder has, by numbers alone ---- */

struct span {
    uint32_t from, end; /* of blocks; in a ring block i lies in place i % places */
};

static uint32_t blocks_of(uint32_t rows)
{
    return rows / KV_PAGE + (rows % KV_PAGE != 0);
}

/* The first block of a local layer that a row at this position sees. */
static uint32_t first_seen(const struct kv *kv, uint32_t position)
{
    return kv->window && position >= kv->window ? (position - kv->window + 1) / KV_PAGE : 0;
}

/* The first block of a ring that is as it was written: those before are written over, or the beginning did not bring them. */
static uint32_t first_whole(const struct kv *kv, const struct kv_held *h)
{
    const uint32_t taken = blocks_of(h->most), ring = kv->of[KV_LOCAL].places, brought = first_seen(kv, h->shared);
    const uint32_t lost = taken > ring ? taken - ring : 0;
    return lost > brought ? lost : brought;
}

/* Of a ring: what is left of the beginning and all behind it; else as many of its own as there is room for. After a way back the
 * blocks behind may stay in the places of those that they were written over: they are as many. */
static struct span span_of(const struct kv *kv, int kind, const struct kv_held *h)
{
    const uint32_t end = blocks_of(h->rows), own = h->shared / KV_PAGE;
    if (kind == KV_GLOBAL) return (struct span){0, end};
    const uint32_t ring = kv->of[KV_LOCAL].places, whole = first_whole(kv, h), last = end > ring ? end - ring : 0;
    return (struct span){whole < own ? whole : last > own ? last : own, end};
}

static bool in_span(const struct span *s, uint32_t block, uint32_t places)
{
    return s->end > s->from && (block % places + places - s->from % places) % places < s->end - s->from;
}

struct kv_held kv_grown(struct kv_held h, uint32_t rows)
{
    h.rows += rows;
    if (h.most < h.rows) h.most = h.rows;
    return h;
}

struct kv_held kv_kept(struct kv_held h)
{
    h.shared = h.most = h.rows;
    return h;
}

bool kv_may_go_back(const struct kv *kv, const struct kv_held *h, uint32_t rows)
{
    return rows >= h->shared && first_seen(kv, rows) >= first_whole(kv, h);
}

/* ---- references ---- */

static uint32_t *block_at(const struct kv *kv, int kind, uint32_t of, uint32_t block)
{
    const struct kv_blocks *b = &kv->of[kind];
    return &b->table[(size_t)of * b->places + block % b->places];
}

static void refer(struct kv *kv, int kind, uint32_t block, int by)
{
    const uint32_t was = kv->holders[block];
    kv->holders[block] = was + (uint32_t)by;
    if (!was) kv->n_free -= kv->of[kind].layers;
    if (!kv->holders[block]) kv->n_free += kv->of[kind].layers;
}

static uint32_t last_page(const struct kv *kv, int kind, uint32_t block)
{
    for (uint32_t i = 1; i < kv->of[kind].layers; i++) block = kv->next[block];
    return block;
}

static void let_go(struct kv *kv, int kind, uint32_t block)
{
    refer(kv, kind, block, -1);
    if (kv->holders[block]) return;
    kv->next[last_page(kv, kind, block)] = kv->first_free;
    kv->first_free = block;
}

static uint32_t take(struct kv *kv, int kind)
{
    const uint32_t block = kv->first_free;
    assert(kv->n_free >= kv->of[kind].layers);
    kv->first_free = kv->next[last_page(kv, kind, block)];
    refer(kv, kind, block, 1);
    return block;
}

/* Writes a block into the tables, for attention too if it is a slot's. */
static void place(struct kv *kv, int kind, uint32_t of, uint32_t block, uint32_t first_page)
{
    uint32_t page = *block_at(kv, kind, of, block) = first_page;
    for (uint32_t i = 0; i < kv->layers && of < kv->sequences; i++) {
        const struct kv_layer *l = &kv->layer[i];
        if (l->kind != (enum kv_kind)kind) continue;
        l->pages[(size_t)of * l->n_pages + block % l->n_pages] = kv->memory + page * kv->page_bytes;
        page = kv->next[page];
    }
}

void kv_count(struct kv *kv, const struct kv_held *was, const struct kv_held *is, uint32_t coming, int by)
{
    const struct kv_held then = kv_grown(*is, coming);
    for (int kind = 0; kind < KV_KINDS; kind++) {
        const struct span a = span_of(kv, kind, was), b = {span_of(kv, kind, &then).from, blocks_of(is->rows)};
        const bool same = was->of == is->of;
        if (!kv->of[kind].layers || (same && a.from == b.from && a.end == b.end)) continue;
        for (uint32_t i = b.from; i < b.end && !same; i++) refer(kv, kind, *block_at(kv, kind, is->of, i), by);
        for (uint32_t i = a.from; i < a.end; i++)
            if (!same || !in_span(&b, i, kv->of[kind].places)) refer(kv, kind, *block_at(kv, kind, was->of, i), -by);
    }
}

uint64_t kv_wanted(const struct kv *kv, const struct kv_held *h, uint32_t coming)
{
    const uint64_t blocks = blocks_of(h->rows + coming) - blocks_of(h->rows);
    return blocks * (kv->of[KV_LOCAL].layers + kv->of[KV_GLOBAL].layers);
}

void kv_become(struct kv *kv, struct kv_held *mine, const struct kv_held *is)
{
    const bool same = mine->of == is->of;
    for (int kind = 0; kind < KV_KINDS; kind++) {
        const struct span a = span_of(kv, kind, mine), b = span_of(kv, kind, is);
        if (!kv->of[kind].layers) continue;
        for (uint32_t i = b.from; i < b.end && !same; i++) refer(kv, kind, *block_at(kv, kind, is->of, i), 1);
        for (uint32_t i = a.from; i < a.end; i++)
            if (!same || !in_span(&b, i, kv->of[kind].places)) let_go(kv, kind, *block_at(kv, kind, mine->of, i));
        for (uint32_t i = b.from; i < b.end && !same; i++) place(kv, kind, mine->of, i, *block_at(kv, kind, is->of, i));
    }
    const uint32_t of = mine->of;
    *mine = *is;
    mine->of = of;
}

void kv_grow(struct kv *kv, struct kv_held *mine, uint32_t rows)
{
    const uint32_t end = mine->rows + rows;
    for (uint32_t i = blocks_of(mine->rows); i < blocks_of(end); i++) {
        for (int kind = 0; kind < KV_KINDS; kind++) {
            const uint32_t places = kv->of[kind].places, from = span_of(kv, kind, mine).from;
            if (!kv->of[kind].layers) continue;
            if (i >= places && i - places >= from) let_go(kv, kind, *block_at(kv, kind, mine->of, i));
            place(kv, kind, mine->of, i, take(kv, kind));
        }
        *mine = kv_grown(*mine, end - mine->rows < KV_PAGE ? end - mine->rows : KV_PAGE);
    }
    *mine = kv_grown(*mine, end - mine->rows);
}
