/* tests/unit/plan_test.c — the planner against every split there is, against memory caps, and on real shapes. */
#include "partition/cost.h"
#include "partition/plan_json.h"
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

static uint64_t seed = 88172645463325252ull;

static uint32_t dice(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 11) % n);
}

#define LAYERS_MOST 64
static struct tensor tensors[LAYERS_MOST * W_LAYER_ROLES + 2];

/* A model without a file: shapes from the config, types as asked. */
static struct model_shape invent(struct model_config c, uint32_t type, uint32_t head_type)
{
    struct share all = {0, c.layers, 0, HEAD_PARTS};
    share_shape(&c, all, tensors);
    for (size_t i = 0; i < share_count(all); i++) tensors[i].type = role_is_norm(tensors[i].role) ? T_F32 : type;
    struct tensor *last = &tensors[share_count(all) - 2];
    last[1].type = head_type;
    return (struct model_shape){.config = c, .layer_tensors = tensors, .output_norm = last[0], .head = last[1]};
}

/* The same, its head in one piece. */
static struct model_shape invent_whole(struct model_config c, uint32_t type, uint32_t head_type)
{
    struct model_shape m = invent(c, type, head_type);
    m.whole_head = true;
    return m;
}

/* The head whole in the last stage. */
static int by_hand(struct plan *p, const struct model_shape *m, const struct worker_offer *o, const uint32_t *layers, int workers,
                   const struct capacity *cap, struct err *why)
{
    struct cut cuts[MAX_STAGES] = {0};
    for (int i = 0; i < workers; i++) cuts[i].layers = layers[i];
    cuts[workers - 1].parts = HEAD_PARTS;
    return plan_by_hand(p, m, o, cuts, workers, cap, why);
}

static struct model_config small(uint32_t layers)
{
    return (struct model_config){.layers = layers, .hidden = 256, .ffn = 768, .heads = 4, .kv_heads = 2, .head_dim = 64,
                                 .window = 64, .pattern = 3, .context = 2048, .vocab = 1000, .rope_factor = 1};
}

static const struct model_config gemma_4b = {
    .layers = 34, .hidden = 2560, .ffn = 10240, .heads = 8, .kv_heads = 4, .head_dim = 256, .window = 1024,
    .pattern = 6, .context = 131072, .vocab = 262144, .rope_base_global = 1e6f, .rope_base_local = 1e4f,
    .rope_factor = 8, .norm_epsilon = 1e-6f, .attention_scale = 0.0625f,
};

static const struct capacity usual = {4096, 4, 256, 4};

static void name_offers(struct worker_offer *o, int n)
{
    for (int i = 0; i < n; i++) snprintf(o[i].name, sizeof o[i].name, "box-%d", i + 1);
}

/* Every split by hand; the best by (slowest, sum of squares). False if none fits. */
static bool exhaust(const struct model_shape *m, const struct worker_offer *o, int workers, const struct capacity *cap,
                    int at, uint32_t left, uint32_t *layers, double *slowest, double *sum)
{
    if (at < workers - 1) {
        bool any = false;
        for (uint32_t n = 1; n <= left; n++) {
            layers[at] = n;
            any |= exhaust(m, o, workers, cap, at + 1, left - n, layers, slowest, sum);
        }
        return any;
    }
    layers[at] = left;
    struct plan p;
    if (by_hand(&p, m, o, layers, workers, cap, NULL)) return false;
    double t = 0, q = 0;
    for (int i = 0; i < workers; i++) {
        double e = p.stage[i].expected;
        q += e * e;
        if (e > t) t = e;
    }
    if (t < *slowest * (1 - 1e-12) || (t <= *slowest * (1 + 1e-12) && q < *sum)) *slowest = t, *sum = q;
    return true;
}

/* All layers and all parts, each once and in order, and no worker that cannot be. */
static void check_all_there(const struct plan *p, const struct model_config *c)
{
    uint32_t layer = 0, part = 0;
    for (int i = 0; i < p->stages; i++) {
        struct share s = p->stage[i].share;
        CHECK(share_can_be(c, s), "worker %d cannot be", i + 1);
        CHECK(s.end > s.first || i == p->stages - 1, "worker %d has no layer", i + 1);
        CHECK(s.first == layer && (!share_has_head(s) || s.part == part), "worker %d begins elsewhere", i + 1);
        layer = s.end;
        if (share_has_head(s)) part = s.part_end;
    }
    CHECK(layer == c->layers && part == HEAD_PARTS, "%u layers, %u parts", layer, part);
}

static void check_whole(const struct plan *p, const struct model_config *c)
{
    check_all_there(p, c);
    CHECK(share_has_whole_head(p->stage[p->stages - 1].share));
}

