/* coordinator/cluster/probing.h — workers are measured, after all have answered and before there is a plan: messages PROBE and PROBED.
 *
 *   the way to each, one after the other ─► some layers ─► a global layer far into a context ─► parts of the head ─► a layer of the encoder
 *
 * What is computed is asked of all workers at the same time and awaited of all, so that those who share a machine are measured with
 * each other beside them, as they will work. Workers of one machine that are alike in all they say are taken for equal: each gets the mean.
 * The way from one worker to another is not measured: a switch between them is assumed, and each one's own line to it
 * (partition/plan/rates.h).
 *
 * It takes about a second and a half, and what it finds out is kept (speed_store.h) and refined by what runs take. Like a launch it
 * has no loop of its own: whoever has one gives it the frames. */
#pragma once

#include "coordinator/cluster/pipeline.h"
#include "coordinator/cluster/speed_store.h"

struct probing;

/* Fills p->known with what is kept of each worker and still true. True if it is of all. */
bool speeds_known(struct pipeline *p);
/* The same for workers that nobody asked: they must be of this machine, or have been measured at these addresses. */
bool speeds_foreseen(struct pipeline *p);

/* A run took so many times as long as expected, [workers]: half of that is believed, and kept. What was expected so badly that it is more
 * than twice or less than half is forgotten, so that the next launch measures anew. */
void speeds_refine(struct pipeline *p, const double *ratio);

int probing_begin(struct probing **out, struct pipeline *p, struct err *why);
/* Takes an answer; *done: p->known is filled, and kept. */
int probing_frame(struct probing *b, struct member *m, struct frame *f, bool *done, struct err *why);
/* E_WORKER if an answer is overdue. */
int probing_wait(const struct probing *b, struct err *why);
void probing_close(struct probing **b); /* sets *b to NULL; NULL is fine */
