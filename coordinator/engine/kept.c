/* coordinator/engine/kept.c — slots that keep what they hold after their answer, until somebody needs the slot or its pages.
 *
 * An ask that begins with exactly those rows goes on there, so a conversation costs only its new rows: a ring of the window cannot be
 * continued from an earlier row, so a slot is of use where it ends and nowhere else. */
#include "coordinator/engine/live.h"

#include "base/planted.h"

#include <stdlib.h>

/* ---- rows that are held somewhere ---- */

static uint32_t spans_before(const struct live *a, uint32_t rows)
{
    uint32_t n = 0;
    while (n < a->spans.n && a->spans.span[n].first < rows) n++;
    return n;
}

bool held_copy(const struct engine *e, const struct live *a, uint32_t rows, struct held *out)
{
    const uint32_t pictures = spans_before(a, rows);
    *out = (struct held){.rows = rows};
    out->row_ids = malloc(rows * sizeof *out->row_ids);
    out->pictures = malloc((pictures + 1) * sizeof *out->pictures);
    if (!out->row_ids || !out->pictures) return held_free(out), false;
    for (uint32_t i = 0; i < rows; i++) out->row_ids[i] = row_id_at(e, a, i);
    for (uint32_t i = 0; i < pictures; i++) out->pictures[i] = pictures_hash(e->pictures, (uint32_t)a->spans.span[i].picture);
    return true;
}

void held_free(struct held *h)
{
    free(h->row_ids);
    free(h->pictures);
    *h = (struct held){0};
}

bool cuts_a_picture(const struct live *a, uint32_t rows)
{
    const struct picture_span *across = a->spans.n ? span_at(a, rows) : NULL;
    return across && across->first < rows;
}

bool held_begins(const struct engine *e, const struct live *a, const struct held *h)
{
    if (h->rows > live_unasked(a) + a->made || cuts_a_picture(a, h->rows)) return false;
    for (uint32_t i = h->rows; i-- > 0;) /* backwards: many begin alike, and an ask that waits for pictures is looked for each turn */
        if (h->row_ids[i] != row_id_at(e, a, i)) return false;
    for (uint32_t i = spans_before(a, h->rows); i-- > 0;)
        if (!hash128_same(h->pictures[i], pictures_hash(e->pictures, (uint32_t)a->spans.span[i].picture))) return false;
    return true;
}

/* ---- slots ---- */

static uint32_t slot_of(const struct engine *e, const struct live *a)
{
    for (uint32_t i = 0; i < e->slots; i++)
        if (e->in_slot[i] == a) return i;
    return UINT32_MAX;
}

bool kept_put(struct engine *e, const struct live *a)
{
    const uint32_t slot = slot_of(e, a);
    if (slot == UINT32_MAX || !a->sent) return false; /* its ask ended after a restart, before it went on */
    struct held rows;
    if (!held_copy(e, a, a->sent, &rows)) return false;
    e->kept[slot] = (struct kept){.used = true, .number = a->number, .salt = a->ask.salt, .held = rows, .history = a->history,
                                  .since = e->next_since++};
    return true;
}

struct kept *kept_longest(const struct engine *e)
{
    struct kept *oldest = NULL;
    for (uint32_t i = 0; i < e->slots; i++)
        if (e->kept[i].used && (!oldest || e->kept[i].since < oldest->since)) oldest = &e->kept[i];
    return oldest;
}

static void forget(struct kept *k)
{
    held_free(&k->held);
    *k = (struct kept){0};
}

void kept_give_up(struct engine *e, struct kept *k)
{
    if (!PLANTED(SLOT_NOT_GIVEN_BACK) || !e->losses) schedule_leave(e->scheduler, k->number);
    forget(k);
}

void kept_forget_all(struct engine *e)
{
    for (uint32_t i = 0; e->kept && i < e->slots; i++) forget(&e->kept[i]);
}

struct kept *kept_find(const struct engine *e, const struct live *a)
{
    struct kept *best = NULL;
    for (uint32_t s = 0; s < e->slots; s++) {
        struct kept *k = &e->kept[s];
        if (!k->used || k->salt != a->ask.salt || (best && k->held.rows <= best->held.rows) || !held_begins(e, a, &k->held)) continue;
        if (!e->pages || pages_could_go_on(e->pages, s, live_rows_most(e, a))) best = k;
    }
    return best;
}

int kept_go_on(struct engine *e, struct live *a, struct kept *k, struct err *why)
{
    struct span *spans;
    uint32_t n;
    const uint32_t rows = k->held.rows;
    TRY(spans_from(a, rows, &spans, &n, why));
    int code = schedule_more(e->scheduler, k->number, (uint32_t)a->ids.n - rows, spans, n, why);
    free(spans);
    if (code) return code;
    schedule_hand_over(e->scheduler, k->number, a->number, a->ask.priority);
    live_reuses(e, a, rows, k->history);
    e->in_slot[k - e->kept] = a;
    forget(k);
    return 0;
}
