/* worker/stage/head.c — see head.h.
 *
 * A row's scores are as many floats as there are words, and are needed for a moment only: LOGIT_ROWS rows are multiplied,
 * summed and answered before the next ones take their place. More would read the matrix less often, but a prompt wants one row,
 * and a group of decodes has seldom more than that.
 *
 * Three things want them in three orders. Sums and hashes are taken per sixteenth of the vocabulary, by all threads, and are the
 * same for a head that has all sixteenths and one that has few. Sinks and the folded hash want the rows in their order, so one
 * thread gives them. Tokens are picked by a thread a row, which takes forbidden words out of the scores: hence after both. */
#include "worker/stage/head.h"

#include "worker/stage/candidates.h"
#include "worker/stage/sampler.h"

#include <omp.h>
#include <stdlib.h>

struct wanted_row {
    uint32_t row, segment, position;
};

int head_open(struct head *h, const struct model_config *c, struct part part, const struct weight *norm,
              const struct weight *matrix, uint32_t rows, int threads, void *scratch, uint64_t bytes, struct err *why)
{
    *h = (struct head){.config = c, .norm = norm, .matrix = matrix, .scores = scratch};
    h->first = part_first_word(c, part);
    h->words = part_words(c, part);
    h->part = part.back;
    h->n_parts = part_head_parts(c, part);
    h->ld = ((size_t)h->words + PANEL_ROWS - 1) / PANEL_ROWS * PANEL_ROWS;
    uint64_t for_scores = (uint64_t)LOGIT_ROWS * h->ld * sizeof(float), for_ids = head_ids_bytes(c, part, threads);
    if (bytes < for_scores + for_ids)
        return fail(why, E_INTERNAL, "the head was planned with %llu bytes of scratch and needs %llu",
                    (unsigned long long)bytes, (unsigned long long)(for_scores + for_ids));
    h->ids = (uint32_t *)((uint8_t *)scratch + for_scores);
    h->scored = calloc(LOGIT_ROWS, sizeof *h->scored);
    h->picked = calloc(LOGIT_ROWS, sizeof *h->picked);
    h->wanted = calloc(rows, sizeof *h->wanted);
    if (!h->scored || !h->picked || !h->wanted) return fail(why, E_MEMORY, "no memory for the head's tables");
    for (uint32_t i = 0; i < LOGIT_ROWS; i++) h->scored[i].part = h->part, h->scored[i].n_parts = h->n_parts;
    return 0;
}

void head_close(struct head *h)
{
    free(h->scored);
    free(h->picked);
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
        const bool token = g->wanted;
        if ((g->flags & SEG_WANT_LOGITS) && !call->sink) return fail(call->why, E_WIRE, "slot %u wants scores and nobody takes them", g->slot);
        if (token && !call->result && !call->say)
            return fail(call->why, E_WIRE, "slot %u wants a token and nobody takes it", g->slot);
        if (token) TRY(sampling_check(&g->sampling, call->why));
        if (token && (g->flags & SEG_MASKED) && call->w->mask_words != mask_words_of(h->config->vocab))
            return fail(call->why, E_WIRE, "slot %u brings a mask of %u words of 32 bits; the vocabulary of %u has %u", g->slot,
                        call->w->mask_words, h->config->vocab, mask_words_of(h->config->vocab));
        for (uint32_t k = 0; (g->flags & SEG_TOLD) && k < g->wanted; k++)
            if (told_get(call->w, g->first_told + k) >= h->config->vocab)
                return fail(call->why, E_WIRE, "slot %u tells the token %u; the vocabulary has %u", g->slot,
                            told_get(call->w, g->first_told + k), h->config->vocab);
        for (uint32_t r = 0; r < g->rows; r++, row++)
            if (r + segment_scored(g) >= g->rows)
                h->wanted[h->n_wanted++] = (struct wanted_row){row, i, g->position + r};
    }
    return 0;
}

static int check_finite(const struct head *h, uint32_t i, const struct wanted_row *q, const struct head_call *call)
{
    if (parts_finite(h->scored[i].parts, h->n_parts)) return 0;
    return fail(call->why, E_WORKER, "the scores of request %llu at position %u are not numbers: its weights or rows are damaged",
                (unsigned long long)call->w->segments[q->segment].request, q->position);
}

