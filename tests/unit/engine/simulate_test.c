/* tests/unit/engine/simulate_test.c — what the scheduler makes of invented clusters: full pipes, even groups, no holes. */
#include "tests/support/plan_shapes.h"
#include "tests/support/simulate.h"

#include <math.h>

/* Equal stages of 10 ms whatever the rows, four sequences per micro-batch, one-row prompts, long answers. */
static struct simulation ring(int stages, uint32_t in_flight, double jitter)
{
    struct simulation in = {.stages = stages, .jitter = jitter, .seed = 7, .requests = 4 * in_flight, .prompt_least = 1,
                            .prompt_most = 1, .answer_least = 1500, .answer_most = 1500,
                            .limits = {4 * in_flight, in_flight, 256, 4096, 0, 0, NULL}};
    for (int i = 0; i < stages; i++) in.stage[i].rows = curve_line(0.01, 0);
    return in;
}

/* Memory-bound stages with a price per row and a head on the last; prompts and answers of many lengths. */
static struct simulation mixed(uint32_t prompt_most, double arrivals)
{
    struct simulation in = {.stages = 4, .jitter = 0.1, .hop = {0.0005, 0}, .seed = 3, .requests = 200, .prompt_least = 20,
                            .prompt_most = prompt_most, .answer_least = 10, .answer_most = 200, .arrivals = arrivals,
                            .limits = {16, 5, 256, 2000, 0, 0, NULL}};
    for (int i = 0; i < 4; i++) in.stage[i].rows = curve_line(0.01, 0.0005);
    in.stage[3].tokens = curve_line(0, 0.003);
    return in;
}

TEST(one_more_in_flight_than_stages_keeps_the_pipe_full)
{
    for (int stages = 2; stages <= 8; stages++) {
        struct sim_report r;
        struct simulation in = ring(stages, (uint32_t)stages + 1, 0.1);
        NEED(simulate(&r, &in, why));
        CHECK(r.busiest >= 0.95, "%d stages: the busiest computes %.3f of the time", stages, r.busiest);
        CHECK(r.bubble < 0.06, "%d stages: bubble %.3f", stages, r.bubble);
    }
}

/* Utilisation of equal stages in a closed ring, from a simulation written for another purpose (gamma jitter). */
TEST(full_pipes_agree_with_the_published_table_of_closed_rings)
{
    const struct { int stages; uint32_t in_flight; double jitter, busy; } known[] = {
        {4, 3, 0, .75},  {4, 4, 0, 1.00}, {4, 3, .1, .74},  {4, 4, .1, .93}, {4, 5, .1, .98},
        {4, 8, .1, .99}, {4, 4, .3, .82}, {4, 5, .3, .89},  {4, 8, .3, .95}, {8, 7, .1, .84},
        {8, 8, .1, .92}, {8, 9, .1, .96}, {8, 16, .1, .99}, {8, 9, .3, .84},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct sim_report r;
        struct simulation in = ring(known[i].stages, known[i].in_flight, known[i].jitter);
        NEED(simulate(&r, &in, why));
        CHECK(fabs(r.busiest - known[i].busy) < 0.012, "%d stages, %u in flight, jitter %.1f: %.3f, wanted %.2f",
              known[i].stages, known[i].in_flight, known[i].jitter, r.busiest, known[i].busy);
    }
}

TEST(groups_are_even_whatever_the_number_of_sequences)
{
    for (uint32_t m = 2; m <= 9; m++)
        for (uint32_t n = m; n <= 4 * m + 1; n++) {
            struct sim_report r;
            struct simulation in = ring((int)m - 1, m, 0.1);
            in.requests = in.limits.slots = n;
            in.prompt_most = 90;
            in.answer_least = in.answer_most = 60;
            NEED(simulate(&r, &in, why));
            CHECK(r.group_least == n / m && r.group_most == (n + m - 1) / m,
                  "%u sequences, %u in flight: groups of %u to %u", n, m, r.group_least, r.group_most);
        }
}

TEST(few_sequences_form_a_group_a_stage_and_many_a_group_a_micro_batch)
{
    for (uint32_t stages = 2; stages <= 5; stages++)
        for (uint32_t n = stages; n <= 48 * stages; n += 16 * stages + 16) {
            struct sim_report r;
            struct simulation in = ring((int)stages, stages + 1, 0.1);
            in.limits.stages = stages;
            in.requests = in.limits.slots = n;
            in.answer_least = in.answer_most = 60;
            NEED(simulate(&r, &in, why));
            uint32_t groups = n < 16 * (stages + 1) ? stages : stages + 1;
            CHECK(r.group_least == n / groups && r.group_most == (n + groups - 1) / groups,
                  "%u sequences, %u stages: groups of %u to %u", n, stages, r.group_least, r.group_most);
        }
}

TEST(prompts_among_answers_leave_no_holes)
{
    struct sim_report r;
    struct simulation in = mixed(200, 0);
    NEED(simulate(&r, &in, why));
    CHECK(r.busiest > 0.97, "%.3f", r.busiest);
    in = mixed(800, 0);
    NEED(simulate(&r, &in, why));
    CHECK(r.busiest > 0.95, "%.3f", r.busiest);
    in = mixed(200, 1);
    NEED(simulate(&r, &in, why));
    CHECK(r.ttft_mean < 0.3 && r.pace_most < 0.4, "first token after %.3f s, then %.3f s at most", r.ttft_mean,
          r.pace_most);
    in = mixed(200, 2); /* more than the cluster can do: the queue grows, and everyone is served in turn all the same */
    NEED(simulate(&r, &in, why));
    CHECK(r.busiest > 0.97 && r.tokens > 0);
}

