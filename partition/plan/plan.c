/* partition/plan/plan.c — behind the front door (plan_best.c): wish and offers in their order in, holdings and routes out.
 *
 * Text and pictures have solvers of their own; here they are brought together, in one account of memory. Whoever is placed
 * by hand, or must be whole, comes first, and the other fits in; where both are free the text comes first (plan.h). */
#include "partition/plan/plan.h"

#include "base/half.h"
#include "base/hash.h"
#include "partition/plan/beside.h"
#include "partition/plan/plan_in_order.h"
#include "partition/plan/rates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct model_shape model_shape(const struct model *text, const struct vision_model *encoder)
{
    struct model_shape shape = {.encoder = encoder};
    if (!text) return shape;
    shape.config = text->config;
    shape.layer_tensors = text->layer_tensors;
    shape.output_norm = text->output_norm;
    shape.head = text->head;
    return shape;
}

/* One question, as all functions here share it. */
struct making {
    struct plan *plan;
    const struct model_shape *shape;
    const struct worker_offer *offers;
    const struct plan_wish *wish;
    int workers, stages;
};

/* ---- routes ---- */

int route_after(const struct route *r, int worker)
{
    for (int i = 0; r && i + 1 < r->n; i++)
        if (r->worker[i] == worker) return r->worker[i + 1];
    return -1;
}

int route_before(const struct route *r, int worker)
{
    for (int i = 1; r && i < r->n; i++)
        if (r->worker[i] == worker) return r->worker[i - 1];
    return -1;
}

const struct route *plan_text_route(const struct plan *p)
{
    return p->n_routes && p->route[0].chain == CHAIN_TEXT ? &p->route[0] : NULL;
}

int plan_stages(const struct plan *p)
{
    const struct route *text = plan_text_route(p);
    return text ? text->n : 0;
}

int plan_holder(const struct plan *p, uint32_t layer, uint32_t layers)
{
    int found = -1;
    for (int i = 0; i < p->workers; i++) {
        const struct part part = p->of[i].part[CHAIN_TEXT];
        if (layer == layers ? !part_has_back(part) : layer < part.first || layer >= part.end) continue;
        if (found >= 0) return -1;
        found = i;
    }
    return found;
}

const struct route *plan_picture_route(const struct plan *p, int worker)
{
    for (int i = 0; i < p->n_routes; i++)
        for (int k = 0; p->route[i].chain == CHAIN_VISION && k < p->route[i].n; k++)
            if (p->route[i].worker[k] == worker) return &p->route[i];
    return NULL;
}

static struct route *new_route(struct plan *p, enum chain chain)
{
    struct route *r = &p->route[p->n_routes++];
    *r = (struct route){.chain = chain};
    return r;
}

/* The workers of a chain in their order: one route, or with copies one for each. */
static void make_routes(const struct making *m, enum chain chain, bool copies)
{
    struct plan *p = m->plan;
    struct route *r = NULL;
    for (int i = 0; i < m->workers; i++) {
        if (part_is_empty(p->of[i].part[chain])) continue;
        if (!r || copies) r = new_route(p, chain);
        r->worker[r->n++] = (uint16_t)i;
    }
}

/* ---- hashes ---- */

static uint64_t fold_part(uint64_t h, struct part s)
{
    const uint32_t numbers[] = {s.first, s.end, s.back, s.back_end, s.front};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) h = hash_fold(h, numbers[i]);
    return h;
}

static uint64_t fold_text(uint64_t h, const struct model_shape *shape)
{
    const struct model_config *c = &shape->config;
    const uint32_t numbers[] = {
        c->layers, c->hidden, c->ffn, c->heads, c->kv_heads, c->head_dim, c->window, c->pattern, c->context, c->vocab,
        f32_bits(c->rope_base_global), f32_bits(c->rope_base_local), f32_bits(c->rope_factor),
        f32_bits(c->norm_epsilon), f32_bits(c->attention_scale), shape->output_norm.type, shape->head.type,
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) h = hash_fold(h, numbers[i]);
    for (size_t i = 0; i < (size_t)c->layers * W_LAYER_ROLES; i++) h = hash_fold(h, shape->layer_tensors[i].type);
    return h;
}

