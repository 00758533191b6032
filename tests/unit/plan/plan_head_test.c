/* tests/unit/plan/plan_head_test.c — the head in parts: the planner against every division there is, by hand, written and read. */
#include "partition/plan/text_cost.h"
#include "tests/support/plan_shapes.h"

#include <math.h>
#include <stdlib.h>

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
    for (int i = 0; i < plan_stages(p); i++) {
        const struct part s = p->of[i].part[CHAIN_TEXT];
        const bool alone = p->for_prompts;
        double second = alone ? decode_seconds(NULL, m, (struct part){0, 0, s.back, s.back_end, false}, &p->capacity)
                              : prefill_seconds(NULL, m, (struct part){s.first, s.end, 0, 0, false}, &p->capacity);
        second /= offer_power(&o[i]);
        if (p->of[i].expected[CHAIN_TEXT] > g.slowest) g.slowest = p->of[i].expected[CHAIN_TEXT];
        if (second > g.second) g.second = second;
        g.sum += p->of[i].expected[CHAIN_TEXT] * p->of[i].expected[CHAIN_TEXT];
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
            PLAN p = {0};
            for (int i = 0; i < workers; i++)
                cuts[i] = (struct cut){end[i] - (i ? end[i - 1] : 0), (i + 1 < workers ? begin[i + 1] : HEAD_PARTS) - begin[i]};
            if (solve_cuts(&p, m, o, cuts, workers, cap, NULL)) continue;
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
        struct capacity cap = {64 + dice(1000), dice(2) ? 1 : 1 + dice(16), 1 + dice(64), 1 + (uint32_t)workers, ALL_BLOCKS, {0}};
        for (int i = 0; i < workers; i++) {
            o[i].speed = dice(3) ? 1 : 0.25 + dice(8) / 4.0;
            o[i].threads = 1 + (int)dice(3);
            o[i].memory = dice(2) ? 0 : PROGRAM_BYTES + (3u << 19) + dice(c.vocab > 20000 ? 24u << 20 : 3u << 20);
        }
        const struct goals none = {INFINITY, INFINITY, INFINITY};
        struct tried t = {none, none, false, false};
        PLAN p = {0};
        for (int goal = 0; goal < 3; goal++) try_all(&t, goal, &m, o, workers, &cap);
        const int rc = solve(&p, &m, o, workers, &cap, NULL);
        CHECK(t.any ? rc == 0 : rc == E_MEMORY, "round %d: solver says %d, search says %d", round, rc, t.any);
        refused += rc != 0;
        if (rc) continue;
        check_all_there(&p, &c);
        check_bytes(&p, &m, o);
        for (int i = 0; i < workers; i++) CHECK(!o[i].memory || p.of[i].bytes[CHAIN_TEXT].total <= o[i].memory);
        const struct goals g = goals_of(&p, &m, o);
        if (part_has_whole_head(p.of[workers - 1].part[CHAIN_TEXT]) && t.any_whole) {
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
    struct worker_offer o[2] = {{.name = "a", .threads = 4}, {.name = "b", .threads = 4}};
    for (uint32_t sequences = 1; sequences <= 16; sequences *= 4) {
        struct capacity cap = {4096, sequences, 256, 3, 0, {0}};
        PLAN p = {0};
        NEED(solve(&p, &m, o, 2, &cap, why));
        const struct part a = p.of[0].part[CHAIN_TEXT], b = p.of[1].part[CHAIN_TEXT];
        check_all_there(&p, &gemma_4b);
        check_bytes(&p, &m, o);
        CHECK(a.end == 17 && a.back_end == 8 && b.back == 8, "%u sequences: %u layers, %u parts", sequences, a.end, a.back_end);
    }
}

TEST(no_worker_needs_room_for_the_whole_head)
{
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[7] = {0};
    PLAN p = {0};
    struct err no = {0};
    name_offers(o, 7);
    for (int i = 0; i < 7; i++) o[i].memory = 560ull << 20; /* the head alone has 546 and is not all that a stage needs */
    NEED(solve(&p, &m, o, 7, &usual, why));
    check_all_there(&p, &gemma_4b);
    check_bytes(&p, &m, o);
    for (int i = 0; i < 7; i++) CHECK(p.of[i].bytes[CHAIN_TEXT].total <= o[i].memory, "worker %d", i + 1);
    whole_head = true;
    CHECK(solve(&p, &m, o, 7, &usual, &no) == E_MEMORY && strstr(no.text, "but the head with"), "%s", no.text);
    whole_head = false;
    CHECK(solve(&p, &m, o, 4, &usual, &no) == E_MEMORY && strstr(no.text, "worker 4"), "%s", no.text);
}

/* The layers one after the other, but the parts of the head at once. */
TEST(an_answer_alone_waits_for_the_largest_part_only)
{
    struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[2] = {{.name = "a", .threads = 1}, {.name = "b", .threads = 2}};
    const struct capacity alone = {4096, 1, 256, 3, 0, {0}};
    PLAN p = {0};
    NEED(solve_cuts(&p, &m, o, (struct cut[]){{17, 6}, {17, 10}}, 2, &alone, why));
    const struct part parts[] = {p.of[0].part[CHAIN_TEXT], p.of[1].part[CHAIN_TEXT]};
    const double first = decode_seconds(NULL, &m, (struct part){0, 17, 0, 0, false}, &alone);
    const double layers = first + decode_seconds(NULL, &m, (struct part){17, 34, 0, 0, false}, &alone) / 2;
    const double six = decode_seconds(NULL, &m, (struct part){0, 0, 0, 6, false}, &alone);
    const double ten = decode_seconds(NULL, &m, (struct part){0, 0, 6, 16, false}, &alone) / 2;
    CHECK(six > ten && fabs(lap_seconds(&m, parts, o, 2, &alone) / (layers + six) - 1) < 1e-9, "%g", lap_seconds(&m, parts, o, 2, &alone));
}

/* Its layers could be cut as well for prompts with the head whole, a little behind in tokens: no merit of dividing. */
TEST(what_a_whole_head_can_have_too_is_no_reason_to_divide)
{
    struct model_config c = small(14);
    c.ffn = 384, c.window = 128, c.pattern = 8, c.vocab = 1024;
    struct model_shape m = invent(c, T_Q4_0, T_Q4_0);
    struct worker_offer o[3] = {{.name = "a", .threads = 1}, {.name = "b", .threads = 1}, {.name = "c", .threads = 1}};
    PLAN p = {0};
    NEED(solve(&p, &m, o, 3, &(struct capacity){722, 3, 256, 4, 0, {0}}, why));
    check_whole(&p, &c);
}

TEST(a_faster_prompt_is_not_paid_by_every_token)
{
    struct model_config c = small(8);
    c.hidden = 128, c.ffn = 384, c.head_dim = 32, c.pattern = 6, c.vocab = 1024;
    struct model_shape m = invent(c, T_Q4_0, T_Q8_0);
    struct worker_offer o[2] = {{.name = "a", .threads = 1}, {.name = "b", .threads = 1}};
    for (uint32_t sequences = 2; sequences <= 16; sequences++)
        for (uint32_t context = 240; context <= 330; context += 2) {
            PLAN p = {0};
            NEED(solve(&p, &m, o, 2, &(struct capacity){context, sequences, 256, 3, 0, {0}}, why));
            check_whole(&p, &c);
        }
}

TEST(a_head_that_is_small_or_alone_stays_whole)
{
    struct model_shape m = invent(small(9), T_Q4_0, T_Q6_K);
    struct worker_offer o[3] = {{.name = "a", .threads = 1}, {.name = "b", .threads = 1}, {.name = "c", .threads = 1}};
    PLAN p = {0};
    NEED(solve(&p, &m, o, 3, &usual, why));
    check_whole(&p, &m.config);
    m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    NEED(solve(&p, &m, o, 1, &usual, why));
    check_whole(&p, &m.config);
    whole_head = true;
    NEED(solve(&p, &m, o, 2, &usual, why));
    check_whole(&p, &m.config);
}

/* A search that tries every grouping would not end here. */
TEST(the_most_workers_are_planned)
{
    struct model_config c = gemma_4b;
    c.layers = STAGES_MOST - 1;
    struct model_shape m = invent(c, T_Q4_0, T_Q6_K);
    struct worker_offer o[STAGES_MOST] = {0};
    for (int n = 2; n <= STAGES_MOST; n = n < 32 ? n * 2 : n + 16) {
        PLAN p = {0};
        for (int i = 0; i < n; i++) o[i].speed = 1 + i % 3, o[i].memory = 4ull << 30;
        NEED(solve(&p, &m, o, n, &usual, why));
        check_all_there(&p, &c);
    }
}

TEST(a_head_divided_by_hand)
{
    struct model_shape m = invent(small(6), T_Q4_0, T_Q4_0);
    struct worker_offer o[3] = {0};
    PLAN p = {0}, whole = {0};
    struct err no = {0};
    NEED(solve_cuts(&p, &m, o, (struct cut[]){{3, 5}, {3, 0}, {0, 11}}, 3, &usual, why));
    check_all_there(&p, &m.config);
    check_bytes(&p, &m, o);
    NEED(solve_cuts(&whole, &m, o, (struct cut[]){{3, 0}, {3, 0}, {0, 16}}, 3, &usual, why));
    CHECK(p.hash != whole.hash, "who has which parts is agreed upon");
    NEED(solve_cuts(&p, &m, o, (struct cut[]){{2, 16}, {2, 0}, {2, 0}}, 3, &usual, why));
    check_all_there(&p, &m.config);
    CHECK(solve_cuts(&p, &m, o, (struct cut[]){{3, 5}, {3, 5}, {0, 5}}, 3, &usual, &no) == E_USAGE);
    CHECK(strstr(no.text, "15 sixteenths") && strstr(no.text, "all 16"), "%s", no.text);
    CHECK(solve_cuts(&p, &m, o, (struct cut[]){{3, 8}, {3, 8}, {0, 0}}, 3, &usual, &no) == E_USAGE);
    CHECK(strstr(no.text, "worker 3 nothing"), "%s", no.text);
    CHECK(solve_cuts(&p, &m, o, (struct cut[]){{3, 8}, {0, 4}, {3, 4}}, 3, &usual, &no) == E_USAGE);
    CHECK(strstr(no.text, "worker 2 no layer"), "%s", no.text);
    whole_head = true;
    CHECK(solve_cuts(&p, &m, o, (struct cut[]){{3, 5}, {3, 0}, {0, 11}}, 3, &usual, &no) == E_USAGE);
    CHECK(strstr(no.text, "wanted whole"), "%s", no.text);
    CHECK(solve_cuts(&p, &m, o, (struct cut[]){{2, 16}, {2, 0}, {2, 0}}, 3, &usual, &no) == E_USAGE, "whole, but not where rows end");
    NEED(by_hand(&p, &m, o, (uint32_t[]){3, 3, 0}, 3, &usual, why));
}

TEST(a_small_vocabulary_fills_few_parts_and_nobody_gets_empty_ones)
{
    struct model_config c = small(6);
    c.vocab = 33; /* three parts of 16, 16 and 1 words */
    struct model_shape m = invent(c, T_Q4_0, T_Q4_0);
    struct worker_offer o[2] = {0};
    PLAN p = {0};
    struct err no = {0};
    NEED(solve_cuts(&p, &m, o, (struct cut[]){{3, 2}, {3, 14}}, 2, &usual, why));
    check_bytes(&p, &m, o);
    CHECK(solve_cuts(&p, &m, o, (struct cut[]){{3, 3}, {3, 13}}, 2, &usual, &no) == E_USAGE);
    CHECK(strstr(no.text, "worker 2 13 sixteenths") && strstr(no.text, "vocabulary of 33 fills 3 of 16"), "%s", no.text);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 2; i++) o[i].memory = PROGRAM_BYTES + (3u << 19) + dice(4u << 20);
        if (!solve(&p, &m, o, 2, &usual, NULL)) check_all_there(&p, &c);
    }
}

