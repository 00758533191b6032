/* worker/meet.c — how long it takes from this worker to another and back, before either has a part: MEET.
 *
 *   coordinator ── MEET: 1 will call ──► worker 2 ── PROBED ──►
 *   coordinator ── MEET: call 2 ───────► worker 1 ── PROBE… ──► worker 2, which answers as it would answer the coordinator
 *               ◄─ PROBED: so long ───── worker 1 ◄─ PROBED…
 *
 * Nothing here waits: what comes next is dealt with as it comes. Whatever fails, and whatever the coordinator says before it is over, ends the
 * meeting and no more; each MEET is answered once. The connection stays: what the two send each other is
 * counted on, and a plan that needs it finds it there. */
#include "worker/run.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { TURN_THERE = 4, TURN_BACK, TURNS }; /* four times with next to nothing, of which the fastest counts, then once with many bytes each way */

/* points 0: it did not come about, or there is nothing to say. */
static int tell(struct run *r, uint32_t points, struct err *why)
{
    struct probed m = {.n = points};
    struct frame *f = NULL;
    memcpy(m.seconds, r->meeting.seconds, sizeof r->meeting.seconds);
    r->meeting = (struct meeting){0};
    TRY(probed_write(&f, &m, why));
    return run_send(r, 0, f, why);
}

int run_meeting_over(struct run *r, struct err *why)
{
    return r->meeting.with ? tell(r, 0, why) : 0;
}

static int call(struct run *r, struct err *why)
{
    struct meeting *m = &r->meeting;
    struct probe *ask = calloc(1, sizeof *ask);
    struct frame *f = NULL;
    struct err lost;
    if (!ask) return fail(why, E_MEMORY, "no memory to measure");
    ask->bytes = m->turn == TURN_THERE ? m->bytes : 0;
    ask->answer = m->turn == TURN_BACK ? m->bytes : 0;
    int code = probe_write(&f, ask, why);
    if (!code && ask->bytes) memset(ask->filler, 0, ask->bytes);
    free(ask);
    m->asked_ns = clock_ns();
    if (code) return code;
    return run_send(r, (int)m->with, f, &lost) ? tell(r, 0, why) : 0;
}

int run_met(struct run *r, struct frame *f, struct err *why)
{
    struct meeting *m = &r->meeting;
    const double took = (double)(clock_ns() - m->asked_ns) / 1e9;
    struct probed answer;
    if (!m->with || f->head.from != m->with) return 0; /* of one that is over */
    TRY(probed_read(&answer, f, why));
    double *seconds = &m->seconds[m->turn < TURN_THERE ? 0 : m->turn == TURN_THERE ? 1 : 2];
    if (!(*seconds > 0) || took < *seconds) *seconds = took;
    return ++m->turn < TURNS ? call(r, why) : tell(r, MEETING_POINTS, why);
}

static int open_way(struct run *r, void *with, struct err *why)
{
    const struct meet *m = with;
    struct err unable;
    if (r->worker->options.only_network && !strncmp(m->address, "ipc:", 4)) return 0;
    if (!m->call) return port_neighbour(r->port, (int)m->node, "", m->key, why);
    if (port_neighbour(r->port, (int)m->node, m->address, m->key, &unable) || port_reach(r->port, (int)m->node, m->address, &unable)) return 0;
    r->meeting = (struct meeting){.with = m->node, .bytes = m->bytes};
    return 0;
}

int run_meet(struct run *r, struct frame *f, struct err *why)
{
    struct meet m;
    TRY(meet_read(&m, f, why));
    if (m.node < 1 || m.node >= r->greet.nodes || m.node == r->greet.node)
        return fail(why, E_WIRE, "node %u of %u is to be met; this is node %u", m.node, r->greet.nodes, r->greet.node);
    if (m.call) run_look_up(m.address);
    TRY(run_errand(r, open_way, &m, why));
    return r->meeting.with ? call(r, why) : tell(r, 0, why);
}
