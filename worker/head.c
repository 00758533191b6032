/* worker/head.c — see head.h. */
#include "worker/head.h"

#include "worker/sampler.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

#define PART 16384 /* scores that one thread sums up at a time; fixed, because the order of a sum is part of its bits */

struct score_part {
    float best, sum; /* sum of exp(score - best); NaN if a score is not finite */
};

/* What became of a row of scores. */
struct scored {
    uint64_t hash;
    uint32_t id;
    float logprob;
};

struct wanted_row {
    uint32_t row, segment, position;
};

static uint32_t part_count(const struct head *h)
{
    return (h->config->vocab + PART - 1) / PART;
}

int head_open(struct head *h, const struct model_config *c, const struct weight *norm, const struct weight *matrix,
              uint32_t rows, int threads, void *scratch, uint64_t bytes, struct err *why)
{
    *h = (struct head){.config = c, .norm = norm, .matrix = matrix, .scores = scratch};
    h->ld = ((size_t)c->vocab + PANEL_ROWS - 1) / PANEL_ROWS * PANEL_ROWS;
    uint64_t for_scores = (uint64_t)LOGIT_ROWS * h->ld * sizeof(float), for_ids = head_ids_bytes(c, (struct share){.part_end = HEAD_PARTS}, threads);
    if (bytes < for_scores + for_ids)
        return fail(why, E_INTERNAL, "the head was planned with %llu bytes of scratch and needs %llu",
                    (unsigned long long)bytes, (unsigned long long)(for_scores + for_ids));
    h->ids = (uint32_t *)((uint8_t *)scratch + for_scores);
    h->parts = calloc((size_t)LOGIT_ROWS * part_count(h), sizeof *h->parts);
    h->scored = calloc(LOGIT_ROWS, sizeof *h->scored);
    h->wanted = calloc(rows, sizeof *h->wanted);
    if (!h->parts || !h->scored || !h->wanted) return fail(why, E_MEMORY, "no memory for the head's tables");
    return 0;
}

void head_close(struct head *h)
{
    free(h->parts);
    free(h->scored);
    free(h->wanted);
    *h = (struct head){0};
}

int head_ask(struct head *h, const struct head_call *call)
{
    uint32_t row = 0;
    h->n_wanted = 0;
    h->code = 0;
    for (uint32_t i = 0; i < call->w->n_segments; i++) {
        const struct segment *g = &call->w->segments[i];
        bool all = g->flags & SEG_WANT_LOGITS, last = g->flags & SEG_WANT_TOKEN;
        if (all && !call->sink) return fail(call->why, E_WIRE, "slot %u wants scores and nobody takes them", g->slot);
        if (last && !call->result) return fail(call->why, E_WIRE, "slot %u wants a token and nobody takes it", g->slot);
        if (last) TRY(sampling_check(&g->sampling, call->why));
        for (uint32_t r = 0; r < g->rows; r++, row++)
            if (all || (last && r + 1 == g->rows))
                h->wanted[h->n_wanted++] = (struct wanted_row){row, i, g->position + r};
    }
    return 0;
}

/* ln x for x >= 1: 2 artanh((m - 1) / (m + 1)) + e ln 2 with m in [0.7, 1.42), good to 1e-15; our own for the same
 * bits with every libc. */
static double log_of(double x)
{
    int e;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752) m *= 2, e--;
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int k = 21; k >= 1; k -= 2) sum = sum * s2 + 1.0 / k;
    return 2 * s * sum + e * 0.69314718055994530942;
}

/* The log-sum-exp of a row from its parts, ascending. */
static double log_sum(const struct score_part *parts, uint32_t n)
{
    float best = parts[0].best;
    double sum = 0;
    for (uint32_t i = 1; i < n; i++)
        if (parts[i].best > best) best = parts[i].best;
    for (uint32_t i = 0; i < n; i++) sum += (double)parts[i].sum * (double)kernel_exp(parts[i].best - best);
    return (double)best + log_of(sum);
}

static int check_finite(const struct head *h, const struct wanted_row *q, const struct score_part *parts,
                        const struct head_call *call)
{
    for (uint32_t i = 0; i < part_count(h); i++)
        if (isnan(parts[i].sum))
            return fail(call->why, E_WORKER,
                        "the scores of request %llu at position %u are not numbers: its weights or rows are damaged",
                        (unsigned long long)call->w->segments[q->segment].request, q->position);
    return 0;
}

static bool wants_token(const struct segment *g, const struct wanted_row *q)
{
    return g->flags & SEG_WANT_TOKEN && q->position == g->position + g->rows - 1;
}

/* Hashes of row i of those just scored, where somebody wants one. */
static void hash_row(struct head *h, uint32_t first, uint32_t i, const struct head_call *call)
{
    const struct segment *g = &call->w->segments[h->wanted[first + i].segment];
    const bool wanted = g->flags & (SEG_WANT_HASH | SEG_WANT_LOGITS);
    h->scored[i].hash = wanted ? hash64(h->scores + i * h->ld, h->config->vocab * sizeof(float)) : 0;
}

