/* worker/stage/sequences.c — see sequences.h. Memory: about 1.5 KiB a slot or beginning, taken at the start. */
#include "worker/stage/sequences.h"

#include <stdlib.h>

static uint64_t history_at(const struct sequence *q, uint32_t rows)
{
    return q->histories[rows % RECENT_HISTORIES];
}

static void forget(struct sequences *s, uint32_t i)
{
    kv_become(s->kv, &s->all[i].held, &(struct kv_held){.of = i});
    s->all[i].histories[0] = HISTORY_EMPTY;
}

int sequences_open(struct sequences *s, const struct capacity *capacity, struct kv *kv, struct err *why)
{
    *s = (struct sequences){.kv = kv, .n = capacity->sequences + WIRE_BEGINNINGS, .capacity = *capacity};
    s->all = calloc(s->n, sizeof *s->all);
    s->outlook = calloc(s->n, sizeof *s->outlook);
    if (!s->all || !s->outlook)
        return fail(why, E_MEMORY, "no memory for the table of %u sequences and %d beginnings (%zu bytes)", capacity->sequences,
                    WIRE_BEGINNINGS, s->n * (sizeof *s->all + sizeof *s->outlook));
    for (uint32_t i = 0; i < s->n; i++) {
        s->all[i].held.of = i;
        forget(s, i);
    }
    return 0;
}

void sequences_close(struct sequences *s)
{
    free(s->all);
    free(s->outlook);
    *s = (struct sequences){0};
}

/* ---- checking: on paper ---- */

static struct outlook *outlook_of(struct sequences *s, uint32_t i)
{
    struct outlook *o = &s->outlook[i];
    const struct sequence *q = &s->all[i];
    if (o->check != s->checks) *o = (struct outlook){s->checks, q->held, history_at(q, q->held.rows), 0};
    return o;
}

static void foresee_nothing(struct outlook *o)
{
    o->held = (struct kv_held){.of = o->held.of};
    o->history = HISTORY_EMPTY;
}

/* Only a slot whose rows are its own, and not a beginning's, can go back to fewer: so the histories are its own too. */
static int check_back(struct sequences *s, const struct order *m, struct outlook *slot, struct err *why)
{
    const struct kv_held *h = &slot->held;
    if (m->rows > h->rows || h->most - m->rows > WIRE_DRAFT || !kv_may_go_back(s->kv, h, m->rows))
        return fail(why, E_WIRE, "slot %u is to go back to %u rows; it has %u and had %u, of which %u may be somebody else's, and the last "
                    "%d at most are taken back", m->slot, m->rows, h->rows, h->most, h->shared, WIRE_DRAFT);
    const uint64_t history = m->rows == h->rows ? slot->history : history_at(&s->all[m->slot], m->rows);
    if (m->history != history)
        return fail(why, E_WIRE, "slot %u is to go back to %u rows of other tokens than it holds: %016llx, not %016llx", m->slot, m->rows,
                    (unsigned long long)m->history, (unsigned long long)history);
    slot->held.rows = m->rows;
    slot->history = history;
    return 0;
}

/* KEEP and BEGIN name rows by number and history: `of` must have exactly these. */
static int check_named(const struct order *m, const struct outlook *of, const char *what, uint32_t number, struct err *why)
{
    if (m->rows && of->held.rows == m->rows && of->history == m->history) return 0;
    return fail(why, E_WIRE, "%u rows of history %016llx are to be shared; %s %u has %u of history %016llx", m->rows,
                (unsigned long long)m->history, what, number, of->held.rows, (unsigned long long)of->history);
}

static int check_keep(const struct order *m, struct outlook *slot, struct outlook *beginning, struct err *why)
{
    if (beginning->held.rows)
        return fail(why, E_WIRE, "%u rows are to be beginning %u, which has %u already", m->rows, m->beginning, beginning->held.rows);
    if (m->rows % KV_PAGE) return fail(why, E_WIRE, "%u rows cannot be a beginning: it must end with a block of %d", m->rows, KV_PAGE);
    TRY(check_named(m, slot, "slot", m->slot, why));
    slot->held = kv_kept(slot->held);
    beginning->held = slot->held;
    beginning->history = slot->history;
    return 0;
}

static int check_begin(const struct order *m, struct outlook *slot, const struct outlook *beginning, struct err *why)
{
    if (slot->held.rows) return fail(why, E_WIRE, "slot %u is to begin anew; it holds %u rows", m->slot, slot->held.rows);
    TRY(check_named(m, beginning, "beginning", m->beginning, why));
    slot->held = beginning->held;
    slot->history = beginning->history;
    return 0;
}

