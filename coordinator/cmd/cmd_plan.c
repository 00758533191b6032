/* coordinator/cmd/cmd_plan.c — `gemmapipe plan`: who would get what, from the files' headers alone.
 *
 * It makes its wish as `run` does and asks the same planner, so what it shows is what `run` with these words would do. What
 * only the workers know it takes from what is said of them: an unsaid memory is no limit. Workers that `run` would start
 * here have this machine's cores, shared out; of others one thread each is assumed. */
#include "partition/file/encoder_file.h"
#include "partition/file/model_file.h"
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/wish.h"
#include "partition/plan/plan_json.h"

#include <stdlib.h>
#include <string.h>

#define PLAN_CONTEXT 4096

struct sketch { /* of a run: all that the plan follows from */
    struct model *model;
    struct vision_model *encoder;
    struct cluster_wish wish;
    struct wish_lists *lists;
    struct worker_offer *offers;
    int workers;
};

static int read_sketch(struct sketch *k, struct options *o, struct err *why)
{
    TRY(wish_read(&k->wish, &k->lists, o, why));
    wish_complete(o, k->lists);
    TRY(model_open(&k->model, o->model, why));
    if (o->mmproj) TRY(vision_open(&k->encoder, o->mmproj, why));
    return o->mmproj ? vision_config_fits(&k->encoder->config, k->model->config.hidden, o->mmproj, why) : 0;
}

static int make_offers(struct sketch *k, struct err *why)
{
    const bool here = !k->wish.n_addresses;
    const int n = k->workers = wish_workers(&k->wish), threads = here ? wish_threads(&k->wish, n) : 1;
    k->offers = calloc((size_t)n, sizeof *k->offers);
    if (!k->offers) return fail(why, E_MEMORY, "no memory to plan for %d workers", n);
    TRY(wish_offers(k->offers, &k->wish, n, why));
    for (int i = 0; i < n; i++) {
        struct worker_offer *w = &k->offers[i];
        if (!w->threads) w->threads = threads;
        w->shares_machine = here && !w->memory && n > 1;
        if (!w->name[0]) snprintf(w->name, sizeof w->name, "worker %d", i + 1);
    }
    return 0;
}

static int make_capacity(struct sketch *k, const struct options *o, struct err *why)
{
    const struct model_config *c = &k->model->config;
    struct options asked = *o;
    if (!asked.context) asked.context = PLAN_CONTEXT < c->context ? PLAN_CONTEXT : c->context;
    return capacity_for(&k->wish.plan.capacity, &asked, c, 0, 0, 1, 0, why);
}

static void print(const struct sketch *k, const struct options *o, const struct plan *p, const struct model_shape *shape)
{
    struct plan_files files = {.model = o->model, .fingerprint = k->model->fingerprint, .layers = k->model->config.layers};
    if (k->encoder) files.mmproj = o->mmproj, files.encoder = k->encoder->fingerprint;
    if (o->json) plan_write_json(stdout, p, k->offers, &files);
    else plan_print(stdout, p, shape, k->offers);
}

static int plan(struct sketch *k, struct options *o, struct err *why)
{
    struct plan p;
    TRY(read_sketch(k, o, why));
    TRY(make_offers(k, why));
    TRY(make_capacity(k, o, why));
    const struct model_shape shape = model_shape(k->model, k->encoder);
    TRY(plan_make(&p, &shape, k->offers, k->workers, &k->wish.plan, why));
    print(k, o, &p, &shape);
    plan_free(&p);
    return 0;
}

int command_plan(const struct options *o, struct err *why)
{
    struct sketch k = {0};
    struct options asked = *o;
    const int code = plan(&k, &asked, why);
    free(k.offers);
    wish_free(&k.lists);
    vision_close(&k.encoder);
    model_close(&k.model);
    return code;
}
