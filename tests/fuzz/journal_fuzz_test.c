/* tests/fuzz/journal_fuzz_test.c — journals: every seed judged, many damaged ones resumed. */
#include "tests/fuzz/journal_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_journal_fuzz_are_judged_right)
{
    const int n = judge_seeds("journal_fuzz", look);
    CHECK(n >= 5, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_journal_fuzz_does_harm)
{
    static const char *const words[] = {"\n", "{", "\"done\":", "\"tokens\":", "\"from\":", "\"ended\":true", "99999999999999999999", "\"ids\":[", "\"result\":", "\"begun\":"};
    const int accepted = damage_seed("journal_fuzz", "sound", 1000, words, sizeof words / sizeof *words, look);
    CHECK(accepted > 5 && accepted < 600, "%d of 1000 damaged ones are still accepted", accepted);
}
