/* worker/weights/weight.h — one tensor in a worker's memory, of the text or of the encoder, and how many of its rows have come.
 *
 * Matrices lie in panels, as partition/format/panels.h says; norms, biases and position rows are floats. Three kinds of the
 * encoder's tensors lie otherwise than in the file: matrices that are kept as Q8_0, position rows, and the projection, whose
 * rows and columns change places. */
#pragma once

#include "partition/format/quantize.h"
#include "partition/model/vision_memory.h"
#include "worker/kernels/kernels.h"

struct weight {
    struct tensor is;        /* as it should be in the file; no data */
    struct vision_kept kept; /* type, rows and columns here */
    struct panels panels;    /* a matrix */
    float *floats;           /* or a norm, a bias, or the position rows */
    uint32_t rows_in;        /* file rows that have come */
    uint64_t hash;           /* of these, by hash_rows */
};

/* Bytes of it in memory, a multiple of 64. */
uint64_t weight_bytes(const struct tensor *t, enum vision_type as);

/* Gives it its place in `memory`: weight_bytes, 64-byte aligned, owned by the caller. */
void weight_place(struct weight *w, const struct tensor *t, enum vision_type as, uint8_t *memory);

/* Room for one thread that loads rows of so many columns. */
#define WEIGHT_ROOM_FLOATS(cols) ((size_t)(cols) * 8 + 256)

/* File rows, block_row_bytes each. They come in order and in multiples of PANEL_ROWS but for the last; E_WIRE if they do not fit,
 * E_FILE if one holds what is no finite number.
 * `threads` pack side by side; each has `room_each` floats of `room` for itself if the tensor is the encoder's (else NULL, 0). */
int weight_load(struct weight *w, uint32_t first_row, uint32_t rows, const void *bytes, int threads, float *room, size_t room_each,
                struct err *why);

/* E_FILE if all its rows have come and by the hash in `is` they are not the right ones. */
int weight_compare(const struct weight *w, struct err *why);

static inline bool weight_is_whole(const struct weight *w)
{
    return w->rows_in == w->is.rows;
}

/* Does a matrix want its input quantised? */
static inline bool weight_is_integer(const struct weight *w)
{
    return w->panels.kind < P_F16;
}
