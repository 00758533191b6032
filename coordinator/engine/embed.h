/* coordinator/engine/embed.h — token ids -> rows of the residual stream, gathered from the file. */
#pragma once

#include "partition/model/weights.h"

/* sqrt(hidden): rounded to bf16 as the model was trained, or exact. docs/MODEL.md, "Numbers". */
float embed_scale(uint32_t hidden, bool exact);

/* out [hidden] = scale * a row of the embedding, as it lies in the file. */
void embed_row(const struct tensor *embedding, float scale, const uint8_t *row, float *out);
