/* coordinator/engine/fleet.c — see fleet.h.
 *
 * The queue has no list of its own: an ask that was not given out waits in an engine that does not begin it (engine_setup.told_when), most
 * often in the first one that is left, so that cancelling, deadlines and ends are the engine's as ever. */
#include "coordinator/engine/fleet.h"

#include "base/log.h"
#include "coordinator/engine/live.h"

#include <limits.h>
#include <stdlib.h>

#define LOOK_MS 50 /* between two looks at what brings no frame: processes that ended, silence, deadlines */

struct replica {
    struct engine *engine;
    struct pipeline *pipe;
    bool lost;
    uint32_t epoch; /* in which the rates were foreseen */
    struct rates rates;
};

struct fleet {
    int n, left;
    struct err over; /* code other than 0: the run is over */
    struct replica of[PIPELINES_MOST];
};

int fleet_open(struct fleet **out, struct pipeline *const *pipe, int n, const struct engine_setup *setup, struct err *why)
{
    struct fleet *f = *out = calloc(1, sizeof *f);
    int code = f ? 0 : fail(why, E_MEMORY, "no memory for the engines");
    for (int i = 0; i < n && !code; i++) {
        struct engine_setup of = *setup;
        of.pipe = f->of[i].pipe = pipe[i];
        of.told_when = n > 1;
        of.beside = f->of[0].engine;
        of.replica = i;
        code = engine_open(&f->of[i].engine, &of, why);
        f->left = f->n = i + 1;
    }
    if (code) fleet_close(out);
    return code;
}

void fleet_close(struct fleet **pf)
{
    struct fleet *f = *pf;
    *pf = NULL;
    for (int i = 0; f && i < f->n; i++) engine_close(&f->of[i].engine);
    free(f);
}

/* ---- what the engines do ---- */

void fleet_watch(struct fleet *f, watcher *watch, void *user)
{
    for (int i = 0; i < f->n; i++) engine_watch(f->of[i].engine, watch, user);
}

struct pictures *fleet_pictures(struct fleet *f)
{
    return engine_pictures(f->of[0].engine);
}

static struct replica *home(struct fleet *f)
{
    int i = 0;
    while (i + 1 < f->n && f->of[i].lost) i++;
    return &f->of[i];
}

int fleet_ask(struct fleet *f, const struct ask *ask, const struct listener *listener, uint64_t *number, struct err *why)
{
    struct engine *e = home(f)->engine;
    if (f->over.code) return *why = f->over, why->code;
    if (ask->only < 0 || ask->only > f->n) return fail(why, E_USAGE, "replica %d was asked, there are %d", ask->only, f->n);
    if (ask->only && f->of[ask->only - 1].lost) return fail(why, E_WORKER, "replica %d was asked, and is lost", ask->only);
    TRY(engine_ask(e, ask, listener, number, why));
    for (int i = 0; i < f->n; i++)
        if (f->of[i].engine != e) beginnings_also(f->of[i].engine, e->last);
    return 0;
}

void fleet_cancel(struct fleet *f, uint64_t number)
{
    for (int i = 0; i < f->n; i++) engine_cancel(f->of[i].engine, number);
}

void fleet_enough(struct fleet *f, uint64_t number)
{
    for (int i = 0; i < f->n; i++) engine_enough(f->of[i].engine, number);
}

void fleet_wake(struct fleet *f)
{
    for (int i = 0; i < f->n; i++) engine_wake(f->of[i].engine);
}

uint32_t fleet_unanswered(const struct fleet *f)
{
    uint32_t n = 0;
    for (int i = 0; i < f->n; i++) n += engine_unanswered(f->of[i].engine);
    return n;
}

bool fleet_is_busy(const struct fleet *f)
{
    bool busy = false;
    for (int i = 0; i < f->n; i++) busy |= engine_is_busy(f->of[i].engine);
    return busy;
}

struct engine_totals fleet_totals(const struct fleet *f)
{
    struct engine_totals all = engine_totals(f->of[0].engine);
    for (int i = 1; i < f->n; i++) {
        const struct engine_totals t = engine_totals(f->of[i].engine);
        if (t.begun_ns && (!all.begun_ns || t.begun_ns < all.begun_ns)) all.begun_ns = t.begun_ns;
        if (t.last_first_ns > all.last_first_ns) all.last_first_ns = t.last_first_ns;
        if (t.ended_ns > all.ended_ns) all.ended_ns = t.ended_ns;
        if (t.pages_used > all.pages_used) all.pages_used = t.pages_used;
        if (t.epoch > all.epoch) all.epoch = t.epoch;
        all.prompt_rows += t.prompt_rows;
        all.made += t.made;
        all.batches += t.batches;
        all.rows += t.rows;
        all.guessed += t.guessed;
        all.guessed_right += t.guessed_right;
        all.losses += t.losses;
        all.home_bytes += t.home_bytes;
    }
    for (int i = 0; i < f->n; i++) all.ready += f->of[i].pipe->whole && !f->of[i].lost;
    return all;
}

int fleet_size(const struct fleet *f)
{
    return f->n;
}

struct engine *fleet_engine(const struct fleet *f, int replica)
{
    return f->of[replica].engine;
}

struct pipeline *fleet_pipe(const struct fleet *f, int replica)
{
    return f->of[replica].pipe;
}

int fleet_stages(const struct fleet *f)
{
    int n = 0;
    for (int i = 0; i < f->n; i++) n += f->of[i].pipe->workers;
    return n;
}

