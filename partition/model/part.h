/* partition/model/part.h — what one worker has of a model: a run of layers, and what stands before and behind them.
 *
 * A model has two chains of layers: the text's and the picture encoder's. A worker may have a part of each. Their
 * arithmetic differs; how parts are described, counted, sent, checked and kept does not.
 *
 *            front                    layers                       back
 *   text     -                        first .. end-1               parts of the head, in sixteenths
 *   vision   patches and positions    first .. end-1               the projector, whole or not at all */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum chain { CHAIN_TEXT, CHAIN_VISION, CHAINS };

struct part {
    uint32_t first, end;     /* layers; equal: none */
    uint32_t back, back_end; /* text: HEAD_PARTS of the head; vision: 0 and 1 with the projector; equal: none */
    bool front;              /* vision only */
};

static inline bool part_is_empty(struct part p)
{
    return p.first == p.end && p.back == p.back_end && !p.front;
}

static inline bool part_has_back(struct part p)
{
    return p.back < p.back_end;
}

static inline bool part_same(struct part a, struct part b)
{
    return a.first == b.first && a.end == b.end && a.back == b.back && a.back_end == b.back_end && a.front == b.front;
}

/* One tensor of a chain. Rows are output rows; a norm or a bias is one row. */
struct tensor {
    uint8_t chain;       /* enum chain */
    uint8_t role;        /* enum role of weights.h, or enum vision_role of vision_weights.h */
    uint32_t layer;      /* 0 outside of layers */
    uint32_t type;       /* enum tensor_type, in the file */
    uint32_t rows, cols; /* as in the file: a matrix [rows, cols] does y = W x, but for the encoder's projection */
    const uint8_t *data; /* rows in order, block_row_bytes each; NULL where the file is not at hand */
    uint32_t first_row;  /* of the whole tensor: where a part of the head begins */
    uint64_t hash;       /* of the rows, by hash_rows; 0: not known */
};

/* Of tensors that this part of the chain has: in the order of text_part_shape or vision_part_shape. */
size_t part_count(enum chain chain, struct part p);

/* "attn_q" of the text, "attn_q.weight" of the encoder: for sentences. */
const char *tensor_name(const struct tensor *t);

/* Bytes that one chain's part takes of a worker's memory. */
struct part_bytes {
    uint64_t weights; /* panels, norms, biases, position rows */
    uint64_t kv;      /* pages of keys and values of the layers, f16; text only */
    uint64_t scratch; /* what computing one micro-batch, or one picture, needs */
    uint64_t frames;  /* micro-batches or pictures waiting at the door, in and out; rows to be scored */
    uint64_t runtime; /* program, libraries, transport: counted once for a worker */
    uint64_t total;
};