static uint64_t fold_encoder(uint64_t h, const struct vision_model *v)
{
    const struct vision_config *c = &v->config;
    const uint32_t numbers[] = {c->image, c->patch, c->layers, c->width, c->ffn, c->heads, c->pool, c->hidden, f32_bits(c->norm_epsilon)};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) h = hash_fold(h, numbers[i]);
    for (size_t i = 0; i < (size_t)c->layers * V_LAYER_ROLES; i++) h = hash_fold(h, v->layer_tensors[i].type);
    for (size_t i = 0; i < sizeof v->rest / sizeof *v->rest; i++) h = hash_fold(h, v->rest[i].type);
    return h;
}

static uint64_t fold_models(uint64_t h, const struct model_shape *shape)
{
    if (shape->config.layers) h = fold_text(h, shape);
    return shape->encoder ? fold_encoder(h, shape->encoder) : h;
}

uint64_t model_shape_hash(const struct model_shape *shape)
{
    return fold_models(0, shape);
}

static uint64_t fold_capacity(uint64_t h, const struct capacity *c)
{
    const uint64_t numbers[] = {c->context, c->sequences, c->rows, c->in_flight, c->blocks, numeric_number(c->mode)};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) h = hash_fold(h, numbers[i]);
    return h;
}

/* Two programs that run parts of one model must have the same sizes, formats, cuts and capacities; anything else shows
 * here before a row travels. */
static uint64_t hash_of_plan(const struct making *m)
{
    const struct plan *p = m->plan;
    uint64_t h = fold_capacity(fold_models(0, m->shape), &p->capacity);
    h = hash_fold(hash_fold(h, (uint64_t)p->workers), p->vision_type);
    for (int i = 0; i < p->workers; i++)
        for (int c = 0; c < CHAINS; c++) h = fold_part(h, p->of[i].part[c]);
    return h;
}

static uint64_t double_bits(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

static uint64_t fold_wish(uint64_t h, const struct plan_wish *w)
{
    const uint64_t numbers[] = {w->aim + 4u * w->order, w->whole_head + 2u * w->all_scores, (uint64_t)w->vision_workers, w->vision.how, w->vision_type, w->together, (uint64_t)w->n_cuts,
                                (uint64_t)w->vision.workers};
    h = hash_fold(fold_capacity(h, &w->capacity), double_bits(w->picture_share));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) h = hash_fold(h, numbers[i]);
    for (int i = 0; w->cuts && i < w->n_cuts; i++) h = hash_fold(hash_fold(h, w->cuts[i].layers), w->cuts[i].parts);
    for (int i = 0; i < w->vision.workers; i++) h = hash_fold(h, w->vision.layers[i]);
    return h;
}

static uint64_t fold_curve(uint64_t h, const struct curve *c)
{
    h = hash_fold(h, c->n);
    for (uint32_t i = 0; i < c->n; i++) h = hash_fold(hash_fold(h, double_bits(c->rows[i])), double_bits(c->seconds[i]));
    return h;
}

static uint64_t fold_speed(uint64_t h, const struct speed *v)
{
    h = fold_curve(fold_curve(fold_curve(h, &v->local), &v->global), &v->head_part);
    const double more[] = {v->key, v->piece_key, v->picture_layer, v->to.delay, v->to.bytes_per_second, v->from.delay, v->from.bytes_per_second};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) h = hash_fold(h, double_bits(more[i]));
    for (uint32_t i = 0; i < v->ways; i++)
        h = hash_fold(hash_fold(hash_fold(h, v->way[i].to), double_bits(v->way[i].hop.delay)), double_bits(v->way[i].hop.bytes_per_second));
    return v->ways ? hash_fold(h, v->self) : h;
}

