/* worker/weights/region.h — a large piece of memory, taken and written to before it is needed.
 *
 * A plan that the machine cannot keep is refused here, not in the middle of an answer. Large pages make a difference: without them
 * one token of a small model takes a fifth longer. They need memory in one piece, so what is taken at one time lies side by
 * side, though it may be given back bit by bit. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct region {
    uint8_t *at; /* page-aligned */
    uint64_t bytes;
};

/* 0 bytes: nothing is taken. Written to by `threads` threads, so that finding and clearing the memory is shared and, where it
 * belongs to several processors, spread over those that will read it. */
int region_open(struct region *r, uint64_t bytes, const char *what, int threads, struct err *why);

/* r[i] with bytes[i], each from a page of its own on, all in one piece; closed one by one. Nothing is taken if it fails. */
int regions_open(struct region *r, uint32_t n, const uint64_t *bytes, const char *what, int threads, struct err *why);
void region_close(struct region *r);

/* Numbers about as large as weights are: read as bf16 or f32 if `wide`, else as integers and f16. For measuring: a processor draws less
 * and clocks higher when it multiplies zeros, and takes longer for what is nearly zero. `bytes`: a multiple of 64. */
void numbers_draw(uint8_t *at, uint64_t bytes, bool wide);
