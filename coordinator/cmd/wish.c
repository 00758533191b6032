/* coordinator/cmd/wish.c — see wish.h. */
#include "coordinator/cmd/wish.h"

#include "base/limits.h"
#include "partition/plan/plan_text.h"

#include <stdlib.h>
#include <string.h>

#define PLAN_ANSWER 512.0 /* tokens that come with a picture where no limit was said */
#define WAIT_SECONDS 60 /* for workers to answer, unless said otherwise */

struct wish_lists {
    struct cluster cluster; /* no workers unless there is a cluster file */
    char *text;             /* addresses, one after the other */
    const char **addresses, **key_names;
    struct cut *cuts;
    uint64_t *memory;
    uint32_t *sights; /* of the encoder, by hand */
};

/* "attic@tcp://…": the key of that name. An @ behind the slashes belongs to the address. */
static void split_name(const char **address, const char **name)
{
    char *at = strchr(*address, '@');
    if (!at || memchr(*address, '/', (size_t)(at - *address))) return;
    *at = 0;
    *name = *address;
    *address = at + 1;
}

static int read_addresses(struct cluster_wish *w, struct wish_lists *l, const char *list, struct err *why)
{
    int n = 1;
    for (const char *c = list; *c; c++) n += *c == ',';
    if (n > WORKERS_MOST) return fail(why, E_USAGE, "--connect names %d workers, at most %d are possible", n, WORKERS_MOST);
    l->text = strdup(list);
    l->addresses = calloc((size_t)n, sizeof *l->addresses);
    l->key_names = calloc((size_t)n, sizeof *l->key_names);
    if (!l->text || !l->addresses || !l->key_names) return fail(why, E_MEMORY, "no memory for %d addresses", n);
    char *rest = l->text;
    for (int i = 0; i < n; i++) {
        l->addresses[i] = strsep(&rest, ",");
        split_name(&l->addresses[i], &l->key_names[i]);
        if (!*l->addresses[i]) return fail(why, E_USAGE, "--connect has an empty address in \"%.300s\"", list);
    }
    w->addresses = l->addresses;
    w->key_names = l->key_names;
    w->n_addresses = n;
    return 0;
}

static int check_no_copies(const struct cluster *c, const char *path, struct err *why)
{
    for (int i = 0; i < c->workers; i++)
        if (c->links[i].copies > 1)
            return fail(why, E_FILE, "%s: worker %d has %u copies, which is for gemmapipe plan --simulate", path, i + 1, c->links[i].copies);
    return 0;
}

static int read_cluster_file(struct cluster_wish *w, struct wish_lists *l, const char *path, struct err *why)
{
    struct cluster *c = &l->cluster;
    TRY(cluster_read(c, path, why));
    l->addresses = calloc((size_t)c->workers, sizeof *l->addresses);
    if (!l->addresses) return fail(why, E_MEMORY, "no memory for %d addresses", c->workers);
    l->key_names = calloc((size_t)c->workers, sizeof *l->key_names);
    if (!l->key_names) return fail(why, E_MEMORY, "no memory for %d addresses", c->workers);
    for (int i = 0; i < c->workers; i++) {
        l->addresses[i] = c->addresses[i];
        if (c->keys[i][0]) l->key_names[i] = c->keys[i];
    }
    w->key_names = l->key_names;
    w->addresses = l->addresses;
    w->n_addresses = c->workers;
    TRY(check_no_copies(c, path, why));
    w->said = c->offers;
    if (c->wait && !w->wait_seconds) w->wait_seconds = (int)c->wait;
    if (!c->by_hand || w->plan.cuts) return 0;
    w->plan.cuts = c->cuts;
    w->plan.n_cuts = c->workers;
    return 0;
}

static int read_lists(struct cluster_wish *w, struct wish_lists *l, const struct options *o, struct err *why)
{
    if (o->split) TRY(plan_read_split(o->split, &l->cuts, &w->plan.n_cuts, why));
    w->plan.cuts = l->cuts;
    if (o->memory) TRY(plan_read_sizes(o->memory, &l->memory, &w->n_memory, why));
    w->memory = l->memory;
    const int code = vision_wish_read(&w->plan.vision, o->vision_split, why);
    l->sights = w->plan.vision.layers;
    if (code) return code;
    if (o->cluster) return read_cluster_file(w, l, o->cluster, why);
    return o->connect ? read_addresses(w, l, o->connect, why) : 0;
}

bool wish_by_measure(const struct options *o)
{
    const char *never = getenv("GEMMAPIPE_NO_PROBE");
    return !o->no_probe && !(never && *never);
}

int wish_read(struct cluster_wish *w, struct wish_lists **lists, const struct options *o, struct err *why)
{
    struct wish_lists *l = *lists = calloc(1, sizeof *l);
    if (!l) return fail(why, E_MEMORY, "no memory to begin with");
    *w = (struct cluster_wish){
        .model = o->model, .mmproj = o->mmproj, .numbers = o->numbers, .threads_here = o->here, .threads = o->threads, .pin = o->pin,
        .keys = o->keys, .insecure = o->insecure, .send_weights = o->send_weights, .cache = o->cache, .cache_size = o->cache_size, .wait_seconds = o->wait, .patience_seconds = o->patience,
        .spare = o->spare, .accept = o->accept, .replicas = o->replicas,
        .plan = {.aim = o->aim, .picture_share = o->pictures / (o->most < PLAN_ANSWER ? (double)o->most : PLAN_ANSWER),
                 .vision_workers = o->vision_workers, .whole_head = o->whole_head,
                 .vision_type = o->numbers.math == MATH_FLOAT32 ? VISION_FLOAT32 : o->vision_q8 ? VISION_Q8_0 : VISION_AS_FILE,
                 .all_scores = !sampling_of_few(&o->sampling)},
    };
    TRY(read_lists(w, l, o, why));
    if (!w->wait_seconds) w->wait_seconds = WAIT_SECONDS;
    w->probe = wish_by_measure(o);
    w->processes = o->workers;
    const bool by_split = w->plan.cuts && !w->n_addresses && !w->processes && !mpi_launched();
    if (w->replicas > 0 && by_split) w->processes = w->plan.n_cuts * w->replicas;
    return 0;
}

void wish_free(struct wish_lists **lists)
{
    struct wish_lists *l = *lists;
    *lists = NULL;
    if (!l) return;
    free(l->text);
    free(l->addresses);
    free(l->key_names);
    free(l->cuts);
    free(l->memory);
    free(l->sights);
    free(l);
}

void wish_complete(struct options *o, const struct wish_lists *lists)
{
    if (!o->context) o->context = lists->cluster.context;
    if (!o->sequences) o->sequences = lists->cluster.sequences;
    if (!o->kv_positions) o->kv_positions = lists->cluster.kv_positions;
}
