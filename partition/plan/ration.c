/* partition/plan/ration.c — see ration.h. */
#include "partition/plan/ration.h"

#include <math.h>
#include <stdbool.h>

#define SAME 1e-9 /* seconds: moments that are one */
#define PERIODS_WALKED 64.0 /* of a long computing; before it is at the pace of its quota, and goes on so */

struct ration ration_of(uint32_t share, uint32_t period_us, uint32_t tick_us, int threads)
{
    if (!share || !period_us) return (struct ration){0};
    const double period = period_us / 1e6;
    return (struct ration){.quota = share / 1000.0 * period / threads, .period = period, .tick = tick_us / 1e6};
}

static double quota_of(const struct ration *r)
{
    return r->sharing > 1 ? r->quota / r->sharing : r->quota;
}

double ration_share(const struct ration *r)
{
    return r->quota > 0 ? fmin(quota_of(r) / r->period, 1) : 1;
}

struct purse purse_full(const struct ration *r, double phase)
{
    return (struct purse){.left = quota_of(r), .phase = phase};
}

double purse_phase(const struct ration *r, int worker)
{
    return fmod((worker + 1) * GOLDEN, 1) * r->period;
}

/* The first moment after t that is a multiple of `step` behind `phase`. */
static double next(double t, double step, double phase)
{
    return phase + (floor((t - phase) / step + SAME / step) + 1) * step;
}

/* Computes until it is done, or a period begins, or a tick finds that there is nothing left. */
static bool compute(const struct ration *r, struct purse *p, double *t, double *seconds)
{
    for (;;) {
        const double begins = next(*t, r->period, p->phase), ticks = r->tick > 0 ? next(*t, r->tick, 0) : *t + p->left;
        double until = fmin(*t + *seconds, fmin(begins, ticks));
        if (until < *t) until = *t;
        p->left -= until - *t;
        *seconds -= until - *t;
        *t = until;
        if (*seconds < SAME) return true;
        if (until >= begins - SAME) p->left = fmin(p->left, 0) + quota_of(r);
        else if (p->left < SAME) return false;
    }
}

/* Stands still until there is something left; each beginning brings a quota. */
static void stand_still(const struct ration *r, struct purse *p, double *t)
{
    const double n = floor((SAME - p->left) / quota_of(r)) + 1;
    *t = next(*t, r->period, p->phase) + (n - 1) * r->period;
    p->left += n * quota_of(r);
}

static double periods_begun(const struct ration *r, const struct purse *p, double t)
{
    return floor((t - p->phase) / r->period + SAME / r->period);
}

double ration_end(const struct ration *r, struct purse *p, double begin, double seconds)
{
    double t = begin;
    if (ration_share(r) >= 1) return begin + seconds;
    if (periods_begun(r, p, begin) > periods_begun(r, p, p->at)) p->left = fmin(p->left, 0) + quota_of(r);
    if (seconds > PERIODS_WALKED * quota_of(r)) {
        const double n = floor(seconds / quota_of(r) - PERIODS_WALKED / 2);
        t += n * r->period, seconds -= n * quota_of(r);
    }
    do {
        if (p->left < SAME) stand_still(r, p, &t);
    } while (!compute(r, p, &t, &seconds));
    return p->at = t;
}
