/* worker/stage/stage.h — one stage: rows in, layers first..end-1, rows or tokens out. No link in sight.
 *
 * Life: stage_open (takes all memory but that of weights held already, touches it) -> stage_load for every piece of its weights ->
 * stage_run for every micro-batch. After stage_open nothing is allocated.
 * Threads: one caller. stage_run opens one OpenMP region of `threads`; nothing about the result depends on them. */
#pragma once

#include "partition/model/memory.h"
#include "transport/wire/wire.h"
#include "worker/kernels/kernels.h"
#include "worker/weights/held_weights.h"

#include <stdatomic.h>

struct stage;

struct stage_plan_in {
    struct model_config config;
    struct part part;
    struct capacity capacity;
    const struct tensor *tensors; /* part_count(CHAIN_TEXT, part), types set; copied */
    int threads;
    bool crowded; /* see barrier.h */
    const struct part_weights *weights; /* must outlive the stage; NULL: the stage takes memory for them itself */
};

int stage_open(struct stage **out, const struct stage_plan_in *in, const struct kernels *k, struct err *why);
void stage_close(struct stage **s);
struct part_bytes stage_memory(const struct stage *s); /* what it took: equals the plan */

/* Where the caller may put the rows of a micro-batch: f32 [capacity.rows, hidden], counted in the plan's scratch. */
float *stage_rows(struct stage *s);

/* File rows of tensor `index` of the part, block_row_bytes each (the caller has seen that there are so many bytes).
 * Rows come in order per tensor, and in multiples of 16 but for a tensor's last; E_WIRE if they do not fit. */
int stage_load(struct stage *s, uint32_t index, uint32_t first_row, uint32_t rows, const void *bytes, struct err *why);
/* 0 when every row of every tensor has come; E_WIRE naming the first that is missing. */
int stage_loaded(const struct stage *s, struct err *why);

/* When *stop becomes true a stage_run under way ends after the layer it is in or the next, with E_INTERRUPTED; the stage
 * is of no more use then. For a worker that is told to go in the middle of a long prompt. *steps, if not NULL, rises
 * with every layer. */
void stage_heed(struct stage *s, const atomic_bool *stop, atomic_ullong *steps);

/* All weights, keys and values become drawn numbers, as none have come: for measuring. The stage has its own weights. */
void stage_draw(struct stage *s);
/* As if the slot had `rows` rows already, of history 0, at most as many as the context: for measuring (worker/probe.c). */
void stage_pretend(struct stage *s, uint32_t slot, uint32_t rows);

/* One row's scores, or those of the part's words (then without a hash), in order of rows, by the thread that called stage_run or
 * stage_score. */
typedef int (*logits_sink)(void *user, uint32_t slot, uint32_t position, const float *scores, uint32_t n,
                           uint64_t hash, struct err *why);

/* What a divided head's parts say of one row; in order of rows, by the thread that called stage_score. */
typedef int (*scored_sink)(void *user, const struct scored *row, struct err *why);

/* Checks every segment against what this stage holds (slot, position, history: E_WIRE if it does not fit, and then
 * nothing was changed), then runs. x [n_rows, hidden] f32 is the residual stream, updated in place; it may be
 * stage_rows. With the whole head and a `result`, tokens go there (one for each segment that wants one, in order);
 * at the end of a pipe whose head is divided `result` is NULL, and stage_wanted and stage_score follow. E_WORKER if scores
 * are not finite; then, and when the sink fails, the stage is of no more use. */
int stage_run(struct stage *s, const struct work *w, float *x, struct result *result, logits_sink sink, void *user,
              struct err *why);

/* Of a micro-batch that has just run: false if no rows were to be hashed; else all but the hashes, which `put` fills in. */
bool stage_hashes(const struct stage *s, struct row_hashes *out);
void stage_hashes_put(const struct stage *s, struct row_hashes *out);

/* Of a micro-batch that has just run: the rows that want a token or their scores, as an M_SCORE says it, all but the activations.
 * They are rows at[i] of x; at: [n_rows]. */
void stage_wanted(const struct stage *s, const struct work *w, struct work *out, uint32_t *at);

/* The stage's parts of the head on the rows of an M_SCORE: x [n_rows, hidden]. Rows whose scores go home are given to `sink` before
 * they are said. E_WIRE if rows that want a token are not the last that this stage has seen of their slots. */
int stage_score(struct stage *s, const struct work *w, const float *x, logits_sink sink, scored_sink say, void *user, struct err *why);
