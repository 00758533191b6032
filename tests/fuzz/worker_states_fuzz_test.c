/* tests/fuzz/worker_states_fuzz_test.c — the same programs of changes every time. */
#include "tests/support/check.h"
#include "tests/fuzz/worker_states_fuzz.c"
#include "tests/fuzz/drawn.h"

static void serve_all_unchanged(void)
{
    for (size_t run = 0; run < RUNS; run++)
        for (int node = 1; node <= recorded_runs[run].workers; node++) serve_unchanged(run, node);
}

TEST(a_run_told_again_is_answered_with_the_same_bits)
{
    serve_all_unchanged();
    serve_all_unchanged(); /* with the weights of the first */
}

TEST(no_change_of_what_a_worker_is_told_in_any_state_does_harm)
{
    const int rounds = feed_drawn_programs(17);
    serve_all_unchanged();
    CHECK(rounds > 10, "%d rounds", rounds);
}
