/* tests/unit/base/processor_time_test.c — what others took of the time in which this process could have computed. */
#include "base/processor_time.h"
#include "tests/support/check.h"

#include <math.h>

TEST(the_share_is_of_the_time_in_which_threads_could_have_run)
{
    const struct processor_time a = {1000, 500, 10, 1000}, b = {4000, 1500, 10, 1000};
    CHECK(fabs(processor_time_waited(&a, &b) - 0.25) < 1e-12, "%g", processor_time_waited(&a, &b));
    CHECK(processor_time_waited(&a, &a) == 0);
}

TEST(what_the_machine_below_took_counts_and_a_thread_that_ended_does_not)
{
    const struct processor_time a = {1000, 500, 10, 1000}, stolen = {2000, 500, 40, 1100}, ended = {200, 100, 10, 1100};
    CHECK(fabs(processor_time_waited(&a, &stolen) - 0.3) < 1e-12, "%g", processor_time_waited(&a, &stolen));
    CHECK(processor_time_waited(&a, &ended) == 0);
}

TEST(the_kernel_counts_what_this_process_ran)
{
    const struct processor_time now = processor_time();
    CHECK(now.ticks > 0 && now.stolen <= now.ticks);
    if (!now.ran_ns) test_skip("this kernel does not count the time of threads");
}
