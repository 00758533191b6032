/* coordinator/report/pipeline_json.h — the pipeline at this moment, for whoever draws it: who holds what, and the counters that grow. Stages of
 * replicas follow each other; epoch and losses are sums.
 *
 * Rates are for the reader to take: of two moments, by now_ns. */
#pragma once

#include "coordinator/cluster/pipeline.h"
#include "coordinator/engine/fleet.h"
#include "coordinator/report/tally.h"

struct pipeline_moment {
    const char *model; /* its name */
    uint64_t now_ns;
    uint32_t running;  /* requests under way */
};

/* Malloc'd, *n bytes; NULL without memory. Asks the workers for newer counters, for the next time. */
char *pipeline_json(const struct fleet *f, const struct tally *t, const struct pipeline_moment *m, size_t *n);
