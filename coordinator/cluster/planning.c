/* coordinator/cluster/planning.c — see planning.h. */
#include "coordinator/cluster/planning.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/threads.h"
#include "coordinator/cluster/speeds.h"
#include "partition/plan/rates.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What was said by hand was said of another number of workers. */
static void make_free(struct plan_wish *wish, int workers)
{
    wish->cuts = NULL;
    wish->n_cuts = 0;
    if (wish->vision.how == VISION_BY_HAND) wish->vision = (struct vision_wish){.how = VISION_CHOOSE};
    if (wish->vision_workers >= workers) wish->vision_workers = workers - 1;
}

/* Who starts workers on this machine, or all ranks on one, says how many there are to be; machines that are found somewhere need not all be
 * used. */
static bool are_here(const struct pipeline *p)
{
    if (!p->crew || p->local || p->wish.n_addresses) return !p->wish.n_addresses;
    for (int i = 1; i < p->workers; i++)
        if (strcmp(p->crew[i]->hello.host, p->crew[0]->hello.host)) return false;
    return true;
}

/* together: bytes that all workers may use in sum, because they are on one machine; 0: they are not. */
static struct plan_wish wish_of(const struct pipeline *p, const struct capacity *wanted, uint64_t together)
{
    struct plan_wish wish = p->wish.plan;
    wish.capacity = *wanted;
    wish.capacity.mode = p->wish.numbers;
    wish.together = together;
    wish.order = p->way || are_here(p) ? ORDER_GIVEN : ORDER_FEWER;
    return wish;
}

static int make_plan(struct plan *out, const struct pipeline *p, const struct worker_offer *offers, int workers, const struct capacity *wanted,
                     uint64_t together, struct err *why)
{
    const struct model_shape shape = model_shape(p->model, p->encoder);
    struct plan_wish wish = wish_of(p, wanted, together);
    if (p->epoch && workers != p->workers_named) make_free(&wish, workers);
    return plan_make(out, &shape, offers, workers, &wish, why);
}

static void say_plan(const struct plan *plan)
{
    if (*plan->chosen) log_info("planned: %s", plan->chosen);
    log_debug("plan %016" PRIx64 ", made from %016" PRIx64, plan->hash, plan->made_from);
}

/* ---- with answers ---- */

static bool shares_machine(struct member *const *crew, int n, int worker)
{
    for (int i = 0; i < n; i++)
        if (i != worker && !strcmp(crew[i]->hello.host, crew[worker]->hello.host)) return true;
    return false;
}

/* As was said of its machine, for one thread; or else as it says itself that its machine lets it compute, and who shares that with it. `h`
 * NULL: it was never asked. How many threads it has is known. */
static void take_ration(struct worker_offer *o, const struct hello *h)
{
    const int threads = o->threads > 0 ? o->threads : 1;
    if (o->ration.quota > 0) o->ration.quota /= threads;
    else if (h) o->ration = ration_of(h->share, h->period, h->tick, threads), o->ration.group = h->group ? hash64(h->host, strlen(h->host)) ^ h->group : 0;
}

static void count_sharing(struct worker_offer *offers, int n)
{
    for (int i = 0; i < n; i++) {
        offers[i].ration.sharing = 0;
        for (int k = 0; k < n; k++) offers[i].ration.sharing += i == k || (offers[i].ration.group && offers[i].ration.group == offers[k].ration.group);
    }
}

/* All of them or none: a measured second and a nominal one are not the same. */
static void take_speeds(const struct pipeline *p, struct worker_offer *offers)
{
    for (int i = 0; i < p->workers; i++)
        if (!p->known || pipeline_place(p, i) >= p->places || !p->known[pipeline_place(p, i)].at) return;
    for (int i = 0; i < p->workers; i++) offers[i].measured = &p->known[pipeline_place(p, i)].speed;
}

/* Workers on this machine compute at the same time only as far as it has cores. What replicas beside them use is not theirs. */
static void share_cores(const struct pipeline *p, struct worker_offer *o, unsigned share)
{
    const double own = share ? share / 1000.0 : o->threads;
    o->uses = own < o->threads ? own : o->threads;
    o->cores = cores_allowed() * (double)p->workers / (p->workers + p->wish.beside);
}

