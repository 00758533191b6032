/* coordinator/cluster/roster.c — see roster.h.
 *
 * What happens in one call of roster_next, until something is worth telling:
 *
 *   interrupted? ─► a process ended? ─► a lease over, a reason awaited too long? ─► pings due ─► port_recv ─► look at it
 *
 * The kernel tells of a process that died a moment later than the socket does, and its word is the better one ("was ended
 * by signal 9"). So the closed connection of a process that was started here becomes an event only after REASON_NS.
 *
 * Costs: a walk over the members for every call; 1,000 members take microseconds. */
#include "coordinator/cluster/roster.h"

#include "base/interrupt.h"
#include "base/limits.h"
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PING_NS 1000000000ull           /* between two pings */
#define WORKER_LEASE_NS 10000000000ull  /* a worker that says nothing for so long is lost, whatever its connection says */
#define LOADING_LEASE_NS 60000000000ull /* it cannot answer while the system finds it its memory */
#define REASON_NS 200000000ull
#define LOOK_MS 200 /* between two looks at processes and signals */
#define AWAY_NS 2000000000ull /* whoever did not listen for so long cannot say that others were silent */

struct roster {
    struct port *port;
    const struct clock *clock;
    struct local_workers *local; /* NULL: none were started here */
    struct member **member;    /* [n], node i + 1; each stays where it is */
    int n, room;
    int awaited; /* members whose connection closed and whose end is not explained yet */
    uint64_t run, pinged_ns, listened_ns, looked_ns;
};

int roster_open(struct roster **out, struct port *port, const struct clock *clock, struct err *why)
{
    struct roster *r = calloc(1, sizeof *r);
    *out = r;
    if (!r) {
        port_close(&port);
        return fail(why, E_MEMORY, "no memory for the list of workers");
    }
    r->port = port;
    r->clock = clock;
    return 0;
}

void roster_close(struct roster **pr)
{
    struct roster *r = *pr;
    *pr = NULL;
    if (!r) return;
    port_close(&r->port);
    for (int i = 0; i < r->n; i++) free(r->member[i]);
    free(r->member);
    free(r);
}

