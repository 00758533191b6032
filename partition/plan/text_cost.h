/* partition/plan/text_cost.h — how long a stage of the text would take, before it exists.
 *
 * A stage that runs b rows reads its weights once and multiplies them b times, so its time is the larger of the two;
 * keys and values are read for every row anew and are added. Small groups are bound by memory, prompts by arithmetic;
 * the head weighs much in the first (a 4B head is read like 13 layers) and nearly nothing in the second, where only
 * the last row of a prompt needs it. speed.h says how fast a worker does either. Numbers in, numbers out. */
#pragma once

#include "partition/plan/plan.h"

/* `position` is that of the rows: how much there is to look back at. */
struct item_work layer_work(const struct model_shape *shape, uint32_t layer, uint32_t position);
struct item_work head_work(const struct model_shape *shape, struct part s); /* of the sixteenths of the head that it has */

/* Rows of a decode micro-batch when all sequences answer: the scheduler's even group. */
uint32_t decode_rows(const struct capacity *cap);
uint32_t decode_groups(const struct capacity *cap); /* so many of them are under way then */

/* Seconds of `rows` rows at that position through the layers of this part, and of `head_rows` through its share of the head.
 * `speed` NULL: of one nominal thread. */
double part_seconds(const struct speed *speed, const struct model_shape *shape, struct part s, uint32_t position, double rows, double head_rows);

/* Seconds of one micro-batch at a worker as fast as that, half-way through the context: one with an even group of tokens, and
 * one full of prompt rows, of which the head computes one. `speed` NULL: one nominal thread. */
double decode_seconds(const struct speed *speed, const struct model_shape *shape, struct part s, const struct capacity *cap);
double prefill_seconds(const struct speed *speed, const struct model_shape *shape, struct part s, const struct capacity *cap);

/* Seconds of a decode micro-batch once through all stages, each at its worker's speed: the layers one after the other, and the
 * head's parts at the same time, so of these the largest. */
double lap_seconds(const struct model_shape *shape, const struct part *parts, const struct worker_offer *offers, int stages,
                   const struct capacity *cap);

/* How many nominal threads a worker is worth in the long run: speed * threads, at least a sliver, in the part of the time in which its
 * ration lets it compute. For one that was measured that part alone: its seconds are of all its threads. */
double offer_power(const struct worker_offer *offer);
double nominal_power(const struct worker_offer *offer); /* the same, measured or not */
