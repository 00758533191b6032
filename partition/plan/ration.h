/* partition/plan/ration.h — a worker that gets a part of the processor's time, as control groups give it: in bursts.
 *
 * A group gets its quota anew at the beginning of each period and computes at full speed until it is used up; then all its threads stand
 * still until the next. What was not used is not added to the next quota. The kernel looks at a tick only, so short quotas
 * are overdrawn, and what was too much is taken from the quotas that come next, one for each time the worker wakes or waits through a
 * beginning: a rest however long pays back one quota and no more. So measured on Linux 6.18 (docs/SPEED.md 52).
 *
 *   quota 1 ms of 5, a tick each 4 ms   |# . . . |# # # . |. . . . |. . . . |# …     # computes, . may not, | a period begins
 *
 * Seconds are those of the worker with all its threads at full speed. Numbers in, numbers out. */
#pragma once

#include <stdint.h>

#define GOLDEN 0.6180339887 /* the fractions of its multiples are spread evenly, whatever their number */

struct ration {
    double quota;   /* seconds of each period; 0: all */
    double period, tick;
    uint64_t group; /* whoever has the same quota together with others says the same; 0: has it alone */
    int sharing;    /* so many have it together, itself included; 0: 1 */
};

/* Of `share` thousandths of a core for so many threads, times in microseconds. */
struct ration ration_of(uint32_t share, uint32_t period_us, uint32_t tick_us, int threads);

/* In the long run the part of the time in which it computes, where all who share the quota compute all the time. */
double ration_share(const struct ration *r);

/* What is left of a quota at some moment. */
struct purse {
    double left, at;
    double phase; /* a period begins then */
};
struct purse purse_full(const struct ration *r, double phase);
double purse_phase(const struct ration *r, int worker); /* groups begin their periods whenever they were made */

/* When a computing of so many seconds that begins at `begin`, never before the last one's end, is done. */
double ration_end(const struct ration *r, struct purse *p, double begin, double seconds);
