/* coordinator/serve/metrics.h — counts and histograms for a Prometheus that asks now and then. Any thread.
 *
 * Under names of our own; and, if wanted, what vLLM's dashboards ask for, under its names, with its labels and buckets. */
#pragma once

#include "coordinator/serve/call.h"

struct metrics;

int metrics_open(struct metrics **out, bool as_vllm, struct err *why);
void metrics_close(struct metrics **m);

/* One request is over. */
void metrics_count(struct metrics *m, const struct call_numbers *n);
void metrics_gap(struct metrics *m, uint64_t ns); /* from one token of an answer to the next */
void metrics_refused(struct metrics *m); /* one that never was a call */
void metrics_state(struct metrics *m, uint32_t running, uint32_t waiting);

void metrics_pipeline(struct metrics *m, const struct engine_totals *now);

/* The page, malloc'd; NULL without memory. `model` is a label. */
char *metrics_page(struct metrics *m, const char *model, size_t *n);