/* said: of each place. */
static void offers_of(const struct pipeline *p, const struct worker_offer *said, struct worker_offer *out)
{
    for (int i = 0; i < p->workers; i++) {
        const struct member *m = p->crew[i];
        struct worker_offer *o = &out[i];
        *o = m->place < p->places ? said[m->place] : (struct worker_offer){.speed = 1, .threads = p->wish.threads};
        snprintf(o->name, sizeof o->name, "%.120s", m->where);
        o->shares_machine = !o->memory && shares_machine(p->crew, p->workers, i);
        if (!o->memory || o->memory > m->hello.memory) o->memory = m->hello.memory;
        if (!p->wish.threads) o->threads = (int)m->hello.threads;
        if (shares_machine(p->crew, p->workers, i) && is_this_host(m->hello.host)) share_cores(p, o, m->hello.share);
        take_ration(o, &m->hello);
        o->number = m->node;
        o->reach = m->reach;
        o->apart = p->apart;
        o->n_apart = p->n_apart;
    }
    count_sharing(out, p->workers);
    take_speeds(p, out);
}

static int order_offers(struct worker_offer *offers, const struct plan *plan, struct err *why)
{
    struct worker_offer *all = malloc((size_t)(plan->workers + 1) * sizeof *all);
    if (!all) return fail(why, E_MEMORY, "no memory to plan for %d workers", plan->workers);
    for (int i = 0; i < plan->workers; i++) all[i] = offers[plan->offer[i]];
    memcpy(offers, all, (size_t)plan->workers * sizeof *all);
    free(all);
    return 0;
}

/* The plan says who of those it was made for plays which of its workers, and who has no part. */
static void cast(struct pipeline *p, const struct plan *plan, struct member *const *all)
{
    for (int i = 0; i < p->workers; i++) p->crew[i]->worker = -1;
    for (int i = 0; i < plan->workers; i++) {
        p->crew[i] = all[plan->offer[i]];
        p->crew[i]->worker = i;
    }
    p->workers = plan->workers;
}

/* Replicas that are started here have this machine together. */
static uint64_t share_of_memory(const struct pipeline *p)
{
    return memory_allowed() / (uint64_t)(p->workers + p->wish.beside) * (uint64_t)p->workers;
}

/* With p->crew. *offers is in the order of the workers. */
static int plan_with_crew(const struct pipeline *p, const struct capacity *wanted, struct plan *plan, struct worker_offer **offers, struct err *why)
{
    struct worker_offer *said = calloc((size_t)p->places + 1, sizeof *said);
    *plan = (struct plan){0};
    *offers = calloc((size_t)p->workers + 1, sizeof **offers);
    int code = said && *offers ? wish_offers(said, &p->wish, p->places, why) : fail(why, E_MEMORY, "no memory to plan for %d workers", p->workers);
    if (!code) {
        offers_of(p, said, *offers);
        code = make_plan(plan, p, *offers, p->workers, wanted, p->local ? share_of_memory(p) : 0, why);
        if (!code) code = order_offers(*offers, plan, why);
    }
    free(said);
    if (code) plan_free(plan), free(*offers);
    return code;
}

bool planning_is_possible(const struct pipeline *p, struct member *const *crew, int workers, const struct capacity *wanted)
{
    struct pipeline with = *p;
    struct member *them[WORKERS_MOST];
    struct worker_offer *offers;
    struct plan plan;
    struct err why;
    if (workers < 1) return false;
    memcpy(them, crew, (size_t)workers * sizeof *them);
    with.crew = them;
    with.workers = workers;
    if (plan_with_crew(&with, wanted, &plan, &offers, &why)) return false;
    plan_free(&plan);
    free(offers);
    return true;
}

/* ---- in other ways ---- */

static int turned_by(const struct plan *plan, int way)
{
    const int n = plan_stages(plan);
    return way < n ? way : way - n + 1;
}

void planning_crew_back(struct pipeline *p)
{
    const int n = plan_stages(&p->plan), by = turned_by(&p->plan, p->way);
    struct member *now[STAGES_MOST];
    if (!p->way) return;
    memcpy(now, p->crew, (size_t)n * sizeof *now);
    for (int i = 0; i < n; i++) p->crew[(i + by) % n] = now[i];
    p->way = 0;
}

/* The same cuts, or any, for the crew of way 0 in another order. */
static int turn(struct pipeline *with, const struct plan *best, struct cut cut[STAGES_MOST], struct err *why)
{
    struct plan_wish *wish = &with->wish.plan;
    const int n = plan_stages(best), by = turned_by(best, with->way);
    struct member *before[WORKERS_MOST];
    if (with->way > 2 * (n - 1)) return fail(why, E_USAGE, "the layers of %d workers lie in %d ways", n, 2 * n - 1);
    memcpy(before, with->crew, (size_t)with->workers * sizeof *before);
    for (int i = 0; i < best->workers; i++) with->crew[i] = before[best->offer[i < n ? (i + by) % n : i]];
    for (int i = 0; i < n; i++) {
        const struct part part = best->of[i].part[CHAIN_TEXT];
        cut[i] = (struct cut){part.end - part.first, part.back_end - part.back};
    }
    if (best->workers != with->workers_named) make_free(wish, best->workers);
    wish->cuts = with->way < n ? cut : NULL;
    wish->n_cuts = with->way < n ? n : 0;
    with->workers = with->workers_named = best->workers;
    return 0;
}

