/* coordinator/report/expected.c — see expected.h. */
#include "coordinator/report/expected.h"

#include "partition/plan/rates.h"
#include "partition/plan/text_cost.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WORTH_SAYING 0.05 /* of the time; less is not told from noise */
#define MUCH_MEMORY 0.10
#define MANY_TIMES 1.0 /* as long again, for a row: what does that to computing does it to messages too */

void expected_begin(struct expected *x, const struct pipeline *p)
{
    *x = (struct expected){.pipe = p};
}

bool expected_known(const struct expected *x)
{
    const struct pipeline *p = x->pipe;
    return p && p->model && p->epoch <= 1 && x->rows > 0 && plan_measured(p->offers, plan_stages(&p->plan));
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
    if (!(rows > 0) || !plan_measured(p->offers, plan_stages(&p->plan))) return;
    for (int i = 0; i < plan_stages(&p->plan); i++) {
        const struct part s = p->plan.of[i].part[CHAIN_TEXT];
        const double t = part_seconds(p->offers[i].measured, &shape, s, (uint32_t)(positions / rows), rows, wanted) / offer_power(&p->offers[i]);
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

bool expected_few_cores(const struct expected *x)
{
    return plan_cores_short(x->pipe->offers, plan_stages(&x->pipe->plan)) > 0;
}

/* ---- the largest difference ---- */

static double off(const double pair[2])
{
    return pair[0] > 0 && pair[1] > 0 ? pair[1] / pair[0] - 1 : 0;
}

/* Part of the time that it computed and was not expected to; negative: the other way round. */
static double computed_more(const struct compared *c)
{
    return c->row[0] > 0 && c->row[1] > 0 ? c->busy * (1 - c->row[0] / c->row[1]) : 0;
}

/* What a sender hands over at once is on its line all the same: only longer than expected is a difference. */
static double sent_more(const struct compared *c)
{
    return fmax(c->sending[1] - c->sending[0], 0);
}

static double stood_still(const struct compared *c)
{
    return c->stopped;
}

static double waited_more(const struct compared *c)
{
    return c->waiting[1] + c->sending[1] - c->waiting[0] - c->sending[0];
}

/* Not by noise, and not one of them far more than the others. */
static bool all_slower(const struct compared *stages, int n, double most)
{
    for (int i = 0; i < n; i++)
        if (off(stages[i].row) < fmax(WORTH_SAYING, most / 4)) return false;
    return n > 1;
}

static void say_computing(char out[400], const struct compared *stages, int n, int at, const struct compared_run *run)
{
    const double share = 100 * off(stages[at].row);
    const bool all = all_slower(stages, n, share / 100);
    if (all && run->few_cores)
        snprintf(out, 400, "all stages computed longer than when they were measured, stage %d %.0f %% longer a row: together they "
                 "would use more cores than their machine has", at + 1, share);
    else if (all)
        snprintf(out, 400, "all stages computed longer than when they were measured, stage %d %.0f %% longer a row: something else "
                 "ran beside them, or they run slower now; `gemmapipe plan --probe` measures them anew", at + 1, share);
    else if (share > 0)
        snprintf(out, 400, "stage %d computed %.0f %% longer a row than when it was measured, and others far less: something else "
                 "probably ran on its machine, or it runs slower now", at + 1, share);
    else
        snprintf(out, 400, "stage %d computed %.0f %% less a row than when it was measured: something else probably ran on its "
                 "machine then", at + 1, -share);
}

static void say_stopped(char out[400], const struct compared *stages, int n, int at)
{
    bool all = n > 1;
    for (int i = 0; i < n; i++) all &= stages[i].stopped > stages[at].stopped / 4;
    snprintf(out, 400, "%sstage %d stood still for %.0f %% of the time, with all its threads, so neither computing nor messages took longer: "
             "%s stopped, or got no processor", all ? "all stages stood still at times, " : "", at + 1, 100 * stages[at].stopped,
             all ? "their processes were" : "its process was");
}

static void say_waiting(char out[400], const struct compared *stages, int n, int at, const struct compared_run *run)
{
    const struct compared *c = &stages[at];
    bool any_stopped = false;
    for (int i = 0; i < n; i++) any_stopped |= stages[i].stopped > WORTH_SAYING;
    const double was = 100 * (c->waiting[1] + c->sending[1]), is = 100 * (c->waiting[0] + c->sending[0]);
    if (was < is)
        snprintf(out, 400, "stage %d waited %.0f %% of the time, where %.0f %% was expected: other stages were faster than when they "
                 "were measured", at + 1, was, is);
    else if (run->in_flight < fmin(n, 0.8 * run->in_flight_most))
        snprintf(out, 400, "stage %d waited %.0f %% of the time, where %.0f %% was expected: too little was asked to keep all stages "
                 "at work, %.1f micro-batches were under way in the mean where %.0f could be", at + 1, was, is, run->in_flight, run->in_flight_most);
    else
        snprintf(out, 400, "stage %d waited %.0f %% of the time, where %.0f %% was expected: messages probably took longer on their "
                 "way than measured%s", at + 1, was, is,
                 any_stopped ? ", or who should have computed or sent was stopped at times" : "; no stage stood still for long");
}

static void say_sending(char out[400], const struct compared *c, int at)
{
    snprintf(out, 400, "stage %d was busy sending for %.0f %% of the time, where %.0f %% was expected: its line is slower than it "
             "was measured", at + 1, 100 * c->sending[1], 100 * c->sending[0]);
}

static int most_of(const struct compared *stages, int n, double (*what)(const struct compared *))
{
    int most = 0;
    for (int i = 1; i < n; i++)
        if (fabs(what(&stages[i])) > fabs(what(&stages[most]))) most = i;
    return most;
}

static bool say_memory(char out[400], const struct compared *stages, int n)
{
    for (int i = 0; i < n; i++)
        if (fabs(off(stages[i].memory)) > MUCH_MEMORY) {
            snprintf(out, 400, "stage %d took %+.0f %% of the memory that was planned for it: what a program takes beside its part is "
                     "planned as %llu MiB", i + 1, 100 * off(stages[i].memory), (unsigned long long)stages[i].beside >> 20);
            return true;
        }
    return false;
}

void difference_say(char out[400], const struct compared *stages, int n, const struct compared_run *run)
{
    const int computing = most_of(stages, n, computed_more), sending = most_of(stages, n, sent_more), waiting = most_of(stages, n, waited_more),
              stopped = most_of(stages, n, stood_still);
    const double late = run->wall[1] > 0 ? 1 - run->wall[0] / run->wall[1] : 0, least = fmax(WORTH_SAYING, late / 3);
    const double more = fabs(computed_more(&stages[computing])), still = stages[stopped].stopped;
    if (still > least && still > more / 2) say_stopped(out, stages, n, stopped);
    else if (more > least || (more > WORTH_SAYING && off(stages[computing].row) > MANY_TIMES)) say_computing(out, stages, n, computing, run);
    else if (sent_more(&stages[sending]) > least) say_sending(out, &stages[sending], sending);
    else if (fabs(waited_more(&stages[waiting])) > 1.25 * WORTH_SAYING) say_waiting(out, stages, n, waiting, run);
    else if (!say_memory(out, stages, n))
        snprintf(out, 400, "all was as expected, to %.0f %% of the time and %.0f %% of the memory", 100 * WORTH_SAYING, 100 * MUCH_MEMORY);
}
