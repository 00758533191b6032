/* tests/fuzz/tokenizer_json_fuzz_test.c — tokenizer.json: every seed judged, thousands of damaged ones read. */
#include "tests/fuzz/tokenizer_json_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_tokenizer_json_fuzz_are_judged_right)
{
    int n = judge_seeds("tokenizer_json_fuzz", look);
    CHECK(n >= 20, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_tokenizer_json_fuzz_does_harm)
{
    static const char *const words[] = {
        "\\ud800", "\\u0000", "4294967295", "-1", "\"merges\"", "\"vocab\"", "null", "\"id\":", "special",
    };
    int accepted = damage_seed("tokenizer_json_fuzz", "sound", 20000, words, sizeof words / sizeof *words, look);
    accepted += damage_seed("tokenizer_json_fuzz", "sound_with_a_decoder", 20000, words, sizeof words / sizeof *words, look);
    CHECK(accepted > 200 && accepted < 40000, "%d of 40000 damaged ones are still accepted", accepted);
}
