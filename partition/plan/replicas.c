/* partition/plan/replicas.c — see replicas.h. */
#include "partition/plan/replicas.h"

#include "partition/plan/rates.h"
#include "partition/plan/text_cost.h"

#include <stdlib.h>
#include <string.h>

#define UNKNOWN (-1.0)
#define NONE (-2.0) /* no plan, or no way */
#define AS_GOOD 0.999

struct sharing_out {
    const struct model_shape *shape;
    const struct worker_offer *offers;
    int workers;
    const struct plan_wish *wish;
    int classes, class_of[WORKERS_MOST], count[WORKERS_MOST], stride[WORKERS_MOST];
    int kinds;       /* of groups: of each class none to all. A kind is a number, class by class */
    double *value;   /* [kinds], for the number of replicas that is tried; UNKNOWN */
    double *best;    /* [replicas][kinds]: of the ways to make so many groups of these workers */
    int *first;      /* [replicas][kinds]: a group of the best of them */
};

struct capacity replica_capacity(const struct capacity *all, int n)
{
    const uint32_t k = (uint32_t)n, least = capacity_blocks_least(all);
    struct capacity c = *all;
    c.sequences = (all->sequences + k - 1) / k;
    c.blocks = (all->blocks + k - 1) / k;
    if (c.blocks && c.blocks < least) c.blocks = least;
    return c;
}

struct plan_wish replica_wish_of(const struct plan_wish *all, int n, int of_workers, int workers)
{
    struct plan_wish w = *all;
    w.capacity = replica_capacity(&all->capacity, n);
    w.together = all->together / (uint64_t)workers * (uint64_t)of_workers;
    return w;
}

/* Of these workers, as one of n replicas; NONE if they do not hold the model. */
static double value_of(const struct sharing_out *s, const int *worker, int count, int n, struct err *why)
{
    struct worker_offer *offers = calloc((size_t)count + 1, sizeof *offers), *ordered = calloc((size_t)count + 1, sizeof *ordered);
    const struct plan_wish wish = replica_wish_of(s->wish, n, count, s->workers);
    struct plan_wish valued = wish; /* groups are compared by their answers: one with a single sequence would be wanted for its prompts */
    struct plan p = {0};
    double value = NONE;
    if (wish.aim == AIM_USUAL && s->wish->capacity.sequences > 1) valued.aim = AIM_THROUGHPUT;
    for (int i = 0; i < count && offers && ordered; i++) offers[i] = s->offers[worker[i]], offers[i].cores *= (double)count / s->workers;
    if (!offers || !ordered) fail(why, E_MEMORY, "no memory to plan for %d workers", count);
    else if (!plan_make(&p, s->shape, offers, count, &wish, why)) {
        for (int i = 0; i < p.workers; i++) ordered[i] = offers[p.offer[i]];
        value = plan_value(&p, s->shape, ordered, &valued);
        plan_free(&p);
    }
    free(offers);
    free(ordered);
    return value;
}

/* ---- classes ---- */

static bool alike(const struct worker_offer *a, const struct worker_offer *b)
{
    const bool same_speed = a->measured == b->measured || (a->measured && b->measured && !memcmp(a->measured, b->measured, sizeof *a->measured));
    if (a->reach != b->reach || a->n_apart || b->n_apart) return a == b; /* who is alike can also be reached alike */
    return a->memory == b->memory && a->speed == b->speed && a->threads == b->threads && a->shares_machine == b->shares_machine && same_speed &&
           ration_share(&a->ration) == ration_share(&b->ration) && a->ration.period == b->ration.period && a->ration.tick == b->ration.tick;
}

static void sort_into_classes(struct sharing_out *s)
{
    int speaks[WORKERS_MOST];
    s->kinds = 1;
    for (int w = 0; w < s->workers; w++) {
        int c = 0;
        while (c < s->classes && !alike(&s->offers[speaks[c]], &s->offers[w])) c++;
        if (c == s->classes) speaks[s->classes++] = w;
        s->class_of[w] = c;
        s->count[c]++;
    }
    for (int c = 0; c < s->classes; c++) {
        s->stride[c] = s->kinds;
        s->kinds = s->kinds > REPLICAS_KINDS ? s->kinds : s->kinds * (s->count[c] + 1);
    }
}

static int members(const struct sharing_out *s, int kind, int c)
{
    return kind / s->stride[c] % (s->count[c] + 1);
}

