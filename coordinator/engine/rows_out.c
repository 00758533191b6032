/* coordinator/engine/rows_out.c — from the scheduler's moves to a WORK frame: segments, row ids, embedding rows and pictures' rows. */
#include "coordinator/engine/live.h"

#include "base/planted.h"
#include "coordinator/engine/embed.h"

#include <stdlib.h>
#include <string.h>

const struct picture_span *span_at(const struct live *a, size_t place)
{
    for (size_t i = 0; i < a->spans.n; i++) {
        const struct picture_span *p = &a->spans.span[i];
        if (place >= p->first && place < p->first + p->n) return p;
    }
    return NULL;
}

uint32_t row_id_at(const struct engine *e, const struct live *a, uint32_t position)
{
    const struct picture_span *p = a->spans.n ? span_at(a, position) : NULL;
    return p ? pictures_row_id(e->pictures, (uint32_t)p->picture, position - (uint32_t)p->first) : token_at(a, position);
}

static struct row row_of(const struct engine *e, const struct live *a, uint32_t position)
{
    const struct picture_span *p = a->spans.n ? span_at(a, position) : NULL;
    const bool late = PLANTED(REPLAY_ONE_ID_TOO_LATE) && e->losses && position + 1 < a->ids.n;
    return (struct row){.id = row_id_at(e, a, position + late), .sees = p ? (uint32_t)(p->first + p->n - 1) : position};
}

uint32_t judged_at(const struct live *a, uint32_t position)
{
    return position + 1 < a->ids.n ? a->ids.id[position + 1] : a->last_judged;
}

uint32_t rows_wanted(const struct live *a, const struct move *m)
{
    if (!a || !a->ask.judged) return m->want_token + m->guesses;
    const uint32_t end = m->position + m->rows, from = live_unasked(a);
    return end <= from ? 0 : end - from < m->rows ? end - from : m->rows;
}

static struct segment segment_of(const struct live *a, const struct move *m)
{
    uint32_t flags = m->start ? SEG_START : 0u;
    if (m->position + m->rows <= a->ask.drawn) flags |= SEG_DRAWN;
    else if (a->ask.want_scores) flags |= SEG_WANT_LOGITS;
    if (a->ask.want_hash && m->want_token) flags |= SEG_WANT_HASH;
    if (a->trial && !(flags & SEG_DRAWN)) flags |= SEG_HASHED;
    const uint32_t wanted = rows_wanted(a, m);
    if (a->ask.judged) flags = wanted ? flags | SEG_TOLD : flags & ~(uint32_t)SEG_WANT_LOGITS;
    return (struct segment){.slot = m->slot, .position = m->position, .rows = m->rows, .flags = flags, .wanted = wanted, .top = wanted ? a->ask.top : 0,
                            .request = a->ask.key, .history = a->history, .sampling = a->ask.sampling};
}

/* Whose move it is. One that has just got its slot is looked for by number: it is among the first that run. */
static struct live *mover(struct engine *e, const struct move *m)
{
    struct live *a = e->in_slot[m->slot];
    if (!a || a->number != m->request) a = e->in_slot[m->slot] = live_find_in(e, RUNNING, m->request);
    return a;
}

static int add_biases(struct engine *e, const struct live *a, const struct move *m, struct err *why)
{
    struct work *w = &e->work;
    const uint32_t most = w->n_biases + a->biases.n;
    if (!m->want_token || !a->biases.n) return 0;
    if (most > e->bias_room) {
        uint8_t *grown = realloc(w->biases, (size_t)2 * most * WIRE_BIAS_BYTES);
        if (!grown) return fail(why, E_MEMORY, "no memory for the biases of %u words", most);
        w->biases = grown;
        e->bias_room = 2 * most;
    }
    w->n_biases += biases_put(&a->biases, m->slot, w->biases, w->n_biases);
    return 0;
}

/* What its listener says that the next token may be. */
static int add_mask(struct engine *e, const struct live *a, struct segment *g, struct err *why)
{
    struct work *w = &e->work;
    const uint32_t words = mask_words_of(e->pipe->model->config.vocab), masks = w->n_mask_words / words;
    const uint8_t *mask = g->wanted && a->listener.mask ? a->listener.mask(a->listener.user) : NULL;
    if (!mask) return 0;
    if (masks == e->mask_room) {
        uint8_t *grown = realloc(w->masks, ((size_t)2 * masks + 1) * words * 4);
        if (!grown) return fail(why, E_MEMORY, "no memory for masks of %u words", e->pipe->model->config.vocab);
        w->masks = grown;
        e->mask_room = 2 * masks + 1;
    }
    memcpy(w->masks + (size_t)w->n_mask_words * 4, mask, (size_t)words * 4);
    w->n_mask_words += words;
    g->flags |= SEG_MASKED;
    return 0;
}

/* The ids behind the rows that are judged. */
static uint32_t add_told(struct engine *e, const struct live *a, const struct segment *g, uint32_t n)
{
    const uint32_t first = g->position + g->rows - g->wanted;
    for (uint32_t i = 0; (g->flags & SEG_TOLD) && i < g->wanted; i++) told_put(e->judged, n++, judged_at(a, first + i));
    return n;
}

