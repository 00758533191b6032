/* coordinator/engine/live.h — inside the engine: what engine.c, rows_out.c and answers_in.c share. Nobody else includes it. */
#ifndef COORDINATOR_ENGINE_LIVE_H
#define COORDINATOR_ENGINE_LIVE_H

#include "coordinator/engine/divided_head.h"
#include "coordinator/engine/engine.h"
#include "coordinator/engine/scheduler.h"

/* The states of engine.h's drawing. */
enum live_state { WAITING, RUNNING, FULL, LEAVING };

/* An ask that is not finished. */
struct live {
    struct live *before, *after; /* all of them, in the order they came */
    uint64_t number;
    struct ask ask; /* its ids and spans are the lists below */
    struct listener listener;
    enum live_state state;
    struct ids ids; /* the prompt, then the tokens made */
    struct picture_spans spans;
    uint32_t sequence;   /* the scheduler's name for it */
    bool scheduled;      /* the scheduler knows it */
    uint32_t sent;       /* rows that entered the pipe, those reused included */
    uint64_t history;    /* of these */
    uint32_t made, reused;
    uint32_t scores_seen; /* rows whose scores came */
    uint64_t fingerprint;
    uint64_t asked_ns, first_ns;
    enum finish ending;  /* while LEAVING: why; FINISH_NOT: it gives up its slot and begins again later */
    struct err why;      /* of FINISH_FAILED */
};

/* What a slot still holds after its answer. */
struct kept {
    bool used;
    uint32_t sequence;
    uint32_t *row_ids;   /* [rows], as they went over the wire */
    uint32_t rows;
    uint64_t history, since; /* since: the lower the longer ago */
};

struct engine {
    struct engine_setup setup;
    struct pipeline *pipe;
    const struct clock *clock;
    struct pictures *pictures;   /* NULL: no encoder */
    struct scheduler *scheduler; /* NULL: no text model */
    struct divided_head *head;   /* NULL: the head is whole */
    const struct route *route;   /* of the text */
    struct live *first, *last;   /* all that are alive */
    uint32_t n_live;
    struct live **in_slot;       /* [slots]; NULL: nobody, or kept */
    struct kept *kept;           /* [slots] */
    uint32_t slots;
    uint64_t next_number, next_since;
    uint32_t next_sequence;
    float scale; /* of embedding rows */
    struct watchers watchers;
    struct engine_totals totals;
    struct work work;
    struct result result;
};

/* engine.c */
void live_finish(struct engine *e, struct live *a, enum finish how, const struct err *why); /* tells, and frees it */
void live_leave(struct engine *e, struct live *a, enum finish how, const struct err *why);  /* its pieces come home first */
void live_answered(struct engine *e, struct live *a, enum finish how); /* the slot keeps what it holds */
void engine_tell(const struct engine *e, enum happening what, const struct live *a, uint32_t amount);

/* rows_out.c: all that may enter the pipe enters. */
int rows_send(struct engine *e, struct err *why);
uint32_t row_id_at(const struct engine *e, const struct live *a, uint32_t position); /* as it goes over the wire */
const struct picture_span *span_at(const struct live *a, size_t place); /* the picture that has this place, or NULL */

/* answers_in.c: one frame from a worker; offering a token once more to a listener that was full. */
int answer_take(struct engine *e, const struct member *from, struct frame *f, struct err *why);
void answer_offer_again(struct engine *e, struct live *a);

#endif
