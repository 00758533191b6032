/* partition/plan/replicas.h — which workers make which replica, where several pipelines are to hold the same model. Pure.
 *
 *   8 workers  ─► 1 replica of 8   ─► each group is planned as a pipeline of its own (plan_make), with its share of the sequences
 *              ─► 2 replicas of 4  ─► and what all give together, for what the wish is for (rates.h), decides
 *              ─► 3 …
 *
 * Workers are dealt out, the strongest first, each to the group that has least so far, so groups are alike, or taken in their order where that
 * is as good; beyond the reach of what follows once by speed and once by memory. Workers that offer the same are one class, and only how many of each class are in a group
 * counts. Where there are no more than REPLICAS_KINDS kinds of groups the best of all ways is found, by the same programme over sets as in
 * order.h, and taken if it is better by REPLICAS_GAIN. */
#pragma once

#include "partition/plan/plan.h"

#define REPLICAS_KINDS 256
#define REPLICAS_GAIN 1.05 /* of another way; of more replicas than fewer too, by nominal speeds or where their groups cannot be of one size */

struct replicas {
    int n;        /* pipelines */
    int *of;      /* [workers] which of them each is of, from 0 */
    double value; /* tokens a second of all, or with AIM_LATENCY of the fastest */
    double one;   /* of all workers in one pipeline; 0: they do not hold it */
};

/* n: so many; 0: as many as give most, `most` at most. The wish's capacity and `together` are those of all. E_MEMORY and the like as of
 * plan_make, of a group that does not hold the model. */
int replicas_make(struct replicas *out, const struct model_shape *shape, const struct worker_offer *offers, int workers,
                  const struct plan_wish *wish, int n, int most, struct err *why);
void replicas_free(struct replicas *r);

/* What falls to each of n. */
struct capacity replica_capacity(const struct capacity *all, int n);
struct plan_wish replica_wish_of(const struct plan_wish *all, int n, int of_workers, int workers);
