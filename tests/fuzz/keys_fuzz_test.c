/* tests/fuzz/keys_fuzz_test.c — files of keys: every seed judged, thousands of damaged ones read. */
#include "tests/fuzz/keys_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_keys_fuzz_are_judged_right)
{
    int n = judge_seeds("keys_fuzz", look);
    CHECK(n >= 14, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_keys_fuzz_does_harm)
{
    static const char *const words[] = {"#", "\n", " ", "\t", "self", "0", "g", "\r\n", "attic"};
    for (int i = 0; i < 2; i++) {
        int accepted = damage_seed("keys_fuzz", i ? "sound_list" : "sound_secret", 5000, words, sizeof words / sizeof *words, look);
        CHECK(accepted > 50 && accepted < 5000, "%d of 5000 damaged ones are still accepted", accepted);
    }
}
