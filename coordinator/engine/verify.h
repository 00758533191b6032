/* coordinator/engine/verify.h — does every machine compute what it should? Answers are computed once more, and compared.
 *
 *   every Nth ask ──► its rows are hashed after every layer, by the workers ──► finished, told, and put down as a trial
 *   a trial ──► all its ids are read again as a prompt, with the same hashes ──► all workers hash their weights ──► compared
 *
 * By another replica if there is one; else by the same workers, once the layers have moved, each to another (cluster/planning.h); else, where
 * memory has no room for that or nobody can begin anew, by who computed it: then only passing faults show, and damaged weights. The first layer
 * after which a row differs is where somebody is wrong, because all that went into it was equal; who it is verdict.h says, after more
 * passes if it must. Who is found wrong is lost, as if it had died, and what the pipeline does about a loss follows.
 *
 * Layers move by a new beginning, in which everybody is ready at once who still has what it gets (worker/weights/held_weights.h), and must load it else. So what is to be computed again waits
 * until nothing else is to be done, or too much waits: then all answers under way are computed again from their ids, once for some dozens of
 * trials. Nobody holds more than its plan, and the old places are taken again only if the new ones are slower. A second stage in each worker for
 * layers of others would interrupt nobody, and would take their memory from keys and values at all times.
 *
 * Weights are looked at when an epoch begins, with every trial, and when somebody asks: each worker compares what it holds with a hash
 * from when it was loaded. What is damaged is never computed with again, and is loaded anew.
 *
 * Pictures are not computed again, only the rows that were made of them. Where hashes would take too much memory an answer is left out. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct live;
struct member;
struct frame;
struct schedule_batch;
struct token;
struct verify; /* one for all engines beside each other */
struct trial;

struct verify_counts {
    uint32_t answers; /* computed again */
    uint32_t checks;  /* of a pipeline's weights, all of them */
    uint32_t wrong;   /* workers that computed wrongly, or whose weights were damaged */
};

struct verify_counts verify_counts(const struct verify *v);

void verify_say_how(const struct engine *e); /* of one that is alone: in what way answers are computed again */
int verify_join(struct engine *e, struct verify *beside, struct err *why); /* beside: of another engine beside it; NULL: it is the first */
void verify_leave(struct engine *e);
void verify_engine(struct engine *e);                      /* its workers begin anew */
void verify_gone(struct engine *e);                        /* it is over, and computes nothing any more */
uint32_t verify_pending(const struct engine *e);           /* what it still has to hear of, beside asks */
int verify_step(struct engine *e, struct err *why);        /* checks of weights go out, trials that know enough end */

void verify_came(struct engine *e, struct live *a);        /* it may be the Nth */
void verify_sent(struct engine *e, const struct schedule_batch *b);
void verify_token(const struct live *a, const struct token *t);
void verify_finished(struct engine *e, struct live *a, bool answered);

/* What workers say. An error (E_WIRE, E_WORKER) is about `from`. */
int verify_hashes(struct engine *e, const struct member *from, struct frame *f, struct err *why);
int verify_checked(struct engine *e, const struct member *from, struct frame *f, struct err *why);
