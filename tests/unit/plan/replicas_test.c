/* tests/unit/plan/replicas_test.c — workers are shared out to replicas as trying every way finds best.
 *
 * 120 drawn clusters of up to six unlike workers, in one to three replicas: every way to share them out is planned. Where there are too
 * many kinds of groups for that, the test says how far the dealing is from the best. */
#include "partition/plan/rates.h"
#include "partition/plan/replicas.h"
#include "tests/support/plan_shapes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST 16

static struct worker_offer offers[MOST];

static struct model_shape draw_model(uint32_t layers)
{
    const struct model_config c = {.layers = layers, .hidden = 64, .ffn = 256, .heads = 2, .kv_heads = 1, .head_dim = 32, .window = 64, .pattern = 3,
                                   .context = 4096, .vocab = 500 + dice(3000), .rope_base_global = 1e6f, .rope_base_local = 1e4f, .rope_factor = 8,
                                   .norm_epsilon = 1e-6f, .attention_scale = 0.0625f};
    return invent(c, T_Q4_0, T_Q8_0);
}

/* Some alike, some with too little memory to hold the model alone. */
static void draw_workers(int n)
{
    for (int i = 0; i < n; i++) {
        offers[i] = (struct worker_offer){.speed = 1 + dice(4) + 0.01 * i, .threads = 1 + (int)dice(2), .memory = dice(3) ? 0 : RUNTIME_BYTES + (1u << 17) + dice(1u << 20)};
        if (i && !dice(3)) offers[i] = offers[i - 1]; /* beside each other: elsewhere in the order it would not be the same */
    }
}

static struct plan_wish draw_wish(void)
{
    const enum plan_aim aims[] = {AIM_USUAL, AIM_THROUGHPUT, AIM_LATENCY, AIM_PROMPTS};
    return (struct plan_wish){.aim = aims[dice(4)], .order = dice(2) ? ORDER_GIVEN : ORDER_FEWER, .capacity = {128, 1 + dice(12), 32, 0, 0, {0}}};
}

static double value_of_group(const struct model_shape *m, const struct plan_wish *all, const int *of, int workers, int k, int n)
{
    struct worker_offer some[MOST], ordered[MOST];
    struct plan p = {0};
    int count = 0;
    for (int w = 0; w < workers; w++)
        if (of[w] == k) some[count++] = offers[w];
    struct plan_wish wish = replica_wish_of(all, n, count, workers);
    if (!count || plan_make(&p, m, some, count, &wish, NULL)) return 0;
    for (int i = 0; i < p.workers; i++) ordered[i] = some[p.offer[i]];
    if (wish.aim == AIM_USUAL && all->capacity.sequences > 1) wish.aim = AIM_THROUGHPUT;
    const double value = plan_value(&p, m, ordered, &wish);
    plan_free(&p);
    return value;
}

static double value_of(const struct model_shape *m, const struct plan_wish *wish, const int *of, int workers, int n)
{
    double sum = 0;
    for (int k = 0; k < n; k++) {
        const double one = value_of_group(m, wish, of, workers, k, n);
        if (one <= 0) return 0;
        sum = wish->aim == AIM_LATENCY ? fmax(sum, one) : sum + one;
    }
    return sum;
}

static double best_of_all(const struct model_shape *m, const struct plan_wish *wish, int workers, int n)
{
    double best = 0;
    int ways = 1;
    for (int w = 0; w < workers; w++) ways *= n;
    for (int way = 0; way < ways; way++) {
        int of[MOST], left = way;
        for (int w = 0; w < workers; w++, left /= n) of[w] = left % n;
        best = fmax(best, value_of(m, wish, of, workers, n));
    }
    return best;
}

static bool same(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(a, b);
}

/* But for REPLICAS_GAIN, below which groups of like strength stay. */
TEST(groups_are_the_best_of_all_ways_to_share_the_workers_out)
{
    int refused = 0, several = 0;
    for (int draw = 0; draw < 120; draw++) {
        const int workers = 1 + (int)dice(draw % 10 ? 5 : 6), n = 1 + (int)dice(workers < 3 ? (uint32_t)workers : 3);
        draw_workers(workers);
        const struct model_shape m = draw_model((uint32_t)workers + dice(6));
        const struct plan_wish wish = draw_wish();
        const double best = best_of_all(&m, &wish, workers, n);
        struct replicas r;
        struct err no;
        const int code = replicas_make(&r, &m, offers, workers, &wish, n, 0, &no);
        CHECK(!code == (best > 0), "draw %d: code %d (%s), the best way gives %g", draw, code, code ? no.text : "", best);
        refused += code != 0;
        if (code) continue;
        CHECK(r.n == n && r.value <= best * (1 + 1e-9) && r.value * REPLICAS_GAIN >= best * (1 - 1e-9), "draw %d: %d workers in %d replicas, %g, and %g is possible", draw, workers, n, r.value, best);
        CHECK(same(value_of(&m, &wish, r.of, workers, n), r.value), "draw %d: it is not what it says", draw);
        several += n > 1;
        replicas_free(&r);
    }
    CHECK(refused > 10 && several > 20, "%d refused, %d of several replicas", refused, several);
}

