/* tests/unit/plan/order_test.c — the search for workers and their order finds what trying everything finds.
 *
 * 1,000 drawn clusters of up to six unlike workers, each with a number of stages: every choice of workers, every order and every cut of layers
 * and parts is tried. Seven to twelve: what was found is held against all sets of workers and all cuts at once, in any order (60 clusters, with
 * LONG=1 1,000), and for two and three stages of twelve against every order itself.
 * Beyond twelve, where layers are counted, the test says how far from a bound that nothing can be below. */
#include "partition/plan/order.h"
#include "partition/plan/plan_in_order.h"
#include "partition/plan/rates.h"
#include "partition/plan/text_cost.h"
#include "tests/support/plan_shapes.h"

#include <math.h>
#include <stdlib.h>

#define MOST 30

static struct speed speeds[MOST];
static struct worker_offer offers[MOST];
static double lines[MOST], hops[MOST];

static struct model_config drawn_config(uint32_t layers, uint32_t vocab)
{
    return (struct model_config){.layers = layers, .hidden = 64, .ffn = 256, .heads = 2, .kv_heads = 1, .head_dim = 32, .window = 64, .pattern = 3,
                                 .context = 4096, .vocab = vocab, .rope_base_global = 1e6f, .rope_base_local = 1e4f, .rope_factor = 8,
                                 .norm_epsilon = 1e-6f, .attention_scale = 0.0625f};
}

/* Speeds from 1 to 10, of the head apart; some have little memory, some a slow line. */
static void draw_workers(int n)
{
    for (int i = 0; i < n; i++) {
        const double layer = 1e-3 * (1 + dice(900) / 100.0), head = 1e-4 * (1 + dice(900) / 100.0);
        speeds[i] = (struct speed){.local = {.n = 2, .rows = {1, 10}, .seconds = {layer, 2 * layer}}, .key = 1e-8 * dice(100)};
        speeds[i].global = speeds[i].local;
        speeds[i].head_part = (struct curve){.n = 2, .rows = {1, 10}, .seconds = {head, 2 * head}};
        speeds[i].to = speeds[i].from = (struct hop){1e-5 * (1 + dice(200)), dice(4) ? 1e8 : 1e6};
        offers[i] = (struct worker_offer){.measured = &speeds[i], .threads = 1, .memory = dice(2) ? 0 : PROGRAM_BYTES + (1u << 18) + dice(1u << 20)};
        snprintf(offers[i].name, sizeof offers[i].name, "w%d", i + 1);
        lines[i] = dice(3) ? 0 : 1e-3 * dice(20);
        hops[i] = 1e-5 * dice(300);
    }
}

/* ---- trying everything ---- */

struct trial {
    const struct order_job *job;
    int stages;
    bool divided, sum;
    bool used[MOST];
    double best;
};

static double cost(const struct trial *t, int w, struct stretch r)
{
    if (!search_fits(t->job->search, (uint32_t)w, r)) return INFINITY;
    const double time = search_time(t->job->search, (uint32_t)w, r);
    return t->sum ? time + t->job->hop[w] * PICOSECONDS : fmax(time, t->job->line[w] * PICOSECONDS);
}

/* `placed` stages have the first i layers and q parts, and cost so much. */
static void try_all(struct trial *t, int placed, uint32_t i, uint32_t q, double so_far)
{
    const uint32_t layers = search_layers(t->job->search), parts = search_parts(t->job->search);
    const bool last = placed + 1 == t->stages;
    if (so_far >= t->best) return;
    if (placed == t->stages) {
        if (i == layers && q == parts) t->best = so_far;
        return;
    }
    for (int w = 0; w < t->job->workers; w++) {
        if (t->used[w]) continue;
        t->used[w] = true;
        for (uint32_t end = last ? layers : i + 1; end <= layers; end++)
            for (uint32_t p = last ? parts : q; p <= (t->divided || last ? parts : q); p++) {
                const double c = end > i || p > q ? cost(t, w, (struct stretch){i, end, q, p}) : INFINITY;
                try_all(t, placed + 1, end, p, t->sum ? so_far + c : fmax(so_far, c));
            }
        t->used[w] = false;
    }
}

