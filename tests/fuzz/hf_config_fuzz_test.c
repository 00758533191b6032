/* tests/fuzz/hf_config_fuzz_test.c — config.json: every seed judged, thousands of damaged ones read. */
#include "tests/fuzz/hf_config_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_hf_config_fuzz_are_judged_right)
{
    int n = judge_seeds("hf_config_fuzz", look);
    CHECK(n >= 20, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_hf_config_fuzz_does_harm)
{
    static const char *const words[] = {
        "null", "true", "4294967296", "-1", "1e999", "hidden_size", "[[[[", "layer_types", "rope_scaling",
    };
    int accepted = damage_seed("hf_config_fuzz", "sound_nested", 20000, words, sizeof words / sizeof *words, look);
    CHECK(accepted > 200 && accepted < 20000, "%d of 20000 damaged ones are still accepted", accepted);
}
