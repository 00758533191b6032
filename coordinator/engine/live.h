/* coordinator/engine/live.h — inside the engine: what its files share, and the fleet, which moves asks from engine to engine. Nobody else
 * includes it. */
#pragma once

#include "coordinator/engine/beginnings.h"
#include "coordinator/engine/divided_head.h"
#include "coordinator/engine/engine.h"
#include "coordinator/engine/lookup.h"
#include "coordinator/engine/overdue.h"
#include "coordinator/engine/scheduler.h"
#include "partition/plan/rates.h"

/* The states of engine.h's drawing. */
enum live_state { WAITING, RUNNING, FULL, LEAVING, LIVE_STATES };

/* Where an ask's prompt may be shared: hashes of its first 64, 128, … rows, but not of all. See beginnings.c. */
struct sharing {
    uint64_t *hash; /* [n] */
    uint32_t n;
    uint32_t promised; /* beginnings that it will make; `next`: rows of the first of these, 0: none */
    uint32_t next;
    uint32_t awaits;   /* a beginning that `maker` will make, or NO_BEGINNING */
    uint64_t maker;
    bool in_vain;      /* it waited for one that was not made, and waits for no other */
};

/* An ask that is not finished. */
struct live {
    struct live *before, *after; /* all of them, in the order they came */
    struct live *previous, *next; /* in its state, in the order they entered it */
    uint64_t number;
    struct ask ask; /* its ids, spans and wishes are the lists below */
    struct listener listener;
    enum live_state state;
    struct ids ids; /* the prompt, then the tokens made */
    struct biases biases;
    struct token last; /* of these */
    struct picture_spans spans;
    uint32_t shown;      /* of these: their rows are not needed, as things are */
    bool placed;         /* it may be scheduled, in this engine */
    bool scheduled;      /* the scheduler knows it, under its number */
    uint32_t sent;       /* rows that entered the pipe, those reused included */
    uint32_t home;       /* rows that came home at some time */
    int suspected;       /* how often a worker was lost that computed it, since the last of these */
    uint64_t history;    /* of these */
    struct lookup lookup;
    struct odds odds;
    uint32_t guess[WIRE_DRAFT]; /* what may follow ids */
    uint32_t passed_over;       /* guesses that were found and not sent, since some were */
    int gram;                   /* what they were found by */
    uint32_t slot, sure;        /* while guesses were sent: where, behind how many rows, */
    uint64_t sure_history;      /* and the hash of these */
    uint32_t in_hand;           /* tokens behind the last one that came with it */
    uint32_t made, reused;
    struct sharing sharing;  /* of its prompt */
    uint32_t scores_seen; /* rows whose scores came, those that nobody wants included */
    uint32_t judged_seen; /* the same of tokens that are judged */
    uint32_t last_judged; /* the last of them, which is no row */
    uint64_t fingerprint;
    struct trial *trial; /* its rows are hashed for it; NULL: for none */
    uint64_t asked_ns, first_ns;
    enum finish ending;  /* while LEAVING: why; FINISH_NOT: it gives up its slot and begins again later */
    struct err why;      /* of FINISH_FAILED */
};

/* Rows whose keys and values workers hold: what they were. */
struct held {
    uint32_t rows;
    uint32_t *row_ids;       /* [rows], as they went over the wire */
    struct hash128 *pictures; /* in order: the ids of their rows alone are too short to tell two apart */
};

/* What a slot still holds after its answer. */
struct kept {
    bool used;
    uint64_t number;     /* of the ask that was answered: the scheduler's name for what is here */
    struct held held;
    uint64_t history, salt, since; /* since: the lower the longer ago */
};

struct live_list {
    struct live *first, *last;
    uint32_t n;
};

