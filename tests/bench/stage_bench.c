/* tests/bench/stage_bench.c — how long a micro-batch stays in a stage, by the clock on the wall.
 *
 *   stage_bench [WORD…]     only lines whose text holds every word, for instance  stage_bench decode "rows   8"
 *
 * A stage of STAGE_LAYERS layers of the 4B's shape, random Q4_0 weights, without the head and with it (Q6_K). One row of
 * each of so many sequences (a decode), or so many of one (a prompt); threads: OMP_NUM_THREADS. Waiting between the loops
 * is in these numbers, which kernels_bench leaves out; so is what other programs do to the machine, which is why the
 * fastest quarter is the column to compare. */
#include "tests/bench/wanted.h"
#include "tests/support/toy.h"

#include "base/clock.h"
#include "base/threads.h"

#include <omp.h>
#include <stdio.h>

#define STAGE_LAYERS 6
#define SEQUENCES 16
#define CONTEXT 2048
#define RUNS_MOST 4000
#define SECONDS 1.5

static double now(void)
{
    return (double)clock_ns() / 1e9;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct model_config shape(void)
{
    return (struct model_config){.layers = STAGE_LAYERS, .hidden = 2560, .ffn = 10240, .heads = 8, .kv_heads = 4,
                                 .head_dim = 256, .window = 1024, .pattern = 6, .context = 131072, .vocab = 262144,
                                 .rope_base_global = 1e6f, .rope_base_local = 1e4f, .rope_factor = 8,
                                 .norm_epsilon = 1e-6f, .attention_scale = 0.0625f};
}

/* Multiply-adds of matrices for one row. */
static double work_of(const struct toy *toy, bool head)
{
    double sum = 0;
    for (size_t i = 0; i < toy->n; i++)
        if (!role_is_norm(toy->tensors[i].role) && (head || toy->tensors[i].role != W_HEAD))
            sum += (double)toy->tensors[i].rows * toy->tensors[i].cols;
    return sum;
}

static void must(int code, const struct err *why)
{
    if (!code) return;
    fprintf(stderr, "stage_bench: %s\n", why->text);
    exit(1);
}

struct bench_case {
    uint32_t rows;
    bool prompt, head;
};

static void fill(struct relay *r, struct feed *feeds, const struct bench_case *c)
{
    work_clear(r);
    for (uint32_t s = 0; s < (c->prompt ? 1 : c->rows); s++) {
        if (feeds[s].position + c->rows > CONTEXT) feeds[s] = feed_new(s, s);
        work_add(r, &feeds[s], c->prompt ? c->rows : 1, c->head ? WANT_TOKEN : 0);
    }
}

static void bench_case(const struct toy *toy, const struct bench_case *c, int argc, char **argv)
{
    static double took[RUNS_MOST];
    char line[100];
    const int threads = omp_get_max_threads();
    snprintf(line, sizeof line, "%-6s %s rows %3u threads %d", c->prompt ? "prompt" : "decode",
             c->head ? "with head" : "no head  ", c->rows, threads);
    if (!wanted(line, argc, argv)) return;
    struct relay *r = NULL;
    struct err why = {0};
    struct feed feeds[SEQUENCES];
    char cuts[16];
    /* a head that is not wanted stands in a stage of its own, which never runs */
    snprintf(cuts, sizeof cuts, c->head ? "%d" : "%d,%d", STAGE_LAYERS, STAGE_LAYERS);
    const struct relay_plan plan = {cuts, {CONTEXT, SEQUENCES, 256, 1, 0, {0}}, threads, NULL, NULL};
    must(relay_open(&r, toy, &plan, &why), &why);
    for (uint32_t s = 0; s < SEQUENCES; s++) feeds[s] = feed_new(s, s);
    int runs = 0;
    for (double start = now(); runs < RUNS_MOST && now() - start < SECONDS; runs++) {
        fill(r, feeds, c);
        for (uint32_t i = 0; i < r->work->n_rows; i++)
            toy_embed(toy, r->work->rows[i].id, r->x + (size_t)i * toy->config.hidden);
        double from = now();
        must(stage_run(r->stages[0], r->work, r->x, r->result, relay_take, r, &why), &why);
        took[runs] = now() - from;
    }
    qsort(took, (size_t)runs, sizeof *took, by_size);
    double quarter = took[runs / 4];
    printf("%s  %7.1f GMAC/s %6.1f GB/s %8.3f ms  median %8.3f  runs %d\n", line, work_of(toy, c->head) * c->rows / quarter / 1e9,
           (double)stage_memory(r->stages[0]).weights / quarter / 1e9, quarter * 1e3, took[runs / 2] * 1e3, runs);
    relay_close(&r);
}

int main(int argc, char **argv)
{
    threads_wait_politely(argv);
    const struct bench_case cases[] = {{1, false, false},  {2, false, false},  {4, false, false}, {8, false, false},
                                       {16, false, false}, {8, true, false},   {16, true, false},  {24, true, false},
                                       {32, true, false},  {64, true, false},  {128, true, false}, {256, true, false},
                                       {1, false, true},   {8, false, true},   {16, false, true}};
    struct toy *toy = toy_make(shape(), (struct toy_types){T_Q4_0, T_Q4_0, T_Q4_0, T_Q6_K}, 7);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) bench_case(toy, &cases[i], argc, argv);
    toy_free(toy);
    return 0;
}
