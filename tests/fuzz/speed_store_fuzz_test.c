/* tests/fuzz/speed_store_fuzz_test.c — measured speeds: every seed judged, many damaged ones read. */
#include "tests/fuzz/speed_store_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_speed_store_fuzz_are_judged_right)
{
    const int n = judge_seeds("speed_store_fuzz", look);
    CHECK(n >= 5, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_speed_store_fuzz_does_harm)
{
    static const char *const words[] = {"null", "-1", "1e999", "[", "]", "\"layer\":", "\"version\": 2", "4294967296", "NaN", "\\u0000", "\"to\":"};
    const int accepted = damage_seed("speed_store_fuzz", "sound", 2000, words, sizeof words / sizeof *words, look);
    CHECK(accepted > 20 && accepted < 2000, "%d of 2000 damaged ones are still accepted", accepted);
}
