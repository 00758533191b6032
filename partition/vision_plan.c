/* partition/vision_plan.c — see vision_plan.h.
 *
 * All layers of the encoder cost the same, so giving one after the other to the worker that would be done first is the
 * fastest split there is. Where that overruns a worker's memory the worker is capped below it and the round begins again:
 * at most layers x workers rounds of a few microseconds. */
#include "partition/vision_plan.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static double power(const struct worker_offer *o)
{
    return (o->speed > 0 ? o->speed : 1) * (o->threads > 0 ? o->threads : 1);
}

/* False if the caps leave layers over. */
static bool spread(uint32_t *layers, const uint32_t *caps, const struct worker_offer *offers, int workers, uint32_t all)
{
    memset(layers, 0, (size_t)workers * sizeof *layers);
    for (uint32_t given = 0; given < all; given++) {
        int best = -1;
        for (int i = 0; i < workers; i++) {
            if (layers[i] >= caps[i]) continue;
            if (best < 0 || (layers[i] + 1) * power(&offers[best]) < (layers[best] + 1) * power(&offers[i])) best = i;
        }
        if (best < 0) return false;
        layers[best]++;
    }
    return true;
}

static void count_bytes(struct vision_plan *p, const struct vision_model *m, const struct worker_offer *offers, struct vision_tensor *room)
{
    for (int i = 0; i < p->workers; i++) {
        struct vision_stage_plan *s = &p->stage[i];
        if (!s->used) continue;
        vision_share_tensors(m, s->share, room);
        int threads = offers[i].threads > 0 ? offers[i].threads : 1;
        s->bytes = vision_bytes(&m->config, s->share, room, p->as, p->in_flight, threads);
    }
}

static void fill(struct vision_plan *p, const struct vision_model *m, const struct worker_offer *offers, const uint32_t *layers,
                 struct vision_tensor *room)
{
    uint32_t at = 0;
    int last = -1;
    p->used = 0;
    memset(p->stage, 0, sizeof p->stage);
    for (int i = 0; i < p->workers; i++) {
        struct vision_stage_plan *s = &p->stage[i];
        s->next = -1;
        if (!layers[i]) continue;
        s->used = true;
        s->share = (struct vision_share){.first = at, .end = at + layers[i], .patches = at == 0,
                                         .projector = at + layers[i] == m->config.layers};
        at += layers[i];
        if (last < 0) p->first = i;
        else p->stage[last].next = i;
        last = i;
        p->used++;
    }
    p->in_flight = (uint32_t)p->used + 1;
    count_bytes(p, m, offers, room);
}

/* The worker that is over its memory by most; -1 if none is. */
static int over(const struct vision_plan *p, const struct plan *text, const struct worker_offer *offers, uint64_t *lack)
{
    int worst = -1;
    *lack = 0;
    for (int i = 0; i < p->workers; i++) {
        uint64_t want = p->stage[i].bytes.total + (text ? text->stage[i].bytes.total : 0);
        if (!p->stage[i].used || !offers[i].memory || want <= offers[i].memory) continue;
        if (want - offers[i].memory <= *lack) continue;
        *lack = want - offers[i].memory;
        worst = i;
    }
    return worst;
}

static int refuse(const struct vision_plan *p, int worker, uint64_t lack, const struct worker_offer *offers, struct err *why)
{
    char want[24], limit[24], missing[24];
    return fail(why, E_MEMORY, "worker %d may use %s; with its text layers, %u layers of the picture encoder (%s) are %s too much", worker + 1,
                show_bytes(limit, offers[worker].memory), p->stage[worker].share.end - p->stage[worker].share.first,
                show_bytes(want, p->stage[worker].bytes.total), show_bytes(missing, lack));
}

static int solve(struct vision_plan *p, const struct vision_model *m, const struct plan *text, const struct worker_offer *offers,
                 struct vision_tensor *room, struct err *why)
{
    uint32_t caps[MAX_STAGES], layers[MAX_STAGES];
    for (int i = 0; i < p->workers; i++) caps[i] = m->config.layers;
    for (;;) {
        uint64_t lack;
        if (!spread(layers, caps, offers, p->workers, m->config.layers)) {
            return fail(why, E_MEMORY, "the workers have no memory left for the picture encoder's %u layers: they can take %u; --vision-type q8_0 halves them",
                        m->config.layers, layers[0]);
        }
        fill(p, m, offers, layers, room);
        int worst = over(p, text, offers, &lack);
        if (worst < 0) return 0;
        caps[worst] = layers[worst] - 1;
    }
}

static struct vision_tensor *room_for(const struct vision_model *m)
{
    struct vision_share all = {0, m->config.layers, true, true};
    return calloc(vision_share_count(all), sizeof(struct vision_tensor));
}

int vision_plan_solve(struct vision_plan *out, const struct vision_model *m, enum vision_type as, const struct plan *text,
                      const struct worker_offer *offers, int workers, struct err *why)
{
    struct vision_tensor *room = room_for(m);
    if (!room) return fail(why, E_MEMORY, "no memory to list the encoder's tensors");
    *out = (struct vision_plan){.workers = workers, .as = as};
    int code = solve(out, m, text, offers, room, why);
    free(room);
    return code;
}

int vision_plan_by_hand(struct vision_plan *out, const struct vision_model *m, enum vision_type as, const struct plan *text,
                        const struct worker_offer *offers, const uint32_t *layers, int workers, struct err *why)
{
    uint64_t sum = 0, lack;
    for (int i = 0; i < workers; i++) sum += layers[i];
    if (sum != m->config.layers)
        return fail(why, E_USAGE, "--vision-split places %llu layers, the picture encoder has %u", (unsigned long long)sum, m->config.layers);
    struct vision_tensor *room = room_for(m);
    if (!room) return fail(why, E_MEMORY, "no memory to list the encoder's tensors");
    *out = (struct vision_plan){.workers = workers, .as = as};
    fill(out, m, offers, layers, room);
    free(room);
    int worst = over(out, text, offers, &lack);
    return worst < 0 ? 0 : refuse(out, worst, lack, offers, why);
}

void vision_plan_print(FILE *to, const struct vision_plan *p, const struct worker_offer *offers)
{
    char weights[24], rest[24], total[24];
    uint64_t sum = 0;
    fprintf(to, "pictures: the encoder over %d of %d workers, %u pictures in flight%s\n", p->used, p->workers, p->in_flight,
            p->as == VISION_Q8_0 ? ", layers kept as q8_0" : "");
    for (int i = 0; i < p->workers; i++) {
        const struct vision_stage_plan *s = &p->stage[i];
        if (!s->used) continue;
        fprintf(to, "%4d  %-22.22s  %slayers %u-%u%s: weights %s, buffers %s, together %s more\n", i + 1, offers[i].name,
                s->share.patches ? "patches, " : "", s->share.first, s->share.end - 1, s->share.projector ? ", projector" : "",
                show_bytes(weights, s->bytes.weights), show_bytes(rest, s->bytes.scratch + s->bytes.frames),
                show_bytes(total, s->bytes.total));
        sum += s->bytes.total;
    }
    fprintf(to, "      sum %s\n", show_bytes(total, sum));
}
