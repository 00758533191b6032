/* worker/stage/sampler.c — see sampler.h.
 *
 * Sorting a quarter of a million scores for one token would cost more than some layers. Instead: top_k keeps the k best
 * in a heap while it looks at each score once, and top_p and min_p take candidates off a heap, best first, only as far
 * as they need. Heaps hold ids and compare their scores; nothing is allocated. */
#include "worker/stage/sampler.h"

#include "partition/model/gemma_ids.h"

#include "worker/kernels/kernels.h"

#include <math.h>


static void forbid(float *scores, uint32_t first, uint32_t words, uint32_t from, uint32_t end)
{
    for (uint32_t id = from > first ? from : first; id < end && id < first + words; id++) scores[id - first] = -INFINITY;
}

void sampler_forbid(float *scores, uint32_t first, uint32_t words, uint32_t vocab)
{
    if (vocab < GEMMA_TOKENS) return;
    forbid(scores, first, words, GEMMA_IMAGE_START, GEMMA_IMAGE_END + 1);
    forbid(scores, first, words, GEMMA_TOKENS, vocab);
}

double sampler_uniform(uint64_t seed, uint64_t request, uint32_t position)
{
    uint64_t h = hash_fold(hash_fold(hash_fold(0, seed), request), position);
    return (double)(h >> 11) * 0x1p-53;
}

/* Penalised and biased scores as they were, to be put back. Words are counted from d->first from here on. */
struct undo {
    uint32_t n, ids[REPEAT_LAST_MOST];
    float scores[REPEAT_LAST_MOST], biased[WIRE_BIASES];
};

static float *biased_score(const struct draw *d, const struct bias *b)
{
    const uint32_t word = b->id - d->first;
    return b->id < d->first || word >= d->words ? NULL : &d->scores[word]; /* NULL: somebody else's */
}

static void bias_words(const struct draw *d, struct undo *undo)
{
    for (uint32_t i = 0; i < d->n_biases; i++) {
        const struct bias b = bias_get(d->of, d->first_bias + i);
        float *score = biased_score(d, &b);
        if (score) undo->biased[i] = *score, *score += b.amount;
    }
}

static void put_back(const struct draw *d, const struct undo *undo)
{
    for (uint32_t i = 0; i < d->n_biases; i++) {
        const struct bias b = bias_get(d->of, d->first_bias + i);
        float *score = biased_score(d, &b);
        if (score) *score = undo->biased[i];
    }
    for (uint32_t i = 0; i < undo->n; i++) d->scores[undo->ids[i]] = undo->scores[i];
}

static void mask_words(const struct draw *d)
{
    for (uint32_t i = 0, id = d->first; d->mask && i < d->words; i++, id++)
        if (!(d->mask[id / 8] >> id % 8 & 1)) d->scores[i] = -INFINITY;
}

static void penalise(const struct draw *d, struct undo *undo)
{
    mask_words(d);
    const float by = d->how->repeat_penalty;
    undo->n = 0;
    for (uint32_t i = 0; by != 1 && i < d->n_recent; i++) {
        uint32_t id = d->recent[i] - d->first, seen = 0;
        if (d->recent[i] < d->first || id >= d->words) continue; /* somebody else's, or a picture's row */
        while (seen < undo->n && undo->ids[seen] != id) seen++;
        if (seen < undo->n) continue; /* once is enough */
        float score = d->scores[id];
        undo->ids[undo->n] = id;
        undo->scores[undo->n++] = score;
        d->scores[id] = score > 0 ? score / by : score * by;
    }
    bias_words(d, undo);
}

static bool better(const float *scores, uint32_t a, uint32_t b)
{
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
}

static uint32_t best_of(const struct draw *d)
{
    uint32_t best = 0;
    float top = d->scores[0];
    for (uint32_t i = 1; i < d->words; i++)
        if (d->scores[i] > top) top = d->scores[i], best = i;
    return best;
}

/* Lets ids[i] sink until no child should stand above it: the best on top, or the worst. */
static void sink(const struct draw *d, uint32_t i, uint32_t n, bool best_on_top)
{
    uint32_t *ids = d->ids, id = ids[i];
    for (;;) {
        uint64_t child = 2 * (uint64_t)i + 1;
        if (child >= n) break;
        if (child + 1 < n && better(d->scores, ids[child + 1], ids[child]) == best_on_top) child++;
        if (better(d->scores, ids[child], id) != best_on_top) break;
        ids[i] = ids[child];
        i = (uint32_t)child;
    }
    ids[i] = id;
}

static void heap(const struct draw *d, uint32_t n, bool best_on_top)
{
    for (uint32_t i = n / 2; i-- > 0;) sink(d, i, n, best_on_top);
}

