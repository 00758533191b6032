/* tests/support/simulate.h — the scheduler on an invented cluster: what a pipe would do, told in milliseconds.
 *
 * Stages take as long as their curves say, with jitter, travel takes time, requests come at once or one after another. The very
 * code that schedules real links is driven here, so its habits (even groups, full pipes, no one forgotten) can be seen
 * and tested on clusters nobody has. Seeded: the same numbers in, the same numbers out. */
#pragma once

#include "base/error.h"
#include "base/limits.h"
#include "coordinator/engine/scheduler.h"
#include "partition/plan/text_cost.h"

struct sim_stage {
    struct curve rows;   /* seconds of a micro-batch by its rows */
    struct curve tokens; /* by the rows that want a token, the head; empty: it has none of it */
};

struct simulation {
    struct sim_stage stage[STAGES_MOST];
    int stages;
    struct hop hop;   /* from node to node, the way there and the way home included */
    double row_bytes; /* that a row travels with */
    double jitter; /* coefficient of variation of stage times (gamma distributed), 0 to 1; 0: none */
    struct scheduler_limits limits;
    uint32_t requests;
    uint32_t prompt_least, prompt_most; /* rows of a prompt, evenly between */
    uint32_t answer_least, answer_most; /* tokens of an answer, at least 1 */
    double arrivals;                    /* requests per second, at random moments; 0: all are there at the start */
    uint64_t seed;
};

struct sim_report {
    double seconds;                 /* of the whole */
    uint64_t batches, rows, tokens; /* tokens: sampled */
    double rows_per_second, tokens_per_second;
    double busy[STAGES_MOST]; /* part of the time each stage computed */
    double busiest;               /* the largest of these */
    double bubble;                /* 1 - mean of these */
    double ttft_mean, ttft_most;  /* seconds from arrival to first token */
    double pace_mean, pace_most;  /* seconds from token to token of one answer */
    uint32_t group_least, group_most; /* rows of a micro-batch while all requests answered: were groups even? */
};

struct curve curve_line(double fixed, double per_row); /* fixed + per_row * rows */

/* A stage as two curves: seconds for so many rows through its layers, half-way through the context, and for so many rows that want
 * a token through its part of the head; that one is empty where it has none. */
void stage_curves(struct curve *rows, struct curve *tokens, const struct model_shape *shape, struct part s,
                  const struct worker_offer *offer, const struct capacity *cap);

int simulate(struct sim_report *out, const struct simulation *in, struct err *why);
