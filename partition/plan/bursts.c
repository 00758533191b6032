/* partition/plan/bursts.c — see bursts.h. */
#include "partition/plan/bursts.h"

#include <math.h>

#define STEPS_MOST 20000 /* of a stage with a group: what a plan may cost */
#define LAPS_LEAST 4
#define LAPS_MOST 96
#define UNEVEN 0.1 /* between the longest and the shortest step */
#define STREAMS 8 /* of which the mean is taken: a prompt comes at any moment of a period */

struct ring_now {
    const struct burst_ring *ring;
    struct purse purse[STAGES_MOST];
    double free[STAGES_MOST]; /* when a stage can begin something */
    uint32_t steps;
};

static void begin(struct ring_now *n, const struct burst_ring *r, int turn)
{
    *n = (struct ring_now){.ring = r};
    for (int i = 0; i < r->stages; i++) n->purse[i] = purse_full(&r->stage[i].ration, purse_phase(&r->stage[i].ration, i + turn * r->stages));
}

static double step(struct ring_now *n, int stage, double from, double seconds)
{
    const struct burst_stage *s = &n->ring->stage[stage];
    const double uneven = 1 + UNEVEN * (fmod(++n->steps * GOLDEN, 1) - 0.5);
    return n->free[stage] = ration_end(&s->ration, &n->purse[s->purse], fmax(from, n->free[stage]), seconds * uneven);
}

/* All parts of the head at the same time. */
static double score(struct ring_now *n, double from)
{
    double end = from;
    for (int i = 0; i < n->ring->stages; i++)
        if (n->ring->stage[i].head > 0) end = fmax(end, step(n, i, from, n->ring->stage[i].head));
    return end;
}

struct group {
    double at; /* it can go on then, */
    int stage; /* with this; the number of stages: with the head */
};

static int next_of(const struct group *g, int groups)
{
    int best = 0;
    for (int i = 1; i < groups; i++)
        if (g[i].at < g[best].at) best = i;
    return best;
}

double burst_turn(const struct burst_ring *r, int groups)
{
    struct ring_now n;
    struct group g[IN_FLIGHT_MOST] = {0};
    const int laps = (int)fmin(fmax(STEPS_MOST / ((r->stages + 1) * groups), LAPS_LEAST), LAPS_MOST), warm = laps / 4 * groups;
    double since = 0, last = 0;
    begin(&n, r, 0);
    for (int i = 0; i < groups; i++) g[i].at = r->stage[0].way;
    for (int done = 0; done < laps * groups + warm;) {
        struct group *now = &g[next_of(g, groups)];
        if (now->stage < r->stages) {
            now->at = step(&n, now->stage, now->at, r->stage[now->stage].layers);
            if (++now->stage < r->stages) now->at += r->stage[now->stage].way;
            continue;
        }
        last = score(&n, now->at);
        *now = (struct group){.at = last + r->home + r->stage[0].way};
        if (++done == warm) since = last;
    }
    return (last - since) / (laps * groups);
}

double burst_stream(const struct burst_ring *r, int pieces)
{
    double sum = 0;
    for (int k = 0; k < STREAMS; k++) {
        struct ring_now n;
        double at = 0;
        begin(&n, r, k);
        for (int p = 0; p < pieces; p++) {
            at = 0;
            for (int i = 0; i < r->stages; i++) at = step(&n, i, at + r->stage[i].way, r->stage[i].layers);
        }
        sum += score(&n, at) + r->home;
    }
    return sum / STREAMS;
}
