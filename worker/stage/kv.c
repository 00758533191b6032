/* worker/stage/kv.c — see kv.h. */
#include "worker/stage/kv.h"

#include <stdlib.h>

uint64_t kv_bytes(const struct model_config *c, struct part s, const struct capacity *cap)
{
    uint64_t pages = 0;
    for (uint32_t i = s.first; i < s.end; i++) pages += (uint64_t)kv_pages(c, i, cap) * cap->sequences;
    return pages * kv_page_bytes(c);
}

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

int kv_open(struct kv *kv, const struct model_config *c, struct part s, const struct capacity *cap, void *memory,
            struct err *why)
{
    uint64_t page_elems = kv_page_bytes(c) / sizeof(uint16_t);
    size_t total = (size_t)(kv_bytes(c, s, cap) / kv_page_bytes(c)), page = 0;
    *kv = (struct kv){.kv_heads = c->kv_heads, .head_dim = c->head_dim, .layers = s.end - s.first};
    kv->layer = calloc(kv->layers + 1, sizeof *kv->layer);
    kv->tables = malloc((total + 1) * sizeof *kv->tables);
    if (!kv->layer || !kv->tables)
        return fail(why, E_MEMORY, "no memory for the table of %zu pages of keys and values", total);
    for (size_t i = 0; i < total; i++) kv->tables[i] = (uint16_t *)memory + i * page_elems;
    for (uint32_t i = 0; i < kv->layers; i++) {
        TRY(check_ring(c, s.first + i, cap, why));
        kv->layer[i] = (struct kv_layer){kv_pages(c, s.first + i, cap), kv->tables + page};
        page += (size_t)kv->layer[i].n_pages * cap->sequences;
    }
    return 0;
}

void kv_close(struct kv *kv)
{
    free(kv->layer);
    free(kv->tables);
    *kv = (struct kv){0};
}
