/* coordinator/cmd/job_run.h — a file of lines, answered and resumable at any moment: what `batch` and `eval` have in common. */
#pragma once

#include "coordinator/batch/batch.h"
#include "coordinator/cmd/session.h"

struct job_kind {
    bool tasks; /* the lines are questions of a test */
    enum task_filter filter;
    /* All lines have results; NULL: nothing is said of them. */
    int (*sum_up)(struct session *s, struct journal *j, size_t lines, struct err *why);
};

int job_run(const struct options *o, const struct job_kind *kind, const struct cluster_wish *wish, struct port *mpi, struct err *why);