static int check_order(struct sequences *s, const struct order *m, struct err *why)
{
    if (m->slot >= s->capacity.sequences)
        return fail(why, E_WIRE, "an order for slot %u, but there are slots 0 to %u", m->slot, s->capacity.sequences - 1);
    if (m->beginning >= WIRE_BEGINNINGS)
        return fail(why, E_WIRE, "an order about beginning %u; there are 0 to %d", m->beginning, WIRE_BEGINNINGS - 1);
    struct outlook *slot = outlook_of(s, m->slot), *beginning = outlook_of(s, s->capacity.sequences + m->beginning);
    switch (m->kind) {
    case ORDER_FORGET: foresee_nothing(slot); return 0;
    case ORDER_KEEP: return check_keep(m, slot, beginning, why);
    case ORDER_BEGIN: return check_begin(m, slot, beginning, why);
    case ORDER_BACK: return check_back(s, m, slot, why);
    case ORDER_DROP:
        if (!beginning->held.rows) return fail(why, E_WIRE, "beginning %u is to be dropped; there is none", m->beginning);
        foresee_nothing(beginning);
        return 0;
    default: return fail(why, E_WIRE, "an order of kind %u", m->kind);
    }
}

static int check_continues(const struct outlook *o, const struct segment *g, struct err *why)
{
    if (g->position != o->held.rows)
        return fail(why, E_WIRE, "rows for slot %u start at position %u, but %s %u", g->slot, g->position,
                    g->flags & SEG_START ? "a new sequence starts at" : "the slot has come to", o->held.rows);
    if (g->history != o->history)
        return fail(why, E_WIRE, "rows for slot %u at %u follow other tokens than it holds: %016llx, not %016llx",
                    g->slot, g->position, (unsigned long long)g->history, (unsigned long long)o->history);
    return 0;
}

static int check_rows(const struct segment *g, const struct row *rows, struct err *why)
{
    uint32_t last = g->position + g->rows - 1;
    for (uint32_t i = 0; i < g->rows; i++)
        if (rows[i].sees < g->position + i || rows[i].sees > last)
            return fail(why, E_WIRE, "the row at position %u of slot %u wants to see up to %u; its segment ends at %u",
                        g->position + i, g->slot, rows[i].sees, last);
    return 0;
}

static int check_segment(struct sequences *s, const struct segment *g, const struct row *rows, uint32_t rows_left,
                         struct err *why)
{
    if (g->slot >= s->capacity.sequences)
        return fail(why, E_WIRE, "rows for slot %u, but there are slots 0 to %u", g->slot, s->capacity.sequences - 1);
    struct outlook *o = outlook_of(s, g->slot);
    if (o->coming) return fail(why, E_WIRE, "slot %u comes twice in one micro-batch", g->slot);
    if (g->rows == 0 || g->rows > rows_left)
        return fail(why, E_WIRE, "slot %u brings %u rows where 1 to %u can be", g->slot, g->rows, rows_left);
    if (g->flags & SEG_START) foresee_nothing(o);
    TRY(check_continues(o, g, why));
    if (g->rows > s->capacity.context - g->position) /* position is the slot's own length, so it fits */
        return fail(why, E_WIRE, "slot %u would hold %llu tokens; the context is %u", g->slot,
                    (unsigned long long)g->position + g->rows, s->capacity.context);
    o->coming = g->rows;
    return check_rows(g, rows, why);
}

/* All changes together are counted and taken back. Later, orders and new sequences give before rows take: so there is never less
 * free in between than there is at the end. */
static uint64_t count(struct sequences *s, int by)
{
    uint64_t wanted = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct outlook *o = &s->outlook[i];
        if (o->check != s->checks) continue;
        kv_count(s->kv, &s->all[i].held, &o->held, o->coming, by);
        wanted += kv_wanted(s->kv, &o->held, o->coming);
    }
    return wanted;
}

static int check_pages(struct sequences *s, struct err *why)
{
    const uint64_t wanted = count(s, 1), spare = s->kv->n_free;
    count(s, -1);
    if (wanted <= spare) return 0;
    return fail(why, E_WIRE, "a micro-batch needs %llu more pages of keys and values; %llu are free", (unsigned long long)wanted,
                (unsigned long long)spare);
}

