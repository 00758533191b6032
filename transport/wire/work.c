/* transport/wire/work.c — rows of text on their way, and what becomes of them: WORK, SCORE, SCORED, RESULT, LOGITS. See wire.h. */
#include "transport/wire/wire.h"

#include "base/little_endian.h"
#include "transport/wire/cursor.h"

#include <math.h>
#include <string.h>

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

#define WORK_FIXED_BYTES 32
#define WORK_END_BYTES 8
#define SEGMENT_BYTES 72
#define ROW_BYTES 8
#define ORDER_BYTES 24
#define SEGMENT_FLAGS (SEG_START | SEG_WANT_LOGITS | SEG_WANT_HASH | SEG_MASKED | SEG_TOLD | SEG_DRAWN | SEG_HASHED)
#define TOKEN_BYTES 32
#define BIAS_MOST 1e9f

static void walk_segment(struct cursor *c, struct segment *m)
{
    walk_u32(c, &m->slot);
    walk_u32(c, &m->position);
    walk_u32(c, &m->rows);
    walk_u32(c, &m->flags);
    walk_u64(c, &m->request);
    walk_u64(c, &m->history);
    walk_sampling(c, &m->sampling);
    walk_u32(c, &m->wanted);
    walk_u32(c, &m->top);
}

/* The rows of one segment: `rows` is the first of them. */
static void check_segment(struct cursor *c, const struct segment *s, const struct row *rows)
{
    uint64_t end = (uint64_t)s->position + s->rows;
    if (end > UINT32_MAX) cursor_refuse(c, "positions from %u on for %u rows are over all bounds", s->position, s->rows);
    if (s->flags & ~(uint32_t)SEGMENT_FLAGS) cursor_refuse(c, "a segment's flags are %#x; known are %#x", s->flags, SEGMENT_FLAGS);
    if ((s->flags & SEG_START) && s->position) cursor_refuse(c, "a new sequence starts at position %u, not at 0", s->position);
    if (s->wanted > s->rows) cursor_refuse(c, "tokens after %u of %u rows are wanted", s->wanted, s->rows);
    const bool told = s->flags & SEG_TOLD;
    if ((s->flags & SEG_DRAWN) && (s->wanted || (s->flags & SEG_WANT_LOGITS)))
        cursor_refuse(c, "something is wanted of rows of slot %u that are drawn", s->slot);
    if (told && (!s->wanted || (s->flags & SEG_MASKED) || s->sampling.temperature > 0))
        cursor_refuse(c, "%u tokens of slot %u are told, with flags %#x and temperature %g: there is nothing to draw", s->wanted, s->slot,
                      s->flags, (double)s->sampling.temperature);
    if (!told && s->wanted > 1 + WIRE_DRAFT) cursor_refuse(c, "%u rows of one segment want a token; %d can", s->wanted, 1 + WIRE_DRAFT);
    if (!told && s->wanted > 1 && (s->flags & SEG_WANT_LOGITS)) cursor_refuse(c, "guesses among the %u rows of which all scores are wanted", s->rows);
    if (s->top > WIRE_ALTERNATIVES || (s->top && !s->wanted))
        cursor_refuse(c, "%u alternatives to %u tokens are wanted; %d to a token can be", s->top, s->wanted, WIRE_ALTERNATIVES);
    if ((s->flags & SEG_MASKED) && !s->wanted) cursor_refuse(c, "a mask of words for slot %u, which wants no token", s->slot);
    for (uint32_t i = 0; i < s->rows && !c->code; i++)
        if (rows[i].sees < s->position + i || rows[i].sees >= end)
            cursor_refuse(c, "the row at position %u of slot %u may look as far as %u; its segment covers %u to %llu", s->position + i,
                   s->slot, rows[i].sees, s->position, (unsigned long long)end - 1);
}

