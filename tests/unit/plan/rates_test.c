/* tests/unit/plan/rates_test.c — what a plan will give follows from its slowest stage, its slowest line, or once round. */
#include "partition/plan/bursts.h"
#include "partition/plan/rates.h"
#include "partition/plan/text_cost.h"
#include "tests/support/plan_shapes.h"

#include <math.h>

static const struct model_config twelve = {.layers = 12, .hidden = 256, .ffn = 1024, .heads = 4, .kv_heads = 2, .head_dim = 64, .window = 512,
                                          .pattern = 6, .context = 4096, .vocab = 4096, .rope_base_global = 1e6f, .rope_base_local = 1e4f,
                                          .rope_factor = 8, .norm_epsilon = 1e-6f, .attention_scale = 0.0625f};

/* A layer takes a millisecond for a row, and a tenth more for each further one. */
static struct speed even(double slow, double delay, double bytes_per_second)
{
    const struct curve line = {.n = 2, .rows = {1, 11}, .seconds = {0.001 * slow, 0.002 * slow}};
    struct speed v = {.local = line, .global = line, .head_part = line, .to = {delay, bytes_per_second}, .from = {delay, bytes_per_second}};
    for (int i = 0; i < 2; i++) v.head_part.seconds[i] /= 100;
    return v;
}

/* Three stages of four layers, the head whole. */
static void ask(struct rates *out, struct plan *p, const struct speed v[3], uint32_t sequences)
{
    const struct model_shape m = invent(twelve, T_Q4_0, T_Q8_0);
    static const struct cut cuts[] = {{4, 0}, {4, 0}, {4, HEAD_PARTS}};
    struct worker_offer o[3] = {{.name = "a", .measured = &v[0]}, {.name = "b", .measured = &v[1]}, {.name = "c", .measured = &v[2]}};
    struct stage_rates stages[3];
    NEED(solve_cuts(p, &m, o, cuts, 3, &(struct capacity){1024, sequences, 128, 0, 0, {0}}, why));
    plan_rates(out, stages, p, &m, o);
    CHECK(out->answers <= decode_rows(&p->capacity) / stages[out->slowest].answer * (1 + 1e-9), "%g a second", out->answers);
    CHECK(out->busy > 0 && out->busy <= 1 + 1e-9, "busy %g", out->busy);
    CHECK(out->alone <= out->answers * (1 + 1e-9), "%g alone, %g together", out->alone, out->answers);
}

TEST(many_sequences_turn_as_fast_as_the_slowest_stage)
{
    const struct speed v[3] = {even(1, 1e-4, 1e9), even(2, 1e-4, 1e9), even(1, 1e-4, 1e9)};
    PLAN p = {0};
    struct rates r;
    ask(&r, &p, v, 16);
    CHECK(r.measured && r.bound == BOUND_STAGE && r.slowest == 1, "bound %d, worker %d", r.bound, r.slowest + 1);
    CHECK(fabs(r.answers / (16. / 3 / (4 * 0.002 * (1 + 13. / 30))) - 1) < 1e-9, "%g tokens/s", r.answers); /* 6, 5 and 5 rows */
    CHECK(fabs(r.alone / (1 / (0.004 + 0.008 + 0.004 + 16 * 1e-5 + 4 * 1e-4)) - 1) < 0.01, "%g tokens/s", r.alone);
}

/* Three stages of which each would use one: of two cores the sum of all counts, of three the slowest stage as ever; who is alone is as fast. */
TEST(stages_of_one_machine_compute_no_faster_than_its_cores)
{
    const struct model_shape m = invent(twelve, T_Q4_0, T_Q8_0);
    static const struct cut cuts[] = {{4, 0}, {4, 0}, {4, HEAD_PARTS}};
    const struct speed v = even(1, 1e-5, 1e9);
    struct worker_offer o[3] = {{.name = "a", .measured = &v}, {.name = "b", .measured = &v}, {.name = "c", .measured = &v}};
    struct rates own, few, enough;
    double busy[3] = {1, 2, 3};
    PLAN p = {0};
    NEED(solve_cuts(&p, &m, o, cuts, 3, &(struct capacity){1024, 18, 128, 0, 0, {0}}, why));
    plan_rates(&own, NULL, &p, &m, o);
    for (int i = 0; i < 3; i++) o[i].uses = 1, o[i].cores = 3;
    plan_rates(&enough, NULL, &p, &m, o);
    for (int i = 0; i < 3; i++) o[i].cores = 2;
    plan_rates(&few, NULL, &p, &m, o);
    CHECK(enough.answers == own.answers && enough.prompts == own.prompts, "%g and %g tokens/s", own.answers, enough.answers);
    CHECK(few.bound == BOUND_CORES && few.alone == own.alone, "bound %d, %g and %g alone", few.bound, own.alone, few.alone);
    CHECK(few.answers < 0.72 * own.answers && few.answers > 0.6 * own.answers && few.prompts < 0.72 * own.prompts, "%g and %g tokens/s", own.answers, few.answers);
    CHECK(fabs(plan_cores_seconds(o, busy, 3) - 3) < 1e-9, "%g s", plan_cores_seconds(o, busy, 3));
}

