/* partition/items.h — what the planner places: the text layers as items 0..n-2, then the head as item n-1.
 *
 * A stage is a run of items [first, end). Times are whole picoseconds, so that sums do not depend on where they began
 * and equal shares have equal times: ties are ties. */
#ifndef PARTITION_ITEMS_H
#define PARTITION_ITEMS_H

#include "partition/plan.h"

struct items {
    const struct model_shape *shape;
    const struct capacity *capacity;
    uint32_t n;
    struct tensor *tensors; /* of all items in order, so the tensors of any run lie together */
    uint64_t *time;         /* [n + 1]: time[i] of items 0..i-1, one thread of speed 1, the micro-batch to balance */
};

int items_open(struct items *out, const struct model_shape *shape, const struct capacity *capacity, struct err *why);
void items_close(struct items *it);

struct share items_share(const struct items *it, uint32_t first, uint32_t end);
struct stage_bytes items_bytes(const struct items *it, uint32_t first, uint32_t end, const struct worker_offer *offer);
double items_seconds(const struct items *it, uint32_t first, uint32_t end, const struct worker_offer *offer);

/* The plan in which worker i gets the items ends[i-1]..ends[i]-1. Memory is not looked at. */
void plan_fill(struct plan *out, const struct items *it, const struct worker_offer *offers, const uint32_t *ends,
               int workers);

/* E_USAGE unless that many workers can have something each. */
int plan_check_workers(const struct items *it, int workers, struct err *why);

/* E_MEMORY naming the worker that lacks most and the missing bytes, if any stage is over its worker's memory. */
int plan_check_memory(const struct plan *plan, const struct worker_offer *offers, struct err *why);

#endif
