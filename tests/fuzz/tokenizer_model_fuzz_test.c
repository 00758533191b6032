/* tests/fuzz/tokenizer_model_fuzz_test.c — tokenizer.model: every seed judged, thousands of damaged ones read. */
#include "tests/fuzz/tokenizer_model_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_tokenizer_model_fuzz_are_judged_right)
{
    int n = judge_seeds("tokenizer_model_fuzz", look);
    CHECK(n >= 12, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_tokenizer_model_fuzz_does_harm)
{
    static const char *const words[] = {
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x0a", "\x12", "\x18\x06", "\x15", "\x80\x80\x80\x80",
        "\x0a\x7f",
    };
    int accepted = damage_seed("tokenizer_model_fuzz", "sound", 20000, words, sizeof words / sizeof *words, look);
    CHECK(accepted > 200 && accepted < 20000, "%d of 20000 damaged ones are still accepted", accepted);
}
