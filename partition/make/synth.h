/* partition/make/synth.h — writes a model of random weights in the exact shape of a real file: for tests, for measuring
 * speed and memory, for trying a cluster before the download is done. Its answers are noise. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define SYNTH_SIZES "tiny, 270m, 1b, 4b, 12b, 27b"

struct synth {
    const char *size; /* "4b", for the name in the file */
    uint32_t layers, hidden, ffn, heads, kv_heads, head_dim, window, context, vocab;
    float rope_factor;   /* of global layers; 1: not written */
    uint32_t embedding;  /* number formats, enum tensor_type: of token_embd.weight, */
    uint32_t matrix;     /* of every matrix of a layer, */
    uint32_t head;       /* and of output.weight, if `untied` */
    bool untied;
    uint64_t seed;         /* the same seed gives the same file, byte for byte */
    const char *tokenizer; /* a GGUF file whose vocabulary to take (vocab is then ignored), or NULL to invent one */
};

/* The published shape of that name: Q4_0 matrices, a Q8_0 embedding that is also the head, seed 1. */
int synth_size(struct synth *out, const char *size, struct err *why);

/* E_USAGE if the shape cannot be a model. */
int synth_write(const struct synth *s, const char *path, struct err *why);

/* "q4_k", in any case, to enum tensor_type; E_USAGE lists the names. */
int synth_type(const char *name, uint32_t *out, struct err *why);
