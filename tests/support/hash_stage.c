/* tests/support/hash_stage.c — see hash_stage.h. */
#include "tests/support/hash_stage.h"

uint32_t hash_counted_on(uint32_t id)
{
    const uint32_t next = (id / 8 + 1) % 32;
    return (next * 8 == HASH_EOS ? next + 1 : next) * 8;
}

/* In the first layer alone rows see what pictures were. */
static uint64_t through_layers(uint32_t first, uint32_t end, uint64_t x, uint64_t history, uint64_t seen)
{
    for (uint32_t layer = first; layer < end; layer++) x = hash_fold(x + layer, layer ? history : history ^ seen);
    return x;
}

static uint32_t token_of(bool counts, uint64_t x, uint32_t id, uint64_t key, uint32_t position)
{
    const uint64_t drawn = mix(x ^ mix(key + 0x1234567ull * position));
    return counts && drawn >> 32 & 7 ? hash_counted_on(id) : (uint32_t)(drawn % 32 * 8);
}

uint32_t hash_token(const struct model_config *c, bool counts, uint64_t history, uint64_t seen, uint32_t id, uint64_t key, uint32_t position)
{
    return token_of(counts, through_layers(0, c->layers, id, history, seen), id, key, position);
}

uint64_t hash_picture(uint32_t first, uint32_t end, uint64_t x)
{
    for (uint32_t layer = first; layer < end; layer++) x = hash_fold(x, layer);
    return x;
}

uint64_t hash_picture_row(uint64_t x, uint32_t row)
{
    return mix(x + row);
}

/* Of a frequency penalty of 1: the sum over all words that were said, whatever happened on the way. */
static uint64_t sum_of_biases(const struct work *m, const struct segment *g)
{
    double sum = 0;
    for (uint32_t i = 0; i < g->n_biases; i++) {
        const struct bias b = bias_get(m, g->first_bias + i);
        sum -= (double)b.amount * (b.id + 1.0);
    }
    return (uint64_t)sum;
}

static int put_hash(struct hash_stage *s, uint32_t layer, uint64_t x, struct err *why)
{
    const uint32_t layers = s->part.end - s->part.first, at = s->hashed * layers + layer - s->part.first;
    if (at >= HASHED_MOST) return fail(why, E_WIRE, "more rows are to be hashed than a world has");
    s->hash[at] = mix(x);
    return 0;
}

int hash_stage_hashes(const struct hash_stage *s, uint64_t batch, struct frame **out, struct err *why)
{
    struct row_hashes m = {.batch = batch, .first = s->part.first, .layers = s->part.end - s->part.first, .rows = s->hashed};
    *out = NULL;
    if (!m.rows || !m.layers) return 0;
    TRY(row_hashes_write(out, &m, why));
    for (uint32_t r = 0; r < m.rows; r++)
        for (uint32_t i = 0; i < m.layers; i++) row_hash_put(&m, r, i, s->hash[r * m.layers + i]);
    return 0;
}

/* The rows of a picture see each other, so they come together. */
static int check_sight(const struct work *m, const struct segment *g, uint32_t row, uint32_t position, struct err *why)
{
    const struct row *r = &m->rows[row];
    const bool text = r->id < HASH_PICTURE;
    if (text ? r->sees == position : r->sees >= position && r->sees < g->position + g->rows) return 0;
    return fail(why, E_WIRE, "the row at %u of slot %u sees up to %u, and rows up to %u came", position, g->slot, r->sees,
                g->position + g->rows);
}

