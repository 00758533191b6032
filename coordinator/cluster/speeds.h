/* coordinator/cluster/speeds.h — what is known of how fast the workers of a pipeline are: found in the store (speed_store.h), kept there
 * after they were measured (probing.h), refined by what runs take. */
#pragma once

#include "coordinator/cluster/pipeline.h"

/* Fills p->known with what is kept of each worker and still true. True if it is of all. */
bool speeds_known(struct pipeline *p);
/* The same for workers that nobody asked: they must be of this machine, or have been measured at these addresses. */
bool speeds_foreseen(struct pipeline *p);

/* A run took so many times as long as expected, [workers]: half of that is believed, and kept. What was expected so badly that it is more
 * than twice or less than half is forgotten, so that the next launch measures anew. */
void speeds_refine(struct pipeline *p, const double *ratio);

/* A number for where a worker of the crew is (struct speed). */
uint64_t speed_self(const struct pipeline *p, int worker);

/* So many of the crew are on this one's machine, itself included. */
uint32_t crowd_of(const struct pipeline *p, int worker);

/* Of the crew, until a plan orders it anew. */
struct known_speed *speed_of(const struct pipeline *p, int worker);

/* On one machine, and the same in all they say. */
bool workers_are_alike(const struct pipeline *p, int a, int b);
bool crew_is_alike(const struct pipeline *p);

/* They were measured, as far as there was time: those that are alike get the mean, as a plan should not follow noise; what is missing is
 * derived (partition/plan/derive.h), of a worker of which nothing is known from another one. It is kept. */
int speeds_keep(struct pipeline *p, struct err *why);

/* Keeps it once more, with what was added. */
void speeds_store(const struct pipeline *p);

/* What of it was not plainly measured, in a sentence; empty: nothing. */
#define SPEED_REMARK 200
void speed_remark(char out[SPEED_REMARK], const struct known_speed *k, int worker);
