/* tests/unit/base/error_test.c — sentences of failures. */
#include "tests/support/check.h"

#include <errno.h>

TEST(a_sentence_may_say_what_it_is_about)
{
    struct err why = {0};
    CHECK(fail_about(&why, ABOUT_CONTEXT, E_USAGE, "the prompt has %d tokens", 7) == E_USAGE);
    CHECK(why.code == E_USAGE && why.about == ABOUT_CONTEXT && !strcmp(why.text, "the prompt has 7 tokens"), "%s", why.text);
    CHECK(fail(&why, E_FILE, "another") == E_FILE && why.about == ABOUT_NOTHING);
    CHECK(fail_about(NULL, ABOUT_CONTEXT, E_USAGE, "nobody asks") == E_USAGE);
}

TEST(a_sentence_with_the_system_s_reason_keeps_it)
{
    struct err why = {0};
    errno = ENOENT;
    CHECK(fail_errno(&why, E_FILE, "cannot open %s", "x") == E_FILE);
    CHECK(!strcmp(why.text, "cannot open x: No such file or directory"), "%s", why.text);
}

TEST(a_sentence_that_is_full_takes_no_more)
{
    struct err why = {0};
    fail(&why, E_FILE, "%0590d", 1);
    for (int i = 0; i < 3; i++) err_add(&why, "; more and more");
    CHECK(strlen(why.text) == sizeof why.text - 1 && !strncmp(why.text + 590, "; more an", 9), "%zu", strlen(why.text));
}
