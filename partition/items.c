/* partition/items.c — layers and head laid out in one row of items, with prefix sums of their times. */
#include "partition/items.h"

#include "partition/cost.h"

#include <stdlib.h>
#include <string.h>

#define PICOSECONDS 1e12
#define TIME_MOST 1e15 /* of one item: a quarter of an hour; sums over any number of layers stay exact */

static uint64_t picoseconds(double seconds)
{
    const double t = seconds * PICOSECONDS;
    return t < 1 ? 1 : t > TIME_MOST ? (uint64_t)TIME_MOST : (uint64_t)t;
}

int items_open(struct items *out, const struct model_shape *shape, const struct capacity *capacity, struct err *why)
{
    uint32_t layers = shape->config.layers;
    if (!capacity->context || !capacity->sequences || !capacity->rows || !capacity->in_flight)
        return fail(why, E_USAGE,
                    "a plan needs a context, sequences, rows and micro-batches of at least 1; it was given "
                    "%u, %u, %u and %u",
                    capacity->context, capacity->sequences, capacity->rows, capacity->in_flight);
    struct items it = {.shape = shape, .capacity = capacity, .n = layers + 1};
    size_t in_layers = (size_t)layers * W_LAYER_ROLES;
    it.tensors = malloc((in_layers + 2) * sizeof *it.tensors);
    it.time = malloc((it.n + 1) * sizeof *it.time);
    if (!it.tensors || !it.time) {
        items_close(&it);
        return fail(why, E_MEMORY, "no memory to plan %u layers", layers);
    }
    memcpy(it.tensors, shape->layer_tensors, in_layers * sizeof *it.tensors);
    it.tensors[in_layers] = shape->output_norm;
    it.tensors[in_layers + 1] = shape->head;
    it.time[0] = 0;
    for (uint32_t i = 0; i < it.n; i++) {
        const struct share one = items_share(&it, i, i + 1);
        const bool prompts = prompts_decide(capacity);
        it.time[i + 1] = it.time[i] + picoseconds(prompts ? prefill_seconds(shape, one, capacity) : decode_seconds(shape, one, capacity));
    }
    *out = it;
    return 0;
}

void items_close(struct items *it)
{
    free(it->tensors);
    free(it->time);
    *it = (struct items){0};
}

struct share items_share(const struct items *it, uint32_t first, uint32_t end)
{
    uint32_t layers = it->n - 1;
    return (struct share){.first = first, .end = end < layers ? end : layers, .part_end = end == it->n ? HEAD_PARTS : 0};
}

struct stage_bytes items_bytes(const struct items *it, uint32_t first, uint32_t end, const struct worker_offer *offer)
{
    return stage_bytes(&it->shape->config, items_share(it, first, end), it->tensors + (size_t)first * W_LAYER_ROLES,
                       it->capacity, offer->threads > 0 ? offer->threads : 1);
}

double items_seconds(const struct items *it, uint32_t first, uint32_t end, const struct worker_offer *offer)
{
    return (double)(it->time[end] - it->time[first]) / PICOSECONDS / offer_power(offer);
}
