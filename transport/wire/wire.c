/* transport/wire/wire.c — one walk per message: see cursor.h, wire.h and docs/WIRE.md. */
#include "transport/wire/wire.h"

#include "transport/wire/cursor.h"

#include <string.h>

/* ---- the messages ---- */

static void walk_greet(struct cursor *c, void *message)
{
    struct greet *m = message;
    walk_u16(c, &m->node);
    walk_u16(c, &m->nodes);
    walk_zeros(c, 4);
    walk_u64(c, &m->run);
    if (c->code) return;
    if (m->nodes < 2 || m->nodes > WORKERS_MOST + 1) cursor_refuse(c, "%u nodes; a run has 2 to %d", m->nodes, WORKERS_MOST + 1);
    else if (m->node < 1 || m->node >= m->nodes) cursor_refuse(c, "node %u of %u is not a worker's number", m->node, m->nodes);
}

static void walk_hello(struct cursor *c, void *message)
{
    struct hello *m = message;
    walk_u32(c, &m->pid);
    walk_u32(c, &m->threads);
    walk_u64(c, &m->memory);
    walk_text(c, m->build, sizeof m->build, "a version");
    walk_text(c, m->host, sizeof m->host, "a host name");
    walk_text(c, m->isa, sizeof m->isa, "an instruction set");
}

static void walk_config(struct cursor *c, struct wire_config *m)
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

static void walk_assign(struct cursor *c, void *message)
{
    struct assign *m = message;
    walk_config(c, &m->config);
    walk_u32(c, &m->first);
    walk_u32(c, &m->end);
    walk_u32(c, &m->context);
    walk_u32(c, &m->sequences);
    walk_u32(c, &m->rows);
    walk_u32(c, &m->in_flight);
    walk_u32(c, &m->threads);
    walk_u16(c, &m->next);
    walk_u8(c, &m->part);
    walk_u8(c, &m->back_end);
    walk_bool(c, &m->vision);
    walk_u64(c, &m->fingerprint[0]);
    walk_u64(c, &m->fingerprint[1]);
    walk_text(c, m->next_address, sizeof m->next_address, "an address");
    walk_text(c, m->path, sizeof m->path, "a path");
    walk_count(c, &m->n_types, UINT32_MAX, 1, "tensors");
    walk_bytes(c, &m->types, m->n_types);
}

static void walk_assign_vision(struct cursor *c, void *message)
{
    struct assign_vision *m = message;
    walk_u32(c, &m->config.image);
    walk_u32(c, &m->config.patch);
    walk_u32(c, &m->config.layers);
    walk_u32(c, &m->config.width);
    walk_u32(c, &m->config.ffn);
    walk_u32(c, &m->config.heads);
    walk_u32(c, &m->config.pool);
    walk_u32(c, &m->config.hidden);
    walk_f32(c, &m->config.norm_epsilon);
    walk_u32(c, &m->first);
    walk_u32(c, &m->end);
    walk_u32(c, &m->in_flight);
    walk_u16(c, &m->next);
    walk_bool(c, &m->patches);
    walk_bool(c, &m->projector);
    walk_u8(c, &m->as);
    walk_zeros(c, 3);
    walk_u64(c, &m->fingerprint[0]);
    walk_u64(c, &m->fingerprint[1]);
    walk_text(c, m->next_address, sizeof m->next_address, "an address");
    walk_text(c, m->path, sizeof m->path, "a path");
    walk_count(c, &m->n_types, UINT32_MAX, 1, "tensors");
    walk_bytes(c, &m->types, m->n_types);
}

#define SEE_FIXED_BYTES 16

static void walk_see(struct cursor *c, void *message)
{
    struct see *m = message;
    walk_u64(c, &m->picture);
    walk_u32(c, &m->rows);
    walk_u32(c, &m->cols);
    uint64_t values = (uint64_t)m->rows * m->cols;
    if (!c->code && values > FRAME_BODY_MOST / 4) cursor_refuse(c, "%u rows of %u values are over all bounds", m->rows, m->cols);
    if (!c->code) walk_room(c, &m->values, values * 4);
}

uint64_t see_bytes(uint64_t floats)
{
    return SEE_FIXED_BYTES + floats * 4;
}

