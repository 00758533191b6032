/* worker/stage/kv.h — keys and values, in pages of KV_PAGE positions, and whose they are.
 *
 *   page   keys [kv_heads][KV_PAGE / 16][head_dim][16], then values [kv_heads][KV_PAGE][head_dim]; f16, f32, or Q8_0: bytes, and behind
 *          those of each head an f16 for each block of 32 columns and position
 *
 * One head's keys of a page lie together, because attention reads them so, and in panels of 16 positions, one lane each,
 * so that it needs no sums across a vector: a new key touches head_dim places, once, and is read thousands of times.
 *
 * A stage has one pool of pages. Of each kind of layer, global and local, KV_PAGE positions of a sequence are a block: a page for each
 * layer of that kind. It is taken when the first of its rows comes and is free again when nobody holds it any more. So a short
 * sequence takes little, and a beginning that several sequences have in common is there once:
 *
 *   beginning 7   [ a | b ]
 *   slot 3        [ a | b | c | d . ]    went on behind its own first 128 rows, which became the beginning
 *   slot 5        [ a | b | e . ]        began with it
 *
 * Only whole blocks are shared, and rows come behind them: a block with two holders is never written. Of local layers a slot
 * holds a ring: block i lies where block i - kv_ring was, which no row of this micro-batch or a later one can see any more. What a
 * beginning holds of them is its last window. Nothing is cleared when a block is taken; positions a sequence has not written are
 * never looked at.
 *
 * Whether there are pages enough is the coordinator's affair, which counts them. Here they are counted again before anything is
 * changed (worker/stage/sequences.h), because pages that are not there would be somebody else's. */
#pragma once

#include "partition/model/memory.h"

enum kv_kind { KV_LOCAL, KV_GLOBAL, KV_KINDS };

/* Blocks are known by their first page; the others follow in the order of the layers. */
struct kv_blocks {
    uint32_t layers, places; /* places: of one holder, as kv_pages says */
    uint32_t *table;         /* [sequences + BEGINNINGS_MOST][places] */
};

struct kv_layer {
    enum kv_kind kind;
    uint32_t n_pages; /* of one slot */
    uint8_t **pages;  /* [sequences][n_pages] */
};

struct kv {
    enum kv_type type;
    uint32_t kv_heads, head_dim, layers, window, sequences;
    struct kv_layer *layer; /* of the stage, from 0 */
    struct kv_blocks of[KV_KINDS];
    uint8_t *memory;
    size_t page_bytes;
    uint32_t *holders; /* of the block that begins with this page */
    uint32_t *next;    /* page of the same block, or free page */
    uint32_t first_free, n_free;
};

/* Which blocks a slot or a beginning holds follows from three numbers of rows. */
struct kv_held {
    uint32_t of;     /* in whose tables they stand: a slot's number, or `sequences` and that of a beginning */
    uint32_t rows;
    uint32_t shared; /* the first of these, in whole blocks, were somebody's beginning: they are never written again */
    uint32_t most;   /* there were since then: a ring does not get back what they were written over */
};

/* Cuts `memory` (kv_pool_pages of kv_page_bytes, and kv_tables_bytes, 64-byte aligned, owned by the caller) into pages and what must
 * be known of them. */
int kv_open(struct kv *kv, const struct model_config *c, struct part s, const struct capacity *cap, void *memory,
            struct err *why);
void kv_close(struct kv *kv);

/* What they are with `rows` more, and when all of them are a beginning. */
struct kv_held kv_grown(struct kv_held h, uint32_t rows);
struct kv_held kv_kept(struct kv_held h);
/* True if all that a row behind the first `rows` sees is still there and may be written behind. */
bool kv_may_go_back(const struct kv *kv, const struct kv_held *h, uint32_t rows);

/* Counts a change before it is made: `was` becomes `is`, which may stand in tables of others, and `coming` rows are added. n_free
 * then says what will be free without the new blocks. by -1 takes that back; nothing else may happen in between but more of it. */
void kv_count(struct kv *kv, const struct kv_held *was, const struct kv_held *is, uint32_t coming, int by);
uint64_t kv_wanted(const struct kv *kv, const struct kv_held *h, uint32_t coming); /* pages of the new blocks */

/* Holds what another does, or less of its own, and nothing else any more. */
void kv_become(struct kv *kv, struct kv_held *mine, const struct kv_held *is);
/* Takes the blocks of `rows` more: they must have been counted. */
void kv_grow(struct kv *kv, struct kv_held *mine, uint32_t rows);

static inline uint8_t *const *kv_slot(const struct kv *kv, uint32_t layer, uint32_t slot)
{
    const struct kv_layer *l = &kv->layer[layer];
    return l->pages + (size_t)slot * l->n_pages;
}

/* Where a head's keys and values begin in a page. */
static inline size_t kv_keys_at(const struct kv *kv, uint32_t head)
{
    return (size_t)head * kv_half_bytes(kv->head_dim, kv->type);
}

static inline size_t kv_values_at(const struct kv *kv, uint32_t head)
{
    return kv_keys_at(kv, kv->kv_heads + head);
}
