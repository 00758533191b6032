/* coordinator/report/tally.h — what of a run can be counted while it runs, by watching the engine.
 *
 * An ask is one answer: of a request with several choices each is one. Its times are on the coordinator's clock, from asking to
 * telling, so waiting for a slot counts. Memory: the same for ten asks and for ten million, as times go into boxes, each 1 % wider than
 * the one before; means are exact, medians and the like to 1 %. And 24 bytes for each ask under way. */
#pragma once

#include "coordinator/engine/watch.h"
#include "coordinator/report/ask_table.h"

#define TIMES_BOXES 2800 /* from a microsecond to two weeks */

struct times { /* seconds */
    uint64_t n;
    double sum, least, most;
    uint32_t box[TIMES_BOXES];
};
void times_add(struct times *t, double seconds);
double times_mean(const struct times *t);
double times_below(const struct times *t, double part); /* so long took `part` of them at most; 0 of none */

struct tally {
    uint64_t came, spoke, ended;        /* asks */
    uint64_t batches, batches_back;     /* micro-batches that were sent, and that came back */
    uint64_t asked_rows, reused_rows;   /* of prompts; of these, what was there already. Of asks that ended */
    uint64_t made;                      /* tokens, of asks that ended */
    uint64_t rows, rows_again;          /* that were sent; of these, what had been computed before and was lost */
    uint64_t pictures;
    struct times first, between, whole; /* to the first token; from one to the next, in the mean of an answer of two or more; of all */
    struct ask_table table;
};

/* A watcher of the engine; `user` is the tally, {0} to begin with. */
void tally_watch(void *user, const struct happened *what);
void tally_free(struct tally *t);
