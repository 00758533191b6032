/* coordinator/report/expected.h — what the plan's speeds expect of the very micro-batches that were sent, to stand beside what they took.
 *
 * A watcher of the engine adds up, for each micro-batch and stage, how long so many rows at these positions should take by the curves that
 * were measured before (partition/plan/speed.h). The time of all follows from the busiest stage, or from how long a micro-batch is under
 * way and how many of them were in the mean. Where workers were not measured, and after a loss, nothing is expected. Pictures are not. */
#pragma once

#include "coordinator/cluster/pipeline.h"
#include "coordinator/engine/watch.h"

struct expected {
    const struct pipeline *pipe;
    double busy[STAGES_MOST], lines[STAGES_MOST]; /* seconds of each stage, and of its lines */
    double way;               /* seconds of all micro-batches from the first message to the last */
    double rows;
    uint64_t under_way, at_ns; /* micro-batches, since then */
    double flight_ns, open_ns; /* sum of how many were under way, and how long there was one */
};

void expected_begin(struct expected *x, const struct pipeline *p);
void expected_watch(void *user, const struct happened *what); /* `user` is the struct expected */

/* False: nothing can be said. */
bool expected_known(const struct expected *x);
double expected_wall(const struct expected *x); /* seconds with something under way */
bool expected_few_cores(const struct expected *x);
double expected_in_flight(const struct expected *x); /* micro-batches under way, in the mean, as it was */

/* A stage as it was expected and as it was. Parts of the time with something under way. */
struct compared {
    double row[2];     /* seconds that a row computes: expected, measured */
    double waiting[2], sending[2];
    double memory[2];  /* bytes */
    uint64_t beside;   /* of those that are planned: what the program takes beside its part */
    double busy;       /* measured */
    double stopped;    /* measured, more than its ration explains: its process stood still */
};

struct compared_run {
    double wall[2]; /* seconds: expected, measured */
    double in_flight, in_flight_most;
    bool few_cores; /* stages of one machine would use more cores together than it has */
};

/* Which difference is the largest, and what it probably comes from, in one sentence. Stages wait for whoever is late, so of a run that took longer
 * waiting is named last: first who stood still, then who computed longer a row, then whose line was busy longer, if it was that for a third of
 * what the run took longer. Who stood still computed longer rows too, and others waited for it as for a slow message. */
void difference_say(char out[400], const struct compared *stages, int n, const struct compared_run *run);
