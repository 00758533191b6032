/* partition/plan/vision_split.c — see vision_split.h.
 *
 * All layers of the encoder cost the same, so giving one after the other to the worker that would be done first is the
 * fastest split there is. Where that overruns a worker's memory the worker is capped below it and the round begins again:
 * at most layers x workers rounds of a few microseconds. Pictures under way take memory too, and the more workers have
 * layers the more of them there are: if no such split fits, fewer workers are tried, those with the most memory left. */
#include "partition/plan/vision_split.h"

#include "base/size_text.h"
#include "partition/plan/vision_cost.h"

#include <stdlib.h>
#include <string.h>

/* What all functions here share: the question, and room to think in. */
struct room {
    const struct vision_job *job;
    struct tensor *tensors; /* of a whole encoder */
    uint32_t *layers, *caps; /* [workers] */
    double layer;            /* seconds of a layer on one nominal thread */
};

static bool room_open(struct room *r, const struct vision_job *job)
{
    const struct part all = {0, job->model->config.layers, 0, 1, true}, one = {.end = 1};
    *r = (struct room){.job = job};
    r->tensors = calloc(part_count(CHAIN_VISION, all), sizeof *r->tensors);
    r->layers = calloc((size_t)job->workers, sizeof *r->layers);
    r->caps = calloc((size_t)job->workers, sizeof *r->caps);
    if (!r->tensors || !r->layers || !r->caps) return false;
    vision_part_tensors(job->model, one, r->tensors);
    r->layer = vision_seconds(&job->model->config, one, r->tensors, job->as);
    return true;
}

static void room_close(struct room *r)
{
    free(r->tensors);
    free(r->layers);
    free(r->caps);
}

static int split_new(struct vision_split *v, const struct vision_job *job, struct err *why)
{
    *v = (struct vision_split){.of = calloc((size_t)job->workers, sizeof *v->of)};
    return v->of ? 0 : fail(why, E_MEMORY, "no memory to plan pictures on %d workers", job->workers);
}

void vision_split_close(struct vision_split *v)
{
    free(v->of);
    *v = (struct vision_split){0};
}

static double power_of(const struct room *r, int worker)
{
    return picture_power(&r->job->offers[worker], r->layer);
}

/* False if the caps leave layers over. */
static bool spread(const struct room *r)
{
    const struct vision_job *job = r->job;
    uint32_t *layers = r->layers;
    memset(layers, 0, (size_t)job->workers * sizeof *layers);
    for (uint32_t given = 0, used = 0; given < job->model->config.layers; given++) {
        int best = -1;
        for (int i = 0; i < job->workers; i++) {
            if (layers[i] >= r->caps[i] || (!layers[i] && used == STAGES_MOST)) continue;
            if (best < 0 || (layers[i] + 1) * power_of(r, best) < (layers[best] + 1) * power_of(r, i)) best = i;
        }
        if (best < 0) return false;
        used += !layers[best]++;
    }
    return true;
}

/* ---- a split from layers ---- */

/* Worker i gets its layers, whichever come next, or all. */
static void fill(struct vision_split *v, const struct room *r, bool copies)
{
    const struct vision_job *job = r->job;
    const uint32_t all = job->model->config.layers;
    uint32_t at = 0;
    memset(v->of, 0, (size_t)job->workers * sizeof *v->of);
    v->copies = copies;
    v->used = 0;
    for (int i = 0; i < job->workers; i++) {
        if (!r->layers[i]) continue;
        const uint32_t first = copies ? 0 : at, end = copies ? all : at + r->layers[i];
        v->of[i].part = (struct part){.first = first, .end = end, .front = first == 0, .back_end = end == all};
        at = end;
        v->used++;
    }
    v->pictures = copies ? COPY_IN_FLIGHT : (uint32_t)v->used + 1;
    for (int i = 0; i < job->workers; i++) {
        struct vision_holding *s = &v->of[i];
        const int threads = job->offers[i].threads > 0 ? job->offers[i].threads : 1;
        if (part_is_empty(s->part)) continue;
        vision_part_tensors(job->model, s->part, r->tensors);
        s->bytes = vision_part_bytes(&job->model->config, s->part, r->tensors, job->as, v->pictures, threads);
        if (!job->text[i].bytes[CHAIN_TEXT].total) vision_bytes_alone(&s->bytes, job->as);
        s->expected = vision_seconds(&job->model->config, s->part, r->tensors, job->as) / power_of(r, i);
    }
}

/* ---- memory ---- */

