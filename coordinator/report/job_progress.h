/* coordinator/report/job_progress.h — how far a job of many lines is, while it runs: done, failed, tokens a second, time left, and how
 * busy each stage is. Workers are asked for their counters when a line is shown, once a second at most, and not waited for. */
#pragma once

#include "base/limits.h"
#include "base/log.h"
#include "coordinator/engine/fleet.h"
#include "coordinator/report/tally.h"

struct job_counts {
    uint64_t lines, done, failed; /* of the job, earlier runs included */
    uint64_t asked, unread;       /* lines of this run; those that wait to be read */
    uint64_t asked_bytes, unread_bytes;
};

/* Rows that are still to be computed: a prompt has as many for each byte of its line as those that were asked, an answer as many as
 * those that ended. Negative: not known yet. */
double rows_left(const struct job_counts *n, const struct tally *t, const struct engine_totals *e);

struct job_progress {
    struct progress shown;
    const struct fleet *fleet;
    const struct tally *tally;
    uint64_t asked_ns, said_ns; /* of the counters: when they were asked for last; what they said is of then */
    uint64_t busy_ns[WORKERS_MOST]; /* stages of replicas follow each other */
    double busy[WORKERS_MOST]; /* part of the time between the last two answers; negative: not known yet */
};

/* {0} to begin with. `tally` NULL: nothing is shown. */
void job_progress_begin(struct job_progress *p, const struct fleet *fleet, const struct tally *tally);
int job_progress_at(struct job_progress *p, const struct job_counts *n, struct err *why);
void job_progress_end(struct job_progress *p);
