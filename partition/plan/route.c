/* partition/plan/route.c — see route.h. */
#include "partition/plan/route.h"

#include <stdlib.h>

int route_after(const struct route *r, int worker)
{
    for (int i = 0; i + 1 < r->n; i++)
        if (r->worker[i] == worker) return r->worker[i + 1];
    return -1;
}

/* From the worker that has the patches on; each stage knows who comes after it. */
static void follow(struct route *r, const struct vision_plan *v, int worker)
{
    for (r->n = 0; worker >= 0 && r->n < STAGES_MOST; worker = v->stage[worker].next) r->worker[r->n++] = (uint16_t)worker;
}

int routes_of(struct routes *out, const struct plan *text, const struct vision_plan *vision, struct err *why)
{
    *out = (struct routes){0};
    for (int i = 0; text && i < text->stages; i++) out->text.worker[out->text.n++] = (uint16_t)i;
    if (!vision) return 0;
    out->see = calloc((size_t)vision->workers + 1, sizeof *out->see);
    if (!out->see) return fail(why, E_MEMORY, "no memory for the routes of pictures");
    for (int i = 0; i < vision->workers; i++)
        if (vision->stage[i].used && vision->stage[i].share.front) follow(&out->see[out->n_see++], vision, i);
    return 0;
}

void routes_free(struct routes *r)
{
    free(r->see);
    *r = (struct routes){0};
}
