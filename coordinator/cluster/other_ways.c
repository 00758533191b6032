/* coordinator/cluster/other_ways.c — see other_ways.h. */
#include "coordinator/cluster/other_ways.h"

#include "base/threads.h"
#include "coordinator/cluster/planning.h"
#include "coordinator/cluster/replica_wishes.h"
#include "partition/plan/rates.h"

#include <stdio.h>
#include <string.h>

#define ALIKE 1.05 /* rates that differ by less are not told apart */

bool one_process_wish(struct cluster_wish *out, const struct cluster_wish *of)
{
    const int places = wish_places(of), cores = cores_allowed();
    if (!of->model || of->n_addresses || of->accept || of->spare || of->n_memory || places < 2) return false;
    if (of->plan.cuts || of->plan.vision_workers) return false;
    *out = *of;
    out->processes = out->threads_here = out->replicas = 0;
    out->threads = !of->threads ? 0 : of->threads * places < cores ? of->threads * places : cores;
    if (wish_threads(out, 1) == wish_threads(of, places)) out->beside = places - 1;
    return true;
}

/* What was measured while others computed says nothing of what would be faster without them. */
static bool undisturbed(const struct pipeline *p)
{
    for (int i = 0; i < p->places; i++)
        if (!p->known || !p->known[i].at || p->known[i].busy) return false;
    return true;
}

static double value_of(const struct cluster_wish *wish, const struct capacity *wanted)
{
    struct pipeline *p = NULL;
    struct err no;
    double value = 0;
    if (pipeline_open_files(&p, wish, &no) || planning_value(p, wanted, &value, &no) || !undisturbed(p)) value = 0;
    pipeline_close(&p, NULL);
    return value;
}

/* Of so many, or of as many as are fastest. */
static double value_of_replicas(const struct cluster_wish *wish, const struct capacity *wanted, int replicas, int *n)
{
    struct cluster_wish several = *wish;
    struct pipeline *p = NULL;
    struct replicas r = {0};
    struct err no;
    bool measured, blind;
    several.replicas = replicas;
    const int code = replicas_check(&several, replicas > 0 ? replicas : 1, &no) || pipeline_open_files(&p, &several, &no) ||
                     planning_measured(p, &measured, &no) || !measured || !undisturbed(p) || planning_replicas(p, wanted, &r, &blind, &no);
    const double value = code ? 0 : r.value;
    *n = code ? 1 : r.n;
    replicas_free(&r);
    pipeline_close(&p, NULL);
    return value;
}

void other_ways_find(struct other_ways *o, const struct cluster_wish *wish, const struct capacity *wanted)
{
    struct cluster_wish one;
    *o = (struct other_ways){.workers = wish_workers(wish), .best_replicas = 1};
    if (!wish->probe || !one_process_wish(&one, wish)) return;
    o->threads = wish_threads(&one, 1);
    o->as_wished = wish->replicas ? value_of_replicas(wish, wanted, wish->replicas, &o->replicas) : value_of(wish, wanted);
    if (o->replicas == 1) o->replicas = 0;
    o->one_process = value_of(&one, wanted);
}

void other_ways_try_replicas(struct other_ways *o, const struct cluster_wish *wish, const struct capacity *wanted)
{
    if (o->as_wished > 0 && o->one_process > 0 && !o->replicas) o->of_replicas = value_of_replicas(wish, wanted, REPLICAS_AUTO, &o->best_replicas);
}

/* What the sentence ends with: replicas that nobody asked for, and whether the second best way is as good as the best for all that is known. */
static void say_rest(char *out, size_t room, const struct other_ways *o)
{
    const bool more = !o->replicas && o->best_replicas > 1 && o->of_replicas > o->as_wished;
    const double of[] = {o->as_wished, o->one_process, more ? o->of_replicas : 0};
    double best = 0, second = 0;
    for (int i = 0; i < 3; i++) {
        if (of[i] > best) second = best, best = of[i];
        else if (of[i] > second) second = of[i];
    }
    if (more) snprintf(out, room, "; %d replicas (--replicas of batch, eval and serve) would reach %.1f", o->best_replicas, o->of_replicas);
    const size_t n = strlen(out);
    if (best < second * (1 + RATES_ERROR))
        snprintf(out + n, room - n, "; the best two differ by %.0f %%, which is within the error of the prediction (%.0f %%): gemmapipe bench tells for sure",
                 100 * (best / second - 1), 100 * RATES_ERROR);
}

void other_ways_say(char out[OTHER_WAYS_TEXT], const struct other_ways *o)
{
    char mine[64], one[64];
    *out = 0;
    if (!(o->as_wished > 0) || !(o->one_process > 0)) return;
    if (o->replicas) snprintf(mine, sizeof mine, "%d replicas", o->replicas);
    else snprintf(mine, sizeof mine, "%d workers", o->workers);
    snprintf(one, sizeof one, "one process of %d thread%s", o->threads, o->threads == 1 ? "" : "s");
    const double ratio = o->one_process / o->as_wished;
    if (ratio > ALIKE)
        snprintf(out, OTHER_WAYS_TEXT, "%s (no --workers) is recommended: it would be %.2f times as fast as %s here, %.1f tokens/s where they reach %.1f, "
                 "by speeds as measured", one, ratio, mine, o->one_process, o->as_wished);
    else if (1 / ratio > ALIKE)
        snprintf(out, OTHER_WAYS_TEXT, "%s are recommended: here they are %.2f times as fast as %s would be, %.1f tokens/s where it reaches %.1f, "
                 "by speeds as measured", mine, 1 / ratio, one, o->as_wished, o->one_process);
    else
        snprintf(out, OTHER_WAYS_TEXT, "%s and %s are about as fast here, %.1f and %.1f tokens/s by speeds as measured", mine, one, o->as_wished,
                 o->one_process);
    const size_t n = strlen(out);
    say_rest(out + n, OTHER_WAYS_TEXT - n, o);
}
