/* tests/bench/kernels_bench.c — how fast matmul and attention are here.
 *
 *   kernels_bench [WORD…]     only lines whose text holds every word, for instance  kernels_bench avx512 Q4_0
 *
 * One line per instruction set, format, shape and number of rows: the best of several runs by the busiest thread's CPU
 * time, in 10^9 multiply-adds a second and 10^9 weight bytes a second (what one row is limited by). Threads:
 * OMP_NUM_THREADS. Weights are small integers of no meaning; the time does not depend on them. */
#include "base/half.h"
#include "partition/format/blocks.h"
#include "tests/bench/wanted.h"
#include "worker/kernels/kernels.h"

#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Pages touched by the threads that will read them. */
static void *filled(size_t bytes)
{
    uint8_t *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p) exit(1);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < bytes; i++) p[i] = i % 7 ? (uint8_t)(i * 37 >> 3) & 0x17 : 1;
    return p;
}

/* CPU time of the calling thread: what other programs take away does not count, only what they do to the caches. */
static double thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of the busiest thread. */
static double seconds_of_matmul(const struct kernels *k, float *y, const struct panels *w, struct acts *a,
                                bool quantize)
{
    uint32_t panels = (w->rows + PANEL_ROWS - 1) / PANEL_ROWS;
    double busiest = 0;
#pragma omp parallel reduction(max : busiest)
    {
        double start = thread_seconds();
        uint32_t n = (uint32_t)omp_get_num_threads(), me = (uint32_t)omp_get_thread_num();
        uint32_t first = (uint32_t)((uint64_t)panels * me / n), end = (uint32_t)((uint64_t)panels * (me + 1) / n);
        if (quantize) {
            uint32_t from = a->rows * me / n, to = a->rows * (me + 1) / n;
            for (uint32_t r = from; r < to; r++) k->quantize(a, r, a->x + r * a->ldx, 0, a->cols);
#pragma omp barrier
        }
        k->matmul(y + first * PANEL_ROWS, w->rows, w, a, first, end - first);
        busiest = thread_seconds() - start;
    }
    return busiest;
}

static void bench_matmul(const struct kernels *k, uint32_t type, uint32_t out, uint32_t cols, uint32_t rows, int argc,
                         char **argv)
{
    char line[100];
    snprintf(line, sizeof line, "%-6s %-5s [%6u,%6u] rows %3u threads %d", k->isa, block_info(type)->name, out, cols,
             rows, omp_get_max_threads());
    if (!wanted(line, argc, argv)) return;
    struct panels w;
    struct acts a;
    size_t bytes = panels_bytes(type, out, cols);
    void *store = filled(act_bytes(rows, cols));
    float *x = filled(4ul * rows * cols), *y = filled(4ul * rows * out);
    for (size_t i = 0; i < (size_t)rows * cols; i++) x[i] = (float)(i % 29) - 14;
    panels_init(&w, type, out, cols, filled(bytes));
    acts_init(&a, store, rows, cols);
    acts_shape(&a, rows, cols, x, cols);
    double best = 1e9, spent = 0;
    bool is_float = type == T_F16 || type == T_BF16 || type == T_F32;
    for (int run = 0; run < 200 && (run < 5 || spent < 0.2); run++) {
        double s = seconds_of_matmul(k, y, &w, &a, !is_float);
        spent += s;
        if (s < best) best = s;
    }
    printf("%s  %7.1f GMAC/s %6.1f GB/s %8.3f ms\n", line, (double)out * cols * rows / best / 1e9,
           (double)bytes / best / 1e9, best * 1e3);
    free(store), free(x), free(y), free(w.data);
}

