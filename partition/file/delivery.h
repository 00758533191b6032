/* partition/file/delivery.h — a worker's part, piece by piece: whole panels of rows, about a MiB each, tensor by tensor.
 *
 * The same walk serves a worker that mapped the file itself and a coordinator that streams to a worker without one, so
 * both ways load the same bytes in the same order. */
#pragma once

#include "partition/model/vision_weights.h"
#include "partition/model/weights.h"

#define DELIVERY_BYTES (1u << 20) /* a piece, about; one panel of rows may be more */

struct delivery {
    const struct tensor *tensors; /* of the part, with data */
    uint32_t count;
    uint32_t tensor, row; /* where the next piece begins */
    const uint8_t *have;  /* [count]: not 0: left out, the other side has it; NULL: it has none */
};

struct delivery_piece {
    uint32_t tensor, first_row, rows;
    const uint8_t *bytes; /* in the mapped file */
    uint64_t n;
};

static inline void delivery_begin(struct delivery *d, const struct tensor *tensors, uint32_t count)
{
    *d = (struct delivery){.tensors = tensors, .count = count};
}

/* False when everything went out. */
bool delivery_next(struct delivery *d, struct delivery_piece *out);

/* Bytes of all tensors as they lie in the file. */
uint64_t delivery_total(const struct tensor *tensors, uint32_t count);

/* The largest piece of any part of these models (either may be NULL): what a frame must be able to hold. */
uint64_t delivery_largest(const struct model_config *c, const struct vision_config *v);
