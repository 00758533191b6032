/* transport/wire/watch.c — what the coordinator asks to know of a worker: PING, REPORT, DIARY, ROW_HASHES, CHECK. See wire.h. */
#include "transport/wire/wire.h"

#include "base/little_endian.h"
#include "transport/wire/cursor.h"

static void walk_ping(struct cursor *c, void *message)
{
    struct ping *m = message;
    walk_u64(c, &m->at_ns);
    walk_u64(c, &m->batch);
    walk_u32(c, &m->queue);
    walk_u32(c, &m->busy);
    walk_u64(c, &m->stamp_ns);
    walk_u64(c, &m->steps);
}

static void walk_report(struct cursor *c, void *message)
{
    struct report *m = message;
    walk_u64(c, &m->busy_ns);
    walk_u64(c, &m->blocked_ns);
    walk_u64(c, &m->send_ns);
    walk_u64(c, &m->batches);
    walk_u64(c, &m->rows);
    walk_u64(c, &m->peak_resident);
    walk_u64(c, &m->frames_in);
    walk_u64(c, &m->frames_out);
    walk_u64(c, &m->bytes_in);
    walk_u64(c, &m->bytes_out);
    walk_u64(c, &m->pictures);
    walk_u64(c, &m->picture_ns);
    walk_u64(c, &m->stopped_ns);
}

static void walk_diary_ask(struct cursor *c, void *message)
{
    struct diary_ask *m = message;
    walk_u64(c, &m->from);
}

static void walk_diary_part(struct cursor *c, void *message)
{
    struct diary_part *m = message;
    walk_u64(c, &m->now_ns);
    walk_u64(c, &m->first);
    walk_u64(c, &m->written);
    walk_count(c, &m->n, WIRE_SPANS, 32, "intervals");
    walk_zeros(c, 4);
    for (uint32_t i = 0; !c->code && i < m->n; i++) {
        struct diary_span *s = &m->spans[i];
        walk_u64(c, &s->begin_ns);
        walk_u64(c, &s->end_ns);
        walk_u64(c, &s->number);
        walk_u32(c, &s->amount);
        walk_u32(c, &s->what);
        if (!c->code && c->direction == CURSOR_READ && (s->end_ns < s->begin_ns || s->what > DIARY_SCORES))
            cursor_refuse(c, "interval %u is of kind %u and ends %s it begins", i, s->what, s->end_ns < s->begin_ns ? "before" : "after");
    }
}

static void walk_row_hashes(struct cursor *c, void *message)
{
    struct row_hashes *m = message;
    walk_u64(c, &m->batch);
    walk_u32(c, &m->first);
    walk_u32(c, &m->layers);
    if (!c->code && (m->layers < 1 || m->layers > WIRE_LAYERS)) cursor_refuse(c, "hashes of %u layers, 1 to %d are possible", m->layers, WIRE_LAYERS);
    walk_count(c, &m->rows, WIRE_ROWS, c->code ? 8 : (uint64_t)m->layers * 8, "rows");
    walk_zeros(c, 4);
    walk_room(c, &m->hashes, (uint64_t)m->rows * m->layers * 8);
}

static void walk_check(struct cursor *c, void *message)
{
    struct check *m = message;
    walk_u32(c, &m->damaged);
    walk_text(c, m->text, sizeof m->text, "a layer");
}

static uint8_t *row_hash_at(const struct row_hashes *m, uint32_t row, uint32_t layer)
{
    return m->hashes + ((size_t)row * m->layers + layer) * 8;
}

uint64_t row_hash_get(const struct row_hashes *m, uint32_t row, uint32_t layer)
{
    return le_of(row_hash_at(m, row, layer), 8);
}

void row_hash_put(struct row_hashes *m, uint32_t row, uint32_t layer, uint64_t hash)
{
    put_le(row_hash_at(m, row, layer), hash, 8);
}

WALKED(row_hashes, M_ROW_HASHES, )
WALKED(check, M_CHECK, const)
WALKED(report, M_REPORT, const)
WALKED(diary_ask, M_DIARY_ASK, const)
WALKED(diary_part, M_DIARY, const)

int ping_write(struct frame **out, enum message type, const struct ping *m, struct err *why)
{
    return message_write(out, type, walk_ping, m, why);
}

int ping_read(struct ping *m, struct frame *f, struct err *why)
{
    return message_read(f, f->head.type == M_PONG ? M_PONG : M_PING, walk_ping, m, why);
}
