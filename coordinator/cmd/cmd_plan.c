/* coordinator/cmd/cmd_plan.c — `gemmapipe plan`: who would get what, from the file's header alone. */
#include "partition/file/encoder_file.h"
#include "partition/file/model_file.h"
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cluster/cluster_file.h"
#include "partition/plan/plan_json.h"
#include "partition/plan/vision_plan.h"

#include "base/threads.h"

#include <string.h>

#define PLAN_CONTEXT 4096

static int offers_of(const struct options *o, const struct cluster *cluster, int n, struct worker_offer *offers, struct err *why)
{
    uint64_t sizes[MAX_STAGES] = {0};
    int k = 0;
    if (o->memory) TRY(plan_read_sizes(o->memory, sizes, &k, why));
    if (k > 1 && k != n) return fail(why, E_USAGE, "--memory names %d sizes for %d workers", k, n);
    for (int i = 0; i < n; i++) {
        if (cluster->workers) offers[i] = cluster->offers[i];
        if (!offers[i].speed) offers[i].speed = 1;
        if (!offers[i].name[0]) snprintf(offers[i].name, sizeof offers[i].name, "worker %d", i + 1);
        if (k) offers[i].memory = sizes[k == 1 ? 0 : i];
        if (o->threads || !offers[i].threads) offers[i].threads = o->threads ? o->threads : 1;
    }
    return 0;
}

static int plan_pictures(struct vision_plan *out, const struct vision_model *v, const struct options *o, const struct plan *text,
                         const struct worker_offer *offers, int n, struct err *why)
{
    struct vision_wish wish;
    TRY(vision_wish_read(&wish, o->vision_split, why));
    wish.apart = o->vision_workers;
    return vision_plan_make(out, v, o->vision_q8 ? VISION_Q8_0 : VISION_AS_FILE, text, offers, n, &wish, why);
}

static int plan(const struct model *m, const struct vision_model *v, const struct options *o, const struct cluster *cluster,
                struct err *why)
{
    struct worker_offer offers[MAX_STAGES];
    struct cut cuts[MAX_STAGES];
    struct capacity c;
    struct plan p;
    struct vision_plan pictures;
    int n = cluster->workers ? cluster->workers : o->workers, split = 0;
    memset(offers, 0, sizeof offers);
    if (o->split) TRY(plan_read_split(o->split, cuts, &split, why));
    if (!n) n = split + o->vision_workers;
    const int stages = n - o->vision_workers;
    if (stages < 1) return fail(why, E_USAGE, "--vision-workers %d of %d leaves no worker for the text", o->vision_workers, n);
    if (n > MAX_STAGES) return fail(why, E_USAGE, "%d workers are more than %d", n, MAX_STAGES);
    if (split && split != stages) return fail(why, E_USAGE, "--split names %d workers, there are %d for the text", split, stages);
    struct options asked = *o;
    if (!asked.context) asked.context = cluster->context;
    if (!asked.context) asked.context = PLAN_CONTEXT < m->config.context ? PLAN_CONTEXT : m->config.context;
    if (!asked.sequences) asked.sequences = cluster->sequences;
    TRY(offers_of(o, cluster, n, offers, why));
    TRY(capacity_for(&c, &asked, &m->config, stages, 0, 0, 1, 0, why));
    struct model_shape shape = model_shape(m);
    shape.whole_head = o->whole_head;
    if (split) TRY(plan_by_hand(&p, &shape, offers, cuts, stages, &c, why));
    else if (cluster->by_hand) TRY(plan_by_hand(&p, &shape, offers, cluster->cuts, stages, &c, why));
    else TRY(plan_solve(&p, &shape, offers, stages, &c, why));
    if (v) TRY(plan_pictures(&pictures, v, o, &p, offers, n, why));
    if (o->json) {
        struct plan_pictures said = {&pictures, o->mmproj, v ? v->fingerprint : m->fingerprint};
        plan_write_json(stdout, &p, offers, o->model, m->fingerprint, m->config.layers, v ? &said : 0);
        return 0;
    }
    plan_print(stdout, &p, &shape, offers);
    if (v) vision_plan_print(stdout, &pictures, offers);
    return 0;
}

int command_plan(const struct options *o, struct err *why)
{
    struct model *m = 0;
    struct vision_model *v = 0;
    struct cluster cluster = {0};
    int code = model_open(&m, o->model, why);
    if (!code && o->cluster) code = cluster_read(&cluster, o->cluster, why);
    if (!code && o->mmproj) code = vision_open(&v, o->mmproj, why);
    if (!code && v) code = vision_config_fits(&v->config, m->config.hidden, o->mmproj, why);
    if (!code) code = plan(m, v, o, &cluster, why);
    vision_close(&v);
    model_close(&m);
    return code;
}
