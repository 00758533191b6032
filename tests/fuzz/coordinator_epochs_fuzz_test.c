/* tests/fuzz/coordinator_epochs_fuzz_test.c — programs that found a mistake, and the same drawn ones every time. */
#include "tests/fuzz/coordinator_epochs_fuzz.c"
#include "tests/fuzz/corpus.h"
#include "tests/fuzz/drawn.h"

static bool does_no_harm(const uint8_t *bytes, size_t n)
{
    return !LLVMFuzzerTestOneInput(bytes, n);
}

TEST(no_liar_among_workers_changes_a_word_or_keeps_a_run_from_ending)
{
    CHECK(judge_seeds("coordinator_epochs_fuzz", does_no_harm) > 0);
    CHECK(feed_drawn_programs(29, 2, LIE_BYTES) > 0);
}
