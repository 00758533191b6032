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

/* The run took a second. */
static void says(const struct compared *c, double expected, double in_flight, const char *words)
{
    char out[400];
    difference_say(out, c, 2, &(struct compared_run){.wall = {expected, 1}, .in_flight = in_flight, .in_flight_most = 3});
    CHECK(strstr(out, words), "\"%s\" lacks \"%s\"", out, words);
}

TEST(the_largest_difference_is_named_with_its_likely_cause)
{
    struct compared c[2];
    usual(c), says(c, 1, 3, "all was as expected");
    usual(c), c[1].row[1] = 0.02, says(c, 0.6, 3, "stage 2 computed 100 % longer a row than when it was measured, and others far less");
    usual(c), c[0].row[1] = 0.015, c[1].row[1] = 0.02, says(c, 0.6, 3, "all stages computed longer");
    usual(c), c[0].row[1] = 0.007, says(c, 1, 3, "stage 1 computed 30 % less a row");
    usual(c), c[0].waiting[1] = 0.6, says(c, 0.5, 1.2, "stage 1 waited 61 % of the time, where 11 % was expected: too little was asked");
    usual(c), c[0].waiting[1] = 0.6, says(c, 0.5, 3, "messages probably took longer on their way than measured; no stage stood still for long");
    usual(c), c[1].waiting[0] = 0.6, says(c, 1, 3, "other stages were faster");
    usual(c), c[1].sending[1] = 0.4, says(c, 0.8, 3, "stage 2 was busy sending for 40 % of the time, where 1 % was expected: its line is slower");
    usual(c), c[1].memory[1] = 2e8, c[1].beside = 40 << 20, says(c, 1, 3, "stage 2 took +100 % of the memory that was planned for it: what a program takes beside its part is planned as 40 MiB");
}

/* As three runs had it: another program on the machine, where both stages wait for each other's long rows; a slow line that was measured, whose
 * bytes a sender hands over at once; one that was not. */
TEST(waiting_is_not_blamed_for_what_it_follows_from)
{
    const struct compared busy[2] = {{.row = {0.97e-4, 5.5e-4}, .waiting = {0, 0.535}, .sending = {0.037, 0}, .busy = 0.465},
                                     {.row = {1.01e-4, 6.8e-4}, .waiting = {0, 0.42}, .sending = {0, 0.001}, .busy = 0.579}};
    says(busy, 0.09, 3, "all stages computed longer than when they were measured, stage 2 573 % longer a row");
    const struct compared crowd[2] = {{.row = {1.0e-4, 20e-4}, .waiting = {0, 0.8}, .busy = 0.18}, {.row = {1.0e-4, 19e-4}, .waiting = {0, 0.81}, .busy = 0.17}};
    says(crowd, 0.01, 3, "all stages computed longer");
    const struct compared throttled[2] = {{.row = {0.97e-4, 1.1e-4}, .waiting = {0, 0.8}, .busy = 0.19}, {.row = {1.0e-4, 3.55e-4}, .waiting = {0, 0.38}, .busy = 0.62}};
    says(throttled, 0.18, 3, "stage 2 computed 255 % longer a row than when it was measured, and others far less");
    const struct compared line[2] = {{.row = {0.97e-4, 1.0e-4}, .waiting = {0.37, 0.94}, .sending = {0.57, 0}, .busy = 0.06},
                                     {.row = {1.01e-4, 1.1e-4}, .waiting = {0.37, 0.94}, .sending = {0.57, 0}, .busy = 0.06}};
    says(line, 0.98, 3, "all was as expected");
    const struct compared slower[2] = {{.row = {0.97e-4, 1.1e-4}, .waiting = {0, 0.91}, .sending = {0.08, 0}, .busy = 0.09},
                                       {.row = {1.01e-4, 1.3e-4}, .waiting = {0, 0.9}, .sending = {0.05, 0}, .busy = 0.1}};
    says(slower, 0.08, 3, "messages probably took longer on their way");
}

/* A worker that is stopped now and then, whose micro-batches pass mostly in between; one that was stopped while it computed; all on a machine
 * that had no processor for them; one whose stops are short beside what its line took. */
TEST(who_stood_still_is_told_from_a_slow_message)
{
    struct compared c[2];
    usual(c), c[0].waiting[1] = c[1].waiting[1] = 0.7, c[1].stopped = 0.6;
    says(c, 0.3, 3, "stage 2 stood still for 60 % of the time, with all its threads");
    usual(c), c[0].waiting[1] = 0.6, c[1].row[1] = 0.03, c[1].stopped = 0.5;
    says(c, 0.5, 3, "stage 2 stood still for 50 %");
    usual(c), c[0].row[1] = 0.02, c[1].row[1] = 0.025, c[0].stopped = 0.3, c[1].stopped = 0.4;
    says(c, 0.5, 3, "all stages stood still at times, stage 2 stood still for 40 %");
    usual(c), c[1].row[1] = 0.03, c[1].stopped = 0.06;
    says(c, 0.5, 3, "stage 2 computed 200 % longer a row");
    usual(c), c[0].waiting[1] = 0.7, c[1].stopped = 0.06;
    says(c, 0.3, 3, "messages probably took longer on their way than measured, or who should have computed or sent was stopped at times");
}
