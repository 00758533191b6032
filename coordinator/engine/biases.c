/* coordinator/engine/biases.c — see biases.h. */
#include "coordinator/engine/biases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The word's place; a new one if it has none. NULL without memory. */
static struct biased_word *word_of(struct biases *b, uint32_t id, struct err *why)
{
    uint32_t from = 0, end = b->n;
    while (from < end) {
        const uint32_t middle = from + (end - from) / 2;
        if (b->word[middle].id < id) from = middle + 1;
        else end = middle;
    }
    if (from < b->n && b->word[from].id == id) return &b->word[from];
    if (b->n == b->room) {
        const uint32_t room = b->room ? 2 * b->room : 16;
        struct biased_word *grown = realloc(b->word, room * sizeof *grown);
        if (!grown) return fail(why, E_MEMORY, "no memory for the biases of %u words", room), NULL;
        b->word = grown;
        b->room = room;
    }
    memmove(&b->word[from + 1], &b->word[from], (b->n++ - from) * sizeof *b->word);
    b->word[from] = (struct biased_word){.id = id};
    return &b->word[from];
}

static bool counts(const struct biases *b)
{
    return b->presence != 0 || b->frequency != 0;
}

static int check_wish(const struct bias_wish *wish, uint32_t vocab, uint32_t most, struct err *why)
{
    const bool counted = wish->presence != 0 || wish->frequency != 0;
    const uint64_t words = (uint64_t)wish->n_words + (counted ? most : 0) + (wish->least > 0) * 2;
    if (!isfinite(wish->presence) || !isfinite(wish->frequency)) return fail(why, E_USAGE, "a penalty is not a number");
    if (words > WIRE_BIASES)
        return fail(why, E_USAGE, "biases of %u words and an answer of up to %u tokens with penalties: %d words can have a bias", wish->n_words,
                    counted ? most : 0, WIRE_BIASES);
    for (uint32_t i = 0; i < wish->n_words; i++) {
        const struct word_bias *w = &wish->words[i];
        if (w->id >= vocab) return fail(why, E_USAGE, "a bias is wanted for token id %u, which is not in the vocabulary of %u", w->id, vocab);
        if (!(fabsf(w->amount) <= 1000)) return fail(why, E_USAGE, "the bias of token id %u is %g", w->id, (double)w->amount);
    }
    return 0;
}

int biases_wish(struct biases *b, const struct bias_wish *wish, uint32_t vocab, const int32_t *ends, int n_ends, uint32_t most, struct err *why)
{
    struct biased_word *word;
    TRY(check_wish(wish, vocab, most, why));
    b->presence = wish->presence;
    b->frequency = wish->frequency;
    b->least = wish->least;
    for (uint32_t i = 0; i < wish->n_words; i++) {
        if (!(word = word_of(b, wish->words[i].id, why))) return E_MEMORY;
        word->amount = wish->words[i].amount;
    }
    for (int i = 0; i < n_ends && b->least; i++) {
        if (ends[i] < 0) continue;
        if (!(word = word_of(b, (uint32_t)ends[i], why))) return E_MEMORY;
        word->ends = true;
    }
    return 0;
}

int biases_say(struct biases *b, uint32_t id, struct err *why)
{
    b->said++;
    if (!counts(b)) return 0;
    struct biased_word *word = word_of(b, id, why);
    if (!word) return E_MEMORY;
    word->count++;
    return 0;
}

void biases_free(struct biases *b)
{
    free(b->word);
    *b = (struct biases){0};
}

uint32_t biases_put(const struct biases *b, uint32_t slot, uint8_t *out, uint32_t at)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        const struct biased_word *w = &b->word[i];
        const double taken = w->count ? (double)b->presence + (double)b->frequency * w->count : 0;
        float amount = (float)((double)w->amount - taken);
        if (w->ends && b->said < b->least) amount = -INFINITY;
        if (amount != 0) bias_put(out, at + n++, (struct bias){slot, w->id, amount});
    }
    return n;
}
