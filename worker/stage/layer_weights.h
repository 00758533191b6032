/* worker/stage/layer_weights.h — a stage's weights in its memory: where each tensor lies, and how many of its rows have come.
 *
 * Tensors stand in the order of the share, so a layer is an array of W_LAYER_ROLES weights indexed by role. */
#ifndef WORKER_STAGE_LAYER_WEIGHTS_H
#define WORKER_STAGE_LAYER_WEIGHTS_H

#include "worker/kernels/kernels.h"

#include "partition/model/weights.h"

struct weight {
    struct tensor is;     /* role, layer, type, shape; no data */
    struct panels panels; /* a matrix */
    float *norm;          /* or a norm */
    uint32_t rows_in;     /* rows that have come */
};

struct shard {
    size_t n;
    struct weight *weights;
};

/* The description may come from the wire: roles and shapes must be the share's own, types ones that we read. E_WIRE. */
int shard_check(const struct model_config *c, struct part s, const struct tensor *tensors, struct err *why);

/* Gives each tensor its place in `memory` (64-byte aligned, owned by the caller; NULL only counts). */
int shard_open(struct shard *shard, const struct tensor *tensors, size_t n, uint8_t *memory, uint64_t bytes,
               struct err *why);
void shard_close(struct shard *shard);

/* See stage_load and stage_loaded. `threads` pack side by side. */
int shard_load(struct shard *shard, uint32_t index, uint32_t first_row, uint32_t rows, const void *bytes, int threads,
               struct err *why);
int shard_loaded(const struct shard *shard, struct err *why);

/* Does a matrix want its input quantised? */
static inline bool weight_is_integer(const struct weight *w)
{
    return w->panels.kind < P_F16;
}

#endif
