/* tests/support/leftovers.h — when all that was asked is answered: no slot is anybody's, no page is held but for what is kept on purpose. */
#pragma once

#include "coordinator/engine/live.h"

/* The engine is of no use afterwards. */
static inline bool nothing_is_left(const struct engine *e)
{
    uint32_t kept = 0, beginnings;
    for (uint32_t i = 0; i < e->slots; i++) {
        if (e->in_slot[i]) return false;
        kept += e->kept[i].used;
    }
    for (uint32_t i = 0; i < e->slots; i++)
        if (e->kept[i].used) schedule_leave(e->scheduler, e->kept[i].number);
    uint64_t gone;
    uint32_t left = 0;
    while (schedule_left(e->scheduler, &gone)) left++;
    return !e->first && !schedule_in_flight(e->scheduler) && !schedule_waiting(e->scheduler) && left == kept &&
           pages_are_free(e->pages, &beginnings);
}
