/* tests/bench/vision_bench.c — the picture encoder's heavy kernels alone, one thread, in multiply-adds per second of
 * processor time (so that a shared machine disturbs little), for the real encoder's shapes. */
#include "tests/support/kernels_data.h"

#include <time.h>

#define ROWS 128

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void product(const struct kernels *k, uint32_t type, uint32_t rows, uint32_t cols)
{
    struct matrix m = matrix_make(type, rows, cols, 1);
    float *x = floats_make((size_t)ROWS * cols, 1, 2), *y = floats_make((size_t)ROWS * rows, 1, 3);
    struct acts a;
    acts_init(&a, memory(act_bytes(ROWS, cols)), ROWS, cols);
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        double since = cpu_seconds();
        acts_shape(&a, ROWS, cols, x, cols);
        quantize_rows(k, &a);
        k->matmul_many(y, rows, &m.panels, &a);
        since = cpu_seconds() - since;
        best = since < best ? since : best;
    }
    printf("%-7s %-5s [%u, %u] x %d rows  %6.1f G/s\n", k->isa, block_info(type)->name, rows, cols, ROWS,
           (double)rows * cols * ROWS / best * 1e-9);
    free(x), free(y), free(a.q), matrix_free(&m);
}

static void attention(const struct kernels *k, uint32_t dim, uint32_t n)
{
    struct vision_attend t = {.rows = ROWS, .head_dim = dim, .n = n, .ldq = dim, .ld_scale = 1, .ldo = dim};
    int16_t *q = memory(ROWS * dim * 2), *keys = memory(n * dim * 2), *values = memory(n * dim * 2);
    float *scales = floats_make(n * dim, 1e-3f, 1), *out = memory(ROWS * dim * 4);
    for (size_t i = 0; i < ROWS * dim; i++) q[i] = (int16_t)(i * 7919 % 8190) - 4095;
    for (size_t i = 0; i < n * dim; i++) keys[i] = (int16_t)(i * 104729 % 8190) - 4095;
    for (size_t i = 0; i < n * dim; i++) values[i] = (int16_t)(i * 15485863 % 8190) - 4095;
    t.q = q, t.q_scale = scales, t.out = out, t.keys = keys, t.key_scale = scales, t.values = values, t.value_scale = scales;
    t.scratch = memory(vision_attend_bytes(dim));
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
        double since = cpu_seconds();
        k->vision_attend(&t);
        since = cpu_seconds() - since;
        best = since < best ? since : best;
    }
    printf("%-7s attention, head of %u, %u keys, %d rows  %6.1f G/s\n", k->isa, dim, n, ROWS, 2.0 * dim * n * ROWS / best * 1e-9);
    free(q), free(keys), free(values), free(scales), free(out), free(t.scratch);
}

int main(void)
{
    const char *isas[] = {"avx2", "avxvnni", "avx512", "neon", "neondot", "i8mm"};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        struct kernels k;
        if (kernels_named(&k, isas[i], NULL)) continue;
        product(&k, T_F16, 1152, 1152);
        product(&k, T_F16, 4304, 1152);
        product(&k, T_F16, 1152, 4304);
        product(&k, T_Q8_0, 4304, 1152);
        attention(&k, 72, 4096);
    }
    return 0;
}
