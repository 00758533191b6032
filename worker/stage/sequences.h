/* worker/stage/sequences.h — whose rows a slot holds and how far they got; what several sequences begin with.
 *
 * A stage believes no one: before a micro-batch changes anything, its orders are followed on paper, every segment must continue
 * exactly the tokens that its slot will have seen by then, by position and by a hash of all their ids, and the pages for all of it
 * must be there. A stage that missed a micro-batch, or got one twice, or serves an old plan, says so here instead of answering with
 * another conversation's words. */
#pragma once

#include "transport/wire/wire.h"
#include "worker/stage/kv.h"

/* A slot's or a beginning's. So many ids and histories that WIRE_DRAFT rows can be taken back. */
#define RECENT_IDS (REPEAT_LAST_MOST + WIRE_DRAFT)
#define RECENT_HISTORIES (WIRE_DRAFT + 1)
struct sequence {
    struct kv_held held;                  /* its rows are those seen so far */
    uint64_t histories[RECENT_HISTORIES]; /* hash of the first n ids at n % RECENT_HISTORIES, base/hash.h */
    uint32_t recent[RECENT_IDS];          /* id of position p at p % RECENT_IDS, for the repeat penalty */
};

/* What one will be when the orders have been followed. */
struct outlook {
    uint64_t check; /* the number of the one that looked */
    struct kv_held held;
    uint64_t history;
    uint32_t coming; /* rows */
};

struct sequences {
    struct kv *kv;
    struct sequence *all; /* slots, behind them beginnings */
    struct outlook *outlook;
    uint32_t n; /* of both */
    struct capacity capacity;
    uint64_t checks;
};

/* `kv` must outlive them. */
int sequences_open(struct sequences *s, const struct capacity *capacity, struct kv *kv, struct err *why);
void sequences_close(struct sequences *s);

/* E_WIRE with one sentence if an order or a segment does not fit; nothing that matters is changed either way. */
int sequences_check(struct sequences *s, const struct work *w, struct err *why);

/* The same for rows to be scored: they must be the last that their slots have seen. */
int sequences_check_last(const struct sequences *s, const struct work *w, struct err *why);

/* Obeys the orders of a checked micro-batch and takes its rows into account: their pages are there when it returns. */
void sequences_advance(struct sequences *s, const struct work *w);

/* The slot holds `rows` rows, of history 0, that nobody computed: for measuring. There must be pages for them. */
void sequences_pretend(struct sequences *s, uint32_t slot, uint32_t rows);

/* Hash of the first `rows` ids of a slot: of the last RECENT_HISTORIES that were possible. */
uint64_t sequences_history(const struct sequences *s, uint32_t slot, uint32_t rows);

/* The last `most` ids of a slot up to and including `position`, one of its last 1 + WIRE_DRAFT, oldest first; returns how many. */
uint32_t sequences_recent(const struct sequences *s, uint32_t slot, uint32_t position, uint32_t most,
                          uint32_t out[REPEAT_LAST_MOST]);
