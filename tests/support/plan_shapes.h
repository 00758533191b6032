/* tests/support/plan_shapes.h — models without a file and what holds of every plan, for the two tests of the planner. */
#pragma once

#include "partition/plan/plan_json.h"
#include "tests/support/check.h"

static uint64_t seed = 88172645463325252ull;

static inline uint32_t dice(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 11) % n);
}

#define PROGRAM_BYTES (RUNTIME_BYTES + LOADING_BYTES) /* of a worker whose part is next to nothing */

#define LAYERS_MOST (STAGES_MOST + 1)
static struct tensor tensors[LAYERS_MOST * W_LAYER_ROLES + 2];

/* Part of every wish that is made here; invent() sets it back. */
static bool whole_head;

/* A model without a file: shapes from the config, types as asked. */
static inline struct model_shape invent(struct model_config c, uint32_t type, uint32_t head_type)
{
    struct part all = {0, c.layers, 0, HEAD_PARTS, false};
    whole_head = false;
    text_part_shape(&c, all, tensors);
    for (size_t i = 0; i < part_count(CHAIN_TEXT, all); i++) tensors[i].type = role_is_norm(tensors[i].role) ? T_F32 : type;
    struct tensor *last = &tensors[part_count(CHAIN_TEXT, all) - 2];
    last[1].type = head_type;
    return (struct model_shape){.config = c, .layer_tensors = tensors, .output_norm = last[0], .head = last[1]};
}

/* A plan that frees itself where it ends. */
#define PLAN __attribute__((cleanup(plan_free))) struct plan

/* `p` was a plan before, or zero. */
static inline int solve_wish(struct plan *p, const struct model_shape *m, const struct worker_offer *o, int workers, struct plan_wish *w,
                             struct err *why)
{
    plan_free(p);
    w->whole_head = whole_head;
    return plan_make(p, m, o, workers, w, why);
}

static inline int solve(struct plan *p, const struct model_shape *m, const struct worker_offer *o, int workers,
                        const struct capacity *cap, struct err *why)
{
    struct plan_wish w = {.capacity = *cap};
    return solve_wish(p, m, o, workers, &w, why);
}

static inline int solve_cuts(struct plan *p, const struct model_shape *m, const struct worker_offer *o, const struct cut *cuts, int workers,
                             const struct capacity *cap, struct err *why)
{
    struct plan_wish w = {.capacity = *cap, .cuts = cuts, .n_cuts = workers};
    return solve_wish(p, m, o, workers, &w, why);
}

/* A model whose head must stay in one piece. */
static inline struct model_shape invent_whole(struct model_config c, uint32_t type, uint32_t head_type)
{
    struct model_shape m = invent(c, type, head_type);
    whole_head = true;
    return m;
}

/* The head whole in the last stage. */
static inline int by_hand(struct plan *p, const struct model_shape *m, const struct worker_offer *o, const uint32_t *layers, int workers,
                   const struct capacity *cap, struct err *why)
{
    struct cut cuts[STAGES_MOST] = {0};
    for (int i = 0; i < workers; i++) cuts[i].layers = layers[i];
    cuts[workers - 1].parts = HEAD_PARTS;
    return solve_cuts(p, m, o, cuts, workers, cap, why);
}

static inline struct model_config small(uint32_t layers)
{
    return (struct model_config){.layers = layers, .hidden = 256, .ffn = 768, .heads = 4, .kv_heads = 2, .head_dim = 64,
                                 .window = 64, .pattern = 3, .context = 2048, .vocab = 1000, .rope_factor = 1};
}

static const struct model_config gemma_4b = {
    .layers = 34, .hidden = 2560, .ffn = 10240, .heads = 8, .kv_heads = 4, .head_dim = 256, .window = 1024,
    .pattern = 6, .context = 131072, .vocab = 262144, .rope_base_global = 1e6f, .rope_base_local = 1e4f,
    .rope_factor = 8, .norm_epsilon = 1e-6f, .attention_scale = 0.0625f,
};

/* Of a capacity: pages for all sequences at their longest, or no plan. */
#define ALL_BLOCKS UINT32_MAX

static const struct capacity usual = {4096, 4, 256, 4, ALL_BLOCKS, {0}};

static inline void name_offers(struct worker_offer *o, int n)
{
    for (int i = 0; i < n; i++) snprintf(o[i].name, sizeof o[i].name, "box-%d", i + 1);
}

/* All layers and all parts, each once and in order, and no worker that cannot be. */
static inline void check_all_there(const struct plan *p, const struct model_config *c)
{
    uint32_t layer = 0, part = 0;
    for (int i = 0; i < plan_stages(p); i++) {
        struct part s = p->of[i].part[CHAIN_TEXT];
        CHECK(text_part_possible(c, s), "worker %d cannot be", i + 1);
        CHECK(s.end > s.first || i == plan_stages(p) - 1, "worker %d has no layer", i + 1);
        CHECK(s.first == layer && (!part_has_head(s) || s.back == part), "worker %d begins elsewhere", i + 1);
        layer = s.end;
        if (part_has_head(s)) part = s.back_end;
    }
    CHECK(layer == c->layers && part == HEAD_PARTS, "%u layers, %u parts", layer, part);
}

static inline void check_whole(const struct plan *p, const struct model_config *c)
{
    check_all_there(p, c);
    CHECK(part_has_whole_head(p->of[plan_stages(p) - 1].part[CHAIN_TEXT]));
}

/* What the plan says of each stage is what the stage will take. */
static inline void check_bytes(const struct plan *p, const struct model_shape *m, const struct worker_offer *o)
{
    static struct tensor list[LAYERS_MOST * W_LAYER_ROLES + 2];
    for (int i = 0; i < plan_stages(p); i++) {
        const struct part s = p->of[i].part[CHAIN_TEXT];
        const size_t n = (size_t)(s.end - s.first) * W_LAYER_ROLES;
        text_part_shape(&m->config, s, list);
        memcpy(list, m->layer_tensors + s.first * W_LAYER_ROLES, n * sizeof *list);
        if (part_has_head(s)) list[n + 1].type = m->head.type;
        const struct part_bytes b = text_part_bytes(&m->config, s, list, &p->capacity, o[i].threads ? o[i].threads : 1);
        CHECK(!memcmp(&b, &p->of[i].bytes[CHAIN_TEXT], sizeof b), "stage %d: %llu planned, %llu taken", i + 1,
              (unsigned long long)p->of[i].bytes[CHAIN_TEXT].total, (unsigned long long)b.total);
    }
}
