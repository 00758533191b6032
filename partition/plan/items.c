/* partition/plan/items.c — layers and parts of the head, with prefix sums of their times. */
#include "partition/plan/items.h"

#include "partition/plan/text_cost.h"

#include <stdlib.h>
#include <string.h>

#define TIME_MOST 1e15 /* of one item: a quarter of an hour; sums over any number of layers stay exact */

static uint64_t picoseconds(double seconds)
{
    const double t = seconds * PICOSECONDS;
    return t < 1 ? 1 : t > TIME_MOST ? (uint64_t)TIME_MOST : (uint64_t)t;
}

typedef double measure(const struct speed *, const struct model_shape *, struct part, const struct capacity *);

static void sum_layers(struct times *t, const struct items *it, const struct speed *v, measure *seconds)
{
    for (uint32_t i = 0; i < it->layers; i++)
        t->layer[i + 1] = t->layer[i] + picoseconds(seconds(v, it->shape, (struct part){i, i + 1, 0, 0, false}, it->capacity));
}

static void sum_parts(struct times *t, const struct items *it, const struct speed *v, measure *seconds)
{
    for (uint32_t p = 0; p < HEAD_PARTS; p++) {
        const struct part one = {0, 0, p, p + 1, false};
        const bool words = p < it->parts;
        t->part[p + 1] = t->part[p] + (words ? picoseconds(seconds(v, it->shape, one, it->capacity)) : 0);
    }
}

static bool take_times(struct pace *out, const struct items *it, const struct speed *v)
{
    const bool prompts = it->prompts;
    out->first.layer = calloc(it->layers + 1, sizeof *out->first.layer);
    out->second.layer = calloc(it->layers + 1, sizeof *out->second.layer);
    if (!out->first.layer || !out->second.layer) return false;
    sum_layers(&out->first, it, v, prompts ? prefill_seconds : decode_seconds);
    sum_parts(&out->first, it, v, prompts ? prefill_seconds : decode_seconds);
    if (prompts) sum_parts(&out->second, it, v, decode_seconds);
    else sum_layers(&out->second, it, v, prefill_seconds);
    return true;
}

static bool take_all_times(struct items *it)
{
    it->pace = calloc((size_t)it->workers + 1, sizeof *it->pace);
    if (!it->pace || !take_times(&it->pace[0], it, NULL)) return false;
    for (int i = 0; i < it->workers; i++)
        if (it->offers[i].measured && !take_times(&it->pace[1 + i], it, it->offers[i].measured)) return false;
    return true;
}

int items_open(struct items *out, const struct model_shape *shape, const struct capacity *capacity, const struct worker_offer *offers,
               int workers, bool prompts, struct err *why)
{
    const uint32_t layers = shape->config.layers;
    if (!capacity->context || !capacity->sequences || !capacity->rows || !capacity->in_flight)
        return fail(why, E_USAGE,
                    "a plan needs a context, sequences, rows and micro-batches of at least 1; it was given "
                    "%u, %u, %u and %u",
                    capacity->context, capacity->sequences, capacity->rows, capacity->in_flight);
    struct items it = {.shape = shape, .capacity = capacity, .layers = layers, .offers = offers, .workers = workers, .prompts = prompts};
    it.list = malloc(((size_t)layers * W_LAYER_ROLES + 2) * sizeof *it.list);
    it.parts = part_head_parts(&shape->config, (struct part){.back_end = HEAD_PARTS});
    if (!it.list || !take_all_times(&it)) {
        items_close(&it);
        return fail(why, E_MEMORY, "no memory to plan %u layers", layers);
    }
    *out = it;
    return 0;
}

void items_close(struct items *it)
{
    free(it->list);
    for (int i = 0; it->pace && i <= it->workers; i++) {
        free(it->pace[i].first.layer);
        free(it->pace[i].second.layer);
    }
    free(it->pace);
    *it = (struct items){0};
}

struct part_bytes items_bytes(const struct items *it, struct part s, const struct worker_offer *offer)
{
    const struct model_config *c = &it->shape->config;
    const size_t in_part = (size_t)(s.end - s.first) * W_LAYER_ROLES;
    memcpy(it->list, it->shape->layer_tensors + (size_t)s.first * W_LAYER_ROLES, in_part * sizeof *it->list);
    it->list[in_part] = it->shape->output_norm;
    it->list[in_part + 1] = it->shape->head;
    it->list[in_part + 1].rows = part_words(c, s);
    return text_part_bytes(c, s, it->list, it->capacity, offer->threads > 0 ? offer->threads : 1);
}

const struct pace *items_pace(const struct items *it, int worker)
{
    return &it->pace[it->offers[worker].measured ? 1 + worker : 0];
}

static double seconds_of(const struct times *t, struct part s, const struct worker_offer *offer)
{
    const uint64_t sum = t->layer[s.end] - t->layer[s.first] + t->part[s.back_end] - t->part[s.back];
    return (double)sum / PICOSECONDS / offer_power(offer);
}

double items_first(const struct items *it, struct part s, int worker)
{
    return seconds_of(&items_pace(it, worker)->first, s, &it->offers[worker]);
}

double items_second(const struct items *it, struct part s, int worker)
{
    return seconds_of(&items_pace(it, worker)->second, s, &it->offers[worker]);
}
