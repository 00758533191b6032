/* worker/encoder/vision.h — one stage of the picture encoder: a picture's rows in, layers first..end-1, rows out. No link in sight.
 *
 * Life: vision_stage_open (takes all memory, touches it) -> vision_stage_load for every piece of its weights ->
 * vision_stage_run for every picture. After vision_stage_open nothing is allocated.
 * Threads: one caller. vision_stage_run opens one OpenMP region of `threads`; nothing about the result depends on them,
 * nor on how the layers are cut into stages. */
#pragma once

#include "partition/model/vision_memory.h"
#include "worker/kernels/kernels.h"
#include "worker/weights/held_weights.h"

#include <stdatomic.h>
#include <stdbool.h>

struct vision_stage;

struct vision_plan_in {
    struct vision_config config;
    struct part part;
    const struct tensor *tensors; /* part_count(CHAIN_VISION, part), types set; copied */
    enum vision_type type;
    int threads;
    const struct part_weights *weights; /* must outlive the stage; NULL: the stage takes memory for them itself */
};

int vision_stage_open(struct vision_stage **out, const struct vision_plan_in *in, const struct kernels *k,
                      struct err *why);
void vision_stage_close(struct vision_stage **s); /* sets *s to NULL; NULL is fine */

struct part_bytes vision_stage_memory(const struct vision_stage *s); /* what it took: weights and scratch as planned */

/* File rows of tensor `index` of the part, block_row_bytes each (the caller has seen that there are so many bytes).
 * Rows come in order per tensor, and in multiples of 16 but for a tensor's last; E_WIRE if they do not fit. */
int vision_stage_load(struct vision_stage *s, uint32_t index, uint32_t first_row, uint32_t rows, const void *bytes,
                      struct err *why);
void vision_stage_draw(struct vision_stage *s); /* as stage_draw of the text */
/* 0 when every row of every tensor has come; E_WIRE naming the first that is missing. */
int vision_stage_loaded(const struct vision_stage *s, struct err *why);

/* When *stop becomes true a run under way ends after the layer it is in, with E_INTERRUPTED. */
void vision_stage_heed(struct vision_stage *s, const atomic_bool *stop);

/* One picture. `in`: patches [patches, 3 p p] (colour, line, column inside a patch) for the stage that has the patch
 * embedding, else rows [patches, width] of the stage before. `out`: rows [patches, width], or with the projector
 * [tokens, hidden]. vision_floats_in and _out say how many floats; the two may be the same memory.
 * E_WORKER if the result is not finite. */
int vision_stage_run(struct vision_stage *s, const float *in, float *out, struct err *why);

/* The same, a layer at a time, for who has other work to put in between: call it with the same `in` and `out` until *done.
 * `in` is read by the first step, `out` filled by the last. */
int vision_stage_step(struct vision_stage *s, const float *in, float *out, bool *done, struct err *why);

/* Where pictures' processor time went, summed over threads, since the stage was opened: for measuring. */
struct vision_times {
    double before, attention, after, ends; /* seconds: norm, q, k, v; attention; o and ffn; patches and projector */
};
struct vision_times vision_stage_times(const struct vision_stage *s);