TEST(of_workers_that_are_alike_those_next_to_each_other_are_of_one_replica)
{
    const struct model_shape m = draw_model(12);
    const struct plan_wish wish = {.capacity = {128, 12, 32, 0, 0, {0}}};
    struct replicas r;
    for (int w = 0; w < 6; w++) offers[w] = (struct worker_offer){.speed = 1, .threads = 1, .memory = (w < 3 ? 1u : 2u) << 30}; /* of two machines */
    CHECK(!replicas_make(&r, &m, offers, 6, &wish, 2, 0, NULL), "there is no plan");
    for (int w = 0; w < 6; w++) CHECK(r.of[w] == w / 3, "worker %d is of replica %d", w, r.of[w]);
    replicas_free(&r);
}

TEST(groups_of_one_sequence_are_valued_by_their_answers_as_all_are)
{
    const struct model_shape m = draw_model(12);
    const struct plan_wish wish = {.capacity = {128, 4, 32, 0, 0, {0}}}, one = replica_wish_of(&wish, 4, 1, 4);
    struct replicas r;
    struct plan p = {0};
    struct rates rates;
    for (int w = 0; w < 4; w++) offers[w] = (struct worker_offer){.speed = 1, .threads = 1};
    NEED(replicas_make(&r, &m, offers, 4, &wish, 4, 0, why));
    NEED(plan_make(&p, &m, offers, 1, &one, why));
    plan_rates(&rates, NULL, &p, &m, offers);
    CHECK(one.capacity.sequences == 1 && same(r.value, 4 * rates.answers), "%g, and four answer %g", r.value, 4 * rates.answers);
    plan_free(&p);
    replicas_free(&r);
}

TEST(so_many_replicas_are_taken_as_give_most)
{
    int of_number[4] = {0};
    for (int draw = 0; draw < 60; draw++) {
        const int workers = 1 + (int)dice(4);
        draw_workers(workers);
        const struct model_shape m = draw_model((uint32_t)workers + 3);
        const struct plan_wish wish = draw_wish();
        double best = 0;
        struct replicas r;
        struct err no;
        for (int n = 1; n <= workers && n <= 3; n++) best = fmax(best, best_of_all(&m, &wish, workers, n));
        const int code = replicas_make(&r, &m, offers, workers, &wish, 0, 3, &no);
        CHECK(!code == (best > 0), "draw %d: %s", draw, no.text);
        if (code) continue;
        CHECK(r.value <= best * (1 + 1e-9) && r.value * REPLICAS_GAIN * REPLICAS_GAIN >= best, "draw %d: %d replicas give %g, %g is possible", draw, r.n, r.value, best);
        of_number[r.n]++;
        replicas_free(&r);
    }
    CHECK(of_number[1] > 5 && of_number[2] + of_number[3] > 5, "%d of one, %d of two, %d of three", of_number[1], of_number[2], of_number[3]);
}

/* Nine unlike workers: 512 kinds of groups. */
TEST(many_unlike_workers_are_dealt_out_nearly_as_well)
{
    const struct plan_wish wish = {.capacity = {128, 8, 32, 0, 0, {0}}};
    double worst = 1;
    for (int draw = 0; draw < 3; draw++) {
        struct replicas r;
        for (int i = 0; i < 9; i++) offers[i] = (struct worker_offer){.speed = 1 + dice(1000) / 500.0, .threads = 1};
        const struct model_shape m = draw_model(12);
        NEED(replicas_make(&r, &m, offers, 9, &wish, 2, 0, why));
        worst = fmin(worst, r.value / best_of_all(&m, &wish, 9, 2));
        replicas_free(&r);
    }
    printf("# nine unlike workers in two replicas: at least %.3f of the best\n", worst);
    CHECK(worst > 0.85, "%g of the best", worst);
}

TEST(more_replicas_than_workers_are_refused)
{
    struct replicas r;
    struct err no;
    draw_workers(2);
    const struct model_shape m = draw_model(4);
    const struct plan_wish wish = {.capacity = {128, 1, 32, 0, 0, {0}}};
    CHECK(replicas_make(&r, &m, offers, 2, &wish, 3, 0, &no) == E_USAGE && strstr(no.text, "3 replicas were asked for, of 2 workers"), "%s", no.text);
}