struct pipeline *fleet_stage(const struct fleet *f, int stage, int *worker)
{
    for (int i = 0; i < f->n; i++) {
        *worker = stage;
        if (stage < f->of[i].pipe->workers) return f->of[i].pipe;
        stage -= f->of[i].pipe->workers;
    }
    return NULL;
}

bool fleet_lost(const struct fleet *f, int replica)
{
    return f->of[replica].lost;
}

/* ---- giving out ---- */

static const struct rates *rates_of(struct replica *r)
{
    if (r->epoch != r->pipe->epoch) {
        const struct model_shape shape = model_shape(r->pipe->model, r->pipe->encoder);
        plan_rates(&r->rates, NULL, &r->pipe->plan, &shape, r->pipe->offers);
        r->epoch = r->pipe->epoch;
    }
    return &r->rates;
}

/* One that was being computed twice when a worker was lost stays where it is: it is tried alone there, and nobody else is put at risk. */
static bool may_have(const struct fleet *f, const struct replica *r, const struct engine *at, const struct live *a)
{
    if (r->lost || (a->suspected >= SUSPECTED_MOST && r->engine != at)) return false;
    if (a->ask.only && r != &f->of[a->ask.only - 1]) return false;
    const struct live *alone = engine_suspect(r->engine);
    return (!alone || alone == a) && engine_has_room(r->engine, a);
}

static bool place(struct fleet *f, struct engine *at, struct live *a)
{
    struct engine *best = NULL;
    double soonest = 0;
    for (int i = 0; i < f->n; i++) {
        if (!may_have(f, &f->of[i], at, a)) continue;
        const double begins = engine_begins_in(f->of[i].engine, a, rates_of(&f->of[i]));
        if (!best || begins < soonest) best = f->of[i].engine, soonest = begins;
    }
    if (!best) return false;
    if (best != at) engine_hand(at, a, best);
    a->placed = true;
    return true;
}

/* Where nobody had room for one, nobody has for those behind who are no more urgent: however many wait, they are not looked at. */
static void place_from(struct fleet *f, struct engine *e)
{
    int refused = INT_MIN;
    for (struct live *a = e->in[WAITING].first, *next; a; a = next) {
        const bool anywhere = !a->ask.only && a->suspected < SUSPECTED_MOST;
        next = a->next;
        if (a->placed || (anywhere && a->ask.priority <= refused)) continue;
        if (!place(f, e, a) && anywhere) refused = a->ask.priority;
    }
}

/* Who comes back was asked before those in the queue. */
static void place_all(struct fleet *f)
{
    struct engine *queue = home(f)->engine;
    for (int i = 0; i < f->n; i++)
        if (f->of[i].engine != queue) place_from(f, f->of[i].engine);
    place_from(f, queue);
}

/* ---- a turn ---- */

static int end_all(struct fleet *f, int code, const struct err *why)
{
    f->over = *why;
    f->over.code = code;
    for (int i = 0; i < f->n; i++) engine_end(f->of[i].engine, code, &f->over);
    return code;
}

/* What only it would have computed fails; all else goes to who is left. */
static void lose(struct fleet *f, struct replica *r, const struct err *why)
{
    const int number = (int)(r - f->of) + 1;
    r->lost = true;
    f->left--;
    log_warn("replica %d is lost: %s; %u answers go on in the other%s", number, why->text, engine_unanswered(r->engine), f->left == 1 ? "" : "s");
    suspect_all_under_way(r->engine);
    struct engine *to = home(f)->engine;
    engine_hand_all(r->engine, to);
    engine_end(r->engine, why->code, why);
    for (struct live *a = to->first, *next; a; a = next) {
        next = a->after;
        if (a->ask.only == number) live_leave(to, a, FINISH_FAILED, why);
    }
}

static bool is_about_workers(int code)
{
    return code == E_WORKER || code == E_LINK || code == E_WIRE;
}

static int step_all(struct fleet *f, int timeout_ms, bool *stirred, struct err *why)
{
    for (int i = 0; i < f->n; i++) {
        struct replica *r = &f->of[i];
        if (r->lost) continue;
        const int code = engine_step(r->engine, timeout_ms, why);
        *stirred |= code || r->engine->stirred;
        if (!code) continue;
        if (f->left == 1 || !is_about_workers(code) || !port_outlives_peers(roster_port(r->pipe->roster))) return end_all(f, code, why);
        lose(f, r, why);
    }
    return 0;
}

static bool wait_for_any(const struct fleet *f, int timeout_ms)
{
    struct port *port[PIPELINES_MOST];
    int n = 0;
    for (int i = 0; i < f->n; i++)
        if (!f->of[i].lost) port[n++] = roster_port(f->of[i].pipe->roster);
    return ports_wait(port, n, timeout_ms < LOOK_MS ? timeout_ms : LOOK_MS);
}

int fleet_turn(struct fleet *f, int timeout_ms, struct err *why)
{
    bool stirred = false;
    if (f->n == 1) return engine_turn(f->of[0].engine, timeout_ms, why);
    if (f->over.code) return *why = f->over, why->code;
    place_all(f);
    TRY(step_all(f, 0, &stirred, why));
    if (stirred || !timeout_ms) return 0;
    const bool waited = wait_for_any(f, timeout_ms);
    place_all(f);
    return step_all(f, waited ? 0 : 1, &stirred, why); /* ports that cannot be waited for together are, one after the other, a little */
}
