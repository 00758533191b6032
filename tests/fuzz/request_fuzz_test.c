/* tests/fuzz/request_fuzz_test.c — lines of batch jobs: every seed judged, thousands of damaged ones read. */
#include "tests/fuzz/request_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_request_fuzz_are_judged_right)
{
    int n = judge_seeds("request_fuzz", look);
    CHECK(n >= 15, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_request_fuzz_does_harm)
{
    static const char *const words[] = {
        "null", "true", "4294967296", "-1", "1e999", "\"role\"", "\"system\"", "\"assistant\"", "\"content\"", "\"messages\"", "[[[", "{\"type\":\"text\"}",
        "\\u0000", "\\ud800", "\"logit_bias\":{\"1\":2}", "\"stop\":[\"a\"]", "\"custom_id\"", "\"image_url\"", "\"n\":129",
    };
    static const char *const seeds[] = {"sound", "sound_of_parts", "sound_completion"};
    for (int i = 0; i < 3; i++) {
        int accepted = damage_seed("request_fuzz", seeds[i], 5000, words, sizeof words / sizeof *words, look);
        CHECK(accepted > 50 && accepted < 5000, "%d of 5000 damaged ones are still accepted", accepted);
    }
}
