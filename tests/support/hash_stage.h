/* tests/support/hash_stage.h — a stage of a model that is a hash: it keeps of each slot how far it got and the hash of what it holds, and
 * refuses rows that do not continue it, as a real stage does; and it keeps a book of its pages (page_book.h).
 *
 * What a row becomes in a layer is a function of the ids up to it and of that layer, so a row that is computed twice, left out or out of
 * turn, or a layer that is passed by, shows at once as another token. What a picture's rows are tells its encoder, another hash, and all rows
 * behind them depend on it. What a quiet run says can be had without any stage: hash_token. */
#pragma once

#include "tests/support/page_book.h"
#include "transport/wire/wire.h"

#define HASH_EOS 8 /* ends an answer */
#define HASHED_MOST 512
#define HASH_HIDDEN 4 /* values of a row, at least */

static inline uint64_t mix(uint64_t x)
{
    x ^= x >> 33, x *= 0xff51afd7ed558ccdull, x ^= x >> 33, x *= 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 33;
}

/* 0..n-1 */
static inline uint32_t dice(uint64_t *state, uint32_t n)
{
    *state += 0x9e3779b97f4a7c15ull;
    return (uint32_t)((mix(*state) >> 32) * n >> 32);
}

struct hash_stage {
    struct book book;
    const struct model_config *config; /* layers and words */
    struct part part;
    bool counts; /* the answers mostly count, so that they can be guessed */
    bool wrong;  /* it computes this layer wrongly, always: */
    uint32_t wrong_layer;
    uint32_t hashed;           /* rows of the last micro-batch that were asked for: */
    uint64_t hash[HASHED_MOST]; /* [hashed, layers] */
};

/* Counting, in steps of 8 and past the end of an answer. */
uint32_t hash_counted_on(uint32_t id);

#define HASH_PICTURE 0x80000000u /* an id from here on is a picture's row */

/* The token after a row: the ids up to it have that history, the pictures' rows were `seen`, and `id` is its own. With a frequency
 * penalty of 1 the ids that were said count too: `key` is the ask's and the sum of (id + 1) over them. */
uint32_t hash_token(const struct model_config *c, bool counts, uint64_t history, uint64_t seen, uint32_t id, uint64_t key,
                    uint32_t position);

/* Of a picture: through layers of its encoder, and a row of what comes out of them. */
uint64_t hash_picture(uint32_t first, uint32_t end, uint64_t x);
uint64_t hash_picture_row(uint64_t x, uint32_t row);

/* All of a micro-batch, which was read and whose activations become those of the next stage. Of the last stage the tokens, and the rows that
 * want one as a divided head gets them. E_WIRE: something does not fit what is held. */
int hash_stage_run(struct hash_stage *s, struct work *m, struct result *result, struct work *score, struct err *why);

/* NULL: no row of the last micro-batch was to be hashed. */
int hash_stage_hashes(const struct hash_stage *s, uint64_t batch, struct frame **out, struct err *why);

/* A divided head's rows on their way to the others; score->activations lie in the frame then. */
int hash_stage_divide(const struct result *result, struct work *score, struct frame **out, struct err *why);

/* What this stage's part of the head says of each row: the token if it is one of its words, else a word that is worse. */
typedef int hash_stage_say(void *user, struct frame **f, struct err *why);
int hash_stage_score(const struct hash_stage *s, const struct work *score, struct scored *room, hash_stage_say *say, void *user,
                     struct err *why);
