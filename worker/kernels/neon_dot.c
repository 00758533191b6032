/* worker/kernels/neon_dot.c — the same with the dot product instructions of ARMv8.2: see neon.c. */
#include "worker/kernels/neon.c"
