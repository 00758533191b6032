/* coordinator/cluster/cluster_wish.c — see cluster_wish.h. */
#include "coordinator/cluster/cluster_wish.h"

#include "base/threads.h"

int wish_places(const struct cluster_wish *w)
{
    return w->n_addresses ? w->n_addresses : wish_workers(w) + w->spare;
}

int wish_workers(const struct cluster_wish *w)
{
    const int by_hand = w->plan.n_cuts + w->plan.vision_workers, named = w->n_addresses - w->spare;
    if (w->n_addresses) return w->plan.cuts && by_hand < named ? by_hand : named;
    if (w->ranks) return w->ranks;
    if (w->threads_here) return w->threads_here;
    if (w->processes) return w->processes;
    return w->plan.cuts ? w->plan.n_cuts + w->plan.vision_workers : 1;
}

int wish_threads(const struct cluster_wish *w, int workers)
{
    const int share = cores_allowed() / (workers + w->beside);
    return w->threads ? w->threads : share > 0 ? share : 1;
}

int wish_offers(struct worker_offer *out, const struct cluster_wish *w, int workers, struct err *why)
{
    if (w->n_memory > 1 && w->n_memory != workers)
        return fail_about(why, ABOUT_MEMORY_SIZES, E_USAGE, "%d sizes of memory were given for %d workers", w->n_memory, workers);
    for (int i = 0; i < workers; i++) {
        struct worker_offer *o = &out[i];
        *o = w->said && i < w->n_addresses ? w->said[i] : (struct worker_offer){0};
        if (!o->speed) o->speed = 1;
        if (w->n_memory) o->memory = w->memory[w->n_memory == 1 ? 0 : i];
        if (w->threads) o->threads = w->threads;
    }
    return 0;
}
