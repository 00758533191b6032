/* partition/plan/vision_plan.c — see vision_plan.h.
 *
 * All layers of the encoder cost the same, so giving one after the other to the worker that would be done first is the
 * fastest split there is. Where that overruns a worker's memory the worker is capped below it and the round begins again:
 * at most layers x workers rounds of a few microseconds. */
#include "partition/plan/vision_plan.h"

#include "base/log.h"
#include "partition/plan/cost.h"
#include "partition/plan/vision_cost.h"

#include <stdlib.h>
#include <string.h>

/* False if the caps leave layers over. */
static bool spread(uint32_t *layers, const uint32_t *caps, const struct worker_offer *offers, int workers, uint32_t all)
{
    memset(layers, 0, (size_t)workers * sizeof *layers);
    for (uint32_t given = 0; given < all; given++) {
        int best = -1;
        for (int i = 0; i < workers; i++) {
            if (layers[i] >= caps[i]) continue;
            if (best < 0 || (layers[i] + 1) * offer_power(&offers[best]) < (layers[best] + 1) * offer_power(&offers[i])) best = i;
        }
        if (best < 0) return false;
        layers[best]++;
    }
    return true;
}

/* ---- a plan from shares ---- */

static void count(struct vision_plan *p, const struct vision_model *m, const struct plan *text, const struct worker_offer *offers,
                  struct tensor *room)
{
    for (int i = 0; i < p->workers; i++) {
        struct vision_stage_plan *s = &p->stage[i];
        if (!s->used) continue;
        vision_part_tensors(m, s->share, room);
        int threads = offers[i].threads > 0 ? offers[i].threads : 1;
        s->bytes = vision_part_bytes(&m->config, s->share, room, p->as, p->in_flight, threads);
        if (!text || i >= text->stages) vision_bytes_alone(&s->bytes);
        s->expected = vision_seconds(&m->config, s->share, room, p->as) / offer_power(&offers[i]);
    }
}

static void begin(struct vision_plan *p)
{
    memset(p->stage, 0, sizeof p->stage);
    p->used = 0;
    for (int i = 0; i < p->workers; i++) p->stage[i].next = -1;
}

static void fill_layers(struct vision_plan *p, const struct vision_model *m, const struct plan *text, const struct worker_offer *offers,
                        const uint32_t *layers, struct tensor *room)
{
    uint32_t at = 0;
    int last = -1;
    begin(p);
    p->copies = false;
    for (int i = 0; i < p->workers; i++) {
        struct vision_stage_plan *s = &p->stage[i];
        if (!layers[i]) continue;
        s->used = true;
        s->share = (struct part){.first = at, .end = at + layers[i], .front = at == 0,
                                         .back_end = at + layers[i] == m->config.layers};
        at += layers[i];
        if (last >= 0) p->stage[last].next = i;
        last = i;
        p->used++;
    }
    p->in_flight = (uint32_t)p->used + 1;
    count(p, m, text, offers, room);
}

static void fill_copies(struct vision_plan *p, const struct vision_model *m, const struct plan *text, const struct worker_offer *offers,
                        const bool *has, struct tensor *room)
{
    begin(p);
    p->copies = true;
    p->in_flight = COPY_IN_FLIGHT;
    for (int i = 0; i < p->workers; i++) {
        if (!has[i]) continue;
        p->stage[i].used = true;
        p->stage[i].share = (struct part){0, m->config.layers, 0, 1, true};
        p->used++;
    }
    count(p, m, text, offers, room);
}

/* ---- memory ---- */

static uint64_t lacking(const struct vision_plan *p, const struct plan *text, const struct worker_offer *offers, int i)
{
    uint64_t want = p->stage[i].bytes.total + (text && i < text->stages ? text->stage[i].bytes.total : 0);
    return p->stage[i].used && offers[i].memory && want > offers[i].memory ? want - offers[i].memory : 0;
}

/* The worker that is over its memory by most; -1 if none is. */
static int over(const struct vision_plan *p, const struct plan *text, const struct worker_offer *offers, uint64_t *lack)
{
    int worst = -1;
    *lack = 0;
    for (int i = 0; i < p->workers; i++) {
        uint64_t n = lacking(p, text, offers, i);
        if (n > *lack) *lack = n, worst = i;
    }
    return worst;
}