static void check_segments(struct cursor *c, const struct work *m)
{
    uint64_t rows = 0, wanted = 0;
    for (uint32_t s = 0; s < m->n_segments && !c->code; s++) {
        if (m->segments[s].rows < 1) cursor_refuse(c, "segment %u has no rows", s);
        else if (m->segments[s].rows > m->n_rows - rows) cursor_refuse(c, "its segments have more than its %u rows", m->n_rows);
        else check_segment(c, &m->segments[s], m->rows + rows);
        rows += m->segments[s].rows;
        wanted += m->segments[s].wanted;
    }
    if (!c->code && wanted > WIRE_SEGMENTS) cursor_refuse(c, "%llu rows want a token; %d can", (unsigned long long)wanted, WIRE_SEGMENTS);
    if (!c->code && rows != m->n_rows)
        cursor_refuse(c, "its segments have %llu rows, its head says %u", (unsigned long long)rows, m->n_rows);
}

/* ---- biases: read where they lie ---- */

struct bias bias_get(const struct work *w, uint32_t i)
{
    const uint8_t *at = w->biases + (size_t)i * WIRE_BIAS_BYTES;
    const uint32_t bits = le32(at + 8);
    struct bias b = {.slot = le32(at), .id = le32(at + 4)};
    memcpy(&b.amount, &bits, sizeof bits);
    return b;
}

void bias_put(uint8_t *biases, uint32_t i, struct bias b)
{
    uint8_t *at = biases + (size_t)i * WIRE_BIAS_BYTES;
    uint32_t bits;
    memcpy(&bits, &b.amount, sizeof bits);
    put_le(at, b.slot, 4);
    put_le(at + 4, b.id, 4);
    put_le(at + 8, bits, 4);
}

/* Bias i of all, behind those of the segment that came before it. A score that it is added to must stay a number. */
static void check_bias(struct cursor *c, const struct work *m, const struct segment *g, uint32_t i)
{
    const struct bias b = bias_get(m, i);
    if (!g->wanted || (g->flags & SEG_TOLD)) cursor_refuse(c, "a bias for slot %u, which wants no token drawn", b.slot);
    if (i > g->first_bias && bias_get(m, i - 1).id >= b.id)
        cursor_refuse(c, "a bias of word %u of slot %u stands behind one of word %u", b.id, b.slot, bias_get(m, i - 1).id);
    if (g->n_biases >= WIRE_BIASES) cursor_refuse(c, "slot %u has more than %d biases", b.slot, WIRE_BIASES);
    if (!(fabsf(b.amount) <= BIAS_MOST) && b.amount != -INFINITY)
        cursor_refuse(c, "the bias of word %u of slot %u is %g", b.id, b.slot, (double)b.amount);
}

/* Which are whose. */
static void share_biases(struct cursor *c, struct work *m)
{
    uint32_t i = 0;
    for (uint32_t s = 0; s < m->n_segments && !c->code; s++) {
        struct segment *g = &m->segments[s];
        g->first_bias = i;
        for (g->n_biases = 0; i < m->n_biases && !c->code && bias_get(m, i).slot == g->slot; i++, g->n_biases++) check_bias(c, m, g, i);
    }
    if (!c->code && i < m->n_biases) cursor_refuse(c, "a bias for slot %u is not where that slot's are", bias_get(m, i).slot);
}

/* The same of masks, which are of one length. */
static void share_masks(struct cursor *c, struct work *m)
{
    uint32_t masks = 0;
    for (uint32_t s = 0; s < m->n_segments; s++) {
        m->segments[s].first_mask = masks;
        if (m->segments[s].flags & SEG_MASKED) masks += m->segments[s].wanted;
    }
    m->mask_words = masks ? m->n_mask_words / masks : 0;
    if (m->n_mask_words != masks * m->mask_words || (masks && !m->mask_words))
        cursor_refuse(c, "%u words of masks for %u rows", m->n_mask_words, masks);
}

/* ---- tokens that are told: read where they lie, and counted by the segments ---- */

uint32_t told_get(const struct work *w, uint32_t i)
{
    return le32(w->told + (size_t)i * 4);
}

uint32_t told_at(const struct work *w, const struct segment *g, uint32_t position)
{
    return g->flags & SEG_TOLD ? told_get(w, g->first_told + position + g->wanted - g->position - g->rows) : WIRE_NO_WORD;
}

void told_put(uint8_t *told, uint32_t i, uint32_t id)
{
    put_le(told + (size_t)i * 4, id, 4);
}

