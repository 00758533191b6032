/* coordinator/cluster/roster.c — see roster.h.
 *
 * What happens in one call of roster_next, until something is worth telling:
 *
 *   interrupted? ─► a process ended? ─► a silent, standing still, a reason awaited too long? ─► pings due ─► port_recv ─► look at it
 *
 * The kernel tells of a process that died a moment later than the socket does, and its word is the better one ("was ended
 * by signal 9"). So the closed connection of a process that was started here becomes an event only after REASON_NS.
 *
 * Costs: a walk over the members for every call; 1,000 members take microseconds. */
#include "coordinator/cluster/roster.h"

#include "base/interrupt.h"
#include "base/limits.h"
#include "base/log.h"
#include "transport/links/address.h"
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SUSPECT_NS 1500000000ull
#define LOST_NS 3000000000ull /* a worker silent for so long is lost, whatever its connection says: it stops by itself then (LEASE_NS) */
#define STILL_NS 20000000000ull /* so long nothing goes on in who is at work, at least */
#define STILL_MOST_NS 60000000000ull /* while nothing is known of how long its steps take */
#define STILL_TIMES 20 /* and as many times the longest step it was seen to take */
#define LOADS_AT_LEAST 4194304 /* bytes a second, from whatever disk, in however little memory: whoever has been given all, or puts aside what it has */
#define REASON_NS 200000000ull
#define LOOK_MS 200 /* between two looks at processes and signals */
#define UNREAD_MOST 8 /* frames of one member that may wait to be read: its window (docs/WIRE.md, "Credits") */

