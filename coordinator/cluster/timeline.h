/* coordinator/cluster/timeline.h — what every stage computed when, brought together on this process's clock.
 *
 * Workers keep a diary (base/diary.h); this fetches them when the work is done, and says how much of it overlapped. */
#pragma once

#include "coordinator/cluster/pipeline.h"

struct moment {
    int worker; /* of the plan, from 0 */
    struct diary_span span; /* times are clock_ns of this process */
};

struct timeline {
    struct moment *moment; /* by worker, then in order */
    size_t n, room;
    uint64_t forgotten; /* intervals that were older than a diary goes back */
};

/* Asks every worker that has something to compute. Call it while nothing is under way. */
int timeline_fetch(struct timeline *out, struct pipeline *p, struct err *why);
void timeline_free(struct timeline *t);

/* How far another's clock is ahead of ours, if it said `theirs_ns` between our sending and hearing. 0 where that may be. */
int64_t timeline_ahead(uint64_t sent_ns, uint64_t heard_ns, uint64_t theirs_ns);

struct overlap {
    double seeing;       /* seconds in which a stage computed a picture */
    double with_picture; /* of these, while another stage computed another picture */
    double with_rows;    /* of these, while another stage computed rows */
};
int timeline_overlap(struct overlap *out, const struct timeline *t, struct err *why);