/* It has just got its slot, and with it the rows of a beginning. */
static void go_on_behind(struct engine *e, struct live *a, uint32_t slot)
{
    uint32_t rows;
    uint64_t history;
    beginnings_rows(e, slot, &rows, &history);
    live_reuses(e, a, rows, history);
}

static int fill_work(struct engine *e, const struct schedule_batch *b, struct err *why)
{
    struct work *w = &e->work;
    uint32_t told = 0;
    w->batch = b->id;
    w->told = e->judged;
    w->n_segments = b->n_moves;
    w->n_rows = w->n_biases = w->n_mask_words = 0;
    w->n_orders = e->pages ? pages_orders(e->pages, w->orders) : 0;
    w->dtype = e->pipe->plan.capacity.mode.wire;
    w->cols = e->pipe->model->config.hidden;
    for (uint32_t i = 0; i < b->n_moves; i++) {
        const struct move *m = &b->moves[i];
        struct live *a = mover(e, m);
        if (m->position && !a->sent) go_on_behind(e, a, m->slot);
        w->segments[i] = segment_of(a, m);
        TRY(add_biases(e, a, m, why));
        TRY(add_mask(e, a, &w->segments[i], why));
        told = add_told(e, a, &w->segments[i], told);
        a->slot = m->slot;
        for (uint32_t k = 0; k < m->rows; k++) {
            if (k + m->guesses == m->rows) a->sure = m->position + k, a->sure_history = a->history;
            struct row row = row_of(e, a, m->position + k);
            w->rows[w->n_rows++] = row;
            a->history = history_after(a->history, row.id);
        }
        a->sent = m->position + m->rows;
        if (a->sharing.next && a->sent == a->sharing.next) beginnings_keep(e, a, m->slot);
    }
    return 0;
}

/* Embedding rows are scaled, a picture's rows are not: docs/MODEL.md, "Forward pass". */
static int fill_activations(const struct engine *e, const struct schedule_batch *b, uint8_t *row, float *embedded, uint8_t *out, struct err *why)
{
    const struct model *m = e->pipe->model;
    const enum wire_dtype type = e->work.dtype;
    const size_t hidden = m->config.hidden, bytes = wire_value_bytes(type);
    for (uint32_t i = 0; i < b->n_moves; i++) {
        const struct move *v = &b->moves[i];
        const struct live *a = e->in_slot[v->slot];
        for (uint32_t k = 0; k < v->rows; k++, out += hidden * bytes) {
            uint32_t at = v->position + k;
            const struct picture_span *p = a->spans.n ? span_at(a, at) : NULL;
            if (p) {
                wire_put(type, out, pictures_rows(e->pictures, (uint32_t)p->picture) + (at - p->first) * hidden, hidden);
                continue;
            }
            TRY(pipeline_embedding(e->pipe, token_at(a, at), row, why));
            embed_row(&m->embedding, e->scale, row, embedded);
            wire_put(type, out, embedded, hidden);
        }
    }
    return pipeline_files_unchanged(e->pipe, why);
}

static void tell_sent(const struct engine *e, const struct schedule_batch *b)
{
    struct happened_rows rows[WIRE_SEGMENTS];
    if (!e->watchers.n) return;
    for (uint32_t i = 0; i < b->n_moves; i++) {
        const struct live *a = e->in_slot[b->moves[i].slot];
        rows[i] = (struct happened_rows){a->number, b->moves[i].position, b->moves[i].rows, b->moves[i].guesses};
    }
    const struct happened h = {.what = BATCH_SENT, .at_ns = clock_now(e->clock), .number = b->id, .amount = b->rows, .rows = rows,
                               .n = b->n_moves};
    tell_watchers(&e->watchers, &h);
}

static int send_batch(struct engine *e, const struct schedule_batch *b, struct err *why)
{
    struct work *w = &e->work;
    struct frame *f = NULL;
    TRY(fill_work(e, b, why));
    TRY(work_write(&f, w, why));
    uint8_t *row = malloc(block_row_bytes(e->pipe->model->embedding.type, w->cols));
    float *embedded = malloc(w->cols * sizeof *embedded);
    const int code = row && embedded ? fill_activations(e, b, row, embedded, w->activations, why) : fail(why, E_MEMORY, "no memory for a row");
    free(row);
    free(embedded);
    if (code) return frame_free(f), code;
    for (uint32_t i = 0; i < b->n_moves; i++) live_needs(e, e->in_slot[b->moves[i].slot], e->in_slot[b->moves[i].slot]->sent);
    e->totals.batches++;
    e->totals.rows += w->n_rows;
    tell_sent(e, b);
    verify_sent(e, b);
    guesses_sent(e, b);
    pace_sent(e);
    return pipeline_send(e->pipe, route_first(e->route), &f, why);
}

int rows_send(struct engine *e, struct err *why)
{
    struct schedule_batch b;
    while (e->scheduler && schedule_next(e->scheduler, &b)) TRY(send_batch(e, &b, why));
    return 0;
}
