/* coordinator/cluster/probing.h — workers are measured, after all have answered and before there is a plan: messages PROBE and PROBED.
 *
 *   the way to each, and of few from each to each, one after the other (MEET) ─► of all at once: some layers ─► a global layer far into a
 *                                                                context ─► parts of the head ─► a layer of the encoder
 *
 * Each worker is asked the next as soon as it has answered, and each question brings the time that there is for it: its share of what is left.
 * So those who share a machine are measured with each other beside them, as they will work. For what there was no time is derived from
 * the rest (speeds.h).
 * Of more than a few workers the ways are measured, afterwards, between those next to each other in the plan, which is then made once more.
 * For ways that were not measured a switch is assumed, and each one's own line to it (partition/plan/rates.h).
 *
 * A launch that knows nothing must not be held up: it measures for a tenth of the time that loading will take, and is over after two
 * seconds whoever has not answered. Workers on one machine that are alike would be cut alike by nominal speeds: with models that load in
 * moments these are not measured at all, unless somebody asks (`plan --probe`, which takes the time it needs). What is found out is kept
 * (speed_store.h) and refined by what runs take. Like a launch it has no loop of its own: whoever has one gives it the frames. */
#pragma once

#include "coordinator/cluster/speeds.h"

#define PROBING_MS 3000 /* if somebody asked for it; more where one question alone takes longer */

struct probing;

/* Milliseconds that a launch may measure; 0: none, and nominal speeds are good enough. All of the crew have answered. */
uint32_t probing_shadow(const struct pipeline *p);

/* hurried: it is over in that time, whoever has not answered. */
int probing_begin(struct probing **out, struct pipeline *p, uint32_t milliseconds, bool hurried, struct err *why);
/* Takes an answer; *done: p->known is filled, and kept. */
int probing_frame(struct probing *b, struct member *m, struct frame *f, bool *done, struct err *why);
/* Time passes: *done as above. E_WORKER if an answer is overdue. */
int probing_wait(struct probing *b, bool *done, struct err *why);
/* After it was done: of more than a few workers the ways between neighbours are still to be measured, once the crew stands in the order of a
 * plan. *done: there was no time for it. */
bool probing_wants_neighbours(const struct probing *b);
int probing_neighbours(struct probing *b, bool *done, struct err *why);
void probing_close(struct probing **b); /* sets *b to NULL; NULL is fine */
