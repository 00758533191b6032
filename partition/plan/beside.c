/* partition/plan/beside.c — see beside.h.
 *
 * Layers of the encoder are all alike, so the search for the text (search.h) only counts for how many a stage leaves room. How
 * fast pictures can be is tried by capping what a worker may have: the smallest caps that still hold the whole encoder. */
#include "partition/plan/beside.h"

#include "partition/plan/vision_cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HALVINGS 6 /* of the time that pictures may take of a worker */

struct squeeze {
    const struct text_job *text;
    const struct vision_job *pictures;
    struct search *search;
    struct encoder_room wanted;
    struct tensor *list; /* of one layer of the encoder */
    uint64_t *other;     /* [workers] */
    uint32_t *most, *cap; /* [workers]: of one try, and of all of them */
    uint32_t ends;       /* what stands before and behind the layers, in layers, rounded up */
    double layer;        /* seconds of a layer of the encoder on one nominal thread */
    double limit;            /* seconds of a stage of the text */
    struct holding *beside;  /* [workers]: of one try, the text */
};

static struct part_bytes bytes_of(const struct squeeze *q, struct part p, uint32_t in_flight, int threads)
{
    const struct vision_job *v = q->pictures;
    vision_part_tensors(v->model, p, q->list);
    return vision_part_bytes(&v->model->config, p, q->list, v->as, in_flight, threads > 0 ? threads : 1);
}

/* What a worker takes beside its layers of the encoder if so many workers have some: the more, the more pictures are under way.
 * One that has all of it has no rows of pictures to send and takes both ends too. */
static void weigh_rest(struct squeeze *q, uint32_t used)
{
    const uint32_t layers = q->pictures->model->config.layers;
    const struct part p = used > 1 ? (struct part){.end = 1} : (struct part){.end = layers, .back_end = 1, .front = true};
    for (int i = 0; i < q->pictures->workers; i++)
        q->other[i] = bytes_of(q, p, used + 1, q->pictures->offers[i].threads).total - (p.end - p.first) * q->wanted.layer_bytes;
}

static int weigh(struct squeeze *q, struct err *why)
{
    const struct vision_job *v = q->pictures;
    const uint32_t layers = v->model->config.layers;
    const struct part all = {0, layers, 0, 1, true}, one = {0, 1, 0, 0, false};
    const struct part first = {0, 1, 0, 0, true}, last = {layers - 1, layers, 0, 1, false};
    q->list = calloc(part_count(CHAIN_VISION, all), sizeof *q->list);
    q->other = calloc((size_t)v->workers, sizeof *q->other);
    q->most = calloc((size_t)v->workers, sizeof *q->most);
    q->cap = calloc((size_t)v->workers, sizeof *q->cap);
    if (!q->list || !q->other || !q->most || !q->cap)
        return fail(why, E_MEMORY, "no memory to plan text and pictures for %d workers", v->workers);
    const uint64_t layer = bytes_of(q, one, 1, 1).weights;
    const uint64_t ends = bytes_of(q, first, layers + 1, 1).total + bytes_of(q, last, layers + 1, 1).total;
    q->ends = (uint32_t)((ends - 2 * bytes_of(q, one, layers + 1, 1).total) / layer) + 1;
    q->wanted = (struct encoder_room){.layer_bytes = layer, .other_bytes = q->other, .most = q->most};
    bytes_of(q, one, 1, 1);
    q->layer = vision_seconds(&v->model->config, one, q->list, v->as);
    return 0;
}

/* No worker may be at a picture for longer than this. */
static void cap(struct squeeze *q, double seconds)
{
    const uint32_t layers = q->pictures->model->config.layers;
    for (int i = 0; i < q->pictures->workers; i++) {
        const double n = seconds * picture_power(&q->pictures->offers[i], q->layer) / q->layer * (1 + 1e-9);
        q->cap[i] = n >= layers ? layers : (uint32_t)n;
    }
}

static bool cut(struct squeeze *q, double limit, struct part *out, uint32_t *room)
{
    const struct text_job *t = q->text;
    const size_t bytes = (size_t)t->workers * sizeof *out;
    struct part divided[STAGES_MOST];
    uint32_t more = 0;
    uint32_t most = 0;
    const bool whole = search_beside(q->search, false, &q->wanted, limit, out, &most);
    const bool may = t->workers > 1 && !t->whole_head && search_beside(q->search, true, &q->wanted, limit, divided, &more);
    if (most > *room) *room = most;
    if (may && (!whole || text_slowest(t, divided) < text_slowest(t, out) * 0.98)) memcpy(out, divided, bytes);
    if (more > *room) *room = more;
    return whole || may;
}