static uint64_t lacking(const struct vision_split *v, const struct vision_job *job, int i)
{
    const uint64_t want = v->of[i].bytes.total + job->text[i].bytes[CHAIN_TEXT].total, have = job->offers[i].memory;
    return v->of[i].bytes.total && have && want > have ? want - have : 0;
}

/* The worker that is over its memory by most; -1 if none is. */
static int over(const struct vision_split *v, const struct vision_job *job, uint64_t *lack)
{
    int worst = -1;
    *lack = 0;
    for (int i = 0; i < job->workers; i++) {
        const uint64_t n = lacking(v, job, i);
        if (n > *lack) *lack = n, worst = i;
    }
    return worst;
}

static int check_memory(const struct vision_split *v, const struct vision_job *job, struct err *why)
{
    char want[24], limit[24], missing[24];
    uint64_t lack;
    const int worst = over(v, job, &lack);
    if (worst < 0) return 0;
    const struct vision_holding *s = &v->of[worst];
    return fail(why, E_MEMORY, "worker %d may use %s; with its text layers, %u layers of the picture encoder (%s) are %s too much",
                worst + 1, show_bytes(limit, job->offers[worst].memory), s->part.end - s->part.first, show_bytes(want, s->bytes.total),
                show_bytes(missing, lack));
}

/* ---- split, copies, or by hand ---- */

static uint64_t memory_left(const struct vision_job *job, int i)
{
    const uint64_t have = job->offers[i].memory, text = job->text[i].bytes[CHAIN_TEXT].total;
    return !have ? UINT64_MAX : have > text ? have - text : 0;
}

/* One of the `most` workers with the most memory left; the first of equals. */
static bool may_see(const struct vision_job *job, int worker, int most)
{
    int before = 0;
    if (worker < job->first) return false;
    for (int i = job->first; i < job->workers && before < most; i++) {
        const uint64_t mine = memory_left(job, worker), other = memory_left(job, i);
        before += other > mine || (other == mine && i < worker);
    }
    return before < most;
}

static int split_over(struct vision_split *v, const struct room *r, int most, struct err *why)
{
    const struct vision_job *job = r->job;
    const uint32_t layers = job->model->config.layers;
    const bool all = most >= job->workers - job->first;
    for (int i = 0; i < job->workers; i++) r->caps[i] = (all ? i >= job->first : may_see(job, i, most)) ? layers : 0;
    for (;;) {
        uint64_t lack;
        if (!spread(r)) {
            uint32_t can = 0;
            for (int i = 0; i < job->workers; i++) can += r->caps[i];
            return fail_about(why, job->as == VISION_Q8_0 ? ABOUT_NOTHING : ABOUT_VISION_TYPE, E_MEMORY,
                              "the workers have no memory left for the picture encoder's %u layers: they can take %u", layers, can);
        }
        fill(v, r, false);
        const int worst = over(v, job, &lack);
        if (worst < 0) return 0;
        r->caps[worst] = r->layers[worst] - 1;
    }
}

static int split_layers(struct vision_split *v, const struct room *r, struct err *why)
{
    const struct vision_job *job = r->job;
    const int workers = job->workers - job->first, layers = (int)job->model->config.layers;
    const int code = split_over(v, r, workers, why);
    for (int most = workers <= layers ? workers - 1 : layers; code == E_MEMORY && most > 0; most--)
        if (!split_over(v, r, most, NULL)) return 0;
    return code;
}

/* Copies wherever there is room for one; false if fewer than two have it. *whole: bytes of a copy. */
static bool copies_with_room(struct vision_split *v, const struct room *r, uint64_t *whole)
{
    const struct vision_job *job = r->job;
    for (int i = 0; i < job->workers; i++) r->layers[i] = WHOLE_ENCODER;
    fill(v, r, true);
    *whole = v->of[job->first].bytes.total;
    for (int i = 0; i < job->workers; i++) {
        const bool has = i >= job->first && job->offers[i].memory && !job->offers[i].shares_machine && !lacking(v, job, i);
        r->layers[i] = has ? WHOLE_ENCODER : 0;
    }
    fill(v, r, true);
    return v->used > 1;
}

/* Pictures a second when there are many. */
double vision_split_slowest(const struct vision_split *v, int workers)
{
    double t = 0;
    for (int i = 0; i < workers; i++)
        if (v->of[i].expected > t) t = v->of[i].expected;
    return t;
}

static double rate(const struct vision_split *v, const struct vision_job *job)
{
    double together = 0;
    if (!v->copies) return 1 / vision_split_slowest(v, job->workers);
    for (int i = 0; i < job->workers; i++)
        if (v->of[i].expected > 0) together += 1 / v->of[i].expected;
    return together;
}

