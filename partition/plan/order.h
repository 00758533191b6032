/* partition/plan/order.h — which workers the text passes, and in which order, where machines and lines are unlike.
 *
 * For a number of stages and a limit of time for each of them it is found out exactly whether some of the workers, in some order, have
 * room and speed for all layers and the head; halving the limit then finds the fastest slowest stage. What is remembered is, for each
 * set of workers that was used up and each number of parts of the head, the most layers that they can have: who comes further with the
 * same workers leaves the others no more to do. Workers that offer the same are one class, and only how many of a class are used counts,
 * so forty machines of three kinds are as quick as a few. Up to twelve unlike ones are all told apart. Of more it is counted how many
 * layers each can have within the limit, and those who can have most are taken in the order they are offered: nearly as good, because layers are nearly alike (tests/unit/plan/order_test.c says how good).
 *
 * Where a sequence alone should be answered as soon as can be (latency) no stage waits for another, so the sum over the stages counts:
 * the same programme over sets, with the least sum instead of the most layers, and it says the cut too; of more than twelve unlike workers
 * the fastest count. */
#pragma once

#include "partition/plan/search.h"

#define UNLIKE_MOST 12

struct order {
    int n;                        /* stages */
    uint16_t worker[STAGES_MOST]; /* [n]: of those that were offered, in the order of the layers */
    struct cut cut[STAGES_MOST];  /* latency: what each gets */
};

/* What a worker costs whatever it has: seconds of a stage that no part of it comes below, because its lines take so long, and what it
 * adds to a lap. Both [workers]; NULL: nothing. */
struct order_job {
    struct search *search; /* opened with all workers that are offered */
    const struct worker_offer *offers;
    int workers;
    const double *line, *hop;
};

/* The fastest slowest stage of `stages` of the workers that is below `limit` seconds; false if there is none. */
bool order_slowest(struct order *out, const struct order_job *job, int stages, bool divided, double limit);
/* The least sum of a lap, with any number of stages and the head whole; false if nothing fits. */
bool order_least_sum(struct order *out, const struct order_job *job);
