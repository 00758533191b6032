/* worker/assign.c — see assign.h. */
#include "worker/assign.h"

#include "base/little_endian.h"
#include "transport/wire/cursor.h"

static void walk_text_config(struct cursor *c, struct model_config *m)
{
    walk_u32(c, &m->layers);
    walk_u32(c, &m->hidden);
    walk_u32(c, &m->ffn);
    walk_u32(c, &m->heads);
    walk_u32(c, &m->kv_heads);
    walk_u32(c, &m->head_dim);
    walk_u32(c, &m->window);
    walk_u32(c, &m->pattern);
    walk_u32(c, &m->context);
    walk_u32(c, &m->vocab);
    walk_f32(c, &m->rope_base_global);
    walk_f32(c, &m->rope_base_local);
    walk_f32(c, &m->rope_factor);
    walk_f32(c, &m->norm_epsilon);
    walk_f32(c, &m->attention_scale);
}

static void walk_vision_config(struct cursor *c, struct vision_config *m)
{
    walk_u32(c, &m->image);
    walk_u32(c, &m->patch);
    walk_u32(c, &m->layers);
    walk_u32(c, &m->width);
    walk_u32(c, &m->ffn);
    walk_u32(c, &m->heads);
    walk_u32(c, &m->pool);
    walk_u32(c, &m->hidden);
    walk_f32(c, &m->norm_epsilon);
    /* The coordinator prepares the pixels; what it takes from them is not sent, and must only make sense here. */
    for (int i = 0; i < 3 && c->direction == CURSOR_READ; i++) m->mean[i] = m->deviation[i] = 0.5f;
}

static void walk_hashes(struct cursor *c, struct chain_assignment *m)
{
    uint32_t n = m->hashes ? m->n_types : 0;
    walk_count(c, &n, UINT32_MAX, 8, "hashes of tensors");
    if (!c->code && n && n != m->n_types) cursor_refuse(c, "%u hashes of %u tensors", n, m->n_types);
    if (n) walk_bytes(c, &m->hashes, (uint64_t)n * 8);
}

static void walk_key(struct cursor *c, uint8_t key[KEY_BYTES])
{
    for (int i = 0; i < KEY_BYTES; i++) walk_u8(c, &key[i]);
}

static void walk_chain(struct cursor *c, struct chain_assignment *m)
{
    walk_u32(c, &m->part.first);
    walk_u32(c, &m->part.end);
    walk_u32(c, &m->part.back);
    walk_u32(c, &m->part.back_end);
    walk_bool(c, &m->part.front);
    walk_bool(c, &m->relayed);
    walk_u16(c, &m->route);
    walk_u16(c, &m->next);
    walk_u16(c, &m->previous);
    walk_u32(c, &m->epoch);
    walk_u64(c, &m->plan);
    walk_u64(c, &m->fingerprint.low);
    walk_u64(c, &m->fingerprint.high);
    walk_key(c, m->next_key);
    walk_key(c, m->previous_key);
    walk_text(c, m->next_address, sizeof m->next_address, "an address");
    walk_text(c, m->previous_address, sizeof m->previous_address, "an address");
    walk_text(c, m->path, sizeof m->path, "a path");
    walk_count(c, &m->n_types, UINT32_MAX, 1, "tensors");
    walk_bytes(c, &m->types, m->n_types);
    walk_hashes(c, m);
}

static void walk_capacity(struct cursor *c, struct capacity *m)
{
    walk_u32(c, &m->context);
    walk_u32(c, &m->sequences);
    walk_u32(c, &m->rows);
    walk_u32(c, &m->in_flight);
    walk_u32(c, &m->blocks);
}

