/* worker/kernels/peak.c — see peak.h.
 *
 * In assembly, so that a compiler can neither leave a product out nor copy sums from register to register. AVX2 has no
 * byte product that adds into an int; its kernels add pairs of shorts for as long as 4-bit weights allow, and those two
 * instructions are what is counted here. */
#include "worker/kernels/peak.h"

#include "worker/kernels/inside.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define CHAINS 12 /* four cycles of latency, up to three instructions a cycle */

/* Sums s0..s11 that begin as zeros, and STEP(n) once for each of them per turn; in STEP operand %n is the sum, %12 a
 * zero vector to multiply. CLASS is the letter of a vector register. */
#define CHAIN_LOOP(T, ZERO, CLASS, STEP)                                                                               \
    T z = ZERO, s0 = z, s1 = z, s2 = z, s3 = z, s4 = z, s5 = z, s6 = z, s7 = z, s8 = z, s9 = z, s10 = z, s11 = z;      \
    while (turns--)                                                                                                    \
        __asm__ volatile(STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5)                                               \
                         STEP(6) STEP(7) STEP(8) STEP(9) STEP(10) STEP(11)                                             \
                         : "+" CLASS(s0), "+" CLASS(s1), "+" CLASS(s2), "+" CLASS(s3), "+" CLASS(s4), "+" CLASS(s5),   \
                           "+" CLASS(s6), "+" CLASS(s7), "+" CLASS(s8), "+" CLASS(s9), "+" CLASS(s10), "+" CLASS(s11)  \
                         : CLASS(z) SCRATCH)

/* ---- plain C ---- */

static volatile int32_t kept_int;
static volatile float kept_float;

static void ref_int8(uint64_t turns)
{
    int32_t s = 0;
    for (uint64_t t = 0; t < turns; t++) {
        int8_t a = (int8_t)t, b = (int8_t)(t >> 8);
        s += a * b;
    }
    kept_int = s;
}

static void ref_f32(uint64_t turns)
{
    float s[CHAINS] = {0}, a = kept_float;
    while (turns--)
        for (int i = 0; i < CHAINS; i++) s[i] = fmaf(a, a, s[i]);
    for (int i = 0; i < CHAINS; i++) kept_float = s[i] * 0;
}

#if defined(__x86_64__)

/* ---- AVX2 ---- */

#define SCRATCH : "xmm15"
#define STEP(n) "vpmaddubsw %12, %12, %%ymm15\n\tvpaddw %%ymm15, %" #n ", %" #n "\n\t"
__attribute__((target("avx2"))) static void avx2_int8(uint64_t turns)
{
    CHAIN_LOOP(__m256i, _mm256_setzero_si256(), "x", STEP);
}
#undef STEP
#undef SCRATCH

#define SCRATCH
#define STEP(n) "vfmadd231ps %12, %12, %" #n "\n\t"
__attribute__((target("avx2,fma"))) static void avx2_f32(uint64_t turns)
{
    CHAIN_LOOP(__m256, _mm256_setzero_ps(), "x", STEP);
}

/* ---- AVX-512 ---- */

__attribute__((target("avx512f"))) static void avx512_f32(uint64_t turns)
{
    CHAIN_LOOP(__m512, _mm512_setzero_ps(), "v", STEP);
}
#undef STEP

#define STEP(n) "vpdpbusd %12, %12, %" #n "\n\t"
__attribute__((target("avx512f,avx512vnni"))) static void avx512_int8(uint64_t turns)
{
    CHAIN_LOOP(__m512i, _mm512_setzero_si512(), "v", STEP);
}

__attribute__((target("avx512f,avx512vl,avx512vnni"))) static void avxvnni_evex_int8(uint64_t turns)
{
    CHAIN_LOOP(__m256i, _mm256_setzero_si256(), "x", STEP);
}
#undef STEP

/* ---- AVX-VNNI ---- */

#ifdef NO_AVXVNNI
#define avxvnni_int8 avxvnni_evex_int8
#else
#define STEP(n) "%{vex%} vpdpbusd %12, %12, %" #n "\n\t"
__attribute__((target("avx2"))) static void avxvnni_int8(uint64_t turns)
{
    CHAIN_LOOP(__m256i, _mm256_setzero_si256(), "x", STEP);
}
#undef STEP
#endif

#elif defined(__aarch64__)

/* ---- NEON ---- */

#define SCRATCH
#define STEP(n) "sdot %" #n ".4s, %12.16b, %12.16b\n\t"
__attribute__((target("arch=armv8.2-a+dotprod"))) static void neon_dot_int8(uint64_t turns)
{
    CHAIN_LOOP(int32x4_t, vdupq_n_s32(0), "w", STEP);
}
#undef STEP

#define STEP(n) "smmla %" #n ".4s, %12.16b, %12.16b\n\t"
__attribute__((target("arch=armv8.2-a+dotprod+i8mm"))) static void neon_i8mm_int8(uint64_t turns)
{
    CHAIN_LOOP(int32x4_t, vdupq_n_s32(0), "w", STEP);
}
#undef STEP

#define STEP(n) "smlal %" #n ".8h, %12.8b, %12.8b\n\t"
static void neon_int8(uint64_t turns)
{
    CHAIN_LOOP(int32x4_t, vdupq_n_s32(0), "w", STEP);
}
#undef STEP

#define STEP(n) "fmla %" #n ".4s, %12.4s, %12.4s\n\t"
static void neon_f32(uint64_t turns)
{
    CHAIN_LOOP(float32x4_t, vdupq_n_f32(0), "w", STEP);
}
#undef STEP

#endif

struct peak kernels_peak(const char *isa)
{
#if defined(__x86_64__)
    if (!strcmp(isa, "avx512")) return (struct peak){avx512_int8, avx512_f32, CHAINS * 64, CHAINS * 16};
    if (!strcmp(isa, "avxvnni"))
        return (struct peak){kernels_avx_vnni() ? avxvnni_int8 : avxvnni_evex_int8, avx2_f32, CHAINS * 32, CHAINS * 8};
    if (!strcmp(isa, "avx2")) return (struct peak){avx2_int8, avx2_f32, CHAINS * 32, CHAINS * 8};
#elif defined(__aarch64__)
    if (!strcmp(isa, "i8mm")) return (struct peak){neon_i8mm_int8, neon_f32, CHAINS * 32, CHAINS * 4};
    if (!strcmp(isa, "neondot")) return (struct peak){neon_dot_int8, neon_f32, CHAINS * 16, CHAINS * 4};
    if (!strcmp(isa, "neon")) return (struct peak){neon_int8, neon_f32, CHAINS * 8, CHAINS * 4};
#endif
    (void)isa;
    return (struct peak){ref_int8, ref_f32, 1, CHAINS};
}
