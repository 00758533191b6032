/* transport/links/port.c — what all kinds of port do the same way. See transport.h and port.h.
 *
 * Going out: a frame gets its number and its CRCs, then waits in the queue of its peer until the kind can move it. So a
 * send never blocks, and a ring of nodes that all send at once cannot stand still.
 *
 * Coming in: a frame is opened (CRCs, size), then judged. One of another run, route, plan or epoch is dropped and counted: it is
 * late, not wrong. So is one whose number was there before. But a damaged frame, or a number that was skipped, means that
 * something was lost which nobody will send again: the sentence goes up once, and that peer is not listened to any more. */
#include "transport/links/port.h"

#include "transport/links/keys.h"

#include "base/clock.h"
#include "base/planted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_AT_FIRST (1u << 20) /* until port_limits is called: GREET, HELLO and ASSIGN fit many times over */
#define QUEUED_AT_FIRST 1024

void queue_put(struct queue *q, struct frame *f)
{
    f->next = 0;
    if (q->last) q->last->next = f;
    else q->first = f;
    q->last = f;
    q->n++;
}

struct frame *queue_take(struct queue *q)
{
    struct frame *f = q->first;
    if (!f) return 0;
    q->first = f->next;
    if (!q->first) q->last = 0;
    q->n--;
    f->next = 0;
    return f;
}

void queue_clear(struct queue *q)
{
    while (q->first) frame_free(queue_take(q));
}

const char *node_name(char out[32], int node)
{
    if (node == 0) snprintf(out, 32, "the coordinator");
    else snprintf(out, 32, "worker %d", node);
    return out;
}

/* ---- peers ---- */

struct peer *peer_made(struct port *p, int node)
{
    if (p->peers[node]) return p->peers[node];
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer) peer->epoch = p->epoch;
    return p->peers[node] = peer;
}

void peer_forget(struct port *p, int node)
{
    struct peer *peer = peer_of(p, node);
    if (!peer) return;
    queue_clear(&peer->out);
    p->untold -= peer->untold;
    free(peer->lanes);
    free(peer);
    p->peers[node] = NULL;
}

int port_grow(struct port *p, int nodes, struct err *why)
{
    if (nodes <= p->room) return 0;
    struct peer **more = realloc(p->peers, (size_t)nodes * sizeof *more);
    if (!more) return fail(why, E_MEMORY, "no memory to keep track of %d nodes", nodes);
    memset(more + p->room, 0, (size_t)(nodes - p->room) * sizeof *more);
    p->peers = more;
    p->room = nodes;
    return 0;
}

static void limits_at_first(struct port *p)
{
    port_limits(p, p->options.max_body ? p->options.max_body : BODY_AT_FIRST,
                p->options.max_queued ? p->options.max_queued : QUEUED_AT_FIRST);
}

int port_init(struct port *p, const struct kind *kind, const struct link_options *options, int self, int nodes, struct err *why)
{
    p->kind = kind;
    p->clock = clock_system();
    p->self = self;
    p->nodes = nodes;
    p->culprit = -1;
    if (options) p->options = *options;
    limits_at_first(p);
    return port_grow(p, nodes > 0 ? nodes : 1, why); /* node 0 greets those who know nobody yet */
}

int port_init_part(struct port *part, struct port *whole, const bool *has, struct err *why)
{
    TRY(port_init(part, whole->kind, &whole->options, whole->self, whole->nodes, why));
    part->clock = whole->clock;
    part->run = whole->run;
    part->epoch = whole->epoch;
    port_limits(part, whole->max_body, whole->max_queued);
    for (int k = 0; k < whole->nodes; k++) {
        struct peer *peer = has[k] ? whole->peers[k] : NULL;
        if (!peer) continue;
        part->peers[k] = peer;
        whole->peers[k] = NULL;
        part->untold += peer->untold, whole->untold -= peer->untold;
    }
    return 0;
}

static void forget_peers(struct port *p)
{
    for (int k = 0; k < p->room; k++) peer_forget(p, k);
    queue_clear(&p->inbox);
}

