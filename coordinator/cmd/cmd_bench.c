/* coordinator/cmd/cmd_bench.c — `gemmapipe bench`: how fast this model is on these workers, and how fast it could be.
 *
 * The limits are measured last: they take memory of their own, which must not stand in anyone's peak. */
#include "coordinator/cmd/bench_print.h"
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"

#include "base/clock.h"
#include "base/plain_text.h"
#include "base/threads.h"

#include <pthread.h>
#include <stdatomic.h>

static bool all_are_here(const struct fleet *f)
{
    const struct pipeline *p;
    int worker;
    for (int i = 0; (p = fleet_stage(f, i, &worker)); i++)
        if (!is_this_host(p->crew[worker]->hello.host)) return false;
    return true;
}

/* Of all stages together, no more than there are cores. */
static int threads_in_use(const struct fleet *f)
{
    const struct pipeline *p;
    int sum = 0, worker, cores = cores_allowed();
    for (int i = 0; (p = fleet_stage(f, i, &worker)); i++) sum += p->offers[worker].threads;
    return sum < cores ? sum : cores;
}

struct limits_job {
    struct worker_limits limits;
    int threads, code;
    struct err why;
    atomic_bool done;
};

static void *find_limits(void *of)
{
    struct limits_job *j = of;
    j->code = worker_limits(&j->limits, j->threads, &j->why);
    atomic_store(&j->done, true);
    return NULL;
}

/* It takes seconds, and whoever hears nothing of us for so long takes us for lost: so the workers are listened to meanwhile. */
static int find_limits_aside(struct limits_job *j, struct session *s, struct err *why)
{
    pthread_t thread;
    int code = 0;
    j->threads = threads_in_use(s->fleet);
    if (pthread_create(&thread, NULL, find_limits, j)) return fail(why, E_MEMORY, "no thread to measure this machine with");
    while (!atomic_load(&j->done) && !code) code = session_turn(s, TURN_MS, why);
    pthread_join(thread, NULL);
    if (!code && j->code) *why = j->why, code = j->code;
    return code;
}

static int print(const struct bench *b, struct session *s, struct err *why)
{
    struct limits_job job = {.code = 0};
    const bool here = all_are_here(s->fleet);
    if (here) TRY(find_limits_aside(&job, s, why));
    struct plain_page page;
    FILE *to = plain_page_open(&page, stdout_ring_stream(s->out));
    (s->options->json ? bench_print_json : bench_print)(to, b, s->fleet, here ? &job.limits : NULL);
    plain_page_close(&page);
    return session_deliver(s, why);
}

static int prepare(struct session *s, const struct bench *b, struct err *why)
{
    struct capacity c;
    struct options asked = *s->options;
    asked.context = bench_context(b);
    asked.sequences = bench_sequences(b);
    TRY(capacity_for(&c, &asked, &s->pipe->model->config, &(struct load){.prompt = 1, .answer = 1, .prompts = 1}, why));
    return session_launch(s, &c, why);
}

int command_bench(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    uint64_t start = clock_ns();
    struct session s = {0};
    struct bench b = {0};
    int code = session_open(&s, o, wish, mpi, why);
    if (!code) code = bench_open(&b, o, &s.pipe->model->config, why);
    if (!code) code = prepare(&s, &b, why);
    b.ready_seconds = (double)(clock_ns() - start) / 1e9;
    if (!code) code = bench_run(&b, &s, why);
    b.peak = peak_resident_bytes();
    if (!code) code = print(&b, &s, why);
    bench_close(&b);
    session_close(&s, code ? why : NULL);
    return code;
}