static bool holds(const struct sharing_out *s, int kind, int part)
{
    for (int c = 0; c < s->classes; c++)
        if (members(s, part, c) > members(s, kind, c)) return false;
    return true;
}

/* ---- the best of all ways ---- */

static double value_of_kind(struct sharing_out *s, int kind, int n)
{
    int worker[WORKERS_MOST], count = 0, left[WORKERS_MOST];
    struct err ignored;
    if (s->value[kind] > UNKNOWN || s->value[kind] == NONE) return s->value[kind];
    for (int c = 0; c < s->classes; c++) left[c] = members(s, kind, c);
    for (int w = 0; w < s->workers; w++)
        if (left[s->class_of[w]] > 0) left[s->class_of[w]]--, worker[count++] = w;
    return s->value[kind] = value_of(s, worker, count, n, &ignored);
}

/* What n groups of these workers give, of replicas n_all. The first group has somebody of the first class that there is, so each way is
 * looked at once. */
static double best_of(struct sharing_out *s, int kind, int n, int n_all)
{
    double *best = &s->best[(size_t)(n - 1) * (size_t)s->kinds + (size_t)kind];
    if (*best > UNKNOWN || *best == NONE) return *best;
    *best = NONE;
    if (n == 1) return *best = value_of_kind(s, kind, n_all);
    for (int part = 1; part < kind; part++) {
        int c = 0;
        if (!holds(s, kind, part)) continue;
        while (!members(s, kind, c)) c++;
        if (!members(s, part, c)) continue;
        const double rest = best_of(s, kind - part, n - 1, n_all);
        const double one = rest > 0 ? value_of_kind(s, part, n_all) : NONE;
        if (one <= 0) continue;
        const double sum = s->wish->aim == AIM_LATENCY ? (one > rest ? one : rest) : one + rest;
        if (sum <= *best) continue;
        *best = sum;
        s->first[(size_t)(n - 1) * (size_t)s->kinds + (size_t)kind] = part;
    }
    return *best;
}

static void take_kind(const struct sharing_out *s, int *of, int kind, int replica)
{
    int left[WORKERS_MOST];
    for (int c = 0; c < s->classes; c++) left[c] = members(s, kind, c);
    for (int w = 0; w < s->workers; w++)
        if (of[w] < 0 && left[s->class_of[w]] > 0) left[s->class_of[w]]--, of[w] = replica;
}

static double try_all_ways(struct sharing_out *s, int *of, int n)
{
    const size_t places = (size_t)n * (size_t)s->kinds;
    double value = NONE;
    s->value = malloc((size_t)s->kinds * sizeof *s->value);
    s->best = malloc(places * sizeof *s->best);
    s->first = calloc(places, sizeof *s->first);
    if (s->value && s->best && s->first) {
        int kind = s->kinds - 1;
        for (int i = 0; i < s->kinds; i++) s->value[i] = UNKNOWN;
        for (size_t i = 0; i < places; i++) s->best[i] = UNKNOWN;
        value = best_of(s, kind, n, n);
        for (int w = 0; w < s->workers; w++) of[w] = -1;
        for (int k = n; k > 0 && value > 0; k--) {
            const int part = k == 1 ? kind : s->first[(size_t)(k - 1) * (size_t)s->kinds + (size_t)kind];
            take_kind(s, of, part, n - k);
            kind -= part;
        }
    }
    free(s->value);
    free(s->best);
    free(s->first);
    return value;
}

/* ---- dealt out ---- */

static double strength(const struct worker_offer *o, bool by_memory)
{
    if (by_memory) return o->memory ? (double)o->memory : 1e18;
    if (o->measured && o->measured->local.n) return o->measured->local.rows[0] / o->measured->local.seconds[0] * ration_share(&o->ration);
    return nominal_power(o);
}

static void deal(const struct sharing_out *s, int *of, int n, bool by_memory)
{
    double sum[WORKERS_MOST] = {0};
    for (int w = 0; w < s->workers; w++) of[w] = -1;
    for (int dealt = 0; dealt < s->workers; dealt++) {
        int strongest = -1, least = 0;
        for (int w = 0; w < s->workers; w++)
            if (of[w] < 0 && (strongest < 0 || strength(&s->offers[w], by_memory) > strength(&s->offers[strongest], by_memory))) strongest = w;
        for (int k = 1; k < n; k++)
            if (sum[k] < sum[least]) least = k;
        of[strongest] = least;
        sum[least] += strength(&s->offers[strongest], by_memory);
    }
}

