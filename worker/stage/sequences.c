/* worker/stage/sequences.c — see sequences.h. Memory: about 1 KiB a slot, taken at the start. */
#include "worker/stage/sequences.h"

#include <stdlib.h>

int sequences_open(struct sequences *s, const struct capacity *capacity, struct err *why)
{
    *s = (struct sequences){.capacity = *capacity};
    s->slots = calloc(capacity->sequences, sizeof *s->slots);
    if (!s->slots)
        return fail(why, E_MEMORY, "no memory for the table of %u sequences (%zu bytes)", capacity->sequences,
                    (size_t)capacity->sequences * sizeof *s->slots);
    for (uint32_t i = 0; i < capacity->sequences; i++) s->slots[i].history = HISTORY_EMPTY;
    return 0;
}

void sequences_close(struct sequences *s)
{
    free(s->slots);
    *s = (struct sequences){0};
}

/* What the slot must hold for the segment to be its next part. */
static int check_continues(const struct sequence *held, const struct segment *g, struct err *why)
{
    uint32_t length = g->flags & SEG_START ? 0 : held->length;
    uint64_t history = g->flags & SEG_START ? HISTORY_EMPTY : held->history;
    if (g->position != length)
        return fail(why, E_WIRE, "rows for slot %u start at position %u, but %s %u", g->slot, g->position,
                    g->flags & SEG_START ? "a new sequence starts at" : "the slot has come to", length);
    if (g->history != history)
        return fail(why, E_WIRE, "rows for slot %u at %u follow other tokens than it holds: %016llx, not %016llx",
                    g->slot, g->position, (unsigned long long)g->history, (unsigned long long)history);
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
    struct sequence *held = &s->slots[g->slot];
    if (held->mark == s->checks) return fail(why, E_WIRE, "slot %u comes twice in one micro-batch", g->slot);
    held->mark = s->checks;
    if (g->rows == 0 || g->rows > rows_left)
        return fail(why, E_WIRE, "slot %u brings %u rows where 1 to %u can be", g->slot, g->rows, rows_left);
    TRY(check_continues(held, g, why));
    if (g->rows > s->capacity.context - g->position) /* position is the slot's own length, so it fits */
        return fail(why, E_WIRE, "slot %u would hold %llu tokens; the context is %u", g->slot,
                    (unsigned long long)g->position + g->rows, s->capacity.context);
    return check_rows(g, rows, why);
}

int sequences_check(struct sequences *s, const struct work *w, struct err *why)
{
    if (w->n_rows > s->capacity.rows || w->n_rows > WIRE_ROWS)
        return fail(why, E_WIRE, "a micro-batch of %u rows; the plan says at most %u", w->n_rows, s->capacity.rows);
    if (w->n_segments > WIRE_SEGMENTS)
        return fail(why, E_WIRE, "a micro-batch of %u segments; at most %u can be", w->n_segments, WIRE_SEGMENTS);
    if (w->n_orders) return fail(why, E_WIRE, "%u orders about keys and values: not known to this worker", w->n_orders);
    s->checks++;
    uint32_t row = 0;
    for (uint32_t i = 0; i < w->n_segments; i++) {
        TRY(check_segment(s, &w->segments[i], w->rows + row, w->n_rows - row, why));
        row += w->segments[i].rows;
    }
    if (row != w->n_rows)
        return fail(why, E_WIRE, "a micro-batch says it has %u rows, its segments have %u", w->n_rows, row);
    return 0;
}

int sequences_check_last(const struct sequences *s, const struct work *w, struct err *why)
{
    if (w->n_rows > s->capacity.rows)
        return fail(why, E_WIRE, "%u rows to be scored; the plan says at most %u", w->n_rows, s->capacity.rows);
    for (uint32_t i = 0; i < w->n_segments; i++) {
        const struct segment *g = &w->segments[i];
        if (g->slot >= s->capacity.sequences)
            return fail(why, E_WIRE, "a row of slot %u is to be scored, but there are slots 0 to %u", g->slot, s->capacity.sequences - 1);
        const struct sequence *held = &s->slots[g->slot];
        const uint32_t last = g->position + g->rows - 1;
        if (held->length != last + 1 || held->history != g->history)
            return fail(why, E_WIRE, "the row at position %u of slot %u is to be scored; this stage has seen %u rows%s", last, g->slot,
                        held->length, held->length == last + 1 ? " with other tokens" : "");
    }
    return 0;
}

void sequences_advance(struct sequences *s, const struct work *w)
{
    const struct row *row = w->rows;
    for (uint32_t i = 0; i < w->n_segments; i++) {
        const struct segment *g = &w->segments[i];
        struct sequence *held = &s->slots[g->slot];
        if (g->flags & SEG_START) held->length = 0, held->history = HISTORY_EMPTY;
        for (uint32_t r = 0; r < g->rows; r++, row++) {
            held->recent[held->length++ % RECENT_IDS] = row->id;
            held->history = history_after(held->history, row->id);
        }
    }
}

uint32_t sequences_recent(const struct sequences *s, uint32_t slot, uint32_t position, uint32_t most,
                          uint32_t out[REPEAT_LAST_MOST])
{
    const struct sequence *held = &s->slots[slot];
    uint32_t n = position + 1 < most ? position + 1 : most;
    if (n > REPEAT_LAST_MOST) n = REPEAT_LAST_MOST;
    for (uint32_t i = 0; i < n; i++) out[i] = held->recent[(position + 1 - n + i) % RECENT_IDS];
    return n;
}
