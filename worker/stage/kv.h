/* worker/stage/kv.h — keys and values of every slot, in pages of KV_PAGE positions, f16.
 *
 *   page   keys [kv_heads][KV_PAGE / 16][head_dim][16], then values [kv_heads][KV_PAGE][head_dim]
 *
 * One head's keys of a page lie together, because attention reads them so, and in panels of 16 positions, one lane each,
 * so that it needs no sums across a vector: a new key touches head_dim places, once, and is read thousands of times. A slot
 * has all its pages from the start: a plan promises `sequences` of `context` positions each, and a pool shared between slots
 * could break that promise in the middle of an answer. A local layer holds a ring: position p goes where p - KV_PAGE * pages
 * was, which no row of this micro-batch or a later one can see any more. Nothing is cleared when a slot starts anew; positions
 * a sequence has not written are never looked at. */
#pragma once

#include "partition/model/memory.h"

struct kv_layer {
    uint32_t n_pages; /* of one slot */
    uint16_t **pages; /* [sequences][n_pages] */
};

struct kv {
    uint32_t kv_heads, head_dim, layers;
    struct kv_layer *layer; /* of the stage, from 0 */
    uint16_t **tables;      /* what all `pages` point into */
};

uint64_t kv_bytes(const struct model_config *c, struct part s, const struct capacity *cap);

/* Cuts `memory` (kv_bytes long, 64-byte aligned, owned by the caller) into pages. */
int kv_open(struct kv *kv, const struct model_config *c, struct part s, const struct capacity *cap, void *memory,
            struct err *why);
void kv_close(struct kv *kv);

static inline uint16_t *const *kv_slot(const struct kv *kv, uint32_t layer, uint32_t slot)
{
    const struct kv_layer *l = &kv->layer[layer];
    return l->pages + (size_t)slot * l->n_pages;
}

/* Where a head's keys and values begin in a page, in f16 elements. */
static inline size_t kv_keys_at(const struct kv *kv, uint32_t head)
{
    return (size_t)head * KV_PAGE * kv->head_dim;
}

static inline size_t kv_values_at(const struct kv *kv, uint32_t head)
{
    return kv_keys_at(kv, kv->kv_heads + head);
}