/* Names are left out: they are for people. */
static uint64_t hash_of_question(const struct making *m)
{
    uint64_t h = fold_wish(fold_models(0, m->shape), m->wish);
    for (int i = 0; i < m->workers; i++) {
        const struct worker_offer *o = &m->offers[i];
        const uint64_t numbers[] = {o->memory, double_bits(o->speed), (uint64_t)o->threads, o->shares_machine, double_bits(ration_share(&o->ration)),
                                    double_bits(o->ration.period), double_bits(o->ration.tick)};
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) h = hash_fold(h, numbers[k]);
        if (o->measured) h = hash_fold(hash_fold(fold_speed(h, o->measured), double_bits(o->uses)), double_bits(o->cores));
        for (int k = 0; k < i; k++)
            if (offers_apart(o, &m->offers[k])) h = hash_fold(h, (uint64_t)(i * m->workers + k));
    }
    return h;
}

/* ---- the chains ---- */

static void total(struct holding *h)
{
    h->total = h->bytes[CHAIN_TEXT].total + h->bytes[CHAIN_VISION].total;
}

/* What pictures have already is taken off the offers. */
static int offers_left(const struct making *m, struct worker_offer **out, struct err *why)
{
    *out = calloc((size_t)m->stages, sizeof **out);
    if (!*out) return fail(why, E_MEMORY, "no memory to plan for %d workers", m->workers);
    memcpy(*out, m->offers, (size_t)m->stages * sizeof **out);
    for (int i = 0; i < m->stages; i++) {
        uint64_t *memory = &(*out)[i].memory;
        const struct part_bytes *seen = &m->plan->of[i].bytes[CHAIN_VISION];
        if (*memory) *memory = *memory > seen->total - seen->runtime ? *memory - (seen->total - seen->runtime) : 1;
    }
    return 0;
}

static void hold_text(struct making *m, const struct text_job *job, const struct part *parts)
{
    for (int i = 0; i < m->stages; i++) {
        struct holding *h = &m->plan->of[i];
        h->part[CHAIN_TEXT] = parts[i];
        h->bytes[CHAIN_TEXT] = items_bytes(&job->items, parts[i], &m->offers[i]);
        h->expected[CHAIN_TEXT] = items_first(&job->items, parts[i], i);
        if (h->bytes[CHAIN_VISION].runtime) { /* it was counted before there was a text; it is there once */
            h->bytes[CHAIN_VISION].total -= h->bytes[CHAIN_VISION].runtime;
            h->bytes[CHAIN_VISION].runtime = 0;
        }
        total(h);
    }
}

static int plan_text(struct making *m, struct err *why)
{
    const struct plan_wish *w = m->wish;
    struct text_job job = {.workers = m->stages, .whole_head = w->whole_head, .all_scores = w->all_scores, .beside_pictures = m->plan->pictures != 0};
    struct worker_offer *offers = NULL;
    struct part parts[STAGES_MOST];
    int code = offers_left(m, &offers, why);
    job.offers = offers;
    if (!code) code = items_open(&job.items, m->shape, &m->plan->capacity, m->offers, m->stages, m->plan->for_prompts, why);
    if (!code) {
        code = w->cuts ? text_by_hand(parts, &job, w->cuts, w->n_cuts, why) : text_split(parts, &job, why);
        if (!code) hold_text(m, &job, parts);
        items_close(&job.items);
    }
    free(offers);
    return code;
}

static struct vision_job vision_job(const struct making *m)
{
    return (struct vision_job){.model = m->shape->encoder, .as = m->wish->vision_type, .offers = m->offers, .text = m->plan->of,
                               .workers = m->workers, .first = m->wish->vision_workers ? m->workers - m->wish->vision_workers : 0};
}

static int plan_vision(struct making *m, const struct vision_wish *wish, struct err *why)
{
    struct plan *p = m->plan;
    struct vision_split v;
    const struct vision_job job = vision_job(m);
    int code = vision_split_open(&v, &job, wish, why);
    for (int i = 0; i < m->workers && !code; i++) {
        struct holding *h = &p->of[i];
        h->part[CHAIN_VISION] = v.of[i].part;
        h->bytes[CHAIN_VISION] = v.of[i].bytes;
        h->expected[CHAIN_VISION] = v.of[i].expected;
        total(h);
    }
    p->copies = v.copies;
    p->pictures = v.pictures;
    memcpy(p->why, v.why, sizeof p->why);
    vision_split_close(&v);
    return code;
}

/* ---- together ---- */

