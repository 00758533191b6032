/* worker/encoder/encoder_stage.h — a worker's part of the picture encoder, from its assignment to pictures going through it. */
#ifndef WORKER_ENCODER_ENCODER_STAGE_H
#define WORKER_ENCODER_ENCODER_STAGE_H

#include "transport/wire/wire.h"
#include "worker/encoder/vision.h"

struct see_part {
    struct vision_config config;
    struct part share;
    struct tensor *tensors; /* of the share; data set only while the file is mapped */
    uint32_t count;
    enum vision_type as;
    uint32_t in_flight;
    int next; /* node the picture goes to */
    int threads;
    struct part_bytes bytes; /* as planned */
    struct vision_stage *stage;
    char path[1024];
    uint64_t fingerprint[2];
    /* the picture under way */
    struct frame *in, *out; /* NULL: none */
    uint64_t picture;
    const float *from;
    float *to;
};

/* Checks what came from the wire and counts the bytes; takes no memory yet. E_WIRE. */
int see_assign(struct see_part *s, const struct assign_vision *a, uint16_t nodes, int threads, struct err *why);
int see_open(struct see_part *s, const struct kernels *k, struct err *why);
void see_close(struct see_part *s); /* {0} is fine */

/* One picture: see_begin takes an M_SEE (owns it from now on), see_step computes a layer of it. After the last one *out
 * is the frame for the next stage, or M_SEEN for the coordinator; before, NULL. */
int see_begin(struct see_part *s, struct frame *picture, struct err *why);
int see_step(struct see_part *s, struct frame **out, struct err *why);
static inline bool see_busy(const struct see_part *s)
{
    return s->in != 0;
}

/* The largest body that comes or goes. */
uint64_t see_largest(const struct see_part *s);

#endif
