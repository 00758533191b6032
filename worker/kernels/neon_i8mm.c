/* worker/kernels/neon_i8mm.c — the same with the dot products and the matrix products of bytes of ARMv8.6: see neon.c. */
#include "worker/kernels/neon.c"