/* The slowest stage of what was found, when it is cut as it says. */
static double slowest_of(const struct order_job *job, const struct order *o)
{
    struct stretch r = {0};
    double t = 0;
    for (int k = 0; k < o->n; k++) {
        r.k = r.i, r.q = r.p, r.i += o->cut[k].layers, r.p += o->cut[k].parts;
        const uint32_t w = o->worker[k];
        CHECK(search_fits(job->search, w, r), "stage %d does not fit", k + 1);
        t = fmax(t, fmax(search_time(job->search, w, r), job->line[w] * PICOSECONDS));
        for (int other = 0; other < k; other++) CHECK(o->worker[other] != w, "worker %u twice", w + 1);
    }
    CHECK(r.i == search_layers(job->search) && r.p == search_parts(job->search), "%u layers, %u parts", r.i, r.p);
    return t;
}

struct world {
    struct model_shape shape;
    struct capacity cap;
    struct items items;
    struct order_job job;
};

static void open_world(struct world *w, int workers, uint32_t layers, uint32_t vocab)
{
    draw_workers(workers);
    w->shape = invent(drawn_config(layers, vocab), T_Q4_0, T_Q8_0);
    w->cap = (struct capacity){256, 1 + dice(8), 32, 1 + dice(6), 0, {0}};
    w->job = (struct order_job){.offers = offers, .workers = workers, .line = lines, .hop = hops};
    NEED(items_open(&w->items, &w->shape, &w->cap, offers, workers, dice(2), why));
    NEED(search_open(&w->job.search, &w->items, offers, workers, why));
}

static void close_world(struct world *w)
{
    search_close(&w->job.search);
    items_close(&w->items);
}

static int compare(struct world *w, int stages, bool divided)
{
    struct trial t = {.job = &w->job, .stages = stages, .divided = divided, .best = INFINITY};
    struct order o;
    try_all(&t, 0, 0, 0, 0);
    const bool found = order_slowest(&o, &w->job, stages, divided, 1e6);
    CHECK(found == !isinf(t.best), "%d of %d workers: found %d, there is %d", stages, w->job.workers, found, !isinf(t.best));
    if (!found || isinf(t.best)) return 0;
    const double slowest = slowest_of(&w->job, &o);
    CHECK(o.n == stages && fabs(slowest / t.best - 1) < 2e-6, "%d of %d workers, %s: %.9g, best %.9g", stages, w->job.workers,
          divided ? "divided" : "whole", slowest, t.best);
    CHECK(!order_slowest(&o, &w->job, stages, divided, t.best / PICOSECONDS * (1 - 1e-9)), "better than the best");
    return 1;
}

TEST(a_thousand_drawn_clusters_are_planned_as_trying_everything_would)
{
    int found = 0;
    for (int n = 0; n < 1000; n++) {
        struct world w;
        const int workers = 2 + (int)dice(5), stages = 1 + (int)dice(workers > 4 ? 3 : (uint32_t)workers);
        open_world(&w, workers, 2 + dice(5), dice(2) ? 64 : 32);
        found += compare(&w, stages, dice(2));
        close_world(&w);
    }
    printf("  1,000 clusters of 2 to 6 unlike workers, %d of which have a plan: equal\n", found);
    CHECK(found > 500, "only %d had a plan", found);
}

