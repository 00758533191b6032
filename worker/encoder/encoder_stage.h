/* worker/encoder/encoder_stage.h — a worker's part of the picture encoder, from its assignment to pictures going through it. */
#pragma once

#include "worker/assign.h"
#include "worker/encoder/vision.h"

struct encoder_stage {
    struct vision_config config;
    struct part part;
    struct tensor *tensors; /* of the part; data set only while the file is mapped */
    uint32_t count;
    enum vision_type as;
    uint32_t in_flight;
    int next; /* node the picture goes to */
    int threads;
    struct part_bytes bytes; /* as planned */
    struct vision_stage *stage;
    /* the picture under way */
    struct frame *in, *out; /* NULL: none */
    uint64_t picture;
    const float *from;
    float *to;
};

/* Checks what came from the wire and counts the bytes; takes no memory yet. E_WIRE. */
int encoder_assign(struct encoder_stage *s, const struct assignment *a, uint16_t nodes, int threads, struct err *why);
/* The weights must outlive it. */
int encoder_open(struct encoder_stage *s, const struct kernels *k, const struct part_weights *weights, struct err *why);
void encoder_close(struct encoder_stage *s); /* {0} is fine */

/* One picture: encoder_begin takes an M_PICTURE (owns it from now on; on failure nothing was begun), encoder_step computes a layer of it.
 * After the last one *out is the frame for the next stage, or M_PICTURE_ROWS for the coordinator; before, NULL. */
int encoder_begin(struct encoder_stage *s, struct frame *picture, struct err *why);
int encoder_step(struct encoder_stage *s, struct frame **out, struct err *why);
static inline bool encoder_busy(const struct encoder_stage *s)
{
    return s->in != 0;
}

/* The largest body that comes or goes. */
uint64_t encoder_largest(const struct encoder_stage *s);
