/* partition/plan/cost.h — how long a stage would take, before it exists: bytes to read, sums to do, a roofline over both.
 *
 * A stage that runs b rows reads its weights once and multiplies them b times, so its time is the larger of the two;
 * keys and values are read for every row anew and are added. Small groups are bound by memory, prompts by arithmetic;
 * the head weighs much in the first (a 4B head is read like 13 layers) and nearly nothing in the second, where only
 * the last row of a prompt needs it.
 *
 * The two speeds are nominal, of one thread: until a worker is measured only their ratio and the ratios of costs mean
 * something. Threads count in full, which flatters machines with many cores on few memory channels; `speed` of an offer
 * corrects that. Numbers in, numbers out. */
#ifndef PARTITION_PLAN_COST_H
#define PARTITION_PLAN_COST_H

#include "partition/plan/plan.h"

#define NOMINAL_BYTES_PER_SECOND 15e9 /* weights or keys and values, read by one thread */
#define NOMINAL_MACS_PER_SECOND 150e9 /* int8 multiply-adds of one thread */
#define FLOAT_MAC_PRICE 4.0           /* int8 multiply-adds in the time of one of F16, BF16 or F32 weights */
#define NOMINAL_HOP_SECONDS 200e-6    /* a message to another worker and one back, over a usual network */

/* One item, a layer or parts of the head. */
struct item_work {
    double bytes;    /* of weights, read once per micro-batch */
    double macs;     /* multiply-adds per row */
    double kv_bytes; /* of keys and values read per row, none for the head */
    double kv_macs;  /* with them, per row */
};

/* `position` is that of the rows: how much there is to look back at. */
struct item_work layer_work(const struct model_shape *shape, uint32_t layer, uint32_t position);
struct item_work head_work(const struct model_shape *shape, struct part s); /* of the parts that the share has */

/* Seconds for `rows` rows of an item on one nominal thread. */
double item_seconds(const struct item_work *w, double rows);

/* Rows of a decode micro-batch when all sequences answer: the scheduler's even group. */
uint32_t decode_rows(const struct capacity *cap);
uint32_t decode_groups(const struct capacity *cap); /* so many of them are under way then */

/* Seconds of one micro-batch on one nominal thread, half-way through the context: one with an even group of tokens, and
 * one full of prompt rows, of which the head computes one. */
double decode_seconds(const struct model_shape *shape, struct part s, const struct capacity *cap);
double prefill_seconds(const struct model_shape *shape, struct part s, const struct capacity *cap);

/* Seconds of a decode micro-batch once through all stages, each at its worker's speed: the layers one after the other, and the
 * head's parts at the same time, so of these the largest. */
double lap_seconds(const struct model_shape *shape, const struct part *parts, const struct worker_offer *offers, int stages,
                   const struct capacity *cap);

/* Which of the two the planner balances. Several sequences keep all stages busy with their tokens, and those come as often
 * as the slowest stage lets them. The tokens of a sequence alone pass one stage after the other and take the sum, however
 * the layers are cut: then its prompt, which streams through all stages, decides. */
static inline bool prompts_decide(const struct capacity *cap)
{
    return cap->sequences == 1;
}

/* How many nominal threads a worker is worth: speed * threads, at least a sliver. */
double offer_power(const struct worker_offer *offer);

#endif
