/* base/diary.c — see diary.h. */
#include "base/diary.h"

#include <stddef.h>

void diary_add(struct diary *d, struct diary_span s)
{
    d->span[d->n++ % DIARY_SPANS] = s;
}

void diary_extend(struct diary *d, struct diary_span s)
{
    struct diary_span *last = d->n ? &d->span[(d->n - 1) % DIARY_SPANS] : NULL;
    if (!last || last->what != s.what || last->number != s.number) {
        diary_add(d, s);
        return;
    }
    last->end_ns = s.end_ns;
    last->amount += s.amount;
}

uint64_t diary_oldest(const struct diary *d)
{
    return d->n > DIARY_SPANS ? d->n - DIARY_SPANS : 0;
}

const struct diary_span *diary_at(const struct diary *d, uint64_t i)
{
    return &d->span[i % DIARY_SPANS];
}
