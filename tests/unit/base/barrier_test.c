/* tests/unit/base/barrier_test.c — nobody passes a barrier before all are there, and nobody stays behind. */
#include "tests/support/check.h"

#include "base/barrier.h"
#include "base/clock.h"
#include "base/threads.h"

#include <omp.h>
#include <sched.h>
#include <sys/resource.h>

/* Each thread counts its rounds; between two barriers nobody may be a round ahead or behind. `late`: every so many rounds one
 * thread arrives after the others have gone to sleep. Returns how often that was not so. */
static int rounds_out_of_step(int threads, int rounds, int late)
{
    enum { MOST = 8 };
    struct barrier b;
    int seen[MOST] = {0}, wrong = 0;
    barrier_open(&b, false);
#pragma omp parallel num_threads(threads) reduction(+ : wrong)
    {
        const int me = omp_get_thread_num(), n = omp_get_num_threads();
        for (int round = 1; round <= rounds; round++) {
            if (late && round % late == 0 && me == round / late % n) sleep_ns(3000000);
            seen[me] = round;
            barrier_wait(&b, (uint32_t)n);
            for (int i = 0; i < n; i++) wrong += seen[i] != round;
            barrier_wait(&b, (uint32_t)n);
        }
    }
    barrier_close(&b);
    return wrong;
}

TEST(nobody_passes_a_barrier_early)
{
    for (int threads = 1; threads <= 8; threads *= 2) CHECK(rounds_out_of_step(threads, 2000, 0) == 0, "%d threads", threads);
}

TEST(threads_that_sleep_at_a_barrier_are_woken)
{
    for (int threads = 2; threads <= 5; threads++) CHECK(rounds_out_of_step(threads, 60, 3) == 0, "%d threads", threads);
}

/* Both sleep at once, and set out together, one of them a little later each time: so now and then one goes to sleep just as the other ends
 * the round. Whoever is not woken hangs for ever. */
TEST(who_goes_to_sleep_as_the_round_ends_is_woken)
{
    enum { ROUNDS = 30000 };
    struct barrier b;
    _Atomic int set_out = 0;
    barrier_open(&b, true);
#pragma omp parallel num_threads(2)
    for (int round = 1; round <= ROUNDS; round++) {
        atomic_fetch_add(&set_out, 1);
        for (int looks = 1; atomic_load(&set_out) < 2 * round; looks++)
            if (looks % 2000 == 0) sched_yield(); /* on one core the other one never comes otherwise */
        for (volatile int late = omp_get_thread_num() ? round % 200 : 100; late > 0;) late = late - 1;
        barrier_wait(&b, 2);
    }
    CHECK(atomic_load(&b.round) == ROUNDS && atomic_load(&b.sleepers) == 0);
    barrier_close(&b);
}

static long sleeps(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_nvcsw; /* a core that is offered counts elsewhere */
}

/* The most of each round arrive before the last one does. */
TEST(threads_that_have_no_core_of_their_own_sleep_while_they_wait)
{
    const int threads = 8 * cores_allowed(), rounds = 100;
    struct barrier b;
    barrier_open(&b, false);
    const long before = sleeps();
#pragma omp parallel num_threads(threads)
    for (int round = 0; round < rounds; round++) barrier_wait(&b, (uint32_t)threads);
    const long slept = sleeps() - before;
    barrier_close(&b);
    CHECK(slept > rounds * threads / 2, "%d threads slept %ld times in %d rounds", threads, slept, rounds);
}

static void *keep_busy(void *stop)
{
    while (!atomic_load((atomic_bool *)stop)) continue;
    return NULL;
}

/* One of two is late again and again, and others want the cores. */
TEST(a_thread_whose_core_was_taken_when_it_offered_it_sleeps_the_next_times)
{
    enum { BUSY = 4 * 64 };
    const int rounds = 150, busy = 4 * cores_allowed() < BUSY ? 4 * cores_allowed() : BUSY;
    struct barrier b;
    pthread_t others[BUSY];
    atomic_bool stop = false;
    if (cores_allowed() < 2) return test_skip("on one core threads always sleep");
    barrier_open(&b, false);
    for (int i = 0; i < busy; i++) CHECK(pthread_create(&others[i], NULL, keep_busy, &stop) == 0);
    const long before = sleeps();
#pragma omp parallel num_threads(2)
    for (int round = 0; round < rounds; round++) {
        if (omp_get_thread_num() == 1) sleep_ns(200000);
        barrier_wait(&b, 2);
    }
    const long after = sleeps();
    atomic_store(&stop, true);
    for (int i = 0; i < busy; i++) pthread_join(others[i], NULL);
    barrier_close(&b);
    CHECK(after - before > rounds * 3 / 2, "%ld sleeps in %d rounds, of which each has one anyway", after - before, rounds);
}
