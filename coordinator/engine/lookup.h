/* coordinator/engine/lookup.h — guesses at what an answer says next, and whether they are worth their rows. Pure.
 *
 * An answer often repeats what stands before it: a name, a line of code, a quotation. So what followed the last time the last few ids
 * stood in prompt or answer is a guess at what follows now. It costs one look at an index of all runs of GRAM_LEAST to GRAM_MOST ids.
 *
 * A guess is a row more in a micro-batch that reads all weights anyhow, and saves a reading of them if it is right. How often guesses
 * are right is counted by how long the run of ids was that was found (struct odds, one of an ask, one over all); what rows cost
 * beside a reading is measured (struct row_price). The scheduler weighs one against the other: schedule_guess. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRAM_LEAST 2
#define GRAM_MOST 4
#define GRAMS (GRAM_MOST - GRAM_LEAST + 1)
#define LEARN_MOST 1024 /* about a millisecond */

/* Where runs of ids ended, the last time they were seen. {0} to begin with; lookup_free. */
struct lookup {
    uint32_t *end[GRAMS]; /* [room] each: behind a run of so many ids, 0: nothing; found by hash */
    uint32_t room, seen;  /* room: a power of two. seen: runs that end at or before so many ids are in */
};

/* ids [n]: those of the calls before, and more. A call learns LEARN_MOST of them at most, so that none takes long, and those of a table
 * that has become too small anew. True: all are in. False without memory, too; then it is as after lookup_free. */
bool lookup_learn(struct lookup *l, const uint32_t *ids, uint32_t n);
void lookup_free(struct lookup *l);

/* What may follow ids [n], of which all but the last were learned: up to `most` guesses, as they followed the last time that
 * the longest possible run of last ids was there. Returns how many; *gram: how long the run was. */
uint32_t lookup_guess(const struct lookup *l, const uint32_t *ids, uint32_t n, uint32_t most, uint32_t *out, int *gram);

/* ---- do they pay? ---- */

/* How often a guess was right, of those whose predecessors were; older ones count less and less. */
struct odds {
    double right[GRAMS], tried[GRAMS];
};
void odds_saw(struct odds *o, int gram, uint32_t right, uint32_t tried);
/* Of an ask; as long as little is known of it, what was seen over all. */
double odds_of(const struct odds *ask, const struct odds *all, int gram);

/* Seconds of a micro-batch of one row that has the pipe to itself, and of each row more; medians that follow. */
struct row_price {
    double one, more;
};
void row_price_saw(struct row_price *p, uint32_t rows, double seconds);
/* What a micro-batch costs beside its rows, in rows: `nominal` until something was seen. */
double row_price_reading(const struct row_price *p, double nominal);
