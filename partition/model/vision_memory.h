/* partition/model/vision_memory.h — the bytes a stage of the picture encoder needs, counted before a byte is loaded.
 *
 * The worker allocates by these same functions. A stage works on one picture at a time; others wait as frames. Rows are
 * cut into pieces of VISION_ROWS, and a thread takes one piece through a whole layer, so what is wide (the ffn) exists for
 * a piece per thread only: 2.2 MB instead of 70 for the real encoder. */
#pragma once

#include "partition/model/vision_weights.h"

#define VISION_ROWS 128 /* of a picture, that one thread takes through a layer at a time */

/* `tensors`: the part's, as vision_part_shape lists them, with their types filled in. */
struct part_bytes vision_part_bytes(const struct vision_config *c, struct part s,
                                 const struct tensor *tensors, enum vision_type as, uint32_t in_flight,
                                 int threads);

/* For a worker without text layers: adds runtime_bytes. */
void vision_bytes_alone(struct part_bytes *b, enum vision_type as);

/* Bytes of one tensor in a worker's memory, a multiple of 64. */
uint64_t vision_tensor_bytes(const struct tensor *t, enum vision_type as);

/* Scratch, split as the stage carves it up; all in bytes, each rounded up to 64. */
struct vision_scratch {
    uint64_t stream;  /* rows, f32 [patches, width] */
    uint64_t queries; /* shorts and their scales, as worker/encoder/vision_attention.c has them; with float32 math floats, and keys are
                         pages of keys and values */
    uint64_t keys;
    uint64_t values;
    uint64_t tokens;  /* f32 [tokens, width], only with the projector */
    /* and for each thread: */
    uint64_t narrow;  /* f32 [VISION_ROWS, width] */
    uint64_t wide;    /* f32 [VISION_ROWS, max(ffn, 3 width)], or a little more for loading */
    uint64_t acts;    /* VISION_ROWS rows as matmul wants them */
    uint64_t attend;  /* what one call of vision_attend needs */
    uint64_t tiles;   /* and of a product, with float32 math */
    uint64_t total;
};
struct vision_scratch vision_scratch(const struct vision_config *c, struct part s, enum vision_type as, int threads);

/* Bytes of scratch of one call of vision_attend (worker/kernels/kernels.h). */
uint64_t vision_attend_bytes(uint32_t head_dim);

/* Floats a stage takes and gives for one picture. */
uint64_t vision_floats_in(const struct vision_config *c, struct part s);
uint64_t vision_floats_out(const struct vision_config *c, struct part s);