static bool wants_token(const struct segment *g, const struct wanted_row *q)
{
    return q->position + g->wanted >= g->position + g->rows;
}

/* Row i, in its turn: its scores to who wants them. *folded carries a segment's hash from row to row. */
static int give_row(struct head *h, uint32_t first, uint32_t i, uint64_t *folded, const struct head_call *call)
{
    const struct wanted_row *q = &h->wanted[first + i];
    const struct segment *g = &call->w->segments[q->segment];
    TRY(check_finite(h, i, q, call));
    const uint64_t hash = parts_hash(h->scored[i].parts, h->n_parts);
    h->picked[i].hash = g->flags & SEG_WANT_HASH ? hash : 0;
    if (!(g->flags & SEG_WANT_LOGITS)) return 0;
    h->picked[i].hash = *folded = hash_fold(q->position + segment_scored(g) == g->position + g->rows ? 0 : *folded, hash);
    return call->sink(call->user, g->slot, q->position, h->scores + i * h->ld, h->config->vocab, hash, call->why);
}

/* Row i, ready for the sampler: what is forbidden is taken out of its scores here. */
static struct draw draw_of(struct head *h, uint32_t first, uint32_t i, uint32_t *ids, uint32_t recent[REPEAT_LAST_MOST],
                           const struct head_call *call)
{
    const struct wanted_row *q = &h->wanted[first + i];
    const struct segment *g = &call->w->segments[q->segment];
    float *scores = h->scores + i * h->ld;
    uint32_t n = sequences_recent(call->sequences, g->slot, q->position, g->sampling.repeat_last, recent);
    if (!(g->flags & SEG_TOLD)) sampler_forbid(scores, h->first, h->words, h->config->vocab);
    return (struct draw){scores, h->words, h->first, ids, &g->sampling, recent, n, g->request, q->position, call->w, g->first_bias, g->n_biases,
                         mask_get(call->w, g, q->position + g->wanted - g->position - g->rows)};
}

static void pick_token(struct head *h, uint32_t first, uint32_t i, uint32_t *ids, const struct head_call *call)
{
    const struct wanted_row *q = &h->wanted[first + i];
    uint32_t recent[REPEAT_LAST_MOST];
    const struct segment *g = &call->w->segments[q->segment];
    if (!wants_token(g, q)) return;
    const struct draw d = draw_of(h, first, i, ids, recent, call);
    token_draw(&h->picked[i], &d, g, &h->scored[i]);
}

/* What these parts have to say of row i. */
static void find_candidates(struct head *h, uint32_t first, uint32_t i, uint32_t *ids, const struct head_call *call)
{
    const struct wanted_row *q = &h->wanted[first + i];
    struct scored *s = &h->scored[i];
    uint32_t recent[REPEAT_LAST_MOST];
    const struct segment *g = &call->w->segments[q->segment];
    s->batch = call->w->batch;
    s->slot = g->slot;
    s->position = q->position;
    s->n_candidates = s->n_best = 0;
    if (!wants_token(g, q) || !parts_finite(s->parts, s->n_parts)) return; /* who picks will see it too, and say so */
    struct draw d = draw_of(h, first, i, ids, recent, call);
    if (g->top) s->n_best = sampler_best(&d, g->top, s->best);
    if (!sampling_of_few(&g->sampling)) return;
    const uint32_t told = told_at(call->w, g, q->position);
    if (told == WIRE_NO_WORD) s->n_candidates = sampler_candidates(&d, s->candidates); /* a mask spoils scores */
    else if (told - h->first < h->words) s->candidates[s->n_candidates++] = (struct candidate){told, d.scores[told - h->first], d.scores[told - h->first]};
}

static void report_token(const struct head *h, uint32_t first, uint32_t i, struct result *result, const struct work *w)
{
    const struct wanted_row *q = &h->wanted[first + i];
    if (wants_token(&w->segments[q->segment], q)) result->tokens[result->n_tokens++] = h->picked[i];
}

