/* coordinator/engine/hand_over.c — an ask goes from the engine of one replica to that of another, as fleet.h wants it.
 *
 * Nothing of it is under way then: it waits, or its own pipeline is gone. It takes along all it has, what was said included, and begins
 * there as after a loss (restart.c): with a prompt of all its ids, so nothing is told twice. */
#include "coordinator/engine/live.h"

#define ANSWER_COUNTS 128 /* tokens of an answer, at most, when engines are compared: how long it gets nobody knows, only the most */

static uint32_t count_placed(const struct engine *e, int *least_urgent)
{
    uint32_t n = e->in[FULL].n + e->in[LEAVING].n;
    for (enum live_state s = WAITING; s <= RUNNING; s++)
        for (const struct live *a = e->in[s].first; a; a = a->next) {
            if (!a->placed) continue;
            if (a->ask.priority < *least_urgent) *least_urgent = a->ask.priority;
            n++;
        }
    return n;
}

bool engine_has_room(const struct engine *e, const struct live *a)
{
    int least_urgent = a->ask.priority;
    if (!e->pipe->whole || e->pipe->hands_over || !e->whole || !e->scheduler) return false;
    return count_placed(e, &least_urgent) < e->slots || least_urgent < a->ask.priority;
}

/* Rows and tokens of asks that are at work here, by what the plan says of either. */
double engine_begins_in(const struct engine *e, const struct live *a, const struct rates *rates)
{
    const struct kept *k = kept_find(e, a);
    uint32_t kept = beginnings_kept(e, a);
    double rows = (double)a->ids.n, tokens = 0;
    if (k && k->held.rows > kept) kept = k->held.rows;
    for (const struct live *b = e->first; b; b = b->after) {
        const uint32_t left = b->ask.most - b->made;
        if (!b->placed) continue;
        rows += (double)b->ids.n - b->sent;
        tokens += left < ANSWER_COUNTS ? left : ANSWER_COUNTS;
    }
    return (rows - kept) / rates->prompts + tokens / rates->answers;
}

void engine_hand(struct engine *from, struct live *a, struct engine *to)
{
    const enum live_state state = a->state;
    const uint32_t prompt = (uint32_t)a->ids.n - a->made;
    live_begin_again(from, a);
    live_unlink(from, a);
    live_enter(to, a);
    live_to(to, a, state == FULL || (state == LEAVING && a->ending != FINISH_NOT) ? state : WAITING);
    live_needs_pictures(to, a);
    a->in_hand = 0;
    a->sharing.awaits = NO_BEGINNING;
    a->sharing.in_vain = false;
    from->totals.prompt_rows -= prompt;
    to->totals.prompt_rows += prompt;
    if (!to->totals.begun_ns || a->asked_ns < to->totals.begun_ns) to->totals.begun_ns = a->asked_ns;
    to->suspects |= a->suspected >= SUSPECTED_MOST;
    if (a->ask.deadline_ns && a->ask.deadline_ns < to->deadline_ns) to->deadline_ns = a->ask.deadline_ns;
}

void engine_hand_all(struct engine *from, struct engine *to)
{
    if (from->pictures) pictures_part(from->pictures);
    for (uint32_t i = 0; i < from->slots; i++) from->in_slot[i] = NULL;
    while (from->first) engine_hand(from, from->first, to);
}