/* The best k into d->ids, in whatever order; all, ascending, if there are no more. Returns how many. */
static uint32_t select_best(const struct draw *d, uint32_t k)
{
    uint32_t n = 0, i = 0;
    for (; i < d->words && n < k; i++)
        if (d->scores[i] > -INFINITY) d->ids[n++] = i;
    if (i == d->words) return n;
    heap(d, n, false);
    for (; i < d->words; i++) {
        if (!(d->scores[i] > d->scores[d->ids[0]])) continue; /* equal: the lower id is in already */
        d->ids[0] = i;
        sink(d, 0, n, false);
    }
    return n;
}

/* The same, best first. */
static uint32_t sort_best(const struct draw *d, uint32_t k)
{
    const uint32_t n = select_best(d, k);
    heap(d, n, false);
    for (uint32_t left = n; left > 1;) {
        uint32_t worst = d->ids[0];
        d->ids[0] = d->ids[--left];
        sink(d, 0, left, false);
        d->ids[left] = worst;
    }
    return n;
}

/* The candidates into d->ids: the best top_k, or all. Sums go over them in their order, so few of them, which may come from
 * the parts of a head, have one that does not depend on where they came from. */
static uint32_t candidates(const struct draw *d)
{
    const uint32_t k = d->how->top_k;
    if (k && k <= WIRE_CANDIDATES) return sort_best(d, k);
    return select_best(d, k && k < d->words ? k : d->words);
}

static float weight(float distance) /* how far below the best, 0 or less */
{
    return distance < -104.0f ? 0.0f : kernel_exp(distance); /* exp(-104) is 0 in f32 */
}

/* Of n candidates the likely ones end up as ids[from..n-1], the best last; returns from. */
static uint32_t likely(const struct draw *d, uint32_t n, float best)
{
    const struct sampling *how = d->how;
    double all = 0, sum = 0;
    uint32_t left = n;
    if (how->top_p >= 1 && how->min_p <= 0) return 0;
    for (uint32_t i = 0; i < n; i++) all += (double)weight(d->scores[d->ids[i]] - best);
    heap(d, n, true);
    while (left > 0) {
        uint32_t id = d->ids[0];
        float w = weight(d->scores[id] - best);
        if (left < n && w < how->min_p) break;
        d->ids[0] = d->ids[--left];
        if (left) sink(d, 0, left, true);
        d->ids[left] = id;
        sum += (double)w;
        if (how->top_p < 1 && sum >= (double)how->top_p * all) break;
    }
    return left;
}

static uint32_t choose(const struct draw *d, uint32_t from, uint32_t n, float best)
{
    const float t = d->how->temperature;
    double all = 0, sum = 0;
    uint32_t chosen = d->ids[n - 1];
    for (uint32_t i = n; i-- > from;) all += (double)weight((d->scores[d->ids[i]] - best) / t);
    const double stop = all * sampler_uniform(d->how->seed, d->request, d->position);
    for (uint32_t i = n; i-- > from;) {
        float w = weight((d->scores[d->ids[i]] - best) / t);
        if (w <= 0) continue;
        chosen = d->ids[i];
        sum += (double)w;
        if (sum > stop) break;
    }
    return chosen;
}

uint32_t sampler_pick(const struct draw *d)
{
    struct undo undo;
    penalise(d, &undo);
    uint32_t id = best_of(d);
    if (d->scores[id] == -INFINITY) id = WIRE_NO_WORD;
    else if (d->how->temperature > 0) {
        float best = d->scores[id];
        uint32_t n = candidates(d);
        id = choose(d, likely(d, n, best), n, best);
    }
    put_back(d, &undo);
    return id;
}

uint32_t sampler_candidates(const struct draw *d, struct candidate out[WIRE_CANDIDATES])
{
    const uint32_t k = sampling_of_few(d->how) ? sampling_words(d->how) : WIRE_CANDIDATES;
    struct undo undo;
    penalise(d, &undo);
    const uint32_t n = sort_best(d, k);
    for (uint32_t i = 0; i < n; i++) out[i] = (struct candidate){.id = d->first + d->ids[i], .score = d->scores[d->ids[i]]};
    put_back(d, &undo);
    for (uint32_t i = 0; i < n; i++) out[i].raw = d->scores[d->ids[i]];
    return n;
}

uint32_t sampler_best(const struct draw *d, uint32_t n, struct candidate *out)
{
    n = sort_best(d, n);
    for (uint32_t i = 0; i < n; i++) out[i] = (struct candidate){d->first + d->ids[i], d->scores[d->ids[i]], d->scores[d->ids[i]]};
    return n;
}
