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

static bool anyone_busy(const struct engine *e, enum chain c)
{
    for (int i = 0; i < e->pipe->workers; i++)
        if (e->pipe->crew[i]->pong.busy & (c == CHAIN_TEXT ? BUSY_ROWS : BUSY_PICTURE)) return true;
    return false;
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

void overdue_look(struct engine *e)
{
    const bool due[CHAINS] = {[CHAIN_TEXT] = e->scheduler && schedule_in_flight(e->scheduler),
                              [CHAIN_VISION] = e->pictures && pictures_owed_by(e->pictures) >= 0};
    const uint64_t now = clock_now(e->clock);
    for (int c = 0; c < CHAINS; c++) {
        struct silence *still = &e->overdue.still[c];
        if (!due[c] || !e->pipe->whole || anyone_busy(e, c)) { /* nor is there a route that could be asked, until the pipeline is whole */
            silence_broken(still, now);
            continue;
        }
        const uint64_t waited = silence_ns(still, now);
        if (waited <= limit_ns(e, c)) continue;
        silence_broken(still, now);
        accuse(e, c, waited);
    }
}