/* Those next to each other, who often are on one machine, or near. */
static void take_in_order(const struct sharing_out *s, int *of, int n)
{
    for (int w = 0; w < s->workers; w++) of[w] = w * n / s->workers;
}

static double value_of_all(const struct sharing_out *s, const int *of, int n, struct err *why)
{
    double sum = 0;
    for (int k = 0; k < n; k++) {
        int worker[WORKERS_MOST], count = 0;
        for (int w = 0; w < s->workers; w++)
            if (of[w] == k) worker[count++] = w;
        const double one = value_of(s, worker, count, n, why);
        if (one <= 0) return NONE;
        if (s->wish->aim != AIM_LATENCY) sum += one;
        else if (one > sum) sum = one;
    }
    return sum;
}

/* ---- from outside ---- */

/* In `of`; NONE, with why, if there is no way, or none was found. Groups that are dealt are of like strength, and stay where others are not
 * much better. */
static double share_out(struct sharing_out *s, int *of, int n, struct err *why)
{
    int other[WORKERS_MOST];
    double value, best;
    deal(s, of, n, false);
    value = value_of_all(s, of, n, why);
    take_in_order(s, other, n);
    best = value_of_all(s, other, n, why);
    if (best > 0 && best >= value * AS_GOOD) value = best, memcpy(of, other, (size_t)s->workers * sizeof *of);
    if (s->kinds <= REPLICAS_KINDS) {
        best = try_all_ways(s, other, n);
    } else {
        deal(s, other, n, true);
        best = value_of_all(s, other, n, why);
    }
    if (best <= 0 || best <= value * REPLICAS_GAIN) return value;
    memcpy(of, other, (size_t)s->workers * sizeof *of);
    return best;
}

/* More replicas have smaller groups: where so many do not hold the model more do not either. By measured speeds any gain will do: what
 * stages wait for each other within a pipeline is foreseen too small (docs/SPEED.md 42); but not of replicas of unlike many workers, where
 * what little is foreseen was lost. */
static void choose(struct sharing_out *s, struct replicas *out, int most)
{
    int of[WORKERS_MOST];
    struct err ignored;
    double fewer = out->value, gain = plan_measured(s->offers, s->workers) ? 1 : REPLICAS_GAIN;
    for (int n = 2; n <= most; n++) {
        const double value = share_out(s, of, n, &ignored);
        if (value <= 0 && fewer > 0) return;
        if (value > out->value * (s->workers % n ? REPLICAS_GAIN : gain) || (out->value <= 0 && value > 0)) {
            out->n = n;
            out->value = value;
            memcpy(out->of, of, (size_t)s->workers * sizeof *of);
        }
        fewer = value;
    }
}

static int make(struct sharing_out *s, struct replicas *out, int n, int most, struct err *why)
{
    int all[WORKERS_MOST];
    struct err lack = {0};
    out->of = calloc((size_t)s->workers, sizeof *out->of);
    if (!out->of) return fail(why, E_MEMORY, "no memory to share out %d workers", s->workers);
    sort_into_classes(s);
    for (int w = 0; w < s->workers; w++) all[w] = w;
    const double one = value_of(s, all, s->workers, 1, &lack);
    out->one = one > 0 ? one : 0;
    out->n = n ? n : 1;
    out->value = out->one;
    if (n > 1) out->value = share_out(s, out->of, n, &lack);
    else if (!n) choose(s, out, most < s->workers ? most : s->workers);
    if (out->value > 0) return 0;
    return *why = lack, why->code ? why->code : fail(why, E_MEMORY, "no way was found to make %d replicas of %d workers", out->n, s->workers);
}

int replicas_make(struct replicas *out, const struct model_shape *shape, const struct worker_offer *offers, int workers,
                  const struct plan_wish *wish, int n, int most, struct err *why)
{
    struct sharing_out *s = calloc(1, sizeof *s);
    *out = (struct replicas){0};
    if (!s) return fail(why, E_MEMORY, "no memory to share out %d workers", workers);
    if (n > workers) {
        free(s);
        return fail(why, E_USAGE, "%d replicas were asked for, of %d worker%s", n, workers, workers == 1 ? "" : "s");
    }
    s->shape = shape;
    s->offers = offers;
    s->workers = workers;
    s->wish = wish;
    const int code = make(s, out, n, most, why);
    free(s);
    if (code) replicas_free(out);
    return code;
}

void replicas_free(struct replicas *r)
{
    free(r->of);
    r->of = NULL;
}