int sequences_check(struct sequences *s, const struct work *w, struct err *why)
{
    if (w->n_rows > s->capacity.rows || w->n_rows > WIRE_ROWS)
        return fail(why, E_WIRE, "a micro-batch of %u rows; the plan says at most %u", w->n_rows, s->capacity.rows);
    if (w->n_segments > WIRE_SEGMENTS)
        return fail(why, E_WIRE, "a micro-batch of %u segments; at most %u can be", w->n_segments, WIRE_SEGMENTS);
    if (w->n_orders > WIRE_ORDERS)
        return fail(why, E_WIRE, "a micro-batch of %u orders; at most %d can be", w->n_orders, WIRE_ORDERS);
    s->checks++;
    for (uint32_t i = 0; i < w->n_orders; i++) TRY(check_order(s, &w->orders[i], why));
    uint32_t row = 0;
    for (uint32_t i = 0; i < w->n_segments; i++) {
        TRY(check_segment(s, &w->segments[i], w->rows + row, w->n_rows - row, why));
        row += w->segments[i].rows;
    }
    if (row != w->n_rows)
        return fail(why, E_WIRE, "a micro-batch says it has %u rows, its segments have %u", w->n_rows, row);
    return check_pages(s, why);
}

int sequences_check_last(const struct sequences *s, const struct work *w, struct err *why)
{
    if (w->n_rows > s->capacity.rows)
        return fail(why, E_WIRE, "%u rows to be scored; the plan says at most %u", w->n_rows, s->capacity.rows);
    for (uint32_t i = 0; i < w->n_segments; i++) {
        const struct segment *g = &w->segments[i];
        if (g->slot >= s->capacity.sequences)
            return fail(why, E_WIRE, "a row of slot %u is to be scored, but there are slots 0 to %u", g->slot, s->capacity.sequences - 1);
        const uint32_t end = g->position + g->rows, rows = s->all[g->slot].held.rows;
        const bool draws = g->wanted && !(g->flags & SEG_TOLD);
        if (rows > end && !draws) continue; /* nothing is looked back at for scores alone, and rows behind may have come */
        if (rows != end || sequences_history(s, g->slot, rows) != g->history)
            return fail(why, E_WIRE, "the row at position %u of slot %u is to be scored; this stage has seen %u rows%s", end - 1, g->slot,
                        rows, rows == end ? " with other tokens" : "");
    }
    return 0;
}

/* ---- what was checked happens ---- */

static void copy(struct sequences *s, uint32_t to, uint32_t from)
{
    const struct kv_held mine = s->all[to].held;
    s->all[to] = s->all[from];
    s->all[to].held = mine;
    kv_become(s->kv, &s->all[to].held, &s->all[from].held);
}

static void obey(struct sequences *s, const struct order *m)
{
    struct kv_held *held = &s->all[m->slot].held, is = *held;
    const uint32_t beginning = s->capacity.sequences + m->beginning;
    switch (m->kind) {
    case ORDER_FORGET: forget(s, m->slot); return;
    case ORDER_DROP: forget(s, beginning); return;
    case ORDER_BEGIN: copy(s, m->slot, beginning); return;
    case ORDER_BACK:
        is.rows = m->rows;
        kv_become(s->kv, held, &is);
        return;
    default: /* ORDER_KEEP */
        is = kv_kept(is);
        kv_become(s->kv, held, &is);
        copy(s, beginning, m->slot);
    }
}

void sequences_advance(struct sequences *s, const struct work *w)
{
    const struct row *row = w->rows;
    for (uint32_t i = 0; i < w->n_orders; i++) obey(s, &w->orders[i]);
    for (uint32_t i = 0; i < w->n_segments; i++)
        if (w->segments[i].flags & SEG_START) forget(s, w->segments[i].slot);
    for (uint32_t i = 0; i < w->n_segments; i++) {
        const struct segment *g = &w->segments[i];
        struct sequence *q = &s->all[g->slot];
        uint64_t history = g->history;
        kv_grow(s->kv, &q->held, g->rows);
        for (uint32_t p = g->position, end = p + g->rows; p < end; p++, row++) {
            q->recent[p % RECENT_IDS] = row->id;
            history = q->histories[(p + 1) % RECENT_HISTORIES] = history_after(history, row->id);
        }
    }
}

void sequences_pretend(struct sequences *s, uint32_t slot, uint32_t rows)
{
    struct sequence *q = &s->all[slot];
    forget(s, slot);
    kv_grow(s->kv, &q->held, rows);
    q->histories[rows % RECENT_HISTORIES] = 0;
}

uint64_t sequences_history(const struct sequences *s, uint32_t slot, uint32_t rows)
{
    return history_at(&s->all[slot], rows);
}

uint32_t sequences_recent(const struct sequences *s, uint32_t slot, uint32_t position, uint32_t most,
                          uint32_t out[REPEAT_LAST_MOST])
{
    const struct sequence *q = &s->all[slot];
    uint32_t n = position + 1 < most ? position + 1 : most;
    if (n > REPEAT_LAST_MOST) n = REPEAT_LAST_MOST;
    for (uint32_t i = 0; i < n; i++) out[i] = q->recent[(position + 1 - n + i) % RECENT_IDS];
    return n;
}
