/* worker/encoder/encoder_stage.c — see see.h. The rows of a picture are computed from the frame they came in into the one they leave in. */
#include "worker/encoder/encoder_stage.h"

#include <stdlib.h>
#include <string.h>

static struct vision_config config_of(const struct wire_vision *w)
{
    return (struct vision_config){
        .image = w->image, .patch = w->patch, .layers = w->layers, .width = w->width, .ffn = w->ffn, .heads = w->heads,
        .pool = w->pool, .hidden = w->hidden, .norm_epsilon = w->norm_epsilon,
        .mean = {0.5f, 0.5f, 0.5f}, .deviation = {0.5f, 0.5f, 0.5f}, /* pixels are prepared by the coordinator */
    };
}

static int check(const struct see_part *s, const struct assign_vision *a, uint16_t nodes, struct err *why)
{
    const struct part *v = &s->share;
    TRY(vision_config_check(&s->config, "the assignment", why));
    if (v->first >= v->end || v->end > s->config.layers || v->front != (v->first == 0) || part_has_back(*v) != (v->end == s->config.layers))
        return fail(why, E_WIRE, "the assignment says layers %u to %u of the encoder's %u", v->first, v->end, s->config.layers);
    if (a->as != VISION_AS_FILE && a->as != VISION_Q8_0) return fail(why, E_WIRE, "the assignment keeps the encoder's matrices in way %u", a->as);
    if (!a->in_flight || a->in_flight > IN_FLIGHT_MOST) return fail(why, E_WIRE, "the assignment has %u pictures in flight", a->in_flight);
    if (a->next >= nodes || part_has_back(*v) != (a->next == 0))
        return fail(why, E_WIRE, "the assignment sends pictures to node %u of %u", a->next, nodes);
    return 0;
}

int see_assign(struct see_part *s, const struct assign_vision *a, uint16_t nodes, int threads, struct err *why)
{
    *s = (struct see_part){
        .config = config_of(&a->config), .share = {a->first, a->end, 0, a->projector, a->patches}, .as = (enum vision_type)a->as,
        .in_flight = a->in_flight, .next = a->next, .threads = threads, .fingerprint = {a->fingerprint[0], a->fingerprint[1]},
    };
    memcpy(s->path, a->path, sizeof s->path);
    TRY(check(s, a, nodes, why));
    s->count = (uint32_t)part_count(CHAIN_VISION, s->share);
    if (a->n_types != s->count)
        return fail(why, E_WIRE, "the assignment lists %u tensors of the encoder, its layers have %u", a->n_types, s->count);
    s->tensors = calloc(s->count, sizeof *s->tensors);
    if (!s->tensors) return fail(why, E_MEMORY, "no memory to list %u tensors", s->count);
    vision_part_shape(&s->config, s->share, s->tensors);
    for (uint32_t i = 0; i < s->count; i++) s->tensors[i].type = a->types[i];
    TRY(vision_part_check(&s->config, s->share, s->tensors, why));
    s->bytes = vision_part_bytes(&s->config, s->share, s->tensors, s->as, s->in_flight, threads);
    return 0;
}

int see_open(struct see_part *s, const struct kernels *k, struct err *why)
{
    struct vision_plan_in in = {.config = s->config, .share = s->share, .tensors = s->tensors, .type = s->as, .threads = s->threads};
    return vision_stage_open(&s->stage, &in, k, why);
}

void see_close(struct see_part *s)
{
    vision_stage_close(&s->stage);
    frame_free(s->in);
    frame_free(s->out);
    free(s->tensors);
    *s = (struct see_part){0};
}

uint64_t see_largest(const struct see_part *s)
{
    if (!s->count) return 0;
    uint64_t in = vision_floats_in(&s->config, s->share), out = vision_floats_out(&s->config, s->share);
    return see_bytes(in > out ? in : out);
}

int see_begin(struct see_part *s, struct frame *picture, struct err *why)
{
    struct see m;
    s->in = picture;
    TRY(see_read(&m, picture, why));
    const struct vision_config *c = &s->config;
    uint32_t cols = s->share.front ? vision_pixels(c) : c->width;
    if (!s->stage || m.rows != vision_patches(c) || m.cols != cols)
        return fail(why, E_WIRE, "picture %llu came as %u rows of %u values; this worker takes %u of %u", (unsigned long long)m.picture, m.rows,
                    m.cols, s->stage ? vision_patches(c) : 0, cols);
    struct see reply = {.picture = m.picture, .rows = part_has_back(s->share) ? vision_tokens(c) : m.rows,
                        .cols = part_has_back(s->share) ? c->hidden : c->width};
    TRY(see_write(&s->out, part_has_back(s->share) ? M_SEEN : M_SEE, &reply, why));
    s->picture = m.picture;
    s->from = (const float *)(void *)m.values;
    s->to = (float *)(void *)reply.values;
    return 0;
}

int see_step(struct see_part *s, struct frame **out, struct err *why)
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
