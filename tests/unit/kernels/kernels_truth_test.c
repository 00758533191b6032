/* tests/unit/kernels/kernels_truth_test.c — ref.c defines the bits, so here it is held against the truth: double precision,
 * weights as block_dequantize reads them, activations rounded by a formula of this file's own, and libm for the
 * functions. */
#include "tests/support/kernels_data.h"

static struct kernels ref_kernels(void)
{
    struct kernels k = {0};
    if (kernels_named(&k, "ref", NULL)) abort();
    return k;
}

/* ---- packing and matmul ---------------------------------------------------------------------------------------- */

/* The activation rule of kernels.h in this file's words: what a row is worth after quantisation. */
static void round_trip(float *x, uint32_t n)
{
    for (uint32_t b = 0; b < n; b += 32) {
        float top = 0;
        for (uint32_t i = b; i < b + 32; i++) top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
        float scale = top / 127, inverse = 1 / scale;
        for (uint32_t i = b; i < b + 32; i++) x[i] = top < 0x1p-100f ? 0 : scale * (float)nearbyint(x[i] * inverse);
    }
}

static bool is_float_type(uint32_t type)
{
    return type == T_F32 || type == T_F16 || type == T_BF16;
}

static void check_matmul(uint32_t type, uint32_t rows, uint32_t out, uint32_t cols)
{
    struct kernels k = ref_kernels();
    struct matrix m = matrix_make(type, out, cols, type + cols);
    float *x = floats_make((size_t)rows * cols, 3, cols), *y = memory(rows * out * sizeof(float));
    float *row = memory(cols * sizeof(float));
    struct acts a;
    void *store = memory(act_bytes(rows, cols));
    acts_init(&a, store, rows, cols);
    acts_shape(&a, rows, cols, x, cols);
    if (!is_float_type(type)) quantize_rows(&k, &a);
    k.matmul(y, out, &m.panels, &a, 0, (out + 15) / 16);
    for (uint32_t r = 0; r < rows && !is_float_type(type); r++) round_trip(x + r * cols, cols);
    for (uint32_t o = 0; o < out; o++) {
        block_dequantize(type, m.file + o * block_row_bytes(type, cols), row, cols);
        for (uint32_t r = 0; r < rows; r++) {
            double sum = 0, size = 0;
            for (uint32_t c = 0; c < cols; c++)
                sum += (double)row[c] * x[r * cols + c], size += fabs((double)row[c] * x[r * cols + c]);
            double error = fabs(sum - y[r * out + o]);
            CHECK(error <= 2e-6 * size, "%s cols %u row %u out %u: %g, truth %g", block_info(type)->name, cols, r, o,
                  y[r * out + o], sum);
        }
    }
    free(x), free(y), free(row), free(store);
    matrix_free(&m);
}

TEST(matmul_gives_what_the_file_and_the_rounded_rows_say)
{
    for (size_t t = 0; t < ALL_TYPES; t++)
        for (uint32_t cols = 32; cols <= 1536; cols = cols < 256 ? cols * 2 : cols + 640)
            if (cols % block_info(all_types[t])->elems == 0) check_matmul(all_types[t], 3, 21, cols);
    for (uint32_t type = T_F32; type <= T_F16; type++)
        for (uint32_t cols = 1; cols < 50; cols += 7) check_matmul(type, 2, 17, cols);
    check_matmul(T_BF16, 2, 17, 72);
}

TEST(packing_in_pieces_or_at_once_gives_the_same_panels)
{
    for (size_t t = 0; t < ALL_TYPES; t++) {
        uint32_t type = all_types[t], rows = 53, cols = 512;
        struct matrix m = matrix_make(type, rows, cols, 5);
        struct panels p;
        size_t bytes = panels_bytes(type, rows, cols);
        panels_init(&p, type, rows, cols, memory(bytes));
        uint64_t row = block_row_bytes(type, cols);
        panels_pack(&p, type, 32, 21, m.file + 32 * row);
        panels_pack(&p, type, 0, 32, m.file);
        CHECK(!memcmp(p.data, m.panels.data, bytes), "%s", block_info(type)->name);
        free(p.data);
        matrix_free(&m);
    }
}

