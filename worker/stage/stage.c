/* worker/stage/stage.c — see stage.h.
 *
 * Three pieces of memory, as large as partition/model/memory.h says, mapped and written to before stage_open returns: a plan
 * that the machine cannot keep is refused there, not in the middle of an answer. What stands beside them (tables of
 * pages, slots and tensors) is less than a thousandth of that and is taken at the same time. */
#include "worker/stage/stage.h"

#include "base/half.h"
#include "worker/kernels/blas.h"
#include "worker/stage/head.h"
#include "worker/weights/region.h"
#include "worker/stage/sequences.h"
#include "worker/stage/text.h"

#include <omp.h>
#include <stdlib.h>

enum { KV, SCRATCH, REGIONS };
static const char *const region_names[REGIONS] = {"keys and values", "scratch"};

struct stage {
    struct model_config config;
    struct part part;
    struct capacity capacity;
    struct kernels kernels;
    struct part_bytes bytes;
    struct region regions[REGIONS];
    struct part_weights weights;
    struct held_weights *own; /* NULL: the weights are somebody else's */
    struct kv kv;
    struct sequences sequences;
    struct row_place *places; /* [capacity.rows] */
    struct workbench bench;
    struct head head;
    float *rows; /* stage_rows */
    struct barrier barrier;
    const atomic_bool *stop;
    atomic_ullong *steps;
    _Atomic uint32_t last; /* layer of the part after which the region ends: the first thread says so a layer ahead */
    uint64_t *hashes;   /* [capacity.rows, layers] of rows that want it */
    uint32_t n_hashed;  /* of these, in this micro-batch */
    uint32_t odd; /* how many layers rows that are no numbers had behind them, when they were first seen; UINT32_MAX: none */
};

/* Cuts scratch as scratch_bytes says; returns what is the head's. */
static void *bench_open(struct stage *s, const struct scratch_bytes *cut, int threads)
{
    struct workbench *b = &s->bench;
    const size_t angles = (size_t)s->capacity.rows * (s->config.head_dim / 2);
    uint8_t *at = s->regions[SCRATCH].at;
    *b = (struct workbench){.config = &s->config, .k = &s->kernels, .kv = &s->kv, .math = s->capacity.mode.math, .threads = threads, .places = s->places,
                        .barrier = &s->barrier};
    s->rows = (float *)at, at += cut->stream;
    b->wide = (float *)at, at += cut->rows_a;
    b->narrow = (float *)at, at += cut->rows_b;
    const uint32_t hidden = s->config.hidden, heads = heads_width(&s->config);
    acts_init(&b->of_hidden, at, s->capacity.rows, heads > hidden ? heads : hidden), at += cut->acts;
    b->of_heads = b->of_hidden;
    acts_init(&b->of_ffn, at, s->capacity.rows, s->config.ffn), at += cut->ffn;
    b->gate = (float *)at, at += cut->gate;
    b->gate_each = gate_room(&s->capacity);
    b->tiles = (float *)at, at += cut->tiles;
    b->tiles_each = cut->tiles / sizeof *b->tiles / (size_t)threads;
    for (int i = 0; i < 2; i++) {
        b->cos[i] = (float *)at + (size_t)(2 * i) * angles;
        b->sin[i] = (float *)at + (size_t)(2 * i + 1) * angles;
    }
    at += cut->rope;
    b->attend = at;
    b->parts = (float *)(at + (size_t)threads * attend_bytes(s->config.head_dim)), at += cut->attend;
    return at;
}

/* Starts the team, so that its threads exist, with their stacks, before the first micro-batch. */
static void team_open(int threads)
{
    volatile int seen = 0;
    if (threads == 1) return;
#pragma omp parallel num_threads(threads)
#pragma omp master
    seen = omp_get_num_threads();
    (void)seen;
}

/* For a stage that stands alone, in tests and benchmarks. */
static int take_own_weights(struct stage *s, const struct stage_plan_in *in, struct err *why)
{
    const struct wanted_part wanted = {.chain = CHAIN_TEXT, .tensors = in->tensors, .n = (uint32_t)part_count(CHAIN_TEXT, in->part)};
    TRY(held_open(&s->own, why));
    return held_take(s->own, &wanted, 1, in->threads, &s->weights, why);
}