TEST(groups_that_cannot_be_even_count_in_the_mean)
{
    const struct speed v[3] = {even(1, 1e-4, 1e9), even(2, 1e-4, 1e9), even(1, 1e-4, 1e9)};
    PLAN p = {0};
    struct rates r;
    ask(&r, &p, v, 13);
    CHECK(fabs(r.answers / (13. / 3 / (4 * 0.002 * (1 + 10. / 30))) - 1) < 1e-9, "%g tokens/s", r.answers); /* 5, 4 and 4 rows, a group a stage */
    plan_free(&p);
    ask(&r, &p, v, 65);
    CHECK(fabs(r.answers / (65. / 4 / (4 * 0.002 * (1 + 61. / 40))) - 1) < 1e-9, "%g tokens/s", r.answers); /* and one more of many */
}

TEST(a_slow_line_holds_all_up)
{
    const struct speed v[3] = {even(1, 1e-4, 1e9), even(1, 1e-4, 1e5), even(1, 1e-4, 1e9)};
    PLAN p = {0};
    struct rates r;
    ask(&r, &p, v, 16);
    CHECK(r.bound == BOUND_LINE && r.slowest == 1, "bound %d, worker %d", r.bound, r.slowest + 1);
    CHECK(fabs(r.answers * (4 * 256 + 96) / 1e5 - 1) < 1e-9, "%g tokens/s", r.answers);
}

/* Both lines are fast, and what lies between them is not. */
TEST(a_slow_way_between_two_workers_holds_all_up_where_it_was_measured)
{
    struct speed v[3] = {even(1, 1e-4, 1e9), even(1, 1e-4, 1e9), even(1, 1e-4, 1e9)};
    PLAN p = {0};
    struct rates assumed, measured;
    ask(&assumed, &p, v, 16);
    plan_free(&p);
    for (int i = 0; i < 3; i++) v[i].self = 100u + (unsigned)i;
    v[0].ways = 1;
    v[0].way[0] = (struct way){101, {0.05, 1e5}};
    ask(&measured, &p, v, 16);
    CHECK(assumed.bound == BOUND_STAGE && measured.bound == BOUND_LINE && measured.slowest < 2, "bound %d, worker %d", measured.bound, measured.slowest + 1);
    CHECK(fabs(1 / measured.alone - 1 / assumed.alone - (0.05 - 1e-4 + (4 * 256 + 96) * (1e-5 - 1e-9))) < 1e-6, "%g s, assumed %g", 1 / measured.alone,
          1 / assumed.alone);
}

TEST(few_sequences_wait_for_their_own_last_token)
{
    const struct speed v[3] = {even(1, 0.05, 1e9), even(1, 0.05, 1e9), even(1, 0.05, 1e9)};
    PLAN p = {0};
    struct rates r;
    ask(&r, &p, v, 2);
    CHECK(r.bound == BOUND_ROUND, "bound %d", r.bound);
    CHECK(fabs(r.answers / (2 * r.alone) - 1) < 1e-9 && r.busy < 0.1, "%g together, %g alone", r.answers, r.alone);
}

TEST(pieces_of_the_best_length_bring_the_first_token_soonest)
{
    const struct speed v[3] = {even(1, 1e-4, 1e9), even(1, 1e-4, 1e9), even(1, 1e-4, 1e9)};
    const struct model_shape m = invent(twelve, T_Q4_0, T_Q8_0);
    struct worker_offer o[3] = {{.name = "a", .measured = &v[0]}, {.name = "b", .measured = &v[1]}, {.name = "c", .measured = &v[2]}};
    PLAN p = {0};
    struct rates r;
    ask(&r, &p, v, 1);
    const double alone = plan_first_token(&p, &m, o, 128), whole = 3 * (4 * 0.001 * (1 + 12.7));
    CHECK(alone > 0 && alone < whole, "%g s, in one piece %g", alone, whole);
    CHECK(plan_first_token(&p, &m, o, 512) > alone);
}

