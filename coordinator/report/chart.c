/* coordinator/report/chart.c — see chart.h. */
#include "coordinator/report/chart.h"

#include "base/growing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int chart_lanes(struct chart *c, int lanes, struct err *why)
{
    c->lane = calloc((size_t)lanes + 1, sizeof *c->lane);
    c->lanes = lanes;
    return c->lane ? 0 : fail(why, E_MEMORY, "no memory to draw %d stages", lanes);
}

int chart_add(struct chart *c, const struct bar *bar, struct err *why)
{
    struct bar *bars = array_with_room(c->bar, c->n, &c->room, sizeof *bars);
    if (!bars) return fail(why, E_MEMORY, "no memory to draw %zu intervals", c->n + 1);
    c->bar = bars;
    c->bar[c->n++] = *bar;
    return 0;
}

int chart_mark(struct chart *c, uint64_t at_ns, struct err *why)
{
    uint64_t *more = realloc(c->mark, (c->marks + 1) * sizeof *more);
    if (!more) return fail(why, E_MEMORY, "no memory to draw %zu new beginnings", c->marks + 1);
    c->mark = more;
    c->mark[c->marks++] = at_ns;
    return 0;
}

static int join_bars(struct chart *all, const struct chart *one, int base, int replica, struct err *why)
{
    for (size_t i = 0; i < one->n; i++) {
        struct bar b = one->bar[i];
        b.lane += base;
        b.replica = replica;
        TRY(chart_add(all, &b, why));
    }
    return 0;
}

int chart_join(struct chart *all, struct chart *one, int replica, int replicas, struct err *why)
{
    const int base = all->lanes;
    struct lane *more = realloc(all->lane, ((size_t)(base + one->lanes) + 1) * sizeof *more);
    int code = more ? 0 : fail(why, E_MEMORY, "no memory to draw %d stages", base + one->lanes);
    if (more) all->lane = more;
    for (int i = 0; i < one->lanes && !code; i++) {
        struct lane *l = &all->lane[all->lanes++];
        *l = one->lane[i];
        if (replicas > 1) snprintf(l->label, sizeof l->label, "replica %d, %.60s", replica + 1, one->lane[i].label);
    }
    if (!code) code = join_bars(all, one, base, replica, why);
    chart_free(one);
    return code;
}

/* ---- gaps ---- */

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_lane(const void *x, const void *y)
{
    const struct bar *a = x, *b = y;
    return a->lane != b->lane ? a->lane - b->lane : compare(a->begin_ns, b->begin_ns);
}

/* Pictures and micro-batches have numbers of their own, and so have replicas. */
static int by_number(const void *x, const void *y)
{
    const struct bar *a = *(struct bar *const *)x, *b = *(struct bar *const *)y;
    const int picture = (a->kind == BAR_PICTURE) - (b->kind == BAR_PICTURE);
    if (picture) return picture;
    if (a->replica != b->replica) return a->replica - b->replica;
    return a->number != b->number ? compare(a->number, b->number) : compare(a->begin_ns, b->begin_ns);
}

/* For each bar when its rows left the stage before, or the coordinator. The bars of one micro-batch in the order of time are its way;
 * stages that score the same rows do so side by side, behind the last of the others. */
static int find_arrivals(const struct chart *c, uint64_t *left_ns, struct err *why)
{
    struct bar **way = malloc((c->n + 1) * sizeof *way);
    if (!way) return fail(why, E_MEMORY, "no memory to draw %zu intervals", c->n);
    for (size_t i = 0; i < c->n; i++) way[i] = &c->bar[i];
    qsort(way, c->n, sizeof *way, by_number);
    const struct bar *before = NULL;
    for (size_t i = 0; i < c->n; i++) {
        const struct bar *b = way[i];
        const bool same = before && before->number == b->number && before->replica == b->replica;
        if (!same || (before->kind == BAR_PICTURE) != (b->kind == BAR_PICTURE)) before = NULL;
        left_ns[b - c->bar] = before ? before->end_ns : b->sent_ns;
        if (b->kind != BAR_SCORES) before = b;
    }
    free(way);
    return 0;
}

static uint64_t within(uint64_t x, uint64_t least, uint64_t most)
{
    return x < least ? least : x > most ? most : x;
}

