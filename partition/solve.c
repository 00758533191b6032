/* partition/solve.c — the split with the fastest slowest stage.
 *
 * Two dynamic programmes over (worker, item), exact, in the workers' order. The first finds the time T of the slowest
 * stage. The second, among all splits that stay within T, finds the one with the smallest sum of squared times: a ring
 * runs at the pace of T either way, but an even rest has less to catch up after a hiccup, and one answer alone is not
 * slower for it. Doing both in one pass would be wrong: the best-balanced beginning may have a larger sum.
 *
 * Memory is a cap per stage. It only grows with the items, so for each worker and first item there is a farthest end,
 * found by two fingers moving forward; after that a cap is one comparison.
 *
 * Cost: workers * items^2 steps; 63 workers and 62 layers take a millisecond or so. */
#include "partition/items.h"

#include <math.h>
#include <stdlib.h>

struct search {
    const struct items *it;
    const struct worker_offer *offers;
    uint32_t workers, n;
    uint32_t *far;  /* [workers][n]: where a run that begins here must end at the latest; itself: not one item fits */
    double *best;   /* [workers + 1][n + 1]: slowest stage of the first j workers on the first i items */
    double *sum;    /* the same, of squares, within best[workers][n] */
    uint32_t *from; /* where the last of these stages begins */
};

static size_t cell(const struct search *s, uint32_t j, uint32_t i)
{
    return (size_t)j * (s->n + 1) + i;
}

static bool fits(const struct search *s, uint32_t worker, uint32_t first, uint32_t end)
{
    const struct worker_offer *o = &s->offers[worker];
    return !o->memory || items_bytes(s->it, first, end, o).total <= o->memory;
}

static void find_far(struct search *s)
{
    for (uint32_t w = 0; w < s->workers; w++) {
        uint32_t end = s->offers[w].memory ? 0 : s->n;
        for (uint32_t first = 0; first < s->n; first++) {
            if (end < first) end = first;
            while (end < s->n && fits(s, w, first, end + 1)) end++;
            s->far[(size_t)w * s->n + first] = end;
        }
    }
}

static double stage_time(const struct search *s, uint32_t worker, uint32_t first, uint32_t end)
{
    if (end > s->far[(size_t)worker * s->n + first]) return INFINITY;
    return items_seconds(s->it, first, end, &s->offers[worker]);
}

static void find_slowest(struct search *s)
{
    for (uint32_t i = 0; i <= s->n; i++) s->best[cell(s, 0, i)] = i ? INFINITY : 0;
    for (uint32_t j = 1; j <= s->workers; j++)
        for (uint32_t i = 0; i <= s->n; i++) {
            double best = INFINITY;
            for (uint32_t k = i; k-- > j - 1;) {
                double last = stage_time(s, j - 1, k, i), before = s->best[cell(s, j - 1, k)];
                if (last >= best) break; /* and it only gets longer */
                double slowest = last > before ? last : before;
                if (slowest < best) best = slowest;
            }
            s->best[cell(s, j, i)] = best;
        }
}

static void find_evenest(struct search *s, double limit)
{
    const double ties = 1 - 1e-12; /* sums that differ by rounding only are equal: then more goes to the front */
    for (uint32_t i = 0; i <= s->n; i++) s->sum[cell(s, 0, i)] = i ? INFINITY : 0;
    for (uint32_t j = 1; j <= s->workers; j++)
        for (uint32_t i = 0; i <= s->n; i++) {
            double best = INFINITY;
            for (uint32_t k = i; k-- > j - 1;) {
                double last = stage_time(s, j - 1, k, i);
                if (last > limit) break;
                double sum = s->sum[cell(s, j - 1, k)] + last * last;
                if (sum < best * ties) best = sum, s->from[cell(s, j, i)] = k;
            }
            s->sum[cell(s, j, i)] = best;
        }
}

/* No split fits. The most obliging one, for the sentence: each worker takes all it can, the last one the rest. */
static void fill_up(const struct search *s, uint32_t *ends)
{
    uint32_t first = 0;
    for (uint32_t w = 0; w < s->workers; w++) {
        uint32_t end = s->far[(size_t)w * s->n + first], latest = s->n - (s->workers - 1 - w);
        if (end <= first) end = first + 1;
        if (end > latest || w == s->workers - 1) end = latest;
        ends[w] = first = end;
    }
}

static int search(struct search *s, struct plan *out, struct err *why)
{
    uint32_t ends[MAX_STAGES];
    find_far(s);
    find_slowest(s);
    double limit = s->best[cell(s, s->workers, s->n)];
    if (isinf(limit)) {
        fill_up(s, ends);
        plan_fill(out, s->it, s->offers, ends, (int)s->workers);
        TRY(plan_check_memory(out, s->offers, why));
        return fail(why, E_INTERNAL, "no split was found, yet one fits");
    }
    find_evenest(s, limit);
    uint32_t end = s->n;
    for (uint32_t j = s->workers; j; j--) {
        ends[j - 1] = end;
        end = s->from[cell(s, j, end)];
    }
    plan_fill(out, s->it, s->offers, ends, (int)s->workers);
    return 0;
}

static int search_with_memory(const struct items *it, struct plan *out, const struct worker_offer *offers, int workers,
                              struct err *why)
{
    TRY(plan_check_workers(it, workers, why));
    size_t cells = ((size_t)workers + 1) * (it->n + 1);
    struct search s = {it, offers, (uint32_t)workers, it->n, .far = calloc(cells, sizeof *s.far)};
    s.best = calloc(cells, sizeof *s.best);
    s.sum = calloc(cells, sizeof *s.sum);
    s.from = calloc(cells, sizeof *s.from);
    int rc = s.far && s.best && s.sum && s.from ? search(&s, out, why)
                                               : fail(why, E_MEMORY, "no memory to plan for %d workers", workers);
    free(s.far);
    free(s.best);
    free(s.sum);
    free(s.from);
    return rc;
}

int plan_solve(struct plan *out, const struct model_shape *shape, const struct worker_offer *offers, int workers,
               const struct capacity *capacity, struct err *why)
{
    struct items it;
    TRY(items_open(&it, shape, capacity, why));
    int rc = search_with_memory(&it, out, offers, workers, why);
    items_close(&it);
    return rc;
}
