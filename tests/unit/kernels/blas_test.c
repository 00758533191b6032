/* tests/unit/kernels/blas_test.c — float32 math: weights are widened as their formats say, and a row's product depends on that row alone. */
#include "tests/support/check.h"
#include "tests/support/kernels_data.h"

#include "base/cpu.h"
#include "worker/kernels/blas.h"

#define ROWS 37
#define OUT 200  /* no whole tile of output rows */
#define COLS 768 /* a whole depth and part of another */

TEST(weights_are_widened_as_their_formats_say)
{
    float *row = memory(4 * COLS), *wide = memory(4ul * COLS * PANEL_ROWS);
    for (size_t t = 0; t < ALL_TYPES; t++) {
        struct matrix m = matrix_make(all_types[t], OUT, COLS, t);
        for (uint32_t p = 0; p < (OUT + PANEL_ROWS - 1) / PANEL_ROWS; p++) {
            panel_widen(wide, PANEL_ROWS, &m.panels, p, 0, COLS);
            for (uint32_t r = p * PANEL_ROWS; r < OUT && r < (p + 1) * PANEL_ROWS; r++) {
                uint32_t differ = 0;
                block_dequantize(all_types[t], m.file + r * block_row_bytes(all_types[t], COLS), row, COLS);
                for (uint32_t c = 0; c < COLS; c++) differ += fabsf(row[c] - wide[c * PANEL_ROWS + r % PANEL_ROWS]) > 1e-6f * (1 + fabsf(row[c]));
                CHECK(!differ, "type %u, row %u: %u of %d values", all_types[t], r, differ, COLS);
            }
        }
        matrix_free(&m);
    }
    free(row), free(wide);
}

TEST(code_is_taken_by_what_it_needs_and_not_by_the_processors_name)
{
    struct err why = {0};
    if (getenv("OPENBLAS_CORETYPE")) return test_skip("OPENBLAS_CORETYPE says which");
    if (blas_open(&why)) return test_skip(why.text);
#if defined(__aarch64__)
    CHECK(strstr(blas_name(), " armv8"), "%s", blas_name());
#else
    if (cpu_has_avx2()) CHECK(strstr(blas_name(), cpu_has_avx512_vnni() ? " SkylakeX" : " Haswell"), "%s", blas_name());
#endif
}

TEST(rows_that_travel_together_and_panels_at_a_time_change_no_bit)
{
    const uint32_t panels = (OUT + PANEL_ROWS - 1) / PANEL_ROWS;
    struct err why = {0};
    if (blas_open(&why)) return test_skip(why.text);
    struct matrix m = matrix_make(T_Q4_0, OUT, COLS, 3);
    float *x = floats_make(ROWS * COLS, 1, 5), *scratch = memory(sgemm_bytes(ROWS)), *row = memory(4 * COLS);
    float *all = memory(4ul * ROWS * OUT), *one = memory(4 * OUT);
    struct acts a = {.rows = ROWS, .cols = COLS, .x = x, .ldx = COLS};
    blas_matmul(all, OUT, &m.panels, &a, 0, panels, scratch);
    for (uint32_t r = 0; r < ROWS; r++) {
        a.rows = 1, a.x = x + (size_t)r * COLS;
        blas_matmul(one, OUT, &m.panels, &a, 0, 8, scratch);
        blas_matmul(one + 128, OUT, &m.panels, &a, 8, panels - 8, scratch);
        CHECK(!memcmp(one, all + (size_t)r * OUT, 4 * OUT), "row %u of %d", r, ROWS);
    }
    for (uint32_t o = 0; o < OUT; o++) {
        double truth = 0, size = 0;
        block_dequantize(T_Q4_0, m.file + o * block_row_bytes(T_Q4_0, COLS), row, COLS);
        for (uint32_t c = 0; c < COLS; c++) truth += (double)row[c] * x[c], size += fabs((double)row[c] * x[c]);
        CHECK(fabs(truth - all[o]) <= 1e-6 * size, "output %u: %g, truth %g", o, (double)all[o], truth);
    }
    matrix_free(&m);
    free(x), free(scratch), free(row), free(all), free(one);
}