TEST(only_the_last_piece_of_a_prompt_is_scored)
{
    const struct model_shape m = invent(twelve, T_Q4_0, T_Q8_0);
    const struct ration cases[] = {{0}, ration_of(200, 5000, 4000, 1)};
    for (int with = 0; with < 2; with++) {
        double seconds[2];
        for (int heavy = 0; heavy < 2; heavy++) {
            struct speed v[3] = {even(1, 1e-4, 1e9), even(1, 1e-4, 1e9), even(1, 1e-4, 1e9)};
            struct worker_offer o[3] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
            PLAN p = {0};
            struct rates r;
            ask(&r, &p, v, 1);
            for (int i = 0; i < 3; i++) {
                for (uint32_t k = 0; k < v[i].head_part.n; k++) v[i].head_part.seconds[k] *= heavy ? 1000 : 1;
                o[i].measured = &v[i], o[i].ration = cases[with];
            }
            seconds[heavy] = plan_first_token(&p, &m, o, 512);
        }
        const double more = seconds[1] - seconds[0], once = 999 * HEAD_PARTS * 0.001 / 100 / (with ? 0.2 : 1);
        CHECK(more > 0.9 * once && more < 1.1 * once, "%g s more, one head takes %g s more", more, once);
    }
}

/* Three stages of which the second may compute for 1 ms of 5. */
static void ask_in_bursts(struct rates *out, struct plan *p, double slow, uint32_t sequences, const struct ration *ration)
{
    const struct speed v[3] = {even(slow, 1e-6, 1e12), even(slow, 1e-6, 1e12), even(slow, 1e-6, 1e12)};
    const struct model_shape m = invent(twelve, T_Q4_0, T_Q8_0);
    static const struct cut cuts[] = {{4, 0}, {4, 0}, {4, HEAD_PARTS}};
    struct worker_offer o[3] = {{.name = "a", .measured = &v[0]}, {.name = "b", .measured = &v[1], .ration = *ration}, {.name = "c", .measured = &v[2]}};
    NEED(solve_cuts(p, &m, o, cuts, 3, &(struct capacity){1024, sequences, 128, 0, 0, {0}}, why));
    plan_rates(out, NULL, p, &m, o);
}

TEST(a_part_of_a_core_slows_what_is_long_and_not_what_is_short)
{
    const struct ration fifth = {.quota = 0.001, .period = 0.005, .tick = 0.004};
    PLAN p = {0};
    struct rates whole, part;
    ask_in_bursts(&whole, &p, 0.1, 1, &(struct ration){0}); /* a stage takes 0.4 ms of a lap of 1.2: less than its quota and its share */
    plan_free(&p);
    ask_in_bursts(&part, &p, 0.1, 1, &fifth);
    CHECK(part.alone < whole.alone * 1.01 && part.alone > 0.5 * whole.alone, "%g and %g tokens/s", part.alone, whole.alone);
    plan_free(&p);
    ask_in_bursts(&whole, &p, 4, 16, &(struct ration){0});
    plan_free(&p);
    ask_in_bursts(&part, &p, 4, 16, &fifth);
    CHECK(fabs(part.answers / whole.answers - 0.2) < 0.02 && part.slowest == 1, "%g of %g tokens/s", part.answers, whole.answers);
    CHECK(part.bound == BOUND_STAGE && fabs(part.prompts / whole.prompts - 0.2) < 0.01, "bound %d, %g of %g", part.bound, part.prompts, whole.prompts);
}

TEST(two_stages_of_one_group_have_one_quota)
{
    const struct ration half = {.quota = 0.0025, .period = 0.005, .tick = 0.004, .group = 7, .sharing = 2};
    struct burst_ring b = {.stages = 2};
    for (int i = 0; i < 2; i++) b.stage[i] = (struct burst_stage){.ration = half, .purse = i, .layers = 0.01};
    const double two = burst_turn(&b, 3);
    for (int i = 0; i < 2; i++) b.stage[i].ration.sharing = 1, b.stage[i].purse = 0;
    const double one = burst_turn(&b, 1);
    CHECK(fabs(two / 0.04 - 1) < 0.02 && fabs(one / 0.04 - 1) < 0.02, "%g s and %g s from group to group", two, one);
}

TEST(a_hop_by_the_coordinator_is_two)
{
    const struct speed v[3] = {even(1, 1e-3, 1e9), even(1, 2e-3, 1e9), even(1, 3e-3, 1e9)};
    const struct apart pair = {{7, 9}};
    struct worker_offer o[3] = {{.measured = &v[0], .number = 9}, {.measured = &v[1], .number = 8}, {.measured = &v[2], .number = 7}};
    const double direct = plan_hop(o, 0, 2).delay;
    CHECK(fabs(plan_hop(o, 0, 1).delay - 1.5e-3) < 1e-12 && fabs(direct - 2e-3) < 1e-12);
    for (int i = 0; i < 3; i++) o[i].apart = &pair, o[i].n_apart = 1;
    CHECK(fabs(plan_hop(o, 0, 2).delay - 2 * direct) < 1e-12 && fabs(plan_hop(o, 0, 1).delay - 1.5e-3) < 1e-12);
    o[0].reach = REACH_NONE; /* it calls whoever can be called */
    CHECK(!offers_apart(&o[0], &o[1]));
    o[1].reach = REACH_NEAR;
    CHECK(offers_apart(&o[0], &o[1]) && offers_apart(&o[1], &o[0]));
}