static uint64_t all_bytes(const struct plan *p)
{
    uint64_t sum = 0;
    for (int i = 0; i < p->workers; i++) sum += p->of[i].total;
    return sum;
}

static bool fits_together(const struct making *m)
{
    return !m->wish->together || all_bytes(m->plan) <= m->wish->together;
}

static int check_together(const struct making *m, struct err *why)
{
    const uint64_t sum = all_bytes(m->plan), have = m->wish->together;
    if (fits_together(m)) return 0;
    return fail(why, E_MEMORY, "the %d workers of this machine need %llu MiB together, it has %llu MiB: %llu MiB are missing", m->workers,
                (unsigned long long)(sum >> 20), (unsigned long long)(have >> 20), (unsigned long long)((sum - have) >> 20));
}

/* Seconds of the slowest stage of a chain. */
double plan_slowest(const struct plan *p, enum chain chain)
{
    double t = 0;
    for (int i = 0; i < p->workers; i++)
        if (p->of[i].expected[chain] > t) t = p->of[i].expected[chain];
    return t;
}

/* Text and pictures in one search, the text not slower than `limit`. */
static int plan_beside(struct making *m, double limit, struct err *why)
{
    const struct vision_job pictures = vision_job(m);
    struct text_job job = {.offers = m->offers, .workers = m->stages, .whole_head = m->wish->whole_head};
    struct part parts[STAGES_MOST];
    TRY(items_open(&job.items, m->shape, &m->plan->capacity, m->offers, m->stages, m->plan->for_prompts, why));
    const int code = text_beside(parts, &job, &pictures, limit, why);
    if (!code) hold_text(m, &job, parts);
    items_close(&job.items);
    return code ? code : plan_vision(m, &m->wish->vision, why);
}

/* Seconds of the encoder's slowest stage if memory were no limit. */
static double slowest_without_limits(const struct making *m)
{
    struct worker_offer *offers = calloc((size_t)m->workers, sizeof *offers);
    struct vision_job job = vision_job(m);
    const struct vision_wish layers = {.how = VISION_LAYERS};
    struct vision_split v = {0};
    double t = INFINITY;
    for (int i = 0; offers && i < m->workers; i++) offers[i] = m->offers[i], offers[i].memory = 0;
    job.offers = offers;
    if (offers && !vision_split_open(&v, &job, &layers, NULL)) t = vision_split_slowest(&v, m->workers);
    vision_split_close(&v);
    free(offers);
    return t;
}

/* Where too little memory was left to the encoder, text that moves a little may make it much faster. */
static int help_pictures(struct making *m, struct err *why)
{
    struct plan *p = m->plan, before = *p;
    const double was = plan_slowest(p, CHAIN_VISION);
    if (p->copies || was <= slowest_without_limits(m) * BESIDE_GAIN) return 0;
    before.of = malloc((size_t)m->workers * sizeof *before.of);
    if (!before.of) return fail(why, E_MEMORY, "no memory to plan for %d workers", m->workers);
    memcpy(before.of, p->of, (size_t)m->workers * sizeof *before.of);
    const bool helped = !plan_beside(m, plan_slowest(p, CHAIN_TEXT) * BESIDE_SLACK, NULL) &&
                        plan_slowest(p, CHAIN_VISION) * BESIDE_GAIN < was;
    struct holding *loser = helped ? before.of : p->of;
    if (!helped) *p = before;
    free(loser);
    return 0;
}

/* By hand, or whole: no room is made for it, it takes its own. */
static bool is_fixed(const struct vision_wish *w)
{
    return w->how == VISION_BY_HAND || w->how == VISION_COPIES;
}

static int plan_both(struct making *m, struct err *why)
{
    const struct vision_wish *vision = &m->wish->vision;
    const bool text_moves = !m->wish->cuts && !m->wish->vision_workers;
    if (text_moves && is_fixed(vision)) {
        TRY(plan_vision(m, vision, why));
        return plan_text(m, why);
    }
    TRY(plan_text(m, why));
    const int code = plan_vision(m, vision, why);
    if (!text_moves || is_fixed(vision) || (code && code != E_MEMORY)) return code;
    return code ? plan_beside(m, INFINITY, why) : help_pictures(m, why);
}

