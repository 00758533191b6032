/* tests/unit/report/tally_test.c — what a run's report counts, from events alone. */
#include "coordinator/report/job_progress.h"
#include "coordinator/report/tally.h"

#include "tests/support/check.h"

#include <math.h>

static void ask_came(struct tally *t, uint64_t number)
{
    tally_watch(t, &(struct happened){.what = ASK_CAME, .number = number, .asked_rows = 20});
}

static void rows_go(struct tally *t, uint64_t number, uint32_t position, uint32_t rows)
{
    const struct happened_rows one = {.number = number, .position = position, .rows = rows};
    tally_watch(t, &(struct happened){.what = BATCH_SENT, .rows = &one, .n = 1});
}

static void ask_ends(struct tally *t, uint64_t number, uint32_t made, uint32_t reused)
{
    tally_watch(t, &(struct happened){.what = ASK_ENDED, .number = number, .amount = made, .asked_rows = 20, .reused_rows = reused,
                                      .asked_ns = 1000000000, .first_ns = 2000000000, .at_ns = 5000000000});
}

TEST(times_are_told_to_one_percent_whatever_their_size)
{
    static struct times t;
    for (int i = 1; i <= 10000; i++) times_add(&t, i * 1e-3);
    CHECK(fabs(times_mean(&t) - 5.0005) < 1e-9, "mean %g", times_mean(&t));
    CHECK(fabs(times_below(&t, 0.5) / 5 - 1) < 0.01, "median %g", times_below(&t, 0.5));
    CHECK(fabs(times_below(&t, 0.99) / 9.9 - 1) < 0.01, "p99 %g", times_below(&t, 0.99));
    static struct times one, none, strange;
    times_add(&one, 0.1234);
    CHECK(times_below(&one, 0.5) == 0.1234 && times_below(&one, 0.99) == 0.1234, "one time is itself");
    CHECK(times_below(&none, 0.5) == 0 && times_mean(&none) == 0, "no time is 0");
    times_add(&strange, 0);
    times_add(&strange, 1e12);
    CHECK(times_below(&strange, 0.5) <= 1e-5 && strange.most == 1e12, "what no box is made for has one too");
}

TEST(rows_that_are_computed_again_are_counted_once_more)
{
    static struct tally t;
    for (uint64_t number = 3; number < 6; number++) ask_came(&t, number);
    rows_go(&t, 3, 0, 20);
    rows_go(&t, 4, 16, 4); /* it goes on where a slot held 16 */
    rows_go(&t, 3, 20, 1);
    ask_ends(&t, 4, 1, 16);
    rows_go(&t, 3, 0, 21); /* it lost its slot */
    rows_go(&t, 3, 21, 2);
    rows_go(&t, 9, 0, 5); /* nobody knows it */
    CHECK(t.rows == 53 && t.rows_again == 21, "%d of %d", (int)t.rows_again, (int)t.rows);
    ask_ends(&t, 3, 4, 0);
    CHECK(t.ended == 2 && t.made == 5 && t.asked_rows == 40 && t.reused_rows == 16 && t.table.n == 1, "what ended is forgotten");
    CHECK(t.between.n == 1 && fabs(t.between.sum - 1) < 1e-9 && fabs(t.whole.sum - 8) < 1e-9, "one token has no time between two");
    tally_free(&t);
}

TEST(what_is_left_is_reckoned_from_tokens)
{
    static struct tally t;
    const struct job_counts n = {.lines = 100, .asked = 20, .asked_bytes = 2000, .unread = 80, .unread_bytes = 16000};
    const struct engine_totals e = {.prompt_rows = 400, .rows = 600};
    CHECK(rows_left(&n, &t, &e) < 0, "before an answer has ended nobody knows");
    t.came = 20, t.ended = 10, t.made = 310;
    /* Prompts: those asked and, as the lines are longer, 3200; answers: 300, and 30 for each of 10 under way and 80 unread. The last
     * token of an answer is no row. */
    CHECK(fabs(rows_left(&n, &t, &e) - (400 + 3200 + 300 + 90 * 30 - 600)) < 1e-6, "%g", rows_left(&n, &t, &e));
    CHECK(rows_left(&(struct job_counts){.asked = 20}, &t, &(struct engine_totals){.rows = 9000}) == 0, "never less than none");
}
