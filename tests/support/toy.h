/* tests/support/toy.h — small models made of random numbers, and relays of stages to run them on.
 *
 * A toy needs no file: its tensors are random blocks of the format asked for, with scales that keep the sums tame.
 * Everything is a function of the seed. Functions are static because a test program is one file. */
#pragma once

#include "base/half.h"
#include "worker/stage/candidates.h"
#include "worker/stage/stage.h"

#include <stdlib.h>
#include <string.h>

struct toy {
    struct model_config config;
    size_t n;               /* tensors, as the part of the whole model lists them */
    struct tensor *tensors; /* with data */
};

/* Number formats of the matrices, by what they belong to. */
struct toy_types {
    uint32_t attention, ffn, down, head;
};

static uint64_t toy_random(uint64_t *state)
{
    return *state = hash_fold(*state, 1);
}

static float toy_float(uint64_t *state) /* -1..1 */
{
    return (float)(int32_t)(toy_random(state) >> 32) * 0x1p-31f;
}

/* 7 layers, 2 and 5 global, a window of 20. */
static struct model_config toy_config(void)
{
    return (struct model_config){.layers = 7, .hidden = 256, .ffn = 288, .heads = 4, .kv_heads = 2, .head_dim = 64,
                                 .window = 20, .pattern = 3, .context = 4096, .vocab = 333, .rope_base_global = 1e6f,
                                 .rope_base_local = 1e4f, .rope_factor = 8, .norm_epsilon = 1e-6f,
                                 .attention_scale = 0.125f};
}

static void put_half(uint8_t *at, float f)
{
    uint16_t h = f32_to_f16(f);
    memcpy(at, &h, 2);
}

/* Random bytes are good quants; only the floats of a block need care. */
static void toy_block(uint32_t type, uint8_t *b, uint32_t bytes, uint64_t *state)
{
    float d = 0.01f * (1.5f + toy_float(state));
    for (uint32_t i = 0; i < bytes; i++) b[i] = (uint8_t)(toy_random(state) >> 40);
    switch (type) {
    case T_F32: memcpy(b, &(float){0.1f * toy_float(state)}, 4); break;
    case T_F16: put_half(b, 0.1f * toy_float(state)); break;
    case T_BF16: memcpy(b, &(uint16_t){f32_to_bf16(0.1f * toy_float(state))}, 2); break;
    case T_Q4_1: put_half(b, d), put_half(b + 2, -7 * d); break;
    case T_Q5_1: put_half(b, d / 2), put_half(b + 2, -8 * d); break;
    case T_Q5_0: put_half(b, d / 2); break;
    case T_Q8_0: put_half(b, d / 16); break;
    case T_Q4_K: put_half(b, d / 32), put_half(b + 2, d / 8); break;
    case T_Q5_K: put_half(b, d / 64), put_half(b + 2, d / 8); break;
    case T_Q6_K: put_half(b + 208, d / 400); break;
    default: put_half(b, d);
    }
}

static uint8_t *toy_matrix(const struct tensor *t, uint64_t *state)
{
    const struct block_info *info = block_info(t->type);
    uint64_t bytes = block_row_bytes(t->type, t->cols) * t->rows;
    uint8_t *data = malloc(bytes);
    for (uint64_t at = 0; data && at < bytes; at += info->bytes) {
        toy_block(t->type, data + at, info->bytes, state);
        if (role_is_norm(t->role)) memcpy(data + at, &(float){1 + 0.2f * toy_float(state)}, 4);
    }
    return data;
}

static struct toy *toy_make(struct model_config config, struct toy_types types, uint64_t seed)
{
    const struct part whole = {0, config.layers, 0, HEAD_PARTS, false};
    struct toy *toy = malloc(sizeof *toy);
    *toy = (struct toy){config, part_count(CHAIN_TEXT, whole), calloc(part_count(CHAIN_TEXT, whole), sizeof *toy->tensors)};
    text_part_shape(&config, whole, toy->tensors);
    for (size_t i = 0; i < toy->n; i++) {
        struct tensor *t = &toy->tensors[i];
        if (role_is_norm(t->role)) t->type = T_F32;
        else if (t->role == W_HEAD) t->type = types.head;
        else if (t->role == W_DOWN) t->type = types.down;
        else t->type = t->role == W_GATE || t->role == W_UP ? types.ffn : types.attention;
        t->data = toy_matrix(t, &seed);
    }
    return toy;
}

