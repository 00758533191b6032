/* coordinator/engine/scheduler.h — which rows travel next. Pure: no socket, clock, file or weight; the engine drives it
 * with real links, tests/support/simulate.c with invented ones.
 *
 *             time ->
 *   stage 0   A1 A2 a  b  A3 a           A1..A3  pieces of a prompt
 *   stage 1      A1 A2 a  b  A3 a        a, b    one token each, for sequences already answering
 *   stage 2         A1 A2 a  b  A3 a
 *
 * M = stages + 1 micro-batches in flight by default; none waits for another. Decodes first, split evenly over as many
 * micro-batches as there are stages, or over all M if that leaves each with plenty (the remainder in turn; a sequence is
 * not tied to a group), then pieces of prompts, oldest request first: as many as keep the pipe full when nobody is
 * answering, small ones otherwise. A sequence has one decode in flight at most; pieces of one prompt may follow each other
 * down the pipe without waiting. A span that must not be cut (a picture) goes whole. A prompt that was passed over
 * DECODES_PER_PREFILL times in a row goes first once, so a busy pipe still admits someone.
 *
 * A request is one sequence of rows, which has a slot or waits for one, under a number that the caller gives: the lower, the
 * earlier it came. Who gave up its slot comes back under its old number, and so in its old place among those who wait.
 *
 * A request has a priority, the higher the sooner; within one priority the first come is the first served. It decides who
 * gets a slot, and whose rows go first.
 *
 * A row that becomes known needs room for its keys and values (pages.h). Where there is none it waits, and so do those without a
 * slot, in order: nobody is let in past somebody who needs more. The caller makes room: first by what nobody uses any more
 * (schedule_lack says what is wanted), then by sending home the newest of the least urgent (schedule_yield). So the oldest of the
 * most urgent always goes on, and since the pools hold one sequence of all the context, every request ends. */
#pragma once

#include "base/error.h"
#include "coordinator/engine/pages.h"

#include <stdbool.h>
#include <stdint.h>

struct scheduler;

struct scheduler_limits {
    uint32_t slots;     /* sequences held by the workers at once */
    uint32_t in_flight; /* micro-batches */
    uint32_t rows;      /* of a micro-batch, at most (spans that cannot be cut must fit too) */
    uint32_t context;   /* positions of a slot */
    uint32_t stages;    /* of the pipe; 0: in_flight - 1, and decodes are divided over all micro-batches */
    uint32_t piece_quarters; /* what a piece costs a stage beside its rows, in quarters of a row (partition/plan/speed.h); 0: not known */
    struct pages *pages;     /* of keys and values; NULL: there are always enough */
    uint64_t first_batch;    /* number of the first micro-batch */
};

/* Rows first..first+n-1 that must travel together, counted from the first row of the call that names them. Spans come
 * in ascending order and do not touch the same row twice. */
struct span {
    uint32_t first, n;
};

struct move { /* part of a micro-batch: rows of one request */
    uint64_t request;
    uint32_t slot, position, rows;
    bool start;      /* the slot begins a new sequence */
    bool want_token; /* last row of what is known: sample after it */
    uint32_t guesses; /* of the rows the last ones: sample after each of them too */
};                   /* a request has one move in a micro-batch at most */

struct schedule_batch {
    uint64_t id; /* one after the other in the order they enter the pipe */
    uint32_t n_moves, rows;
    struct move *moves; /* the scheduler's; stay until schedule_done(id) and the schedule_next after it */
};

int  scheduler_open(struct scheduler **out, const struct scheduler_limits *limits, struct err *why);
void scheduler_close(struct scheduler **s);

/* A request with `rows` prompt rows. E_USAGE if it can never fit, E_INTERNAL if one with a slot has its number. */
int schedule_add(struct scheduler *s, uint64_t request, uint32_t rows, const struct span *spans, uint32_t n_spans,
                 int priority, struct err *why);

/* The same, and if its slot may as well begin with what is kept as this beginning (pages.h), it does, and the rows of that are not
 * sent: no span lies across its end. Until it has a slot the beginning may be dropped: schedule_dropped says so, and then all
 * its rows go. */
int schedule_add_behind(struct scheduler *s, uint64_t request, uint32_t rows, const struct span *spans, uint32_t n_spans,
                        int priority, uint32_t beginning, struct err *why);
void schedule_dropped(struct scheduler *s, uint32_t beginning);

/* A piece of the request ends behind its first `rows` rows, where no span lies across, even if more could go. */
void schedule_cut(struct scheduler *s, uint64_t request, uint32_t rows);

/* The next micro-batch, if one may enter the pipe now. False: wait for a result, or for a request. */
bool schedule_next(struct scheduler *s, struct schedule_batch *out);

/* The micro-batch in flight with this number, NULL if there is none: what a result is an answer to. */
const struct schedule_batch *schedule_find(const struct scheduler *s, uint64_t id);

/* Micro-batch `id` came back. Its requests that wanted a token are now waiting for schedule_more or schedule_leave; ask
 * for the next micro-batch after telling which, so that groups come out even. E_WIRE if it is not in flight. */
int schedule_done(struct scheduler *s, uint64_t id, struct err *why);

/* The request goes on with `rows` more rows: 1 for the token just sampled, more for the next turn of a chat. E_USAGE if
 * they go over the context, E_INTERNAL while it is not waiting. */
int schedule_more(struct scheduler *s, uint64_t request, uint32_t rows, const struct span *spans, uint32_t n_spans,
                  struct err *why);

/* Behind the one row that the request has to send stand n guesses at what follows, each right with that chance if those before it
 * are. As many travel with it as pay: a guess is worth its chance, a row that is known is worth 1, and they are taken while that makes
 * more of the micro-batch's time, which is that of its rows and of `schedule_reading` more, fewer where many rows are known; none while
 * somebody lacks pages. */
void schedule_guess(struct scheduler *s, uint64_t request, uint32_t n, double chance);
void schedule_reading(struct scheduler *s, double rows);

/* The request, whose guesses came back, holds its first `rows` rows, with that history: those behind were wrong. It waits for
 * schedule_more. */
void schedule_back(struct scheduler *s, uint64_t request, uint32_t rows, uint64_t history);

/* `request`, which has a slot, is called `to` from now on, and is as urgent as that: another takes over the slot with all it
 * holds. Nothing happens if it has none. */
void schedule_hand_over(struct scheduler *s, uint64_t request, uint64_t to, int priority);

/* The request is over, whatever it was doing. It gets no more rows; once its pieces are back from the pipe its slot is free
 * and schedule_left names it. Never fails; of a request that is not here nothing is heard. */
void schedule_leave(struct scheduler *s, uint64_t request);

/* One that has left since the last call, each once. False: none. */
bool schedule_left(struct scheduler *s, uint64_t *request);

/* What somebody here waits for. */
enum lack { LACKS_NOTHING, LACKS_SLOT, LACKS_PAGES };
enum lack schedule_lack(const struct scheduler *s);

/* There may be more pages than before: those who wait for some are looked at again. */
void schedule_settle(struct scheduler *s);

/* Should someone give up a slot, so that somebody more urgent can have it, or somebody older its pages? Of the least urgent the
 * newest. Ask until it says no, and let each leave: who left may be added again, and goes on later from all its rows. */
bool schedule_yield(const struct scheduler *s, uint64_t *request);

uint32_t schedule_in_flight(const struct scheduler *s);
bool schedule_under_way(const struct scheduler *s, uint64_t request); /* rows of it are */
uint32_t schedule_waiting(const struct scheduler *s); /* requests without a slot */
