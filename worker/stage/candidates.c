/* worker/stage/candidates.c — see candidates.h and worker.h. */
#include "worker/stage/candidates.h"

#include "partition/model/weights.h"
#include "worker/kernels/kernels.h"
#include "worker/worker.h"

#include <math.h>

_Static_assert(HEAD_PARTS == WIRE_PARTS, "a row's parts must fit a message");

bool parts_finite(const struct part_sum *parts, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (isnan(parts[i].sum)) return false;
    return true;
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

double parts_log_sum(const struct part_sum *parts, uint32_t n)
{
    float best = parts[0].best;
    double sum = 0;
    for (uint32_t i = 1; i < n; i++)
        if (parts[i].best > best) best = parts[i].best;
    for (uint32_t i = 0; i < n; i++) sum += (double)parts[i].sum * (double)kernel_exp(parts[i].best - best);
    return (double)best + log_of(sum);
}

uint64_t parts_hash(const struct part_sum *parts, uint32_t n)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < n; i++) hash = hash_fold(hash, parts[i].hash);
    return hash;
}

uint64_t scores_hash(const float *scores, uint32_t vocab)
{
    uint64_t hash = 0;
    for (uint32_t p = 0; p < HEAD_PARTS && head_word(vocab, p) < vocab; p++) {
        const uint32_t first = head_word(vocab, p), end = head_word(vocab, p + 1);
        hash = hash_fold(hash, hash64(scores + first, (end - first) * sizeof *scores));
    }
    return hash;
}

static void token_alternatives(struct token *t, const struct candidate *best, uint32_t n, double log_sum)
{
    t->n_alternatives = n;
    for (uint32_t i = 0; i < n; i++) t->alternatives[i] = (struct alternative){best[i].id, (float)((double)best[i].raw - log_sum)};
}

void token_draw(struct token *t, const struct draw *d, const struct segment *g, const struct scored *row)
{
    struct candidate best[WIRE_ALTERNATIVES];
    const double log_sum = parts_log_sum(row->parts, row->n_parts);
    const uint32_t n_best = g->top ? sampler_best(d, g->top, best) : 0, told = told_at(d->of, g, d->position);
    const uint32_t id = told == WIRE_NO_WORD ? sampler_pick(d) : told; /* a mask spoils scores */
    *t = (struct token){.slot = g->slot, .position = d->position, .id = id, .hash = t->hash};
    if (id != WIRE_NO_WORD) t->logprob = (float)((double)d->scores[id] - log_sum);
    token_alternatives(t, best, n_best, log_sum);
}

int worker_scores_hash(uint64_t *out, const struct scored *row, const struct segment *asked, struct err *why)
{
    *out = parts_hash(row->parts, row->n_parts);
    if (parts_finite(row->parts, row->n_parts)) return 0;
    return fail(why, E_WORKER, "the scores of request %llu at position %u are not numbers: its weights or rows are damaged",
                (unsigned long long)asked->request, row->position);
}

void worker_draw(struct token *out, const struct scored *row, const struct segment *asked, const struct all_scores *all)
{
    struct draw d = {.scores = all->scores, .words = all->words, .ids = all->ids, .how = &asked->sampling, .recent = all->recent,
                     .n_recent = all->n_recent, .request = asked->request, .position = row->position, .of = all->of,
                     .first_bias = asked->first_bias, .n_biases = asked->n_biases, .mask = all->mask};
    sampler_forbid(d.scores, 0, d.words, d.words);
    token_draw(out, &d, asked, row);
}

int worker_answer(struct token *out, const struct scored *row, const struct segment *asked, struct err *why)
{
    float scores[WIRE_CANDIDATES];
    uint32_t ids[WIRE_CANDIDATES];
    struct sampling how = asked->sampling;
    how.repeat_penalty = 1; /* is in the scores, as biases are */
    uint64_t hash;
    TRY(worker_scores_hash(&hash, row, asked, why));
    for (uint32_t i = 0; i < row->n_candidates; i++) scores[i] = row->candidates[i].score;
    struct draw d = {.scores = scores, .words = row->n_candidates, .ids = ids, .how = &how, .request = asked->request,
                     .position = row->position};
    const double log_sum = parts_log_sum(row->parts, row->n_parts);
    *out = (struct token){.slot = row->slot, .position = row->position, .id = WIRE_NO_WORD, .hash = asked->flags & SEG_WANT_HASH ? hash : 0};
    if (row->n_candidates) {
        const struct candidate *c = &row->candidates[sampler_pick(&d)];
        out->id = c->id, out->logprob = (float)((double)c->raw - log_sum);
    }
    token_alternatives(out, row->best, row->n_best, log_sum);
    return 0;
}
