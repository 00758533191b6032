/* tests/unit/cluster/other_ways_test.c — what is recommended of several ways to use the cores of this machine, and how surely. */
#include "coordinator/cluster/other_ways.h"
#include "tests/support/check.h"

#include <string.h>

static const char unsure[] = "within the error of the prediction (15 %)";

TEST(ways_that_differ_by_less_than_predictions_err_are_said_to)
{
    char out[OTHER_WAYS_TEXT];
    struct other_ways o = {.workers = 2, .threads = 2, .as_wished = 791.5, .one_process = 837.4, .best_replicas = 2, .of_replicas = 799};
    other_ways_say(out, &o); /* as SPEED 50 has it: replicas were 5 % faster than one process */
    CHECK(strstr(out, "one process of 2 threads (no --workers) is recommended") && strstr(out, "2 replicas (--replicas of batch, eval and serve) would reach 799.0") &&
          strstr(out, "differ by 5 %") && strstr(out, unsure), "%s", out);
    o.one_process = 1200;
    other_ways_say(out, &o);
    CHECK(strstr(out, "is recommended") && strstr(out, "would reach") && !strstr(out, unsure), "a difference of half is one: %s", out);
    o.of_replicas = 1100;
    other_ways_say(out, &o);
    CHECK(strstr(out, "differ by 9 %") && strstr(out, unsure), "%s", out);
    o = (struct other_ways){.workers = 2, .threads = 2, .as_wished = 800, .one_process = 810, .best_replicas = 1};
    other_ways_say(out, &o);
    CHECK(strstr(out, "about as fast") && strstr(out, unsure), "%s", out);
    o.one_process = 0;
    other_ways_say(out, &o);
    CHECK(!*out, "nothing is known: %s", out);
}
