/* tests/unit/worker/turns_test.c — rows or a picture first, and what is remembered of it. */
#include "tests/support/check.h"

#include "base/diary.h"
#include "worker/turns.h"

#include <stdlib.h>

TEST(what_waits_alone_is_next)
{
    struct turns t = {.layer_ns = 100};
    CHECK(!turns_picture_next(&t, true, false));
    CHECK(turns_picture_next(&t, false, true), "rows that are not there keep no picture waiting");
    CHECK(!turns_picture_next(&t, false, false));
}

/* A layer takes 50 micro-batches' time: rows pass it, and still it gets half of the stage. */
TEST(a_picture_among_rows_gets_half_of_the_time)
{
    struct turns t = {0};
    uint64_t picture = 0, rows = 0, longest = 0, waited = 0;
    for (int i = 0; i < 10000; i++) {
        bool next = turns_picture_next(&t, true, true);
        turns_took(&t, next, next ? 50 : 1);
        if (next) picture += 50, waited += 50;
        else rows++, waited = 0;
        if (waited > longest) longest = waited;
    }
    CHECK(picture >= rows && picture <= rows + 100, "%llu for the picture, %llu for rows", (unsigned long long)picture, (unsigned long long)rows);
    CHECK(longest == 50, "rows waited for more than one layer: %llu", (unsigned long long)longest);
}

TEST(a_diary_holds_the_last_intervals)
{
    struct diary *d = calloc(1, sizeof *d);
    const uint64_t all = 2 * DIARY_SPANS + 5;
    for (uint64_t i = 0; i < all; i++) diary_add(d, (struct diary_span){.begin_ns = i, .end_ns = i + 1, .number = i});
    CHECK(d->n == all && diary_oldest(d) == all - DIARY_SPANS);
    for (uint64_t i = diary_oldest(d); i < all; i++) CHECK(diary_at(d, i)->number == i, "interval %llu", (unsigned long long)i);
    free(d);
}

TEST(layers_of_a_picture_are_one_interval_unless_rows_came_between)
{
    struct diary *d = calloc(1, sizeof *d);
    diary_extend(d, (struct diary_span){10, 20, 7, 1, DIARY_PICTURE});
    diary_extend(d, (struct diary_span){20, 30, 7, 1, DIARY_PICTURE});
    diary_add(d, (struct diary_span){30, 31, 7, 64, DIARY_ROWS});
    diary_extend(d, (struct diary_span){31, 41, 7, 1, DIARY_PICTURE});
    diary_extend(d, (struct diary_span){41, 51, 8, 1, DIARY_PICTURE});
    CHECK(d->n == 4, "%llu intervals", (unsigned long long)d->n);
    CHECK(d->span[0].begin_ns == 10 && d->span[0].end_ns == 30 && d->span[0].amount == 2);
    CHECK(d->span[2].begin_ns == 31 && d->span[2].amount == 1 && d->span[3].number == 8);
    free(d);
}