/* What the plan says of each stage is what the stage will take. */
static void check_bytes(const struct plan *p, const struct model_shape *m, const struct worker_offer *o)
{
    static struct tensor list[LAYERS_MOST * W_LAYER_ROLES + 2];
    for (int i = 0; i < p->stages; i++) {
        const struct share s = p->stage[i].share;
        const size_t n = (size_t)(s.end - s.first) * W_LAYER_ROLES;
        share_shape(&m->config, s, list);
        memcpy(list, m->layer_tensors + s.first * W_LAYER_ROLES, n * sizeof *list);
        if (share_has_head(s)) list[n + 1].type = m->head.type;
        const struct stage_bytes b = stage_bytes(&m->config, s, list, &p->capacity, o[i].threads ? o[i].threads : 1);
        CHECK(!memcmp(&b, &p->stage[i].bytes, sizeof b), "stage %d: %llu planned, %llu taken", i + 1,
              (unsigned long long)p->stage[i].bytes.total, (unsigned long long)b.total);
    }
}

TEST(no_split_is_better_than_the_planners)
{
    struct worker_offer o[5] = {0};
    name_offers(o, 5);
    int fitted = 0, refused = 0;
    for (int round = 0; round < 400; round++) {
        struct model_config c = small(1 + dice(9));
        struct model_shape m = invent_whole(c, dice(2) ? T_Q4_0 : T_Q8_0, dice(2) ? T_Q6_K : T_F16);
        int workers = 1 + (int)dice(c.layers + 1 < 5 ? c.layers + 1 : 5);
        struct capacity cap = {64 + dice(1000), 1 + dice(16), 1 + dice(64), 1 + (uint32_t)workers};
        for (int i = 0; i < workers; i++) {
            o[i].speed = dice(3) ? 1 : 0.25 + dice(8) / 4.0;
            o[i].threads = 1 + (int)dice(3);
            o[i].memory = dice(3) ? 0 : (22ull << 20) + dice(8u << 20);
        }
        struct plan p;
        uint32_t layers[5];
        double slowest = INFINITY, sum = INFINITY;
        bool any = exhaust(&m, o, workers, &cap, 0, c.layers, layers, &slowest, &sum);
        int rc = plan_solve(&p, &m, o, workers, &cap, NULL);
        CHECK(any ? rc == 0 : rc == E_MEMORY, "round %d: solver says %d, search says %d", round, rc, any);
        refused += rc != 0;
        if (rc) continue;
        fitted++;
        check_whole(&p, &c);
        double t = 0, q = 0;
        for (int i = 0; i < workers; i++) {
            double e = p.stage[i].expected;
            q += e * e;
            if (e > t) t = e;
            CHECK(!o[i].memory || p.stage[i].bytes.total <= o[i].memory);
        }
        CHECK(fabs(t - slowest) <= 1e-9 * t, "round %d: %g, best is %g", round, t, slowest);
        CHECK(q <= sum * (1 + 1e-9), "round %d: squares %g, best is %g", round, q, sum);
    }
    CHECK(fitted > 100 && refused > 30, "%d fitted, %d were refused: the test tests little", fitted, refused);
}

