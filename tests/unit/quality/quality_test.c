/* tests/unit/quality/quality_test.c — which words of a text are judged, and what is said of so many numbers. */
#include "coordinator/quality/spread.h"
#include "coordinator/quality/windows.h"
#include "tests/support/check.h"

#include <math.h>

/* Ids 0, 1, 2, …: an id is its place. */
static void check_windows(size_t n, uint32_t context, uint32_t stride)
{
    uint32_t ids[100], out[100];
    size_t judged = 0, last = 0;
    struct err e;
    for (uint32_t i = 0; i < n; i++) ids[i] = i;
    const struct windows w = {ids, n, context, stride};
    CHECK(!windows_check(&w, &e), "%s", e.text);
    for (size_t i = 0; i < windows_count(&w); i++) {
        const struct window v = windows_at(&w, i, out);
        CHECK(v.before == judged && v.judged && v.judged < v.n && v.n <= context && out[0] == 0, "window %zu of %zu, %u, %u", i, n, context, stride);
        for (uint32_t k = v.n - v.judged; k < v.n; k++) {
            CHECK(out[k] > last && (!stride || out[k] == last + 1), "id %u behind %zu (%zu, %u, %u)", out[k], last, n, context, stride);
            last = out[k];
        }
        judged += v.judged;
    }
    CHECK(stride ? judged == n - 1 : judged == n / context * (context - context / 2 - 1), "%zu of %zu words, %u, %u", judged, n, context, stride);
}

TEST(windows_judge_every_word_once_and_chunks_their_second_halves)
{
    for (size_t n = 2; n <= 100; n++)
        for (uint32_t context = 4; context <= 24; context += 3) {
            if (n >= 2 * context) check_windows(n, context, 0);
            for (uint32_t stride = 1; stride < context; stride += 2) check_windows(n, context, stride);
        }
}

TEST(means_percentiles_and_intervals_are_the_fields_own)
{
    double v[] = {4, 1, 3, 2, 10};
    const struct estimate m = mean_of(v, 5);
    CHECK(m.value == 4 && fabs(m.error - sqrt(10.0 / 4)) < 1e-12, "%g ± %g", m.value, m.error); /* variance 10, over n - 1 */
    CHECK(mean_of(v, 1).error == 0 && mean_of(v, 0).value == 0);
    sort_values(v, 5);
    CHECK(v[0] == 1 && v[4] == 10 && percentile_of(v, 5, 0.5) == 3 && percentile_of(v, 5, 0.875) == 7 && percentile_of(v, 5, 1) == 10);
    const struct interval w = wilson(8, 10), none = wilson(0, 20), all = wilson(20, 20); /* values of R's prop.test without correction */
    CHECK(fabs(w.low - 0.4901625) < 1e-6 && fabs(w.high - 0.9433178) < 1e-6, "%g to %g", w.low, w.high);
    CHECK(none.low == 0 && fabs(none.high - 0.1611252) < 1e-6 && fabs(all.low - 0.8388748) < 1e-6, "%g, %g", none.high, all.low);
}
