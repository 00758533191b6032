/* tests/fuzz/zap_fuzz_test.c — requests to who lets machines in: every seed judged, thousands of damaged ones answered. */
#include "tests/fuzz/zap_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_zap_fuzz_are_judged_right)
{
    int n = judge_seeds("zap_fuzz", is_let_in);
    CHECK(n >= 7, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_zap_fuzz_opens_the_door)
{
    static const char *const words[] = {"K", "CURVE", "PLAIN", "1.0", "gemmapipe", "\xff"};
    int accepted = damage_seed("zap_fuzz", "sound", 3000, words, sizeof words / sizeof *words, is_let_in);
    CHECK(accepted > 20 && accepted < 3000, "%d of 3000 damaged ones are still let in", accepted);
}
