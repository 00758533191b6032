/* tests/support/simulate.c — an invented cluster around the real scheduler.
 *
 * Micro-batches pass every stage in the order they entered, so there is no queue of events to keep: when one enters,
 * the moment it comes home follows from when each stage is done with the one before. What is left to decide is only
 * what comes next, the first one home or the next request at the door. */
#include "tests/support/simulate.h"

#include <math.h>
#include <stdlib.h>

#define SETTLED 3 /* rounds of the ring until groups must be even */

struct curve curve_line(double fixed, double per_row)
{
    return (struct curve){.n = 2, .rows = {0, 1024}, .seconds = {fixed, fixed + per_row * 1024}};
}

void stage_curves(struct curve *rows, struct curve *tokens, const struct model_shape *shape, struct part s,
                  const struct worker_offer *offer, const struct capacity *cap)
{
    static const uint32_t at[CURVE_POINTS] = {1, 2, 4, 8, 16, 32, 128, 512};
    const struct part layers = {s.first, s.end, 0, 0, false}, words = {0, 0, s.back, s.back_end, false};
    *rows = *tokens = (struct curve){.n = CURVE_POINTS};
    for (uint32_t i = 0; i < CURVE_POINTS; i++) {
        const struct capacity group = {cap->context, at[i], at[i], 1, 0, {0}};
        rows->rows[i] = tokens->rows[i] = at[i];
        rows->seconds[i] = decode_seconds(offer->measured, shape, layers, &group) / offer_power(offer);
        tokens->seconds[i] = decode_seconds(offer->measured, shape, words, &group) / offer_power(offer);
    }
    if (!part_has_head(s)) tokens->n = 0;
}

struct customer {
    double arrives, last_token; /* seconds */
    uint32_t prompt, answer;    /* rows; tokens still to come */
    bool answering;
};

struct run {
    const struct simulation *in;
    struct sim_report *out;
    struct scheduler *s;
    struct customer *customer; /* [requests] */
    double *home;              /* [in_flight] when micro-batch id % in_flight is back */
    double free_at[STAGES_MOST], busy[STAGES_MOST];
    double now, pace_sum, ttft_sum;
    uint64_t first_out, next_out; /* ids in flight: first_out .. next_out - 1 */
    uint64_t all_answering_since; /* id of a micro-batch */
    uint32_t arrived, answering, ended;
    uint64_t paces;
    uint64_t dice;
};

static double uniform(struct run *r) /* over 0, below 1 */
{
    r->dice ^= r->dice << 13;
    r->dice ^= r->dice >> 7;
    r->dice ^= r->dice << 17;
    return ((double)(r->dice >> 12) + 0.5) * 0x1p-52;
}

static uint32_t between(struct run *r, uint32_t least, uint32_t most)
{
    return least + (uint32_t)(uniform(r) * ((double)most - least + 1));
}

/* Gamma distributed, mean 1 (Marsaglia and Tsang's method; the shape is 1 / cv^2, which is at least 1 here). */
static double jitter(struct run *r)
{
    double cv = r->in->jitter;
    if (cv <= 0) return 1;
    double shape = 1 / (cv * cv), d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = sqrt(-2 * log(uniform(r))) * cos(6.283185307179586 * uniform(r)), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(uniform(r)) < 0.5 * x * x + d - d * v + d * log(v)) return d * v / shape;
    }
}

static int check(const struct simulation *in, struct err *why)
{
    if (in->stages < 1 || in->stages > STAGES_MOST)
        return fail(why, E_USAGE, "a simulation needs 1 to %d stages, not %d", STAGES_MOST, in->stages);
    if (!in->requests || !in->prompt_least || !in->answer_least || in->prompt_least > in->prompt_most ||
        in->answer_least > in->answer_most)
        return fail(why, E_USAGE, "a simulation needs requests, with prompts and answers of at least one row");
    if (!(in->jitter >= 0 && in->jitter <= 1))
        return fail(why, E_USAGE, "jitter must be from 0 to 1, not %g", in->jitter);
    if (!(in->hop.delay >= 0) || !(in->row_bytes >= 0) || !(in->arrivals >= 0))
        return fail(why, E_USAGE, "travel times and arrivals cannot be negative");
    for (int i = 0; i < in->stages; i++) {
        const double row = curve_seconds(&in->stage[i].rows, 1);
        if (!(row > 0 && row < INFINITY)) return fail(why, E_USAGE, "stage %d of the simulation takes no time", i + 1);
    }
    return 0;
}

static void invent_customers(struct run *r)
{
    double at = 0;
    for (uint32_t i = 0; i < r->in->requests; i++) {
        struct customer *c = &r->customer[i];
        if (r->in->arrivals > 0) at -= log(uniform(r)) / r->in->arrivals;
        c->arrives = at;
        c->prompt = between(r, r->in->prompt_least, r->in->prompt_most);
        c->answer = between(r, r->in->answer_least, r->in->answer_most);
    }
}