/* ---- activations ----------------------------------------------------------------------------------------------- */

static struct acts quantized(void **store, const float *x, uint32_t rows, uint32_t cols)
{
    struct kernels k = ref_kernels();
    struct acts a;
    *store = memory(act_bytes(rows, cols));
    acts_init(&a, *store, rows, cols);
    acts_shape(&a, rows, cols, x, cols);
    quantize_rows(&k, &a);
    return a;
}

TEST(activations_are_rounded_to_the_nearest_even_of_127_steps)
{
    /* Largest 127, so a step is 1. */
    float x[32] = {127,   -127,  0.5f,  1.5f, 2.5f,  -0.5f, -1.5f, -2.5f,
                   0.49f, 0.51f, -3.7f, 0,    -0.0f, 63.5f, 64.5f, 1e-30f};
    int want[32] = {127, -127, 0, 2, 2, 0, -2, -2, 0, 1, -4, 0, 0, 64, 64, 0};
    void *store;
    struct acts a = quantized(&store, x, 1, 32);
    int first = 0;
    for (int i = 0; i < 32; i++) {
        CHECK(a.q[i] == want[i], "place %d: %d, not %d", i, a.q[i], want[i]);
        first += want[i];
    }
    CHECK(a.scale[0] == 1 && a.minus32[0] == -32 * first && a.minus32[1] == 0 && a.sums[0] == (float)first);
    free(store);
}

/* round_trip has the rule in other words: amax / 127 and its inverse, each rounded once. Near the middle of a step
 * another order of these shows, in one value of a hundred thousand, so there are many. */
TEST(activations_follow_the_rule_to_the_last_rounding)
{
    enum { ROWS = 8, COLS = 32 * 6000 };
    void *store;
    float *x = floats_make(ROWS * COLS, 3, 11);
    struct acts a = quantized(&store, x, ROWS, COLS);
    round_trip(x, ROWS * COLS);
    for (uint32_t r = 0; r < ROWS; r++)
        for (uint32_t c = 0; c < COLS; c++) {
            size_t at = (size_t)(c / 32) * a.tile + r;
            float got = a.scale[at] * (float)a.q[at * 32 + c % 32];
            CHECK(got == x[r * COLS + c], "row %u column %u", r, c);
        }
    free(x), free(store);
}

TEST(blocks_without_a_usable_scale_become_zeros_or_nan)
{
    float x[5 * 32] = {0};
    x[3] = 0x1p-101f;           /* too small */
    x[32 + 7] = -0x1p-100f;     /* just large enough */
    x[64 + 1] = INFINITY, x[64 + 2] = 5;
    x[96 + 31] = NAN;
    void *store;
    struct acts a = quantized(&store, x, 1, 160);
    CHECK(a.scale[0] == 0 && a.q[3] == 0 && a.sums[0] == 0);
    CHECK(a.scale[a.tile] == 0x1p-100f / 127 && a.q[a.tile * 32 + 7] == -127);
    for (int b = 2; b < 4; b++) {
        CHECK(isnan(a.scale[a.tile * b]) && isnan(a.sums[a.tile * b]));
        for (int i = 0; i < 32; i++) CHECK(a.q[a.tile * b * 32 + i] == 0);
    }
    CHECK(a.scale[4 * a.tile] == 0);
    free(store);
}

/* ---- functions of one value ------------------------------------------------------------------------------------ */

/* The distance in steps between floats; the truth is a double. */
static double ulps(float got, double truth)
{
    if (isnan(truth)) return isnan(got) ? 0 : 1e9;
    if (isinf((float)truth)) return got == (float)truth ? 0 : 1e9;
    double step = fabs(truth) < 0x1p-126 ? 0x1p-149 : ldexp(1, ilogb(truth) - 23);
    return fabs((double)got - truth) / step;
}

