/* coordinator/cluster/replica_wishes.h — one wish for all workers becomes a wish for each replica: its addresses, its sizes of memory, its
 * share of this machine. Plain data. */
#pragma once

#include "coordinator/cluster/cluster_wish.h"

struct replica_wishes;

/* E_USAGE for workers that cannot be shared out to so many replicas. */
int replicas_check(const struct cluster_wish *all, int replicas, struct err *why);

/* of: [wish_places(all)], which replica each worker is of, from 0. What `all` points to must stay. */
int replica_wishes_open(struct replica_wishes **out, const struct cluster_wish *all, const int *of, int replicas, struct err *why);
void replica_wishes_close(struct replica_wishes **w); /* sets *w to NULL; NULL is fine */

const struct cluster_wish *replica_wish(const struct replica_wishes *w, int replica);