static void walk_accept(struct cursor *c, void *message)
{
    struct accept *m = message;
    walk_bool(c, &m->has_file);
    walk_zeros(c, 7);
    walk_u64(c, &m->weights);
    walk_u64(c, &m->kv);
    walk_u64(c, &m->scratch);
    walk_u64(c, &m->frames);
    walk_u64(c, &m->runtime);
    walk_u64(c, &m->total);
}

static void walk_piece(struct cursor *c, void *message)
{
    struct piece *m = message;
    walk_u32(c, &m->tensor);
    walk_u32(c, &m->first_row);
    walk_u32(c, &m->rows);
    walk_zeros(c, 4);
    walk_u64(c, &m->hash);
    walk_u64(c, &m->n);
    if (c->direction == CURSOR_READ || m->bytes) walk_bytes(c, &m->bytes, m->n);
    else walk_room(c, &m->bytes, m->n);
}

static void walk_ready(struct cursor *c, void *message)
{
    struct ready *m = message;
    walk_u64(c, &m->resident);
    walk_f64(c, &m->seconds);
}

static void walk_sampling(struct cursor *c, struct sampling *m)
{
    walk_f32(c, &m->temperature);
    walk_u32(c, &m->top_k);
    walk_f32(c, &m->top_p);
    walk_f32(c, &m->min_p);
    walk_f32(c, &m->repeat_penalty);
    walk_u32(c, &m->repeat_last);
    walk_u64(c, &m->seed);
}

#define WORK_FIXED_BYTES 24
#define SEGMENT_BYTES 64
#define ROW_BYTES 8
#define SEGMENT_FLAGS (SEG_START | SEG_WANT_TOKEN | SEG_WANT_LOGITS | SEG_WANT_HASH)

static void walk_segment(struct cursor *c, struct segment *m)
{
    walk_u32(c, &m->slot);
    walk_u32(c, &m->position);
    walk_u32(c, &m->rows);
    walk_u32(c, &m->flags);
    walk_u64(c, &m->request);
    walk_u64(c, &m->history);
    walk_sampling(c, &m->sampling);
}

/* The rows of one segment: `rows` is the first of them. */
static void check_segment(struct cursor *c, const struct segment *s, const struct row *rows)
{
    uint64_t end = (uint64_t)s->position + s->rows;
    if (end > UINT32_MAX) cursor_refuse(c, "positions from %u on for %u rows are over all bounds", s->position, s->rows);
    if (s->flags & ~(uint32_t)SEGMENT_FLAGS) cursor_refuse(c, "a segment's flags are %#x; known are %#x", s->flags, SEGMENT_FLAGS);
    if ((s->flags & SEG_START) && s->position) cursor_refuse(c, "a new sequence starts at position %u, not at 0", s->position);
    for (uint32_t i = 0; i < s->rows && !c->code; i++)
        if (rows[i].sees < s->position + i || rows[i].sees >= end)
            cursor_refuse(c, "the row at position %u of slot %u may look as far as %u; its segment covers %u to %llu", s->position + i,
                   s->slot, rows[i].sees, s->position, (unsigned long long)end - 1);
}

static void check_segments(struct cursor *c, const struct work *m)
{
    uint64_t rows = 0;
    for (uint32_t s = 0; s < m->n_segments && !c->code; s++) {
        if (m->segments[s].rows < 1) cursor_refuse(c, "segment %u has no rows", s);
        else if (m->segments[s].rows > m->n_rows - rows) cursor_refuse(c, "its segments have more than its %u rows", m->n_rows);
        else check_segment(c, &m->segments[s], m->rows + rows);
        rows += m->segments[s].rows;
    }
    if (!c->code && rows != m->n_rows) cursor_refuse(c, "its segments have %llu rows, its head says %u", (unsigned long long)rows, m->n_rows);
}

static uint64_t dtype_bytes(uint8_t dtype)
{
    return dtype == WIRE_F32 ? 4 : dtype == WIRE_BF16 ? 2 : 0;
}