struct roster {
    struct port *port;
    const struct clock *clock;
    struct local_workers *local; /* NULL: none were started here */
    struct member **member;    /* [n], node i + 1; each stays where it is */
    int n, room, places;
    struct member *accused; /* to be told of as lost, for that reason; NULL: nobody */
    struct err accusation;
    int awaited; /* members whose connection closed and whose end is not explained yet */
    uint64_t run, pinged_ns, looked_ns;
    uint64_t silent_ns; /* of who is silent for longest, as of the last look */
    uint64_t passed; /* frames that were read; a look that found none counts for all that could have been there */
    bool doubts;     /* somebody's lease is over, and it is not known yet that nothing of it waits to be read */
    struct numeric_mode mode;
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
    r->run = port_in_run(port);
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

/* A name is looked up for it, which may take long: once, when nothing is under way yet. */
static bool is_near(const struct roster *r, const char *address)
{
    for (int i = 0; i < r->n; i++)
        if (!strcmp(r->member[i]->address, address)) return r->member[i]->reach == REACH_NEAR;
    return address_is_near(address);
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
    const bool ours = *address || port_has(r->port, m->node);
    m->place = ours ? r->places++ : -1;
    if (!ours) m->standing = LOST;
    m->worker = -1;
    silence_broken(&m->silence, clock_now(r->clock));
    if (*address && is_near(r, address)) m->reach = REACH_NEAR;
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

int roster_places(const struct roster *r)
{
    return r->places;
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
    struct err mine;
    if ((*f)->head.type != M_PING) silence_broken(&to->still, clock_now(r->clock)), silence_broken(&to->mute, clock_now(r->clock));
    int code = to->standing == LOST || to->closed_ns ? E_LINK : port_send(r->port, to->node, f, &mine);
    if (code) frame_free(*f);
    *f = NULL;
    if (code && code != E_LINK) *why = mine;
    if (code != E_LINK) return code;
    connection_closed(r, to);
    return 0;
}

void roster_compute_in(struct roster *r, struct numeric_mode mode)
{
    r->mode = mode;
}

int roster_greet_one(struct roster *r, struct member *m, struct err *why)
{
    const int nodes = port_by_address(r->port) ? WORKERS_MOST + 1 : r->n + 1; /* where others may come later it will meet these too */
    const struct greet g = {.node = (uint16_t)m->node, .nodes = (uint16_t)nodes, .numeric = worker_numeric(), .run = r->run,
                            .mode = r->mode};
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
    m->lost_by = out->why.code;
    out->kind = EVENT_LOST;
    out->who = m;
}

void roster_let_go(struct roster *r, struct member *m)
{
    struct frame *f = NULL;
    struct err ignored;
    struct event nobody_is_told = {0};
    if (!empty_write(&f, M_STOP, &ignored)) (void)roster_send(r, m, &f, &ignored);
    lose(r, m, &nobody_is_told);
    port_shun(r->port, m->node);
}

void roster_lose(struct roster *r, struct member *m, const struct err *why)
{
    if (r->accused && r->accused->standing != LOST) return; /* one at a time */
    r->accused = m;
    r->accusation = *why;
}

int roster_judge(struct roster *r, struct member *m, int code, const struct err *judged, struct err *why)
{
    struct err mine = *judged;
    if (code != E_WIRE && code != E_WORKER) return *why = *judged, code;
    mine.code = code;
    roster_lose(r, m, &mine);
    return 0;
}

static bool accused_elsewhere(struct roster *r, struct event *out)
{
    struct member *m = r->accused;
    r->accused = NULL;
    if (!m || m->standing == LOST) return false;
    out->why = r->accusation;
    lose(r, m, out);
    return true;
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

/* INVITED is who may not even be there. */
static bool is_here(const struct member *m)
{
    return m->standing != INVITED && m->standing != LOST;
}

static uint64_t unread_most(const struct roster *r)
{
    return UNREAD_MOST * (uint64_t)r->n + 1;
}

/* Whoever listens reads a frame a turn, and a turn may take a second, as where a cold disk is read: the word of one who is taken for silent may
 * be here, behind those of others. So all that came before its lease was over is read first, which takes no time if there is nothing. */
static bool may_be_unread(struct roster *r, struct member *m)
{
    if (!m->doubted) m->doubted = r->passed + 1;
    const bool may = r->passed + 1 - m->doubted < unread_most(r);
    r->doubts |= may;
    return may;
}

static bool fell_silent(struct roster *r, uint64_t now, struct event *out)
{
    r->silent_ns = 0;
    r->doubts = false;
    for (int i = 0; i < r->n; i++) {
        struct member *m = r->member[i];
        if (!is_here(m)) continue;
        const uint64_t silent = silence_ns(&m->silence, now);
        if (silent > r->silent_ns) r->silent_ns = silent;
        if (silent > SUSPECT_NS && !m->suspect) log_debug("%s has not answered for a while", m->name);
        m->suspect = silent > SUSPECT_NS;
        if (silent <= LOST_NS) m->doubted = 0;
        if (silent <= LOST_NS || may_be_unread(r, m)) continue;
        fail(&out->why, E_WORKER, "%s was lost: it has not answered for %llu s", m->name, LOST_NS / 1000000000ull);
        lose(r, m, out);
        return true;
    }
    return false;
}

/* So long a member may stand still that has something to do. */
static uint64_t still_limit(const struct member *m)
{
    const uint64_t by_measure = STILL_TIMES * m->still_most_ns;
    if (!m->still_most_ns) return STILL_MOST_NS;
    return by_measure > STILL_NS ? by_measure : STILL_NS;
}

/* So long it may say that it loads, or puts aside what it had: that it gets on is soon said. */
static uint64_t mute_limit(const struct member *m)
{
    return STILL_MOST_NS + m->part_bytes / LOADS_AT_LEAST * 1000000000ull;
}

/* It answers, and yet nothing goes on: a lock, a file that cannot be read, a program that only answers. */
static bool stands_still(struct roster *r, uint64_t now, struct event *out)
{
    for (int i = 0; i < r->n; i++) {
        struct member *m = r->member[i];
        if (!is_here(m)) continue;
        if (m->standing != LOADING && !m->pong.busy) silence_broken(&m->still, now);
        if (m->standing != LOADING) silence_broken(&m->mute, now);
        const bool still = silence_ns(&m->still, now) > still_limit(m), mute = silence_ns(&m->mute, now) > mute_limit(m);
        if (!still && !mute) continue;
        const uint64_t limit = still ? still_limit(m) : mute_limit(m);
        fail(&out->why, E_WORKER, "%s was lost: it answers, but nothing of its %s went on for %llu s", m->name,
             m->standing == LOADING ? "loading, after which READY is awaited," : "work", (unsigned long long)(limit / 1000000000ull));
        lose(r, m, out);
        return true;
    }
    return false;
}

/* Who is waited for, so that others know why they have nothing to do. */
static uint32_t count_awaited(const struct roster *r)
{
    uint32_t n = 0;
    for (int i = 0; i < r->n; i++) n += r->member[i]->standing == INVITED || r->member[i]->hailed;
    return n;
}

static int ping_all(struct roster *r, uint64_t now, struct err *why)
{
    if (now - r->pinged_ns < PING_NS) return 0;
    r->pinged_ns = now;
    const uint32_t awaited = count_awaited(r);
    for (int i = 0; i < r->n; i++) {
        struct member *m = r->member[i];
        if (!is_here(m)) continue;
        const bool spare = m->worker < 0; /* it waits until others are lost */
        struct ping ping = {.at_ns = now, .queue = awaited + spare, .stamp_ns = m->pong.stamp_ns};
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

/* Float32 numbers by another library, or by another processor's code in it, than a member's that came before. */
static bool computes_otherwise(const struct roster *r, const struct member *m, struct err *why)
{
    for (int i = 0; i < r->n; i++) {
        const struct member *o = r->member[i];
        if (o == m || o->standing == INVITED || o->standing == LOST || !strcmp(o->hello.blas, m->hello.blas)) continue;
        fail(why, E_USAGE, "%s multiplies by %s, %s by %s, and results would differ: install the same library on all, and set "
             "OPENBLAS_CORETYPE to the same, as Haswell or ARMV8, for workers on different processors", m->name, m->hello.blas, o->name, o->hello.blas);
        return true;
    }
    return false;
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
    if (computes_otherwise(r, m, &out->why)) return lose(r, m, out);
    bool far = m->address[0] && !r->local && m->reach != REACH_NONE;
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
    fail_about(&out->why, busy ? ABOUT_BUSY : ABOUT_NOTHING, known ? (int)fault.code : E_WORKER, "%s cannot go on: %s", m->name, fault.text);
    lose(r, m, out);
    out->kind = EVENT_FAULT;
}

static void take_report(struct roster *r, struct member *m, struct event *out)
{
    if (report_read(&m->report, out->frame, &out->why)) return broke_the_protocol(r, m, out);
    m->reports++;
    out->kind = EVENT_REPORT;
}

static void heard(struct member *m, unsigned type, uint64_t now)
{
    if (m->suspect) log_debug("%s answers again", m->name);
    m->suspect = false;
    silence_broken(&m->silence, now);
    if (type != M_PONG) silence_broken(&m->still, now), silence_broken(&m->mute, now);
}

static void take_pong(struct roster *r, struct member *m, struct event *out)
{
    struct ping pong;
    const uint64_t now = clock_now(r->clock);
    if (ping_read(&pong, out->frame, &out->why)) return broke_the_protocol(r, m, out);
    if (pong.steps != m->pong.steps && m->pong.busy) {
        const uint64_t still = silence_ns(&m->still, now);
        if (still > m->still_most_ns) m->still_most_ns = still;
    }
    if (pong.steps != m->pong.steps) silence_broken(&m->still, now);
    m->pong = pong;
}

static void take_leave(struct member *m, struct event *out)
{
    if (m->leaves) return;
    m->leaves = true;
    fail(&out->why, E_WORKER, "%s was told to end", m->name);
    out->kind = EVENT_LEAVES;
}

static void take_unreachable(struct roster *r, struct member *m, struct event *out)
{
    struct unreachable told;
    if (unreachable_read(&told, out->frame, &out->why)) return broke_the_protocol(r, m, out);
    if (told.node < 1 || told.node > (uint32_t)r->n || (int)told.node == m->node) {
        fail(&out->why, E_WIRE, "%s says that it cannot reach worker %u; there are %d", m->name, told.node, r->n);
        return broke_the_protocol(r, m, out);
    }
    struct member *other = roster_member(r, (int)told.node);
    if (other->standing == LOST) return;
    fail(&out->why, E_WORKER, told.wrong ? "%s cannot go on with %s: %s" : "%s cannot reach %s: %s", m->name, other->name, told.text);
    if (told.wrong) return lose(r, other, out);
    out->kind = EVENT_APART;
    out->other = other;
}

/* Turns the frame in *out into the event that it is; EVENT_NONE if it is dealt with. */
static void look_at(struct roster *r, struct event *out)
{
    const int node = out->frame->head.from;
    struct member *m = node >= 1 && node <= r->n ? roster_member(r, node) : NULL;
    const unsigned type = out->frame->head.type;
    if (m && m->standing != LOST && type != M_LOST) heard(m, type, clock_now(r->clock));
    out->who = m;
    if (!m || m->standing == LOST) out->kind = EVENT_NONE;
    else if (type == M_LOST) connection_closed(r, m);
    else if (type == M_FAULT) take_fault(r, m, out);
    else if (type == M_HELLO) take_hello(r, m, out);
    else if (type == M_REPORT) take_report(r, m, out);
    else if (type == M_PONG) take_pong(r, m, out);
    else if (type == M_UNREACHABLE) take_unreachable(r, m, out);
    else if (type == M_LEAVE) take_leave(m, out);
    else if (type == M_PROBED && m->unheeded) m->unheeded--;
    else out->kind = EVENT_FRAME;
    if (out->kind != EVENT_FRAME) event_free(out);
}

/* One look at the port. An error of ours, or what a peer did as an event. *came: there was something, there may be more. */
static int hear(struct roster *r, struct event *out, int timeout_ms, bool *came, struct err *why)
{
    struct err mine = {0};
    int code = port_recv(r->port, &out->frame, timeout_ms, &mine);
    *came = code || out->frame;
    r->passed += *came ? 1 : unread_most(r);
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

/* Until processes and signals are to be looked at, or who is silent is lost. */
static uint64_t look_ms(const struct roster *r)
{
    const uint64_t left = r->silent_ns <= LOST_NS ? (LOST_NS - r->silent_ns) / 1000000 + 1 : 0;
    return r->doubts ? 1 : r->awaited ? 4 : left < LOOK_MS ? left : LOOK_MS;
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
        if (accused_elsewhere(r, out)) return 0;
        if (child_ended(r, now, out) || reason_stays_away(r, now, out) || fell_silent(r, now, out) || stands_still(r, now, out)) return 0;
        TRY(ping_all(r, now, why));
        uint64_t left = now < end ? (end - now + 999999) / 1000000 : 0, most = look_ms(r);
        bool came;
        TRY(hear(r, out, left < most ? (int)left : (int)most, &came, why));
        if (out->kind != EVENT_NONE) return 0;
        if (!came && !r->doubts && clock_now(r->clock) >= end) return 0;
    }
}

/* What ends us may have been sent to a whole group of processes: that workers end by it too is no news. */
int roster_next(struct roster *r, struct event *out, int timeout_ms, struct err *why)
{
    TRY(next_event(r, out, timeout_ms, why));
    /* Who is lost is not waited for at the end. */
    if (out->kind == EVENT_LOST && !port_outlives_peers(r->port)) port_shun(r->port, out->who->node);
    if (out->kind == EVENT_LOST || out->kind == EVENT_FAULT || out->kind == EVENT_APART || out->kind == EVENT_LEAVES) interrupted(out);
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
        /* Who was there from the start waits for a word whatever happened; a listener that was never greeted does not know of us, and the
         * greeting that waits for it is not waited for. */
        if (!greeted && port_by_address(r->port)) {
            port_shun(r->port, m->node);
            continue;
        }
        if (failure) snprintf(fault.text, sizeof fault.text, "%s", failure->text);
        bool tell = failure && failure->code != E_INTERRUPTED && greeted;
        if (tell ? fault_write(&f, &fault, &ignored) : empty_write(&f, M_STOP, &ignored)) continue;
        port_send_off(r->port, m->node, f, &ignored);
    }
    port_flush(r->port, 1000, &ignored);
}