struct engine {
    struct engine_setup setup;
    struct pipeline *pipe;
    const struct clock *clock;
    struct pictures *pictures;   /* NULL: no encoder */
    struct scheduler *scheduler; /* NULL: no text model */
    struct pages *pages;         /* NULL: there are always enough */
    struct beginnings *beginnings; /* NULL: none are shared */
    bool kept_some;              /* of these, since the turn looked last */
    struct divided_head *head;   /* NULL: the head is whole */
    const struct route *route;   /* of the text */
    struct live *first, *last;   /* all that are alive */
    uint32_t n_live;
    struct live_list in[LIVE_STATES];
    uint64_t deadline_ns;        /* none is over before */
    struct err over;             /* code other than 0: the run is over, nothing is asked any more */
    bool told, stirred;          /* in this turn: of an end; of anything that happened */
    uint32_t epoch, losses;      /* of the pipeline, and whether it was whole, when this looked last */
    bool whole, suspects;        /* suspects: there may be some */
    struct {
        uint64_t from_ns;        /* since then the rows that come home next were computed */
        double rows, seconds;    /* that came home, and that took, the older the less; of larger micro-batches, or as long as there was none of others */
        bool large;
    } pace;
    struct live **in_slot;       /* [slots]; NULL: nobody, or kept */
    struct kept *kept;           /* [slots] */
    uint32_t slots;
    uint64_t next_number, next_since;
    uint64_t *numbers;           /* next_number, or that of the first of several engines */
    float scale; /* of embedding rows */
    struct watchers watchers;
    struct engine_totals totals;
    struct work work;
    uint8_t judged[WIRE_SEGMENTS * 4]; /* of work.told */
    uint32_t bias_room; /* of work.biases */
    uint32_t mask_room; /* of work.masks, in masks */
    struct result result;
    struct odds odds;       /* of guesses, over all asks */
    struct row_price price;
    struct overdue overdue;
    struct verify *verify;  /* NULL: nothing is computed again */
    struct {
        uint64_t batch, sent_ns;
        uint32_t rows; /* 0: there is none */
    } lone;                 /* the last micro-batch, if it has the pipe to itself and brings answers alone */
};

/* Of its prompt, the first rows: what becomes of them nobody asks, so they may be there already. */
static inline uint32_t live_unasked(const struct live *a)
{
    const uint32_t rows = (uint32_t)a->ids.n - a->made;
    return a->ask.judged ? rows - a->ask.judged : a->ask.want_scores ? a->ask.drawn : rows - 1;
}

/* live.c: who is alive, by number and by state */
void live_enter(struct engine *e, struct live *a);
void live_unlink(struct engine *e, struct live *a); /* it is the caller's again: live_free */
void live_free(struct live *a);
void live_to(struct engine *e, struct live *a, enum live_state state);              /* the last of that state, also if it was in it */
struct live *live_find(const struct engine *e, uint64_t number);                    /* NULL: it is over */
struct live *live_find_in(const struct engine *e, enum live_state state, uint64_t number);

/* restart.c: the workers begin anew */
int engine_keep_up(struct engine *e, struct err *why); /* with the pipeline, if it changed */
void suspect_all_under_way(struct engine *e);
const struct live *engine_suspect(struct engine *e); /* as long as it is computed everybody else waits; NULL: nobody is so suspect */
void pace_sent(struct engine *e);
void rows_came_home(struct engine *e, const struct schedule_batch *b);

/* hand_over.c: to the engine of another replica */
bool engine_has_room(const struct engine *e, const struct live *a);  /* it could begin now, or as soon as somebody less urgent has left */
double engine_begins_in(const struct engine *e, const struct live *a, const struct rates *rates); /* seconds of work before its first token */
void engine_hand(struct engine *from, struct live *a, struct engine *to); /* nothing of it is under way */
void engine_hand_all(struct engine *from, struct engine *to);             /* `from` is over */