TEST(the_least_sum_is_that_of_trying_everything)
{
    for (int n = 0; n < 300; n++) {
        struct world w;
        const int workers = 2 + (int)dice(3);
        double best = INFINITY;
        struct order o;
        open_world(&w, workers, 2 + dice(4), 48);
        for (int stages = 1; stages <= workers; stages++) {
            struct trial t = {.job = &w.job, .stages = stages, .sum = true, .best = best};
            try_all(&t, 0, 0, 0, 0);
            best = t.best;
        }
        const bool found = order_least_sum(&o, &w.job);
        CHECK(found == !isinf(best), "found %d", found);
        double sum = 0;
        struct stretch r = {0};
        for (int k = 0; found && k < o.n; k++) {
            const bool last = k == o.n - 1;
            r = (struct stretch){r.i, r.i + o.cut[k].layers, 0, last ? search_parts(w.job.search) : 0};
            sum += search_time(w.job.search, o.worker[k], r) + hops[o.worker[k]] * PICOSECONDS;
        }
        CHECK(!found || fabs(sum / best - 1) < 1e-9, "%.9g, best %.9g", sum, best);
        close_world(&w);
    }
}

/* ---- of many workers: whether a limit can be kept at all, by all sets of workers and all cuts, in whatever order they stand ---- */

struct sets {
    const struct world *w;
    int stages;
    bool divided;
    double limit;
    uint32_t layers, parts;
    uint8_t *reached; /* [set][layers done][parts done]; each set in some order */
};

static uint8_t *at(const struct sets *s, uint32_t set, uint32_t layers, uint32_t parts)
{
    return &s->reached[((size_t)set * (s->layers + 1) + layers) * (s->parts + 1) + parts];
}

/* Worker k goes on where the set came to. */
static void go_on(const struct sets *s, uint32_t set, int k, uint32_t i, uint32_t q)
{
    const struct order_job *job = &s->w->job;
    const bool last = __builtin_popcount(set) + 1 == s->stages;
    if (job->line[k] * PICOSECONDS > s->limit) return;
    for (uint32_t end = last ? s->layers : i + 1; end <= s->layers; end++)
        for (uint32_t p = last ? s->parts : q; p <= (s->divided || last ? s->parts : q); p++) {
            const struct stretch r = {i, end, q, p};
            if ((end == i && p == q) || search_time(job->search, (uint32_t)k, r) > s->limit) break;
            if (search_fits(job->search, (uint32_t)k, r)) *at(s, set | 1u << k, end, p) = 1;
        }
}

static bool can_be_kept(const struct world *w, int stages, bool divided, double limit)
{
    struct sets s = {w, stages, divided, limit, search_layers(w->job.search), search_parts(w->job.search), NULL};
    bool found = false;
    s.reached = calloc((size_t)(1u << w->job.workers) * (s.layers + 1) * (s.parts + 1), 1);
    *at(&s, 0, 0, 0) = 1;
    for (uint32_t set = 0; set < 1u << w->job.workers && !found; set++) {
        if (__builtin_popcount(set) > stages) continue;
        found = __builtin_popcount(set) == stages && *at(&s, set, s.layers, s.parts);
        for (uint32_t i = 0; i <= s.layers; i++)
            for (uint32_t q = 0; q <= s.parts && __builtin_popcount(set) < stages; q++)
                for (int k = 0; k < w->job.workers && *at(&s, set, i, q); k++)
                    if (!(set & 1u << k)) go_on(&s, set, k, i, q);
    }
    free(s.reached);
    return found;
}

/* What was found can be kept, and nothing a millionth better can. */
static int compare_many(int workers, int stages, bool divided)
{
    struct world w;
    struct order o;
    open_world(&w, workers, (uint32_t)stages + dice(6), 48);
    const bool found = order_slowest(&o, &w.job, stages, divided, 1e6);
    const double slowest = found ? slowest_of(&w.job, &o) : 1e18;
    CHECK(can_be_kept(&w, stages, divided, slowest * (1 + 1e-9)) == found, "%d of %d workers, found %d", stages, workers, found);
    CHECK(!found || !can_be_kept(&w, stages, divided, slowest * (1 - 3e-6)), "%d of %d workers, %s: there is better than %.9g", stages, workers,
          divided ? "divided" : "whole", slowest);
    close_world(&w);
    return found;
}