void port_forget(struct port *p)
{
    forget_peers(p);
    port_run(p, 0, 0);
    limits_at_first(p);
    if (p->options.keys) keys_forget_run(p->options.keys);
    p->self = -1;
    p->nodes = 0;
}

void port_free(struct port *p)
{
    forget_peers(p);
    free(p->peers);
    free(p->routes);
    free(p);
}

int port_self(const struct port *p)
{
    return p->self;
}

int port_nodes(const struct port *p)
{
    return p->nodes;
}

const char *port_kind(const struct port *p)
{
    return p->kind->name;
}

bool port_outlives_peers(const struct port *p)
{
    return p->kind->outlives;
}

bool port_by_address(const struct port *p)
{
    return p->kind->by_address;
}

bool port_has(const struct port *p, int node)
{
    return p->kind->reachable(p, node);
}

uint64_t port_in_run(const struct port *p)
{
    return p->run;
}

struct port_counters port_counters(const struct port *p)
{
    return p->counters;
}

void port_limits(struct port *p, uint64_t max_body, uint32_t max_queued)
{
    p->max_body = max_body < FRAME_BODY_MOST ? max_body : FRAME_BODY_MOST;
    p->max_queued = max_queued;
}

static void close_routes(struct port *p)
{
    for (int i = 0; i < p->n_routes; i++) p->routes[i].open = false;
}

void port_run(struct port *p, uint64_t run, uint32_t epoch)
{
    if (run != p->run) close_routes(p);
    p->run = run;
    p->epoch = epoch;
    for (int k = 0; k < p->room; k++)
        if (p->peers[k]) p->peers[k]->epoch = epoch;
}

int port_epoch(struct port *p, int node, uint32_t epoch, struct err *why)
{
    if (node < 0 || node >= p->nodes) return fail(why, E_LINK, "there is no node %d of %d", node, p->nodes);
    struct peer *peer = peer_made(p, node);
    if (!peer) return fail(why, E_MEMORY, "no memory to keep track of node %d", node);
    peer->epoch = epoch;
    return 0;
}