TEST(exp_is_within_one_unit_and_right_at_the_ends)
{
    double worst = 0;
    float at = 0;
    for (uint32_t bits = 0; bits < 0x7f800000u; bits += 5003)
        for (int sign = 0; sign < 2; sign++) {
            float x = f32_from_bits(bits | (uint32_t)sign << 31);
            double u = ulps(kernel_exp(x), exp(x));
            if (u > worst) worst = u, at = x;
        }
    CHECK(worst < 1.0, "%g units at %a", worst, at);
    CHECK(kernel_exp(0) == 1 && kernel_exp(-0.0f) == 1);
    CHECK(kernel_exp(-INFINITY) == 0 && !signbit(kernel_exp(-INFINITY)) && kernel_exp(INFINITY) == INFINITY);
    CHECK(isnan(kernel_exp(NAN)));
    CHECK(kernel_exp(-103.97f) == 0x1p-149f && kernel_exp(-103.98f) == 0 && kernel_exp(88.73f) == INFINITY);
}

TEST(exp_sum_is_the_sum_of_exps_below_the_largest)
{
    enum { N = 1001 };
    float *x = floats_make(N, 30, 5), best;
    double truth = 0, top = -INFINITY;
    for (int i = 0; i < N; i++) top = x[i] > top ? x[i] : top;
    for (int i = 0; i < N; i++) truth += exp(x[i] - top);
    float sum = ref_kernels().exp_sum(x, N, &best);
    CHECK(best == (float)top && fabs((double)sum / truth - 1) < 1e-6, "%g, not %g", (double)sum, truth);
    x[700] = INFINITY;
    CHECK(isnan(ref_kernels().exp_sum(x, N, &best)));
    free(x);
}

static float gelu_of(float x)
{
    float u = 1;
    ref_kernels().gelu_mul(&x, &u, 1);
    return x;
}