static inline struct toy *toy_small(void)
{
    return toy_make(toy_config(), (struct toy_types){T_Q4_0, T_Q4_0, T_Q4_0, T_Q8_0}, 7);
}

static void toy_free(struct toy *toy)
{
    for (size_t i = 0; i < toy->n; i++) free((void *)toy->tensors[i].data);
    free(toy->tensors);
    free(toy);
}

/* The row a token id enters with. */
static void toy_embed(const struct toy *toy, uint32_t id, float *row)
{
    uint64_t state = hash_fold(99, id);
    for (uint32_t i = 0; i < toy->config.hidden; i++) row[i] = 2 * toy_float(&state);
}

/* The model cut into stages: `cuts` says after how many layers each ends ("3,7"). The last one has the head, and
 * "7,7" makes the head stand alone; or `parts` says how many parts of it each has ("3,0,13"). */
struct relay_plan {
    const char *cuts;
    struct capacity capacity;
    int threads;
    const char *isa; /* NULL: the best, or what GEMMAPIPE_ISA forces */
    const char *parts;
};

struct relay {
    const struct toy *toy;
    struct capacity capacity;
    int n;
    struct stage *stages[16];
    struct part parts[16];
    struct work *work;
    struct result *result;
    float *x;
    uint64_t *hashes; /* [sequences][context]: of each position's scores */
    float *scores;    /* [vocab]: the last row's */
};

static int relay_take(void *user, uint32_t slot, uint32_t position, const float *scores, uint32_t n, uint64_t hash,
                      struct err *why)
{
    struct relay *r = user;
    if (hash != scores_hash(scores, n)) return fail(why, E_INTERNAL, "the hash is not that of the scores");
    r->hashes[(size_t)slot * r->capacity.context + position] = hash;
    memcpy(r->scores, scores, n * sizeof *scores);
    return 0;
}

/* Pieces of 16 rows and what is left, as they would come over a wire. */
static int relay_load(struct stage *s, uint32_t index, const struct tensor *t, struct err *why)
{
    for (uint32_t row = 0; row < t->rows; row += 16) {
        uint32_t n = t->rows - row < 16 ? t->rows - row : 16;
        TRY(stage_load(s, index, row, n, t->data + row * block_row_bytes(t->type, t->cols), why));
    }
    return 0;
}

/* Tests run beside each other, and teams that spin while they wait take a core from one another. */
static struct stage_plan_in relay_stage(const struct toy *toy, struct part part, const struct relay_plan *plan)
{
    return (struct stage_plan_in){toy->config, part, plan->capacity,
                                  toy->tensors + (size_t)part.first * W_LAYER_ROLES, plan->threads, .crowded = true};
}

/* The part's own tensors: where it has parts of the head only, these lie elsewhere. */
static struct tensor *relay_tensors(const struct toy *toy, struct part part)
{
    struct tensor *list = calloc(part_count(CHAIN_TEXT, part) + 1, sizeof *list);
    size_t layers = (size_t)(part.end - part.first) * W_LAYER_ROLES;
    memcpy(list, toy->tensors + (size_t)part.first * W_LAYER_ROLES, layers * sizeof *list);
    if (!part_has_head(part)) return list;
    list[layers] = toy->tensors[toy->n - 2];
    list[layers + 1] = toy->tensors[toy->n - 1];
    list[layers + 1].data += part_first_word(&toy->config, part) * block_row_bytes(list[layers + 1].type, list[layers + 1].cols);
    list[layers + 1].rows = part_words(&toy->config, part);
    return list;
}

static int relay_add_stage(struct relay *r, struct part part, const struct relay_plan *plan, struct err *why)
{
    struct kernels k;
    struct tensor *own = relay_tensors(r->toy, part);
    struct stage_plan_in in = relay_stage(r->toy, part, plan);
    in.tensors = own;
    int code = plan->isa ? kernels_named(&k, plan->isa, why) : kernels_choose(&k, why);
    if (!code) code = stage_open(&r->stages[r->n], &in, &k, why);
    r->parts[r->n] = part;
    struct stage *s = r->stages[r->n++];
    for (size_t i = 0; i < part_count(CHAIN_TEXT, part) && !code; i++) code = relay_load(s, (uint32_t)i, &own[i], why);
    free(own);
    return code ? code : stage_loaded(s, why);
}