static int stage_build(struct stage *s, const struct stage_plan_in *in, struct err *why)
{
    const uint32_t n = (uint32_t)part_count(CHAIN_TEXT, s->part);
    const struct scratch_bytes cut = scratch_bytes(&s->config, s->part, &s->capacity, in->threads);
    const uint64_t wanted[REGIONS] = {s->bytes.kv, s->bytes.scratch};
    if (s->capacity.mode.math == MATH_FLOAT32) TRY(blas_open(why));
    if (in->weights) s->weights = *in->weights;
    else TRY(take_own_weights(s, in, why));
    for (int i = 0; i < REGIONS; i++) TRY(region_open(&s->regions[i], wanted[i], region_names[i], in->threads, why));
    if (part_weights_bytes(&s->weights) != s->bytes.weights)
        return fail(why, E_INTERNAL, "the weights were planned with %llu bytes and take %llu", (unsigned long long)s->bytes.weights,
                    (unsigned long long)part_weights_bytes(&s->weights));
    TRY(kv_open(&s->kv, &s->config, s->part, &s->capacity, s->regions[KV].at, why));
    TRY(sequences_open(&s->sequences, &s->capacity, &s->kv, why));
    s->places = calloc(s->capacity.rows, sizeof *s->places);
    s->hashes = calloc((size_t)s->capacity.rows * s->kv.layers + 1, sizeof *s->hashes);
    if (!s->places || !s->hashes) return fail(why, E_MEMORY, "no memory for a table of %u rows", s->capacity.rows);
    void *for_head = bench_open(s, &cut, in->threads);
    if (part_has_head(s->part))
        TRY(head_open(&s->head, &s->config, s->part, part_weight(&s->weights, n - 2), part_weight(&s->weights, n - 1), s->capacity.rows,
                      in->threads, for_head, cut.logits, why));
    team_open(in->threads);
    return 0;
}

static int plan_check(const struct stage_plan_in *in, struct err *why)
{
    const struct part *s = &in->part;
    const struct capacity *c = &in->capacity;
    TRY(config_check(&in->config, "the plan", why));
    if (!text_part_possible(&in->config, *s))
        return fail(why, E_WIRE, "a stage of layers %u to %u of %u and parts %u to %u of the head cannot be", s->first, s->end,
                    in->config.layers, s->back, s->back_end);
    if (c->context == 0 || c->sequences == 0 || c->rows == 0 || c->rows > WIRE_ROWS)
        return fail(why, E_WIRE, "a plan for %u sequences of %u positions, %u rows at a time (1 to %u) cannot be",
                    c->sequences, c->context, c->rows, WIRE_ROWS);
    if (in->threads < 1) return fail(why, E_USAGE, "a stage cannot run on %d threads", in->threads);
    return text_part_check(&in->config, *s, in->tensors, why);
}

int stage_open(struct stage **out, const struct stage_plan_in *in, const struct kernels *k, struct err *why)
{
    *out = NULL;
    TRY(plan_check(in, why));
    struct stage *s = calloc(1, sizeof *s);
    if (!s) return fail(why, E_MEMORY, "no memory for a stage");
    s->config = in->config;
    s->part = in->part;
    s->capacity = in->capacity;
    s->kernels = *k;
    barrier_open(&s->barrier, in->crowded);
    s->bytes = text_part_bytes(&in->config, in->part, in->tensors, &in->capacity, in->threads);
    int code = stage_build(s, in, why);
    if (code) stage_close(&s);
    *out = s;
    return code;
}

void stage_close(struct stage **stage)
{
    struct stage *s = *stage;
    *stage = NULL;
    if (!s) return;
    head_close(&s->head);
    barrier_close(&s->barrier);
    free(s->places);
    free(s->hashes);
    sequences_close(&s->sequences);
    kv_close(&s->kv);
    if (s->own) part_weights_close(&s->weights);
    held_close(&s->own);
    for (int i = 0; i < REGIONS; i++) region_close(&s->regions[i]);
    free(s);
}

struct part_bytes stage_memory(const struct stage *s)
{
    struct part_bytes b = s->bytes;
    b.weights = part_weights_bytes(&s->weights);
    b.kv = s->regions[KV].bytes;
    b.scratch = s->regions[SCRATCH].bytes;
    return b;
}

float *stage_rows(struct stage *s)
{
    return s->rows;
}

int stage_load(struct stage *s, uint32_t index, uint32_t first_row, uint32_t rows, const void *bytes, struct err *why)
{
    struct weight *w = part_weight(&s->weights, index);
    if (!w) return fail(why, E_WIRE, "rows for tensor %u, but the part has %u tensors", index, s->weights.n);
    return weight_load(w, first_row, rows, bytes, s->bench.threads, NULL, 0, why);
}

