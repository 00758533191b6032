/* tests/unit/cmd/advice_test.c — sentences name quantities, the command line adds its options. */
#include "coordinator/cmd/advice.h"
#include "coordinator/cmd/capacity.h"
#include "tests/support/check.h"

TEST(advice_names_the_option_that_changes_the_quantity)
{
    struct err why = {0};
    fail_about(&why, ABOUT_CONTEXT, E_USAGE, "the prompt has 9 tokens, the context holds 8");
    advise(&why);
    CHECK(!strcmp(why.text, "the prompt has 9 tokens, the context holds 8; --ctx raises it"), "%s", why.text);
    advise(&why);
    CHECK(!strcmp(why.text, "the prompt has 9 tokens, the context holds 8; --ctx raises it"), "%s", why.text);
}

TEST(a_sentence_about_nothing_stays_as_it_is)
{
    struct err why = {0};
    fail(&why, E_FILE, "no such file");
    advise(&why);
    CHECK(!strcmp(why.text, "no such file"), "%s", why.text);
}

/* Who named a context can name another; who reached the model's own limit cannot. */
TEST(a_prompt_over_the_context_gets_advice_only_where_it_helps)
{
    const struct model_config c = {.context = 100};
    struct options o = {.context = 10};
    struct capacity room;
    struct err why = {0};
    CHECK(capacity_for(&room, &o, &c, &(struct load){.prompt = 11, .answer = 1, .prompts = 1}, &why) == E_USAGE && why.about == ABOUT_CONTEXT, "%s", why.text);
    o.context = 0;
    CHECK(capacity_for(&room, &o, &c, &(struct load){.prompt = 101, .answer = 1, .prompts = 1}, &why) == E_USAGE && why.about == ABOUT_NOTHING, "%s", why.text);
}