/* `rows` consecutive rows, the last of which sees `keys` positions; `window`: at most so many. One key/value head. */
static void bench_attend_of(const struct kernels *k, enum kv_type type, uint32_t rows, uint32_t heads, uint32_t head_dim, uint32_t keys,
                         uint32_t window, int argc, char **argv)
{
    static const char *const names[KV_TYPES] = {"f16", "q8_0", "f32"};
    char line[120];
    snprintf(line, sizeof line, "%-6s attend %-4s rows %2u heads %u dim %3u keys %5u window %5u threads 1", k->isa, names[type], rows, heads,
             head_dim, keys, window);
    if (!wanted(line, argc, argv)) return;
    uint32_t n_pages = (keys + KV_PAGE - 1) / KV_PAGE;
    size_t half = kv_half_bytes(head_dim, type);
    double seen = 0;
    uint8_t *store = filled(2 * half * n_pages);
    const uint8_t **pages = filled(n_pages * sizeof *pages);
    struct attend_row *sees = filled(rows * sizeof *sees);
    for (uint32_t p = 0; p < n_pages; p++) pages[p] = store + p * 2 * half;
    for (uint32_t r = 0; r < rows; r++) {
        sees[r].to = keys - rows + r;
        sees[r].from = sees[r].to >= window ? sees[r].to - window + 1 : 0;
        seen += sees[r].to - sees[r].from + 1;
    }
    size_t ld = (size_t)heads * head_dim;
    struct attend t = {.q = filled(4 * rows * ld),
                       .out = filled(4 * rows * ld),
                       .ldq = ld,
                       .ldo = ld,
                       .sees = sees,
                       .rows = rows,
                       .heads = heads,
                       .head_dim = head_dim,
                       .scale = 0.0625f,
                       .pages = pages,
                       .type = type,
                       .n_pages = n_pages,
                       .values_at = half,
                       .scratch = filled(attend_bytes(head_dim))};
    double best = 1e9, spent = 0;
    for (int run = 0; run < 50 && (run < 3 || spent < 0.3); run++) {
        double start = thread_seconds();
        k->attend(&t);
        double s = thread_seconds() - start;
        spent += s;
        if (s < best) best = s;
    }
    printf("%s  %7.1f GMAC/s %6.1f GB/s %8.3f ms\n", line, 2.0 * heads * head_dim * seen / best / 1e9,
           2.0 * half / KV_PAGE * (keys < window ? keys : window) / best / 1e9, best * 1e3);
    free(store), free(pages), free(sees), free((void *)t.q), free(t.out), free(t.scratch);
}

static void bench_attend(const struct kernels *k, uint32_t rows, uint32_t heads, uint32_t head_dim, uint32_t keys, uint32_t window, int argc,
                         char **argv)
{
    for (int type = 0; type < KV_TYPES; type++)
        bench_attend_of(k, (enum kv_type)type, rows, heads, head_dim, keys, window, argc, argv);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"ref", "avx2", "avxvnni", "avx512", "neon", "neondot", "i8mm"};
    static const uint32_t types[] = {T_Q4_0, T_Q4_1, T_Q4_K, T_Q8_0, T_Q5_1, T_Q5_K, T_Q6_K, T_F16, T_BF16, T_F32};
    static const uint32_t all_rows[] = {1, 2, 4, 8, 16, 64, 256};
    for (int i = 0; i < 5; i++) {
        struct kernels k;
        if (kernels_named(&k, names[i], NULL)) continue;
        for (int t = 0; t < 10; t++)
            for (int r = 0; r < 7; r++) {
                if (i == 0 && r) continue; /* ref is not made for speed */
                bench_matmul(&k, types[t], 10240, 2560, all_rows[r], argc, argv);
                bench_matmul(&k, types[t], 2560, 10240, all_rows[r], argc, argv);
            }
        for (int r = 0; r < 5 && i; r++) {
            bench_matmul(&k, T_Q6_K, 262144, 2560, all_rows[r], argc, argv);
            bench_matmul(&k, T_F16, 262144, 2560, all_rows[r], argc, argv);
            bench_matmul(&k, T_Q4_0, 262144, 2560, all_rows[r], argc, argv);
        }
        bench_attend(&k, 64, 2, 256, 8192, 8192, argc, argv); /* a prompt, the global layers of the 4B */
        bench_attend(&k, 64, 2, 256, 8192, 1024, argc, argv); /* and its local ones */
        bench_attend(&k, 8, 2, 256, 8192, 8192, argc, argv);
        bench_attend(&k, 1, 2, 256, 1024, 1024, argc, argv);
        bench_attend(&k, 1, 2, 256, 8192, 8192, argc, argv);
        bench_attend(&k, 1, 2, 256, 131072, 131072, argc, argv);
        bench_attend(&k, 32, 4, 256, 4096, 4096, argc, argv);
        bench_attend(&k, 1, 4, 256, 4096, 4096, argc, argv);
        bench_attend(&k, 64, 2, 128, 4096, 4096, argc, argv);
        bench_attend(&k, 1, 2, 128, 4096, 4096, argc, argv);
        bench_attend(&k, 1, 1, 72, 4096, 4096, argc, argv);
    }
    return 0;
}