static int run_segment(struct hash_stage *s, const struct work *m, const struct segment *g, uint32_t first, struct result *result,
                       struct work *score, struct err *why)
{
    if (g->slot >= s->book.slots) return fail(why, E_WIRE, "slot %u", g->slot);
    struct book_rows *r = &s->book.slot[g->slot];
    if (r->rows != g->position || r->history != g->history)
        return fail(why, E_WIRE, "layer %u: slot %u holds %u rows, position %u came", s->part.first, g->slot, r->rows, g->position);
    const uint64_t key = g->request + sum_of_biases(m, g);
    for (uint32_t i = 0; i < g->rows; i++) {
        const uint32_t position = g->position + i, id = m->rows[first + i].id;
        uint8_t *row = m->activations + (size_t)(first + i) * m->cols * sizeof(float);
        uint64_t x = id;
        TRY(check_sight(m, g, first + i, position, why));
        r->history = r->past[(position + 1) % BOOK_PAST] = history_after(r->history, id);
        if (s->part.first || id >= HASH_PICTURE) memcpy(&x, row, sizeof x);
        if (!s->part.first && id >= HASH_PICTURE) r->seen = hash_fold(r->seen, x);
        for (uint32_t layer = s->part.first; layer < s->part.end; layer++) {
            x = through_layers(layer, layer + 1, x, r->history, r->seen) ^ (s->wrong && layer == s->wrong_layer);
            if (g->flags & SEG_HASHED) TRY(put_hash(s, layer, x, why));
        }
        s->hashed += (g->flags & SEG_HASHED) != 0;
        memcpy(row, &x, sizeof x);
        if (i + g->wanted < g->rows) continue;
        const uint32_t told = told_at(m, g, position);
        result->tokens[result->n_tokens++] =
            (struct token){.slot = g->slot, .position = position, .id = told == WIRE_NO_WORD ? token_of(s->counts, x, id, key, position) : told};
        score->rows[score->n_rows++] = (struct row){.sees = position};
    }
    TRY(book_rows(&s->book, g->slot, g->rows, why));
    if (!g->wanted) return 0;
    struct segment *last = &score->segments[score->n_segments++];
    *last = *g;
    last->position = r->rows - g->wanted;
    last->rows = g->wanted;
    last->flags &= SEG_WANT_HASH | SEG_TOLD;
    last->history = r->history;
    return 0;
}

int hash_stage_run(struct hash_stage *s, struct work *m, struct result *result, struct work *score, struct err *why)
{
    uint32_t at = 0;
    *result = (struct result){.batch = m->batch};
    *score = (struct work){.batch = m->batch, .cols = m->cols, .dtype = WIRE_F32, .told = m->told};
    s->hashed = 0;
    for (uint32_t i = 0; i < m->n_orders; i++) TRY(book_order(&s->book, &m->orders[i], why));
    for (uint32_t i = 0; i < m->n_segments; at += m->segments[i++].rows) TRY(run_segment(s, m, &m->segments[i], at, result, score, why));
    return 0;
}

/* A row's token is its first value. */
int hash_stage_divide(const struct result *result, struct work *score, struct frame **out, struct err *why)
{
    const size_t bytes = score->cols * sizeof(float);
    TRY(score_write(out, score, why));
    memset(score->activations, 0, score->n_rows * bytes);
    for (uint32_t i = 0; i < score->n_rows; i++) {
        const float value = (float)result->tokens[i].id;
        memcpy(score->activations + i * bytes, &value, sizeof value);
    }
    return 0;
}

static uint32_t word_of(const struct work *score, uint32_t row)
{
    float value;
    memcpy(&value, score->activations + (size_t)row * score->cols * sizeof value, sizeof value);
    return (uint32_t)value;
}

int hash_stage_score(const struct hash_stage *stage, const struct work *score, struct scored *s, hash_stage_say *say, void *user,
                     struct err *why)
{
    const struct model_config *c = stage->config;
    const struct segment *g = score->segments;
    for (uint32_t i = 0, of = 0; i < score->n_rows; i++, of++) {
        struct frame *f = NULL;
        if (of == g->rows) g++, of = 0;
        const uint32_t word = word_of(score, i), first = part_first_word(c, stage->part);
        const bool mine = word >= first && word - first < part_words(c, stage->part);
        const bool told = g->flags & SEG_TOLD;
        *s = (struct scored){.batch = score->batch, .slot = g->slot, .position = score->rows[i].sees, .part = stage->part.back,
                             .n_parts = part_head_parts(c, stage->part), .n_candidates = mine || !told};
        for (uint32_t k = 0; k < s->n_parts; k++) s->parts[k].sum = 1;
        s->candidates[0] = (struct candidate){mine ? word : first, mine, mine};
        TRY(scored_write(&f, s, why));
        TRY(say(user, &f, why));
    }
    return 0;
}
