/* worker/encoder/encoder_weights.h — the encoder's weights in a stage's memory, and how many of their rows have come.
 *
 * As worker/stage/layer_weights.h for the text model. Three kinds of tensors lie otherwise than in the file: matrices that are kept
 * as Q8_0, position rows (always f32), and the projection, whose rows and columns change places. */
#ifndef WORKER_ENCODER_ENCODER_WEIGHTS_H
#define WORKER_ENCODER_ENCODER_WEIGHTS_H

#include "partition/format/quantize.h"
#include "partition/model/vision_memory.h"
#include "worker/kernels/kernels.h"

#include <stdbool.h>

struct vision_weight {
    struct tensor is; /* in the file; no data */
    struct vision_kept kept;
    struct panels panels;    /* a matrix */
    float *rows;             /* or a vector, or the position rows */
    uint32_t rows_in;        /* file rows that have come */
};

struct vision_shard {
    size_t n;
    struct vision_weight *weights; /* in the order of the share */
    struct quantizer quantizer;
};

/* Gives each tensor its place in `memory` (64-byte aligned, owned by the caller). */
int vision_shard_open(struct vision_shard *s, const struct tensor *tensors, size_t n, enum vision_type as,
                      uint8_t *memory, uint64_t bytes, struct err *why);
void vision_shard_close(struct vision_shard *s);

/* See vision_stage_load. `threads` pack side by side, each with `room_each` floats of `room` for itself: at least
 * VISION_ROOM of the largest number of columns. */
#define VISION_ROOM(cols) ((size_t)(cols) * 8 + 256)
int vision_shard_load(struct vision_shard *s, uint32_t index, uint32_t first_row, uint32_t rows, const void *bytes,
                      int threads, float *room, size_t room_each, struct err *why);
int vision_shard_loaded(const struct vision_shard *s, struct err *why);

/* Does a matrix want its input quantised? */
static inline bool vision_is_integer(const struct vision_weight *w)
{
    return w->panels.kind < P_F16;
}

#endif
