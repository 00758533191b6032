/* coordinator/engine/kept.c — slots that keep what they hold after their answer, until somebody needs the slot or its pages.
 *
 * An ask that begins with exactly those rows goes on there, so a conversation costs only its new rows: a ring of the window cannot be
 * continued from an earlier row, so a slot is of use where it ends and nowhere else. */
#include "coordinator/engine/live.h"

#include <stdlib.h>

static void forget(struct kept *k)
{
    free(k->row_ids);
    *k = (struct kept){0};
}

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
    uint32_t *ids = malloc(a->sent * sizeof *ids);
    if (!ids) return false;
    for (uint32_t i = 0; i < a->sent; i++) ids[i] = row_id_at(e, a, i);
    e->kept[slot] = (struct kept){.used = true, .number = a->number, .row_ids = ids, .rows = a->sent, .history = a->history,
                                  .since = e->next_since++};
    return true;
}

static struct kept *longest_ago(const struct engine *e)
{
    struct kept *oldest = NULL;
    for (uint32_t i = 0; i < e->slots; i++)
        if (e->kept[i].used && (!oldest || e->kept[i].since < oldest->since)) oldest = &e->kept[i];
    return oldest;
}

static void give_up(struct engine *e, struct kept *k)
{
    schedule_leave(e->scheduler, k->number);
    forget(k);
}

void kept_make_room(struct engine *e)
{
    for (struct kept *k; schedule_lack(e->scheduler) != LACKS_NOTHING && (k = longest_ago(e));) give_up(e, k);
}

void kept_give_up_all(struct engine *e)
{
    for (struct kept *k; (k = longest_ago(e));) give_up(e, k);
}

/* Not all of the ask: a token follows a row. */
struct kept *kept_find(const struct engine *e, const struct live *a)
{
    struct kept *best = NULL;
    if (a->ask.want_scores) return NULL; /* of every row */
    for (uint32_t s = 0; s < e->slots; s++) {
        struct kept *k = &e->kept[s];
        if (!k->used || k->rows >= a->ids.n || (best && k->rows <= best->rows)) continue;
        uint32_t i = 0;
        while (i < k->rows && k->row_ids[i] == row_id_at(e, a, i)) i++;
        const struct picture_span *across = a->spans.n ? span_at(a, k->rows) : NULL;
        if (i == k->rows && !(across && across->first < k->rows)) best = k;
    }
    return best;
}

int kept_go_on(struct engine *e, struct live *a, struct kept *k, struct err *why)
{
    struct span *spans;
    uint32_t n;
    TRY(spans_from(a, k->rows, &spans, &n, why));
    int code = schedule_more(e->scheduler, k->number, (uint32_t)a->ids.n - k->rows, spans, n, why);
    free(spans);
    if (code) return code;
    schedule_hand_over(e->scheduler, k->number, a->number, a->ask.priority);
    a->sent = a->reused = k->rows;
    a->history = k->history;
    e->totals.prompt_rows -= k->rows;
    e->in_slot[k - e->kept] = a;
    forget(k);
    return 0;
}
