/* tests/fuzz/plan_json_fuzz_test.c — plans for split: every seed judged, thousands of damaged ones read. */
#include "tests/fuzz/plan_json_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_plan_json_fuzz_are_judged_right)
{
    int n = judge_seeds("plan_json_fuzz", look);
    CHECK(n >= 8, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_plan_json_fuzz_does_harm)
{
    static const char *const words[] = {
        "null", "true", "4294967296", "-1", "\"head\"", "\"first\"", "\"end\"", "\"parts\"", "stages", "[[[", "[0,16]", "17",
    };
    for (int i = 0; i < 2; i++) {
        int accepted = damage_seed("plan_json_fuzz", i ? "sound_divided" : "sound", 20000, words, sizeof words / sizeof *words, look);
        CHECK(accepted > 200 && accepted < 20000, "%d of 20000 damaged ones are still accepted", accepted);
    }
}
