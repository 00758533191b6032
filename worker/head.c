/* worker/head.c — see head.h. */
#include "worker/head.h"

#include "worker/sampler.h"

#include <math.h>
#include <stdlib.h>

#define PART 16384 /* scores that one thread sums up at a time; fixed, because the order of a sum is part of its bits */

struct score_part {
    float best;
    double sum; /* of exp(score - best) */
    bool finite;
};

struct wanted_row {
    uint32_t row, segment, position;
};

static uint32_t part_count(const struct head *h)
{
    return (h->config->vocab + PART - 1) / PART;
}

int head_open(struct head *h, const struct model_config *c, const struct weight *norm, const struct weight *matrix,
              uint32_t rows, void *scratch, uint64_t bytes, struct err *why)
{
    *h = (struct head){.config = c, .norm = norm, .matrix = matrix, .scores = scratch};
    h->ld = ((size_t)c->vocab + PANEL_ROWS - 1) / PANEL_ROWS * PANEL_ROWS;
    uint64_t for_scores = (uint64_t)LOGIT_ROWS * h->ld * sizeof(float), for_ids = (uint64_t)c->vocab * sizeof(uint32_t);
    if (bytes < for_scores + for_ids)
        return fail(why, E_INTERNAL, "the head was planned with %llu bytes of scratch and needs %llu",
                    (unsigned long long)bytes, (unsigned long long)(for_scores + for_ids));
    h->ids = (uint32_t *)((uint8_t *)scratch + for_scores);
    h->parts = calloc((size_t)LOGIT_ROWS * part_count(h), sizeof *h->parts);
    h->wanted = calloc(rows, sizeof *h->wanted);
    if (!h->parts || !h->wanted) return fail(why, E_MEMORY, "no memory for the head's tables");
    return 0;
}

void head_close(struct head *h)
{
    free(h->parts);
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

static struct score_part sum_part(const float *s, uint32_t n)
{
    struct score_part p = {s[0], 0, true};
    for (uint32_t i = 0; i < n; i++) {
        if (!isfinite(s[i])) p.finite = false;
        if (s[i] > p.best) p.best = s[i];
    }
    for (uint32_t i = 0; i < n && p.finite; i++) p.sum += (double)kernel_exp(s[i] - p.best);
    return p;
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
    for (uint32_t i = 0; i < n; i++) sum += parts[i].sum * (double)kernel_exp(parts[i].best - best);
    return (double)best + log_of(sum);
}

static int check_finite(const struct head *h, const struct wanted_row *q, const struct score_part *parts,
                        const struct head_call *call)
{
    for (uint32_t i = 0; i < part_count(h); i++)
        if (!parts[i].finite)
            return fail(call->why, E_WORKER,
                        "the scores of request %llu at position %u are not numbers: its weights or rows are damaged",
                        (unsigned long long)call->w->segments[q->segment].request, q->position);
    return 0;
}

/* The token after this row. scores are the row's own; what is forbidden is taken out of them here. */
static void take_token(struct head *h, const struct wanted_row *q, float *scores, const struct score_part *parts,
                       const struct head_call *call, uint64_t hash)
{
    const struct segment *g = &call->w->segments[q->segment];
    uint32_t recent[REPEAT_LAST_MOST];
    uint32_t n = sequences_recent(call->sequences, g->slot, q->position, g->sampling.repeat_last, recent);
    struct draw d = {scores, h->config->vocab, h->ids, &g->sampling, recent, n, g->request, q->position};
    sampler_forbid(scores, h->config->vocab);
    uint32_t id = sampler_pick(&d);
    double logprob = (double)scores[id] - log_sum(parts, part_count(h));
    call->result->tokens[call->result->n_tokens++] = (struct token){g->slot, q->position, id, (float)logprob, hash};
}

/* Row i of those just scored. *folded carries a segment's hash from row to row. */
static int take_row(struct head *h, uint32_t first, uint32_t i, uint64_t *folded, const struct head_call *call)
{
    const struct wanted_row *q = &h->wanted[first + i];
    const struct segment *g = &call->w->segments[q->segment];
    const struct score_part *parts = &h->parts[(size_t)i * part_count(h)];
    float *scores = h->scores + i * h->ld;
    uint64_t hash = 0;
    TRY(check_finite(h, q, parts, call));
    if (g->flags & (SEG_WANT_HASH | SEG_WANT_LOGITS)) hash = hash64(scores, h->config->vocab * sizeof(float));
    if (g->flags & SEG_WANT_LOGITS) {
        *folded = hash_fold(q->position == g->position ? 0 : *folded, hash);
        TRY(call->sink(call->user, g->slot, q->position, scores, h->config->vocab, hash, call->why));
        hash = *folded;
    }
    if (g->flags & SEG_WANT_TOKEN && q->position == g->position + g->rows - 1)
        take_token(h, q, scores, parts, call, hash);
    return 0;
}

/* narrow [n, hidden] = norm of the wanted rows, ready for the matrix. */
static void norm_wanted(const struct head *h, const struct bench *b, const float *x, uint32_t first, struct acts *a)
{
    const size_t hidden = h->config->hidden;
#pragma omp for schedule(static)
    for (uint32_t i = 0; i < a->rows; i++) {
        const float *row = x + h->wanted[first + i].row * hidden;
        b->k->norm(b->narrow + i * hidden, row, h->norm->norm, h->config->hidden, h->config->norm_epsilon);
        if (weight_is_integer(h->matrix)) b->k->quantize(a, i, 1);
    }
}

static void sum_rows(const struct head *h, uint32_t n)
{
    const uint32_t parts = part_count(h), vocab = h->config->vocab;
#pragma omp for schedule(dynamic)
    for (uint32_t task = 0; task < n * parts; task++) {
        uint32_t i = task / parts, from = task % parts * PART;
        h->parts[task] = sum_part(h->scores + i * h->ld + from, vocab - from < PART ? vocab - from : PART);
    }
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
#pragma omp barrier
        sum_rows(h, n);
#pragma omp master
        for (uint32_t i = 0; i < n && !h->code; i++) h->code = take_row(h, first, i, &folded, call);
#pragma omp barrier
    }
}