TEST(up_to_twelve_unlike_workers_are_planned_as_trying_everything_would)
{
    const char *is_long = getenv("LONG");
    const int clusters = is_long && *is_long == '1' ? 1000 : 60;
    int found = 0;
    for (int n = 0; n < clusters; n++) {
        const int workers = 7 + n % 6;
        found += compare_many(workers, 2 + (int)dice((uint32_t)workers - 1), dice(2));
    }
    printf("  %d clusters of 7 to 12 unlike workers, %d of which have a plan: equal\n", clusters, found);
    CHECK(2 * found > clusters, "only %d of %d had a plan", found, clusters);
}

TEST(twelve_unlike_workers_are_all_told_apart)
{
    for (int n = 0; n < 12; n++) {
        struct world w;
        open_world(&w, 12, 4, 48);
        compare(&w, 2 + (int)(n % 2), n % 4 > 1);
        close_world(&w);
    }
}

static void shuffle(struct worker_offer *o, int n)
{
    for (int i = n - 1; i > 0; i--) {
        const uint32_t k = dice((uint32_t)i + 1);
        const struct worker_offer swap = o[i];
        o[i] = o[k], o[k] = swap;
    }
}

/* Whole plans: what plan_make chooses is not behind any order that is drawn, by more than what keeps the given one. */
static void beside_drawn_orders(int workers, uint32_t layers, int draws)
{
    const struct model_shape m = invent(drawn_config(layers, 4000), T_Q4_0, T_Q8_0);
    struct plan_wish wish = {.capacity = {512, 4 * (uint32_t)workers, 64, 0, 0}, .order = ORDER_FREE};
    struct worker_offer other[MOST], played[MOST];
    PLAN best = {0};
    struct rates r, drawn;
    draw_workers(workers);
    for (int i = 0; i < workers; i++) offers[i].memory = 0, speeds[i].to.bytes_per_second = speeds[i].from.bytes_per_second = 1e9;
    NEED(plan_make(&best, &m, offers, workers, &wish, why));
    for (int i = 0; i < workers; i++) played[i] = offers[best.offer[i]];
    plan_rates(&r, NULL, &best, &m, played);
    double most = 0;
    wish.order = ORDER_GIVEN;
    memcpy(other, offers, sizeof other);
    for (int n = 0; n < draws; n++) {
        PLAN p = {0};
        shuffle(other, workers);
        NEED(plan_make(&p, &m, other, workers, &wish, why));
        plan_rates(&drawn, NULL, &p, &m, other);
        if (drawn.answers > most) most = drawn.answers;
    }
    CHECK(r.answers * 1.06 > most, "%d workers: %g tokens/s, drawn %g", workers, r.answers, most);
}

