/* coordinator/simulate/predicted.c — see predicted.h. */
#include "coordinator/simulate/predicted.h"

#include <stdlib.h>

static bool all_measured(const struct pipeline *p)
{
    for (int i = 0; i < p->workers; i++)
        if (!p->offers[i].measured) return false;
    return true;
}

/* Asks that were cancelled before their first token, or whose prompt was all there, are asked all the same: a row, a token. */
static struct invented_ask *same_asks(const struct charted_ask *asked, size_t n)
{
    struct invented_ask *asks = malloc(n * sizeof *asks);
    for (size_t i = 0; asks && i < n; i++)
        asks[i] = (struct invented_ask){.at = (double)(asked[i].came_ns - asked[0].came_ns) / 1e9, .prompt = asked[i].prompt ? asked[i].prompt : 1,
                                        .answer = asked[i].answer ? asked[i].answer : 1};
    return asks;
}

int predicted_chart(struct chart *out, bool *drawn, const struct pipeline *p, const struct run_chart *measured, struct err *why)
{
    size_t n;
    const struct charted_ask *asked = run_chart_asks(measured, &n);
    *out = (struct chart){0};
    *drawn = false;
    if (!asked || !n || !p->model || p->epoch > 1 || !all_measured(p)) return 0;
    struct invented_ask *asks = same_asks(asked, n);
    struct invented_run *run = calloc(1, sizeof *run);
    int code = asks && run ? 0 : fail(why, E_MEMORY, "no memory to draw what was expected of %zu asks", n);
    const struct model_shape shape = model_shape(p->model, NULL);
    const struct invented_pipe pipe = {.shape = &shape, .plan = &p->plan, .offers = p->offers, .title = "predicted"};
    const struct invented_load load = {.requests = (uint32_t)n, .asks = asks};
    if (!code) code = invented_run(run, &pipe, &load, out, why);
    *drawn = !code;
    if (run) tally_free(&run->tally);
    free(run);
    free(asks);
    return code;
}