int stage_loaded(const struct stage *s, struct err *why)
{
    return part_weights_loaded(&s->weights, why);
}

/* Returns how many of the rows are to be hashed. */
static uint32_t places_set(struct row_place *p, const struct work *w)
{
    const struct row *row = w->rows;
    uint32_t hashed = 0;
    for (uint32_t i = 0; i < w->n_segments; i++)
        for (uint32_t r = 0; r < w->segments[i].rows; r++, row++, p++)
            *p = (struct row_place){w->segments[i].slot, w->segments[i].position + r, row->sees, w->segments[i].flags & SEG_DRAWN,
                                    w->segments[i].flags & SEG_HASHED ? ++hashed : 0};
    return hashed;
}

static bool all_drawn(const struct work *w)
{
    uint32_t n = 0;
    while (n < w->n_segments && (w->segments[n].flags & SEG_DRAWN)) n++;
    return n == w->n_segments;
}

static bool stopped(const struct stage *s)
{
    return s->last < s->kv.layers;
}

/* Each thread looks at rows that it has finished itself. */
static void look_at_rows(struct stage *s, const float *x, uint32_t columns, uint32_t place)
{
    const uint32_t no_number = 0x7f800000;
    uint32_t odd = 0;
#pragma omp for schedule(static) nowait
    for (uint32_t r = 0; r < s->bench.n; r++) {
        const float *row = x + (size_t)r * s->config.hidden;
#pragma omp simd reduction(| : odd)
        for (uint32_t c = 0; c < columns; c++) odd |= (f32_bits(row[c]) & no_number) == no_number;
    }
    if (!odd) return;
#pragma omp critical
    if (place < s->odd) s->odd = place;
}

static void layer_done(struct stage *s, uint32_t i)
{
    if (s->steps) atomic_fetch_add_explicit(s->steps, 1, memory_order_relaxed);
    if (s->stop && *s->stop && i + 2 < s->kv.layers && s->last > i + 1) s->last = i + 1;
}

/* After every layer, whoever has it, as if the next were another worker's. Each thread rounds rows that it has finished itself. */
static void round_rows(const struct stage *s, float *x)
{
    const size_t hidden = s->config.hidden;
    if (s->capacity.mode.wire == WIRE_F32) return;
#pragma omp for schedule(static) nowait
    for (uint32_t r = 0; r < s->bench.n; r++) wire_round(s->capacity.mode.wire, x + r * hidden, hidden);
}

/* As the next layer will see them. */
static void hash_rows_after(const struct stage *s, const float *x, uint32_t layer)
{
    const size_t hidden = s->config.hidden;
    if (!s->n_hashed) return;
#pragma omp for schedule(static) nowait
    for (uint32_t r = 0; r < s->bench.n; r++)
        if (s->places[r].hashed) s->hashes[(size_t)(s->places[r].hashed - 1) * s->kv.layers + layer] = hash64(x + r * hidden, hidden * sizeof *x);
}

/* The stage's part of the forward pass, run by every thread of the region. Within a layer a norm on the way back spreads what is no
 * number over all of a row: so of most layers one column is looked at. */
static void stage_pass(struct stage *s, float *x, const struct head_call *call)
{
    const struct workbench *b = &s->bench;
    if (s->kv.layers) {
        look_at_rows(s, x, s->config.hidden, 0);
        text_angles(b);
    }
    for (uint32_t i = 0; i < s->kv.layers && i <= s->last; i++) {
        text_layer(b, group_weights(&s->weights, i), i, s->part.first + i, x);
        round_rows(s, x);
        hash_rows_after(s, x, i);
        look_at_rows(s, x, i + 1 < s->kv.layers ? 1 : s->config.hidden, i + 1);
#pragma omp master
        layer_done(s, i);
    }
    meet(b);
    if (call->result && part_has_whole_head(s->part) && !stopped(s)) head_answer(&s->head, b, x, call);
}

static void run_region(struct stage *s, float *x, const struct head_call *call)
{
    s->last = s->odd = UINT32_MAX;
    if (s->bench.threads == 1) {
        stage_pass(s, x, call);
        return;
    }
#pragma omp parallel num_threads(s->bench.threads)
    stage_pass(s, x, call);
}