static void add_gap(struct chart *c, int lane, enum wait what, uint64_t begin_ns, uint64_t end_ns)
{
    if (end_ns <= begin_ns) return;
    c->gap[c->gaps++] = (struct gap){lane, what, begin_ns, end_ns};
    c->lane[lane].wait[what] += (double)(end_ns - begin_ns);
}

static void gap_before(struct chart *c, uint64_t since_ns, const struct bar *next, uint64_t left_ns)
{
    const uint64_t sent = within(next->sent_ns, since_ns, next->begin_ns), left = within(left_ns, sent, next->begin_ns);
    add_gap(c, next->lane, WAIT_NOTHING, since_ns, sent);
    add_gap(c, next->lane, WAIT_STAGE, sent, left);
    add_gap(c, next->lane, WAIT_WIRE, left, next->begin_ns);
}

/* The bars are in order. */
static void find_gaps(struct chart *c, const uint64_t *left_ns)
{
    size_t i = 0;
    for (int lane = 0; lane < c->lanes; lane++) {
        uint64_t since = c->begin_ns;
        for (; i < c->n && c->bar[i].lane == lane; i++) {
            gap_before(c, since, &c->bar[i], left_ns[i]);
            if (c->bar[i].end_ns > since) c->lane[lane].busy += (double)(c->bar[i].end_ns - within(c->bar[i].begin_ns, since, c->bar[i].end_ns));
            since = within(c->bar[i].end_ns, since, c->end_ns);
        }
        add_gap(c, lane, WAIT_NOTHING, since, c->end_ns);
    }
}

static void find_limits(struct chart *c)
{
    if (c->end_ns) return;
    c->begin_ns = c->n ? UINT64_MAX : 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct bar *b = &c->bar[i];
        const uint64_t first = b->sent_ns && b->sent_ns < b->begin_ns ? b->sent_ns : b->begin_ns;
        if (first < c->begin_ns) c->begin_ns = first;
        if (b->end_ns > c->end_ns) c->end_ns = b->end_ns;
    }
}

int chart_finish(struct chart *c, struct err *why)
{
    if (c->n) qsort(c->bar, c->n, sizeof *c->bar, by_lane);
    find_limits(c);
    uint64_t *left_ns = malloc((c->n + 1) * sizeof *left_ns);
    c->gap = malloc((3 * c->n + (size_t)c->lanes + 1) * sizeof *c->gap);
    int code = left_ns && c->gap ? find_arrivals(c, left_ns, why) : fail(why, E_MEMORY, "no memory to draw %zu intervals", c->n);
    if (!code) find_gaps(c, left_ns);
    free(left_ns);
    const double all = c->end_ns > c->begin_ns ? (double)(c->end_ns - c->begin_ns) : 1;
    for (int i = 0; i < c->lanes && !code; i++) {
        c->lane[i].busy /= all;
        for (int w = 0; w < WAITS; w++) c->lane[i].wait[w] /= all;
    }
    return code;
}

void chart_entitle(struct chart *c, const char *what, const struct chart_sums *s)
{
    char copies[64] = "";
    if (s->replicas < s->of) snprintf(copies, sizeof copies, " in %d of %d replicas", s->replicas, s->of);
    else if (s->of > 1) snprintf(copies, sizeof copies, " in %d replicas", s->of);
    snprintf(c->title, sizeof c->title, "%s: %d %s%s, %.3f s, bubble %.0f %%", what, c->lanes, c->lanes == 1 ? "stage" : "stages", copies,
             (double)(c->end_ns - c->begin_ns) / 1e9, 100 * chart_bubble(c));
    snprintf(c->detail, sizeof c->detail, "%" PRIu64 " asks, %" PRIu64 " tokens of answers, %.1f a second%s", s->asks, s->tokens,
             s->seconds > 0 ? (double)s->tokens / s->seconds : 0, s->forgotten ? "; what was earlier the stages have forgotten" : "");
}

double chart_bubble(const struct chart *c)
{
    double busy = 0;
    for (int i = 0; i < c->lanes; i++) busy += c->lane[i].busy;
    return c->lanes ? 1 - busy / c->lanes : 0;
}

void chart_free(struct chart *c)
{
    free(c->lane);
    free(c->bar);
    free(c->gap);
    free(c->mark);
    *c = (struct chart){0};
}
