/* coordinator/serve/fair.c — see fair.h. */
#include "coordinator/serve/fair.h"

#include <stdlib.h>

#define PRICE_PROMPT 1
#define PRICE_MADE 2

struct waiting {
    struct waiting *next;
    void *item;
    uint64_t arrival;
};

struct owner {
    struct waiting *first, **last;
    uint64_t account;
    size_t under_way;
};

struct fair {
    struct owner *owner; /* [owners] */
    size_t owners, waiting;
    uint64_t arrivals;
};

int fair_open(struct fair **out, size_t owners, struct err *why)
{
    struct fair *f = *out = calloc(1, sizeof *f);
    if (f) f->owner = calloc(owners, sizeof *f->owner);
    if (!f || !f->owner) {
        fair_close(out);
        return fail(why, E_MEMORY, "no memory for the accounts of %zu who may ask", owners);
    }
    f->owners = owners;
    for (size_t i = 0; i < owners; i++) f->owner[i].last = &f->owner[i].first;
    return 0;
}

void fair_close(struct fair **pf)
{
    struct fair *f = *pf;
    size_t owner;
    *pf = NULL;
    if (!f) return;
    while (fair_take(f, &owner)) continue;
    free(f->owner);
    free(f);
}

static bool is_idle(const struct owner *o)
{
    return !o->first && !o->under_way;
}

/* Comes back from being idle: nothing was saved up. */
static void catch_up(struct fair *f, struct owner *o)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < f->owners; i++)
        if (!is_idle(&f->owner[i]) && f->owner[i].account < least) least = f->owner[i].account;
    if (least != UINT64_MAX && o->account < least) o->account = least;
}

int fair_put(struct fair *f, size_t owner, void *item, struct err *why)
{
    struct owner *o = &f->owner[owner];
    struct waiting *w = malloc(sizeof *w);
    if (!w) return fail(why, E_MEMORY, "no memory for one more who waits");
    if (is_idle(o)) catch_up(f, o);
    *w = (struct waiting){NULL, item, f->arrivals++};
    *o->last = w;
    o->last = &w->next;
    f->waiting++;
    return 0;
}

void *fair_take(struct fair *f, size_t *owner)
{
    struct owner *next = NULL;
    for (size_t i = 0; i < f->owners; i++) {
        struct owner *o = &f->owner[i];
        if (!o->first) continue;
        if (!next || o->account < next->account || (o->account == next->account && o->first->arrival < next->first->arrival)) next = o;
    }
    if (!next) return NULL;
    struct waiting *w = next->first;
    void *item = w->item;
    next->first = w->next;
    if (!next->first) next->last = &next->first;
    next->under_way++;
    f->waiting--;
    free(w);
    *owner = (size_t)(next - f->owner);
    return item;
}

void *fair_drop(struct fair *f, bool (*drop)(void *item), size_t *owner)
{
    for (size_t i = 0; i < f->owners; i++) {
        struct owner *o = &f->owner[i];
        for (struct waiting **at = &o->first; *at; at = &(*at)->next) {
            struct waiting *w = *at;
            void *item = w->item;
            if (!drop(item)) continue;
            *at = w->next;
            if (!w->next) o->last = at;
            f->waiting--;
            free(w);
            *owner = i;
            return item;
        }
    }
    return NULL;
}

void fair_charge(struct fair *f, size_t owner, uint64_t prompt_tokens, uint64_t made)
{
    f->owner[owner].account += PRICE_PROMPT * prompt_tokens + PRICE_MADE * made;
}

void fair_done(struct fair *f, size_t owner)
{
    f->owner[owner].under_way--;
}

size_t fair_waiting(const struct fair *f)
{
    return f->waiting;
}
