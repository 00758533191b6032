/* worker/stage/candidates.h — what is said of a row of scores, from sums over the parts of the vocabulary.
 *
 * The head may be divided (partition/model/weights.h, HEAD_PARTS), so a row's log-sum-exp, its hash and its token are made of
 * things that whoever holds a part can tell: the same bits, whoever holds what. */
#pragma once

#include "worker/stage/sampler.h"

bool parts_finite(const struct part_sum *parts, uint32_t n);
double parts_log_sum(const struct part_sum *parts, uint32_t n); /* ln of the sum of exp(score) over all parts, ascending */
uint64_t parts_hash(const struct part_sum *parts, uint32_t n);  /* of a row's scores: docs/WIRE.md, "Hashes" */

/* The same from the scores themselves, [vocab]. */
uint64_t scores_hash(const float *scores, uint32_t vocab);

/* The token of a row from all its scores, and the alternatives that its segment wants. The hash stays as it is. */
void token_draw(struct token *t, const struct draw *d, const struct segment *g, const struct scored *row);
