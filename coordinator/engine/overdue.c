/* coordinator/engine/overdue.c — see overdue.h. */
#include "coordinator/engine/overdue.h"

#include "coordinator/engine/live.h"

#define LEAST_NS 20000000000ull   /* so long nothing may come home, at least */
#define UNKNOWN_NS 60000000000ull /* while nothing ever did */
#define TIMES 20                  /* and as many times the longest wait so far */
#define SLOW_LINK 262144          /* bytes per second: what a slow link between two stages carries */

static bool chain_of(const struct frame *f, enum chain *out)
{
    if (!message_has_route(f->head.type)) return false;
    *out = f->head.type == M_PICTURE_ROWS ? CHAIN_VISION : CHAIN_TEXT;
    return true;
}

void overdue_heard(struct engine *e, const struct frame *f)
{
    struct overdue *o = &e->overdue;
    enum chain c;
    if (!chain_of(f, &c)) return;
    const uint64_t now = clock_now(e->clock), waited = silence_ns(&o->still[c], now);
    if (waited > o->most_ns[c]) o->most_ns[c] = waited;
    silence_broken(&o->still[c], now);
    silence_broken(&o->home[c], now);
}

/* What the plan lets expect of the way, and what was seen. */
static uint64_t limit_ns(const struct engine *e, enum chain c)
{
    const struct pipeline *p = e->pipe;
    const uint64_t seen = e->overdue.most_ns[c] * TIMES;
    uint64_t bytes = 0;
    if (c == CHAIN_TEXT && p->model) bytes = (uint64_t)p->plan.capacity.rows * p->model->config.hidden * sizeof(float) * e->route->n;
    if (!seen) return UNKNOWN_NS + bytes * 1000000000ull / SLOW_LINK;
    return (seen > LEAST_NS ? seen : LEAST_NS) + bytes * 1000000000ull / SLOW_LINK;
}

/* All that is under way has so many steps at most: layers, and two more for each stage. Each takes no longer than the longest that was seen, or the
 * roster finds it out; a chain may wait for the other one every other step. */
static uint64_t work_limit_ns(const struct engine *e)
{
    const struct pipeline *p = e->pipe;
    uint64_t steps = 0, longest = PING_NS;
    if (e->scheduler) steps += (uint64_t)schedule_in_flight(e->scheduler) * (p->model->config.layers + 2 * (uint32_t)e->route->n);
    if (p->encoder) steps += (uint64_t)p->plan.pictures * (uint32_t)p->workers * (p->encoder->config.layers + 2 * (uint32_t)p->workers);
    for (int i = 0; i < p->workers; i++)
        if (p->crew[i]->still_most_ns > longest) longest = p->crew[i]->still_most_ns;
    return UNKNOWN_NS + (2 * steps + TIMES) * longest;
}

static struct member *who_is_busy(const struct engine *e, enum chain c)
{
    for (int i = 0; i < e->pipe->workers; i++)
        if (e->pipe->crew[i]->pong.busy & (c == CHAIN_TEXT ? BUSY_ROWS : BUSY_PICTURE)) return e->pipe->crew[i];
    return NULL;
}

/* The first stage that has not computed what the one before it has, or who has all and sends nothing. */
static struct member *who_owes_rows(const struct engine *e, struct member **before)
{
    const struct pipeline *p = e->pipe;
    const int scorer = e->head ? divided_head_owed_by(e->head) : -1;
    *before = NULL;
    if (scorer >= 0) return p->crew[scorer];
    for (int i = 1; i < e->route->n; i++) {
        struct member *from = p->crew[e->route->worker[i - 1]], *to = p->crew[e->route->worker[i]];
        if (from->pong.batch <= to->pong.batch) continue;
        *before = from;
        return to;
    }
    return p->crew[route_last(e->route)];
}

static void accuse(struct engine *e, enum chain c, uint64_t waited)
{
    struct member *before = NULL, *who = c == CHAIN_TEXT ? who_owes_rows(e, &before) : e->pipe->crew[pictures_owed_by(e->pictures)];
    const unsigned long long s = waited / 1000000000ull;
    struct err why;
    if (before) fail(&why, E_WORKER, "%s computed micro-batch %llu, and in %llu s it did not get to %s", before->name,
                     (unsigned long long)before->pong.batch - 1, s, who->name);
    else fail(&why, E_WORKER, "%s was lost: it answers and says that it is done, but %s are awaited of it for %llu s", who->name,
              c == CHAIN_TEXT ? "the answers of a micro-batch" : "the rows of a picture", s);
    roster_lose(e->pipe->roster, who, &why);
}

/* It says that it gets on, with more than there is to do. */
static void accuse_busy(struct engine *e, struct member *who, uint64_t waited)
{
    struct err why;
    fail(&why, E_WORKER, "%s was lost: it says that it is at work, and for %llu s nothing came of that", who->name, (unsigned long long)(waited / 1000000000ull));
    roster_lose(e->pipe->roster, who, &why);
}

void overdue_look(struct engine *e)
{
    const bool due[CHAINS] = {[CHAIN_TEXT] = e->scheduler && schedule_in_flight(e->scheduler),
                              [CHAIN_VISION] = e->pictures && pictures_owed_by(e->pictures) >= 0};
    const uint64_t now = clock_now(e->clock);
    for (int c = 0; c < CHAINS; c++) {
        struct silence *still = &e->overdue.still[c], *home = &e->overdue.home[c];
        if (!due[c] || !e->pipe->whole) { /* nor is there a route that could be asked, until the pipeline is whole */
            silence_broken(still, now);
            silence_broken(home, now);
            continue;
        }
        struct member *busy = who_is_busy(e, c);
        if (busy) silence_broken(still, now);
        const uint64_t waited = silence_ns(still, now), worked = silence_ns(home, now);
        if (busy && worked > work_limit_ns(e)) accuse_busy(e, busy, worked);
        else if (waited > limit_ns(e, c)) accuse(e, c, waited);
        else continue;
        silence_broken(still, now);
        silence_broken(home, now);
    }
}
