/* tests/unit/plan/speed_test.c — curves, and plans for workers that were measured. */
#include "tests/support/plan_shapes.h"
#include "tests/support/simulate.h"

#include <math.h>

TEST(a_curve_is_level_before_its_first_point_and_goes_on_behind_its_last)
{
    const struct curve c = {3, {2, 4, 8}, {1, 2, 10}}, one = {1, {5}, {7}};
    const double at[][2] = {{0, 1}, {2, 1}, {3, 1.5}, {4, 2}, {6, 6}, {8, 10}, {9, 12}};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        CHECK(fabs(curve_seconds(&c, at[i][0]) - at[i][1]) < 1e-12, "%g rows: %g", at[i][0], curve_seconds(&c, at[i][0]));
    CHECK(curve_seconds(&one, 0) == 7 && curve_seconds(&one, 100) == 7);
}

TEST(what_a_piece_costs_follows_from_the_curve_of_a_layer)
{
    struct speed v = {0};
    for (int threads = 0; threads < 5; threads++)
        CHECK(piece_quarters(NULL, threads) == (threads == 1 || threads == 2 ? 1 : 16), "%d threads: %u", threads, piece_quarters(NULL, threads));
    const struct { double fixed, row; uint32_t quarters; } known[] = {
        {0.004, 0.001, 16}, {0.001, 0.004, 1}, {0, 0.001, 1}, {0.01, 0.001, 40}, {0.01, 0, 512}, {1000, 0.001, 512},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        v.local = curve_line(known[i].fixed, known[i].row);
        CHECK(piece_quarters(&v, 1) == known[i].quarters, "%g and %g a row: %u quarters", known[i].fixed, known[i].row, piece_quarters(&v, 1));
    }
    v.local.n = 1; /* one point tells nothing about pieces */
    CHECK(piece_quarters(&v, 8) == 16);
}

TEST(bytes_take_time_where_it_is_known_how_much)
{
    const struct hop network = {0.001, 1e6}, nominal = NOMINAL_HOP;
    CHECK(fabs(hop_seconds(&network, 5000) - 0.006) < 1e-12);
    CHECK(hop_seconds(&nominal, 0) > 0 && hop_seconds(&nominal, 1e9) == hop_seconds(&nominal, 0));
}

/* A stage's two curves are the very times that are planned with. */
TEST(the_curves_of_a_stage_meet_what_was_planned)
{
    const struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    const struct worker_offer o = {.threads = 2};
    const struct part all = {20, 34, 0, 16, false}, none = {0, 20, 0, 0, false};
    struct curve rows, tokens;
    for (uint32_t sequences = 1; sequences <= 512; sequences *= 2) { /* a group of each of the curve's lengths */
        const struct capacity cap = {4096, sequences, 512, 1, 0, {0}};
        stage_curves(&rows, &tokens, &m, all, &o, &cap);
        const double planned = decode_seconds(NULL, &m, all, &cap) / 2, curve = curve_seconds(&rows, sequences) + curve_seconds(&tokens, sequences);
        const bool point = sequences <= 32 || sequences == 128 || sequences == 512;
        CHECK(fabs(curve / planned - 1) < (point ? 1e-9 : 0.1), "%u rows: %g s, planned %g s", sequences, curve, planned);
    }
    stage_curves(&rows, &tokens, &m, none, &o, &usual);
    CHECK(rows.n && !tokens.n);
}

/* As if it had been measured and found to be as fast as so many nominal threads. */
static struct speed as_measured(const struct model_shape *m, double power)
{
    struct speed v = {0};
    struct curve *curves[] = {&v.local, &v.global, &v.head_part};
    struct item_work w[] = {layer_work(m, 0, 0), layer_work(m, m->config.pattern - 1, 0), head_work(m, (struct part){0, 0, 0, 1, false})};
    for (int i = 0; i < 3; i++) {
        const double knee = w[i].bytes / NOMINAL_BYTES_PER_SECOND * NOMINAL_MACS_PER_SECOND / w[i].macs;
        w[i].kv_bytes = w[i].kv_macs = 0;
        *curves[i] = (struct curve){.n = 3, .rows = {0, knee, 2 * knee}};
        for (int k = 0; k < 3; k++) curves[i]->seconds[k] = nominal_seconds(&w[i], curves[i]->rows[k]) / power;
    }
    const struct item_work back = layer_work(m, m->config.pattern - 1, 0);
    v.key = fmax(back.kv_bytes / NOMINAL_BYTES_PER_SECOND, back.kv_macs / NOMINAL_MACS_PER_SECOND) / power;
    return v;
}

static const struct capacity cases[] = {{4096, 1, 256, 4, 0, {0}}, {4096, 4, 256, 4, 0, {0}}, {1024, 16, 64, 4, 0, {0}}};

TEST(measured_as_fast_as_nominal_is_planned_the_same)
{
    const struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[3] = {{.name = "a", .threads = 1}, {.name = "b", .threads = 2}, {.name = "c", .threads = 4}};
    struct speed v[3];
    for (int i = 0; i < 3; i++) v[i] = as_measured(&m, o[i].threads);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        PLAN nominal = {0}, measured = {0};
        for (int i = 0; i < 3; i++) o[i].measured = NULL;
        NEED(solve(&nominal, &m, o, 3, &cases[k], why));
        for (int i = 0; i < 3; i++) o[i].measured = &v[i];
        NEED(solve(&measured, &m, o, 3, &cases[k], why));
        for (int i = 0; i < 3; i++) {
            CHECK(part_same(nominal.of[i].part[CHAIN_TEXT], measured.of[i].part[CHAIN_TEXT]), "case %zu, worker %d", k, i + 1);
            CHECK(fabs(nominal.of[i].expected[CHAIN_TEXT] / measured.of[i].expected[CHAIN_TEXT] - 1) < 1e-3,
                  "case %zu, worker %d: %g and %g", k,
                  i + 1, nominal.of[i].expected[CHAIN_TEXT], measured.of[i].expected[CHAIN_TEXT]);
        }
        CHECK(nominal.made_from != measured.made_from, "what was measured is part of the question");
    }
}

TEST(a_worker_found_slow_gets_less)
{
    const struct model_shape m = invent(gemma_4b, T_Q4_0, T_Q6_K);
    struct worker_offer o[2] = {{.name = "a", .threads = 4}, {.name = "b", .threads = 4}};
    const struct speed slow = as_measured(&m, 1);
    PLAN before = {0}, after = {0};
    NEED(solve(&before, &m, o, 2, &cases[1], why));
    o[0].measured = &slow;
    NEED(solve(&after, &m, o, 2, &cases[1], why));
    const uint32_t was = before.of[0].part[CHAIN_TEXT].end, is = after.of[0].part[CHAIN_TEXT].end;
    CHECK(was == 17 && is < 10, "%u layers, then %u", was, is);
}
