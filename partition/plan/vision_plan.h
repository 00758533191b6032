/* partition/plan/vision_plan.h — who gets what of the picture encoder. Numbers in, numbers out, as plan.h.
 *
 * Either its layers are split over the workers, a picture going from one to the next; or several workers hold all of it,
 * and pictures go to them in turn. The split needs the least memory. Copies have no slowest stage and send no rows from
 * worker to worker, and are taken where they are faster by COPIES_GAIN and at least two workers have room. A worker that
 * did not say how much memory it has, or shares its machine with another, has no room for a copy unless told by hand.
 *
 * The encoder is planned for itself, on top of what the text plan already gave each worker: both pipelines are balanced
 * alone, so any mixture of pictures and text is. A worker may get none of it, or nothing else (--vision-workers). The way
 * from pixels to rows goes with the first layer, the projector with the last. */
#ifndef PARTITION_PLAN_VISION_PLAN_H
#define PARTITION_PLAN_VISION_PLAN_H

#include "partition/plan/plan.h"
#include "partition/model/vision_memory.h"

#define COPIES_GAIN 1.05
#define COPY_IN_FLIGHT 2 /* pictures at a worker with a copy: one is computed, one is on its way */

/* What is asked for: --vision-split. */
enum vision_how { VISION_CHOOSE, VISION_LAYERS, VISION_COPIES, VISION_BY_HAND };
struct vision_wish {
    enum vision_how how;
    int workers;                 /* by hand: so many are named */
    uint32_t layers[MAX_STAGES]; /* by hand: of each worker; 0 none */
    bool all[MAX_STAGES];        /* by hand: this worker has a copy */
    int apart;                   /* unless by hand: only the last so many workers see, and they have no text */
};

/* "layers", "copies", "9,9,0,9" or "all,0,all"; NULL chooses. E_USAGE. */
int vision_wish_read(struct vision_wish *out, const char *text, struct err *why);

struct vision_stage_plan {
    bool used;
    struct part share;
    struct part_bytes bytes;
    int next;        /* worker (from 0) that gets the picture after this one; -1: the coordinator */
    double expected; /* seconds for a picture, by vision_cost.h and the worker's speed and threads */
};

struct vision_plan {
    int workers;
    int used;    /* workers with layers */
    bool copies; /* each of them with all, and pictures in turn */
    struct vision_stage_plan stage[MAX_STAGES];
    enum vision_type as;
    uint32_t in_flight; /* pictures at one worker, at most: used + 1, or COPY_IN_FLIGHT */
    char why[160];      /* what decided between split and copies */
};

/* `text`: what the workers hold already; NULL: nothing. Layers go to the workers by speed and threads, no one over its
 * memory; E_MEMORY names the missing bytes. By hand: the layers must be all, or whole copies; E_USAGE. */
int vision_plan_make(struct vision_plan *out, const struct vision_model *m, enum vision_type as, const struct plan *text,
                     const struct worker_offer *offers, int workers, const struct vision_wish *wish, struct err *why);

/* Seconds by the nominal speeds: of a picture that is alone, and pictures a second when there are many. */
double vision_plan_alone(const struct vision_plan *p);
double vision_plan_rate(const struct vision_plan *p);

void vision_plan_print(FILE *to, const struct vision_plan *p, const struct worker_offer *offers);
/* As a value of a JSON object. */
void vision_plan_write_json(FILE *to, const struct vision_plan *p, const struct worker_offer *offers, const char *file,
                            struct hash128 fingerprint);

#endif
