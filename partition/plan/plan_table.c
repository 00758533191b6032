/* partition/plan/plan_table.c — the plan as a table: what `gemmapipe plan` prints before a byte is loaded. */
#include "base/size_text.h"
#include "partition/model/part_text.h"
#include "partition/plan/text_cost.h"
#include "partition/plan/rates.h"

#include <stdlib.h>

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

static struct sums stage_sums(const struct part_bytes *b)
{
    return (struct sums){b->weights, b->kv, b->scratch + b->frames, b->runtime, b->total, 0};
}

static void print_stage(FILE *to, const struct plan *plan, int i, const struct worker_offer *offer)
{
    const struct holding *h = &plan->of[i];
    const double expected = h->expected[CHAIN_TEXT];
    char number[12], part[64], limit[24] = "-", ms[24], load[24];
    snprintf(number, sizeof number, "%d", i + 1);
    snprintf(ms, sizeof ms, "%.*f ms", expected < 0.01 ? 3 : 1, expected * 1e3);
    snprintf(load, sizeof load, "%.0f%%", 100 * expected / plan_slowest(plan, CHAIN_TEXT));
    if (offer->memory && !offer->shares_machine) show_bytes(limit, offer->memory);
    print_line(to, number, offer->name, show_part(part, h->part[CHAIN_TEXT]), stage_sums(&h->bytes[CHAIN_TEXT]), limit, ms, load);
}

static struct sums coordinator_sums(const struct plan *plan, const struct model_config *c)
{
    const struct part_bytes *first = &plan->of[0].bytes[CHAIN_TEXT];
    struct sums b = {.runtime = first->runtime, .buffers = first->frames};
    b.weights = (uint64_t)c->vocab * TOKENIZER_BYTES;
    b.total = b.weights + b.buffers + b.runtime;
    return b;
}

/* What the answers are held up by, in words. */
static void print_bound(FILE *to, const struct rates *r, const struct worker_offer *offers)
{
    const char *who = offers[r->slowest].name;
    switch (r->bound) {
    case BOUND_STAGE: fprintf(to, "held up by: %s, the slowest stage", who); break;
    case BOUND_LINE: fprintf(to, "held up by: the line of %s, which takes longer than any stage computes", who); break;
    case BOUND_CORES: fprintf(to, "held up by: the cores of this machine, of which its workers would use more than there are"); break;
    case BOUND_ROUND: fprintf(to, "held up by: too few sequences to keep all stages at work, each waits for its own last token"); break;
    }
    fprintf(to, "; stages compute %.0f %% of the time\n", 100 * r->busy);
}

static void print_speed(FILE *to, const struct plan *plan, const struct model_shape *shape, const struct worker_offer *offers)
{
    const struct capacity *cap = &plan->capacity;
    struct rates r;
    plan_rates(&r, NULL, plan, shape, offers);
    fprintf(to, plan->for_prompts ? "expected: %u rows of a prompt, by which it is planned\n"
                                    : "expected: a group of %u sequences, a token each\n",
            plan->for_prompts ? cap->rows : decode_rows(cap));
    fprintf(to, "speed: prompts %.0f tokens/s; answers %.1f tokens/s with %u at a time%s, %.1f alone (%s)\n", r.prompts, r.answers,
            cap->sequences, plan->picture_share > 0 ? " and their pictures" : "", r.alone,
            r.measured ? "as measured, travel included" : "nominal speeds; travel time not counted");
    if (r.measured) print_bound(to, &r, offers);
    if (*plan->chosen) fprintf(to, "chosen: %s\n", plan->chosen);
}

/* A pipe helps those whose machines are too small; who has a machine that is not should know. */
static void print_hint(FILE *to, const struct plan *plan, const struct model_shape *shape,
                       const struct worker_offer *offers)
{
    const struct worker_offer all = {.memory = 0};
    const struct plan_wish wish = {.capacity = plan->capacity};
    struct model_shape text = *shape;
    struct plan one;
    text.encoder = NULL;
    if (plan_stages(plan) < 2 || plan_make(&one, &text, &all, 1, &wish, NULL)) return;
    for (int i = 0; i < plan_stages(plan); i++) {
        char total[24];
        if (offers[i].shares_machine || offers[i].memory < one.of[0].total) continue;
        show_bytes(total, one.of[0].total);
        fprintf(to, "hint: worker %d could hold the whole model (%s); where it fits, whole models side by side answer"
                " as many as a pipe does, each sooner\n", i + 1, total);
        break;
    }
    plan_free(&one);
}

