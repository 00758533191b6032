/* tests/unit/base/barrier_test.c — nobody passes a barrier before all are there, and nobody stays behind. */
#include "tests/support/check.h"

#include "base/barrier.h"
#include "base/clock.h"

#include <omp.h>

/* Each thread counts its rounds; between two barriers nobody may be a round ahead or behind. `late`: every so many rounds one
 * thread arrives after the others have gone to sleep. Returns how often that was not so. */
static int rounds_out_of_step(int threads, int rounds, int late)
{
    enum { MOST = 8 };
    struct barrier b;
    int seen[MOST] = {0}, wrong = 0;
    barrier_open(&b);
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
