/* coordinator/engine/embed.h — token ids -> rows of the residual stream, gathered from the mapped file. */
#ifndef COORDINATOR_ENGINE_EMBED_H
#define COORDINATOR_ENGINE_EMBED_H

#include "partition/model/weights.h"

/* sqrt(hidden): rounded to bf16 as the model was trained, or exact. docs/MODEL.md, "Numbers". */
float embed_scale(uint32_t hidden, bool exact);

/* out [n, hidden] = scale * embedding row of each id. Ids are below the vocabulary's size. */
void embed_rows(const struct tensor *embedding, float scale, const uint32_t *ids, uint32_t n, float *out);

#endif
