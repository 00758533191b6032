/* worker/stage/attention.h — the heads of one layer: keys and values into the cache, then every row looks back.
 *
 * All rows are stored before the first one looks, because the rows of a picture see each other both ways. The ring of a
 * local layer is long enough for that: window - 1 + rows of a micro-batch. Threads: as worker/stage/text.h. */
#pragma once

#include "worker/stage/text.h"

struct attention {
    const struct workbench *b; /* wide holds [n, q + k + v] */
    uint32_t index, layer; /* of the layer in the stage, and in the model */
    bool global;
};

/* Per head: norm, then rope, of q and k in place; k and v go to the cache, rounded to its type. Of rows that are drawn k and v are drawn
 * first: docs/WIRE.md says how. */
void attention_store(const struct attention *a, const float *q_norm, const float *k_norm);

/* softmax(q k) v of every row and head: wide -> narrow [n, heads * head_dim]. */
void attention_look(const struct attention *a);
