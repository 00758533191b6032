/* worker/machine_limits.c — what this machine can do at most, for `gemmapipe bench` to hold the kernels against.
 *
 * Not the best instant but the best tenth of a second out of several: memory and clock of a shared machine come and go,
 * and a step of decode lasts about as long. Reading goes straight through one piece of memory per thread, as the
 * kernels go through their panels; it is several times as large as the last cache. A second in all. */
#include "worker/worker.h"

#include "base/clock.h"
#include "worker/kernels/kernels.h"
#include "worker/kernels/peak.h"
#include "worker/weights/region.h"

#include <omp.h>
#include <stdio.h>
#include <unistd.h>

#define ROUNDS 5
#define ROUND_NS 70000000ull
#define READ_LEAST (256u << 20)
#define READ_MOST (1u << 30)

typedef uint64_t lanes __attribute__((vector_size(16)));

static uint64_t read_through(const uint8_t *p, size_t n)
{
    lanes a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = 0; i < n; i += 4 * sizeof(lanes)) {
        const lanes *at = (const void *)(p + i);
        a |= at[0], b |= at[1], c |= at[2], d |= at[3];
    }
    a |= b | c | d;
    return a[0] | a[1];
}

struct short_job { /* what every thread of the team does, for one short while */
    void (*turns)(uint64_t); /* NULL: read */
    uint64_t n_turns;
    const uint8_t *memory;
    size_t bytes; /* of all threads */
    int threads;
};

/* Nanoseconds from the moment all threads are there until the last is done. */
static uint64_t job_once(const struct short_job *j)
{
    uint64_t start = 0, seen = 0;
    const size_t part = j->bytes / (size_t)j->threads / 64 * 64;
#pragma omp parallel num_threads(j->threads) reduction(| : seen)
    {
#pragma omp barrier
#pragma omp master
        start = clock_ns();
#pragma omp barrier
        if (j->turns) j->turns(j->n_turns);
        else seen |= read_through(j->memory + part * (size_t)omp_get_thread_num(), part);
    }
    uint64_t took = clock_ns() - start + (seen == 1); /* the region holds zeros: nobody may skip the reading */
    return took ? took : 1;
}

/* Runs per second of the whole team's job, in the best of the rounds. */
static double job_rate(const struct short_job *j)
{
    double best = 0;
    job_once(j);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t spent = 0, runs = 0;
        for (; spent < ROUND_NS; runs++) spent += job_once(j);
        double rate = (double)runs * 1e9 / (double)spent;
        if (rate > best) best = rate;
    }
    return best;
}

/* Multiply-adds a second of all threads. Turns are chosen so that one run is long beside starting the team. */
static double peak_rate(void (*turns)(uint64_t), uint32_t macs, int threads)
{
    struct short_job j = {.turns = turns, .n_turns = 1000, .threads = threads};
    while (job_once(&j) < 2000000 && j.n_turns < 1ull << 40) j.n_turns *= 2;
    return job_rate(&j) * (double)j.n_turns * macs * threads;
}

static size_t read_size(void)
{
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t want = cache > 0 ? 8 * (size_t)cache : READ_LEAST;
    return want < READ_LEAST ? READ_LEAST : want > READ_MOST ? READ_MOST : want;
}

int worker_limits(struct worker_limits *out, int threads, struct err *why)
{
    struct kernels k;
    struct region r;
    TRY(kernels_choose(&k, why));
    TRY(region_open(&r, read_size(), "measuring how fast memory is read", threads, why));
    struct peak peak = kernels_peak(k.isa);
    struct short_job read = {.memory = r.at, .bytes = r.bytes, .threads = threads};
    *out = (struct worker_limits){.threads = threads};
    snprintf(out->isa, sizeof out->isa, "%s", k.isa);
    out->read_bytes = job_rate(&read) * (double)(r.bytes / (size_t)threads / 64 * 64) * threads;
    region_close(&r);
    out->int8_macs = peak_rate(peak.int8, peak.int8_macs, threads);
    out->f32_macs = peak_rate(peak.f32, peak.f32_macs, threads);
    return 0;
}