int stage_run(struct stage *s, const struct work *w, float *x, struct result *result, logits_sink sink, void *user,
              struct err *why)
{
    const struct head_call call = {.w = w, .sequences = &s->sequences, .result = result, .sink = sink, .user = user, .why = why};
    const bool answers = result && part_has_whole_head(s->part);
    if (w->cols != s->config.hidden)
        return fail(why, E_WIRE, "rows of %u values came; this model has %u", w->cols, s->config.hidden);
    TRY(sequences_check(&s->sequences, w, why));
    if (answers) TRY(head_ask(&s->head, &call));
    sequences_advance(&s->sequences, w);
    s->n_hashed = places_set(s->places, w);
    workbench_set_rows(&s->bench, w->n_rows);
    s->bench.all_drawn = all_drawn(w);
    if (result) result->batch = w->batch, result->n_tokens = 0;
    if (w->n_rows == 0) return 0;
    run_region(s, x, &call);
    if (stopped(s)) return fail(why, E_INTERRUPTED, "stopped in the middle of micro-batch %llu", (unsigned long long)w->batch);
    if (s->odd == 0) return fail(why, E_WORKER, "rows came to layer %u that are not finite numbers", s->part.first);
    if (s->odd != UINT32_MAX)
        return fail(why, E_WORKER, "the rows after layer %u are not finite numbers: damaged weights?", s->part.first + s->odd - 1);
    return answers ? s->head.code : 0;
}

bool stage_hashes(const struct stage *s, struct row_hashes *out)
{
    *out = (struct row_hashes){.first = s->part.first, .layers = s->kv.layers, .rows = s->n_hashed};
    return s->n_hashed && s->kv.layers;
}

void stage_hashes_put(const struct stage *s, struct row_hashes *out)
{
    for (uint32_t r = 0; r < out->rows; r++)
        for (uint32_t i = 0; i < out->layers; i++) row_hash_put(out, r, i, s->hashes[(size_t)r * out->layers + i]);
}

void stage_wanted(const struct stage *s, const struct work *w, struct work *out, uint32_t *at)
{
    uint32_t row = 0;
    out->batch = w->batch;
    out->cols = w->cols;
    out->dtype = s->capacity.mode.wire;
    out->n_segments = out->n_rows = out->n_orders = 0;
    out->n_biases = w->n_biases; /* nobody has any but those who want a token */
    out->biases = w->biases;
    out->n_mask_words = w->n_mask_words;
    out->mask_words = w->mask_words;
    out->masks = w->masks;
    out->told = w->told;
    for (uint32_t i = 0; i < w->n_segments; row += w->segments[i].rows, i++) {
        struct segment g = w->segments[i];
        const uint32_t asked = segment_scored(&g);
        if (!asked) continue;
        g.position += g.rows - asked;
        g.rows = asked;
        g.flags &= SEG_WANT_HASH | SEG_WANT_LOGITS | SEG_MASKED | SEG_TOLD;
        g.history = sequences_history(&s->sequences, g.slot, g.position + g.rows);
        out->segments[out->n_segments++] = g;
        for (uint32_t k = 0; k < g.rows; k++) {
            const uint32_t from = at[out->n_rows] = row + w->segments[i].rows - g.rows + k;
            out->rows[out->n_rows++] = (struct row){w->rows[from].id, g.position + k};
        }
    }
}

static void score_region(struct stage *s, const float *x, const struct head_call *call)
{
    if (s->bench.threads == 1) {
        head_answer(&s->head, &s->bench, x, call);
        return;
    }
#pragma omp parallel num_threads(s->bench.threads)
    head_answer(&s->head, &s->bench, x, call);
}

int stage_score(struct stage *s, const struct work *w, const float *x, logits_sink sink, scored_sink say, void *user, struct err *why)
{
    const struct head_call call = {.w = w, .sequences = &s->sequences, .sink = sink, .say = say, .user = user, .why = why};
    if (!part_has_head(s->part)) return fail(why, E_WIRE, "rows to be scored came to a stage that has no part of the head");
    if (w->cols != s->config.hidden)
        return fail(why, E_WIRE, "rows of %u values came; this model has %u", w->cols, s->config.hidden);
    TRY(sequences_check_last(&s->sequences, w, why));
    TRY(head_ask(&s->head, &call));
    score_region(s, x, &call);
    return s->head.code;
}

void stage_draw(struct stage *s)
{
    part_weights_draw(&s->weights);
    numbers_draw(s->kv.memory, kv_pool_pages(&s->config, s->part, &s->capacity) * s->kv.page_bytes, s->kv.type == KV_F32);
}

void stage_pretend(struct stage *s, uint32_t slot, uint32_t rows)
{
    sequences_pretend(&s->sequences, slot, rows);
}

void stage_heed(struct stage *s, const atomic_bool *stop, atomic_ullong *steps)
{
    s->stop = stop;
    s->steps = steps;
}
