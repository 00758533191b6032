/* coordinator/report/expected.c — see expected.h. */
#include "coordinator/report/expected.h"

#include "partition/plan/rates.h"
#include "partition/plan/text_cost.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WORTH_SAYING 0.05 /* of the time; less is not told from noise */
#define MUCH_MEMORY 0.10

void expected_begin(struct expected *x, const struct pipeline *p)
{
    *x = (struct expected){.pipe = p};
}

bool expected_known(const struct expected *x)
{
    const struct pipeline *p = x->pipe;
    bool known = p && p->model && p->epoch <= 1 && x->rows > 0;
    for (int i = 0; known && i < plan_stages(&p->plan); i++) known = p->offers[i].measured != NULL;
    return known;
}

/* Rows of answers want a token each, a piece of a prompt none; the one that ends it is not told apart. */
static void add_batch(struct expected *x, const struct happened *h)
{
    const struct pipeline *p = x->pipe;
    const struct model_shape shape = model_shape(p->model, NULL);
    double rows = 0, wanted = 0, positions = 0, slowest = 0, sum = 0;
    for (size_t i = 0; i < h->n; i++) {
        const struct happened_rows *r = &h->rows[i];
        rows += r->rows;
        positions += (double)r->rows * (r->position + r->rows / 2.0);
        if (r->rows == 1 + r->guesses) wanted += r->rows;
    }
    if (!(rows > 0)) return;
    for (int i = 0; i < plan_stages(&p->plan); i++) {
        if (!p->offers[i].measured) return;
        const struct part s = p->plan.of[i].part[CHAIN_TEXT];
        const double t = part_seconds(p->offers[i].measured, &shape, s, (uint32_t)(positions / rows), rows, wanted);
        x->busy[i] += t;
        x->lines[i] += plan_line_seconds(&p->plan, &shape, p->offers, i, rows);
        slowest = fmax(slowest, t), sum += t;
    }
    x->rows += rows;
    x->way += sum + plan_travel(&p->plan, &shape, p->offers, rows, wanted);
}

static void add_flight(struct expected *x, uint64_t at_ns, int by)
{
    const double since = x->at_ns && at_ns > x->at_ns ? (double)(at_ns - x->at_ns) : 0;
    x->flight_ns += since * (double)x->under_way;
    if (x->under_way) x->open_ns += since;
    x->at_ns = at_ns;
    x->under_way = by < 0 && !x->under_way ? 0 : x->under_way + (uint64_t)by;
}

void expected_watch(void *user, const struct happened *h)
{
    struct expected *x = user;
    switch (h->what) {
    case BATCH_SENT:
        add_flight(x, h->at_ns, 1);
        add_batch(x, h);
        break;
    case BATCH_BACK: add_flight(x, h->at_ns, -1); break;
    default: break;
    }
}

double expected_in_flight(const struct expected *x)
{
    return x->open_ns > 0 ? x->flight_ns / x->open_ns : 0;
}

double expected_wall(const struct expected *x)
{
    const double in_flight = expected_in_flight(x);
    double wall = in_flight > 0 ? x->way / in_flight : 0;
    wall = fmax(wall, plan_cores_seconds(x->pipe->offers, x->busy, plan_stages(&x->pipe->plan)));
    for (int i = 0; i < plan_stages(&x->pipe->plan); i++) wall = fmax(wall, fmax(x->busy[i], x->lines[i]));
    return wall;
}

/* ---- the largest difference ---- */

static double off(const double pair[2])
{
    return pair[0] > 0 && pair[1] > 0 ? pair[1] / pair[0] - 1 : 0;
}

/* By how much the time of a stage differs for its computing: of the time that it computed, what was not expected. */
static double computing(const struct compared *c)
{
    return c->row[0] > 0 && c->row[1] > 0 ? c->busy * (1 - c->row[0] / c->row[1]) : 0;
}

static bool all_slower(const struct compared *stages, int n)
{
    for (int i = 0; i < n; i++)
        if (off(stages[i].row) < WORTH_SAYING) return false;
    return n > 1;
}

static void say_computing(char out[400], const struct compared *stages, int n, int at)
{
    const double share = 100 * off(stages[at].row);
    if (all_slower(stages, n))
        snprintf(out, 400, "all stages computed longer than when they were measured, stage %d %.0f %% longer a row: something else "
                 "ran beside them, or they run slower now; `gemmapipe plan --probe` measures them anew", at + 1, share);
    else if (share > 0)
        snprintf(out, 400, "stage %d computed %.0f %% longer a row than when it was measured, and others did not: something else "
                 "probably ran on its machine", at + 1, share);
    else
        snprintf(out, 400, "stage %d computed %.0f %% less a row than when it was measured: something else probably ran on its "
                 "machine then", at + 1, -share);
}

static void say_waiting(char out[400], const struct compared *c, int at, double in_flight, double in_flight_most)
{
    const double was = 100 * c->waiting[1], is = 100 * c->waiting[0];
    if (c->waiting[1] < c->waiting[0])
        snprintf(out, 400, "stage %d waited %.0f %% of the time, where %.0f %% was expected: other stages were faster than when they "
                 "were measured", at + 1,
                 was, is);
    else if (in_flight < 0.8 * in_flight_most)
        snprintf(out, 400, "stage %d waited %.0f %% of the time, where %.0f %% was expected: too little was asked to keep all stages "
                 "at work, %.1f "
                 "micro-batches were under way in the mean where %.0f could be", at + 1, was, is, in_flight, in_flight_most);
    else
        snprintf(out, 400, "stage %d waited %.0f %% of the time, where %.0f %% was expected: messages probably took longer on their "
                 "way than measured",
                 at + 1, was, is);
}

void difference_say(char out[400], const struct compared *stages, int n, double in_flight, double in_flight_most)
{
    enum { COMPUTING, WAITING, SENDING, MEMORY } what = COMPUTING;
    double most = WORTH_SAYING;
    int at = -1;
    for (int i = 0; i < n; i++) {
        const struct compared *c = &stages[i];
        const double by[] = {fabs(computing(c)), fabs(c->waiting[1] - c->waiting[0]), fabs(c->sending[1] - c->sending[0])};
        for (int k = COMPUTING; k <= SENDING; k++)
            if (by[k] > most * (k == WAITING ? 1.25 : 1)) /* waiting follows from the others: these are said rather */
                most = by[k], what = k, at = i;
    }
    for (int i = 0; at < 0 && i < n; i++)
        if (fabs(off(stages[i].memory)) > MUCH_MEMORY) what = MEMORY, at = i;
    if (at < 0) snprintf(out, 400, "all was as expected, to %.0f %% of the time and %.0f %% of the "
        "memory", 100 * WORTH_SAYING, 100 * MUCH_MEMORY);
    else if (what == COMPUTING) say_computing(out, stages, n, at);
    else if (what == WAITING) say_waiting(out, &stages[at], at, in_flight, in_flight_most);
    else if (what == SENDING)
        snprintf(out, 400, "stage %d was busy sending for %.0f %% of the time, where %.0f %% was expected: its line is %s than it "
                 "was measured", at + 1,
                 100 * stages[at].sending[1], 100 * stages[at].sending[0], stages[at].sending[1] > stages[at].sending[0] ? "slower" : "faster");
    else
        snprintf(out, 400, "stage %d took %+.0f %% of the memory that was planned for it: what a program takes beside its part is "
                 "planned as %llu MiB", at + 1,
                 100 * off(stages[at].memory), (unsigned long long)runtime_bytes(false) >> 20);
}
