/* coordinator/engine/divided_head.h — tokens from a head that is divided among workers.
 *
 *   last stage --SCORE--> here --SCORE--> every other worker with parts of the head
 *   all of these --SCORED, one a row--> here: merged, picked, a RESULT as a whole head would have sent it
 *
 * What is kept is one struct scored for each slot, because a sequence waits for one token at a time; nothing is allocated
 * after opening. What comes is checked against what was asked: the batch, the rows in their order, the sender's parts.
 * Threads: one. */
#ifndef COORDINATOR_ENGINE_DIVIDED_HEAD_H
#define COORDINATOR_ENGINE_DIVIDED_HEAD_H

#include "coordinator/cluster/pipeline.h"

struct gather;

/* *out is NULL if the head is whole: then there is nothing to gather. */
int gather_open(struct gather **out, struct pipeline *p, struct err *why);
void gather_close(struct gather **g);

/* SCORE from the last stage, of a micro-batch that is under way: passed on to the others. */
int gather_ask(struct gather *g, struct frame *score, struct err *why);

/* SCORED from any of them. *done: that was the last; then *result is the micro-batch's. */
int gather_take(struct gather *g, struct frame *scored, bool *done, struct result *result, struct err *why);

#endif
