/* tests/unit/report/expected_test.c — the sentence of the report names the largest difference, and what it probably comes from. */
#include "coordinator/report/expected.h"
#include "tests/support/check.h"

#include <string.h>

/* Two stages, as expected. */
static void usual(struct compared c[2])
{
    for (int i = 0; i < 2; i++)
        c[i] = (struct compared){.row = {0.01, 0.0102}, .waiting = {0.1, 0.12}, .sending = {0.01, 0.01}, .memory = {1e8, 0.98e8}, .busy = 0.85};
}

static void says(const struct compared *c, double in_flight, const char *words)
{
    char out[400];
    difference_say(out, c, 2, in_flight, 3);
    CHECK(strstr(out, words), "\"%s\" lacks \"%s\"", out, words);
}

TEST(the_largest_difference_is_named_with_its_likely_cause)
{
    struct compared c[2];
    usual(c), says(c, 3, "all was as expected");
    usual(c), c[1].row[1] = 0.02, says(c, 3, "stage 2 computed 100 % longer a row than when it was measured, and others did not");
    usual(c), c[0].row[1] = 0.015, c[1].row[1] = 0.02, says(c, 3, "all stages computed longer");
    usual(c), c[0].row[1] = 0.007, says(c, 3, "stage 1 computed 30 % less a row");
    usual(c), c[0].waiting[1] = 0.6, says(c, 1.2, "stage 1 waited 60 % of the time, where 10 % was expected: too little was asked");
    usual(c), c[0].waiting[1] = 0.6, says(c, 3, "messages probably took longer");
    usual(c), c[1].waiting[0] = 0.6, says(c, 3, "other stages were faster");
    usual(c), c[1].sending[1] = 0.4, says(c, 3, "stage 2 was busy sending for 40 % of the time, where 1 % was expected: its line is slower");
    usual(c), c[1].memory[1] = 2e8, says(c, 3, "stage 2 took +100 % of the memory");
}
