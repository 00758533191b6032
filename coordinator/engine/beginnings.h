/* coordinator/engine/beginnings.h — what several asks begin with is computed once.
 *
 * A system text, examples, a document that is asked about many times, a prompt that is answered in several ways: rows that asks share
 * have the same keys and values, to the last bit, so workers keep them as a *beginning* and other sequences go on behind it (docs/WIRE.md,
 * orders). Which rows will be shared is not known but seen: of every prompt the rows are hashed 64 at a time, each hash taking in
 * the one before, and of each such hash is remembered, in one table, what came behind it. Where two asks went different ways the
 * next one keeps what it has computed; those who come while it does so wait for it.
 *
 *   <bos> system text ......... | example ...... | question a        kept: behind the system text, and behind the example
 *   <bos> system text ......... | example ...... | question b
 *   <bos> system text ......... | question c
 *
 * A beginning ends on a multiple of 64 rows and never within a picture. It is found by its hash and used only after its ids, the
 * hashes of its pictures and the ask's salt were compared. Those not used for longest are dropped first, when pages are wanted or there
 * are WIRE_BEGINNINGS.
 *
 * An ask gains by this and never loses: who waited in vain waits for no other, and asks wait for none that is less urgent. Costs: half a
 * megabyte, and of a prompt that shares nothing a hash and a look into the table for each 64 rows. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct live;
struct beginnings;

int  beginnings_open(struct beginnings **out, struct err *why);
void beginnings_close(struct beginnings **b);

/* Everything below: `e->beginnings` may be NULL, then nothing is shared. */

/* An ask came; its ids and spans are there. Without memory it shares nothing. */
void beginnings_see(struct engine *e, struct live *a);
void beginnings_also(struct engine *e, const struct live *a); /* the same of one that another engine has seen, and may give away */

/* Rows of the longest one that is kept and that the ask begins with. */
uint32_t beginnings_kept(const struct engine *e, const struct live *a);

/* As long as the one is being made that it was told to wait for. */
bool beginnings_wait(const struct engine *e, struct live *a);

/* What the ask goes on behind, if that is longer than `rows`: *number, or NO_BEGINNING. False: it waits for one that is being made. */
bool beginnings_choose(struct engine *e, struct live *a, uint32_t rows, uint32_t *number);

/* The ask, which the scheduler knows now, makes those that are wanted behind its first `rows` rows. */
void beginnings_promise(struct engine *e, struct live *a, uint32_t rows);

/* The ask has sent sharing.next rows, in this slot: they are kept. */
void beginnings_keep(struct engine *e, struct live *a, uint32_t slot);

/* It will make no more. */
void beginnings_break(struct engine *e, struct live *a);

/* The slot began behind a beginning: its rows, and the hash of these. */
void beginnings_rows(const struct engine *e, uint32_t slot, uint32_t *rows, uint64_t *history);

/* The one that was not used for longest, by engine.next_since, and could be dropped; NO_BEGINNING: none. */
uint32_t beginnings_longest(const struct engine *e, uint64_t *since);
void beginnings_drop(struct engine *e, uint32_t number);

void beginnings_restart(struct engine *e); /* the workers have none any more, and no ask has a slot; asks that begin again make them again */
