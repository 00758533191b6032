/* coordinator/engine/divided_head.h — tokens from a head that is divided among workers.
 *
 *   last stage --SCORE--> here --SCORE--> every other worker with parts of the head
 *   all of these --SCORED, one a row--> here: merged, picked, a RESULT as a whole head would have sent it
 *                --LOGITS before it---> where all scores of a row are wanted, or its token is one of too many words to name
 *
 * What is kept is one struct scored for each row of a micro-batch under way, and all scores of the rows that send them home, until
 * these are there from every part. What comes is checked against what was asked: the batch, the rows in their order, the
 * sender's parts.
 * Threads: one. */
#pragma once

#include "partition/plan/plan.h"
#include "transport/wire/wire.h"

struct divided_head;

struct divided_head_setup {
    const struct plan *plan;
    const struct model_config *config;
    int (*send)(void *user, int worker, struct frame **f, struct err *why); /* takes the frame in any case */
    const char *(*name)(void *user, int worker);                            /* for sentences */
    uint32_t (*id)(void *user, uint32_t slot, uint32_t position);           /* of a row that a slot holds */
    int (*scores)(void *user, const struct logits *row, struct err *why);   /* of all words, where they are wanted; in order */
    void *user;
};

/* *out is NULL if the head is whole: then there is nothing to bring together. What `setup` points to must stay. */
int divided_head_open(struct divided_head **out, const struct divided_head_setup *setup, struct err *why);
void divided_head_close(struct divided_head **d);

/* SCORE from the last stage, of a micro-batch that is under way: passed on to the others. */
int divided_head_ask(struct divided_head *d, struct frame *score, struct err *why);

/* LOGITS from any of them: its words' scores of a row that sends them home. */
int divided_head_scores(struct divided_head *d, int worker, struct frame *logits, struct err *why);

/* A worker whose SCORED is awaited; -1: none is. */
int divided_head_owed_by(const struct divided_head *d);

/* SCORED from any of them. *done: that was the last; then *result is the micro-batch's. */
int divided_head_take(struct divided_head *d, int worker, struct frame *scored, bool *done, struct result *result, struct err *why);
