/* worker/kernels/peak.h — loops that do nothing but multiply and add, in registers: what kernels are measured against.
 *
 * For each instruction set the cheapest way it has: no loads, no unpacking, no scales, twelve chains side by side so
 * that none waits for another. What they compute means nothing. */
#pragma once

#include <stdint.h>

struct peak {
    void (*int8)(uint64_t turns); /* products of bytes, added up in integers */
    void (*f32)(uint64_t turns);  /* fused multiply-adds of floats */
    uint32_t int8_macs, f32_macs; /* of one turn */
};

/* `isa` as in struct kernels, of a table this CPU runs. */
struct peak kernels_peak(const char *isa);