/* p->crew is that of way 0, `crew` becomes that of the plan. */
static int plan_in_way(const struct pipeline *p, int way, const struct capacity *wanted, struct member **crew, struct plan *plan,
                       struct worker_offer **offers, double *slower, struct err *why)
{
    struct pipeline with = *p;
    struct cut cut[STAGES_MOST];
    struct plan best;
    memcpy(crew, p->crew, (size_t)p->workers * sizeof *crew);
    *slower = 1;
    with.way = 0;
    TRY(plan_with_crew(&with, wanted, plan, offers, why));
    if (!way) return 0;
    best = *plan;
    free(*offers);
    with.crew = crew;
    with.way = way;
    int code = turn(&with, &best, cut, why);
    if (!code) code = plan_with_crew(&with, wanted, plan, offers, why);
    if (!code) *slower = plan_slowest(plan, CHAIN_TEXT) / plan_slowest(&best, CHAIN_TEXT);
    plan_free(&best);
    return code;
}

int planning_ways(const struct pipeline *p)
{
    const int n = p->model ? plan_stages(&p->plan) : 1;
    return n > 1 ? 2 * n - 1 : 1;
}

bool planning_way(const struct pipeline *p, const struct capacity *wanted, int way, const struct member **by)
{
    const uint32_t layers = p->model->config.layers;
    struct pipeline with = *p;
    struct member *now[WORKERS_MOST], *crew[WORKERS_MOST];
    struct worker_offer *offers;
    struct plan plan;
    struct err why;
    double slower;
    memcpy(now, p->crew, (size_t)p->workers * sizeof *now);
    with.crew = now;
    planning_crew_back(&with);
    if (plan_in_way(&with, way, wanted, crew, &plan, &offers, &slower, &why)) return false;
    for (uint32_t i = 0; i <= layers; i++) {
        const int w = plan_holder(&plan, i, layers);
        by[i] = w < 0 ? NULL : crew[plan.offer[w]];
    }
    plan_free(&plan);
    free(offers);
    return true;
}

int planning_with_answers(struct pipeline *p, const struct capacity *wanted, struct err *why)
{
    struct member *crew[WORKERS_MOST];
    struct worker_offer *offers;
    struct plan plan;
    if (p->way && plan_in_way(p, p->way, wanted, crew, &plan, &offers, &p->slower, why)) p->way = 0;
    if (!p->way) TRY(plan_in_way(p, 0, wanted, crew, &plan, &offers, &p->slower, why));
    say_plan(&plan);
    cast(p, &plan, crew);
    plan_free(&p->plan);
    free(p->offers);
    p->plan = plan;
    p->offers = offers;
    return 0;
}

/* ---- foreseen ---- */

/* As it was when they were measured; where somebody said otherwise that counts. False: nobody knows. */
static bool foresee_speeds(struct pipeline *p, bool here)
{
    if (!p->wish.probe || !p->model || !speeds_foreseen(p)) return false;
    take_speeds(p, p->offers);
    for (int i = 0; i < p->workers && !here; i++) {
        struct worker_offer *o = &p->offers[i];
        if (!p->wish.threads) o->threads = (int)p->known[i].of.threads;
        if (!o->memory || o->memory > p->known[i].of.memory) o->memory = p->known[i].of.memory;
        if (p->known[i].crowd > 1 && is_this_host(p->known[i].of.host)) share_cores(p, o, p->known[i].of.share);
        o->shares_machine = p->known[i].crowd > 1 && !(p->wish.n_memory || (p->wish.said && p->wish.said[i].memory));
    }
    return true;
}

static int foresee_offers(struct pipeline *p, bool here, struct err *why)
{
    const int threads = here ? wish_threads(&p->wish, p->workers) : 1;
    TRY(wish_offers(p->offers, &p->wish, p->places, why));
    for (int i = 0; i < p->workers; i++) {
        struct worker_offer *o = &p->offers[i];
        if (here || !o->threads) o->threads = threads;
        o->shares_machine = here && !o->memory && p->workers > 1;
        if (here && p->workers > 1) share_cores(p, o, time_allowed().share);
        if (!o->name[0]) snprintf(o->name, sizeof o->name, "worker %d", i + 1);
    }
    const bool known = foresee_speeds(p, here);
    for (int i = 0; i < p->workers; i++) take_ration(&p->offers[i], known ? &p->known[i].of : NULL);
    count_sharing(p->offers, p->workers);
    return 0;
}

