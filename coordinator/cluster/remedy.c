/* coordinator/cluster/remedy.c — see remedy.h. Giving up with the sentence of the loss is the only remedy yet. */
#include "coordinator/cluster/remedy.h"

enum remedy remedy_of(const struct event *what, struct err *why)
{
    switch (what->kind) {
    case EVENT_LOST:
    case EVENT_FAULT:
    case EVENT_INTERRUPTED: *why = what->why; return REMEDY_GIVE_UP;
    case EVENT_NONE:
    case EVENT_FRAME:
    case EVENT_JOINED:
    case EVENT_REPORT:
    case EVENT_WOKEN: break;
    }
    return REMEDY_NONE;
}

int remedy_or_fail(const struct event *what, struct err *why)
{
    return remedy_of(what, why) == REMEDY_GIVE_UP ? why->code : 0;
}
