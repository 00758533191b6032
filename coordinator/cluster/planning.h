/* coordinator/cluster/planning.h — from what is wanted and who is there to the plan, with workers that have answered or before anyone
 * was asked.
 *
 * Both ways ask the same planner (partition/plan/plan.h) with the same wish. They differ only in how it is known what a worker
 * offers: it has said so, or it is foreseen. Workers that would be started here will have this machine's cores, shared out, and in
 * sum its memory: that is certain. Of workers that listen elsewhere only what the wish says of them is known; where it says
 * nothing a worker has one thread and no limit of memory.
 *
 * The layers may lie in other *ways* than is best, so that others compute them. Of n workers with text, in ways 1 to n - 1 each has what
 * another one has in way 0; in ways n to 2n - 2 they stand in the same other order, and layers are cut as is best, which fits where memories differ. */
#pragma once

#include "coordinator/cluster/pipeline.h"
#include "partition/plan/replicas.h"

/* Makes p->plan anew from the answers of p->crew, in p->way, or in way 0 if that is not possible; after a failure there is the same as before.
 * Fewer workers than were wanted are planned for freely, whatever was said by hand. */
int planning_with_answers(struct pipeline *p, const struct capacity *wanted, struct err *why);

/* Whether such a plan could be made with these workers instead. */
bool planning_is_possible(const struct pipeline *p, struct member *const *crew, int workers, const struct capacity *wanted);

int planning_ways(const struct pipeline *p); /* that there could be, 0 included */
/* Who would compute each layer in this way, then the head: NULL if several do. False: there is no such plan. */
bool planning_way(const struct pipeline *p, const struct capacity *wanted, int way, const struct member **by);
/* The crew as way 0 has it; the plan stays what it is. */
void planning_crew_back(struct pipeline *p);

/* What had to be assumed of workers that nobody asked. */
struct foresight {
    bool here;      /* they would be started on this machine */
    bool too_small; /* it has too little memory for that: it was planned as if each had a machine of its own */
    struct err lack; /* then: what it lacks */
};

int planning_measured(struct pipeline *p, bool *all, struct err *why); /* whether all of the workers were, as far as is known */

/* Which workers are to make which of p->wish.replicas, of a pipeline that was opened without workers, or whose ranks were heard
 * (pipeline_hear); free with replicas_free. p->offers say what each may use. By nominal speeds, and with no limit of memory, where nothing
 * is known: *blind then. */
int planning_replicas(struct pipeline *p, const struct capacity *wanted, struct replicas *out, bool *blind, struct err *why);

/* What a pipeline that was opened without workers will give, in tokens a second of what the wish is for; 0: not all were measured, or it does not fit. */
int planning_value(struct pipeline *p, const struct capacity *wanted, double *value, struct err *why);

/* Makes p->plan, p->workers and p->offers of a pipeline that was opened without workers. */
int planning_foresees(struct pipeline *p, const struct capacity *wanted, struct foresight *out, struct err *why);
