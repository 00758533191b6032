/* coordinator/cluster/speeds.c — see speeds.h. */
#include "coordinator/cluster/speeds.h"

#include "base/log.h"
#include "partition/plan/derive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what is known already ---- */

struct known_speed *speed_of(const struct pipeline *p, int worker)
{
    return &p->known[pipeline_place(p, worker)];
}

static struct speed_place place_of(const struct pipeline *p, int worker, char room[WIRE_TEXT])
{
    const struct model_shape shape = model_shape(p->model, p->encoder);
    struct speed_place place = {.where = "here", .threads = p->wish.threads, .shape = model_shape_hash(&shape) + numeric_number(p->wish.numbers)};
    if (p->wish.n_addresses) place.where = p->wish.addresses[pipeline_place(p, worker)];
    else if (p->crew && !p->local) place.where = room, snprintf(room, WIRE_TEXT, "rank %d of %d", p->crew[worker]->node, roster_size(p->roster));
    else place.threads = wish_threads(&p->wish, p->workers);
    return place;
}

uint32_t crowd_of(const struct pipeline *p, int worker)
{
    uint32_t n = (uint32_t)p->wish.beside;
    for (int i = 0; i < p->workers; i++) n += !strcmp(p->crew[i]->hello.host, p->crew[worker]->hello.host);
    return n;
}

static bool find_all(struct pipeline *p, bool (*is_true)(const struct pipeline *, int))
{
    int n = 0;
    free(p->known);
    p->known = calloc((size_t)p->places, sizeof *p->known);
    for (int i = 0; i < p->workers && p->known; i++) {
        char room[WIRE_TEXT];
        const struct speed_place place = place_of(p, i, room);
        if (speed_store_find(speed_of(p, i), &place, (uint64_t)time(NULL)) && is_true(p, i)) n++;
        else *speed_of(p, i) = (struct known_speed){0};
    }
    return n == p->workers;
}

static bool true_of_crew(const struct pipeline *p, int i)
{
    return speed_still_true(speed_of(p, i), &p->crew[i]->hello, crowd_of(p, i));
}

uint64_t speed_self(const struct pipeline *p, int worker)
{
    char room[WIRE_TEXT];
    const struct speed_place place = place_of(p, worker, room);
    return speed_place_number(&place);
}

bool speeds_known(struct pipeline *p)
{
    return find_all(p, true_of_crew);
}

static bool true_unasked(const struct pipeline *p, int i)
{
    return p->wish.n_addresses || speed_true_here(speed_of(p, i), (uint32_t)(p->workers + p->wish.beside));
}

bool speeds_foreseen(struct pipeline *p)
{
    return find_all(p, true_unasked);
}

/* ---- what was measured ---- */

bool workers_are_alike(const struct pipeline *p, int i, int k)
{
    const struct hello *a = &p->crew[i]->hello, *b = &p->crew[k]->hello;
    return !strcmp(a->host, b->host) && !strcmp(a->isa, b->isa) && a->share == b->share && a->period == b->period && a->threads == b->threads && a->memory == b->memory;
}

bool crew_is_alike(const struct pipeline *p)
{
    for (int i = 1; i < p->workers; i++)
        if (!workers_are_alike(p, 0, i)) return false;
    return true;
}

enum { NUMBER_WAY = 3, NUMBERS = 7 }; /* of a speed, beside its curves; from NUMBER_WAY on they are of the way to it */

static double *number_of(struct speed *v, int which)
{
    double *const all[NUMBERS] = {&v->key, &v->piece_key, &v->picture_layer, &v->to.delay, &v->to.bytes_per_second, &v->from.delay, &v->from.bytes_per_second};
    return all[which];
}

/* Of those that are like worker i, or of all, as far as it was measured; else 0. */
static double mean_number(const struct pipeline *p, int i, int which, bool of_all)
{
    double sum = 0, n = 0;
    for (int k = 0; k < p->workers; k++) {
        const double v = *number_of(&speed_of(p, k)->speed, which);
        if (v > 0 && (of_all || workers_are_alike(p, i, k))) sum += v, n++;
    }
    return n > 0 ? sum / n : 0;
}