/* Row i, in its turn: its scores to who wants them. *folded carries a segment's hash from row to row. */
static int give_row(struct head *h, uint32_t first, uint32_t i, uint64_t *folded, const struct head_call *call)
{
    const struct wanted_row *q = &h->wanted[first + i];
    const struct segment *g = &call->w->segments[q->segment];
    TRY(check_finite(h, q, &h->parts[(size_t)i * part_count(h)], call));
    if (!(g->flags & SEG_WANT_LOGITS)) return 0;
    const uint64_t hash = h->scored[i].hash;
    h->scored[i].hash = *folded = hash_fold(q->position == g->position ? 0 : *folded, hash);
    return call->sink(call->user, g->slot, q->position, h->scores + i * h->ld, h->config->vocab, hash, call->why);
}

/* The token after row i. What is forbidden is taken out of its scores here. */
static void pick_token(struct head *h, uint32_t first, uint32_t i, uint32_t *ids, const struct head_call *call)
{
    const struct wanted_row *q = &h->wanted[first + i];
    const struct segment *g = &call->w->segments[q->segment];
    float *scores = h->scores + i * h->ld;
    uint32_t recent[REPEAT_LAST_MOST];
    if (!wants_token(g, q)) return;
    uint32_t n = sequences_recent(call->sequences, g->slot, q->position, g->sampling.repeat_last, recent);
    struct draw d = {scores, h->config->vocab, ids, &g->sampling, recent, n, g->request, q->position};
    sampler_forbid(scores, h->config->vocab);
    uint32_t id = sampler_pick(&d);
    h->scored[i].id = id;
    h->scored[i].logprob =
        (float)((double)scores[id] - log_sum(&h->parts[(size_t)i * part_count(h)], part_count(h)));
}

static void report_token(const struct head *h, uint32_t first, uint32_t i, struct result *result, const struct work *w)
{
    const struct wanted_row *q = &h->wanted[first + i];
    const struct segment *g = &w->segments[q->segment];
    const struct scored *s = &h->scored[i];
    if (wants_token(g, q))
        result->tokens[result->n_tokens++] = (struct token){g->slot, q->position, s->id, s->logprob, s->hash};
}

/* narrow [n, hidden] = norm of the wanted rows, ready for the matrix. */
static void norm_wanted(const struct head *h, const struct bench *b, const float *x, uint32_t first, struct acts *a)
{
    const size_t hidden = h->config->hidden;
#pragma omp for schedule(static) nowait
    for (uint32_t i = 0; i < a->rows; i++) {
        const float *row = x + h->wanted[first + i].row * hidden;
        b->k->norm(b->narrow + i * hidden, row, h->norm->norm, h->config->hidden, h->config->norm_epsilon);
        if (weight_is_integer(h->matrix)) b->k->quantize(a, i, b->narrow + i * hidden, 0, h->config->hidden);
    }
    meet(b);
}

static void sum_rows(const struct head *h, const struct bench *b, uint32_t n)
{
    const uint32_t parts = part_count(h), vocab = h->config->vocab;
#pragma omp for schedule(dynamic) nowait
    for (uint32_t task = 0; task < n * parts; task++) {
        uint32_t i = task / parts, from = task % parts * PART;
        struct score_part *p = &h->parts[task];
        p->sum = b->k->exp_sum(h->scores + i * h->ld + from, vocab - from < PART ? vocab - from : PART, &p->best);
    }
    meet(b);
}

/* Rows go to all threads but where their order counts. */
static void answer_rows(struct head *h, const struct bench *b, uint32_t first, uint32_t n, uint64_t *folded,
                        const struct head_call *call)
{
    uint32_t *ids = h->ids + (size_t)(omp_get_thread_num() % LOGIT_ROWS) * h->config->vocab;
#pragma omp for schedule(dynamic) nowait
    for (uint32_t i = 0; i < n; i++) hash_row(h, first, i, call);
    meet(b);
#pragma omp master
    for (uint32_t i = 0; i < n && !h->code; i++) h->code = give_row(h, first, i, folded, call);
    meet(b);
    if (h->code) return;
#pragma omp for schedule(static) nowait /* static, so that threads past LOGIT_ROWS get none */
    for (uint32_t i = 0; i < n; i++) pick_token(h, first, i, ids, call);
    meet(b);
#pragma omp master
    for (uint32_t i = 0; i < n; i++) report_token(h, first, i, call->result, call->w);
    meet(b);
}

void head_answer(struct head *h, const struct bench *b, const float *x, const struct head_call *call)
{
    uint64_t folded = 0;
    for (uint32_t first = 0; first < h->n_wanted && !h->code; first += LOGIT_ROWS) {
        uint32_t n = h->n_wanted - first < LOGIT_ROWS ? h->n_wanted - first : LOGIT_ROWS;
        struct acts a = b->of_hidden; /* each thread its own view of the same memory */
        acts_shape(&a, n, h->config->hidden, b->narrow, h->config->hidden);
        norm_wanted(h, b, x, first, &a);                /* x -> narrow [n, hidden]      */
        multiply(b, h->scores, h->ld, h->matrix, &a);   /* narrow -> scores [n, vocab]  */
        meet(b);
        sum_rows(h, b, n);
        answer_rows(h, b, first, n, &folded, call);
    }
}
