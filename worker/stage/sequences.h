/* worker/stage/sequences.h — whose rows a slot holds and how far they got.
 *
 * A stage believes no one: before a micro-batch changes anything, every segment must continue exactly the tokens that
 * its slot has seen, by position and by a hash of all their ids. A stage that missed a micro-batch, or got one twice,
 * or serves an old plan, says so here instead of answering with another conversation's words. */
#pragma once

#include "partition/model/memory.h"
#include "transport/wire/wire.h"

#define RECENT_IDS (REPEAT_LAST_MOST + WIRE_DRAFT) /* a guess that is refused must not have cost an older id its place */

struct sequence {
    uint32_t length;  /* rows seen so far */
    uint64_t history; /* hash of their ids, base/hash.h */
    uint64_t mark;    /* number of the last check that met this slot */
    uint32_t recent[RECENT_IDS]; /* id of position p at p % RECENT_IDS, for the repeat penalty */
};

struct sequences {
    struct sequence *slots;
    struct capacity capacity;
    uint64_t checks;
};

int sequences_open(struct sequences *s, const struct capacity *capacity, struct err *why);
void sequences_close(struct sequences *s);

/* E_WIRE with one sentence if any segment does not fit; nothing that matters is changed either way. */
int sequences_check(struct sequences *s, const struct work *w, struct err *why);

/* The same for rows to be scored: they must be the last that their slots have seen. */
int sequences_check_last(const struct sequences *s, const struct work *w, struct err *why);

/* Takes the rows of a checked micro-batch into account. */
void sequences_advance(struct sequences *s, const struct work *w);

/* The last `most` ids of a slot up to and including `position`, one of its last 1 + WIRE_DRAFT, oldest first; returns how many. */
uint32_t sequences_recent(const struct sequences *s, uint32_t slot, uint32_t position, uint32_t most,
                          uint32_t out[REPEAT_LAST_MOST]);
