/* coordinator/cluster/remedy.h — what is done about a member that is lost: decided here and nowhere else.
 *
 *   who has a part of the plan is lost ──► BEGIN_ANEW: greet all who live in a new epoch, call for others in the place of who is gone
 *   all who live have answered ──────────► PLAN, at once if they are as many as were wanted, else after SETTLE_NS, when who was
 *                                          started again had time to come
 *   too little memory in these few ──────► WAIT for others, until nobody has come for as long as was allowed ──► GIVE_UP
 *   who has no part is lost ─────────────► CALL for another one; the work goes on
 *
 * Who broke the protocol is lost like any other: what it says cannot be used, but the others and who takes its place are as good as ever.
 *
 * Where all end with one (MPI, threads of one process) and where nobody is to be waited for, a loss is the end. So is what no other
 * worker would do better: a command line, a file or a memory that do not fit, Ctrl-C.
 *
 * Pure: what happened and who is there in, what to do out. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define SETTLE_NS 2000000000ull /* for a process that was started again; loading is not in it */

enum remedy {
    REMEDY_NONE,       /* nothing is to be done now */
    REMEDY_CALL,
    REMEDY_BEGIN_ANEW,
    REMEDY_PLAN,
    REMEDY_WAIT,       /* the same as none, for people: it lasts until somebody comes */
    REMEDY_GIVE_UP,    /* the run is over */
};

struct situation {
    int lost;              /* code of what happened to a member that is lost now; 0: nobody is */
    bool working;          /* it had a part of the plan, or could get one: the plan is not made yet */
    bool outlived;         /* the others go on when one is gone, and others may come */
    uint64_t patience_ns;  /* for others to come after a loss; 0: a loss is the end */

    /* Of the epoch that is being begun; of no meaning while all are at work. */
    int wanted, here;      /* workers; of those who live so many have answered the greeting */
    int all;               /* that could answer at first, those to spare too */
    bool awaited;          /* somebody who lives and was here before has yet to answer */
    bool first;            /* nobody was lost so far: all are wanted, and how long they may take is for others to say */
    bool too_few;          /* those who are here lack memory for the model */
    uint64_t hearing_ns;   /* since they were greeted */
    uint64_t lost_ns;      /* since the loss */
};

enum remedy remedy_of(const struct situation *s);
