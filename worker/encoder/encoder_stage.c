/* worker/encoder/encoder_stage.c — see encoder_stage.h. A picture's rows are computed from the frame they came in into the one
 * they leave in. */
#include "worker/encoder/encoder_stage.h"

#include "base/limits.h"

#include <stdlib.h>

static int check(const struct encoder_stage *s, const struct assignment *a, uint16_t nodes, struct err *why)
{
    const struct part *v = &s->part;
    TRY(vision_config_check(&s->config, "the assignment", why));
    if (v->first >= v->end || v->end > s->config.layers || v->front != (v->first == 0) || part_has_back(*v) != (v->end == s->config.layers))
        return fail(why, E_WIRE, "the assignment says layers %u to %u of the encoder's %u", v->first, v->end, s->config.layers);
    if (part_has_back(*v) && (v->back != 0 || v->back_end != 1))
        return fail(why, E_WIRE, "the assignment says parts %u to %u of the encoder's projector, which has one", v->back, v->back_end);
    if (a->vision_as > VISION_FLOAT32 || (a->vision_as == VISION_FLOAT32) != (a->capacity.mode.math == MATH_FLOAT32))
        return fail(why, E_WIRE, "the assignment keeps the encoder's matrices in way %u", a->vision_as);
    if (!s->in_flight || s->in_flight > IN_FLIGHT_MOST) return fail(why, E_WIRE, "the assignment has %u pictures in flight", s->in_flight);
    if (s->next >= nodes || part_has_back(*v) != (s->next == 0))
        return fail(why, E_WIRE, "the assignment sends pictures to node %d of %u", s->next, nodes);
    return 0;
}

int encoder_assign(struct encoder_stage *s, const struct assignment *a, uint16_t nodes, int threads, struct err *why)
{
    const struct chain_assignment *of = &a->of[CHAIN_VISION];
    *s = (struct encoder_stage){.config = a->vision, .part = of->part, .as = (enum vision_type)a->vision_as,
                                .in_flight = a->pictures_in_flight, .next = of->next, .threads = threads};
    TRY(check(s, a, nodes, why));
    s->count = (uint32_t)part_count(CHAIN_VISION, s->part);
    if (of->n_types != s->count)
        return fail(why, E_WIRE, "the assignment lists %u tensors of the encoder, its layers have %u", of->n_types, s->count);
    s->tensors = calloc(s->count, sizeof *s->tensors);
    if (!s->tensors) return fail(why, E_MEMORY, "no memory to list %u tensors", s->count);
    vision_part_shape(&s->config, s->part, s->tensors);
    for (uint32_t i = 0; i < s->count; i++) s->tensors[i].type = of->types[i];
    assigned_hashes(of, s->tensors);
    TRY(vision_part_check(&s->config, s->part, s->tensors, why));
    s->bytes = vision_part_bytes(&s->config, s->part, s->tensors, s->as, s->in_flight, threads);
    return 0;
}

int encoder_open(struct encoder_stage *s, const struct kernels *k, const struct part_weights *weights, struct err *why)
{
    struct vision_plan_in in = {.config = s->config, .part = s->part, .tensors = s->tensors, .type = s->as, .threads = s->threads,
                                .weights = weights};
    return vision_stage_open(&s->stage, &in, k, why);
}

void encoder_close(struct encoder_stage *s)
{
    vision_stage_close(&s->stage);
    frame_free(s->in);
    frame_free(s->out);
    free(s->tensors);
    *s = (struct encoder_stage){0};
}

uint64_t encoder_largest(const struct encoder_stage *s)
{
    if (!s->count) return 0;
    uint64_t in = vision_floats_in(&s->config, s->part), out = vision_floats_out(&s->config, s->part);
    return picture_values_bytes(in > out ? in : out);
}

static int begin(struct encoder_stage *s, struct frame *picture, struct err *why)
{
    struct picture_values m;
    TRY(picture_values_read(&m, picture, why));
    const struct vision_config *c = &s->config;
    uint32_t cols = s->part.front ? vision_pixels(c) : c->width;
    if (!s->stage || m.rows != vision_patches(c) || m.cols != cols)
        return fail(why, E_WIRE, "picture %llu came as %u rows of %u values; this worker takes %u of %u", (unsigned long long)m.picture,
                    m.rows, m.cols, s->stage ? vision_patches(c) : 0, cols);
    struct picture_values reply = {.picture = m.picture, .rows = part_has_back(s->part) ? vision_tokens(c) : m.rows,
                        .cols = part_has_back(s->part) ? c->hidden : c->width};
    TRY(picture_values_write(&s->out, part_has_back(s->part) ? M_PICTURE_ROWS : M_PICTURE, &reply, why));
    s->picture = m.picture;
    s->from = (const float *)(void *)m.values;
    s->to = (float *)(void *)reply.values;
    s->in = picture;
    return 0;
}

int encoder_begin(struct encoder_stage *s, struct frame *picture, struct err *why)
{
    const int code = begin(s, picture, why);
    if (code) frame_free(picture); /* and nothing was begun */
    return code;
}

int encoder_step(struct encoder_stage *s, struct frame **out, struct err *why)
{
    bool done;
    *out = 0;
    TRY(vision_stage_step(s->stage, s->from, s->to, &done, why));
    if (!done) return 0;
    frame_free(s->in);
    *out = s->out;
    s->in = s->out = 0;
    return 0;
}
