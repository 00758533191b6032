/* base/barrier.c — see barrier.h. */
#include "base/barrier.h"

#include "base/clock.h"
#include "base/threads.h"

#include <sched.h>

#define TURNS 1000        /* of spinning: some ten microseconds */
#define OFFERS_NS 1000000 /* of offering the core, before sleep */
#define TAKEN_NS 500000   /* that an offer took: somebody else had the core */
#define NAPS 50           /* waits that are slept through after that */

static void pause_a_little(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void barrier_open(struct barrier *b, bool crowded)
{
    b->cores = crowded ? 1 : (uint32_t)cores_allowed();
    atomic_init(&b->arrived, 0);
    atomic_init(&b->round, 0);
    atomic_init(&b->sleepers, 0);
    atomic_init(&b->naps, 0);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->next, NULL);
}

void barrier_close(struct barrier *b)
{
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->next);
}

/* Whoever goes to sleep says so before it looks at the round a last time, and whoever ends the round looks for sleepers
 * after that: one of the two sees the other. */
static void sleep_through(struct barrier *b, uint32_t round)
{
    pthread_mutex_lock(&b->lock);
    atomic_fetch_add(&b->sleepers, 1);
    while (atomic_load(&b->round) == round) pthread_cond_wait(&b->next, &b->lock);
    atomic_fetch_sub(&b->sleepers, 1);
    pthread_mutex_unlock(&b->lock);
}

static void end_round(struct barrier *b, uint32_t round)
{
    atomic_store(&b->arrived, 0);
    atomic_exchange(&b->round, round + 1); /* a store would do, but some emulators of an ARM let the load below pass it */
    if (atomic_load(&b->sleepers) == 0) return;
    pthread_mutex_lock(&b->lock);
    pthread_cond_broadcast(&b->next);
    pthread_mutex_unlock(&b->lock);
}

void barrier_wait(struct barrier *b, uint32_t threads)
{
    if (threads <= 1) return;
    const uint32_t round = atomic_load(&b->round);
    if (atomic_fetch_add(&b->arrived, 1) + 1 == threads) {
        end_round(b, round);
        return;
    }
    const uint32_t naps = atomic_load_explicit(&b->naps, memory_order_relaxed);
    if (naps) atomic_store_explicit(&b->naps, naps - 1, memory_order_relaxed);
    if (naps || threads > b->cores) return sleep_through(b, round);
    for (int turn = 0; turn < TURNS; turn++) {
        if (atomic_load_explicit(&b->round, memory_order_acquire) != round) return;
        pause_a_little();
    }
    const uint64_t start = clock_ns();
    for (uint64_t now = start, before = start; now - start < OFFERS_NS; before = now) {
        if (atomic_load_explicit(&b->round, memory_order_acquire) != round) return;
        sched_yield();
        now = clock_ns();
        if (now - before > TAKEN_NS) atomic_store_explicit(&b->naps, NAPS, memory_order_relaxed);
    }
    sleep_through(b, round);
}