static int plan_chains(struct making *m, struct err *why)
{
    const bool text = m->shape->config.layers != 0, pictures = m->shape->encoder != NULL;
    if (text && pictures) TRY(plan_both(m, why));
    else if (text) TRY(plan_text(m, why));
    else if (pictures) TRY(plan_vision(m, &m->wish->vision, why));
    if (m->wish->vision.how != VISION_CHOOSE || !m->plan->copies || fits_together(m)) return 0;
    const struct vision_wish layers = {.how = VISION_LAYERS};
    return plan_vision(m, &layers, why);
}

static int check_wish(const struct making *m, struct err *why)
{
    const int apart = m->wish->vision_workers;
    if (m->workers < 1) return fail(why, E_USAGE, "a plan needs at least one worker");
    if (m->workers > WORKERS_MOST)
        return fail(why, E_USAGE, "there are %d workers, at most %d can be planned for", m->workers, WORKERS_MOST);
    if (apart < 0 || apart > m->workers)
        return fail_about(why, ABOUT_VISION_WORKERS, E_USAGE, "%d of %d workers cannot be set apart for pictures", apart, m->workers);
    if (m->shape->config.layers && apart == m->workers)
        return fail_about(why, ABOUT_VISION_WORKERS, E_USAGE, "%d of %d workers set apart for pictures leaves no worker for the text",
                          apart, m->workers);
    return 0;
}

/* One more than stages, so that none waits for the next batch to be made; one stage alone would only read its weights twice for
 * two halves of the sequences. */
struct capacity plan_capacity(const struct plan_wish *wish, int stages)
{
    struct capacity c = wish->capacity;
    if (!c.in_flight) c.in_flight = stages <= 1 ? 1 : (uint32_t)stages + 1;
    if (c.blocks) c.blocks = capacity_blocks(&c);
    if (c.blocks == capacity_blocks_most(&c)) c.blocks = 0;
    return c;
}

/* ---- keys and values ---- */

static int plan_with(struct making *m, uint32_t blocks, struct err *why)
{
    struct plan *p = m->plan;
    memset(p->of, 0, (size_t)m->workers * sizeof *p->of);
    p->capacity.blocks = blocks;
    p->copies = false, p->pictures = 0, *p->why = 0;
    TRY(plan_chains(m, why));
    return check_together(m, why);
}

/* The text anew, beside pictures where they are. */
static int replan_text(struct making *m, uint32_t blocks, struct err *why)
{
    m->plan->capacity.blocks = blocks;
    TRY(plan_text(m, why));
    return check_together(m, why);
}

/* Sequences grow page by page, so pages for all of them at their longest are a comfort: where that does not fit, there are as many
 * as do fit, at least those of one sequence. More pages are more sequences at a time, whose tokens share a reading of the weights;
 * but how long they will be no plan can know, and where memory differs from worker to worker more pages push layers to where it
 * is plenty and not to who is fast. So a larger pool may make the slowest stage slower, but by a tenth at most of what it
 * is with the smallest: twice the sequences are worth more than that, some pages that may never be used are not. Pictures stay
 * where they are beside the smallest pool. More pages never take less memory and never make a stage faster, hence the
 * halving: as many plans of the text as the number has bits. */
#define POOL_SLACK 1.10

/* Nobody asked for exactly so many, so they leave alone what may be somebody else's: a twentieth of a limit, which is as exactly
 * as bytes are foreseen; of a machine that workers share a quarter. Where nobody said how, each may have an equal share. */
static void leave_some(struct worker_offer *offers, struct plan_wish *wish, int workers)
{
    uint64_t sharing = 0;
    for (int i = 0; i < workers; i++) sharing += offers[i].shares_machine;
    for (int i = 0; i < workers; i++) {
        const uint64_t memory = offers[i].memory;
        offers[i].memory -= memory / 20;
        if (memory && offers[i].shares_machine && !wish->together) offers[i].memory = memory / 4 * 3 / sharing;
    }
    wish->together -= wish->together / 4;
}