static struct curve mean_curve(const struct pipeline *p, int i, bool head)
{
    struct curve mean = {0};
    double n = 0;
    for (int k = 0; k < p->workers; k++) {
        const struct speed *v = &speed_of(p, k)->speed;
        const struct curve *c = head ? &v->head_part : &v->local;
        if (!c->n || !workers_are_alike(p, i, k)) continue;
        if (!n++) mean = *c;
        else for (uint32_t at = 0; at < CURVE_POINTS; at++) mean.seconds[at] += c->seconds[at];
        if (c->n < mean.n) mean.n = c->n;
    }
    for (uint32_t at = 0; at < mean.n; at++) mean.seconds[at] /= n;
    return mean;
}

static int worker_at(const struct pipeline *p, uint64_t self)
{
    int i = 0;
    while (i < p->workers && speed_of(p, i)->speed.self != self) i++;
    return i;
}

/* Between those that are alike, on one machine then, all ways are one; and who was called by nobody, being where others are, has theirs. */
static void take_ways(const struct pipeline *p, int i, struct speed *out)
{
    struct hop sum = {0};
    double n = 0;
    for (int k = 0; k < p->workers; k++) {
        const struct speed *v = &speed_of(p, k)->speed;
        if (!workers_are_alike(p, i, k)) continue;
        for (uint32_t w = 0; w < v->ways; w++) {
            const int to = worker_at(p, v->way[w].to);
            if (to == p->workers || !workers_are_alike(p, i, to)) continue;
            sum.delay += v->way[w].hop.delay, sum.bytes_per_second += v->way[w].hop.bytes_per_second, n++;
        }
        if (!out->ways && v->self == out->self) out->ways = v->ways, memcpy(out->way, v->way, sizeof v->way);
    }
    for (uint32_t w = 0; w < out->ways; w++) {
        const int to = worker_at(p, out->way[w].to);
        if (to < p->workers && workers_are_alike(p, i, to)) out->way[w].hop = (struct hop){sum.delay / n, sum.bytes_per_second / n};
    }
}

/* Workers that are alike differ by noise alone, and a plan should not follow noise. A way for which there was no time is as the others. */
static int take_means(struct pipeline *p, struct err *why)
{
    struct speed *mean = calloc((size_t)p->workers, sizeof *mean);
    if (!mean) return fail(why, E_MEMORY, "no memory to measure the workers");
    for (int i = 0; i < p->workers; i++) {
        mean[i] = speed_of(p, i)->speed;
        mean[i].local = mean[i].global = mean_curve(p, i, false);
        mean[i].head_part = mean_curve(p, i, true);
        take_ways(p, i, &mean[i]);
        for (int k = 0; k < NUMBERS; k++) {
            double *v = number_of(&mean[i], k);
            *v = mean_number(p, i, k, false);
            if (k >= NUMBER_WAY && !(*v > 0)) *v = mean_number(p, i, k, true);
        }
    }
    for (int i = 0; i < p->workers; i++) speed_of(p, i)->speed = mean[i];
    free(mean);
    return 0;
}

static void scale(struct speed *v, double by)
{
    for (uint32_t i = 0; i < CURVE_POINTS; i++) v->local.seconds[i] *= by, v->head_part.seconds[i] *= by;
    v->key *= by, v->piece_key *= by;
    v->global = v->local;
}

/* Nothing was measured of this worker: as fast as the first one that was, but for its threads. */
static bool take_anothers(struct pipeline *p, int worker)
{
    for (int i = 0; i < p->workers; i++) {
        const struct speed *other = &speed_of(p, i)->speed;
        struct speed *v = &speed_of(p, worker)->speed;
        if (speed_of(p, i)->derived == DERIVED_ALL) continue;
        const struct speed was = *v;
        *v = *other;
        v->to = was.to, v->from = was.from, v->self = was.self, v->ways = was.ways;
        memcpy(v->way, was.way, sizeof v->way);
        scale(v, (double)p->crew[i]->hello.threads / p->crew[worker]->hello.threads);
        return true;
    }
    return false;
}

