/* tests/unit/report/chart_test.c — what the stages did and waited for, as a chart and as a file. */
#include "coordinator/report/chart_svg.h"
#include "coordinator/report/run_chart.h"
#include "tests/support/check.h"

#include <math.h>
#include <stdlib.h>

static int add(struct chart *c, int lane, uint64_t number, uint64_t sent, uint64_t begin, uint64_t end, struct err *why)
{
    return chart_add(c, &(struct bar){.lane = lane, .kind = BAR_ANSWER, .begin_ns = begin, .end_ns = end, .number = number, .sent_ns = sent,
                                      .rows = 1, .asks = 1, .ask = {number}}, why);
}

static bool is_gap(const struct gap *g, int lane, enum wait what, uint64_t begin, uint64_t end)
{
    return g->lane == lane && g->what == what && g->begin_ns == begin && g->end_ns == end;
}

TEST(a_gap_says_whether_nothing_was_sent_or_a_stage_or_the_way_was_waited_for)
{
    struct chart c = {.begin_ns = 0, .end_ns = 100};
    NEED(chart_lanes(&c, 2, why));
    NEED(add(&c, 0, 7, 5, 10, 30, why)); /* sent at 5, arrives at 10 */
    NEED(add(&c, 1, 7, 5, 40, 60, why)); /* leaves the first stage at 30 */
    NEED(add(&c, 0, 8, 70, 72, 80, why));
    NEED(chart_finish(&c, why));
    const struct {
        int lane;
        enum wait what;
        uint64_t begin, end;
    } want[] = {{0, WAIT_NOTHING, 0, 5}, {0, WAIT_WIRE, 5, 10}, {0, WAIT_NOTHING, 30, 70}, {0, WAIT_WIRE, 70, 72}, {0, WAIT_NOTHING, 80, 100},
                {1, WAIT_NOTHING, 0, 5}, {1, WAIT_STAGE, 5, 30}, {1, WAIT_WIRE, 30, 40}, {1, WAIT_NOTHING, 60, 100}};
    CHECK(c.gaps == sizeof want / sizeof *want, "%zu gaps", c.gaps);
    for (size_t i = 0; i < c.gaps && i < sizeof want / sizeof *want; i++)
        CHECK(is_gap(&c.gap[i], want[i].lane, want[i].what, want[i].begin, want[i].end), "gap %zu: stage %d, %d, %llu to %llu", i, c.gap[i].lane,
              c.gap[i].what, (unsigned long long)c.gap[i].begin_ns, (unsigned long long)c.gap[i].end_ns);
    CHECK(fabs(c.lane[0].busy - 0.28) < 1e-9 && fabs(c.lane[1].busy - 0.2) < 1e-9, "busy %g and %g", c.lane[0].busy, c.lane[1].busy);
    chart_free(&c);
}

/* Drawn histories: stages may be late, out of order, or tell of what was never sent. */
static void fill_drawn(struct chart *c, unsigned seed, struct err *why)
{
    srand(seed);
    const int lanes = 1 + rand() % 5, batches = rand() % 200;
    if (chart_lanes(c, lanes, why)) return;
    uint64_t free_at[5] = {0};
    for (int b = 0; b < batches; b++) {
        const uint64_t sent = (uint64_t)(rand() % 3 ? b * 50 + rand() % 40 : 0);
        uint64_t at = sent;
        for (int i = 0; i < lanes; i++) {
            const uint64_t begin = (at > free_at[i] ? at : free_at[i]) + (uint64_t)(rand() % 9), end = begin + (uint64_t)(rand() % 60);
            const struct bar bar = {.lane = i, .kind = (enum bar_kind)(rand() % BAR_KINDS), .begin_ns = begin, .end_ns = end, .number = (uint64_t)b,
                                    .sent_ns = sent, .asks = (uint32_t)(rand() % 12)};
            if (chart_add(c, &bar, why)) return;
            free_at[i] = at = end;
        }
    }
    if (rand() % 2 && chart_mark(c, 500, why)) return;
    chart_finish(c, why);
}

TEST(new_beginnings_are_drawn_also_when_the_first_replica_was_lost)
{
    struct run_chart *r;
    struct chart all = {0}, own;
    struct pipeline second = {.workers = 0};
    struct err e = {0};
    CHECK(!run_chart_open(&r, &e), "%s", e.text);
    run_chart_watch(r, &(struct happened){.what = EPOCH_BEGAN, .replica = 0, .at_ns = 5});
    run_chart_watch(r, &(struct happened){.what = EPOCH_BEGAN, .replica = 1, .at_ns = 7});
    CHECK(!run_chart_fill(&own, r, &second, &(struct timeline){0}, 1, &e) && !chart_join(&all, &own, 1, 2, &e), "%s", e.text);
    CHECK(!run_chart_mark(&all, r, &e) && all.marks == 2, "%zu marks", all.marks);
    chart_free(&all);
    run_chart_close(&r);
}

TEST(work_and_waiting_make_up_all_of_the_time_of_every_stage)
{
    for (unsigned seed = 0; seed < 300; seed++) {
        struct chart c = {0};
        struct err e = {0};
        fill_drawn(&c, seed, &e);
        CHECK(!e.code, "%s", e.text);
        for (int i = 0; i < c.lanes; i++) {
            const struct lane *l = &c.lane[i];
            const double all = l->busy + l->wait[WAIT_NOTHING] + l->wait[WAIT_STAGE] + l->wait[WAIT_WIRE];
            CHECK(fabs(all - (c.end_ns > c.begin_ns)) < 1e-9, "seed %u: stage %d has %g of its time", seed, i, all);
        }
        chart_free(&c);
    }
}

/* So many times is `word` in the file. */
static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    for (; (text = strstr(text, word)); text++) n++;
    return n;
}

TEST(a_file_of_a_hundred_thousand_intervals_stays_small_and_text_in_it_is_text)
{
    struct chart c = {.title = "a <b> & c"};
    char *bytes = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&bytes, &n);
    NEED(chart_lanes(&c, 2, why));
    for (uint64_t i = 0; i < 100000; i++) NEED(add(&c, i % 2 != 0, i, i * 10, i * 10 + 2, i * 10 + 9, why));
    NEED(chart_finish(&c, why));
    const struct chart *both[] = {&c, &c};
    charts_print(to, both, 2);
    fclose(to);
    CHECK(n < 4 << 20, "%zu bytes", n);
    CHECK(count(bytes, "<b>") == 0 && count(bytes, "a &lt;b&gt; &amp; c") == 3, "the title: %zu", count(bytes, "a &lt;b&gt; &amp; c"));
    CHECK(count(bytes, "<g class=") == count(bytes, "</g>") && count(bytes, "nan") == 0 && count(bytes, "inf") == 0, "broken shapes");
    free(bytes);
    chart_free(&c);
}