static void walk_told(struct cursor *c, struct work *m)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < m->n_segments; s++) {
        m->segments[s].first_told = n;
        if (m->segments[s].flags & SEG_TOLD) n += m->segments[s].wanted;
    }
    walk_bytes(c, &m->told, (uint64_t)n * 4);
}

static void walk_wishes(struct cursor *c, struct work *m)
{
    walk_count(c, &m->n_biases, (uint64_t)WIRE_SEGMENTS * WIRE_BIASES, WIRE_BIAS_BYTES, "biases of words");
    walk_count(c, &m->n_mask_words, FRAME_BODY_MOST / 4, 4, "words of masks");
    walk_bytes(c, &m->biases, (uint64_t)m->n_biases * WIRE_BIAS_BYTES);
    walk_bytes(c, &m->masks, (uint64_t)m->n_mask_words * 4);
    if (!c->code) share_biases(c, m);
    if (!c->code) share_masks(c, m);
    if (!c->code) walk_told(c, m);
}

/* ---- orders ---- */

static void walk_order(struct cursor *c, struct order *m)
{
    walk_u32(c, &m->kind);
    walk_u32(c, &m->slot);
    walk_u32(c, &m->beginning);
    walk_u32(c, &m->rows);
    walk_u64(c, &m->history);
}

/* What a kind does not speak of is 0, so that there is one way to write an order. */
static void check_order_of(struct cursor *c, const struct order *m)
{
    const bool of_slot = m->kind != ORDER_DROP, of_beginning = m->kind != ORDER_FORGET && m->kind != ORDER_BACK;
    const bool of_rows = m->kind != ORDER_FORGET && m->kind != ORDER_DROP;
    if (c->code) return;
    if (m->kind < ORDER_FORGET || m->kind > ORDER_BACK) cursor_refuse(c, "an order of kind %u; known are %d to %d", m->kind, ORDER_FORGET, ORDER_BACK);
    else if (m->beginning >= WIRE_BEGINNINGS) cursor_refuse(c, "beginning %u; there are 0 to %d", m->beginning, WIRE_BEGINNINGS - 1);
    else if ((!of_slot && m->slot) || (!of_beginning && m->beginning) || (!of_rows && (m->rows || m->history)) || (of_rows && !m->rows))
        cursor_refuse(c, "an order of kind %u with slot %u, beginning %u and %u rows", m->kind, m->slot, m->beginning, m->rows);
}

static uint64_t dtype_bytes(uint8_t dtype)
{
    return dtype < WIRE_DTYPES ? wire_value_bytes((enum wire_dtype)dtype) : 0;
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
    walk_count(c, &m->n_orders, WIRE_ORDERS, ORDER_BYTES, "orders");
    walk_zeros(c, 4);
    if (!c->code && !m->n_segments) cursor_refuse(c, "no segments");
    if (!c->code && !dtype_bytes(m->dtype)) cursor_refuse(c, "activations of unknown type %u", m->dtype);
    for (uint32_t i = 0; i < m->n_segments && !c->code; i++) walk_segment(c, &m->segments[i]);
    for (uint32_t i = 0; i < m->n_rows && !c->code; i++) {
        walk_u32(c, &m->rows[i].id);
        walk_u32(c, &m->rows[i].sees);
    }
    if (!c->code) check_segments(c, m);
    for (uint32_t i = 0; i < m->n_orders && !c->code; i++) {
        walk_order(c, &m->orders[i]);
        check_order_of(c, &m->orders[i]);
    }
    walk_room(c, &m->activations, (uint64_t)m->n_rows * m->cols * dtype_bytes(m->dtype)); /* < 2^12 * 2^32 * 4 */
    walk_wishes(c, m);
}

static void walk_score(struct cursor *c, void *message)
{
    const struct work *m = message;
    walk_work(c, message);
    if (!c->code && m->n_orders) cursor_refuse(c, "%u orders with rows to be scored", m->n_orders);
    for (uint32_t i = 0; i < m->n_segments && !c->code; i++) {
        const struct segment *g = &m->segments[i];
        if (g->rows != segment_scored(g) || (g->flags & SEG_START))
            cursor_refuse(c, "slot %u brings %u rows with flags %#x, %u of which want a token; all must", g->slot, g->rows, g->flags,
                          g->wanted);
    }
}