static void walk_work(struct cursor *c, void *message)
{
    struct work *m = message;
    walk_u64(c, &m->batch);
    walk_count(c, &m->n_segments, WIRE_SEGMENTS, SEGMENT_BYTES, "segments");
    walk_count(c, &m->n_rows, WIRE_ROWS, ROW_BYTES, "rows");
    walk_u32(c, &m->cols);
    walk_u8(c, &m->dtype);
    walk_zeros(c, 3);
    if (!c->code && !m->n_segments) cursor_refuse(c, "no segments");
    if (!c->code && !dtype_bytes(m->dtype)) cursor_refuse(c, "activations of unknown type %u", m->dtype);
    for (uint32_t i = 0; i < m->n_segments && !c->code; i++) walk_segment(c, &m->segments[i]);
    for (uint32_t i = 0; i < m->n_rows && !c->code; i++) {
        walk_u32(c, &m->rows[i].id);
        walk_u32(c, &m->rows[i].sees);
    }
    if (!c->code) check_segments(c, m);
    walk_room(c, &m->activations, (uint64_t)m->n_rows * m->cols * dtype_bytes(m->dtype)); /* < 2^12 * 2^32 * 4 */
}

static void walk_score(struct cursor *c, void *message)
{
    const struct work *m = message;
    walk_work(c, message);
    for (uint32_t i = 0; i < m->n_segments && !c->code; i++) {
        const struct segment *g = &m->segments[i];
        if (g->rows != 1 || (g->flags & ~(uint32_t)SEG_WANT_HASH) != SEG_WANT_TOKEN)
            cursor_refuse(c, "slot %u brings %u rows with flags %#x; wanted is one row that asks for its token", g->slot, g->rows, g->flags);
        else if (!sampling_of_few(&g->sampling))
            cursor_refuse(c, "slot %u wants one of the %u best words (0: of all); of 1 to %d can be", g->slot, sampling_words(&g->sampling),
                   WIRE_CANDIDATES);
    }
}

uint64_t work_bytes(uint32_t segments, uint32_t rows, uint32_t cols, enum wire_dtype dtype)
{
    return WORK_FIXED_BYTES + (uint64_t)segments * SEGMENT_BYTES +
           (uint64_t)rows * (ROW_BYTES + (uint64_t)cols * dtype_bytes((uint8_t)dtype));
}

static void walk_result(struct cursor *c, void *message)
{
    struct result *m = message;
    walk_u64(c, &m->batch);
    walk_count(c, &m->n_tokens, WIRE_SEGMENTS, 24, "tokens");
    walk_zeros(c, 4);
    for (uint32_t i = 0; i < m->n_tokens && !c->code; i++) {
        struct token *t = &m->tokens[i];
        walk_u32(c, &t->slot);
        walk_u32(c, &t->position);
        walk_u32(c, &t->id);
        walk_f32(c, &t->logprob);
        walk_u64(c, &t->hash);
    }
}

static void walk_logits(struct cursor *c, void *message)
{
    struct logits *m = message;
    walk_u64(c, &m->batch);
    walk_u32(c, &m->slot);
    walk_u32(c, &m->position);
    walk_u64(c, &m->hash);
    walk_count(c, &m->n, FRAME_BODY_MOST / 4, 4, "scores");
    walk_zeros(c, 4);
    walk_room(c, &m->scores, (uint64_t)m->n * 4);
}

static void walk_candidates(struct cursor *c, struct scored *m)
{
    walk_count(c, &m->n_candidates, WIRE_CANDIDATES, 12, "candidates");
    for (uint32_t i = 0; i < m->n_candidates && !c->code; i++) {
        struct candidate *k = &m->candidates[i];
        walk_u32(c, &k->id);
        walk_f32(c, &k->score);
        walk_f32(c, &k->raw);
        if (i && !c->code && !candidate_better(k - 1, k))
            cursor_refuse(c, "candidate %u (id %u) stands after id %u, but the better comes first", i, k->id, k[-1].id);
    }
}

static void walk_scored(struct cursor *c, void *message)
{
    struct scored *m = message;
    walk_u64(c, &m->batch);
    walk_u32(c, &m->slot);
    walk_u32(c, &m->position);
    walk_u32(c, &m->part);
    walk_count(c, &m->n_parts, WIRE_PARTS, 16, "parts of the head");
    if (!c->code && (!m->n_parts || m->part > WIRE_PARTS - m->n_parts))
        cursor_refuse(c, "%u parts of the head from %u on; there are %d", m->n_parts, m->part, WIRE_PARTS);
    for (uint32_t i = 0; i < m->n_parts && !c->code; i++) {
        walk_f32(c, &m->parts[i].best);
        walk_f32(c, &m->parts[i].sum);
        walk_u64(c, &m->parts[i].hash);
    }
    walk_candidates(c, m);
}

