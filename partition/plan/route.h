/* partition/plan/route.h — the way through the workers: who computes the layers of a chain, in the order rows travel.
 *
 * A worker's number says nothing about its place: the text may pass workers 0, 1, 2 and pictures 2, 0. A chain may have
 * several routes, each with all of its layers; whole copies of the encoder are routes of one worker. */
#ifndef PARTITION_PLAN_ROUTE_H
#define PARTITION_PLAN_ROUTE_H

#include "base/limits.h"
#include "partition/plan/plan.h"
#include "partition/plan/vision_plan.h"

struct route {
    uint16_t n;
    uint16_t worker[STAGES_MOST]; /* [n], numbers of the plan, from 0 */
};

struct routes {
    struct route text;  /* n 0: no text model */
    struct route *see;  /* [n_see], of pictures */
    int n_see;
};

/* Where rows go from this worker on: a worker, or -1: the coordinator. */
int route_after(const struct route *r, int worker);
static inline int route_first(const struct route *r)
{
    return r->worker[0];
}
static inline int route_last(const struct route *r)
{
    return r->worker[r->n - 1];
}

/* The routes of these plans; either may be NULL. Free with routes_free. */
int routes_of(struct routes *out, const struct plan *text, const struct vision_plan *vision, struct err *why);
void routes_free(struct routes *r);

#endif
