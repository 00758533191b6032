/* coordinator/serve/metrics.h — counts and histograms for a Prometheus that asks now and then. Any thread. */
#pragma once

#include "coordinator/serve/call.h"

struct metrics;

int metrics_open(struct metrics **out, struct err *why);
void metrics_close(struct metrics **m);

/* One request is over. */
void metrics_count(struct metrics *m, const struct call_numbers *n);
void metrics_refused(struct metrics *m); /* one that never was a call */
void metrics_state(struct metrics *m, uint32_t running, uint32_t waiting);

void metrics_pipeline(struct metrics *m, uint32_t epoch, uint32_t losses);

/* The page, malloc'd; NULL without memory. `model` is a label. */
char *metrics_page(struct metrics *m, const char *model, size_t *n);