static void walk_ping(struct cursor *c, void *message)
{
    struct ping *m = message;
    walk_u64(c, &m->at_ns);
    walk_u64(c, &m->batch);
    walk_u32(c, &m->queue);
}

static void walk_report(struct cursor *c, void *message)
{
    struct report *m = message;
    walk_u64(c, &m->busy_ns);
    walk_u64(c, &m->wait_ns);
    walk_u64(c, &m->send_ns);
    walk_u64(c, &m->batches);
    walk_u64(c, &m->rows);
    walk_u64(c, &m->peak_resident);
    walk_u64(c, &m->frames_in);
    walk_u64(c, &m->frames_out);
    walk_u64(c, &m->bytes_in);
    walk_u64(c, &m->bytes_out);
    walk_u64(c, &m->pictures);
    walk_u64(c, &m->see_ns);
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

static void walk_fault(struct cursor *c, void *message)
{
    struct fault *m = message;
    walk_u32(c, &m->code);
    walk_text(c, m->text, sizeof m->text, "a sentence");
}

static void walk_nothing(struct cursor *c, void *message)
{
    (void)c, (void)message;
}

/* ---- writing and reading ---- */

#define MESSAGE(name, type, constness)                                                                                 \
    int name##_write(struct frame **out, constness struct name *m, struct err *why)                                    \
    {                                                                                                                  \
        return message_write(out, type, walk_##name, m, why);                                                          \
    }                                                                                                                  \
    int name##_read(struct name *m, struct frame *f, struct err *why)                                                  \
    {                                                                                                                  \
        return message_read(f, type, walk_##name, m, why);                                                             \
    }

MESSAGE(greet, M_GREET, const)
MESSAGE(hello, M_HELLO, const)
MESSAGE(assign, M_ASSIGN, const)
MESSAGE(assign_vision, M_ASSIGN_VISION, const)
MESSAGE(accept, M_ACCEPT, const)
MESSAGE(piece, M_PIECE, )
MESSAGE(ready, M_READY, const)
MESSAGE(work, M_WORK, )
MESSAGE(scored, M_SCORED, const)
MESSAGE(result, M_RESULT, const)
MESSAGE(logits, M_LOGITS, )
MESSAGE(report, M_REPORT, const)
MESSAGE(diary_ask, M_DIARY_ASK, const)
MESSAGE(diary_part, M_DIARY, const)

int score_write(struct frame **out, struct work *m, struct err *why)
{
    return message_write(out, M_SCORE, walk_score, m, why);
}

int score_read(struct work *m, struct frame *f, struct err *why)
{
    return message_read(f, M_SCORE, walk_score, m, why);
}

int see_write(struct frame **out, enum message type, struct see *m, struct err *why)
{
    return message_write(out, type, walk_see, m, why);
}

int see_read(struct see *m, struct frame *f, struct err *why)
{
    return message_read(f, f->head.type == M_SEEN ? M_SEEN : M_SEE, walk_see, m, why);
}

int ping_write(struct frame **out, enum message type, const struct ping *m, struct err *why)
{
    return message_write(out, type, walk_ping, m, why);
}

int ping_read(struct ping *m, struct frame *f, struct err *why)
{
    return message_read(f, f->head.type == M_PONG ? M_PONG : M_PING, walk_ping, m, why);
}

/* A fault often quotes what went wrong, bytes of files included; it must not be lost for a control character. */
int fault_write(struct frame **out, const struct fault *m, struct err *why)
{
    struct fault plain = *m;
    plain.text[sizeof plain.text - 1] = 0;
    for (char *s = plain.text; *s; s++)
        if ((unsigned char)*s < 32 || *s == 127) *s = ' ';
    return message_write(out, M_FAULT, walk_fault, &plain, why);
}

int fault_read(struct fault *m, struct frame *f, struct err *why)
{
    return message_read(f, M_FAULT, walk_fault, m, why);
}

int empty_write(struct frame **out, enum message type, struct err *why)
{
    return message_write(out, type, walk_nothing, 0, why);
}
