/* partition/model/memory.h — the bytes a stage needs, counted before a byte is loaded.
 *
 * The worker allocates by these same functions, so what was planned is what is taken. */
#pragma once

#include "base/numeric.h"
#include "partition/model/weights.h"

#define KV_PAGE 64 /* positions in a page of keys and values */

/* What a worker takes before it has loaded anything: program, libraries, thread stacks, transport; 8 to 9.5 MiB were measured over ZeroMQ. With
 * MPI it is more, the more the better its network; 10 to 14 MiB were measured between ranks of one machine. Threads take next to nothing.
 * `--report` prints the measured peak beside the plan. */
#define RUNTIME_BYTES (10ull << 20)
#define RUNTIME_MPI (15ull << 20)
uint64_t runtime_bytes(bool float32); /* float32: with the library for it */
void runtime_with_mpi(bool yes); /* said at the beginning of a program that speaks MPI */

/* Pieces of weights under way and being packed. They are gone before the first micro-batch comes, so a worker needs room for them or for
 * frames; those of pictures are larger. */
#define LOADING_BYTES (5ull << 20)

/* What a run is prepared for. The same for all stages. */
struct capacity {
    uint32_t context;   /* positions of a sequence, at most */
    uint32_t sequences; /* held at once */
    uint32_t rows;      /* in one micro-batch, at most */
    uint32_t in_flight; /* micro-batches, at most */
    uint32_t blocks;    /* of KV_PAGE positions that all sequences together hold, at most; 0: `sequences` times all of `context` */
    struct numeric_mode mode;
};

/* The same, never 0; of one sequence at its longest, which there is room for whatever is asked; and of all of them. */
uint32_t capacity_blocks(const struct capacity *cap);
uint32_t capacity_blocks_least(const struct capacity *cap);
uint32_t capacity_blocks_most(const struct capacity *cap);

/* Bytes of one tensor in a worker's memory, a multiple of 64. */
uint64_t text_tensor_bytes(const struct tensor *t);

/* `tensors`: the part's, as text_part_shape lists them, with their types filled in. */
struct part_bytes text_part_bytes(const struct model_config *c, struct part s, const struct tensor *tensors,
                               const struct capacity *cap, int threads);

/* Pages of one sequence in one layer: a global layer holds the context, a local one a ring that always has the window
 * and the rows of one micro-batch. */
uint32_t kv_pages(const struct model_config *c, uint32_t layer, const struct capacity *cap);
uint32_t kv_ring(const struct model_config *c, const struct capacity *cap); /* of a local layer, whether the model has one or not */
/* Pages of a part's pool, for all of its layers: each global layer has one for every block, and each local one too, as far as its
 * rings are not full. It holds one sequence of the whole context, whatever `blocks` says. */
uint64_t kv_pool_pages(const struct model_config *c, struct part s, const struct capacity *cap);
uint64_t kv_page_bytes(const struct model_config *c, enum kv_type type); /* keys and values of KV_PAGE positions of one layer */
/* Of these the keys, or the values, of one head: a multiple of 64. Q8_0: a byte each, and behind them an f16 for every KV_BLOCK of a
 * position's columns, the last of which may be shorter. */
#define KV_BLOCK 32
uint64_t kv_half_bytes(uint32_t head_dim, enum kv_type type);
/* Beside the pages, in part_bytes.kv too: of each page u32 who holds it and u32 which comes next; of each layer and sequence where its
 * pages are, a pointer for each that it may have. Little, but for many sequences of a long context that share a small pool. */
uint64_t kv_tables_bytes(const struct model_config *c, struct part s, const struct capacity *cap);
#define KV_PAGE_NUMBERS 2

/* Scratch, split as the stage carves it up; the sum is part_bytes.scratch. All in bytes, each rounded up to 64. */
struct scratch_bytes {
    uint64_t stream;  /* residual rows, f32 [rows, hidden] */
    uint64_t rows_a;  /* the workbench's `wide`, f32 [rows, max(hidden, q + 2 kv, ffn)] */
    uint64_t rows_b;  /* the workbench's `narrow`, f32 [rows, max(hidden, heads * head_dim)] */
    uint64_t acts;    /* `narrow` as matmul wants it: act_bytes */
    uint64_t ffn;     /* the ffn's rows as matmul wants them: act_bytes of [rows, ffn] */
    uint64_t gate;    /* for each thread f32 [2][gate_room] */
    uint64_t tiles;   /* with float32 math for each thread sgemm_bytes of rows or LOGIT_ROWS */
    uint64_t rope;    /* cos and sin, local and global, f32 [2][2][rows, head_dim / 2] */
    uint64_t attend;  /* attention: attend_bytes of each thread, and the parts of rows that threads share */
    uint64_t logits;  /* f32 [LOGIT_ROWS, its words rounded up to 16] and the sampler's, only with a part of the head */
};
#define LOGIT_ROWS 16 /* rows of the head computed at a time */
struct scratch_bytes scratch_bytes(const struct model_config *c, struct part s, const struct capacity *cap, int threads);

/* Columns of the ffn whose gate and up a thread makes at a time: as many as leave both, for all rows, in its L2. A multiple
 * of the 32 columns that are quantised together. */
#define GATE_FLOATS 16384
static inline uint32_t gate_columns(uint32_t rows)
{
    const uint32_t columns = GATE_FLOATS / 32 / rows * 32;
    return columns < 32 ? 32 : columns > 1024 ? 1024 : columns;
}
/* Room for that, with `rows` rows or fewer. */
static inline uint64_t gate_floats(uint32_t rows)
{
    return rows > GATE_FLOATS / 32 ? (uint64_t)rows * 32 : GATE_FLOATS;
}

/* Of a run: float32 math wants whole tiles. */
uint64_t gate_room(const struct capacity *cap);

/* The sampler's ids of one row for each thread that may pick a token: u32 [threads, at most LOGIT_ROWS][words]. */
uint64_t head_ids_bytes(const struct model_config *c, struct part s, int threads);

/* Attention's numbers that memory depends on: see worker/kernels/kernels.h, struct attend. */
#define ATTEND_LINES 128 /* query rows times heads that go past the keys together, at most */
#define ATTEND_SPAN 256  /* positions: the shortest span, a multiple of KV_PAGE */
#define ATTEND_SPANS 17  /* of one row, at most */
uint64_t attend_bytes(uint32_t head_dim); /* scratch of one call, a part of each line: the same for any context */
uint64_t attend_part(uint32_t head_dim);  /* floats of one span of one row and head */
/* Rows times key/value heads whose spans are shared out; from here on there are enough of them for all threads. */
static inline uint32_t attend_shared(int threads)
{
    return threads > 1 ? 2 * (uint32_t)threads - 1 : 0;
}

/* Float32 math: what worker/kernels/blas.h multiplies at a time, and scratch for one thread that does, with so many rows. */
#define SGEMM_ROWS 16
#define SGEMM_COLS 128  /* output rows of the matrix: whole panels */
#define SGEMM_DEPTH 512 /* columns: whole groups of blocks */
#define SGEMM_RUNTIME (32ull << 20) /* what the library takes itself, beside RUNTIME_BYTES */
uint64_t sgemm_bytes(uint32_t rows);

/* Bytes of `rows` activations of `cols` values prepared for matmul: see worker/kernels/kernels.h, struct acts. */
uint64_t act_bytes(uint32_t rows, uint32_t cols);
