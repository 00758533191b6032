/* partition/make/random_weights.h — random weights of every number format, fast: what synthetic models are made of.
 *
 * The same seed and name give the same values on every machine. Values are about normal with the mean and deviation
 * asked; quantised kinds get random quants under scales that make the deviation right, so nothing is ever quantised. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NOISE_POOL 65536

struct noise {
    uint64_t state;
    float pool[NOISE_POOL]; /* samples of the standard normal; drawing is a look-up */
};

void noise_init(struct noise *n);
void noise_seed(struct noise *n, uint64_t seed, const char *name);

/* `blocks` blocks of `type` into `out`. The mean is for F32, F16 and BF16; quantised kinds have mean 0. */
void noise_blocks(struct noise *n, uint32_t type, void *out, size_t blocks, float mean, float deviation);