TEST(gelu_has_the_known_values_and_the_tanh_form_everywhere)
{
    static const struct {
        float x, y;
    } known[] = {{-3, -0.0036374f}, {-1, -0.158808f}, {-0.5f, -0.154286f},
                 {0.5f, 0.345714f}, {1, 0.841192f},   {3, 2.9963626f}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        CHECK(fabsf(gelu_of(known[i].x) - known[i].y) < 6e-7f, "gelu(%g) = %.8g", known[i].x, gelu_of(known[i].x));
    for (double x = -12; x <= 12; x += 1.0 / 1237) {
        double v = (float)x, u = sqrt(2 / acos(-1)) * (v + 0.044715 * v * v * v), truth = v / (1 + exp(-2 * u));
        double y = gelu_of((float)x), slack = (4 + fabs(3 * u)) * 0x1p-23; /* the exponent 2u carries a few roundings */
        CHECK(fabs(y - truth) <= slack * fabs(truth) + 1e-36, "gelu(%a) = %a, truth %a", x, y, truth);
        CHECK(fabs(y - 0.5 * v * (1 + tanh(u))) <= 4 * 0x1p-24 * fabs(v), "gelu(%a)", x);
    }
    CHECK(gelu_of(0) == 0 && gelu_of(1e30f) == 1e30f && gelu_of(-1e30f) == 0 && gelu_of(INFINITY) == INFINITY);
    CHECK(isnan(gelu_of(NAN)));
}

TEST(to_f16_rounds_as_base_half_does)
{
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 7919) {
        float x = f32_from_bits((uint32_t)bits);
        uint16_t y;
        ref_kernels().to_f16(&y, &x, 1);
        CHECK(y == f32_to_f16(x), "%a", x);
        if (fabsf(x) <= 65504) CHECK(fabsf(f16_to_f32(y) - x) <= fmaxf(fabsf(x) * 0x1p-11f, 0x1p-25f), "%a", x);
    }
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

TEST(norm_is_the_row_over_its_root_mean_square)
{
    struct kernels k = ref_kernels();
    for (uint32_t n = 1; n < 700; n += 37) {
        float *x = floats_make(n, 30, n), *g = floats_make(n, 2, n + 1), *y = memory(4 * n),
              *z = floats_make(n, 5, n + 2);
        double sum = 0;
        for (uint32_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
        double r = 1 / sqrt(sum / n + 1e-6);
        k.norm(y, x, g, n, 1e-6f);
        float *before = memory(4 * n);
        memcpy(before, z, 4 * n);
        k.norm_add(z, x, g, n, 1e-6f);
        for (uint32_t i = 0; i < n; i++) {
            CHECK(ulps(y[i], x[i] * r * g[i]) < 4, "n %u at %u", n, i);
            CHECK(z[i] == before[i] + y[i]);
        }
        k.norm(x, x, g, n, 1e-6f);
        CHECK(floats_differ(x, y, n) == n);
        free(x), free(g), free(y), free(z), free(before);
    }
}

/* The truth in x87's 64 bits of mantissa where there are such; elsewhere the same sums in whatever long double is. */
TEST(rope_tables_are_rounded_right_up_to_position_131072)
{
    static const struct {
        uint32_t head_dim;
        double base, factor;
    } models[] = {{256, 1e4, 1}, {256, 1e6, 1}, {256, 1e6, 8}, {128, 1e6, 8},
                  {128, 1e4, 1}, {64, 1e4, 1},  {72, 1e5, 3},  {2, 1e4, 1}};
    uint32_t wrong = 0, all = 0;
    float c[128], s[128];
    long double frequency[128];
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        uint32_t h = models[m].head_dim / 2;
        for (uint32_t i = 0; i < h; i++) frequency[i] = powl(models[m].base, -(long double)i / h) / models[m].factor;
        for (uint32_t p = 0; p <= 131072; p = p < 40 ? p + 1 : p + p / 53 + 1) {
            rope_table(c, s, models[m].head_dim, models[m].base, models[m].factor, p);
            for (uint32_t i = 0; i < h; i++) {
                double x = (double)cosl(p * frequency[i]), y = (double)sinl(p * frequency[i]);
                all += 2;
                wrong += (c[i] != (float)x) + (s[i] != (float)y);
                CHECK(ulps(c[i], x) < 0.5001 && ulps(s[i], y) < 0.5001, "model %zu position %u pair %u: %a %a", m, p, i,
                      c[i], s[i]);
            }
        }
    }
    CHECK(wrong == 0, "%u of %u", wrong, all);
}

TEST(rope_frequencies_are_the_published_ones)
{
    float c[128], s[128];
    rope_table(c, s, 256, 1e4, 1, 1);
    CHECK(fabs(atan2(s[1], c[1]) - 0.930572041) < 2e-7 && fabs(s[127] - 1.07460783e-4) < 1e-11);
    rope_table(c, s, 256, 1e6, 8, 1);
    CHECK(fabs(atan2(s[0], c[0]) - 0.125) < 2e-8 && fabs(s[64] - 1.25e-4) < 2e-11 &&
          fabs(s[127] - 1.39246732e-7) < 2e-14);
    rope_table(c, s, 128, 1e6, 8, 0);
    for (int i = 0; i < 64; i++) CHECK(c[i] == 1 && s[i] == 0);
}

TEST(rope_turns_pairs_that_are_half_a_head_apart)
{
    struct kernels k = ref_kernels();
    float x[6] = {1, 2, 3, 4, 5, 6}, c[3] = {0, 1, 0.6f}, s[3] = {1, 0, 0.8f};
    k.rope(x, c, s, 6);
    CHECK(x[0] == -4 && x[3] == 1 && x[1] == 2 && x[4] == 5);
    CHECK(fabsf(x[2] - (3 * 0.6f - 6 * 0.8f)) < 1e-6f && fabsf(x[5] - (6 * 0.6f + 3 * 0.8f)) < 1e-6f);
}

/* ---- attention ------------------------------------------------------------------------------------------------- */

static void check_attend(uint32_t heads, uint32_t head_dim, uint32_t n_pages, uint32_t from, uint32_t to)
{
    struct kernels k = ref_kernels();
    size_t half = (size_t)KV_PAGE * head_dim;
    uint16_t **pages = memory(n_pages * sizeof *pages);
    uint64_t seed = head_dim + to;
    for (uint32_t p = 0; p < n_pages; p++) {
        pages[p] = memory(4 * half);
        for (size_t i = 0; i < 2 * half; i++) pages[p][i] = f32_to_f16(random_float(&seed));
    }
    float *q = floats_make(heads * head_dim, 2, to), *out = memory(4 * heads * head_dim);
    void *scratch = memory(attend_bytes(head_dim));
    struct attend_row sees = {from, to};
    double *e = memory(8 * (to + 1)), sum, largest, value;
    struct attend t = {.q = q,
                       .out = out,
                       .sees = &sees,
                       .rows = 1,
                       .heads = heads,
                       .head_dim = head_dim,
                       .scale = 0.7f,
                       .pages = (const uint8_t *const *)pages,
                       .n_pages = n_pages,
                       .keys_at = 0,
                       .values_at = 2 * half,
                       .scratch = scratch};
    k.attend(&t);
    for (uint32_t h = 0; h < heads; h++) {
        largest = -INFINITY, sum = 0;
        for (uint32_t p = from; p <= to; p++) {
            const uint16_t *key = pages[p / KV_PAGE % n_pages] + p % KV_PAGE / 16 * head_dim * 16 + p % 16;
            e[p] = 0;
            for (uint32_t i = 0; i < head_dim; i++) e[p] += (double)q[h * head_dim + i] * f16_to_f32(key[i * 16]);
            e[p] *= 0.7f;
            largest = fmax(largest, e[p]);
        }
        for (uint32_t p = from; p <= to; p++) sum += e[p] = exp(e[p] - largest);
        for (uint32_t i = 0; i < head_dim; i++) {
            value = 0;
            for (uint32_t p = from; p <= to; p++)
                value += e[p] / sum * f16_to_f32(pages[p / KV_PAGE % n_pages][half + p % KV_PAGE * head_dim + i]);
            CHECK(fabs(value - out[h * head_dim + i]) < 1e-5, "heads %u dim %u %u..%u: head %u at %u: %g, truth %g",
                  heads, head_dim, from, to, h, i, out[h * head_dim + i], value);
        }
    }
    for (uint32_t p = 0; p < n_pages; p++) free(pages[p]);
    free(pages), free(q), free(out), free(scratch), free(e);
}

TEST(attention_is_the_softmax_of_the_scores_times_the_values)
{
    check_attend(1, 64, 1, 0, 0);
    check_attend(2, 256, 3, 0, 130);
    check_attend(4, 72, 2, 5, 100);
    check_attend(3, 6, 3, 129, 300); /* a ring: page 0 holds positions 192..255 */
}

/* ---- the door -------------------------------------------------------------------------------------------------- */

TEST(an_unknown_instruction_set_is_refused_with_a_sentence)
{
    struct kernels k;
    struct err why = {0};
    CHECK(kernels_named(&k, "mmx", &why) == E_USAGE && strstr(why.text, "mmx"), "%s", why.text);
    setenv("GEMMAPIPE_ISA", "mmx", 1);
    CHECK(kernels_choose(&k, &why) == E_USAGE);
    setenv("GEMMAPIPE_ISA", "ref", 1);
    CHECK(kernels_choose(&k, &why) == 0 && !strcmp(k.isa, "ref"));
    unsetenv("GEMMAPIPE_ISA");
    CHECK(kernels_choose(&k, &why) == 0 && k.attend);
}