static void walk_assignment(struct cursor *c, void *message)
{
    struct assignment *m = message;
    bool text = !part_is_empty(m->of[CHAIN_TEXT].part), vision = !part_is_empty(m->of[CHAIN_VISION].part);
    walk_u32(c, &m->threads);
    walk_bool(c, &text);
    walk_bool(c, &vision);
    walk_zeros(c, 2);
    walk_mode(c, &m->capacity.mode);
    if (!c->code && !text && !vision) cursor_refuse(c, "nothing to compute");
    if (!c->code && text) {
        walk_text_config(c, &m->text);
        walk_capacity(c, &m->capacity);
        walk_chain(c, &m->of[CHAIN_TEXT]);
    }
    if (!c->code && vision) {
        walk_vision_config(c, &m->vision);
        walk_u32(c, &m->pictures_in_flight);
        walk_u8(c, &m->vision_as);
        walk_zeros(c, 3);
        walk_chain(c, &m->of[CHAIN_VISION]);
    }
    for (int i = 0; i < CHAINS && !c->code; i++) /* said to be there, and empty */
        if ((i == CHAIN_TEXT ? text : vision) && part_is_empty(m->of[i].part)) cursor_refuse(c, "a part of chain %d that is empty", i);
}


static void walk_probe(struct cursor *c, void *message)
{
    struct probe *m = message;
    walk_u32(c, &m->milliseconds);
    walk_u32(c, &m->answer);
    walk_count(c, &m->n, PROBE_POINTS, 12, "points");
    for (uint32_t i = 0; i < m->n && !c->code; i++) {
        walk_u32(c, &m->at[i].rows);
        walk_u32(c, &m->at[i].sequences);
        walk_u32(c, &m->at[i].position);
    }
    walk_count(c, &m->bytes, PROBE_BYTES, 1, "bytes of filler");
    if (c->direction == CURSOR_READ || m->filler) walk_bytes(c, &m->filler, m->bytes);
    else walk_room(c, &m->filler, m->bytes);
    if (!c->code && m->milliseconds > PROBE_MILLISECONDS)
        cursor_refuse(c, "%u ms of measuring, at most %d can be asked for", m->milliseconds, PROBE_MILLISECONDS);
    if (!c->code && m->answer > PROBE_BYTES) cursor_refuse(c, "%u bytes of filler, at most %u can be asked for", m->answer, PROBE_BYTES);
    if (c->code || !m->milliseconds) return;
    walk_u64(c, &m->beside);
    if (!c->code && m->beside > PROBE_BESIDE) cursor_refuse(c, "%llu bytes beside what is measured, at most %llu can be asked for", (unsigned long long)m->beside, PROBE_BESIDE);
    walk_assignment(c, &m->parts);
}

static void walk_acceptance(struct cursor *c, void *message)
{
    struct acceptance *m = message;
    walk_u64(c, &m->bytes.weights);
    walk_u64(c, &m->bytes.kv);
    walk_u64(c, &m->bytes.scratch);
    walk_u64(c, &m->bytes.frames);
    walk_u64(c, &m->bytes.runtime);
    walk_u64(c, &m->bytes.total);
    walk_count(c, &m->n, UINT32_MAX, 1, "tensors");
    walk_bytes(c, &m->have, m->n);
    for (uint32_t i = 0; i < m->n && !c->code; i++)
        if (m->have && m->have[i] > 1) cursor_refuse(c, "%u for tensor %u, where 1 is \"I have it\" and 0 \"send it\"", m->have[i], i);
}

void assigned_hashes(const struct chain_assignment *m, struct tensor *tensors)
{
    for (uint32_t i = 0; i < m->n_types && m->hashes; i++) tensors[i].hash = le_of(m->hashes + 8 * (size_t)i, 8);
}

int assignment_write(struct frame **out, const struct assignment *m, struct err *why)
{
    return message_write(out, M_ASSIGN, walk_assignment, m, why);
}

int assignment_read(struct assignment *m, struct frame *f, struct err *why)
{
    *m = (struct assignment){0};
    return message_read(f, M_ASSIGN, walk_assignment, m, why);
}

int probe_write(struct frame **out, struct probe *m, struct err *why)
{
    return message_write(out, M_PROBE, walk_probe, m, why);
}

int probe_read(struct probe *m, struct frame *f, struct err *why)
{
    *m = (struct probe){0};
    return message_read(f, M_PROBE, walk_probe, m, why);
}

int acceptance_write(struct frame **out, const struct acceptance *m, struct err *why)
{
    return message_write(out, M_ACCEPT, walk_acceptance, m, why);
}

int acceptance_read(struct acceptance *m, struct frame *f, struct err *why)
{
    *m = (struct acceptance){0};
    return message_read(f, M_ACCEPT, walk_acceptance, m, why);
}
