/* worker/stage/text.h — one Gemma 3 decoder layer over the rows of a micro-batch.
 *
 * Threads: every function here is called by all threads of one OpenMP region (or by one thread outside of any), with
 *          the same arguments. They share the loops inside; each ends with all work done and seen by all, unless it
 *          says otherwise. Who did which part never changes a bit: see worker/kernels/kernels.h.
 * Memory:  nothing is allocated; `struct workbench` points into the stage's scratch. */
#pragma once

#include "base/barrier.h"
#include "worker/stage/kv.h"
#include "worker/weights/weight.h"

/* One row of the micro-batch: whose it is, where it stands, how far it may look. */
struct row_place {
    uint32_t slot, position, sees;
    bool drawn; /* it is not computed: its keys and values are drawn */
    uint32_t hashed; /* it is number `hashed`, from 1, of the rows whose hashes are wanted; 0: it is none of them */
};

/* The workbench of one micro-batch. `wide` and `narrow` take turns: what one step writes, the next one reads. */
struct workbench {
    const struct model_config *config;
    const struct kernels *k;
    struct kv *kv;
    enum math math;
    int threads;
    uint32_t n; /* rows */
    bool all_drawn;
    const struct row_place *places;
    float *wide;             /* [n, q + k + v], [n, hidden], [n, ffn]       */
    float *narrow;           /* [n, hidden], [n, heads * head_dim]          */
    struct acts of_hidden;   /* narrow [n, hidden], ready for matmul        */
    struct acts of_heads;    /* narrow [n, heads * head_dim]                */
    struct acts of_ffn;      /* gelu(gate) * up, [n, ffn]; in wide for a matrix of floats */
    float *gate;             /* for each thread [2][gate_each]              */
    size_t gate_each;        /* gate_room                                   */
    float *tiles;            /* for each thread [tiles_each], with float32 math */
    size_t tiles_each;
    float *cos[2], *sin[2];  /* [local, global][n, head_dim / 2]            */
    uint8_t *attend;         /* attention's, attend_bytes for each thread   */
    float *parts;            /* of the rows whose spans threads share      */
    struct barrier *barrier; /* of the region's threads                     */
};

/* Returns when all threads of the region are here. Loops are shared out by OpenMP, but nobody waits at its barriers. */
void meet(const struct workbench *b);

/* Columns of q, k, v side by side in `wide`. */
static inline uint32_t heads_width(const struct model_config *c)
{
    return c->heads * c->head_dim;
}
static inline uint32_t kv_width(const struct model_config *c)
{
    return c->kv_heads * c->head_dim;
}
static inline uint32_t qkv_width(const struct model_config *c)
{
    return heads_width(c) + 2 * kv_width(c);
}

/* Says how many rows are in use: by one thread, before the region. */
void workbench_set_rows(struct workbench *b, uint32_t n);

/* cos and sin for every row's position, once for all layers of the stage. */
void text_angles(const struct workbench *b);

/* Layer `index` of the stage, `layer` of the model; w its W_LAYER_ROLES weights. x [n, hidden] is updated in place, and a
 * thread returns when its own rows of x are: the next layer may follow at once, anything else must meet first. */
void text_layer(const struct workbench *b, const struct weight *w, uint32_t index, uint32_t layer, float *x);

/* Whether the rows that meet a matrix are rounded to 8 bits first. */
static inline bool wants_8_bits(const struct workbench *b, const struct weight *w)
{
    return b->math == MATH_INT8 && weight_is_integer(w);
}

/* y = acts times the matrix. Returns without waiting for the others: a barrier or a waiting loop must follow. */
void multiply(const struct workbench *b, float *y, size_t ldy, const struct weight *w, const struct acts *a);
