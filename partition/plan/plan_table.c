/* partition/plan/plan_table.c — the plan as a table: what `gemmapipe plan` prints before a byte is loaded. */
#include "base/log.h"
#include "partition/plan/cost.h"
#include "partition/plan/plan.h"

#include <string.h>

/* What the coordinator keeps per token of the vocabulary: its text, two hash entries, a score. Nominal. */
#define TOKENIZER_BYTES 96

#define ROW "%4s  %-24.24s %-33s %10s %10s %10s %10s %10s %10s %9s %6s\n"

struct sums {
    uint64_t weights, kv, buffers, runtime, total, limit;
};

static void print_line(FILE *to, const char *number, const char *who, const char *what, struct sums b,
                       const char *limit, const char *ms, const char *load)
{
    char w[24], k[24], f[24], r[24], t[24];
    fprintf(to, ROW, number, who, what, show_bytes(w, b.weights), show_bytes(k, b.kv), show_bytes(f, b.buffers),
            show_bytes(r, b.runtime), show_bytes(t, b.total), limit, ms, load);
}

static double slowest(const struct plan *plan)
{
    double t = 0;
    for (int i = 0; i < plan->stages; i++)
        if (plan->stage[i].expected > t) t = plan->stage[i].expected;
    return t;
}

static struct sums stage_sums(const struct part_bytes *b)
{
    return (struct sums){b->weights, b->kv, b->scratch + b->frames, b->runtime, b->total, 0};
}

static void print_stage(FILE *to, const struct plan *plan, int i, const struct worker_offer *offer)
{
    const struct stage_plan *s = &plan->stage[i];
    char number[12], share[64], limit[24] = "-", ms[24], load[24];
    snprintf(number, sizeof number, "%d", i + 1);
    snprintf(ms, sizeof ms, "%.*f ms", s->expected < 0.01 ? 3 : 1, s->expected * 1e3);
    snprintf(load, sizeof load, "%.0f%%", 100 * s->expected / slowest(plan));
    if (offer->memory) show_bytes(limit, offer->memory);
    print_line(to, number, offer->name, show_part(share, s->share), stage_sums(&s->bytes), limit, ms, load);
}

static struct sums coordinator_sums(const struct plan *plan, const struct model_config *c)
{
    struct sums b = {.runtime = plan->stage[0].bytes.runtime, .buffers = plan->stage[0].bytes.frames};
    b.weights = (uint64_t)c->vocab * TOKENIZER_BYTES;
    b.total = b.weights + b.buffers + b.runtime;
    return b;
}

/* Tokens a second by the bounds of a ring: as fast as its slowest stage, or as what is under way comes round. */
static void print_speed(FILE *to, const struct plan *plan, const struct model_shape *shape,
                        const struct worker_offer *offers)
{
    struct capacity alone = plan->capacity;
    alone.sequences = 1;
    double t_max = 0, prompt_max = 0;
    for (int i = 0; i < plan->stages; i++) {
        double power = offer_power(&offers[i]);
        double prompt = prefill_seconds(shape, plan->stage[i].share, &plan->capacity) / power;
        double answer = decode_seconds(shape, plan->stage[i].share, &plan->capacity) / power;
        if (answer > t_max) t_max = answer;
        if (prompt > prompt_max) prompt_max = prompt;
    }
    uint32_t rows = decode_rows(&plan->capacity);
    double ring = decode_groups(&plan->capacity) / lap_seconds(shape, plan, offers, &plan->capacity), rate = ring < 1 / t_max ? ring : 1 / t_max;
    fprintf(to, prompts_decide(&plan->capacity) ? "expected: %u rows of a prompt, by which one sequence is planned\n"
                                                : "expected: a group of %u sequences, a token each\n",
            prompts_decide(&plan->capacity) ? plan->capacity.rows : rows);
    fprintf(to, "speed: prompts %.0f tokens/s; answers %.1f tokens/s with %u at a time, %.1f alone"
            " (nominal speeds; travel time not counted)\n", plan->capacity.rows / prompt_max, rate * rows,
            plan->capacity.sequences, 1 / lap_seconds(shape, plan, offers, &alone));
}

/* A pipe helps those whose machines are too small; who has a machine that is not should know. */
static void print_hint(FILE *to, const struct plan *plan, const struct model_shape *shape,
                       const struct worker_offer *offers)
{
    if (plan->stages < 2) return;
    struct worker_offer all = {.memory = 0};
    struct plan one;
    if (plan_solve(&one, shape, &all, 1, &plan->capacity, NULL)) return;
    for (int i = 0; i < plan->stages; i++) {
        char total[24];
        if (offers[i].memory < one.stage[0].bytes.total) continue;
        show_bytes(total, one.stage[0].bytes.total);
        fprintf(to, "hint: worker %d could hold the whole model (%s); where it fits, whole models side by side answer"
                " as many as a pipe does, each sooner\n", i + 1, total);
        return;
    }
}

void plan_print(FILE *to, const struct plan *plan, const struct model_shape *shape, const struct worker_offer *offers)
{
    const struct capacity *cap = &plan->capacity;
    char limit[24] = "-";
    fprintf(to, "plan: %u layers and the head on %d worker%s; %u sequence%s of %u positions; micro-batches of %u rows,"
            " %u in flight\n", shape->config.layers, plan->stages, plan->stages == 1 ? "" : "s", cap->sequences,
            cap->sequences == 1 ? "" : "s", cap->context, cap->rows, cap->in_flight);
    fprintf(to, ROW, "", "worker", "share", "weights", "kv", "buffers", "runtime", "total", "limit", "expected",
            "load");
    struct sums sum = coordinator_sums(plan, &shape->config);
    print_line(to, "-", "coordinator", "tokenizer", sum, "-", "", "");
    bool all_limited = true;
    for (int i = 0; i < plan->stages; i++) {
        struct sums b = stage_sums(&plan->stage[i].bytes);
        print_stage(to, plan, i, &offers[i]);
        sum.weights += b.weights, sum.kv += b.kv, sum.buffers += b.buffers;
        sum.runtime += b.runtime, sum.total += b.total, sum.limit += offers[i].memory;
        all_limited &= offers[i].memory != 0;
    }
    if (all_limited) show_bytes(limit, sum.limit);
    print_line(to, "", "sum", "", sum, limit, "", "");
    fprintf(to, "embedding rows are gathered from the mapped file by the coordinator; the system can take those pages"
            " back\n");
    print_speed(to, plan, shape, offers);
    print_hint(to, plan, shape, offers);
    fprintf(to, "plan %016llx\n", (unsigned long long)plan->hash);
}
