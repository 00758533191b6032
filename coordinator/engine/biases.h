/* coordinator/engine/biases.h — what an ask wants added to the scores of single words, of the row it is at.
 *
 * Three wishes become one list: a number for each word that was named; less for words the answer has already; and no end before the
 * answer has so many tokens. The coordinator knows the whole answer, so it counts, and workers only add.
 *
 * The numbers are a function of the ask and its answer so far, so an ask that begins again sends the same ones. */
#pragma once

#include "coordinator/text/tokenizer.h"
#include "transport/wire/wire.h"

struct word_bias {
    uint32_t id;
    float amount;
};

struct bias_wish {
    const struct word_bias *words; /* [n_words], ascending ids */
    uint32_t n_words;
    float presence, frequency; /* taken from the score of a word that was said; for each time it was */
    uint32_t least;            /* tokens of an answer, the one that ends it not counted */
};

struct biased_word {
    uint32_t id, count; /* count: in the answer, if that matters */
    float amount;
    bool ends; /* an answer */
};

/* Words that may have a bias, in the order of their ids. {0} to begin with; biases_free. */
struct biases {
    struct biased_word *word; /* [n] */
    uint32_t n, room;
    float presence, frequency;
    uint32_t least, said;
};

/* ends: [n_ends] the tokens that end an answer, -1: none. E_USAGE: a number that cannot be, or too many words. `most`: tokens. */
int biases_wish(struct biases *b, const struct bias_wish *wish, uint32_t vocab, const int32_t *ends, int n_ends, uint32_t most, struct err *why);
int biases_say(struct biases *b, uint32_t id, struct err *why); /* one more token of the answer. E_MEMORY */
void biases_free(struct biases *b);

/* They are the same for every token that follows. */
static inline bool biases_stay(const struct biases *b)
{
    return b->presence == 0 && b->frequency == 0 && b->said >= b->least;
}

/* Those of the next token, for a slot, as bias_put does, from number `at` on; returns how many. */
uint32_t biases_put(const struct biases *b, uint32_t slot, uint8_t *out, uint32_t at);
