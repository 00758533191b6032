/* partition/vision_plan.h — who gets which layers of the picture encoder. Numbers in, numbers out, as plan.h.
 *
 * The encoder is cut for itself, on top of what the text plan already gave each worker: both pipelines are balanced alone,
 * so any mixture of pictures and text is. A worker may get no layer of it. The way from pixels to rows goes with the
 * first layer, the projector with the last. */
#ifndef PARTITION_VISION_PLAN_H
#define PARTITION_VISION_PLAN_H

#include "partition/plan.h"
#include "partition/vision_memory.h"

struct vision_stage_plan {
    bool used;
    struct vision_share share;
    struct vision_bytes bytes;
    int next; /* worker (from 0) that gets the picture after this one; -1: the coordinator */
};

struct vision_plan {
    int workers, first; /* first: worker that gets the pixels */
    int used;           /* workers with layers */
    struct vision_stage_plan stage[MAX_STAGES];
    enum vision_type as;
    uint32_t in_flight; /* pictures: used + 1 */
};

/* `text`: what the workers hold already; NULL: nothing. Layers go to the workers by speed and threads, no one over its
 * memory; E_MEMORY names the missing bytes. */
int vision_plan_solve(struct vision_plan *out, const struct vision_model *m, enum vision_type as, const struct plan *text,
                      const struct worker_offer *offers, int workers, struct err *why);

/* layers[i] layers of the encoder for worker i, 0 for none; the sum must be all. */
int vision_plan_by_hand(struct vision_plan *out, const struct vision_model *m, enum vision_type as, const struct plan *text,
                        const struct worker_offer *offers, const uint32_t *layers, int workers, struct err *why);

void vision_plan_print(FILE *to, const struct vision_plan *p, const struct worker_offer *offers);

#endif