static void say_why(struct vision_split *v, const struct vision_split *copies, const struct vision_job *job, uint64_t whole, bool can)
{
    const double split = rate(v, job), many = rate(copies, job);
    const bool taken = can && many > split * COPIES_GAIN;
    int known = 0;
    char size[24];
    show_bytes(size, whole);
    for (int i = job->first; i < job->workers; i++) known += job->offers[i].memory && !job->offers[i].shares_machine;
    if (!taken && known < 2)
        snprintf(v->why, sizeof v->why, "only copies on machines of their own, with a limit of memory said, are looked at; %d of %d are",
                 known, job->workers - job->first);
    else if (!can)
        snprintf(v->why, sizeof v->why, "%d of %d workers have room for all of it (%s)", copies->used, job->workers - job->first, size);
    else
        snprintf(v->why, sizeof v->why, taken ? "%d workers have room for all of it (%s); %.3g pictures a second instead of %.3g"
                                              : "%d copies (%s each) would see %.3g pictures a second instead of %.3g",
                 copies->used, size, many, split);
}

/* Leaves the better of the two in v. */
static int choose(struct vision_split *v, struct vision_split *copies, const struct room *r, struct err *why)
{
    const struct vision_job *job = r->job;
    uint64_t whole;
    const int code = split_layers(v, r, why);
    const bool can = copies_with_room(copies, r, &whole);
    if (code && !copies->used) return code;
    bool take = code != 0;
    if (code) { /* pictures that wait between stages can need more than a small encoder */
        snprintf(v->why, sizeof v->why, "the workers have no room for pictures under way between them");
    } else {
        take = can && rate(copies, job) > rate(v, job) * COPIES_GAIN;
        say_why(v, copies, job, whole, can);
    }
    if (!take) return 0;
    struct vision_holding *of = v->of;
    v->of = copies->of, copies->of = of;
    v->copies = true, v->used = copies->used, v->pictures = copies->pictures;
    return 0;
}

static int choose_split(struct vision_split *v, const struct room *r, struct err *why)
{
    struct vision_split copies;
    TRY(split_new(&copies, r->job, why));
    const int code = choose(v, &copies, r, why);
    vision_split_close(&copies);
    return code;
}

static int by_hand(struct vision_split *v, const struct room *r, const struct vision_wish *wish, struct err *why)
{
    const uint32_t all = r->job->model->config.layers;
    uint64_t sum = 0;
    int whole = 0;
    if (wish->workers != r->job->workers)
        return fail_about(why, ABOUT_VISION_SPLIT, E_USAGE, "the split of the picture encoder names %d workers, there are %d",
                          wish->workers, r->job->workers);
    for (int i = 0; i < wish->workers; i++) {
        if (wish->layers[i] == WHOLE_ENCODER) whole++;
        else sum += wish->layers[i];
        r->layers[i] = wish->layers[i];
    }
    if (whole && sum)
        return fail_about(why, ABOUT_VISION_SPLIT, E_USAGE,
                          "the split gives some workers all of the encoder and others %llu layers of it: wanted all or 0, or "
                          "layers of each",
                          (unsigned long long)sum);
    if (!whole && sum != all)
        return fail_about(why, ABOUT_VISION_SPLIT, E_USAGE, "the split places %llu layers, the picture encoder has %u",
                          (unsigned long long)sum, all);
    fill(v, r, whole > 0);
    if (whole || v->used <= STAGES_MOST) return 0;
    return fail_about(why, ABOUT_VISION_SPLIT, E_USAGE, "the split of the picture encoder has %d stages, at most %d are possible",
                      v->used, STAGES_MOST);
}

static int make(struct vision_split *v, const struct room *r, const struct vision_wish *wish, struct err *why)
{
    snprintf(v->why, sizeof v->why, "asked for");
    switch (wish->how) {
    case VISION_CHOOSE: return choose_split(v, r, why);
    case VISION_LAYERS: return split_layers(v, r, why);
    case VISION_COPIES:
        for (int i = 0; i < r->job->workers; i++) r->layers[i] = i < r->job->first ? 0 : WHOLE_ENCODER;
        fill(v, r, true);
        break;
    case VISION_BY_HAND: TRY(by_hand(v, r, wish, why));
    }
    return check_memory(v, r->job, why);
}

int vision_split_open(struct vision_split *out, const struct vision_job *job, const struct vision_wish *wish, struct err *why)
{
    struct room r;
    TRY(split_new(out, job, why));
    const int code = room_open(&r, job) ? make(out, &r, wish, why) : fail(why, E_MEMORY, "no memory to list the encoder's tensors");
    room_close(&r);
    return code;
}
