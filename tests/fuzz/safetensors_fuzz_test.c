/* tests/fuzz/safetensors_fuzz_test.c — safetensors files: every seed judged, thousands of damaged ones read. */
#include "tests/fuzz/safetensors_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_safetensors_fuzz_are_judged_right)
{
    int n = judge_seeds("safetensors_fuzz", look);
    CHECK(n >= 20, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_safetensors_fuzz_does_harm)
{
    static const char *const words[] = {
        "\"shape\"", "\"dtype\":", "data_offsets", "[0,0]", "18446744073709551615",
        "\xff\xff\xff\xff\xff\xff\xff\xff", "BF16", "__metadata__",
    };
    int accepted = damage_seed("safetensors_fuzz", "sound", 20000, words, sizeof words / sizeof *words, look);
    CHECK(accepted > 200 && accepted < 20000, "%d of 20000 damaged ones are still accepted", accepted);
}
