/* tests/unit/plan/derive_test.c — what was not measured stands to what was as nominal seconds do. */
#include "partition/plan/derive.h"
#include "partition/plan/text_cost.h"
#include "tests/support/plan_shapes.h"

#include <math.h>

static const struct model_config six = {.layers = 6, .hidden = 256, .ffn = 1024, .heads = 4, .kv_heads = 2, .head_dim = 64, .window = 512,
                                        .pattern = 6, .context = 4096, .vocab = 4096, .rope_base_global = 1e6f, .rope_base_local = 1e4f,
                                        .rope_factor = 8, .norm_epsilon = 1e-6f, .attention_scale = 0.0625f};
static const struct part layer = {0, 1, 0, 0, false}, head = {0, 0, 0, 1, false};

/* Three times as slow as a nominal thread. */
static struct curve slow(const struct model_shape *m, struct part part)
{
    struct curve c = {.n = 3, .rows = {1, 8, 64}};
    for (uint32_t i = 0; i < c.n; i++) c.seconds[i] = 3 * part_seconds(NULL, m, part, 0, c.rows[i], c.rows[i]);
    return c;
}

TEST(what_is_missing_is_as_slow_as_what_was_measured)
{
    const struct model_shape m = invent(six, T_Q4_0, T_Q8_0);
    for (int of_head = 0; of_head < 2; of_head++) {
        struct speed v = {0};
        *(of_head ? &v.head_part : &v.local) = slow(&m, of_head ? head : layer);
        CHECK(speed_derive(&v, &m, VISION_Q8_0) == (DERIVED_LOOKING_BACK | (of_head ? DERIVED_LAYERS : DERIVED_HEAD)));
        const struct curve wanted = slow(&m, of_head ? layer : head), *got = of_head ? &v.local : &v.head_part;
        for (uint32_t i = 0; i < wanted.n; i++)
            CHECK(got->n == 3 && fabs(got->seconds[i] / wanted.seconds[i] - 1) < 1e-9, "%g s, wanted %g", got->seconds[i], wanted.seconds[i]);
        CHECK(v.global.n == 3 && v.global.seconds[2] == v.local.seconds[2]);
        const struct part global = {5, 6, 0, 0, false};
        const double far = part_seconds(&v, &m, global, 1024, 1, 1), near = part_seconds(&v, &m, global, 0, 1, 1);
        const double nominal = part_seconds(NULL, &m, global, 1024, 1, 1) - part_seconds(NULL, &m, global, 0, 1, 1);
        CHECK(fabs((far - near) / nominal / 3 - 1) < 0.01, "%g s for looking back, nominal %g", far - near, nominal);
    }
}

/* Of two rows the seconds are those of reading the weights, of sixteen those of arithmetic. */
TEST(a_curve_that_ends_among_few_rows_does_not_go_on_level)
{
    const struct model_shape m = invent(six, T_Q4_0, T_Q8_0);
    struct speed v = {.local = {.n = 2, .rows = {1, 2}, .seconds = {0.001, 0.00101}}, .head_part = slow(&m, head), .key = 1e-7};
    const double wanted = 0.00101 * part_seconds(NULL, &m, layer, 0, 16, 16) / part_seconds(NULL, &m, layer, 0, 2, 2);
    CHECK(speed_derive(&v, &m, VISION_Q8_0) == DERIVED_LAYERS && v.local.n == 3 && v.head_part.n == 3, "%u points", v.local.n);
    CHECK(fabs(curve_seconds(&v.global, 16) / wanted - 1) < 0.01, "%g s, wanted %g", curve_seconds(&v.global, 16), wanted);
}

TEST(what_was_measured_stays_and_of_nothing_nothing_follows)
{
    const struct model_shape m = invent(six, T_Q4_0, T_Q8_0);
    struct speed v = {.key = 1e-6}, whole = {.local = slow(&m, layer), .head_part = slow(&m, layer), .key = 1e-7};
    CHECK(speed_derive(&v, &m, VISION_Q8_0) == DERIVED_ALL && !v.local.n && v.key == 1e-6);
    CHECK(!speed_derive(&whole, &m, VISION_Q8_0) && whole.key == 1e-7 && whole.head_part.seconds[0] == whole.local.seconds[0]);
}