/* Rows of a micro-batch while every request answers and none has ended; some rounds after that began. */
static void note_group(struct run *r, const struct schedule_batch *b)
{
    uint32_t together = r->in->requests < r->in->limits.slots ? r->in->requests : r->in->limits.slots;
    if (r->answering != together || r->ended) return;
    if (b->id < r->all_answering_since + SETTLED * r->in->limits.in_flight) return;
    if (!r->out->group_most || b->rows < r->out->group_least) r->out->group_least = b->rows;
    if (b->rows > r->out->group_most) r->out->group_most = b->rows;
}

static void enter(struct run *r, const struct schedule_batch *b)
{
    uint32_t tokens = 0;
    for (uint32_t i = 0; i < b->n_moves; i++) tokens += b->moves[i].want_token;
    const double bytes = r->in->row_bytes * b->rows;
    double at = r->now + hop_seconds(&r->in->hop, bytes);
    for (int i = 0; i < r->in->stages; i++) {
        const struct sim_stage *t = &r->in->stage[i];
        const double head = tokens && t->tokens.n ? curve_seconds(&t->tokens, tokens) : 0;
        const double takes = (curve_seconds(&t->rows, b->rows) + head) * jitter(r);
        if (r->free_at[i] > at) at = r->free_at[i];
        r->free_at[i] = at += takes;
        r->busy[i] += takes;
        at += hop_seconds(&r->in->hop, i + 1 < r->in->stages ? bytes : 0); /* home come only tokens */
    }
    r->home[b->id % r->in->limits.in_flight] = at;
    r->next_out = b->id + 1;
    r->out->batches++;
    r->out->rows += b->rows;
    note_group(r, b);
}

static void note_token(struct run *r, struct customer *c)
{
    struct sim_report *out = r->out;
    double since = r->now - (c->answering ? c->last_token : c->arrives);
    if (c->answering) {
        r->pace_sum += since;
        r->paces++;
        if (since > out->pace_most) out->pace_most = since;
    } else {
        c->answering = true;
        r->answering++;
        r->all_answering_since = r->next_out;
        r->ttft_sum += since;
        if (since > out->ttft_most) out->ttft_most = since;
    }
    c->last_token = r->now;
    out->tokens++;
}

static int come_home(struct run *r, struct err *why)
{
    const struct schedule_batch b = *schedule_find(r->s, r->first_out);
    TRY(schedule_done(r->s, r->first_out++, why));
    for (uint32_t i = 0; i < b.n_moves; i++) { /* stays ours to read until the next micro-batch is made */
        if (!b.moves[i].want_token) continue;
        struct customer *c = &r->customer[b.moves[i].request];
        note_token(r, c);
        if (--c->answer) {
            TRY(schedule_more(r->s, b.moves[i].request, 1, NULL, 0, why));
        } else {
            schedule_leave(r->s, b.moves[i].request);
            for (uint64_t gone; schedule_left(r->s, &gone);) continue;
            r->ended++;
            r->answering--;
        }
    }
    return 0;
}

static int play(struct run *r, struct err *why)
{
    struct schedule_batch b;
    for (;;) {
        while (r->arrived < r->in->requests && r->customer[r->arrived].arrives <= r->now) {
            TRY(schedule_add(r->s, r->arrived, r->customer[r->arrived].prompt, NULL, 0, 0, why));
            r->arrived++;
        }
        while (schedule_next(r->s, &b)) enter(r, &b);
        double home = r->first_out < r->next_out ? r->home[r->first_out % r->in->limits.in_flight] : INFINITY;
        double door = r->arrived < r->in->requests ? r->customer[r->arrived].arrives : INFINITY;
        if (isinf(home) && isinf(door)) break;
        r->now = door < home ? door : home;
        if (home <= door) TRY(come_home(r, why));
    }
    if (r->ended < r->in->requests)
        return fail(why, E_INTERNAL, "the simulation stood still with %u of %u requests done", r->ended,
                    r->in->requests);
    return 0;
}

static void summarise(struct run *r)
{
    struct sim_report *out = r->out;
    double sum = 0;
    out->seconds = r->now;
    out->rows_per_second = (double)out->rows / r->now;
    out->tokens_per_second = (double)out->tokens / r->now;
    for (int i = 0; i < r->in->stages; i++) {
        out->busy[i] = r->busy[i] / r->now;
        sum += out->busy[i];
        if (out->busy[i] > out->busiest) out->busiest = out->busy[i];
    }
    out->bubble = 1 - sum / r->in->stages;
    out->ttft_mean = r->ttft_sum / r->in->requests;
    out->pace_mean = r->paces ? r->pace_sum / (double)r->paces : 0;
}

int simulate(struct sim_report *out, const struct simulation *in, struct err *why)
{
    *out = (struct sim_report){0};
    TRY(check(in, why));
    struct run r = {.in = in, .out = out, .dice = in->seed * 0x9e3779b97f4a7c15ull | 1};
    TRY(scheduler_open(&r.s, &in->limits, why));
    r.customer = calloc(in->requests, sizeof *r.customer);
    r.home = calloc(in->limits.in_flight, sizeof *r.home);
    int rc = r.customer && r.home ? 0 : fail(why, E_MEMORY, "no memory to simulate %u requests", in->requests);
    if (!rc) {
        invent_customers(&r);
        rc = play(&r, why);
    }
    if (!rc) summarise(&r);
    free(r.customer);
    free(r.home);
    scheduler_close(&r.s);
    return rc;
}