TEST(a_4b_model_with_a_whole_q6_head_on_three_workers)
{
    struct model_shape m = invent_whole(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[3] = {{"a", 0, 1, 4, 0}, {"b", 0, 1, 4, 0}, {"c", 0, 1, 4, 0}};
    struct plan p;
    NEED(plan_solve(&p, &m, o, 3, &usual, why));
    check_whole(&p, &gemma_4b);
    uint32_t first = p.stage[0].share.end, second = p.stage[1].share.end - first, third = 34 - first - second;
    CHECK(first >= 14 && first <= 17 && second >= 14 && second <= 17 && third >= 1 && third <= 6, "%u,%u,%u", first,
          second, third);
    struct item_work layer = layer_work(&m, 0, 0), head = head_work(&m, (struct share){0, 0, 0, HEAD_PARTS});
    CHECK(head.macs / layer.macs > 7 && head.macs / layer.macs < 7.2, "%g", head.macs / layer.macs);
    CHECK(head.bytes / layer.bytes > 10 && head.bytes / layer.bytes < 14, "%g", head.bytes / layer.bytes);
    double mean = (p.stage[0].expected + p.stage[1].expected + p.stage[2].expected) / 3;
    for (int i = 0; i < 3; i++)
        CHECK(p.stage[i].expected < 1.05 * mean, "stage %d takes %g of the mean", i, p.stage[i].expected / mean);
}

TEST(one_sequence_alone_is_planned_by_its_prompt)
{
    struct model_shape m = invent_whole(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[2] = {{"a", 0, 1, 4, 0}, {"b", 0, 1, 4, 0}};
    struct capacity cap = usual;
    struct plan many, one;
    NEED(plan_solve(&many, &m, o, 2, &cap, why));
    cap.sequences = 1;
    NEED(plan_solve(&one, &m, o, 2, &cap, why));
    CHECK(many.stage[0].share.end > 20, "the head is read for each token: %u", many.stage[0].share.end);
    CHECK(one.stage[0].share.end == 17, "the head has one row of a prompt: %u", one.stage[0].share.end);
}

/* Every split of layers and parts by hand: what is best by the three goals, and among splits with the head whole and last. */
struct goals {
    double slowest, second, sum;
};

/* Parts 0..16 cut in front of `workers` workers in all ways, for one cut of the layers. */
static bool next_parts(uint32_t *begin, int workers)
{
    for (int i = 1; i < workers; i++) {
        const uint32_t most = i + 1 < workers ? begin[i + 1] : HEAD_PARTS;
        if (begin[i] == most) continue;
        begin[i]++;
        for (int k = 1; k < i; k++) begin[k] = 0;
        return true;
    }
    return false;
}

/* False at the end. All but the last have a layer. */
static bool next_layers(uint32_t *end, int workers)
{
    for (int i = 0; i + 1 < workers; i++) {
        const uint32_t most = i + 2 < workers ? end[i + 1] - 1 : end[i + 1];
        if (end[i] == most) continue;
        end[i]++;
        for (int k = 0; k < i; k++) end[k] = (uint32_t)k + 1;
        return true;
    }
    return false;
}

static struct goals goals_of(const struct plan *p, const struct model_shape *m, const struct worker_offer *o)
{
    struct goals g = {0, 0, 0};
    for (int i = 0; i < p->stages; i++) {
        const struct share s = p->stage[i].share;
        const bool alone = prompts_decide(&p->capacity);
        double second = alone ? decode_seconds(m, (struct share){0, 0, s.part, s.part_end}, &p->capacity)
                              : prefill_seconds(m, (struct share){s.first, s.end, 0, 0}, &p->capacity);
        second /= offer_power(&o[i]);
        if (p->stage[i].expected > g.slowest) g.slowest = p->stage[i].expected;
        if (second > g.second) g.second = second;
        g.sum += p->stage[i].expected * p->stage[i].expected;
    }
    return g;
}

struct tried {
    struct goals divided, whole;
    bool any, any_whole;
};

/* One more pass over all splits: a goal's best among those that the goals before left. */
static void try_all(struct tried *t, int goal, const struct model_shape *m, const struct worker_offer *o, int workers,
                    const struct capacity *cap)
{
    uint32_t end[4] = {1, 2, 3, 4}, begin[4] = {0};
    end[workers - 1] = m->config.layers;
    do {
        memset(begin, 0, sizeof begin);
        do {
            struct cut cuts[4];
            struct plan p;
            for (int i = 0; i < workers; i++)
                cuts[i] = (struct cut){end[i] - (i ? end[i - 1] : 0), (i + 1 < workers ? begin[i + 1] : HEAD_PARTS) - begin[i]};
            if (plan_by_hand(&p, m, o, cuts, workers, cap, NULL)) continue;
            const struct goals g = goals_of(&p, m, o);
            const bool whole = cuts[workers - 1].parts == HEAD_PARTS;
            t->any = true, t->any_whole |= whole;
            if (goal == 0 && g.slowest < t->divided.slowest) t->divided.slowest = g.slowest;
            if (goal == 0 && whole && g.slowest < t->whole.slowest) t->whole.slowest = g.slowest;
            const bool fast = g.slowest <= t->divided.slowest * 1.02 * (1 + 1e-9);
            if (goal == 1 && fast && g.second < t->divided.second) t->divided.second = g.second;
            if (goal == 2 && fast && g.second <= t->divided.second * (1 + 1e-9) && g.sum < t->divided.sum) t->divided.sum = g.sum;
        } while (next_parts(begin, workers));
    } while (next_layers(end, workers));
}

TEST(no_division_of_the_head_is_better_than_the_planners)
{
    struct worker_offer o[3] = {0};
    int divided = 0, whole = 0, refused = 0, forced = 0;
    name_offers(o, 3);
    for (int round = 0; round < 120; round++) {
        struct model_config c = small(2 + dice(4));
        const int workers = 2 + !(round % 8);
        c.vocab = 1 + dice(dice(2) ? 60000 : 600);
        struct model_shape m = invent(c, dice(2) ? T_Q4_0 : T_Q8_0, dice(2) ? T_Q6_K : T_F16);
        struct capacity cap = {64 + dice(1000), dice(2) ? 1 : 1 + dice(16), 1 + dice(64), 1 + (uint32_t)workers};
        for (int i = 0; i < workers; i++) {
            o[i].speed = dice(3) ? 1 : 0.25 + dice(8) / 4.0;
            o[i].threads = 1 + (int)dice(3);
            o[i].memory = dice(2) ? 0 : (22ull << 20) + dice(c.vocab > 20000 ? 24u << 20 : 3u << 20);
        }
        const struct goals none = {INFINITY, INFINITY, INFINITY};
        struct tried t = {none, none, false, false};
        struct plan p;
        for (int goal = 0; goal < 3; goal++) try_all(&t, goal, &m, o, workers, &cap);
        const int rc = plan_solve(&p, &m, o, workers, &cap, NULL);
        CHECK(t.any ? rc == 0 : rc == E_MEMORY, "round %d: solver says %d, search says %d", round, rc, t.any);
        refused += rc != 0;
        if (rc) continue;
        check_all_there(&p, &c);
        check_bytes(&p, &m, o);
        for (int i = 0; i < workers; i++) CHECK(!o[i].memory || p.stage[i].bytes.total <= o[i].memory);
        const struct goals g = goals_of(&p, &m, o);
        if (share_has_whole_head(p.stage[workers - 1].share) && t.any_whole) {
            whole++;
            CHECK(g.slowest <= t.whole.slowest * (1 + 1e-9), "round %d", round);
            continue;
        }
        divided++, forced += !t.any_whole;
        CHECK(g.slowest <= t.divided.slowest * 1.02 * (1 + 1e-9), "round %d: %g, best is %g", round, g.slowest, t.divided.slowest);
        CHECK(g.second <= t.divided.second * (1 + 1e-6), "round %d: %g, best is %g", round, g.second, t.divided.second);
        CHECK(g.sum <= t.divided.sum * (1 + 1e-6), "round %d: squares %g, best is %g", round, g.sum, t.divided.sum);
        if (t.any_whole) /* then it was worth it */
            CHECK(t.whole.slowest - g.slowest > 199e-6 || g.slowest <= t.whole.slowest * 1.02 * (1 + 1e-9), "round %d", round);
    }
    CHECK(divided > 20 && whole > 20 && refused > 10 && forced > 3, "%d divided, %d of them forced, %d whole, %d refused", divided,
          forced, whole, refused);
}

TEST(two_workers_of_a_4b_model_halve_its_head)
{
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[2] = {{"a", 0, 1, 4, 0}, {"b", 0, 1, 4, 0}};
    for (uint32_t sequences = 1; sequences <= 16; sequences *= 4) {
        struct capacity cap = {4096, sequences, 256, 3};
        struct plan p;
        NEED(plan_solve(&p, &m, o, 2, &cap, why));
        const struct share a = p.stage[0].share, b = p.stage[1].share;
        check_all_there(&p, &gemma_4b);
        check_bytes(&p, &m, o);
        CHECK(a.end == 17 && a.part_end == 8 && b.part == 8, "%u sequences: %u layers, %u parts", sequences, a.end, a.part_end);
    }
}

TEST(no_worker_needs_room_for_the_whole_head)
{
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[7] = {0};
    struct plan p;
    struct err no = {0};
    name_offers(o, 7);
    for (int i = 0; i < 7; i++) o[i].memory = 560ull << 20; /* the head alone has 546 and is not all that a stage needs */
    NEED(plan_solve(&p, &m, o, 7, &usual, why));
    check_all_there(&p, &gemma_4b);
    check_bytes(&p, &m, o);
    for (int i = 0; i < 7; i++) CHECK(p.stage[i].bytes.total <= o[i].memory, "worker %d", i + 1);
    m.whole_head = true;
    CHECK(plan_solve(&p, &m, o, 7, &usual, &no) == E_MEMORY && strstr(no.text, "but the head with"), "%s", no.text);
    m.whole_head = false;
    CHECK(plan_solve(&p, &m, o, 4, &usual, &no) == E_MEMORY && strstr(no.text, "worker 4"), "%s", no.text);
}

/* The layers one after the other, but the parts of the head at once. */
TEST(an_answer_alone_waits_for_the_largest_part_only)
{
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[2] = {{"a", 0, 1, 1, 0}, {"b", 0, 1, 2, 0}};
    const struct capacity alone = {4096, 1, 256, 3};
    struct plan p;
    NEED(plan_by_hand(&p, &m, o, (struct cut[]){{17, 6}, {17, 10}}, 2, &alone, why));
    const double layers = decode_seconds(&m, (struct share){0, 17, 0, 0}, &alone) + decode_seconds(&m, (struct share){17, 34, 0, 0}, &alone) / 2;
    const double six = decode_seconds(&m, (struct share){0, 0, 0, 6}, &alone), ten = decode_seconds(&m, (struct share){0, 0, 6, 16}, &alone) / 2;
    CHECK(six > ten && fabs(lap_seconds(&m, &p, o, &alone) / (layers + six) - 1) < 1e-9, "%g", lap_seconds(&m, &p, o, &alone));
}

TEST(a_head_that_is_small_or_alone_stays_whole)
{
    struct model_shape m = invent(small(9), T_Q4_0, T_Q6_K);
    struct worker_offer o[3] = {{"a", 0, 1, 1, 0}, {"b", 0, 1, 1, 0}, {"c", 0, 1, 1, 0}};
    struct plan p;
    NEED(plan_solve(&p, &m, o, 3, &usual, why));
    check_whole(&p, &m.config);
    m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    NEED(plan_solve(&p, &m, o, 1, &usual, why));
    check_whole(&p, &m.config);
    m.whole_head = true;
    NEED(plan_solve(&p, &m, o, 2, &usual, why));
    check_whole(&p, &m.config);
}

TEST(the_most_workers_are_planned_in_no_time)
{
    struct model_config c = gemma_4b;
    c.layers = 62;
    struct model_shape m = invent(c, T_Q4_0, T_Q6_K);
    struct worker_offer o[MAX_STAGES] = {0};
    for (int n = 2; n <= MAX_STAGES; n = n < 32 ? n * 2 : n < 60 ? n + 15 : n + 1) {
        struct plan p;
        for (int i = 0; i < n; i++) o[i].speed = 1 + i % 3, o[i].memory = 3ull << 30;
        const clock_t begun = clock();
        NEED(plan_solve(&p, &m, o, n, &usual, why));
        const double seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
        check_all_there(&p, &c);
        CHECK(seconds < 10, "%d workers took %g s", n, seconds); /* sanitizers count; without them a tenth of a second */
        if (getenv("SHOW")) printf("%d workers: %.3f s\n", n, seconds);
    }
}

TEST(equal_layers_are_dealt_evenly_and_the_first_get_the_rest)
{
    struct model_config c = small(34);
    c.window = 0;
    struct model_shape m = invent(c, T_Q4_0, T_Q4_0);
    m.config.vocab = m.head.rows = 1; /* weighs nothing */
    struct worker_offer o[3] = {{"a", 0, 1, 1, 0}, {"b", 0, 1, 1, 0}, {"c", 0, 1, 1, 0}};
    struct plan p;
    NEED(plan_solve(&p, &m, o, 3, &usual, why));
    CHECK(p.stage[0].share.end == 12 && p.stage[1].share.end == 23, "%u,%u", p.stage[0].share.end,
          p.stage[1].share.end);
}

TEST(a_worker_twice_as_fast_gets_twice_the_work)
{
    struct model_config c = small(30);
    c.window = 0; /* all layers alike */
    struct model_shape m = invent(c, T_Q4_0, T_Q4_0);
    m.config.vocab = m.head.rows = 1;
    struct worker_offer o[2] = {{"slow", 0, 1, 1, 0}, {"fast", 0, 1, 2, 0}};
    struct plan p;
    NEED(plan_solve(&p, &m, o, 2, &usual, why));
    CHECK(p.stage[0].share.end == 10, "%u layers", p.stage[0].share.end);
    o[1].threads = 1, o[1].speed = 2;
    NEED(plan_solve(&p, &m, o, 2, &usual, why));
    CHECK(p.stage[0].share.end == 10, "%u layers", p.stage[0].share.end);
}

TEST(a_small_worker_gets_what_fits_and_the_others_the_rest)
{
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[3] = {{"a", 700ull << 20, 1, 4, 0}, {"b", 0, 1, 4, 0}, {"c", 0, 1, 4, 0}};
    struct plan p;
    NEED(plan_solve(&p, &m, o, 3, &usual, why));
    CHECK(p.stage[0].bytes.total <= 700ull << 20 && p.stage[0].share.end >= 4 && p.stage[0].share.end < 14);
}

TEST(a_refusal_names_the_worker_and_the_missing_bytes)
{
    struct model_shape m = invent_whole(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[3] = {{"ant", 600ull << 20, 1, 4, 0}, {"bee", 600ull << 20, 1, 4, 0}, {"cat", 1ull << 30, 1, 4, 0}};
    struct plan p;
    struct err no = {0};
    CHECK(plan_solve(&p, &m, o, 3, &usual, &no) == E_MEMORY);
    CHECK(strstr(no.text, "worker 3 (cat) may use 1.00 GiB") && strstr(no.text, "are missing"), "%s", no.text);
    CHECK(strstr(no.text, "together the workers offer 2.17 GiB and the plan wants"), "%s", no.text);
    CHECK(strstr(no.text, "and the head"), "%s", no.text);
    uint32_t layers[3] = {20, 10, 4};
    CHECK(by_hand(&p, &m, o, layers, 3, &usual, &no) == E_MEMORY);
    CHECK(strstr(no.text, "worker 1 (ant) may use 600.00 MiB, but layers 0-19"), "%s", no.text);
}

TEST(more_workers_than_work_are_refused_with_the_number_that_can_be_used)
{
    struct model_shape m = invent(small(3), T_Q4_0, T_Q4_0);
    struct worker_offer o[MAX_STAGES + 1] = {0};
    struct plan p;
    struct err no = {0};
    CHECK(plan_solve(&p, &m, o, 5, &usual, &no) == E_USAGE && strstr(no.text, "at most 4"), "%s", no.text);
    NEED(plan_solve(&p, &m, o, 4, &usual, why));
    CHECK(share_has_head(p.stage[3].share) && p.stage[3].share.first == 3 && p.stage[3].share.end == 3);
    CHECK(plan_solve(&p, &m, o, 0, &usual, &no) == E_USAGE);
    struct capacity none = usual;
    none.sequences = 0;
    CHECK(plan_solve(&p, &m, o, 1, &none, &no) == E_USAGE);
    m = invent(small(64), T_Q4_0, T_Q4_0);
    CHECK(plan_solve(&p, &m, o, MAX_STAGES + 1, &usual, &no) == E_USAGE && strstr(no.text, "at most 63"), "%s",
          no.text);
}

TEST(a_split_by_hand_must_place_every_layer_once)
{
    struct model_shape m = invent(small(6), T_Q4_0, T_Q4_0);
    struct worker_offer o[3] = {0};
    struct plan p;
    struct err no = {0};
    NEED(by_hand(&p, &m, o, (uint32_t[]){3, 3, 0}, 3, &usual, why));
    check_whole(&p, &m.config);
    CHECK(by_hand(&p, &m, o, (uint32_t[]){3, 2, 0}, 3, &usual, &no) == E_USAGE && strstr(no.text, "5"), "%s",
          no.text);
    CHECK(by_hand(&p, &m, o, (uint32_t[]){3, 0, 3}, 3, &usual, &no) == E_USAGE && strstr(no.text, "worker 2"));
    CHECK(by_hand(&p, &m, o, (uint32_t[]){7, 1, 1}, 3, &usual, &no) == E_USAGE && strstr(no.text, "6"), "%s",
          no.text);
    CHECK(by_hand(&p, &m, o, (uint32_t[]){UINT32_MAX, UINT32_MAX, 8}, 3, &usual, &no) == E_USAGE);
}

TEST(a_head_divided_by_hand)
{
    struct model_shape m = invent(small(6), T_Q4_0, T_Q4_0);
    struct worker_offer o[3] = {0};
    struct plan p, whole;
    struct err no = {0};
    NEED(plan_by_hand(&p, &m, o, (struct cut[]){{3, 5}, {3, 0}, {0, 11}}, 3, &usual, why));
    check_all_there(&p, &m.config);
    check_bytes(&p, &m, o);
    NEED(plan_by_hand(&whole, &m, o, (struct cut[]){{3, 0}, {3, 0}, {0, 16}}, 3, &usual, why));
    CHECK(p.hash != whole.hash, "who has which parts is agreed upon");
    NEED(plan_by_hand(&p, &m, o, (struct cut[]){{2, 16}, {2, 0}, {2, 0}}, 3, &usual, why));
    check_all_there(&p, &m.config);
    CHECK(plan_by_hand(&p, &m, o, (struct cut[]){{3, 5}, {3, 5}, {0, 5}}, 3, &usual, &no) == E_USAGE);
    CHECK(strstr(no.text, "15 sixteenths") && strstr(no.text, "all 16"), "%s", no.text);
    CHECK(plan_by_hand(&p, &m, o, (struct cut[]){{3, 8}, {3, 8}, {0, 0}}, 3, &usual, &no) == E_USAGE);
    CHECK(strstr(no.text, "worker 3 nothing"), "%s", no.text);
    CHECK(plan_by_hand(&p, &m, o, (struct cut[]){{3, 8}, {0, 4}, {3, 4}}, 3, &usual, &no) == E_USAGE);
    CHECK(strstr(no.text, "worker 2 no layer"), "%s", no.text);
    m.whole_head = true;
    CHECK(plan_by_hand(&p, &m, o, (struct cut[]){{3, 5}, {3, 0}, {0, 11}}, 3, &usual, &no) == E_USAGE);
    CHECK(strstr(no.text, "in one place"), "%s", no.text);
    NEED(by_hand(&p, &m, o, (uint32_t[]){3, 3, 0}, 3, &usual, why));
}

TEST(a_small_vocabulary_fills_few_parts_and_nobody_gets_empty_ones)
{
    struct model_config c = small(6);
    c.vocab = 33; /* three parts of 16, 16 and 1 words */
    struct model_shape m = invent(c, T_Q4_0, T_Q4_0);
    struct worker_offer o[2] = {0};
    struct plan p;
    struct err no = {0};
    NEED(plan_by_hand(&p, &m, o, (struct cut[]){{3, 2}, {3, 14}}, 2, &usual, why));
    check_bytes(&p, &m, o);
    CHECK(plan_by_hand(&p, &m, o, (struct cut[]){{3, 3}, {3, 13}}, 2, &usual, &no) == E_USAGE);
    CHECK(strstr(no.text, "worker 2 13 sixteenths") && strstr(no.text, "vocabulary of 33 fills 3 of 16"), "%s", no.text);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 2; i++) o[i].memory = (22ull << 20) + dice(4u << 20);
        if (!plan_solve(&p, &m, o, 2, &usual, NULL)) check_all_there(&p, &c);
    }
}

TEST(a_divided_plan_is_read_as_it_was_written)
{
    struct model_shape m = invent(small(6), T_Q4_0, T_Q4_0);
    struct worker_offer o[3] = {0};
    const struct cut cuts[][3] = {{{3, 5}, {3, 0}, {0, 11}}, {{2, 0}, {2, 0}, {2, 16}}, {{2, 16}, {2, 0}, {2, 0}}, {{2, 1}, {2, 8}, {2, 7}}};
    for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
        struct plan p;
        struct plan_file back;
        char *text = NULL;
        size_t n;
        NEED(plan_by_hand(&p, &m, o, cuts[k], 3, &usual, why));
        FILE *f = open_memstream(&text, &n);
        plan_write_json(f, &p, o, "m.gguf", (struct hash128){1, 2}, 6, NULL);
        fclose(f);
        NEED(plan_parse_json(&back, text, n, "plan.json", why));
        NEED(plan_file_check(&back, 6, "plan.json", why));
        for (int i = 0; i < 3; i++) CHECK(!memcmp(&back.share[i], &p.stage[i].share, sizeof back.share[i]), "%s", text);
        CHECK(!strstr(text, "\"head\": true") == (cuts[k][0].parts < 16 && cuts[k][2].parts < 16), "%s", text);
        free(text);
    }
}