/* engine.c */
int engine_step(struct engine *e, int timeout_ms, struct err *why); /* a turn, but an error is not the end of the asks: */
int engine_end(struct engine *e, int code, const struct err *why);  /* this is */
int engine_open_text(struct engine *e, struct err *why);
void engine_close_text(struct engine *e); /* all that follows from the plan */
void live_begin_again(struct engine *e, struct live *a); /* the workers have nothing of it any more: all its rows are a prompt again */
void live_finish(struct engine *e, struct live *a, enum finish how, const struct err *why); /* tells, and frees it */
void live_leave(struct engine *e, struct live *a, enum finish how, const struct err *why);  /* its pieces come home first */
void live_answered(struct engine *e, struct live *a, enum finish how); /* the slot keeps what it holds */
void engine_tell(const struct engine *e, enum happening what, const struct live *a, uint32_t amount);
/* What the workers have of layers and pages, by the plan. */
struct pages_limits engine_pool(const struct pipeline *p, struct pages_stage stage[STAGES_MOST]);
/* The spans from row `from` on, counted from there: what is a picture must travel in one piece. */
int spans_from(const struct live *a, uint32_t from, struct span **out, uint32_t *n, struct err *why);

uint32_t live_rows_most(const struct engine *e, const struct live *a);                      /* that it can have, at its end */
void live_reuses(struct engine *e, struct live *a, uint32_t rows, uint64_t history);          /* its slot holds these already */
void live_needs(struct engine *e, struct live *a, uint32_t rows); /* rows of pictures from this one on, and none before it */
void live_needs_pictures(struct engine *e, struct live *a);       /* it waits here: all but what a slot has kept of it */

/* kept.c: slots that keep what they hold after an answer. */
bool kept_put(struct engine *e, const struct live *a); /* the ask's; false: there is nothing in it, or no memory */
struct kept *kept_longest(const struct engine *e);     /* that was kept longest, NULL: none is */
void kept_give_up(struct engine *e, struct kept *k);
void kept_forget_all(struct engine *e); /* the workers have nothing of them any more */
struct kept *kept_find(const struct engine *e, const struct live *a); /* the one with the longest beginning of the ask, or NULL */
int kept_go_on(struct engine *e, struct live *a, struct kept *k, struct err *why);
bool held_copy(const struct engine *e, const struct live *a, uint32_t rows, struct held *out); /* false: no memory */
bool held_begins(const struct engine *e, const struct live *a, const struct held *h); /* the ask, of which some is left: a token follows a row */
void held_free(struct held *h);
bool cuts_a_picture(const struct live *a, uint32_t rows);

/* guesses.c */
void guesses_offer(struct engine *e, struct live *a); /* the ask has one row to send, the scheduler knows it */
void guesses_sent(struct engine *e, const struct schedule_batch *b);
void guesses_back(struct engine *e, uint64_t batch);
uint32_t guesses_right(struct engine *e, struct live *a, const struct move *m, const struct token *t); /* tokens that count, of those of a move */
void guesses_refuse(struct engine *e, struct live *a, uint32_t rows); /* what the slot holds behind so many rows was wrong, or came too soon */
uint32_t token_at(const struct live *a, uint32_t position); /* known or guessed */

/* rows_out.c: all that may enter the pipe enters. */
int rows_send(struct engine *e, struct err *why);
uint32_t rows_wanted(const struct live *a, const struct move *m); /* how many of a move's rows want a token; the last ones. NULL: nobody's */
uint32_t judged_at(const struct live *a, uint32_t position); /* the id behind a row */
uint32_t row_id_at(const struct engine *e, const struct live *a, uint32_t position); /* as it goes over the wire */
const struct picture_span *span_at(const struct live *a, size_t place); /* the picture that has this place, or NULL */

/* answers_in.c: one frame from a worker; offering a token once more to a listener that was full. */
int answer_take(struct engine *e, const struct member *from, struct frame *f, struct err *why);
int answer_scores(void *engine, const struct logits *row, struct err *why); /* one row's, of the whole vocabulary */
bool answer_offer_again(struct engine *e, struct live *a); /* true: it was taken, and the next one is in hand */
