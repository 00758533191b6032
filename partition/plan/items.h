/* partition/plan/items.h — what the planner places: the text layers in order, and the parts of the head in order.
 *
 * A stage is a run of layers and a run of parts. Times are whole picoseconds on one nominal thread, or of a worker that was
 * measured, so that sums do not depend on where they began and equal parts have equal times: ties are ties. Each item has two:
 *
 *                   first                           second
 *   sequences       a group of tokens               a micro-batch of prompt rows through the layers; parts take none
 *   one sequence    a micro-batch of prompt rows    one token through parts of the head; layers take none
 *
 * Several sequences keep all stages busy, so the slowest stage decides, and then how fast a prompt streams through; of the
 * head that needs one row of the last micro-batch only. The tokens of one sequence pass all layers wherever they are, so
 * its prompt decides (plan_in_order.h); but all workers read their parts of the head for a token at once, so then
 * the largest of these counts. */
#pragma once

#include "partition/plan/plan.h"

#define PICOSECONDS 1e12

struct times {
    uint64_t *layer;               /* [layers + 1]: of layers 0..i-1 */
    uint64_t part[HEAD_PARTS + 1]; /* of parts 0..p-1 */
};

struct pace { /* of a worker */
    struct times first, second;
};

struct items {
    const struct model_shape *shape;
    const struct capacity *capacity;
    const struct worker_offer *offers;
    int workers;
    bool prompts;
    struct pace *pace; /* [1 + workers]: of a nominal thread, then of each worker that was measured; others have none */
    uint32_t layers;
    uint32_t parts;         /* of the head that have words: a small vocabulary fills fewer than HEAD_PARTS */
    struct tensor *list;    /* room for all layers and the head, in which items_bytes puts a part's tensors together */
};

int items_open(struct items *out, const struct model_shape *shape, const struct capacity *capacity, const struct worker_offer *offers,
               int workers, bool prompts, struct err *why); /* prompts: a prompt's micro-batch is what comes first, as with one sequence */
void items_close(struct items *it);

struct part_bytes items_bytes(const struct items *it, struct part s, const struct worker_offer *offer);

/* Times of a worker, to be divided by its offer_power; and the seconds that follow from them. */
const struct pace *items_pace(const struct items *it, int worker);
double items_first(const struct items *it, struct part s, int worker);
double items_second(const struct items *it, struct part s, int worker);
