/* coordinator/cluster/other_ways.h — what the cores of this machine would do in another way: as one process, or as replicas. Said only where
 * all of it was measured, undisturbed, and where workers are started here and none was given memory of its own: then one process is no way out.
 *
 * The files are opened anew, so a pipeline at work is not touched. */
#pragma once

#include "coordinator/cluster/cluster_wish.h"

#define OTHER_WAYS_TEXT 480

struct other_ways { /* tokens a second of what the wish is for; 0: not known */
    int workers, replicas;   /* of the wish; replicas 0: one pipeline */
    double as_wished;
    int threads;             /* of the one process */
    double one_process;
    int best_replicas;       /* as many as would be fastest; 1: none is faster than one pipeline, or nobody looked */
    double of_replicas;
};

/* The same wish, as one process with as many threads as its workers have together, or as there are cores. False: it is no other way. If that are
 * as many as each worker has, it is as one of them, beside the others: there is nothing to measure. */
bool one_process_wish(struct cluster_wish *out, const struct cluster_wish *of);

void other_ways_find(struct other_ways *out, const struct cluster_wish *wish, const struct capacity *wanted);

/* Afterwards: how many replicas would be fastest, where none were wished for. That tries all ways to share out the workers, so who knows it sets it. */
void other_ways_try_replicas(struct other_ways *o, const struct cluster_wish *wish, const struct capacity *wanted);

/* One sentence: which is recommended, and whether that is more than such a prediction can tell; empty if nothing is known. */
void other_ways_say(char out[OTHER_WAYS_TEXT], const struct other_ways *o);
