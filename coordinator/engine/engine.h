/* coordinator/engine/engine.h — keeps a launched pipeline busy with what is asked of it.
 *
 *              pictures there         slot, rows sent        token back
 *   WAITING ──────────────────► RUNNING ◄───────────────────────────────┐
 *      ▲  │                        │  listener full                      │
 *      │  │                        ├───────────────► FULL ───── takes it ─┘
 *      │  │                        │                  │
 *      │  └── cancel, deadline, ───┴──────────────────┴──► LEAVING ── its last piece is home ──► finished, once
 *      │      failure                                        │
 *      └───────────── gave up its slot, or pages, to another ┘
 *                                   end, length, context ──────────────────────────────────────► finished, once
 *
 * The engine owns what it is asked: it copies, refuses one ask without troubling the others, and ends one at any moment.
 * After an answer its slot keeps what it holds as long as nobody else needs it or its pages: an ask that begins with exactly those rows
 * goes on there, so a conversation costs only its new rows. What several asks begin with is computed once (beginnings.h).
 *
 * Threads: one; only engine_wake may be called from others. No call waits but engine_turn. */
#pragma once

#include "coordinator/cluster/pipeline.h"
#include "coordinator/engine/ask.h"
#include "coordinator/engine/pictures.h"
#include "coordinator/engine/verify.h"
#include "coordinator/engine/watch.h"

struct engine;

struct engine_setup {
    struct pipeline *pipe;     /* launched */
    int32_t end_of_turn, eos;  /* ids that end an answer; -1: none */
    bool no_prefix_reuse;      /* rows that asks share are computed for each */
    bool exact_embed_scale;    /* embedding rows scaled as llama.cpp does, instead of as the model was trained */
    bool lookup;               /* guesses at what follows travel with a token: lookup.h */
    uint32_t verify;           /* every so many asks, one is computed again and compared: verify.h; 0: none */
    uint32_t verify_idle_ms;   /* so long nothing is to be done before layers move for that; 0: nobody comes any more */
    bool told_when;            /* an ask begins only when fleet.h says so, which may give it to another engine before */
    struct engine *beside;     /* NULL, or the first of those: numbers of asks and pictures are common to all of them */
    int replica;               /* which of them this one is, from 0 */
};

int engine_open(struct engine **out, const struct engine_setup *setup, struct err *why);
/* Asks that are still alive are told FINISH_CANCELLED. Sets *e to NULL; NULL is fine. */
void engine_close(struct engine **e);

/* `watch` is told what happens from now on, until the engine is closed; WATCHERS_MOST at most. */
void engine_watch(struct engine *e, watcher *watch, void *user);

/* The pictures that asks may speak of; NULL without an encoder. */
struct pictures *engine_pictures(struct engine *e);

/* Refuses (E_USAGE: too long for the context, a sampling that cannot be, an id that is not in the vocabulary, …) this ask
 * alone. *number, if wanted, names it from now on: never used twice. */
int engine_ask(struct engine *e, const struct ask *ask, const struct listener *listener, uint64_t *number, struct err *why);

/* At any moment, also from inside a listener. `finished` still comes, once; of an ask that is over nothing happens. */
void engine_cancel(struct engine *e, uint64_t number);

/* The same, for whoever will go on from what was said: if there is a token already it ends with the next one, as FINISH_LENGTH, and
 * the slot keeps what it holds. */
void engine_enough(struct engine *e, uint64_t number);

/* Listeners that were full are offered their token again, and all that may enter the pipe enters; then at most timeout_ms pass until
 * one thing has happened, which is dealt with. An error is the end of the run: all asks have been told FINISH_FAILED, and whoever
 * asks or turns again is told the same. */
int engine_turn(struct engine *e, int timeout_ms, struct err *why);

/* Makes a waiting engine_turn return. From any thread. */
void engine_wake(struct engine *e);

/* The workers have forgotten what they knew of all sequences, and the plan may be another: every ask begins again with all its rows, and
 * the answers go on as if nothing had been. The engine does so itself when the pipeline's epoch rises. */
int engine_restart(struct engine *e, struct err *why);

uint32_t engine_unanswered(const struct engine *e); /* asks that are not finished */
bool engine_is_busy(const struct engine *e);        /* there are some, or what was answered is still being verified */

struct engine_totals {
    uint64_t prompt_rows, made;
    uint64_t begun_ns, last_first_ns, ended_ns; /* first ask; last of the first tokens; last token */
    uint64_t batches, rows;
    uint64_t guessed, guessed_right; /* of the rows: guesses at tokens, and how many of them were right */
    uint32_t epoch, losses; /* of the pipeline */
    uint32_t ready;         /* of fleet_totals: pipelines all workers of which are there */
    double pages_used;      /* part of the fullest pool of keys and values; 0 to 1 */
    struct verify_counts verified; /* of all engines beside each other */
    uint64_t home_bytes; /* of scores that parts of a head sent here, because a token was one of too many words, or all were wanted */
};
struct engine_totals engine_totals(const struct engine *e);
