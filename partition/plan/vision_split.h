/* partition/plan/vision_split.h — the picture encoder over the workers.
 *
 * Either its layers are split over them, a picture going from one to the next; or several workers hold all of it, and
 * pictures go to them in turn. The split needs the least memory. Copies have no slowest stage and send no rows from worker
 * to worker, and are taken where they are faster by COPIES_GAIN and at least two workers have room. A worker that did not
 * say how much memory it has, or shares its machine with another, has no room for a copy unless told by hand.
 *
 * The way from pixels to rows goes with the first layer, the projector with the last. */
#pragma once

#include "partition/plan/plan.h"

#define COPIES_GAIN 1.05
#define COPY_IN_FLIGHT 2 /* pictures at a worker with a copy: one is computed, one is on its way */

struct vision_job {
    const struct vision_model *model;
    enum vision_type as;
    const struct worker_offer *offers; /* [workers] */
    const struct holding *text;        /* [workers]: their text, which counts the program itself */
    int workers;
    int first; /* those before see nothing, unless told by hand */
};

struct vision_holding { /* one worker's part of the encoder; empty: it sees nothing */
    struct part part;
    struct part_bytes bytes;
    double expected; /* seconds for a picture */
};

struct vision_split {
    bool copies;
    int used;           /* workers with layers */
    uint32_t pictures;  /* in flight at one of them, at most: used + 1, or COPY_IN_FLIGHT */
    struct vision_holding *of;   /* [workers] */
    char why[160];
};

/* As wished. E_MEMORY names the missing bytes; E_USAGE for a split by hand that is not all of the encoder. Close in any
 * case. */
int vision_split_open(struct vision_split *out, const struct vision_job *job, const struct vision_wish *wish, struct err *why);
void vision_split_close(struct vision_split *v);

double vision_split_slowest(const struct vision_split *v, int workers); /* seconds of the stage that takes longest */