TEST(shares_are_named)
{
    char out[64];
    CHECK(!strcmp(show_share(out, (struct share){0, 17, 0, 8}), "layers 0-16 and 8/16 of the head"), "%s", out);
    CHECK(!strcmp(show_share(out, (struct share){23, 34, 0, HEAD_PARTS}), "layers 23-33 and the head"), "%s", out);
    CHECK(!strcmp(show_share(out, (struct share){34, 34, 0, HEAD_PARTS}), "the head"), "%s", out);
    CHECK(!strcmp(show_share(out, (struct share){34, 34, 11, HEAD_PARTS}), "5/16 of the head"), "%s", out);
    CHECK(!strcmp(show_share(out, (struct share){3, 4, 0, 0}), "layer 3"), "%s", out);
    CHECK(!strcmp(show_share(out, (struct share){UINT32_MAX - 2, UINT32_MAX, 0, UINT32_MAX}),
                  "layers 4294967293-4294967294 and 4294967295/16 of the head"), "%s", out);
}

TEST(the_hash_changes_with_everything_stages_must_agree_on)
{
    struct model_shape m = invent(small(6), T_Q4_0, T_Q4_0);
    struct worker_offer o[2] = {0};
    struct plan a, b;
    struct capacity cap = usual;
    NEED(by_hand(&a, &m, o, (uint32_t[]){3, 3}, 2, &cap, why));
    o[0].threads = 7, o[1].memory = 1ull << 40;
    NEED(by_hand(&b, &m, o, (uint32_t[]){3, 3}, 2, &cap, why));
    CHECK(a.hash == b.hash, "threads and memory are each worker's own");
    NEED(by_hand(&b, &m, o, (uint32_t[]){2, 4}, 2, &cap, why));
    CHECK(a.hash != b.hash);
    cap.context++;
    NEED(by_hand(&b, &m, o, (uint32_t[]){3, 3}, 2, &cap, why));
    CHECK(a.hash != b.hash);
    tensors[5 * W_LAYER_ROLES + W_DOWN].type = T_Q4_1;
    NEED(by_hand(&b, &m, o, (uint32_t[]){3, 3}, 2, &usual, why));
    CHECK(a.hash != b.hash);
}

