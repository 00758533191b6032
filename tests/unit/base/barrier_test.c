/* tests/unit/base/barrier_test.c — nobody passes a barrier before all are there, and nobody stays behind. */
#include "tests/support/check.h"

#include "base/barrier.h"
#include "base/clock.h"
#include "base/threads.h"

#include <omp.h>
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
