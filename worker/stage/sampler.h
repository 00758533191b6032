/* worker/stage/sampler.h — scores in, one token id out; or those that are likeliest.
 *
 * Steps, in the field's usual order; each sees what the one before left:
 *
 *   forbidden       ids that are no words are put to -infinity (sampler_forbid)
 *   repeat penalty  every id among the last repeat_last: score > 0 ? score / penalty : score * penalty
 *   biases          what the row brings for single words is added (wishes for words, other penalties); -infinity forbids
 *   mask            words that the row forbids are put to -infinity
 *   temperature 0   the best score wins, the rest is skipped
 *   top_k           the best k stay
 *   top_p           the best stay until their share of the probabilities, at temperature 1, reaches top_p
 *   min_p           what has less than min_p times the best one's probability goes; the best always stays
 *   temperature     weights exp((score - best) / temperature), and one draw
 *
 * Equal scores are ordered by id, the lower first. Sums are in double, in an order that depends on the scores alone,
 * exp is the kernels' own: the same scores give the same id on every machine.
 *
 * Random numbers are counted, not streamed: the draw after position p of the ask with key r under seed s is a hash of the three
 * (base/hash.h), so neither other asks nor a lost worker nor a replay shifts it. The wire calls the key `request`. */
#pragma once

#include "transport/wire/sampling.h"

/* Scores of some words: the vocabulary, or a run of it where the head is divided. */
struct draw {
    float *scores; /* [words], no NaN; given back as they came, but for those of words that the mask forbids */
    uint32_t words;
    uint32_t first; /* id of the first of them */
    uint32_t *ids;  /* scratch [words] */
    const struct sampling *how;
    const uint32_t *recent; /* the last ids, how->repeat_last of them or as many as there are */
    uint32_t n_recent;
    uint64_t request;
    uint32_t position; /* of the row the scores belong to */
    const struct work *of; /* brings the biases, */
    uint32_t first_bias, n_biases; /* these of them; n 0: none */
    const uint8_t *mask; /* of the whole vocabulary, see struct work; NULL: none */
};

/* Gemma's vocabulary, known by its size, has ids that must not be sampled: the padding from 262144 on and the two
 * that fence a picture. Their scores become -infinity. Other vocabularies are left as they are. */
void sampler_forbid(float *scores, uint32_t first, uint32_t words, uint32_t vocab);

/* Which of the words, counted from `first`; WIRE_NO_WORD: all are forbidden. */
uint32_t sampler_pick(const struct draw *d);

/* The words that can become the token when these are all there are, best first; returns how many, WIRE_CANDIDATES at most.
 * sampler_pick from the best top_k of all parts' candidates is sampler_pick from all words. */
uint32_t sampler_candidates(const struct draw *d, struct candidate out[WIRE_CANDIDATES]);

/* The best n words by the scores as they are, which are both scores of each, best first; returns how many. */
uint32_t sampler_best(const struct draw *d, uint32_t n, struct candidate *out);

/* The draw itself, in [0, 1). */
double sampler_uniform(uint64_t seed, uint64_t request, uint32_t position);
