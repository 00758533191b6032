/* coordinator/cluster/remedy.h — what is done about a member that is lost: decided here and nowhere else.
 *
 * Pure: what happened in, what to do out. Whoever receives an event that is no frame asks here and does as told. */
#pragma once

#include "coordinator/cluster/roster.h"

enum remedy {
    REMEDY_NONE,    /* nothing is wrong: go on */
    REMEDY_GIVE_UP, /* the run is over; `why` holds the sentence and the exit status */
};

enum remedy remedy_of(const struct event *what, struct err *why);

/* The same for callers that can only go on or stop: 0, or the code of *why. */
int remedy_or_fail(const struct event *what, struct err *why);