static int relay_open(struct relay **out, const struct toy *toy, const struct relay_plan *plan, struct err *why)
{
    struct relay *r = *out = calloc(1, sizeof *r);
    r->toy = toy;
    r->capacity = plan->capacity;
    r->work = calloc(1, sizeof *r->work);
    r->result = calloc(1, sizeof *r->result);
    r->x = calloc((size_t)plan->capacity.rows * toy->config.hidden, sizeof *r->x);
    r->hashes = calloc((size_t)plan->capacity.sequences * plan->capacity.context, sizeof *r->hashes);
    r->scores = calloc(toy->config.vocab, sizeof *r->scores);
    struct part part = {0, 0, 0, 0, false};
    for (const char *p = plan->cuts, *parts = plan->parts; *p;) {
        char *next;
        part.end = (uint32_t)strtoul(p, &next, 10);
        p = *next ? next + 1 : next;
        if (parts) part.back_end = part.back + (uint32_t)strtoul(parts, &next, 10), parts = next + 1;
        else part.back_end = *p ? 0 : HEAD_PARTS;
        TRY(relay_add_stage(r, part, plan, why));
        part.first = part.end;
        part.back = part.back_end;
    }
    return 0;
}

static void relay_close(struct relay **relay)
{
    struct relay *r = *relay;
    *relay = NULL;
    if (!r) return;
    for (int i = 0; i < r->n; i++) stage_close(&r->stages[i]);
    free(r->work);
    free(r->result);
    free(r->x);
    free(r->hashes);
    free(r->scores);
    free(r);
}

/* Embeds the rows of r->work and sends them through all stages. */
static int relay_run(struct relay *r, struct err *why)
{
    for (uint32_t i = 0; i < r->work->n_rows && i < r->capacity.rows; i++)
        toy_embed(r->toy, r->work->rows[i].id, r->x + (size_t)i * r->toy->config.hidden);
    for (int i = 0; i < r->n; i++) {
        const bool answers = i == r->n - 1 && part_has_whole_head(r->parts[i]);
        TRY(stage_run(r->stages[i], r->work, r->x, answers ? r->result : NULL, relay_take, r, why));
    }
    return 0;
}

/* A sequence being fed; its ids are a function of the seed. */
struct feed {
    uint32_t slot, position;
    uint64_t history, seed;
};

static inline struct feed feed_new(uint32_t slot, uint64_t seed)
{
    return (struct feed){slot, 0, HISTORY_EMPTY, seed};
}

static void work_clear(struct relay *r)
{
    r->work->n_segments = r->work->n_rows = 0;
    r->work->cols = r->toy->config.hidden;
    r->work->batch++;
}

#define WANT_TOKEN (1u << 31) /* among the flags of work_add: a token after the last row */

/* Adds the next `rows` of a feed to the micro-batch; position 0 starts the slot anew. */
static struct segment *work_add(struct relay *r, struct feed *f, uint32_t rows, uint32_t flags)
{
    struct work *w = r->work;
    struct segment *g = &w->segments[w->n_segments++];
    *g = (struct segment){.slot = f->slot, .position = f->position, .rows = rows, .history = f->history,
                          .flags = (flags & ~WANT_TOKEN) | (f->position ? 0 : SEG_START), .wanted = flags & WANT_TOKEN ? 1 : 0,
                          .request = f->seed,
                          .sampling = {.top_p = 1, .repeat_penalty = 1}};
    for (uint32_t i = 0; i < rows; i++, f->position++) {
        uint32_t id = (uint32_t)(hash_fold(f->seed, f->position) % r->toy->config.vocab);
        w->rows[w->n_rows++] = (struct row){id, f->position};
        f->history = history_after(f->history, id);
    }
    return g;
}

static inline int relay_feed_flags(struct relay *r, struct feed *f, uint32_t rows, uint32_t step, uint32_t flags, struct err *why)
{
    while (rows) {
        uint32_t n = rows < step ? rows : step;
        work_clear(r);
        work_add(r, f, n, flags);
        TRY(relay_run(r, why));
        rows -= n;
    }
    return 0;
}

/* The next `rows` of one feed, `step` at a time, all scores wanted. */
static inline int relay_feed(struct relay *r, struct feed *f, uint32_t rows, uint32_t step, struct err *why)
{
    return relay_feed_flags(r, f, rows, step, SEG_WANT_LOGITS, why);
}

/* One number for all scores of positions 0..n-1 of a slot. */
static inline uint64_t relay_fingerprint(const struct relay *r, uint32_t slot, uint32_t n)
{
    return hash64(r->hashes + (size_t)slot * r->capacity.context, n * sizeof *r->hashes);
}