/* Whether the encoder really fits beside these parts; where it begins and ends it weighs a little more than a layer. */
static bool holds(const struct squeeze *q, const struct part *parts, double *slowest)
{
    struct vision_job job = *q->pictures;
    const struct vision_wish layers = {.how = VISION_LAYERS};
    struct vision_split v;
    job.text = q->beside;
    for (int i = 0; i < job.workers; i++) q->beside[i].bytes[CHAIN_TEXT] = items_bytes(&q->text->items, parts[i], &q->text->offers[i]);
    const bool good = !vision_split_open(&v, &job, &layers, NULL);
    *slowest = good ? vision_split_slowest(&v, job.workers) : 0;
    vision_split_close(&v);
    return good;
}

struct found { /* the best so far */
    struct part *parts;
    double text, pictures; /* seconds of the slowest stage; INFINITY: nothing was found */
    uint32_t room;         /* layers of the encoder for which there was room at most */
};

/* A cut with the room that q->wanted says; true if the encoder holds beside it. */
static bool try_cut(struct squeeze *q, struct found *f)
{
    struct part parts[STAGES_MOST];
    double pictures;
    if (!cut(q, q->limit, parts, &f->room) || !holds(q, parts, &pictures)) return false;
    const double text = text_slowest(q->text, parts);
    if (text > f->text || (text == f->text && pictures >= f->pictures)) return true;
    memcpy(f->parts, parts, (size_t)q->text->workers * sizeof *parts);
    f->text = text, f->pictures = pictures;
    return true;
}

/* All of the encoder on one worker. */
static void try_each(struct squeeze *q, struct found *f)
{
    const uint32_t layers = q->pictures->model->config.layers;
    q->wanted.layers = layers;
    weigh_rest(q, 1);
    for (int i = 0; i < q->pictures->workers; i++) {
        memset(q->most, 0, (size_t)q->pictures->workers * sizeof *q->most);
        q->most[i] = layers;
        if (q->cap[i] == layers) try_cut(q, f);
    }
}

/* Room for some layers more than there are, until the encoder fits with both its ends. */
static struct found cut_and_hold(struct squeeze *q, struct part *out)
{
    const uint32_t layers = q->pictures->model->config.layers, workers = (uint32_t)q->pictures->workers;
    struct found f = {out, INFINITY, INFINITY, 0};
    memcpy(q->most, q->cap, workers * sizeof *q->most);
    for (uint32_t used = workers < layers ? workers : layers; used > 1; used = used > 3 ? used / 2 : used - 1) {
        weigh_rest(q, used);
        q->wanted.layers = layers;
        while (!try_cut(q, &f) && q->wanted.layers < layers + q->ends) q->wanted.layers++;
    }
    try_each(q, &f);
    return f;
}

static int no_room(const struct squeeze *q, uint32_t room, struct err *why)
{
    const uint32_t layers = q->pictures->model->config.layers;
    char can[64] = "what stands before and behind them has no room";
    if (room < layers) snprintf(can, sizeof can, "there is room for %u at most", room);
    return fail_about(why, q->pictures->as == VISION_Q8_0 ? ABOUT_MEMORY : ABOUT_VISION_TYPE, E_MEMORY,
                      "the workers have no memory for the picture encoder's %u layers beside the text: %s", layers, can);
}

static int squeeze(struct squeeze *q, struct part *out, struct err *why)
{
    const int workers = q->pictures->workers;
    struct part tried[STAGES_MOST];
    double power = 0;
    cap(q, INFINITY);
    struct found best = cut_and_hold(q, out);
    if (isinf(best.text)) return no_room(q, best.room, why);
    if (best.text * BESIDE_SLACK < q->limit) q->limit = best.text * BESIDE_SLACK;
    for (int i = 0; i < workers; i++) power += picture_power(&q->pictures->offers[i], q->layer);
    double low = q->layer * q->pictures->model->config.layers / power * (1 - 1e-9);
    for (int i = 0; i < HALVINGS && best.pictures > low; i++) {
        const double middle = (low + best.pictures) / 2;
        cap(q, middle);
        const struct found f = cut_and_hold(q, tried);
        if (f.pictures >= best.pictures) {
            low = middle;
            continue;
        }
        best.pictures = f.pictures;
        memcpy(out, tried, (size_t)workers * sizeof *out);
    }
    return 0;
}

int text_beside(struct part *out, const struct text_job *text, const struct vision_job *pictures, double limit, struct err *why)
{
    struct squeeze q = {.text = text, .pictures = pictures, .limit = limit};
    q.beside = calloc((size_t)pictures->workers, sizeof *q.beside);
    int code = q.beside ? weigh(&q, why) : fail(why, E_MEMORY, "no memory to plan for %d workers", pictures->workers);
    if (!code) code = search_open(&q.search, &text->items, text->offers, text->workers, why);
    if (!code) code = squeeze(&q, out, why);
    search_close(&q.search);
    free(q.beside);
    free(q.list);
    free(q.other);
    free(q.most);
    free(q.cap);
    return code;
}
