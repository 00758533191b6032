/* worker/kernels/inside.h — what the files of this room share and nobody else sees: where things lie inside a panel,
 * the numbers of exp and gelu, and the door of each instruction set.
 *
 * The numbers stand here once, so that ref.c and the vector versions cannot drift apart. */
#pragma once

#include "base/cpu.h"
#include "base/inline.h"
#include "base/sanitized.h"
#include "worker/kernels/kernels.h"

#include <stdbool.h>

#define LANES 16 /* of every sum over a row, on every instruction set; also the rows of a panel */

/* ---- inside a panel ------------------------------------------------------------------------------------------- */

/* Output rows of panel p: 16, fewer in the last. */
static inline uint32_t panel_rows(const struct panels *w, uint32_t p)
{
    uint32_t left = w->rows - p * PANEL_ROWS;
    return left < PANEL_ROWS ? left : PANEL_ROWS;
}

static inline uint32_t act_blocks(const struct acts *a)
{
    return (a->cols + BLOCK - 1) / BLOCK;
}

/* Index of (row, block) in scale, sums and sum; times BLOCK in q. */
static inline size_t act_at(const struct acts *a, uint32_t row, uint32_t block)
{
    return ((size_t)(row / a->tile) * act_blocks(a) + block) * a->tile + row % a->tile;
}

/* What follows from the sums of a block's two halves. */
static inline void act_sums(struct acts *a, size_t at, const int *sum)
{
    a->sums[at] = a->scale[at] * (float)(sum[0] + sum[1]);
    a->minus8[at] = -8 * (sum[0] + sum[1]);
    a->minus32[2 * at] = -32 * sum[0];
    a->minus32[2 * at + 1] = -32 * sum[1];
}

#define ACT_TINY_BITS 0x0d800000u /* 2^-100: blocks whose largest |x| is below count as zeros */
#define INF_BITS 0x7f800000u
#define NAN_BITS 0x7fc00000u

/* ---- exp and gelu --------------------------------------------------------------------------------------------- */

/* exp(x) = 2^n * e^r with n = round(x / ln 2), r = x - n ln 2. ln 2 is the sum of EXP_LN2_HI, whose low bits are
 * zeros so that n times it is exact, and EXP_LN2_LO. e^r = 1 + (r + r^2 (C0 + C1 r + ...)): minimax on |r| <= ln 2 / 2,
 * fitted for these rounded coefficients, relative error 3.2e-9. Outside LOW..HIGH the result is 0 or infinity anyway,
 * and 2^n is applied as two factors so that results below 2^-126 round once, like any other. */
#define EXP_LOW (-104.0f)
#define EXP_HIGH 89.0f
#define EXP_LOG2E 0x1.715476p+0f
#define EXP_ROUND 0x1.8p23f /* adding and taking it away rounds to a whole number */
#define EXP_LN2_HI 0x1.62e4p-1f
#define EXP_LN2_LO 0x1.7f7d1cp-20f
#define EXP_C0 0x1.fffffcp-2f
#define EXP_C1 0x1.555492p-3f
#define EXP_C2 0x1.5558b4p-5f
#define EXP_C3 0x1.1239ap-7f
#define EXP_C4 0x1.6a495cp-10f

/* (1 + tanh(u)) / 2 = 1 / (1 + exp(-2u)), so gelu needs no tanh: x / (1 + exp(x (A + B x^2))) with
 * A = -2 sqrt(2/pi), B = A * 0.044715. This way small results at negative x keep their digits. */
#define GELU_A (-0x1.988454p+0f)
#define GELU_B (-0x1.2444f2p-4f)

/* a * 2^r for |r| <= 1/2, relative error 2.9e-6: the weights of the picture encoder's attention, which are rounded to 13
 * bits anyway. At r = 0 it is a. */
#define SHORT_POWER(a) {(a), (a) * 0x1.62e12cp-1f, (a) * 0x1.ec0378p-3f, (a) * 0x1.c9fc48p-5f, (a) * 0x1.3a02ccp-7f}

/* ---- for the vector files ------------------------------------------------------------------------------------- */

/* EACH is for loops whose vectors must end up in registers, and like INLINE means nothing under sanitizers. */
#if SANITIZED
#define EACH(i, n) for (int i = 0; i < (n); i++)
#else
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed" /* what is too long to be taken apart stays a loop */
#define EACH(i, n) _Pragma("clang loop unroll(full)") for (int i = 0; i < (n); i++)
#else
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)
#endif
#endif

/* ---- the instruction sets ------------------------------------------------------------------------------------- */

/* That this CPU has AVX-VNNI, and the compiler knew it. */
static inline bool kernels_avx_vnni(void)
{
#ifdef NO_AVXVNNI
    return false;
#else
    return cpu_has_avx_vnni();
#endif
}

/* Fills in every operation: plain C, any CPU. */
void kernels_use_ref(struct kernels *k);
void kernels_use_ref_vision(struct kernels *k); /* the picture encoder's; called by the one above */
/* Each lays what it does better over a complete table; call only where the CPU has it. */
void kernels_use_avx2(struct kernels *k);
void kernels_use_avxvnni(struct kernels *k);
void kernels_use_avxvnni_evex(struct kernels *k);
void kernels_use_avx512(struct kernels *k);
void kernels_use_neon(struct kernels *k);
void kernels_use_neon_dot(struct kernels *k);
void kernels_use_neon_i8mm(struct kernels *k);