/* narrow [n, hidden] = norm of the wanted rows, ready for the matrix. */
static void norm_wanted(const struct head *h, const struct workbench *b, const float *x, uint32_t first, struct acts *a)
{
    const size_t hidden = h->config->hidden;
#pragma omp for schedule(static) nowait
    for (uint32_t i = 0; i < a->rows; i++) {
        const float *row = x + h->wanted[first + i].row * hidden;
        b->k->norm(b->narrow + i * hidden, row, h->norm->floats, h->config->hidden, h->config->norm_epsilon);
        if (wants_8_bits(b, h->matrix)) b->k->quantize(a, i, b->narrow + i * hidden, 0, h->config->hidden);
    }
    meet(b);
}

/* Sums and, where somebody wants them, hashes of each row's parts. */
static void sum_rows(struct head *h, const struct workbench *b, uint32_t first, uint32_t n, const struct head_call *call)
{
    const uint32_t each = head_part_words(h->config->vocab);
#pragma omp for schedule(dynamic) nowait
    for (uint32_t task = 0; task < n * h->n_parts; task++) {
        const uint32_t i = task / h->n_parts, k = task % h->n_parts, from = k * each;
        const uint32_t words = h->words - from < each ? h->words - from : each;
        const uint32_t wants = call->w->segments[h->wanted[first + i].segment].flags & (SEG_WANT_HASH | SEG_WANT_LOGITS);
        const float *scores = h->scores + i * h->ld + from;
        struct part_sum *p = &h->scored[i].parts[k];
        p->sum = b->k->exp_sum(scores, words, &p->best);
        p->hash = wants ? hash64(scores, words * sizeof *scores) : 0;
    }
    meet(b);
}

/* Rows go to all threads but where their order counts. */
static void answer_rows(struct head *h, const struct workbench *b, uint32_t first, uint32_t n, uint64_t *folded,
                        const struct head_call *call)
{
    uint32_t *ids = h->ids + (size_t)(omp_get_thread_num() % LOGIT_ROWS) * h->words;
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

/* Scores of row i to whoever draws from all of them, or wants them. */
static int send_home(const struct head *h, uint32_t first, uint32_t i, const struct head_call *call)
{
    const struct wanted_row *q = &h->wanted[first + i];
    const struct segment *g = &call->w->segments[q->segment];
    if (!segment_goes_home(g)) return 0;
    return call->sink(call->user, g->slot, q->position, h->scores + i * h->ld, h->words, 0, call->why);
}

/* The same of a head in parts. */
static void say_rows(struct head *h, const struct workbench *b, uint32_t first, uint32_t n, const struct head_call *call)
{
    uint32_t *ids = h->ids + (size_t)(omp_get_thread_num() % LOGIT_ROWS) * h->words;
#pragma omp master
    for (uint32_t i = 0; i < n && !h->code; i++) h->code = send_home(h, first, i, call);
    meet(b);
    if (h->code) return;
#pragma omp for schedule(static) nowait
    for (uint32_t i = 0; i < n; i++) find_candidates(h, first, i, ids, call);
    meet(b);
#pragma omp master
    for (uint32_t i = 0; i < n && !h->code; i++) h->code = call->say(call->user, &h->scored[i], call->why);
    meet(b);
}

void head_answer(struct head *h, const struct workbench *b, const float *x, const struct head_call *call)
{
    uint64_t folded = 0;
    for (uint32_t first = 0; first < h->n_wanted && !h->code; first += LOGIT_ROWS) {
        uint32_t n = h->n_wanted - first < LOGIT_ROWS ? h->n_wanted - first : LOGIT_ROWS;
        struct acts a = b->of_hidden; /* each thread its own view of the same memory */
        acts_shape(&a, n, h->config->hidden, b->narrow, h->config->hidden);
        norm_wanted(h, b, x, first, &a);                /* x -> narrow [n, hidden]      */
        multiply(b, h->scores, h->ld, h->matrix, &a);   /* narrow -> scores [n, words]  */
        meet(b);
        sum_rows(h, b, first, n, call);
        if (call->say) say_rows(h, b, first, n, call);
        else answer_rows(h, b, first, n, &folded, call);
    }
}
