/* tests/fuzz/cluster_file_fuzz_test.c — cluster files: every seed judged, thousands of damaged ones read. */
#include "tests/fuzz/cluster_file_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_cluster_file_fuzz_are_judged_right)
{
    int n = judge_seeds("cluster_file_fuzz", look);
    CHECK(n >= 8, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_cluster_file_fuzz_does_harm)
{
    static const char *const words[] = {
        "null", "true", "4294967296", "-1", "\"head\"", "\"layers\"", "\"address\"", "\"memory\"", "workers", "[[[", "1e308", "\\u0000", "16G",
    };
    for (int i = 0; i < 2; i++) {
        int accepted = damage_seed("cluster_file_fuzz", i ? "sound_by_hand" : "sound", 5000, words, sizeof words / sizeof *words, look);
        CHECK(accepted > 50 && accepted < 5000, "%d of 5000 damaged ones are still accepted", accepted);
    }
}