TEST(no_drawn_order_beats_the_one_that_was_found)
{
    for (int workers = 3; workers <= 12; workers += 3) beside_drawn_orders(workers, 26, 20);
    beside_drawn_orders(20, 40, 10);
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

/* No stage can be faster than this: layers are all local ones and may be dealt out in any way, and the head is alone on the worker that is fastest at it. */
static double bound(const struct world *w, int stages, uint32_t layers)
{
    double low = 0, high = 1e15;
    while (high - low > 1e-9 * high) {
        const double middle = (low + high) / 2;
        int most[MOST], sum = 0;
        double head = INFINITY;
        for (int i = 0; i < w->job.workers; i++) head = fmin(head, search_time(w->job.search, (uint32_t)i, (struct stretch){0, 0, 0, search_parts(w->job.search)}));
        for (int i = 0; i < w->job.workers; i++) most[i] = (int)(middle / search_time(w->job.search, (uint32_t)i, (struct stretch){0, 1, 0, 0}));
        qsort(most, (size_t)w->job.workers, sizeof *most, by_number);
        for (int i = 0; i < stages; i++) sum += most[i];
        if (sum >= (int)layers && head <= middle && most[stages > 1 ? stages - 2 : 0] >= 1) high = middle;
        else low = middle;
    }
    return high;
}

TEST(beyond_twelve_unlike_workers_the_gap_is_small)
{
    double worst = 1, all = 0;
    int tries = 0;
    for (int n = 0; n < 12; n++) {
        struct world w;
        struct order o;
        const int workers = 16 + n, stages = workers / (1 + n % 3);
        open_world(&w, workers, 60, 48);
        for (int i = 0; i < workers; i++) lines[i] = 0, offers[i].memory = 0;
        CHECK(order_slowest(&o, &w.job, stages, false, 1e6), "nothing found");
        const double gap = slowest_of(&w.job, &o) / bound(&w, stages, 60);
        if (gap > worst) worst = gap;
        all += gap, tries++;
        close_world(&w);
    }
    printf("  16 to 27 unlike workers: %.1f %% above a bound in the mean, %.1f %% at most\n", 100 * (all / tries - 1), 100 * (worst - 1));
    CHECK(worst < 1.5, "%g times the bound", worst);
}

TEST(a_machine_that_holds_the_others_up_is_left_out_and_that_is_said)
{
    const struct model_shape m = invent(drawn_config(12, 4000), T_Q4_0, T_Q8_0);
    struct plan_wish wish = {.capacity = {512, 8, 64, 0, 0}, .order = ORDER_FEWER};
    struct rates all, fewer;
    PLAN given = {0}, best = {0};
    draw_workers(3);
    for (int i = 0; i < 3; i++) offers[i].memory = 0, speeds[i] = speeds[0], speeds[i].to = speeds[i].from = (struct hop){1e-4, 1e9};
    for (int k = 0; k < 2; k++) speeds[1].local.seconds[k] *= 50, speeds[1].global.seconds[k] *= 50;
    wish.order = ORDER_GIVEN;
    NEED(plan_make(&given, &m, offers, 3, &wish, why));
    wish.order = ORDER_FEWER;
    NEED(plan_make(&best, &m, offers, 3, &wish, why));
    CHECK(best.workers == 2 && best.offer[0] == 0 && best.offer[1] == 2, "%d workers", best.workers);
    CHECK(strstr(best.chosen, "2 of 3 workers") && strstr(best.chosen, "all in the order given would reach"), "%s", best.chosen);
    const struct worker_offer two[] = {offers[0], offers[2]};
    plan_rates(&all, NULL, &given, &m, offers);
    plan_rates(&fewer, NULL, &best, &m, two);
    CHECK(fewer.answers > 2 * all.answers, "%g and %g tokens/s", all.answers, fewer.answers);
    plan_free(&best);
    wish.aim = AIM_LATENCY; /* alone, a sequence is soonest answered by one machine that holds all */
    NEED(plan_make(&best, &m, offers, 3, &wish, why));
    CHECK(best.workers == 1 && best.offer[0] != 1, "%d workers", best.workers);
}

TEST(another_order_is_taken_where_nothing_fits_in_the_one_given)
{
    const struct model_shape m = invent(drawn_config(12, 60000), T_Q4_0, T_Q8_0);
    struct plan_wish wish = {.capacity = {64, 1, 16, 0, 0}, .order = ORDER_FREE, .whole_head = true};
    const struct worker_offer two[] = {{.name = "large", .memory = 2 * PROGRAM_BYTES}, {.name = "small", .memory = PROGRAM_BYTES + (3u << 19)}};
    struct err why;
    PLAN p = {0};
    CHECK(!plan_make(&p, &m, two, 2, &wish, &why) && p.offer[0] == 1 && p.offer[1] == 0, "%s", why.text);
    CHECK(strstr(p.chosen, "in the order given nothing fits"), "%s", p.chosen);
    plan_free(&p);
    wish.order = ORDER_GIVEN;
    CHECK(plan_make(&p, &m, two, 2, &wish, &why) == E_MEMORY, "it fits");
}
