/* coordinator/engine/overdue.h — answers that are awaited, of which nobody says that it is at work on them.
 *
 * Whoever computes says so, and the roster watches whether it gets on (roster.h). What this sees is the rest: rows that were swallowed
 * between two workers, or by one that says it is done. In a chain rows arrive in order, so what counts is how long nothing at all of the
 * chain came home and no worker was busy with it. Who says for ever that it is at work, and gets on, is found by the steps that there are. */
#pragma once

#include "base/silence.h"
#include "partition/model/part.h"

struct engine;
struct frame;

struct overdue {
    struct silence still[CHAINS], home[CHAINS]; /* home: since anything came, whoever is at work */
    uint64_t most_ns[CHAINS]; /* the longest of `still` that ended with an answer */
};

/* A frame of a worker came. */
void overdue_heard(struct engine *e, const struct frame *f);

/* Once a turn. Who is found to be at fault is lost, by the roster's next event. */
void overdue_look(struct engine *e);
