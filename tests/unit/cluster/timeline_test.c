/* tests/unit/cluster/timeline_test.c — how much of what stages did happened at the same time, on invented diaries. */
#include "tests/support/check.h"

#include "coordinator/cluster/timeline.h"

#include <math.h>

#define S 1000000000ull

static struct moment picture(int node, double from, double to, uint64_t number)
{
    return (struct moment){node, {(uint64_t)(from * 1e9) + S, (uint64_t)(to * 1e9) + S, number, 1, DIARY_PICTURE}};
}

static struct moment rows(int node, double from, double to)
{
    return (struct moment){node, {(uint64_t)(from * 1e9) + S, (uint64_t)(to * 1e9) + S, 0, 1, DIARY_ROWS}};
}

static bool is(double got, double want)
{
    return fabs(got - want) < 1e-9;
}

TEST(one_stage_after_the_other_is_no_overlap)
{
    struct moment m[] = {picture(1, 0, 1, 0), rows(1, 1, 2), picture(2, 1, 2, 0), picture(3, 2, 3, 0), rows(2, 3, 4)};
    struct overlap o;
    NEED(timeline_overlap(&o, &(struct timeline){m, 5, 5, 0}, why));
    CHECK(is(o.seeing, 3) && is(o.with_picture, 0), "%g %g", o.seeing, o.with_picture);
    CHECK(is(o.with_rows, 1), "%g", o.with_rows);
}

TEST(overlap_of_pictures_and_rows_is_counted_once)
{
    /* 1: picture 0 to 4; 2: picture 1 to 3, rows 3 to 5; 3: picture 2 to 3, rows 0 to 1 */
    struct moment m[] = {picture(1, 0, 4, 1), picture(2, 1, 3, 0), rows(2, 3, 5), rows(3, 0, 1), picture(3, 2, 3, 9)};
    struct overlap o;
    NEED(timeline_overlap(&o, &(struct timeline){m, 5, 5, 0}, why));
    CHECK(is(o.seeing, 4), "%g", o.seeing);
    CHECK(is(o.with_picture, 2), "%g", o.with_picture);
    CHECK(is(o.with_rows, 2), "%g", o.with_rows);
}

TEST(an_empty_timeline_has_no_overlap)
{
    struct overlap o;
    NEED(timeline_overlap(&o, &(struct timeline){0}, why));
    CHECK(o.seeing == 0 && o.with_picture == 0 && o.with_rows == 0);
}

TEST(a_clock_that_agrees_within_the_time_of_asking_is_the_same_clock)
{
    const uint64_t sent = 77 * S, heard = sent + 1001;
    for (uint64_t theirs = sent; theirs <= heard; theirs++)
        CHECK(timeline_ahead(sent, heard, theirs) == 0, "%llu ns after", (unsigned long long)(theirs - sent));
    CHECK(timeline_ahead(sent, sent, sent) == 0);
}

TEST(another_clock_is_known_to_half_the_time_of_asking)
{
    const uint64_t sent = 77 * S, trip = 1000;
    const int64_t off[] = {5000, -5000, 3600 * (int64_t)S, -70 * (int64_t)S};
    for (size_t i = 0; i < 4; i++)
        for (uint64_t way = 0; way <= trip; way += 100) { /* it took so long to get there */
            int64_t found = timeline_ahead(sent, sent + trip, sent + way + (uint64_t)off[i]);
            CHECK(found - off[i] <= 500 && off[i] - found <= 500, "%lld for %lld", (long long)found, (long long)off[i]);
        }
}