int port_route(struct port *p, uint16_t route, uint64_t plan, uint32_t epoch, struct err *why)
{
    if (route < 1 || route > ROUTES_MOST) return fail(why, E_USAGE, "route %u; they are numbered 1 to %d", route, ROUTES_MOST);
    if (route >= p->n_routes) {
        struct port_route *more = realloc(p->routes, ((size_t)route + 1) * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for %u routes", route);
        memset(more + p->n_routes, 0, ((size_t)route + 1 - (size_t)p->n_routes) * sizeof *more);
        p->routes = more;
        p->n_routes = route + 1;
    }
    p->routes[route] = (struct port_route){true, epoch, plan};
    return 0;
}

/* NULL: not open. */
static const struct port_route *route_of(const struct port *p, uint16_t route)
{
    return route < p->n_routes && p->routes[route].open ? &p->routes[route] : NULL;
}

int port_culprit(const struct port *p)
{
    return p->culprit;
}

void port_wake(struct port *p)
{
    atomic_store(&p->woken, true);
    p->kind->wake(p);
}

bool port_woken(struct port *p)
{
    const bool woken = atomic_exchange(&p->woken, false) || p->told_woken;
    p->told_woken = false;
    return woken;
}

int port_reach(struct port *p, int node, const char *address, struct err *why)
{
    if (node < 1 || node >= p->nodes || node == p->self)
        return fail(why, E_LINK, "cannot connect to node %d: this is node %d of %d", node, p->self, p->nodes);
    return p->kind->reach ? p->kind->reach(p, node, address, why) : 0;
}

void port_key(const struct port *p, const char *address, uint8_t out[32])
{
    if (!p->options.keys || !keys_pinned(p->options.keys, address, out)) memset(out, 0, 32);
}

int port_neighbour(struct port *p, int node, const char *address, const uint8_t key[32], struct err *why)
{
    if (key_is_none(key)) return 0;
    if (!p->options.keys)
        return fail(why, E_USAGE, "the links of this run are encrypted, and this worker has no keys: start it with --keys, or say --insecure there and here");
    if (*address) TRY(keys_pin(p->options.keys, address, key, why));
    return keys_admit(p->options.keys, node, key, why);
}

bool port_met(const struct port *p, int node)
{
    return !p->kind->met || p->kind->met(p, node);
}

/* A peer that was lost keeps its number until it is parted from: whoever still speaks of it must not mean another. */
static bool number_is_free(const struct port *p, int node)
{
    return node >= p->nodes || (!p->kind->reachable(p, node) && !peer_of(p, node));
}

int port_invite(struct port *p, const char *address, int *node, struct err *why)
{
    *node = -1;
    if (!p->kind->by_address || p->self != 0)
        return fail(why, E_LINK, "no worker can be added: a port of kind %s has the nodes it was opened with", p->kind->name);
    int lowest = 1;
    while (!number_is_free(p, lowest)) lowest++;
    if (lowest > WORKERS_MOST) return fail(why, E_USAGE, "there are %d workers already, more are not possible", WORKERS_MOST);
    TRY(port_grow(p, lowest + 1, why));
    TRY(p->kind->reach(p, lowest, address, why));
    if (lowest >= p->nodes) p->nodes = lowest + 1;
    *node = lowest;
    return 0;
}

const char *port_silence(const struct port *p, int node)
{
    return p->kind->silence ? p->kind->silence(p, node) : NULL;
}

void port_part(struct port *p, int node)
{
    if (node < 0 || node >= p->nodes || node == p->self) return;
    if (p->kind->part) p->kind->part(p, node);
    peer_forget(p, node);
}

void port_shun(struct port *p, int node)
{
    port_part(p, node);
    struct peer *peer = peer_made(p, node);
    if (peer) peer->lost = true;
}

bool port_shunned(const struct port *p, int node)
{
    return peer_lost(p, node);
}

int port_listen_again(struct port *p, struct err *why)
{
    if (!p->kind->again) return fail(why, E_LINK, "a port of kind %s serves one run only", p->kind->name);
    return p->kind->again(p, why);
}

void port_close(struct port **p)
{
    if (!*p) return;
    (*p)->kind->close(*p);
    *p = 0;
}

void port_lost(struct port *p, int node)
{
    struct peer *peer = peer_made(p, node);
    if (!peer || peer->lost) return; /* without memory for the fact it shows at the next attempt to send */
    peer->lost = peer->untold = true;
    p->untold++;
    queue_clear(&peer->out);
}

void port_returned(struct port *p, int node)
{
    struct peer *peer = peer_of(p, node);
    if (!peer) return;
    p->untold -= peer->untold;
    peer->lost = peer->untold = false;
}

bool port_assigned(const struct port *p)
{
    for (int i = 0; i < p->n_routes; i++)
        if (p->routes[i].open) return true;
    return false;
}

bool port_idles(const struct port *p)
{
    return !port_assigned(p) && clock_now(p->clock) - p->given_ns > (p->gave_run == p->run ? MENDS_NS : GIVES_NOTHING_NS);
}

/* ---- numbers ---- */

static uint32_t number_next(const struct numbering *n, uint64_t run, uint32_t epoch)
{
    return n->run == run && n->epoch == epoch ? n->next : 0;
}

static void number_used(struct numbering *n, uint64_t run, uint32_t epoch)
{
    *n = (struct numbering){run, epoch, number_next(n, run, epoch) + 1};
}

static struct lane *lane_of(const struct peer *peer, uint16_t route)
{
    for (int i = 0; peer && i < peer->n_lanes; i++)
        if (peer->lanes[i].route == route) return &peer->lanes[i];
    return NULL;
}

static struct lane *lane_made(struct peer *peer, uint16_t route)
{
    struct lane *lane = lane_of(peer, route);
    if (lane) return lane;
    struct lane *more = realloc(peer->lanes, ((size_t)peer->n_lanes + 1) * sizeof *more);
    if (!more) return NULL;
    peer->lanes = more;
    more[peer->n_lanes] = (struct lane){.route = route};
    return &more[peer->n_lanes++];
}

/* ---- going out ---- */

static int check_route(const struct port *p, const struct frame *f, struct err *why)
{
    const uint16_t route = f->head.route;
    const char *name = message_name(f->head.type);
    if (message_has_route(f->head.type) != (route != 0))
        return fail(why, E_INTERNAL, route ? "%s was given route %u, but is about the run itself" : "%s was given no route", name, route);
    if (route && !route_of(p, route)) return fail(why, E_LINK, "%s cannot be sent: route %u is not open", name, route);
    return 0;
}

static int check_send(const struct port *p, int to, const struct frame *f, struct err *why)
{
    char name[32];
    if (p->self < 0) return fail(why, E_LINK, "no coordinator has come yet: there is nobody to send %s to", message_name(f->head.type));
    if (to < 0 || to >= p->nodes || to == p->self)
        return fail(why, E_LINK, "cannot send %s to node %d: this is node %d of %d", message_name(f->head.type), to, p->self, p->nodes);
    if (f->head.body_bytes > p->max_body)
        return fail(why, E_WIRE, "%s for %s has %llu bytes; at most %llu were agreed", message_name(f->head.type), node_name(name, to),
                    (unsigned long long)f->head.body_bytes, (unsigned long long)p->max_body);
    TRY(check_route(p, f, why));
    const struct peer *peer = peer_of(p, to);
    if (peer && peer->lost) return fail(why, E_LINK, "%s is gone", node_name(name, to));
    if (!p->kind->reachable(p, to)) return fail(why, E_LINK, "no connection to %s was made", node_name(name, to));
    if (peer && peer->out.n >= p->max_queued)
        return fail(why, E_LINK, "%s does not take its frames: %u already wait for it", node_name(name, to), peer->out.n);
    return 0;
}

/* Run, route, plan, epoch and number. */
static int address_frame(struct port *p, struct peer *peer, int to, struct frame *f, struct err *why)
{
    const struct port_route *route = route_of(p, f->head.route);
    struct lane *lane = lane_made(peer, f->head.route);
    if (!lane) return fail(why, E_MEMORY, "no memory to count the frames for node %d", to);
    f->head.run = p->run;
    f->head.plan = route ? route->plan : 0;
    f->head.epoch = route ? route->epoch : peer->epoch;
    f->head.sequence = number_next(&lane->sent, f->head.run, f->head.epoch);
    f->head.from = (uint16_t)p->self;
    f->head.to = (uint16_t)to;
    number_used(&lane->sent, f->head.run, f->head.epoch);
    return 0;
}

int port_send(struct port *p, int to, struct frame **frame, struct err *why)
{
    struct frame *f = *frame;
    TRY(check_send(p, to, f, why));
    struct peer *peer = peer_made(p, to);
    if (!peer) return fail(why, E_MEMORY, "no memory to keep track of node %d", to);
    TRY(address_frame(p, peer, to, f, why));
    frame_seal(f);
    queue_put(&peer->out, f);
    *frame = 0;
    p->counters.frames_out++;
    p->counters.bytes_out += FRAME_HEAD_BYTES + f->head.body_bytes;
    if (peer->out.n > p->counters.queued_most) p->counters.queued_most = peer->out.n;
    (void)p->kind->push(p, 0); /* the frame is ours now: what fails here fails again in port_recv, which says so */
    return 0;
}

int port_send_off(struct port *p, int to, struct frame *f, struct err *why)
{
    const int code = port_send(p, to, &f, why);
    if (code) frame_free(f);
    return code;
}

static int first_queued(const struct port *p)
{
    for (int k = 0; k < p->nodes; k++)
        if (p->peers[k] && p->peers[k]->out.n) return k;
    return -1;
}

/* ---- coming in ---- */

/* Who would not have us says so once, in the epoch of the greeting that it heard; we may have greeted it anew since. */
static bool refuses(const struct port *p, const struct peer *peer, const struct frame_head *h, uint32_t epoch)
{
    const struct lane *lane = lane_of(peer, 0);
    const bool heard = lane && lane->received.run == p->run;
    return h->type == M_FAULT && p->self == 0 && h->run == p->run && h->epoch < epoch && h->sequence == 0 && !heard;
}

/* Whether run, epoch, route and plan are those of now. */
static bool is_current(const struct port *p, const struct peer *peer, const struct frame_head *h)
{
    if (h->route) {
        const struct port_route *route = route_of(p, h->route);
        return route && h->run == p->run && (h->epoch == route->epoch || PLANTED(EPOCH_NOT_CHECKED)) && h->plan == route->plan;
    }
    /* Only the coordinator's GREET opens a run, or a later epoch of the run that is on. */
    const uint32_t epoch = peer ? peer->epoch : p->epoch;
    const bool opens = h->type == M_GREET && h->from == 0 && (!p->run || (h->run == p->run && h->epoch > epoch));
    return opens || refuses(p, peer, h, epoch) || !p->run || (h->run == p->run && h->epoch == epoch);
}

enum verdict port_fits(const struct port *p, int from, const struct frame_head *h)
{
    const struct peer *peer = peer_of(p, from);
    if (!is_current(p, peer, h)) return OTHER_RUN;
    const struct lane *lane = lane_of(peer, h->route);
    uint32_t next = lane ? number_next(&lane->received, h->run, h->epoch) : 0;
    return h->sequence == next ? FITS : h->sequence < next ? REPLAYED : GAP;
}

static int adopt(struct port *p, struct frame *f, struct err *why)
{
    struct greet m;
    if (f->head.type != M_GREET || f->head.from != 0) return 0;
    TRY(greet_read(&m, f, why));
    if (m.node != f->head.to || (p->kind->fixed && m.nodes != p->nodes))
        return fail(why, E_WIRE, "the coordinator greets node %u of %u with a frame for node %u of %d", m.node, m.nodes, f->head.to,
                    p->nodes);
    if (!m.run || m.run != f->head.run)
        return fail(why, E_WIRE, "the coordinator greets for run %016llx with a frame of run %016llx", (unsigned long long)m.run,
                    (unsigned long long)f->head.run);
    TRY(port_grow(p, m.nodes, why));
    p->self = m.node;
    p->nodes = m.nodes;
    close_routes(p);
    port_run(p, f->head.run, f->head.epoch);
    return 0;
}

/* An opened frame of a peer that kept the rules so far. */
static int weigh(struct port *p, struct frame *f, int from, enum verdict *verdict, struct err *why)
{
    const struct frame_head *h = &f->head;
    char name[32];
    node_name(name, from);
    if (h->from != from || (p->self >= 0 && h->to != p->self) || h->type == M_CREDIT)
        return fail(why, E_WIRE, "%s sent %s from node %u to node %u; this is node %d", name, message_name(h->type), h->from, h->to,
                    p->self);
    *verdict = port_fits(p, from, h);
    if (*verdict != GAP) return 0;
    const struct lane *lane = lane_of(peer_of(p, from), h->route);
    return fail(why, E_WIRE, "a frame from %s is missing: number %u came, %u was next", name, h->sequence,
                lane ? number_next(&lane->received, h->run, h->epoch) : 0);
}

/* 0: *f was taken, or dropped and set to NULL. */
static int judge(struct port *p, struct frame **f, size_t n, int from, struct err *why)
{
    struct peer *peer = peer_made(p, from);
    char name[32];
    enum verdict verdict = REPLAYED;
    if (!peer) return fail(why, E_MEMORY, "no memory to keep track of node %d", from);
    if (!peer->lost) {
        TRY(frame_open(*f, n, p->max_body, node_name(name, from), why));
        TRY(weigh(p, *f, from, &verdict, why));
    }
    if (verdict != FITS) {
        p->counters.dropped++;
        frame_free(*f);
        *f = 0;
        return 0;
    }
    TRY(adopt(p, *f, why));
    struct lane *lane = lane_made(peer, (*f)->head.route);
    if (!lane) return fail(why, E_MEMORY, "no memory to count the frames of node %d", from);
    number_used(&lane->received, (*f)->head.run, (*f)->head.epoch);
    if (from == 0 && (*f)->head.type != M_PING) p->given_ns = clock_now(p->clock);
    if ((*f)->head.type == M_ASSIGN) p->gave_run = p->run;
    p->counters.frames_in++;
    p->counters.bytes_in += n;
    return 0;
}

/* The peer broke the rules, which is being said: nothing is taken from it or sent to it any more. */
static void shun(struct port *p, int node)
{
    struct peer *peer = peer_made(p, node);
    if (!peer) return;
    peer->lost = true;
    queue_clear(&peer->out);
}

static int take(struct port *p, struct frame **out, uint64_t until, struct err *why)
{
    size_t n = 0;
    int from = -1;
    *out = 0;
    int code = p->kind->pull(p, out, &n, &from, p->untold ? 0 : until, why); /* a loss to tell does not wait for a frame */
    if (!code && *out) code = judge(p, out, n, from, why);
    if (!code) return 0;
    p->culprit = from;
    if (from >= 0) shun(p, from);
    frame_free(*out);
    *out = 0;
    return code;
}

static int lost_notice(struct port *p, struct frame **out, struct err *why)
{
    for (int k = 0; p->untold && k < p->room; k++) {
        if (!p->peers[k] || !p->peers[k]->untold) continue;
        struct frame *f = frame_new(M_LOST, 0);
        if (!f) return fail(why, E_MEMORY, "no memory for a frame");
        f->head.from = (uint16_t)k;
        f->head.to = (uint16_t)p->self;
        p->peers[k]->untold = false;
        p->untold--;
        *out = f;
        return 0;
    }
    return 0;
}

static uint64_t deadline(const struct port *p, int timeout_ms)
{
    return timeout_ms < 0 ? NEVER : clock_now(p->clock) + (uint64_t)timeout_ms * 1000000;
}

int port_recv(struct port *p, struct frame **out, int timeout_ms, struct err *why)
{
    uint64_t until = deadline(p, timeout_ms);
    p->culprit = -1;
    *out = queue_take(&p->inbox);
    while (!*out) {
        TRY(p->kind->push(p, why));
        TRY(take(p, out, until, why));
        if (!*out) TRY(lost_notice(p, out, why));
        if (*out) break;
        const bool woken = atomic_exchange(&p->woken, false);
        if (woken) p->told_woken = true;
        if (woken || clock_now(p->clock) >= until) return 0;
    }
    return 0;
}

bool ports_wait(struct port *const *ports, int n, int timeout_ms)
{
    for (int i = 0; i < n; i++) {
        const struct port *p = ports[i];
        if (!p->kind->wait || p->kind != ports[0]->kind) return false;
        if (p->inbox.n || p->untold || p->told_woken || atomic_load(&p->woken)) return true;
    }
    if (n) ports[0]->kind->wait(ports, n, deadline(ports[0], timeout_ms));
    return n > 0;
}

/* A wake that comes while we flush is meant for port_recv: it is put back. */
int port_flush(struct port *p, int timeout_ms, struct err *why)
{
    uint64_t until = deadline(p, timeout_ms);
    bool woken = false;
    int code = 0;
    for (;;) {
        struct frame *f = 0;
        char name[32];
        if ((code = p->kind->push(p, why))) break;
        int waits = first_queued(p);
        if (waits < 0 && (!p->kind->sent || p->kind->sent(p))) break;
        if (clock_now(p->clock) >= until) {
            code = waits < 0 ? fail(why, E_LINK, "frames handed over were not taken within %d ms", timeout_ms)
                             : fail(why, E_LINK, "%u frames for %s were not taken within %d ms", p->peers[waits]->out.n,
                                    node_name(name, waits), timeout_ms);
            break;
        }
        woken |= atomic_exchange(&p->woken, false);
        if ((code = take(p, &f, until, why))) break;
        if (f) queue_put(&p->inbox, f);
    }
    if (woken) atomic_store(&p->woken, true);
    return code;
}
