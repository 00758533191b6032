/* coordinator/report/run_chart.h — a run as a chart (chart.h): what the engine sent, and what the stages wrote in their diaries.
 *
 * Memory: 136 bytes for each of the last RUN_CHART_BATCHES micro-batches and pictures of a replica, 32 for each of the first RUN_CHART_ASKS asks; diaries go back 8192 intervals each. */
#pragma once

#include "coordinator/cluster/timeline.h"
#include "coordinator/engine/watch.h"
#include "coordinator/report/chart.h"

#define RUN_CHART_BATCHES 16384
#define RUN_CHART_ASKS 16384

struct run_chart;

struct charted_ask {
    uint64_t came_ns, number;
    int replica; /* that computed it, at last */
    uint32_t prompt, answer; /* rows that were to be computed; tokens */
};

int run_chart_open(struct run_chart **out, struct err *why);
void run_chart_close(struct run_chart **r); /* NULL is fine */

/* A watcher of the engine; `user` is the run_chart. */
void run_chart_watch(void *user, const struct happened *what);

/* What happened in one replica, where `line` holds what its workers did; not finished. *out is freed with chart_free, also after a failure. */
int run_chart_fill(struct chart *out, const struct run_chart *r, const struct pipeline *p, const struct timeline *line, int replica, struct err *why);
/* Adds when all began again, whatever became of the replica. */
int run_chart_mark(struct chart *all, const struct run_chart *r, struct err *why);
struct chart_sums run_chart_sums(const struct run_chart *r); /* of all replicas; how many are shown is the caller's to say */

/* What was asked, in order of its numbers, as far as it ended: [*n], the chart's. NULL: more than can be kept, or with pictures. */
const struct charted_ask *run_chart_asks(const struct run_chart *r, size_t *n);