TEST(sizes_are_read_as_people_write_them)
{
    const struct { const char *text; uint64_t bytes; } good[] = {
        {"1G", 1ull << 30}, {"512M", 512ull << 20}, {"1.5GiB", 3ull << 29}, {"800000000", 800000000},
        {"2gb", 2ull << 30}, {"0", 0}, {"64k", 65536}, {"1T", 1ull << 40}, {"0.25G", 1ull << 28}, {"10B", 10},
    };
    uint64_t n;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        NEED(read_size(good[i].text, &n, why));
        CHECK(n == good[i].bytes, "%s is %llu", good[i].text, (unsigned long long)n);
    }
    const char *bad[] = {"", "G", "1X", "-1G", " 1G", "1 G", "1.5", "1..5G", "1.G", "1GiBs", "99999999999999999999",
                         "9999999999T", "0x10", "1e9", "nan", "1.5.5G", ".5G", "1G,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err no = {0};
        CHECK(read_size(bad[i], &n, &no) == E_USAGE && no.text[0], "\"%s\" was taken for %llu", bad[i],
              (unsigned long long)n);
    }
}

TEST(lists_of_sizes_and_splits)
{
    uint64_t sizes[MAX_STAGES];
    struct cut cuts[MAX_STAGES];
    int n;
    NEED(plan_read_sizes("1G,,512M,0", sizes, &n, why));
    CHECK(n == 4 && sizes[0] == 1ull << 30 && sizes[1] == 0 && sizes[2] == 512ull << 20 && sizes[3] == 0);
    NEED(plan_read_sizes("", sizes, &n, why));
    CHECK(n == 0);
    NEED(plan_read_sizes("2G", sizes, &n, why));
    CHECK(n == 1);
    NEED(plan_read_split("12,11,11", cuts, &n, why));
    CHECK(n == 3 && cuts[0].layers == 12 && cuts[2].layers == 11 && cuts[0].parts == 0 && cuts[2].parts == HEAD_PARTS);
    NEED(plan_read_split("34", cuts, &n, why));
    CHECK(n == 1);
    NEED(plan_read_split("12+5,11+5,11+6", cuts, &n, why));
    CHECK(n == 3 && cuts[0].layers == 12 && cuts[0].parts == 5 && cuts[2].layers == 11 && cuts[2].parts == 6);
    NEED(plan_read_split("17+16,17", cuts, &n, why));
    CHECK(n == 2 && cuts[0].parts == 16 && cuts[1].parts == 0);
    struct err sum = {0};
    CHECK(plan_read_split("17+8,17+7", cuts, &n, &sum) == E_USAGE && strstr(sum.text, "15 sixteenths") && strstr(sum.text, "all 16"),
          "%s", sum.text);
    const char *bad[] = {"", ",", "1,", "a", "1,b", "-1", "1, 2", "4294967296", "1;2", "1+", "+16", "1+16+0", "1 + 16", "1+-16",
                         "1+4294967295,1+17", "1+a",
                         "1111111111111111111111111111111111111111111111111111111111111"};
    struct err no = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(plan_read_split(bad[i], cuts, &n, &no) == E_USAGE, "\"%s\" was taken", bad[i]);
    char many[400] = "1";
    for (int i = 0; i < MAX_STAGES; i++) strcat(many, ",1");
    CHECK(plan_read_split(many, cuts, &n, &no) == E_USAGE);
    CHECK(plan_read_sizes(many, sizes, &n, &no) == E_USAGE);
    CHECK(plan_read_sizes("1G,x", sizes, &n, &no) == E_USAGE && strstr(no.text, "x"));
}

TEST(the_table_shows_every_worker_and_the_sum)
{
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[3] = {{"ant", 6ull << 30, 1, 4, 0}, {"bee", 2ull << 30, 1, 4, 0}, {"cat", 2ull << 30, 0.5, 8, 0}};
    struct plan p;
    NEED(plan_solve(&p, &m, o, 3, &usual, why));
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    plan_print(f, &p, &m, o);
    fclose(f);
    CHECK(strstr(text, "ant") && strstr(text, "bee") && strstr(text, "cat") && strstr(text, "coordinator"));
    CHECK(strstr(text, "10.00 GiB") && strstr(text, "100%") && strstr(text, "hint: worker 1"));
    if (getenv("SHOW")) puts(text);
    free(text);
}