static uint32_t largest_pool(struct making *m)
{
    const struct plan *p = m->plan;
    const double limit = plan_slowest(p, CHAIN_TEXT) * POOL_SLACK;
    uint32_t fits = capacity_blocks_least(&p->capacity), over = capacity_blocks_most(&p->capacity);
    while (over - fits > 1) {
        const uint32_t middle = fits + (over - fits) / 2;
        const bool good = !replan_text(m, middle, NULL) && plan_slowest(p, CHAIN_TEXT) <= limit;
        if (good) fits = middle;
        else over = middle;
    }
    return fits;
}

static int plan_largest_pool(struct making *m, struct err *why)
{
    const uint32_t least = capacity_blocks_least(&m->plan->capacity);
    struct plan_wish wish = *m->wish;
    struct worker_offer *offers = calloc((size_t)m->workers, sizeof *offers);
    struct making modest = *m;
    if (!offers) return fail(why, E_MEMORY, "no memory to plan for %d workers", m->workers);
    memcpy(offers, m->offers, (size_t)m->workers * sizeof *offers);
    leave_some(offers, &wish, m->workers);
    modest.offers = offers, modest.wish = &wish;
    int code = plan_with(m, least, why);
    if (!code) {
        const uint32_t blocks = largest_pool(&modest);
        code = replan_text(blocks > least ? &modest : m, blocks, why);
    }
    free(offers);
    return code;
}

static int plan_pool(struct making *m, struct err *why)
{
    struct err lack = {0};
    const int code = plan_with(m, m->plan->capacity.blocks, &lack);
    if (code == E_MEMORY && !m->wish->capacity.blocks && m->shape->config.layers) return plan_largest_pool(m, why);
    if (code && why) *why = lack;
    return code;
}

static int make(struct making *m, struct err *why)
{
    struct plan *p = m->plan;
    TRY(check_wish(m, why));
    *p = (struct plan){.workers = m->workers, .capacity = plan_capacity(m->wish, m->stages), .vision_type = m->wish->vision_type};
    p->picture_share = m->shape->encoder ? m->wish->picture_share : 0;
    p->for_prompts = plan_for_prompts(m->wish, &p->capacity);
    p->made_from = hash_of_question(m);
    p->of = calloc((size_t)m->workers, sizeof *p->of);
    p->route = calloc((size_t)m->workers + 1, sizeof *p->route);
    p->offer = calloc((size_t)m->workers, sizeof *p->offer);
    for (int i = 0; i < m->workers && p->offer; i++) p->offer[i] = (uint16_t)i;
    if (!p->of || !p->route || !p->offer) return fail(why, E_MEMORY, "no memory to plan for %d workers", m->workers);
    TRY(plan_pool(m, why));
    make_routes(m, CHAIN_TEXT, false);
    make_routes(m, CHAIN_VISION, p->copies);
    p->hash = hash_of_plan(m);
    return 0;
}

int plan_in_order(struct plan *out, const struct model_shape *shape, const struct worker_offer *offers, int workers,
              const struct plan_wish *wish, struct err *why)
{
    struct making m = {.plan = out, .shape = shape, .offers = offers, .wish = wish, .workers = workers,
                       .stages = workers - wish->vision_workers};
    *out = (struct plan){0};
    const int code = make(&m, why);
    if (code) plan_free(out);
    return code;
}

void plan_free(struct plan *p)
{
    free(p->of);
    free(p->route);
    free(p->offer);
    *p = (struct plan){0};
}

/* ---- what to expect of pictures ---- */

double plan_picture_alone(const struct plan *p)
{
    double sum = 0, least = 0;
    for (int i = 0; i < p->workers; i++) {
        const double t = p->of[i].expected[CHAIN_VISION];
        sum += t;
        if (t > 0 && (least == 0 || t < least)) least = t;
    }
    return p->copies ? least : sum;
}

double plan_picture_rate(const struct plan *p)
{
    double together = 0;
    if (!p->copies) return 1 / plan_slowest(p, CHAIN_VISION);
    for (int i = 0; i < p->workers; i++)
        if (p->of[i].expected[CHAIN_VISION] > 0) together += 1 / p->of[i].expected[CHAIN_VISION];
    return together;
}