/* As each of them would say when asked. */
static void limit_to_this_machine(struct pipeline *p, uint64_t memory)
{
    for (int i = 0; i < p->workers; i++)
        if (!p->offers[i].memory || p->offers[i].memory > memory) p->offers[i].memory = memory;
}

/* A plan for larger machines than this one may be looked at here too. */
static int foresee_elsewhere(struct pipeline *p, const struct capacity *wanted, struct foresight *out, struct err *why)
{
    TRY(foresee_offers(p, true, why));
    TRY(make_plan(&p->plan, p, p->offers, p->workers, wanted, 0, why));
    say_plan(&p->plan);
    out->too_small = true;
    return 0;
}

static int foresee(struct pipeline *p, bool here, struct err *why)
{
    const int n = p->workers = p->workers_wanted = wish_workers(&p->wish);
    p->places = wish_places(&p->wish);
    free(p->offers);
    p->offers = calloc((size_t)p->places, sizeof *p->offers);
    if (!p->offers) return fail(why, E_MEMORY, "no memory to plan for %d workers", n);
    return foresee_offers(p, here, why);
}

int planning_measured(struct pipeline *p, bool *all, struct err *why)
{
    TRY(foresee(p, !p->wish.n_addresses, why));
    *all = plan_measured(p->offers, p->workers);
    return 0;
}

/* By what they answered. Of a machine that several share each has an equal part, but for a quarter, whichever replicas they are of. */
static int offers_of_ranks(struct pipeline *p, struct err *why)
{
    struct worker_offer *said = calloc((size_t)p->places + 1, sizeof *said);
    int code = said ? 0 : fail(why, E_MEMORY, "no memory to plan for %d workers", p->workers);
    if (!code) code = wish_offers(said, &p->wish, p->places, why);
    if (!code) offers_of(p, said, p->offers);
    for (int i = 0; i < p->workers && !code; i++) {
        struct worker_offer *o = &p->offers[i];
        uint64_t sharing = 0, least = UINT64_MAX; /* what is free is another number for each that looks */
        for (int k = 0; k < p->workers; k++) {
            const struct hello *h = &p->crew[k]->hello;
            if (strcmp(p->crew[i]->hello.host, h->host)) continue;
            sharing++;
            if (h->memory < least) least = h->memory;
        }
        if (o->shares_machine) o->memory = least / 4 * 3 / sharing;
        o->shares_machine = false;
    }
    free(said);
    return code;
}

int planning_replicas(struct pipeline *p, const struct capacity *wanted, struct replicas *out, bool *blind, struct err *why)
{
    const struct model_shape shape = model_shape(p->model, p->encoder);
    const bool here = !p->wish.n_addresses && !p->wish.ranks;
    const int most = wanted->sequences < PIPELINES_MOST ? (int)wanted->sequences : PIPELINES_MOST;
    if (p->wish.ranks) TRY(offers_of_ranks(p, why));
    else TRY(foresee(p, here, why));
    if (here) limit_to_this_machine(p, memory_allowed());
    const struct plan_wish wish = wish_of(p, wanted, here ? memory_allowed() : 0);
    *blind = false;
    for (int i = 0; i < p->workers && !p->wish.ranks; i++) *blind |= !p->offers[i].memory;
    return replicas_make(out, &shape, p->offers, p->workers, &wish, p->wish.replicas > 0 ? p->wish.replicas : 0, most, why);
}

int planning_foresees(struct pipeline *p, const struct capacity *wanted, struct foresight *out, struct err *why)
{
    *out = (struct foresight){.here = !p->wish.n_addresses};
    TRY(foresee(p, out->here, why));
    if (!out->here) {
        TRY(make_plan(&p->plan, p, p->offers, p->workers, wanted, 0, why));
        say_plan(&p->plan);
        p->workers = p->plan.workers;
        return order_offers(p->offers, &p->plan, why);
    }
    limit_to_this_machine(p, memory_allowed());
    const int code = make_plan(&p->plan, p, p->offers, p->workers, wanted, share_of_memory(p), &out->lack);
    if (code == E_MEMORY) return foresee_elsewhere(p, wanted, out, why);
    if (code) *why = out->lack;
    else say_plan(&p->plan);
    return code;
}

int planning_value(struct pipeline *p, const struct capacity *wanted, double *value, struct err *why)
{
    const struct model_shape shape = model_shape(p->model, p->encoder);
    struct foresight f;
    *value = 0;
    TRY(planning_foresees(p, wanted, &f, why));
    const struct plan_wish wish = wish_of(p, wanted, 0);
    if (!f.too_small && plan_measured(p->offers, p->workers)) *value = plan_value(&p->plan, &shape, p->offers, &wish);
    return 0;
}
