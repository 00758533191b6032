/* tests/fuzz/coordinator_states_fuzz_test.c — the same programs of changes every time. */
#include "tests/support/check.h"
#include "tests/fuzz/coordinator_states_fuzz.c"
#include "tests/fuzz/drawn.h"

TEST(a_run_told_again_says_the_same_words)
{
    for (size_t run = 0; run < RUNS; run++)
        for (int times = 0; times < 2; times++) coordinate_unchanged(run);
}

TEST(no_change_of_what_a_coordinator_is_told_in_any_state_does_harm)
{
    const int rounds = feed_drawn_programs(23, 1, CHANGE_BYTES);
    for (size_t run = 0; run < RUNS; run++) coordinate_unchanged(run);
    CHECK(rounds > 0);
}
