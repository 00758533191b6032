/* tests/unit/plan/ration_test.c — when a step is done of which only a part of each period may be computed. */
#include "partition/plan/ration.h"
#include "tests/support/check.h"

#include <math.h>

static const struct ration fifth = {.quota = 0.001, .period = 0.005, .tick = 0.004}, exact = {.quota = 0.001, .period = 0.005};

/* Seconds of a step in the mean, each after such a rest. */
static double mean_step(const struct ration *r, double seconds, double rest)
{
    double sum = 0, t = 0;
    struct purse p = purse_full(r, 0.0007);
    for (int i = 0; i < 2000; i++) {
        const double end = ration_end(r, &p, t, seconds);
        sum += end - t;
        t = end + rest * (0.95 + 0.1 * fmod(i * GOLDEN, 1));
    }
    return sum / 2000;
}

TEST(without_a_quota_nobody_stands_still)
{
    const struct ration all = {0};
    struct purse p = purse_full(&all, 0);
    CHECK(ration_end(&all, &p, 3, 0.5) == 3.5 && ration_share(&all) == 1);
    struct ration enough = ration_of(2000, 5000, 4000, 2);
    CHECK(ration_of(0, 0, 4000, 2).quota <= 0 && ration_share(&enough) == 1, "as much as its threads can use is no limit");
    enough.sharing = 2;
    CHECK(fabs(ration_share(&enough) - 0.5) < 1e-12, "but for two");
}

TEST(threads_use_a_quota_together_and_workers_share_it)
{
    struct ration r = ration_of(500, 100000, 4000, 2);
    CHECK(fabs(r.quota - 0.025) < 1e-12 && fabs(ration_share(&r) - 0.25) < 1e-12, "%g s", r.quota);
    r.sharing = 5;
    CHECK(fabs(ration_share(&r) - 0.05) < 1e-12);
}

TEST(who_rests_long_has_one_quota_and_no_more)
{
    struct purse p = purse_full(&exact, 0);
    CHECK(fabs(ration_end(&exact, &p, 0, 0.001) - 0.001) < 1e-9, "a step as long as a quota takes no longer");
    CHECK(fabs(ration_end(&exact, &p, 100.0, 0.003) - 100.011) < 1e-6, "one of three after a long rest ends at %.6f", p.at);
}

TEST(whoever_always_computes_gets_its_share)
{
    CHECK(fabs(mean_step(&fifth, 0.002, 0) / 0.010 - 1) < 0.01 && fabs(mean_step(&fifth, 0.3, 0) / 1.5 - 1) < 0.01);
    CHECK(fabs(mean_step(&exact, 0.002, 0) / 0.010 - 1) < 0.01 && fabs(mean_step(&exact, 10, 0) / 50 - 1) < 0.01);
}

/* Means that a spinning program was measured to take on Linux 6.18 with a tick of 4 ms (docs/SPEED.md 52). */
TEST(steps_take_as_long_as_the_kernel_makes_them)
{
    static const struct {
        double quota, period, step, rest, measured; /* milliseconds */
    } known[] = {{1, 5, 2, 0, 10.0}, {1, 5, 2, 10, 5.2}, {1, 5, 0.5, 3, 0.53}, {1, 5, 5, 30, 20.6}, {1, 5, 5, 10, 20.5}, {1, 5, 10, 30, 46.3}, {4, 5, 5, 5, 5.2},
                 {20, 100, 8, 20, 20.2}, {20, 100, 30, 30, 115.8}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct ration r = {.quota = known[i].quota / 1e3, .period = known[i].period / 1e3, .tick = 0.004};
        const double t = 1e3 * mean_step(&r, known[i].step / 1e3, known[i].rest / 1e3);
        CHECK(fabs(t / known[i].measured - 1) < 0.07, "%g ms of %g, a step of %g after %g: %.3f ms, measured %g", known[i].quota, known[i].period, known[i].step,
              known[i].rest, t, known[i].measured);
    }
}

TEST(time_goes_on_whatever_is_asked)
{
    for (uint32_t share = 1; share < 1000; share += 37)
        for (double seconds = 1e-7; seconds < 100; seconds *= 9) {
            const struct ration r = ration_of(share, 500, 500, 1);
            struct purse p = purse_full(&r, 0.0001);
            double t = 1000;
            for (int i = 0; i < 5; i++) {
                const double end = ration_end(&r, &p, t, seconds);
                CHECK(end >= t + seconds - 1e-9 && end < t + seconds * 1100 / share + 2, "%g s of %u thousandths take %g s", seconds, share, end - t);
                t = end;
            }
        }
}
