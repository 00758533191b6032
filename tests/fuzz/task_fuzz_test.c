/* tests/fuzz/task_fuzz_test.c — questions of a test: every seed judged, thousands of damaged ones read. */
#include "tests/fuzz/task_fuzz.c"

#include "tests/fuzz/corpus.h"

TEST(seeds_of_task_fuzz_are_judged_right)
{
    int n = judge_seeds("task_fuzz", look);
    CHECK(n >= 15, "only %d seeds", n);
}

TEST(no_damage_to_a_seed_of_task_fuzz_does_harm)
{
    static const char *const words[] = {
        "null", "true", "4294967296", "-1", "1e999", "\"arguments\"", "\"target\"", "\"gen_args_0\"", "\"arg_0\"", "\"arg_1\"", "[[[", "{\"until\":[\"a\"]}",
        "\\u0000", "\\ud800", "\"do_sample\":true", "\"images\":[\"a\"]", "\"max_gen_toks\":0", "\"output_type\"",
    };
    static const char *const seeds[] = {"sound", "sound_of_a_file", "sound_generated"};
    for (int i = 0; i < 3; i++) {
        int accepted = damage_seed("task_fuzz", seeds[i], 5000, words, sizeof words / sizeof *words, look);
        CHECK(accepted > 50 && accepted < 5000, "%d of 5000 damaged ones are still accepted", accepted);
    }
}