uint64_t work_bytes(uint32_t segments, uint32_t rows, uint32_t cols, enum wire_dtype dtype)
{
    return WORK_FIXED_BYTES + WORK_END_BYTES + (uint64_t)segments * SEGMENT_BYTES +
           (uint64_t)rows * (ROW_BYTES + (uint64_t)cols * dtype_bytes((uint8_t)dtype));
}

uint64_t work_bytes_most(uint32_t sequences, uint32_t rows, uint32_t cols, uint32_t vocab)
{
    const uint64_t wanting = sequences < WIRE_SEGMENTS ? sequences : WIRE_SEGMENTS;
    return work_bytes(WIRE_SEGMENTS, rows, cols, WIRE_F32) + (uint64_t)WIRE_ORDERS * ORDER_BYTES +
           wanting * (WIRE_BIASES * WIRE_BIAS_BYTES + (uint64_t)mask_words_of(vocab) * 4) + WIRE_SEGMENTS * 4;
}

static void walk_alternatives(struct cursor *c, struct token *t)
{
    walk_count(c, &t->n_alternatives, WIRE_ALTERNATIVES, 8, "alternatives to a token");
    walk_zeros(c, 4);
    for (uint32_t i = 0; i < t->n_alternatives && !c->code; i++) {
        walk_u32(c, &t->alternatives[i].id);
        walk_f32(c, &t->alternatives[i].logprob);
    }
}

static void walk_result(struct cursor *c, void *message)
{
    struct result *m = message;
    walk_u64(c, &m->batch);
    walk_count(c, &m->n_tokens, WIRE_SEGMENTS, TOKEN_BYTES, "tokens");
    walk_zeros(c, 4);
    for (uint32_t i = 0; i < m->n_tokens && !c->code; i++) {
        struct token *t = &m->tokens[i];
        walk_u32(c, &t->slot);
        walk_u32(c, &t->position);
        walk_u32(c, &t->id);
        walk_f32(c, &t->logprob);
        walk_u64(c, &t->hash);
        walk_alternatives(c, t);
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
    walk_u32(c, &m->first);
    walk_room(c, &m->scores, (uint64_t)m->n * 4);
}

static void check_order(struct cursor *c, const struct candidate *k, uint32_t i)
{
    if (i && !c->code && !candidate_better(k - 1, k))
        cursor_refuse(c, "candidate %u (id %u) stands after id %u, but the better comes first", i, k->id, k[-1].id);
}

static void walk_candidates(struct cursor *c, struct scored *m)
{
    walk_count(c, &m->n_candidates, WIRE_CANDIDATES, 12, "candidates");
    for (uint32_t i = 0; i < m->n_candidates && !c->code; i++) {
        struct candidate *k = &m->candidates[i];
        walk_u32(c, &k->id);
        walk_f32(c, &k->score);
        walk_f32(c, &k->raw);
        check_order(c, k, i);
    }
}

/* They are there only if somebody wants alternatives: a row that wants none looks as it did before there were any. */
static void walk_best(struct cursor *c, struct scored *m)
{
    if (c->direction == CURSOR_READ) m->n_best = 0;
    if (c->code || (c->direction == CURSOR_READ ? c->at == c->size : !m->n_best)) return;
    walk_count(c, &m->n_best, WIRE_ALTERNATIVES, 8, "alternatives");
    if (!c->code && !m->n_best) cursor_refuse(c, "a list of no alternatives");
    for (uint32_t i = 0; i < m->n_best && !c->code; i++) {
        struct candidate *k = &m->best[i];
        walk_u32(c, &k->id);
        walk_f32(c, &k->score);
        if (c->direction == CURSOR_READ) k->raw = k->score;
        check_order(c, k, i);
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
    walk_best(c, m);
}

WALKED(work, M_WORK, )
WALKED(scored, M_SCORED, const)
WALKED(result, M_RESULT, const)
WALKED(logits, M_LOGITS, )

int score_write(struct frame **out, struct work *m, struct err *why)
{
    return message_write(out, M_SCORE, walk_score, m, why);
}

int score_read(struct work *m, struct frame *f, struct err *why)
{
    return message_read(f, M_SCORE, walk_score, m, why);
}