/* A tick of n / S decodes and its share of prompts is the fewest micro-batches there can be, and each costs a reading of the weights. */
TEST(a_queue_of_prompts_is_served_evenly_in_few_micro_batches)
{
    for (int stages = 2; stages <= 4; stages++) {
        struct sim_report r;
        struct simulation in = mixed(300, 0);
        in.stages = stages, in.jitter = 0.05, in.hop.delay = 100e-6;
        for (int i = 0; i < stages; i++) in.stage[i] = (struct sim_stage){.rows = curve_line(0.05, 0.0102)};
        in.prompt_least = 64, in.prompt_most = 512, in.answer_least = 32, in.answer_most = 128;
        in.limits = (struct scheduler_limits){.slots = 16, .in_flight = (uint32_t)stages + 1, .rows = 128, .context = 1024,
                                              .stages = (uint32_t)stages, .piece_quarters = 1};
        NEED(simulate(&r, &in, why));
        const double fewest = (double)(r.tokens - in.requests) * stages / in.limits.slots, best = 0.05 * fewest + 0.0102 * (double)r.rows;
        CHECK(r.seconds < 1.15 * best, "%d stages: %.0f s, %.0f with full micro-batches and no bubble", stages, r.seconds, best);
    }
}

/* n / p pieces through S stages take n / p + S - 1 ticks; which p is best depends on what a piece costs, and the scheduler
 * has to do well without knowing it. */
TEST(a_long_prompt_streams_through_the_stages)
{
    struct simulation in = mixed(0, 0);
    in.jitter = in.hop.delay = 0;
    in.stage[3].tokens.n = 0;
    in.requests = 1, in.prompt_least = in.prompt_most = 1920, in.answer_least = in.answer_most = 1;
    in.limits.rows = 128;
    for (int cost = 1; cost <= 4; cost *= 2) { /* as much as 2, 4 and 8 rows */
        struct sim_report r;
        double best = INFINITY;
        for (int i = 0; i < 4; i++) in.stage[i].rows = curve_line(0.001 * cost, 0.0005);
        NEED(simulate(&r, &in, why));
        for (int p = 8; p <= 128; p++) best = fmin(best, (ceil(1920.0 / p) + 3) * (0.001 * cost + 0.0005 * p));
        CHECK(r.seconds < 1.1 * best, "%d ms a piece: %.4f s, the best is %.4f s", cost, r.seconds, best);
        CHECK(r.tokens == 1 && r.rows == 1920);
    }
}

/* Planner, scheduler and simulator see one and the same cluster: what was planned as the slowest stage sets the pace. */
TEST(a_planned_relay_runs_as_fast_as_planned)
{
    const struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    const struct worker_offer o[3] = {{.threads = 1}, {.threads = 2}, {.threads = 1}};
    const struct capacity cap = {1024, 64, 128, 4, 0, {0}};
    struct simulation in = {.stages = 3, .seed = 5, .requests = 64, .prompt_least = 1, .prompt_most = 1, .answer_least = 800,
                            .answer_most = 800, .limits = {64, 4, 128, 1024, 3, piece_quarters(NULL, 2), NULL}};
    struct sim_report r;
    PLAN p = {0};
    double slowest = 0;
    NEED(solve(&p, &m, o, 3, &cap, why));
    for (int i = 0; i < 3; i++) {
        const double t = p.of[i].expected[CHAIN_TEXT];
        if (t > slowest) slowest = t;
        stage_curves(&in.stage[i].rows, &in.stage[i].tokens, &m, p.of[i].part[CHAIN_TEXT], &o[i], &p.capacity);
    }
    NEED(simulate(&r, &in, why));
    const double planned = decode_rows(&cap) / slowest;
    CHECK(r.tokens_per_second > 0.93 * planned && r.tokens_per_second < 1.05 * planned, "%.1f tokens a second, planned %.1f", r.tokens_per_second,
          planned);
}

TEST(the_same_numbers_give_the_same_run)
{
    struct sim_report a, b;
    struct simulation in = mixed(300, 1);
    memset(&a, 0, sizeof a), memset(&b, 0, sizeof b);
    NEED(simulate(&a, &in, why));
    NEED(simulate(&b, &in, why));
    CHECK(!memcmp(&a, &b, sizeof a));
    in.seed++;
    NEED(simulate(&b, &in, why));
    CHECK(a.seconds != b.seconds);
}

TEST(an_impossible_cluster_is_refused)
{
    struct sim_report r;
    struct err no = {0};
    struct simulation in = ring(0, 1, 0);
    CHECK(simulate(&r, &in, &no) == E_USAGE && strstr(no.text, "stages"));
    in = ring(64, 1, 0), in.stages = 65;
    CHECK(simulate(&r, &in, &no) == E_USAGE);
    in = ring(2, 2, 1.5);
    CHECK(simulate(&r, &in, &no) == E_USAGE && strstr(no.text, "jitter"));
    in = ring(2, 2, NAN);
    CHECK(simulate(&r, &in, &no) == E_USAGE);
    in = ring(2, 2, 0), in.stage[1].rows = curve_line(0, 0);
    CHECK(simulate(&r, &in, &no) == E_USAGE && strstr(no.text, "stage 2"));
    in = ring(2, 2, 0), in.prompt_most = in.prompt_least = 5000;
    CHECK(simulate(&r, &in, &no) == E_USAGE && strstr(no.text, "4096"), "%s", no.text);
}
