/* worker/kernels/dispatch.c — which table this CPU gets.
 *
 * A complete table first, then overlays: each line replaces what it does better. The choice is made once, when the
 * program starts, so one binary serves every node of a mixed cluster, and all give the same bits. */
#include "worker/kernels/inside.h"

#include <stdlib.h>
#include <string.h>

/* An instruction set: NULL where this build has no code for it. */
struct isa {
    const char *name, *needs;
    bool (*runs)(void);
    void (*use)(struct kernels *k);
};

static bool runs_anywhere(void)
{
    return true;
}

/* From plain to best. */
static const struct isa isas[] = {
    {"ref", "nothing", runs_anywhere, kernels_use_ref},
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
    return fail(why, E_USAGE, "there are no kernels named \"%s\" in this build: it has ref", isa);
}

int kernels_choose(struct kernels *out, struct err *why)
{
    const char *forced = getenv("GEMMAPIPE_ISA");
    return kernels_named(out, forced && *forced ? forced : NULL, why);
}
