/* coordinator/simulate/predicted.c — see predicted.h. */
#include "coordinator/simulate/predicted.h"

#include "partition/plan/rates.h"

#include <stdlib.h>

static bool can_be_foreseen(const struct pipeline *p)
{
    return p->model && p->epoch <= 1 && plan_measured(p->offers, p->workers);
}

/* Those of one replica. Asks that were cancelled before their first token, or whose prompt was all there, are asked all the same: a row, a
 * token. */
static uint32_t same_asks(struct invented_ask *asks, const struct charted_ask *asked, size_t n, int replica)
{
    uint32_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (asked[i].replica == replica)
            asks[k++] = (struct invented_ask){.at = (double)(asked[i].came_ns - asked[0].came_ns) / 1e9, .number = asked[i].number,
                                              .prompt = asked[i].prompt ? asked[i].prompt : 1, .answer = asked[i].answer ? asked[i].answer : 1};
    return k;
}

static int foresee(struct chart *out, struct pipeline *const *pipe, int replicas, const struct charted_ask *asked, size_t n, struct invented_ask *asks,
                   struct invented_run *run, struct err *why)
{
    struct chart_sums sums = {.replicas = replicas, .of = replicas};
    for (int k = 0; k < replicas; k++) {
        const struct pipeline *p = pipe[k];
        const struct model_shape shape = model_shape(p->model, NULL);
        const struct invented_pipe pipe_k = {.shape = &shape, .plan = &p->plan, .offers = p->offers, .replica = k, .replicas = replicas};
        const struct invented_load load = {.requests = same_asks(asks, asked, n, k), .asks = asks};
        TRY(invented_run(run, &pipe_k, &load, out, NULL, why));
        sums.asks += run->requests, sums.tokens += run->tokens;
    }
    TRY(chart_finish(out, why));
    sums.seconds = (double)(out->end_ns - out->begin_ns) / 1e9;
    chart_entitle(out, "predicted", &sums);
    return 0;
}

int predicted_chart(struct chart *out, bool *drawn, struct pipeline *const *pipe, int replicas, const struct run_chart *measured, struct err *why)
{
    size_t n;
    const struct charted_ask *asked = run_chart_asks(measured, &n);
    *out = (struct chart){0};
    *drawn = false;
    for (int k = 0; k < replicas; k++)
        if (!can_be_foreseen(pipe[k])) return 0;
    if (!asked || !n) return 0;
    struct invented_ask *asks = malloc(n * sizeof *asks);
    struct invented_run *run = calloc(1, sizeof *run);
    const int code = asks && run ? foresee(out, pipe, replicas, asked, n, asks, run, why)
                                 : fail(why, E_MEMORY, "no memory to draw what was expected of %zu asks", n);
    *drawn = !code;
    if (run) tally_free(&run->tally);
    free(run);
    free(asks);
    return code;
}