static void say(const struct pipeline *p, int i)
{
    const struct known_speed *k = speed_of(p, i);
    const struct speed *v = &k->speed;
    char remark[SPEED_REMARK];
    log_debug("%s: a layer takes %.3g ms for a row and %.3g ms for %.0f, a sixteenth of the head %.3g ms; a message %.3g ms", p->crew[i]->name,
              1e3 * v->local.seconds[0], 1e3 * v->local.seconds[v->local.n - 1], v->local.rows[v->local.n - 1], 1e3 * v->head_part.seconds[0],
              1e3 * v->to.delay);
    speed_remark(remark, k, i);
    if (k->busy) log_warn("%s", remark);
    else if (*remark) log_info("%s", remark);
}

static int none_was_measured(struct pipeline *p)
{
    log_warn("the workers could not be measured in time; they are planned by nominal speeds");
    memset(p->known, 0, (size_t)p->places * sizeof *p->known);
    return 0;
}

void speeds_store(const struct pipeline *p)
{
    for (int i = 0; i < p->workers; i++) {
        char room[WIRE_TEXT];
        const struct speed_place place = place_of(p, i, room);
        if (speed_of(p, i)->at) speed_store_keep(speed_of(p, i), &place);
    }
}

int speeds_keep(struct pipeline *p, struct err *why)
{
    const struct model_shape shape = model_shape(p->model, p->encoder);
    TRY(take_means(p, why));
    for (int i = 0; i < p->workers; i++) speed_of(p, i)->derived = speed_derive(&speed_of(p, i)->speed, &shape, p->wish.plan.vision_type);
    for (int i = 0; i < p->workers; i++) {
        struct known_speed *k = speed_of(p, i);
        if (k->derived == DERIVED_ALL && !take_anothers(p, i)) return none_was_measured(p);
        k->of = p->crew[i]->hello;
        k->crowd = crowd_of(p, i);
        k->at = (uint64_t)time(NULL);
        say(p, i);
    }
    speeds_store(p);
    return 0;
}

void speed_remark(char out[SPEED_REMARK], const struct known_speed *k, int worker)
{
    static const struct {
        uint32_t what;
        const char *name;
    } parts[] = {{DERIVED_LAYERS, "its layers"}, {DERIVED_LOOKING_BACK, "looking back"}, {DERIVED_HEAD, "the head"}, {DERIVED_PICTURES, "pictures"}};
    int n = 0;
    *out = 0;
    if (k->busy)
        snprintf(out, SPEED_REMARK, "worker %d was busy with something else when it was measured: what it reached counts for an hour, then it is measured anew",
                 worker + 1);
    if (!k->derived || k->busy) return;
    if (k->derived == DERIVED_ALL) {
        snprintf(out, SPEED_REMARK, "worker %d was not measured, for lack of time or memory: it is taken for as fast as another for each of its cores", worker + 1);
        return;
    }
    n = snprintf(out, SPEED_REMARK, "of worker %d", worker + 1);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (k->derived & parts[i].what) n += snprintf(out + n, SPEED_REMARK - (size_t)n, " %s,", parts[i].name);
    snprintf(out + n, SPEED_REMARK - (size_t)n, " which could not be measured in the time, follows from what could");
}

/* Those who are alike have one speed, so they get the mean. */
void speeds_refine(struct pipeline *p, const double *ratio)
{
    for (int i = 0; i < p->workers; i++) {
        if (!speed_of(p, i)->at) continue;
        double sum = 0, n = 0;
        char room[WIRE_TEXT];
        const struct speed_place place = place_of(p, i, room);
        struct known_speed k = *speed_of(p, i);
        for (int other = 0; other < p->workers; other++)
            if (workers_are_alike(p, i, other)) sum += ratio[other], n++;
        if (sum > 2 * n || 2 * sum < n) {
            speed_store_forget(&place);
            continue;
        }
        scale(&k.speed, sqrt(sum / n));
        speed_store_keep(&k, &place);
    }
}

