/* worker/kernels/dispatch.c — which table this CPU gets.
 *
 * A complete table first, then overlays: each line replaces what it does better. The choice is made once, when the
 * program starts, so one binary serves every node of a mixed cluster, and all give the same bits. */
#include "worker/kernels/inside.h"

#include "base/cpu.h"

#include <stdlib.h>
#include <string.h>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* An instruction set this build has code for. */
struct isa {
    const char *name, *needs;
    bool (*runs)(void);
    void (*use)(struct kernels *k);
};

static bool runs_anywhere(void)
{
    return true;
}

#if defined(__aarch64__)
static bool runs_neon_dot(void)
{
    return getauxval(AT_HWCAP) & (1 << 20); /* ASIMDDP: the four-byte dot product */
}

static bool runs_neon_i8mm(void)
{
    return runs_neon_dot() && getauxval(AT_HWCAP2) & (1 << 13); /* I8MM: matrix products of bytes */
}
#endif

#if defined(__x86_64__)
static bool runs_avxvnni(void)
{
    return kernels_avx_vnni() || cpu_has_avx512_vnni();
}

/* The same kernels in the encoding that this CPU has. */
static void use_avxvnni(struct kernels *k)
{
    kernels_use_avxvnni_evex(k);
#ifndef NO_AVXVNNI
    if (kernels_avx_vnni()) kernels_use_avxvnni(k);
#endif
}
#endif

/* From plain to best. */
static const struct isa isas[] = {
    {"ref", "nothing", runs_anywhere, kernels_use_ref},
#if defined(__x86_64__)
    {"avx2", "AVX2, FMA and F16C", cpu_has_avx2, kernels_use_avx2},
    {"avxvnni", "AVX-VNNI, or what avx512 needs", runs_avxvnni, use_avxvnni},
    {"avx512", "AVX-512 F, BW, VL, DQ and VNNI", cpu_has_avx512_vnni, kernels_use_avx512},
#endif
#if defined(__aarch64__)
    {"neon", "nothing that a 64-bit ARM has not", runs_anywhere, kernels_use_neon},
    {"neondot", "the dot product instructions of ARMv8.2", runs_neon_dot, kernels_use_neon_dot},
    {"i8mm", "the matrix products of bytes of ARMv8.6", runs_neon_i8mm, kernels_use_neon_i8mm},
#endif
};
#define ISAS ((int)(sizeof isas / sizeof *isas))

static void overlay(struct kernels *out, int upto)
{
    for (int i = 0; i <= upto; i++)
        if (isas[i].runs()) isas[i].use(out);
}

int kernels_named(struct kernels *out, const char *isa, struct err *why)
{
    if (!isa) return overlay(out, ISAS - 1), 0;
    for (int i = 0; i < ISAS; i++) {
        if (strcmp(isas[i].name, isa)) continue;
        if (!isas[i].runs())
            return fail(why, E_USAGE, "this CPU cannot run the %s kernels: they need %s", isa, isas[i].needs);
        return overlay(out, i), 0;
    }
    return fail(why, E_USAGE, "there are no kernels named \"%s\" in this build: it has %s", isa,
#if defined(__x86_64__)
                "ref, avx2, avxvnni and avx512"
#elif defined(__aarch64__)
                "ref, neon, neondot and i8mm"
#else
                "ref"
#endif
    );
}

int kernels_choose(struct kernels *out, struct err *why)
{
    const char *forced = getenv("GEMMAPIPE_ISA");
    return kernels_named(out, forced && *forced ? forced : NULL, why);
}
