/* tests/unit/cmd/options_test.c — what a command line says is taken as it was typed, or the word that is wrong is quoted. */
#include "coordinator/cmd/options.h"
#include "tests/support/check.h"

#define WORDS(...) (char *[]){"gemmapipe", __VA_ARGS__}, (int)(sizeof((char *[]){"gemmapipe", __VA_ARGS__}) / sizeof(char *))

static struct options o;

static int read_words(char **words, int n, struct err *why)
{
    enum command command;
    return options_read(&o, &command, n, words, why);
}

static void refused(const char *with, char **words, int n)
{
    struct err why = {0};
    const int code = read_words(words, n, &why);
    CHECK(code == E_USAGE && strstr(why.text, with), "wanted \"%s\": %d, %s", with, code, why.text);
}

TEST(every_seed_that_is_accepted_is_kept)
{
    NEED(read_words(WORDS("run", "--model", "m", "hi", "--seed", "18446744073709551615"), why));
    CHECK(o.sampling.seed == UINT64_MAX);
    NEED(read_words(WORDS("run", "--model", "m", "hi", "--seed=0xffffffffffffffff"), why));
    CHECK(o.sampling.seed == UINT64_MAX);
    NEED(read_words(WORDS("run", "--model", "m", "hi", "--seed", "010"), why));
    CHECK(o.sampling.seed == 10);
    const char *range = "from 0 to 18446744073709551615";
    refused(range, WORDS("run", "--model", "m", "hi", "--seed", "18446744073709551616"));
    refused(range, WORDS("run", "--model", "m", "hi", "--seed", "0x10000000000000000"));
    refused(range, WORDS("run", "--model", "m", "hi", "--seed", "-1"));
    refused(range, WORDS("run", "--model", "m", "hi", "--seed", ""));
}

TEST(a_seed_that_nobody_chose_is_drawn)
{
    NEED(read_words(WORDS("run", "--model", "m", "hi"), why));
    const uint64_t first = o.sampling.seed;
    NEED(read_words(WORDS("run", "--model", "m", "hi"), why));
    CHECK(o.sampling.seed != first);
}

TEST(the_word_that_is_wrong_is_quoted_with_what_was_meant)
{
    refused("\"-3 + 4?\"", WORDS("run", "--model", "m", "-3 + 4?"));
    refused("goes behind --", WORDS("run", "--model", "m", "-3 + 4?"));
    refused("--n: did you mean -n?", WORDS("run", "--model", "m", "--n", "5", "hi"));
    refused("-temp: did you mean --temp?", WORDS("run", "--model", "m", "-temp", "0", "hi"));
    refused("--sed=4: did you mean --seed?", WORDS("run", "--model", "m", "--sed=4", "hi"));
    refused("--model wants a value, and --temp is an option", WORDS("run", "--model", "--temp", "0", "hi"));
    refused("--model wants a value: FILE", WORDS("run", "hi", "--model"));
    refused("--quiet=3", WORDS("run", "--model", "m", "--quiet=3", "hi"));
    refused("--prompts is an option, but not one of chat", WORDS("chat", "--model", "m", "--prompts", "f"));
    refused("\"there\" is one word too many", WORDS("run", "--model", "m", "hi", "there"));
}

TEST(two_dashes_end_the_options)
{
    NEED(read_words(WORDS("run", "--model", "m", "--", "-3 + 4?"), why));
    CHECK(!strcmp(o.prompt, "-3 + 4?"));
    NEED(read_words(WORDS("run", "--model", "m", "--", "--"), why));
    CHECK(!strcmp(o.prompt, "--"));
}

TEST(numbers_are_shown_as_typed_and_ranges_in_whole)
{
    refused("-n wants a whole number from 1 to 16777216, not \"1e9\"", WORDS("run", "--model", "m", "-n", "1e9", "hi"));
    refused("--ctx wants a whole number from 2 to 16777216, not \"99999999999999999999\"",
            WORDS("run", "--model", "m", "--ctx", "99999999999999999999", "hi"));
    refused("--temp wants a number from 0 to 100, not \"nan\"", WORDS("run", "--model", "m", "--temp", "nan", "hi"));
    NEED(read_words(WORDS("bench", "--model", "m", "--pp", "0", "--tg", "3,7", "--depth=5"), why));
    CHECK(!o.pp.n && o.tg.n == 2 && o.tg.at[1] == 7 && o.depth == 5);
}

TEST(a_number_may_stand_right_behind_a_letter)
{
    NEED(read_words(WORDS("run", "--model", "m", "-n8", "hi"), why));
    CHECK(o.most == 8);
    refused("\"-nqqqq\"", WORDS("run", "--model", "m", "-nqqqq"));
}
