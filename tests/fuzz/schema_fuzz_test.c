/* tests/fuzz/schema_fuzz_test.c — schemas: every seed judged, thousands of damaged ones read and answered. */
#include "tests/fuzz/schema_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_schema_fuzz_are_judged_right)
{
    int n = judge_seeds("schema_fuzz", look);
    CHECK(n >= 5, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_schema_fuzz_does_harm)
{
    static const char *const words[] = {"\"$ref\":\"#\"", "\"anyOf\":[{}]", "\"type\"", "\"null\"", "\"items\":", "\"minItems\":9", "\"enum\":[1]", "\"maxLength\":0", "false", "\"const\":", "\\u0000"};
    static const char *const seeds[] = {"sound_object", "sound_choice", "sound_list"};
    for (int i = 0; i < 3; i++) {
        int accepted = damage_seed("schema_fuzz", seeds[i], 2000, words, sizeof words / sizeof *words, look);
        CHECK(accepted > 20 && accepted < 2000, "%d of 2000 damaged ones are still accepted", accepted);
    }
}