static void print_text(FILE *to, const struct plan *plan, const struct model_shape *shape, const struct worker_offer *offers)
{
    const struct capacity *cap = &plan->capacity;
    const int stages = plan_stages(plan);
    char limit[24] = "-", held[96];
    fprintf(to, "plan: %u layers and the head on %d worker%s; %s; micro-batches of %u rows, %u in flight\n", shape->config.layers, stages,
            stages == 1 ? "" : "s", show_capacity(held, cap), cap->rows, cap->in_flight);
    fprintf(to, ROW, "", "worker", "part", "weights", "kv", "buffers", "runtime", "total", "limit", "expected",
            "load");
    struct sums sum = coordinator_sums(plan, &shape->config);
    print_line(to, "-", "coordinator", "tokenizer", sum, "-", "", "");
    bool all_limited = true;
    for (int i = 0; i < stages; i++) {
        struct sums b = stage_sums(&plan->of[i].bytes[CHAIN_TEXT]);
        print_stage(to, plan, i, &offers[i]);
        sum.weights += b.weights, sum.kv += b.kv, sum.buffers += b.buffers;
        sum.runtime += b.runtime, sum.total += b.total, sum.limit += offers[i].memory;
        all_limited &= offers[i].memory && !offers[i].shares_machine;
    }
    if (all_limited) show_bytes(limit, sum.limit);
    print_line(to, "", "sum", "", sum, limit, "", "");
    if (cap->blocks)
        fprintf(to, "sequences are a limit and not a reservation: they take pages of %d positions as they grow, and where none is left"
                " the newest waits\n", KV_PAGE);
    fprintf(to, "embedding rows are gathered from the mapped file by the coordinator; the system can take those pages"
            " back\n");
    print_speed(to, plan, shape, offers);
    print_hint(to, plan, shape, offers);
}

static int seeing(const struct plan *p)
{
    int n = 0;
    for (int i = 0; i < p->workers; i++) n += plan_picture_route(p, i) != NULL;
    return n;
}

static void print_pictures(FILE *to, const struct plan *p, const struct worker_offer *offers)
{
    char weights[24], rest[24], total[24], part[64];
    const int used = seeing(p);
    bool measured = true;
    uint64_t sum = 0;
    fprintf(to, "pictures: %s %d of %d workers, %s%u in flight%s\n",
            p->copies ? "the whole encoder on each of" : "the encoder's layers split over", used, p->workers,
            p->copies ? "pictures in turn, " : "",
            p->copies ? p->pictures * (uint32_t)used : p->pictures,
            p->vision_type == VISION_Q8_0 ? ", layers kept as q8_0" : "");
    for (int i = 0; i < p->workers; i++) {
        const struct part_bytes *b = &p->of[i].bytes[CHAIN_VISION];
        const struct part s = p->of[i].part[CHAIN_VISION];
        if (part_is_empty(s)) continue;
        measured &= offers[i].measured && offers[i].measured->picture_layer > 0;
        snprintf(part, sizeof part, "%slayers %u-%u%s", s.front ? "patches, " : "", s.first, s.end - 1,
                 part_has_back(s) ? ", projector" : "");
        fprintf(to, "%4d  %-22.22s  %s: weights %s, buffers %s, together %s more; %.3g s a picture\n", i + 1, offers[i].name, part,
                show_bytes(weights, b->weights), show_bytes(rest, b->scratch + b->frames + b->runtime), show_bytes(total, b->total),
                p->of[i].expected[CHAIN_VISION]);
        sum += b->total;
    }
    fprintf(to, "      sum %s; a picture alone %.3g s, many %.3g a second (%s; travel time not counted)\n",
            show_bytes(total, sum), plan_picture_alone(p), plan_picture_rate(p), measured ? "as measured" : "nominal speeds");
    fprintf(to, "      why %s: %s\n", p->copies ? "copies" : "split", p->why);
}

void plan_print_relayed(FILE *to, const struct plan *plan, const struct worker_offer *offers)
{
    for (int i = 0; i < plan->n_routes; i++) {
        const struct route *r = &plan->route[i];
        for (int k = 0; k + 1 < r->n; k++)
            if (offers_apart(&offers[r->worker[k]], &offers[r->worker[k + 1]]))
                fprintf(to, " %s from stage %d to stage %d are relayed by the coordinator\n", r->chain == CHAIN_TEXT ? "rows" : "pictures",
                        r->worker[k] + 1, r->worker[k + 1] + 1);
    }
}

void plan_print(FILE *to, const struct plan *plan, const struct model_shape *shape, const struct worker_offer *offers)
{
    if (shape->config.layers) print_text(to, plan, shape, offers);
    if (shape->encoder) print_pictures(to, plan, offers);
    plan_print_relayed(to, plan, offers);
    char numbers[NUMERIC_TEXT];
    if (numeric_number(plan->capacity.mode)) fprintf(to, "numbers: %s\n", numeric_show(numbers, plan->capacity.mode));
    fprintf(to, "plan %016llx, made from %016llx\n", (unsigned long long)plan->hash, (unsigned long long)plan->made_from);
}
