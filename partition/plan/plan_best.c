/* partition/plan/plan_best.c — plan_make: the workers as they were given, or another order of them, or fewer, where that is better.
 *
 * Which order to try, for each number of stages, order.h says; each is then planned like any other (plan_in_order), and what it would
 * give (rates.h) decides. So bytes, pictures, pages and the head are looked at as ever, and the order that was given stays where another
 * is not better by ORDER_GAIN: measured seconds are not truer than that. */
#include "partition/plan/order.h"
#include "partition/plan/plan_in_order.h"
#include "partition/plan/rates.h"
#include "partition/plan/text_cost.h"

#include <stdlib.h>
#include <string.h>

#define ORDER_GAIN 1.05 /* of another order than the given */
#define OTHER_GAIN 1.001 /* of one of these beside another */
#define FOREVER 1e6 /* seconds: any stage is faster */

struct choosing {
    struct plan *best;
    const struct model_shape *shape;
    const struct worker_offer *offers;
    int workers;
    const struct plan_wish *wish;
    double given, value; /* tokens a second in the order given, and of the best; 0: there is no plan */
};

static double value_of(const struct plan *p, const struct choosing *c, const struct worker_offer *offers)
{
    return plan_value(p, c->shape, offers, c->wish);
}

static bool is_given(const struct choosing *c, const struct order *o)
{
    bool same = o->n == c->workers;
    for (int i = 0; i < o->n && same; i++) same = o->worker[i] == i;
    return same;
}

/* Better than the best so far by so much? */
static double goal(const struct choosing *c)
{
    return c->value * (c->value > c->given ? OTHER_GAIN : ORDER_GAIN);
}

static void try_order(struct choosing *c, const struct order *o, bool by_hand)
{
    struct worker_offer *offers = calloc((size_t)o->n, sizeof *offers);
    struct plan_wish wish = *c->wish;
    struct plan p = {0};
    wish.order = ORDER_GIVEN;
    if (by_hand) wish.cuts = o->cut, wish.n_cuts = o->n;
    for (int i = 0; i < o->n && offers; i++) offers[i] = c->offers[o->worker[i]];
    if (offers && !plan_in_order(&p, c->shape, offers, o->n, &wish, NULL)) {
        const double value = value_of(&p, c, offers);
        if (value > goal(c)) {
            struct plan old = *c->best;
            p.made_from = old.made_from;
            for (int i = 0; i < o->n; i++) p.offer[i] = o->worker[i];
            *c->best = p, p = old;
            c->value = value;
        }
    }
    plan_free(&p);
    free(offers);
}

/* Of the ways to other workers the best one: which of them is taken is what is being sought. */
static struct hop best_way(const struct speed *v)
{
    struct hop best = {.delay = v->to.delay / 2 + v->from.delay / 2, .bytes_per_second = v->to.bytes_per_second};
    for (uint32_t i = 0; i < v->ways; i++) {
        const struct hop *h = &v->way[i].hop;
        if (!i || h->delay < best.delay) best.delay = h->delay;
        if (!i || h->bytes_per_second > best.bytes_per_second) best.bytes_per_second = h->bytes_per_second;
    }
    return best;
}

/* Seconds that a worker's lines are busy with a micro-batch, and what it adds to a lap. */
static void fill_lines(const struct choosing *c, double rows, double *line, double *hop)
{
    const double bytes = rows * 4 * c->shape->config.hidden;
    for (int i = 0; i < c->workers; i++) {
        const struct speed *v = c->offers[i].measured;
        line[i] = hop[i] = 0;
        if (!v) continue;
        const struct hop way = best_way(v);
        if (way.bytes_per_second > 0) line[i] = bytes / way.bytes_per_second;
        hop[i] = way.delay + line[i];
    }
}

/* All orders of so many of the workers: the best with the head whole, and the best with it divided. */
static void try_stages(struct choosing *c, int stages, double *line, double *hop)
{
    struct capacity cap = plan_capacity(c->wish, stages);
    if (c->wish->aim == AIM_LATENCY && cap.in_flight <= cap.sequences) cap.in_flight = cap.sequences + 1; /* a row at a time */
    const bool prompts = plan_for_prompts(c->wish, &cap);
    const double rows = prompts ? cap.rows : decode_rows(&cap);
    struct order_job job = {.offers = c->offers, .workers = c->workers, .line = line, .hop = hop};
    struct items items;
    struct order o;
    if (items_open(&items, c->shape, &cap, c->offers, c->workers, prompts, NULL)) return;
    fill_lines(c, rows, line, hop);
    if (!search_open(&job.search, &items, c->offers, c->workers, NULL)) {
        if (c->wish->aim == AIM_LATENCY) {
            if (order_least_sum(&o, &job)) try_order(c, &o, true);
        } else for (int divided = 0; divided <= (stages > 1 && !c->wish->whole_head); divided++) {
            const double limit = c->value > 0 ? rows / goal(c) : FOREVER;
            if (order_slowest(&o, &job, stages, divided, limit) && !is_given(c, &o)) try_order(c, &o, false);
        }
        search_close(&job.search);
    }
    items_close(&items);
}

/* In words, where it is not as it was given. */
static void say(const struct choosing *c)
{
    struct plan *p = c->best;
    char before[80] = "in the order given nothing fits";
    if (c->given > 0) snprintf(before, sizeof before, "all in the order given would reach %.1f", c->given);
    snprintf(p->chosen, sizeof p->chosen, "%s%d of %d workers, %.1f tokens/s; %s", p->workers < c->workers ? "" : "another order of ",
             p->workers, c->workers, c->value, before);
}

static void choose(struct choosing *c)
{
    const int most = c->workers < STAGES_MOST ? c->workers : STAGES_MOST;
    double *lines = calloc(2 * (size_t)c->workers, sizeof *lines);
    if (!lines) return;
    /* Fewer workers would be fewer for pictures too: so many that it must be known how many there will be. */
    const bool may = c->wish->order == ORDER_FEWER && (!c->shape->encoder || c->wish->picture_share > 0);
    const int least = may ? 1 : most;
    if (c->wish->aim == AIM_LATENCY) try_stages(c, 1, lines, lines + c->workers);
    else for (int stages = most; stages >= least; stages--) try_stages(c, stages, lines, lines + c->workers);
    free(lines);
}

int plan_make(struct plan *out, const struct model_shape *shape, const struct worker_offer *offers, int workers,
              const struct plan_wish *wish, struct err *why)
{
    struct choosing c = {out, shape, offers, workers, wish, 0, 0};
    struct err lack = {0};
    int code = plan_in_order(out, shape, offers, workers, wish, &lack);
    const bool may = wish->order != ORDER_GIVEN && !wish->cuts && !wish->vision_workers && shape->config.layers && workers > 1;
    if (may && (code ? code == E_MEMORY : plan_measured(offers, workers))) {
        if (!code) c.given = c.value = value_of(out, &c, offers);
        const uint64_t made_from = out->made_from;
        choose(&c);
        if (c.value > c.given) code = 0, out->made_from = made_from, say(&c);
    }
    if (code && why) *why = lack;
    return code;
}
