/* coordinator/engine/pages.h — how many pages of keys and values the workers hold: the coordinator's own account. Pure.
 *
 * A block is 64 positions of one sequence: a page in each layer of one kind, global or local. All stages hold the same blocks, and
 * differ in how many layers of each kind they have and how many pages. So two counts, of global and of local blocks, say whether
 * there is room everywhere, and no stage is ever asked:
 *
 *   layers that are global * global blocks + layers that are local * local blocks <= pages of the pool, for all stages
 *
 * A sequence of n rows has ceil(n / 64) global blocks, and as many local ones, but no more than a ring is long. A beginning is a
 * run of rows that several sequences share: its blocks count once. It may itself go on behind another one.
 *
 *   slot      0 ........ a ........ b ............. rows      beginning b goes on behind beginning a; the slot owns what is
 *   owned by  |<-- a ---->|<-- b ---->|<-- the slot ------>|   behind b alone
 *
 * Blocks are counted when rows become known, before any stage takes them, and given back when the order that frees them is put on
 * the list: orders travel ahead of all rows that were counted after them. So a stage never holds more than is counted here, though
 * sometimes less. What is said here to slots and beginnings is said to the workers, by the same call: pages_orders has the words.
 *
 * Costs: a call is a few sums for each stage; pages_enter walks over the slots. */
#pragma once

#include "base/error.h"
#include "transport/wire/wire.h"

#define NO_BEGINNING UINT32_MAX
#define GUESSING_MOST 128

struct pages;

struct pages_stage {
    uint32_t global, local; /* layers */
    uint64_t pool;          /* pages */
};

struct pages_limits {
    uint32_t slots, context;
    uint32_t window, ring; /* of a local layer: positions it sees, blocks a sequence has of it at most */
    const struct pages_stage *stages; /* [n_stages], copied */
    uint32_t n_stages;
};

/* E_USAGE if a stage cannot hold one sequence of all the context. */
int  pages_open(struct pages **out, const struct pages_limits *limits, struct err *why);
void pages_close(struct pages **p);

/* ---- slots ---- */

/* A slot that holds nothing gets blocks for `rows` rows, the first of them those of a beginning (or NO_BEGINNING). False, and nothing
 * changes, unless as many more are left as there are sequences that may want one soon, so that nobody has to leave at once. */
bool pages_enter(struct pages *p, uint32_t slot, uint32_t beginning, uint32_t rows);
/* It gets what it lacks for `rows` rows. False: there is not so much, and nothing changes. */
bool pages_grow(struct pages *p, uint32_t slot, uint32_t rows);
/* It goes back to `rows` rows with that history, no further than WIRE_DRAFT. Of GUESSING_MOST slots at most until orders are taken. */
void pages_back(struct pages *p, uint32_t slot, uint32_t rows, uint64_t history);
/* It holds nothing any more. `told`: workers know something of it. */
void pages_leave(struct pages *p, uint32_t slot, bool told);

uint32_t pages_begun(const struct pages *p, uint32_t slot); /* the beginning that it goes on behind, or NO_BEGINNING */

/* Would a sequence of `rows` rows that begins there fit if everybody else were gone? */
bool pages_could_hold(const struct pages *p, uint32_t beginning, uint32_t rows);
bool pages_could_go_on(const struct pages *p, uint32_t slot, uint32_t rows); /* the same of one that is in a slot */

/* ---- beginnings: numbers below WIRE_BEGINNINGS ---- */

/* Could a sequence of `rows_most` rows keep its first `rows` ones, if nobody else were here? */
bool pages_could_keep(const struct pages *p, uint32_t rows, uint32_t rows_most);

/* The first `rows` rows of a slot, a multiple of 64 and all it was sent, become a beginning of that number, which is free, behind the
 * one it began with itself. False, and nothing changes, if there is no room for what the slot overwrites from now on, or would be
 * none for `rows_most` rows of it if everybody else were gone. */
bool pages_keep(struct pages *p, uint32_t slot, uint32_t beginning, uint32_t rows, uint64_t history, uint32_t rows_most);
uint32_t pages_kept(const struct pages *p, uint32_t beginning); /* its rows */
bool pages_can_drop(const struct pages *p, uint32_t beginning); /* nobody goes on behind it */
void pages_drop(struct pages *p, uint32_t beginning);

/* ---- to the workers ---- */

/* What has to be said ahead of the next rows: at most WIRE_ORDERS, which are the caller's to send. */
uint32_t pages_orders(struct pages *p, struct order *out);

/* Of the stage whose pool is fullest, the part that is held; 0 to 1. */
double pages_used(const struct pages *p);

/* For tests: nothing is held by any slot, and so many beginnings are kept. */
bool pages_are_free(const struct pages *p, uint32_t *beginnings);