static int check_memory(const struct vision_plan *p, const struct plan *text, const struct worker_offer *offers, struct err *why)
{
    char want[24], limit[24], missing[24];
    uint64_t lack;
    const int worst = over(p, text, offers, &lack);
    if (worst < 0) return 0;
    const struct vision_stage_plan *s = &p->stage[worst];
    return fail(why, E_MEMORY, "worker %d may use %s; with its text layers, %u layers of the picture encoder (%s) are %s too much", worst + 1,
                show_bytes(limit, offers[worst].memory), s->share.end - s->share.first, show_bytes(want, s->bytes.total),
                show_bytes(missing, lack));
}

/* ---- split, copies, or by hand ---- */

static int solve_layers(struct vision_plan *p, const struct vision_model *m, const struct plan *text, const struct worker_offer *offers,
                        int first, struct tensor *room, struct err *why)
{
    uint32_t caps[MAX_STAGES], layers[MAX_STAGES];
    for (int i = 0; i < p->workers; i++) caps[i] = i < first ? 0 : m->config.layers;
    for (;;) {
        uint64_t lack;
        if (!spread(layers, caps, offers, p->workers, m->config.layers)) {
            uint32_t can = 0;
            for (int i = 0; i < p->workers; i++) can += caps[i];
            return fail_about(why, p->as == VISION_Q8_0 ? ABOUT_NOTHING : ABOUT_VISION_TYPE, E_MEMORY,
                              "the workers have no memory left for the picture encoder's %u layers: they can take %u", m->config.layers, can);
        }
        fill_layers(p, m, text, offers, layers, room);
        int worst = over(p, text, offers, &lack);
        if (worst < 0) return 0;
        caps[worst] = layers[worst] - 1;
    }
}

/* Copies wherever there is room for one, from worker `first` on; false if fewer than two have it. *whole: bytes of a copy. */
static bool solve_copies(struct vision_plan *p, const struct vision_model *m, const struct plan *text, const struct worker_offer *offers,
                         int first, struct tensor *room, uint64_t *whole)
{
    bool has[MAX_STAGES];
    int n = 0;
    memset(has, true, sizeof has);
    fill_copies(p, m, text, offers, has, room);
    *whole = p->stage[first].bytes.total;
    for (int i = 0; i < p->workers; i++) {
        has[i] = i >= first && offers[i].memory && !offers[i].shares_machine && !lacking(p, text, offers, i);
        n += has[i];
    }
    fill_copies(p, m, text, offers, has, room);
    return n > 1;
}

static int choose(struct vision_plan *p, const struct vision_model *m, const struct plan *text, const struct worker_offer *offers,
                  int first, struct tensor *room, struct err *why)
{
    struct vision_plan copies = *p;
    char size[24];
    uint64_t whole;
    int known = 0;
    const int code = solve_layers(p, m, text, offers, first, room, why);
    const bool can = solve_copies(&copies, m, text, offers, first, room, &whole);
    if (code && copies.used) { /* pictures that wait between stages can need more than a small encoder */
        *p = copies;
        snprintf(p->why, sizeof p->why, "the workers have no room for pictures under way between them");
        return 0;
    }
    if (code) return code;
    const double split = vision_plan_rate(p), many = vision_plan_rate(&copies);
    for (int i = first; i < p->workers; i++) known += offers[i].memory && !offers[i].shares_machine;
    show_bytes(size, whole);
    if (can && many > split * COPIES_GAIN) {
        *p = copies;
        snprintf(p->why, sizeof p->why, "%d workers have room for all of it (%s); %.3g pictures a second instead of %.3g", p->used,
                 size, many, split);
    } else if (known < 2) {
        snprintf(p->why, sizeof p->why, "only copies on machines of their own, with a limit of memory said, are looked at; %d of %d are",
                 known, p->workers - first);
    } else if (!can) {
        snprintf(p->why, sizeof p->why, "%d of %d workers have room for all of it (%s)", copies.used, p->workers - first, size);
    } else {
        snprintf(p->why, sizeof p->why, "%d copies (%s each) would see %.3g pictures a second instead of %.3g", copies.used, size,
                 many, split);
    }
    return 0;
}

