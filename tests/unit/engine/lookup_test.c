/* tests/unit/engine/lookup_test.c — guesses are what followed the last time, and are made as long as they pay. */
#include "coordinator/engine/lookup.h"
#include "tests/support/check.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

/* The plainest way: the longest run, and of these the last, that something follows. */
static uint32_t plainly(const uint32_t *ids, uint32_t n, int *gram)
{
    for (*gram = GRAM_MOST; *gram >= GRAM_LEAST; --*gram)
        for (uint32_t end = n - 1; (uint32_t)*gram < n && end >= (uint32_t)*gram; end--)
            if (!memcmp(ids + end - *gram, ids + n - *gram, (size_t)*gram * sizeof *ids)) return end;
    return 0;
}

TEST(a_guess_is_what_followed_the_longest_run_the_last_time)
{
    enum { N = 1500 };
    static uint32_t ids[N];
    struct lookup l = {0};
    uint32_t out[16], found = 0;
    for (uint32_t n = 1; n <= N; n++) {
        int gram, want;
        ids[n - 1] = (uint32_t)(hash_fold(3, n) % (n < N / 2 ? 9 : 60)); /* few words first: all runs come again */
        CHECK(lookup_learn(&l, ids, n));
        const uint32_t from = plainly(ids, n, &want), got = lookup_guess(&l, ids, n, 16, out, &gram);
        if (!from) CHECK(got == 0, "of %u ids", n);
        if (from) CHECK(got == 16 && gram == want && out[0] == ids[from], "of %u ids: run of %d, wanted %d", n, gram, want);
        for (uint32_t i = 0; i < got && from + i < n; i++) CHECK(out[i] == ids[from + i]);
        found += got > 0;
    }
    CHECK(found > N / 2 && found < N, "%u of %d", found, N);
    lookup_free(&l);
}

TEST(ids_that_go_round_in_a_circle_are_guessed_round_and_round)
{
    const uint32_t ids[] = {5, 1, 2, 3, 1, 2, 3, 1, 2};
    uint32_t out[7];
    struct lookup l = {0};
    int gram;
    CHECK(lookup_learn(&l, ids, 9) && lookup_guess(&l, ids, 9, 7, out, &gram) == 7 && gram == 4);
    CHECK(!memcmp(out, (uint32_t[]){3, 1, 2, 3, 1, 2, 3}, sizeof out));
    lookup_free(&l);
    CHECK(lookup_guess(&l, ids, 9, 7, out, &gram) == 0, "nothing was learned");
}

TEST(guesses_that_are_wrong_are_believed_less_and_right_ones_more)
{
    struct odds ask = {0}, all = {0};
    CHECK(odds_of(&ask, &all, 3) == 0.8);
    for (int i = 0; i < 20; i++) odds_saw(&all, 3, 0, 1);
    CHECK(odds_of(&ask, &all, 3) < 0.1 && odds_of(&ask, &all, 4) == 0.8);
    for (int i = 0; i < 20; i++) odds_saw(&ask, 3, 4, 4);
    CHECK(odds_of(&ask, &all, 3) > 0.6);
}

TEST(what_a_row_costs_is_measured_and_one_slow_step_changes_little)
{
    struct row_price p = {0};
    CHECK(row_price_reading(&p, 5) == 5);
    for (int i = 0; i < 200; i++) row_price_saw(&p, 1, 0.010), row_price_saw(&p, 5, 0.018);
    CHECK(row_price_reading(&p, 5) > 3.2 && row_price_reading(&p, 5) < 5, "%g", row_price_reading(&p, 5));
    row_price_saw(&p, 3, 2.0);
    CHECK(row_price_reading(&p, 5) > 3, "%g", row_price_reading(&p, 5));
}

TEST(a_long_prompt_is_learned_in_pieces)
{
    static uint32_t ids[5 * LEARN_MOST];
    struct lookup l = {0};
    uint32_t out, calls = 1;
    int gram;
    for (uint32_t i = 0; i < 5 * LEARN_MOST; i++) ids[i] = i % (4 * LEARN_MOST);
    while (!lookup_learn(&l, ids, 5 * LEARN_MOST) && calls < 100) calls++;
    CHECK(calls == 5 && lookup_guess(&l, ids, 5 * LEARN_MOST, 1, &out, &gram) == 1 && out == LEARN_MOST, "%u calls", calls);
    lookup_free(&l);
}
