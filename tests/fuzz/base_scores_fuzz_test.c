/* tests/fuzz/base_scores_fuzz_test.c — scores of a base model: every seed judged, many damaged ones read. */
#include "tests/fuzz/base_scores_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_base_scores_fuzz_are_judged_right)
{
    const int n = judge_seeds("base_scores_fuzz", look);
    CHECK(n >= 5, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_base_scores_fuzz_does_harm)
{
    static const char *const words[] = {"_logits_", "\xff\xff\xff\xff", "\x7f", "\x01\x02\x03\x04"};
    const int accepted = damage_seed("base_scores_fuzz", "sound", 3000, words, sizeof words / sizeof *words, look);
    CHECK(accepted > 50 && accepted < 3000, "%d of 3000 damaged ones are still accepted", accepted);
}
