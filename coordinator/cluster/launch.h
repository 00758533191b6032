/* coordinator/cluster/launch.h — every worker of a plan gets its part, or says that it has it already.
 *
 *            ASSIGN          ACCEPT: so much is here          PIECE… until all is there          all READY
 *   begin ─────────► workers ──────────────────────► launch ───────────────────────────► workers ─────────► done
 *
 * What is done about a loss on the way is for others (recover.h): they end the launch, and begin another one. */
#pragma once

#include "coordinator/cluster/pipeline.h"

struct launch;

/* The pipeline has a plan and a crew. Opens the plan's routes, in the pipeline's epoch. *out is set also on failure: launch_end. */
int launch_begin(struct launch **out, struct pipeline *p, struct err *why);

/* A frame of a worker, or a wake: there is more to send. */
int launch_take(struct launch *l, struct event *e, struct err *why);

/* All are ready. An error if a file was changed meanwhile. */
int launch_done(const struct launch *l, bool *done, struct err *why);

void launch_end(struct launch **l); /* before the pipeline gets another plan. Sets *l to NULL; NULL is fine */