TEST(a_divided_plan_is_read_as_it_was_written)
{
    struct model_shape m = invent(small(6), T_Q4_0, T_Q4_0);
    struct worker_offer o[3] = {0};
    const struct cut cuts[][3] = {{{3, 5}, {3, 0}, {0, 11}}, {{2, 0}, {2, 0}, {2, 16}}, {{2, 16}, {2, 0}, {2, 0}},
                                  {{2, 1}, {2, 8}, {2, 7}}};
    for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
        PLAN p = {0};
        struct plan_file back;
        char *text = NULL;
        size_t n;
        NEED(solve_cuts(&p, &m, o, cuts[k], 3, &usual, why));
        FILE *f = open_memstream(&text, &n);
        plan_write_json(f, &p, o, &(struct plan_files){.model = "m.gguf", .fingerprint = {1, 2}, .layers = 6});
        fclose(f);
        NEED(plan_parse_json(&back, text, n, "plan.json", why));
        NEED(plan_file_check(&back, 6, "plan.json", why));
        CHECK(back.kv_positions == 4ull * 4096, "%s", text);
        for (int i = 0; i < 3; i++) CHECK(!memcmp(&back.part[i], &p.of[i].part[CHAIN_TEXT], sizeof back.part[i]), "%s", text);
        CHECK(!strstr(text, "\"head\": true") == (cuts[k][0].parts < 16 && cuts[k][2].parts < 16), "%s", text);
        free(text);
    }
}
