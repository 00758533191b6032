/* base/cpu.h — what this CPU, and the system under it, can run. For x86-64; elsewhere the answers are no. */
#pragma once

#include <stdbool.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* AVX2, FMA and F16C. The builtins also ask whether the system saves the wide registers; not every compiler's know F16C by
 * name, and there is no CPU that has it without the others' registers. */
static inline bool cpu_has_avx2(void)
{
    unsigned a, b, c, d;
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

/* AVX-VNNI, which Intel's CPUs without AVX-512 have. By number: not every compiler knows its name. */
static inline bool cpu_has_avx_vnni(void)
{
    unsigned a, b, c, d;
    return cpu_has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}

/* AVX-512 F, BW, VL, DQ and VNNI. */
static inline bool cpu_has_avx512_vnni(void)
{
    return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

#else

static inline bool cpu_has_avx2(void)
{
    return false;
}

static inline bool cpu_has_avx_vnni(void)
{
    return false;
}

static inline bool cpu_has_avx512_vnni(void)
{
    return false;
}

#endif