static int by_hand(struct vision_plan *p, const struct vision_model *m, const struct plan *text, const struct worker_offer *offers,
                   const struct vision_wish *wish, struct tensor *room, struct err *why)
{
    uint64_t sum = 0;
    int all = 0;
    if (wish->workers != p->workers)
        return fail_about(why, ABOUT_VISION_SPLIT, E_USAGE, "the split of the picture encoder names %d workers, there are %d", wish->workers,
                          p->workers);
    for (int i = 0; i < p->workers; i++) {
        sum += wish->layers[i];
        all += wish->all[i];
    }
    if (all && sum)
        return fail_about(why, ABOUT_VISION_SPLIT, E_USAGE,
                          "the split gives some workers all of the encoder and others %llu layers of it: wanted all or 0, or layers of each",
                          (unsigned long long)sum);
    if (!all && sum != m->config.layers)
        return fail_about(why, ABOUT_VISION_SPLIT, E_USAGE, "the split places %llu layers, the picture encoder has %u",
                          (unsigned long long)sum, m->config.layers);
    if (all) fill_copies(p, m, text, offers, wish->all, room);
    else fill_layers(p, m, text, offers, wish->layers, room);
    return 0;
}

static int make(struct vision_plan *p, const struct vision_model *m, const struct plan *text, const struct worker_offer *offers,
                const struct vision_wish *wish, struct tensor *room, struct err *why)
{
    const int first = p->workers - wish->apart;
    bool everyone[MAX_STAGES];
    if (wish->apart < 0 || first < 0)
        return fail(why, E_USAGE, "%d of %d workers cannot be set apart for pictures", wish->apart, p->workers);
    snprintf(p->why, sizeof p->why, "asked for");
    switch (wish->how) {
    case VISION_CHOOSE: return choose(p, m, text, offers, wish->apart ? first : 0, room, why);
    case VISION_LAYERS: return solve_layers(p, m, text, offers, wish->apart ? first : 0, room, why);
    case VISION_COPIES:
        for (int i = 0; i < MAX_STAGES; i++) everyone[i] = !wish->apart || i >= first;
        fill_copies(p, m, text, offers, everyone, room);
        break;
    case VISION_BY_HAND: TRY(by_hand(p, m, text, offers, wish, room, why));
    }
    return check_memory(p, text, offers, why);
}

int vision_plan_make(struct vision_plan *out, const struct vision_model *m, enum vision_type as, const struct plan *text,
                     const struct worker_offer *offers, int workers, const struct vision_wish *wish, struct err *why)
{
    const struct part all = {0, m->config.layers, 0, 1, true};
    *out = (struct vision_plan){.workers = workers, .as = as};
    if (workers < 1 || workers > MAX_STAGES) return fail(why, E_USAGE, "the encoder cannot be planned for %d workers", workers);
    struct tensor *room = calloc(part_count(CHAIN_VISION, all), sizeof *room);
    if (!room) return fail(why, E_MEMORY, "no memory to list the encoder's tensors");
    int code = make(out, m, text, offers, wish, room, why);
    free(room);
    return code;
}

/* ---- what to expect ---- */

double vision_plan_alone(const struct vision_plan *p)
{
    double sum = 0, least = 0;
    for (int i = 0; i < p->workers; i++) {
        if (!p->stage[i].used) continue;
        sum += p->stage[i].expected;
        if (!least || p->stage[i].expected < least) least = p->stage[i].expected;
    }
    return p->copies ? least : sum;
}

double vision_plan_rate(const struct vision_plan *p)
{
    double together = 0, slowest = 0;
    for (int i = 0; i < p->workers; i++) {
        if (!p->stage[i].used) continue;
        together += 1 / p->stage[i].expected;
        if (p->stage[i].expected > slowest) slowest = p->stage[i].expected;
    }
    return p->copies ? together : 1 / slowest;
}