int roster_add(struct roster *r, const char *address, struct err *why)
{
    if (r->n == WORKERS_MOST) return fail(why, E_USAGE, "there are more than %d workers", WORKERS_MOST);
    if (r->n == r->room) {
        int room = r->room ? 2 * r->room : 8;
        struct member **more = realloc(r->member, (size_t)room * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for %d workers", room);
        r->member = more;
        r->room = room;
    }
    struct member *m;
    if (strlen(address) >= sizeof m->address)
        return fail(why, E_USAGE, "the address of worker %d is longer than %zu bytes", r->n + 1, sizeof m->address - 1);
    m = calloc(1, sizeof *m);
    if (!m) return fail(why, E_MEMORY, "no memory for another worker");
    m->node = r->n + 1;
    m->place = r->n;
    m->worker = -1;
    r->member[r->n++] = m;
    strcpy(m->address, address);
    int node = m->node;
    if (*address) TRY(port_invite(r->port, address, &node, why));
    if (node != m->node) return fail(why, E_INTERNAL, "worker %d is node %d of the port", m->node, node);
    if (*address) snprintf(m->name, sizeof m->name, "worker %d at %.150s", m->node, address);
    else snprintf(m->name, sizeof m->name, "worker %d", m->node);
    return 0;
}

void roster_watch_local(struct roster *r, struct local_workers *local)
{
    r->local = local;
}

int roster_size(const struct roster *r)
{
    return r->n;
}

struct member *roster_member(const struct roster *r, int node)
{
    return r->member[node - 1];
}

struct port *roster_port(const struct roster *r)
{
    return r->port;
}

const struct clock *roster_clock(const struct roster *r)
{
    return r->clock;
}

void roster_wake(struct roster *r)
{
    port_wake(r->port);
}

void event_free(struct event *e)
{
    frame_free(e->frame);
    e->frame = NULL;
}

/* ---- going out ---- */

/* Its connection is closed, as far as we know: the event follows, when the reason is known or not to be had. */
static void connection_closed(struct roster *r, struct member *m)
{
    if (m->standing == LOST || m->closed_ns) return;
    m->closed_ns = clock_now(r->clock);
    r->awaited++;
}

int roster_send(struct roster *r, struct member *to, struct frame **f, struct err *why)
{
    int code = to->standing == LOST || to->closed_ns ? E_LINK : port_send(r->port, to->node, f, why);
    if (code) frame_free(*f);
    *f = NULL;
    if (code != E_LINK) return code;
    connection_closed(r, to);
    return 0;
}

int roster_greet_one(struct roster *r, struct member *m, struct err *why)
{
    const int nodes = port_by_address(r->port) ? WORKERS_MOST + 1 : r->n + 1; /* where others may come later it will meet these too */
    const struct greet g = {.node = (uint16_t)m->node, .nodes = (uint16_t)nodes, .numeric = worker_numeric(), .run = r->run};
    struct frame *f = NULL;
    if (m->standing != INVITED) m->standing = LOADING; /* it puts aside what it has, and may be busy with that for a while */
    m->hailed = true;
    TRY(greet_write(&f, &g, why));
    return roster_send(r, m, &f, why);
}

int roster_greet(struct roster *r, uint32_t epoch, struct err *why)
{
    if (!r->run && getrandom(&r->run, sizeof r->run, 0) != sizeof r->run) r->run = clock_now(r->clock);
    if (!r->run) r->run = 1; /* on the wire 0 is no run */
    port_run(r->port, r->run, epoch);
    for (int i = 0; i < r->n; i++)
        if (r->member[i]->standing != LOST) TRY(roster_greet_one(r, r->member[i], why));
    return 0;
}

bool roster_awaits(const struct roster *r)
{
    for (int i = 0; i < r->n; i++)
        if (r->member[i]->hailed && r->member[i]->standing == LOADING) return true;
    return false;
}

void roster_shun(struct roster *r, const struct member *m)
{
    port_shun(r->port, m->node);
}

/* ---- losses ---- */

static void lose(struct roster *r, struct member *m, struct event *out)
{
    if (m->closed_ns) r->awaited--;
    m->closed_ns = 0;
    m->standing = LOST;
    out->kind = EVENT_LOST;
    out->who = m;
}

static struct member *last_in_place(const struct roster *r, int place)
{
    int i = r->n - 1;
    while (r->member[i]->place != place) i--;
    return r->member[i];
}

/* True if a process that was started here has ended and nobody was told yet. Asking is a call of the system for each process, and
 * frames come by the thousand: so only now and then, and whenever a connection closed and the reason is awaited. */
static bool child_ended(struct roster *r, uint64_t now, struct event *out)
{
    if (!r->awaited && now - r->looked_ns < LOOK_MS * 1000000ull) return false;
    r->looked_ns = now;
    char how[100];
    for (int child; r->local && (child = local_workers_ended(r->local, how, sizeof how));) {
        struct member *m = last_in_place(r, child - 1);
        if (m->standing == LOST) continue;
        fail(&out->why, E_WORKER, "worker %d (process %d of this machine) %s", m->node, (int)local_workers_pid(r->local, child), how);
        lose(r, m, out);
        return true;
    }
    return false;
}

static bool reason_stays_away(struct roster *r, uint64_t now, struct event *out)
{
    for (int i = 0; r->awaited && i < r->n; i++) {
        struct member *m = r->member[i];
        if (!m->closed_ns || (r->local && now - m->closed_ns < REASON_NS)) continue;
        fail(&out->why, E_WORKER, "%s was lost: its connection was closed", m->name);
        lose(r, m, out);
        return true;
    }
    return false;
}

/* After a pause of our own (a stopped process, a long calculation) everyone gets a new lease: their words may be queued. */
static void forgive_silence(struct roster *r, uint64_t now)
{
    for (int i = 0; i < r->n && now - r->listened_ns > AWAY_NS; i++) r->member[i]->heard_ns = now;
    r->listened_ns = now;
}

static bool lease_over(struct roster *r, uint64_t now, struct event *out)
{
    for (int i = 0; i < r->n; i++) {
        struct member *m = r->member[i];
        if (m->standing == INVITED || m->standing == LOST) continue;
        uint64_t lease = m->standing == READY ? WORKER_LEASE_NS : LOADING_LEASE_NS;
        if (now <= m->heard_ns || now - m->heard_ns <= lease) continue;
        fail(&out->why, E_WORKER, "%s was lost: it has not answered for %llu s", m->name, (unsigned long long)(lease / 1000000000ull));
        lose(r, m, out);
        return true;
    }
    return false;
}

static int ping_all(struct roster *r, uint64_t now, struct err *why)
{
    if (now - r->pinged_ns < PING_NS) return 0;
    r->pinged_ns = now;
    for (int i = 0; i < r->n; i++) {
        struct member *m = r->member[i];
        if (m->standing == INVITED || m->standing == LOST) continue;
        struct ping ping = {.at_ns = now};
        struct frame *f = NULL;
        TRY(ping_write(&f, M_PING, &ping, why));
        TRY(roster_send(r, m, &f, why));
    }
    return 0;
}

/* ---- coming in ---- */

/* It broke the protocol: it is not listened to any more. */
static void broke_the_protocol(struct roster *r, struct member *m, struct event *out)
{
    out->why.code = E_WIRE;
    lose(r, m, out);
}

static void take_hello(struct roster *r, struct member *m, struct event *out)
{
    if (!m->hailed) {
        fail(&out->why, E_WIRE, "%s said HELLO out of turn", m->name);
        return broke_the_protocol(r, m, out);
    }
    if (hello_read(&m->hello, out->frame, &out->why)) return broke_the_protocol(r, m, out);
    if (m->hello.numeric != worker_numeric()) {
        fail(&out->why, E_USAGE, "%s computes by version %u of the numbers, this program by version %u, and results would differ: install "
             "the same program on both", m->name, m->hello.numeric, worker_numeric());
        return lose(r, m, out);
    }
    bool far = m->address[0] && !r->local;
    snprintf(m->where, sizeof m->where, "process %u on %.63s%s%.80s", m->hello.pid, m->hello.host, far ? ", " : "",
             far ? m->address : "");
    snprintf(m->name, sizeof m->name, "worker %d (%s)", m->node, m->where);
    m->standing = GREETED;
    m->hailed = false;
    out->kind = EVENT_JOINED;
}

static void take_fault(struct roster *r, struct member *m, struct event *out)
{
    struct fault fault;
    if (fault_read(&fault, out->frame, &out->why)) return broke_the_protocol(r, m, out);
    const bool busy = fault.code == E_LINK && m->standing == INVITED; /* later a link of its own is meant */
    const bool known = fault.code == E_USAGE || fault.code == E_FILE || fault.code == E_MEMORY || busy;
    fail(&out->why, known ? (int)fault.code : E_WORKER, "%s cannot go on: %s", m->name, fault.text);
    lose(r, m, out);
    out->kind = EVENT_FAULT;
}

static void take_report(struct roster *r, struct member *m, struct event *out)
{
    if (report_read(&m->report, out->frame, &out->why)) return broke_the_protocol(r, m, out);
    m->reports++;
    out->kind = EVENT_REPORT;
}

/* Turns the frame in *out into the event that it is; EVENT_NONE if it is dealt with. */
static void look_at(struct roster *r, struct event *out)
{
    const int node = out->frame->head.from;
    struct member *m = node >= 1 && node <= r->n ? roster_member(r, node) : NULL;
    const unsigned type = out->frame->head.type;
    if (m && m->standing != LOST && type != M_LOST) m->heard_ns = clock_now(r->clock);
    out->who = m;
    if (!m || m->standing == LOST) out->kind = EVENT_NONE;
    else if (type == M_LOST) m->standing == INVITED ? (void)0 : connection_closed(r, m);
    else if (type == M_FAULT) take_fault(r, m, out);
    else if (type == M_HELLO) take_hello(r, m, out);
    else if (type == M_REPORT) take_report(r, m, out);
    else if (type != M_PONG) out->kind = EVENT_FRAME;
    if (out->kind != EVENT_FRAME) event_free(out);
}

/* One look at the port. An error of ours, or what a peer did as an event. *came: there was something, there may be more. */
static int hear(struct roster *r, struct event *out, int timeout_ms, bool *came, struct err *why)
{
    struct err mine = {0};
    int code = port_recv(r->port, &out->frame, timeout_ms, &mine);
    *came = code || out->frame;
    if (!code) {
        if (out->frame) look_at(r, out);
        return 0;
    }
    int node = port_culprit(r->port);
    if (node < 1 || node > r->n) {
        *why = mine;
        return code;
    }
    if (roster_member(r, node)->standing == LOST) return 0;
    out->why = mine;
    lose(r, roster_member(r, node), out);
    return 0;
}

static bool interrupted(struct event *out)
{
    if (!interrupt_seen()) return false;
    out->kind = EVENT_INTERRUPTED;
    fail(&out->why, E_INTERRUPTED, "%s", interrupt_reason());
    return true;
}

static int next_event(struct roster *r, struct event *out, int timeout_ms, struct err *why)
{
    const uint64_t end = clock_now(r->clock) + (uint64_t)timeout_ms * 1000000;
    for (;;) {
        const uint64_t now = clock_now(r->clock);
        *out = (struct event){.kind = EVENT_NONE};
        if (interrupted(out)) return 0;
        if (port_woken(r->port)) {
            out->kind = EVENT_WOKEN;
            return 0;
        }
        forgive_silence(r, now);
        if (child_ended(r, now, out) || reason_stays_away(r, now, out) || lease_over(r, now, out)) return 0;
        TRY(ping_all(r, now, why));
        uint64_t left = now < end ? (end - now + 999999) / 1000000 : 0, most = r->awaited ? 4 : LOOK_MS;
        bool came;
        TRY(hear(r, out, left < most ? (int)left : (int)most, &came, why));
        if (out->kind != EVENT_NONE) return 0;
        if (!came && clock_now(r->clock) >= end) return 0;
    }
}

/* What ends us may have been sent to a whole group of processes: that workers end by it too is no news. */
int roster_next(struct roster *r, struct event *out, int timeout_ms, struct err *why)
{
    TRY(next_event(r, out, timeout_ms, why));
    if (out->kind == EVENT_LOST || out->kind == EVENT_FAULT) interrupted(out);
    return 0;
}

int roster_until(struct roster *r, const struct consumer *c, int timeout_ms, struct err *why)
{
    while (!c->done(c->user)) {
        struct event e;
        TRY(roster_next(r, &e, timeout_ms, why));
        int code = c->event(c->user, &e, why);
        event_free(&e);
        if (code) return code;
    }
    return 0;
}

/* ---- the end ---- */

void roster_dismiss(struct roster *r, const struct err *failure)
{
    struct err ignored;
    for (int i = 0; i < r->n; i++) {
        const struct member *m = r->member[i];
        struct frame *f = NULL;
        struct fault fault = {.code = E_WORKER};
        const bool greeted = m->standing != INVITED;
        /* Who was there from the start waits for a word whatever happened; a listener that was never greeted does not know of us. */
        if (!greeted && port_by_address(r->port)) continue;
        if (failure) snprintf(fault.text, sizeof fault.text, "%s", failure->text);
        bool tell = failure && failure->code != E_INTERRUPTED && greeted;
        if (tell ? fault_write(&f, &fault, &ignored) : empty_write(&f, M_STOP, &ignored)) continue;
        if (port_send(r->port, m->node, &f, &ignored)) frame_free(f);
    }
    port_flush(r->port, 1000, &ignored);
}
