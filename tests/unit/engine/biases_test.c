/* tests/unit/engine/biases_test.c — wishes for words become numbers for words, and those depend on the ask and its answer alone. */
#include "tests/support/check.h"
#include "coordinator/engine/biases.h"

#include <math.h>

#define VOCAB 1000
static const int32_t ends[] = {106, -1};

static void expect(const struct biases *b, const struct bias *want, uint32_t n)
{
    uint8_t bytes[16 * WIRE_BIAS_BYTES];
    const struct work w = {.biases = bytes};
    const uint32_t got = biases_put(b, 7, bytes, 0);
    CHECK(got == n, "%u biases, wanted %u", got, n);
    for (uint32_t i = 0; i < got && i < n; i++) {
        const struct bias k = bias_get(&w, i);
        CHECK(k.slot == 7 && k.id == want[i].id && k.amount == want[i].amount, "word %u: %g, wanted word %u: %g", k.id, (double)k.amount,
              want[i].id, (double)want[i].amount);
    }
}

TEST(words_penalties_and_the_least_length_become_one_list)
{
    static const struct word_bias words[] = {{5, 2}, {106, -3}};
    const struct bias_wish wish = {.words = words, .n_words = 2, .presence = 0.5f, .frequency = 0.25f, .least = 2};
    struct biases b = {0};
    NEED(biases_wish(&b, &wish, VOCAB, ends, 2, 100, why));
    expect(&b, (struct bias[]){{7, 5, 2}, {7, 106, -INFINITY}}, 2);
    NEED(biases_say(&b, 900, why));
    expect(&b, (struct bias[]){{7, 5, 2}, {7, 106, -INFINITY}, {7, 900, -0.75f}}, 3);
    NEED(biases_say(&b, 5, why));
    NEED(biases_say(&b, 5, why));
    NEED(biases_say(&b, 0, why));
    expect(&b, (struct bias[]){{7, 0, -0.75f}, {7, 5, 1}, {7, 106, -3}, {7, 900, -0.75f}}, 4);
    biases_free(&b);
}

TEST(who_wishes_nothing_sends_nothing)
{
    struct biases b = {0};
    NEED(biases_wish(&b, &(struct bias_wish){0}, VOCAB, ends, 2, 1u << 30, why));
    for (uint32_t i = 0; i < 100; i++) NEED(biases_say(&b, i, why));
    expect(&b, NULL, 0);
    CHECK(b.n == 0);
}

static void refused(struct bias_wish wish, uint32_t most, const char *sentence)
{
    struct biases b = {0};
    struct err e = {0};
    CHECK(biases_wish(&b, &wish, VOCAB, ends, 2, most, &e) == E_USAGE && strstr(e.text, sentence), "%s", e.text);
    biases_free(&b);
}

TEST(wishes_that_cannot_be_are_refused)
{
    static const struct word_bias beyond[] = {{VOCAB, 1}}, nothing[] = {{1, NAN}};
    refused((struct bias_wish){.words = beyond, .n_words = 1}, 1, "token id 1000, which is not in the vocabulary of 1000");
    refused((struct bias_wish){.words = nothing, .n_words = 1}, 1, "bias of token id 1 is nan");
    refused((struct bias_wish){.presence = INFINITY}, 1, "not a number");
    refused((struct bias_wish){.frequency = 1}, WIRE_BIASES + 1, "up to 16385 tokens with penalties: 16384 words");
}
