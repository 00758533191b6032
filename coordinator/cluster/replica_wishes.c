/* coordinator/cluster/replica_wishes.c — see replica_wishes.h. */
#include "coordinator/cluster/replica_wishes.h"

#include <stdlib.h>

struct lists { /* of one replica's workers */
    const char **addresses, **key_names;
    struct worker_offer *said;
    uint64_t *memory;
};

struct replica_wishes {
    int n;
    struct cluster_wish *wish; /* [n] */
    struct lists *lists;       /* [n] */
};

int replicas_check(const struct cluster_wish *all, int replicas, struct err *why)
{
    const int places = wish_places(all);
    if (all->threads_here) return fail(why, E_USAGE, "threads of this one process are one pipeline, and %d replicas were asked for", replicas);
    if (all->accept) return fail(why, E_USAGE, "workers that join later are of one pipeline, and %d replicas were asked for", replicas);
    if (all->spare) return fail(why, E_USAGE, "of %d replicas one takes the place of another, and %d workers to spare were asked for too", replicas, all->spare);
    if (all->plan.vision_workers) return fail_about(why, ABOUT_VISION_WORKERS, E_USAGE, "workers for pictures alone are of one pipeline, and %d replicas were asked for", replicas);
    if (all->n_memory > 1 && all->n_memory != places)
        return fail_about(why, ABOUT_MEMORY_SIZES, E_USAGE, "%d sizes of memory were given for %d workers", all->n_memory, places);
    if (places < replicas) return fail(why, E_USAGE, "%d replicas were asked for, of %d worker%s", replicas, places, places == 1 ? "" : "s");
    return 0;
}

static int make_lists(struct lists *l, const struct cluster_wish *all, size_t room, struct err *why)
{
    if (all->n_addresses) l->addresses = calloc(room, sizeof *l->addresses);
    if (all->n_addresses) l->key_names = calloc(room, sizeof *l->key_names);
    l->said = calloc(room, sizeof *l->said);
    l->memory = calloc(room, sizeof *l->memory);
    return (l->addresses && l->key_names) == (all->n_addresses > 0) && l->said && l->memory ? 0 : fail(why, E_MEMORY, "no memory to share out %zu workers", room);
}

static void add_worker(struct cluster_wish *w, struct lists *l, const struct cluster_wish *all, int place, int n)
{
    if (all->n_addresses) {
        l->addresses[n] = all->addresses[place];
        l->key_names[n] = all->key_names ? all->key_names[place] : NULL;
        if (all->said) l->said[n] = all->said[place];
        w->n_addresses = n + 1;
    } else if (all->ranks) {
        w->ranks = n + 1;
    } else {
        w->processes = n + 1;
    }
    if (all->n_memory > 1) l->memory[n] = all->memory[place], w->n_memory = n + 1;
}

static void share_out(struct replica_wishes *r, const struct cluster_wish *all, const int *of, int places)
{
    int n[WORKERS_MOST] = {0}, before = 0;
    for (int i = 0; i < places; i++) {
        const int k = of[i];
        add_worker(&r->wish[k], &r->lists[k], all, i, n[k]++);
    }
    for (int k = 0; k < r->n; k++) {
        struct cluster_wish *w = &r->wish[k];
        if (all->n_addresses) w->addresses = r->lists[k].addresses;
        if (all->key_names) w->key_names = r->lists[k].key_names;
        if (all->said) w->said = r->lists[k].said;
        if (all->n_memory > 1) w->memory = r->lists[k].memory;
        w->before = before;
        w->beside = all->n_addresses || (all->ranks && !all->one_machine) ? 0 : places - n[k];
        before += n[k];
    }
}

int replica_wishes_open(struct replica_wishes **out, const struct cluster_wish *all, const int *of, int replicas, struct err *why)
{
    const int places = wish_places(all);
    struct replica_wishes *r = *out = calloc(1, sizeof *r);
    if (!r) return fail(why, E_MEMORY, "no memory for %d replicas", replicas);
    r->n = replicas;
    r->wish = calloc((size_t)replicas, sizeof *r->wish);
    r->lists = calloc((size_t)replicas, sizeof *r->lists);
    int code = r->wish && r->lists ? 0 : fail(why, E_MEMORY, "no memory for %d replicas", replicas);
    for (int k = 0; k < replicas && !code; k++) {
        r->wish[k] = *all;
        code = make_lists(&r->lists[k], all, (size_t)places, why);
    }
    if (!code) share_out(r, all, of, places);
    else replica_wishes_close(out);
    return code;
}

void replica_wishes_close(struct replica_wishes **pr)
{
    struct replica_wishes *r = *pr;
    *pr = NULL;
    if (!r) return;
    for (int k = 0; k < r->n && r->lists; k++) {
        free(r->lists[k].addresses);
        free(r->lists[k].key_names);
        free(r->lists[k].said);
        free(r->lists[k].memory);
    }
    free(r->lists);
    free(r->wish);
    free(r);
}

const struct cluster_wish *replica_wish(const struct replica_wishes *r, int replica)
{
    return &r->wish[replica];
}
