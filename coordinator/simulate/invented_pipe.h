/* coordinator/simulate/invented_pipe.h — a pipeline that does not exist, at work: the engine, the scheduler and the roster are the very
 * ones that run, workers and links are invented, and time is what they are said to take.
 *
 *   load ──► engine ──► port of a simulation ──► invented workers, each as long at work as part_seconds says
 *    ▲         │                                        │
 *    └─────────┴── tally, run_chart (watchers) ◄────────┘ what each did: its diary
 *
 * What is left out: pictures, the time the coordinator itself takes, and memory that is slower for several workers of one machine. Cores are not:
 * of workers that are on one and would use more of them together than there are, some wait.
 * A stage computes as long as the plan expects of that many rows at those positions, drawn around that with the worker's jitter. A link
 * is busy while a message leaves, then it is on its way for the link's delay; a message that is lost comes LOSS_SECONDS later.
 * Seeded: the same numbers in, the same numbers out. */
#pragma once

#include "coordinator/cluster/cluster_file.h"
#include "coordinator/report/run_chart.h"
#include "coordinator/report/tally.h"
#include "coordinator/report/trace.h"

#define INVENTED_BEGIN_NS 1000000000ull /* in charts and traces: the first request comes then */

struct invented_ask {
    double at; /* seconds after the first */
    uint64_t number; /* by which it is known in the chart */
    uint32_t prompt, answer; /* tokens */
};

struct invented_load {
    uint32_t requests;
    uint64_t first; /* number of those that are drawn */
    const struct invented_ask *asks; /* [requests], in order; NULL: they are drawn, as follows */
    double arrivals;  /* of them a second, at random moments; 0: all are there at the start */
    uint32_t prompt[2], answer[2]; /* tokens: least, most, drawn evenly */
    uint64_t seed;
};

struct invented_pipe {
    const struct model_shape *shape;
    const struct plan *plan;
    const struct worker_offer *offers;  /* [plan->workers] */
    const struct cluster_link *links;   /* [plan->workers], as was said; ways of which nothing was are as measured (plan_hop). NULL: all, and no jitter */
    int replica, replicas;              /* in the chart and the trace */
};

struct invented_run {
    double seconds;                  /* from the first request to the last token */
    uint64_t requests, prompt_rows, tokens, batches, rows;
    double bytes;                    /* over all links */
    double busy[WORKERS_MOST];       /* part of the time each worker computed */
    uint64_t pages[WORKERS_MOST];    /* of keys and values that each held at once, at most; the plan has room for kv_pool_pages */
    struct tally tally;              /* times of requests; the caller's, zero before the first run, and added to */
};

/* Adds to out->tally, and sets all else. `chart`, `trace`: what happened is added to them, for whoever finishes them; NULL: nobody looks. */
int invented_run(struct invented_run *out, const struct invented_pipe *pipe, const struct invented_load *load, struct chart *chart, struct trace *trace,
                 struct err *why);
