/* coordinator/cmd/wish.h — from the words of a command line to what the rest of the program understands.
 *
 * Nothing outside coordinator/cmd knows a command-line option. Lists such as "12,11,11" and the cluster file are read here. */
#pragma once

#include "coordinator/cluster/cluster_file.h"
#include "coordinator/cluster/pipeline.h"
#include "coordinator/cmd/options.h"

struct wish_lists; /* what the wish points to */

/* Free `lists` after the pipeline is closed, also on failure; NULL is fine. */
int wish_read(struct cluster_wish *out, struct wish_lists **lists, const struct options *o, struct err *why);
bool wish_by_measure(const struct options *o); /* whether what was measured is asked for */
void wish_free(struct wish_lists **lists);

/* Fills in what the cluster file says where the options say nothing: context, sequences and positions. */
void wish_complete(struct options *o, const struct wish_lists *lists);
