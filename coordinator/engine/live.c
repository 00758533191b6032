/* coordinator/engine/live.c — who is alive: a list of all in the order they came, and one for each state.
 *
 * However many wait for a slot, a turn looks only at those it can do something for: asks whose pictures may have come, listeners
 * that were full, those who leave. */
#include "coordinator/engine/live.h"

#include <stdlib.h>

static void list_add(struct live_list *list, struct live *a)
{
    a->previous = list->last;
    a->next = NULL;
    *(list->last ? &list->last->next : &list->first) = a;
    list->last = a;
    list->n++;
}

static void list_remove(struct live_list *list, struct live *a)
{
    *(a->previous ? &a->previous->next : &list->first) = a->next;
    *(a->next ? &a->next->previous : &list->last) = a->previous;
    list->n--;
}

void live_enter(struct engine *e, struct live *a)
{
    a->before = e->last;
    a->after = NULL;
    *(e->last ? &e->last->after : &e->first) = a;
    e->last = a;
    e->n_live++;
    a->state = WAITING;
    list_add(&e->in[WAITING], a);
}

void live_unlink(struct engine *e, struct live *a)
{
    *(a->before ? &a->before->after : &e->first) = a->after;
    *(a->after ? &a->after->before : &e->last) = a->before;
    e->n_live--;
    list_remove(&e->in[a->state], a);
}

void live_free(struct live *a)
{
    ids_free(&a->ids);
    biases_free(&a->biases);
    picture_spans_free(&a->spans);
    lookup_free(&a->lookup);
    free(a->sharing.hash);
    free(a);
}

void live_to(struct engine *e, struct live *a, enum live_state state)
{
    list_remove(&e->in[a->state], a);
    a->state = state;
    list_add(&e->in[state], a);
}

struct live *live_find(const struct engine *e, uint64_t number)
{
    struct live *a = e->first;
    while (a && a->number != number) a = a->after;
    return a;
}

struct live *live_find_in(const struct engine *e, enum live_state state, uint64_t number)
{
    struct live *a = e->in[state].first;
    while (a && a->number != number) a = a->next;
    return a;
}
