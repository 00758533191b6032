/* transport/links/zmq.c — nodes that meet over ZeroMQ. See transport.h; docs/WIRE.md, "Over ZeroMQ".
 *
 *   coordinator                    worker 1                     worker 2
 *   DEALER ───────────────────────► ROUTER (bound)
 *   DEALER ──────────────────────────────┼────────────────────► ROUTER (bound)
 *                                   DEALER ───────────────────►    │
 *
 * Whoever needs a peer connects a DEALER to that peer's one bound ROUTER; frames go both ways on the connection. Of two workers
 * the sender connects, or, where it cannot, the other one. PUSH and PULL were not used: they cannot say who sent, and have no way back.
 *
 * Names:    the ROUTER gives every connection a random name of its own. The first good frame on it says which node that
 *           is; from then on frames of another node on it are refused, and another connection cannot be that node.
 * Pressure: libzmq's high-water marks count messages, not places at the far end, and a ROUTER drops what is over them. So
 *           the receiver gives places: PORT_WINDOW at first, and CREDIT returns those it has read.
 * Loss:     libzmq reconnects in silence, and what was under way is gone. A monitor tells of the broken connection, and
 *           the peer is lost at once: a killed worker is noticed in milliseconds, a host that vanished after the heartbeat.
 *           Before a peer was heard for the first time nothing is lost but its greeting, which is sent again; a worker's
 *           neighbour that is not heard at all is lost after a while.
 * Secrecy:  a port with keys is called by those alone whose keys are on its list, and calls an address only with that one's key
 *           (keys.h, zap.h). Who has which key decides which node it may say it is. Unix sockets stay plain.
 * Costs:    each look asks every connection of ours, so a coordinator of 1,000 workers takes about a millisecond a look. */
#include "transport/links/knock.h"
#include "transport/links/port.h"
#include "transport/links/keys.h"
#include "transport/links/strangers.h"
#include "transport/links/zap.h"
#include "transport/links/zmq_sockets.h"

#include "base/clock.h"
#include "base/little_endian.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#define IDENTITY_BYTES 255   /* of a connection's name at a ROUTER, by ZMTP */
#define CREDIT_BODY 4        /* u32: places given back */
#define STRANGERS 64         /* frames to drop in one look before the clock is looked at again */
#define GOODBYE_MS 1000      /* for frames handed over just before the port is closed */
#define LOOK_NS 20000000ull /* between two looks at who calls while another is served */
#define REFUSED_NS 100000000ull /* between two calls of a peer that refuses us */
#define SILENT_NS 1500000000ull /* a coordinator that has yet to say what is to be done says PING twice a second */
#define UNHEARD_NS 8000000000ull /* a worker's next stage, which was there before the work began, answers sooner */

/* What connects us with one node: our connection to it, its connection to us, or both where both called at the same time.
 * Frames go out on ours if there is one. CREDIT goes back where the frames came from. */
struct contact {
    void *dealer, *monitor; /* ours; NULL: there is none */
    struct knock *knock;    /* the dealer is not connected yet; NULL: it is */
    uint8_t identity[IDENTITY_BYTES];
    size_t identity_bytes; /* 0: it has none to us */
    int fd;                /* of its connection, in this process */
    uint32_t credit;      /* frames we may send */
    uint32_t owed;        /* frames read since the last CREDIT we sent */
    bool credited;        /* it had one */
    bool heard;           /* anything at all came from it */
    bool answered;        /* on our connection, so that it has read our first frame there */
    uint64_t heard_ns;    /* when anything did last, and its connection was known */
    bool shaken;          /* it speaks ZeroMQ */
    bool gone;            /* a connection broken; lost once what it had sent is read */
    struct frame *greeting; /* a copy of the first frame, until it is answered */
    uint64_t unheard_ns;  /* when that went out; before, when we began to connect */
    bool greet_again;     /* the connection broke before that */
    struct endpoint at;   /* that it is connected to */
    const char *refused;  /* why the peer does not take our connection; NULL: it does, as far as we know */
    uint64_t call_again_ns; /* libzmq gives up on one that refuses; 0: it has not */
    char address[WIRE_TEXT];
};

struct arrival {
    struct frame *frame; /* NULL: nothing, or not what a node sends */
    size_t n;
    uint8_t identity[IDENTITY_BYTES];
    size_t identity_bytes;
    int fd;
    uint8_t key[KEY_BYTES]; /* that the sender has proved to have; zeros: none */
};

struct zmq_port {
    struct port port; /* first, so that a port of this kind is a struct zmq_port */
    void *context, *router, *router_monitor;
    struct strangers strangers; /* on connections to us */
    struct zap *zap; /* NULL: all who call are served */
    int wake_fd, turn, dialled; /* dialled: connections made by us, ended ones too */
    struct contact **contacts; /* [room], by node; NULL: no connection */
    int room;
    uint64_t greeted_run; /* what the coordinator's greeting called the run: tells it from another coordinator */
    struct arrival early; /* the next coordinator's greeting, come while the end of the last run is not dealt with yet, or may be near */
    uint64_t early_ns;
};

static struct zmq_port *zmq_of(const struct port *p)
{
    return (struct zmq_port *)p;
}

/* ---- connections ---- */

static struct contact *contact_of(const struct zmq_port *z, int node)
{
    return node >= 0 && node < z->room ? z->contacts[node] : NULL;
}

static int contacts_grow(struct zmq_port *z, int room, struct err *why)
{
    if (room <= z->room) return 0;
    struct contact **more = realloc(z->contacts, (size_t)room * sizeof *more);
    if (more) z->contacts = more;
    if (!more) return fail(why, E_MEMORY, "no memory for connections with %d nodes", room);
    memset(more + z->room, 0, (size_t)(room - z->room) * sizeof *more);
    z->room = room;
    return 0;
}

static void dealer_end(struct contact *c, int linger_ms)
{
    zmq_socket_close(&c->dealer, &c->monitor, linger_ms);
    if (c->knock) knock_end(c->knock);
    free(c->knock);
    c->knock = NULL;
}

static void contact_end(struct zmq_port *z, int node, int linger_ms)
{
    struct contact *c = contact_of(z, node);
    if (!c) return;
    dealer_end(c, linger_ms);
    frame_free(c->greeting);
    free(c);
    z->contacts[node] = NULL;
}

/* The contact with this node, or a new one. */
static int contact_made(struct zmq_port *z, int node, struct contact **out, struct err *why)
{
    TRY(contacts_grow(z, node + 1, why));
    *out = z->contacts[node];
    if (*out) return 0;
    *out = z->contacts[node] = calloc(1, sizeof **out);
    return *out ? 0 : fail(why, E_MEMORY, "no memory for a connection with node %d", node);
}

/* Two nodes that share an address are one worker; so are two addresses that lead to it, which it says itself. A worker is told by the
 * coordinator who listens there now: who did before was lost, whether or not that was noticed here. */
static int check_unused(struct zmq_port *z, int node, const char *address, struct err *why)
{
    for (int k = 0; k < z->room; k++) {
        if (k == node || !z->contacts[k] || strcmp(z->contacts[k]->address, address)) continue;
        if (z->port.self <= 0) return fail(why, E_USAGE, "workers %d and %d have the same address %s", k, node, address);
        contact_end(z, k, 0);
    }
    return 0;
}

/* Connects the dealer if its peer is at home. *connected: what waits for it can go now. */
static int go_on_knocking(struct contact *c, bool *connected, struct err *why)
{
    const struct endpoint *e = c->knock ? knock_step(c->knock, clock_ns()) : NULL;
    if (!e) return 0;
    TRY(zmq_connect_endpoint(c->dealer, e, why));
    c->at = *e;
    knock_end(c->knock);
    free(c->knock);
    c->knock = NULL;
    *connected = true;
    return 0;
}

/* Of a port with keys. Names of this machine are plain: no other user can connect to them. */
static int encrypt(struct zmq_port *z, void *dealer, const char *address, struct err *why)
{
    uint8_t theirs[KEY_BYTES];
    struct keys *keys = z->port.options.keys;
    if (!keys || !strncmp(address, "ipc://", 6)) return 0;
    if (keys_pinned(keys, address, theirs)) return zap_call(dealer, keys, theirs, why);
    return fail(why, E_USAGE, "the key of %s is not known, and links are encrypted here", address);
}

static int connect_to(struct zmq_port *z, int node, const char *address, struct err *why)
{
    struct contact *c;
    bool at_home;
    TRY(address_check(address, why));
    TRY(check_unused(z, node, address, why));
    TRY(zmq_files_enough(++z->dialled, why));
    TRY(contact_made(z, node, &c, why));
    c->knock = calloc(1, sizeof *c->knock);
    snprintf(c->address, sizeof c->address, "%s", address);
    int code = c->knock ? knock_begin(c->knock, c->address, why) : fail(why, E_MEMORY, "no memory to connect to %s", address);
    if (!code) code = zmq_socket_open(z->context, ZMQ_DEALER, address, &c->dealer, &c->monitor, why);
    if (!code) code = encrypt(z, c->dealer, address, why);
    if (!code && z->port.self > 0) zmq_socket_between_workers(c->dealer);
    if (!code) code = go_on_knocking(c, &at_home, why);
    if (code) return contact_end(z, node, 0), code;
    c->unheard_ns = clock_ns();
    if (!c->identity_bytes) c->credit = 1; /* the greeting; its CREDIT opens the window */
    return 0;
}

/* ---- going out ---- */

static void hand_over(struct zmq_port *z, int node, struct frame *f)
{
    struct contact *c = z->contacts[node];
    const bool ours = c->dealer && !(f->head.type == M_CREDIT && c->identity_bytes);
    int reason = ours ? zmq_send_frame(c->dealer, f) : zmq_send_frame_to(z->router, c->identity, c->identity_bytes, f);
    if (!reason) return;
    if (ours && c->greeting) { /* refused so far, as by a neighbour that was not told of us yet: sent again when it lets us in */
        c->greet_again = true;
        return;
    }
    log_debug("a frame for node %d was not taken: %s", node, zmq_strerror(reason));
    c->gone = true;
}

static void send_credit(struct zmq_port *z, int node)
{
    struct contact *c = z->contacts[node];
    struct frame *f = frame_new(M_CREDIT, CREDIT_BODY);
    if (!f) return; /* tried again at the next push */
    f->head.run = z->port.run;
    f->head.epoch = z->port.peers[node] ? z->port.peers[node]->epoch : z->port.epoch;
    f->head.from = (uint16_t)z->port.self;
    f->head.to = (uint16_t)node;
    put_le(frame_body(f), c->owed, CREDIT_BODY);
    frame_seal(f);
    c->owed = 0;
    c->credited = true;
    hand_over(z, node, f);
}

static bool zmq_reachable(const struct port *p, int to)
{
    return contact_of(zmq_of(p), to) != NULL;
}

/* Two workers may call each other. What is given to a connection that has not shaken hands may still arrive after we ended it because the
 * other one called us (hang_up); our first frame there would give it our name, and its end would be our loss. */
static bool may_speak(const struct zmq_port *z, const struct contact *c)
{
    return !c->knock && !c->call_again_ns && (!c->dealer || c->shaken || z->port.self == 0);
}

static int zmq_push(struct port *p, struct err *why)
{
    struct zmq_port *z = zmq_of(p);
    (void)why;
    for (int k = 0; k < z->room && p->self >= 0; k++) {
        struct contact *c = z->contacts[k];
        struct peer *peer = peer_of(p, k);
        if (!c || c->gone || (peer && peer->lost)) continue;
        /* Half a window at a time, but the first at once: it says "I hear you". */
        if (c->owed >= PORT_WINDOW / 2 || (c->owed && !c->credited)) send_credit(z, k);
        while (peer && peer->out.n && c->credit && may_speak(z, c) && !c->gone) {
            struct frame *f = queue_take(&peer->out);
            c->credit--;
            if (c->dealer && !c->answered && !c->greeting) {
                c->greeting = frame_copy(f);
                c->unheard_ns = clock_ns();
            }
            hand_over(z, k, f);
        }
    }
    return 0;
}

/* ---- what happens to connections ---- */

/* Connections to us. */
static void watch_router(struct zmq_port *z)
{
    uint16_t event;
    uint32_t fd;
    if (!z->router) return;
    while (zmq_next_event(z->router_monitor, &event, &fd)) {
        if (event == ZMQ_EVENT_ACCEPTED) strangers_came(&z->strangers, (int)fd, clock_ns());
        if (event != ZMQ_EVENT_DISCONNECTED) continue;
        strangers_left(&z->strangers, (int)fd);
        for (int k = 0; k < z->room; k++)
            if (z->contacts[k] && z->contacts[k]->identity_bytes && z->contacts[k]->fd == (int)fd) z->contacts[k]->gone = true;
    }
}

/* libzmq tries no more after a refusal, but a key may be trusted while we wait. */
static void heed_refusal(struct zmq_port *z, struct contact *c, uint16_t event, uint32_t value)
{
    const char *refused = zmq_refusal(event, value, z->port.options.keys != NULL);
    if (!refused) return;
    if (!c->refused && z->port.self > 0) log_warn("%s: %s", c->address, refused);
    /* Whether the other's greeting is read before its hanging up is chance; once it was, that says more. */
    if (!c->refused || event != ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) c->refused = refused;
    c->greet_again = true;
    if (event != ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) c->call_again_ns = clock_ns() + REFUSED_NS;
}

static void call_again(struct contact *c)
{
    if (!c->call_again_ns || clock_ns() < c->call_again_ns) return;
    c->call_again_ns = 0;
    zmq_disconnect_endpoint(c->dealer, &c->at);
    if (zmq_connect_endpoint(c->dealer, &c->at, NULL)) c->gone = true;
}

/* Our connection to node k. *open: it can be spoken on from now on. */
static void watch_dealer(struct zmq_port *z, int k, bool *open)
{
    struct contact *c = z->contacts[k];
    const bool was = may_speak(z, c);
    uint16_t event;
    uint32_t value;
    while (zmq_next_event(c->monitor, &event, &value)) {
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) c->shaken = true, c->refused = NULL;
        heed_refusal(z, c, event, value);
        if (event == ZMQ_EVENT_DISCONNECTED) *(c->answered ? &c->gone : &c->greet_again) = true;
        if (event != ZMQ_EVENT_HANDSHAKE_SUCCEEDED || !c->greet_again || !c->greeting) continue;
        struct frame *again = frame_copy(c->greeting);
        c->greet_again = false;
        if (again) hand_over(z, k, again);
    }
    call_again(c);
    *open |= !was && may_speak(z, c);
    /* How long workers may take to answer at first is for the coordinator to say. */
    if ((c->greeting || !may_speak(z, c)) && z->port.self > 0 && clock_ns() - c->unheard_ns > UNHEARD_NS) c->gone = true;
}

/* Peers whose connection broke and of whom nothing is left to read. */
static void report_gone(struct zmq_port *z)
{
    for (int k = 0; k < z->room; k++) {
        if (!z->contacts[k] || !z->contacts[k]->gone) continue;
        contact_end(z, k, 0);
        port_lost(&z->port, k);
    }
}

/* ---- coming in ---- */

/* One message of a socket. False if there is none. */
static bool receive(struct zmq_port *z, void *socket, struct arrival *a)
{
    zmq_msg_t m;
    int parts = 0, more = 1;
    *a = (struct arrival){.fd = -1};
    if (socket == z->router) {
        int n = zmq_recv(socket, a->identity, sizeof a->identity, ZMQ_DONTWAIT);
        if (n < 0) return false;
        a->identity_bytes = (size_t)n;
    }
    while (more) {
        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, socket, ZMQ_DONTWAIT) < 0) return parts > 0;
        more = zmq_msg_more(&m);
        if (++parts == 1 && !more) {
            a->n = zmq_msg_size(&m);
            a->frame = zmq_frame_of(zmq_msg_data(&m), a->n, z->port.max_body);
            const char *user = socket == z->router && z->zap ? zmq_msg_gets(&m, "User-Id") : NULL;
            if (user) key_read(a->key, user);
            if (socket == z->router) a->fd = zmq_msg_get(&m, ZMQ_SRCFD);
        }
        zmq_msg_close(&m);
    }
    return true;
}

static int known_by_name(const struct zmq_port *z, const struct arrival *a)
{
    for (int k = 0; k < z->room; k++) {
        const struct contact *c = z->contacts[k];
        if (c && c->identity_bytes && c->identity_bytes == a->identity_bytes && !memcmp(c->identity, a->identity, a->identity_bytes))
            return k;
    }
    return -1;
}

/* FAULT to who is not, or not yet, a node for us. The head of its frame was not opened if it is of another version. */
static void refuse(struct zmq_port *z, const struct arrival *a, const struct err *why)
{
    const struct frame_head *h = &a->frame->head;
    struct fault m = {.code = (uint32_t)why->code};
    struct frame *f = 0;
    if (strangers_told(&z->strangers, a->fd)) return;
    strangers_tell(&z->strangers, a->fd);
    snprintf(m.text, sizeof m.text, "%s", why->text);
    if (fault_write(&f, &m, 0)) return;
    f->head.run = h->run;
    f->head.epoch = h->epoch;
    f->head.from = h->to;
    frame_seal(f);
    zmq_send_frame_to(z->router, a->identity, a->identity_bytes, f);
}

/* To a second coordinator: this worker serves one at a time. To the same one, it found the worker under a second address. */
static void refuse_greeting(struct zmq_port *z, const struct arrival *a, bool same_run)
{
    struct err why;
    if (!same_run) fail(&why, E_LINK, "busy: this worker serves another coordinator; try again when that run is over");
    else fail(&why, E_USAGE, "two addresses lead to this worker: it is worker %d of this run already", z->port.self);
    refuse(z, a, &why);
}

/* A program of another version cannot know what went wrong if we are silent: in whatever version it is told, it sees ours in the
 * head. Once on a connection, so that it cannot fill the log. */
static void refuse_version(struct zmq_port *z, const struct arrival *a, const struct err *why)
{
    const unsigned version = frame_version(a->frame, a->n);
    if (!version || version == FRAME_VERSION || strangers_told(&z->strangers, a->fd)) return log_debug("%s", why->text);
    log_warn("%s", why->text);
    refuse(z, a, why);
}

/* The run a greeting speaks of, which its head may not know yet. False if it cannot be read. */
static bool greeting_run(struct frame *f, uint64_t *run)
{
    struct greet m;
    if (greet_read(&m, f, 0)) return false;
    *run = m.run;
    return true;
}

/* Of two connections, only an answer on ours says that the other knows whose it is and takes a whole window there. */
static void first_heard(struct contact *c, bool on_ours)
{
    if (!c->heard && !c->dealer) c->credit = PORT_WINDOW;
    c->heard = true;
    if (!on_ours || c->answered) return;
    c->answered = true;
    c->credit += PORT_WINDOW - 1;
    frame_free(c->greeting);
    c->greeting = NULL;
}

/* It has called us, and nobody answered our call so far: that may be somebody else's address where we are. Nothing was said there yet. */
static void hang_up(struct contact *c)
{
    if (!c->dealer || c->shaken) return;
    dealer_end(c, 0);
    c->gone = c->greet_again = false;
    c->call_again_ns = 0;
    c->address[0] = 0;
}

/* Our coordinator is gone, and the run it leaves behind not yet over: it was started anew, say, faster than we could take
 * notice, or it took us for lost and greets us as another node. Or it is there, and greeted, and has not said what is to be done: then its next word
 * decides (weigh_early). A greeting is not sent twice on a connection that holds, so this one waits until we listen again. */
static void keep_early(struct zmq_port *z, struct arrival *a)
{
    if (z->early.frame && strangers_connected(&z->strangers, z->early.fd)) return refuse_greeting(z, a, false);
    frame_free(z->early.frame);
    z->early = *a;
    z->early_ns = clock_ns();
    a->frame = NULL;
}

/* Somebody else calls. Who greeted and then fell silent, or only pings, does not keep a worker from others; who says anything does. */
static void weigh_early(struct zmq_port *z)
{
    struct contact *c = contact_of(z, 0);
    if (!z->early.frame || z->port.self < 0 || !c || c->gone) return;
    const bool idles = port_idles(&z->port), speaks = !idles && (c->heard_ns > z->early_ns || port_assigned(&z->port));
    if (!speaks && strangers_connected(&z->strangers, z->early.fd)) {
        c->gone = idles || clock_ns() - c->heard_ns > SILENT_NS;
        return;
    }
    refuse_greeting(z, &z->early, false);
    frame_free(z->early.frame);
    z->early.frame = NULL;
}

/* The first frame on a connection: the node it is from, if it may be that node; else -1. */
static int introduce(struct zmq_port *z, struct arrival *a)
{
    const struct port *p = &z->port;
    const struct frame_head *h = &a->frame->head;
    struct err why = {0};
    if (frame_open(a->frame, a->n, p->max_body, "a stranger", &why)) return refuse_version(z, a, &why), -1;
    strangers_spoke(&z->strangers, a->fd);
    if (h->from >= p->room || h->from == p->self || h->type == M_CREDIT) return -1;
    if (z->zap && !keys_may_be(p->options.keys, a->key, h->from)) return -1; /* who is let in is not let in as anybody */
    uint64_t run = 0;
    bool greets = h->from == 0 && h->type == M_GREET;
    if (greets && !greeting_run(a->frame, &run)) return -1;
    /* What the monitor told before this frame came concerns older connections: libzmq uses their numbers again. */
    watch_router(z);
    struct contact *c = contact_of(z, h->from);
    if (c && !c->gone && (c->identity_bytes || h->from == 0)) {
        if (!greets || (run == z->greeted_run && h->to == p->self)) return -1;
        if (run == z->greeted_run || port_assigned(p)) refuse_greeting(z, a, run == z->greeted_run);
        else keep_early(z, a);
        return -1;
    }
    if (greets && p->self >= 0 && (run != z->greeted_run || h->to != p->self)) return keep_early(z, a), -1;
    if (p->self < 0 ? !greets : h->to != p->self) return -1;
    if (port_fits(p, h->from, h) != FITS || !strangers_connected(&z->strangers, a->fd)) return -1;
    if (c && c->gone) contact_end(z, h->from, 0);
    if (contact_made(z, h->from, &c, &why)) return log_warn("%s", why.text), -1;
    if (greets) z->greeted_run = run;
    port_returned(&z->port, h->from);
    memcpy(c->identity, a->identity, a->identity_bytes);
    c->identity_bytes = a->identity_bytes;
    c->fd = a->fd;
    c->heard_ns = clock_ns();
    strangers_known(&z->strangers, a->fd);
    hang_up(c);
    first_heard(c, false);
    return h->from;
}

static int take_credit(struct zmq_port *z, int node, struct frame *f, struct err *why)
{
    struct contact *c = z->contacts[node];
    const uint64_t places = le_of(frame_body(f), CREDIT_BODY);
    if (places > PORT_WINDOW) {
        char name[32];
        return fail(why, E_WIRE, "%s gives back %llu places of a window of %d", node_name(name, node), (unsigned long long)places,
                    PORT_WINDOW);
    }
    c->credit += (uint32_t)places; /* a greeting that was sent twice is given back twice */
    if (c->credit > PORT_WINDOW) c->credit = PORT_WINDOW;
    return 0;
}

/* A frame on a connection whose node is known. A CREDIT is used up here. */
static int settle(struct zmq_port *z, int node, struct arrival *a, struct err *why)
{
    struct contact *c = z->contacts[node];
    first_heard(c, a->identity_bytes == 0);
    c->heard_ns = clock_ns();
    bool credit = a->n == FRAME_HEAD_BYTES + CREDIT_BODY && !frame_open(a->frame, a->n, CREDIT_BODY, "", 0) &&
                  a->frame->head.type == M_CREDIT;
    if (!credit) return c->owed++, 0;
    int code = peer_lost(&z->port, node) ? 0 : take_credit(z, node, a->frame, why);
    frame_free(a->frame);
    a->frame = 0;
    return code;
}

/* Sockets are looked at in turn, so that one busy peer does not keep the others waiting. The turn after the last node's is
 * the ROUTER's. */
static bool next_arrival(struct zmq_port *z, struct arrival *a, int *node)
{
    if (z->early.frame && z->port.self < 0) {
        *a = z->early;
        z->early.frame = NULL;
        *node = -1;
        return true;
    }
    for (int i = 0; i <= z->room; i++) {
        int k = z->turn % (z->room + 1);
        void *socket = k == z->room ? z->router : z->contacts[k] ? z->contacts[k]->dealer : NULL;
        z->turn = k + 1;
        if (!socket || !receive(z, socket, a)) continue;
        *node = k < z->room ? k : known_by_name(z, a);
        return true;
    }
    return false;
}

/* What there is to wait for; and until when. */
static int list_items(const struct zmq_port *z, zmq_pollitem_t *items, uint64_t *at_most)
{
    uint64_t until = *at_most;
    int n = 0;
    items[n++] = (zmq_pollitem_t){.fd = z->wake_fd, .events = ZMQ_POLLIN};
    if (z->router) items[n++] = (zmq_pollitem_t){.socket = z->router, .events = ZMQ_POLLIN};
    if (z->router) items[n++] = (zmq_pollitem_t){.socket = z->router_monitor, .events = ZMQ_POLLIN};
    for (int k = 0; k < z->room; k++) {
        const struct contact *c = z->contacts[k];
        if (!c || !c->dealer) continue;
        if (c->knock && c->knock->again_ns < until) until = c->knock->again_ns;
        if (c->knock && c->knock->fd >= 0) items[n++] = (zmq_pollitem_t){.fd = c->knock->fd, .events = ZMQ_POLLOUT};
        if (c->call_again_ns && c->call_again_ns < until) until = c->call_again_ns;
        if (c->knock) continue;
        items[n++] = (zmq_pollitem_t){.socket = c->dealer, .events = ZMQ_POLLIN};
        items[n++] = (zmq_pollitem_t){.socket = c->monitor, .events = ZMQ_POLLIN};
    }
    const uint64_t now = clock_ns();
    items[n] = (zmq_pollitem_t){.events = ZMQ_POLLIN};
    until = strangers_wait(&z->strangers, now, until, &items[n].fd);
    if (items[n].fd >= 0) n++;
    if (z->early.frame && now + LOOK_NS < until) until = now + LOOK_NS;
    *at_most = until;
    return n;
}

static void sleep_until(zmq_pollitem_t *items, int n, uint64_t until)
{
    const uint64_t now = clock_ns();
    zmq_poll(items, n, until == NEVER ? -1 : until <= now ? 0 : (long)((until - now + 999999) / 1000000));
}

/* Without memory for the list it sleeps not at all. */
static void zmq_wait(struct port *const *ports, int n, uint64_t until)
{
    size_t most = 0;
    int count = 0;
    for (int i = 0; i < n; i++) most += 2 * (size_t)zmq_of(ports[i])->room + 4;
    zmq_pollitem_t *all = calloc(most, sizeof *all);
    if (!all) return;
    for (int i = 0; i < n; i++) count += list_items(zmq_of(ports[i]), all + count, &until);
    sleep_until(all, count, until);
    free(all);
}

/* Sleeps until there is something to look at. */
static void wait_for_news(struct zmq_port *z, uint64_t until)
{
    struct port *own = &z->port;
    uint64_t wakes;
    zmq_wait(&own, 1, until);
    if (read(z->wake_fd, &wakes, sizeof wakes) < 0) return; /* nobody woke us */
}

static int zmq_pull(struct port *p, struct frame **out, size_t *n, int *from, uint64_t until, struct err *why)
{
    struct zmq_port *z = zmq_of(p);
    struct arrival a;
    bool any = false;
    *out = 0;
    watch_router(z);
    weigh_early(z);
    strangers_look(&z->strangers, p->self < 0 ? STRANGER_BYTES : p->max_body + STRANGER_BYTES, clock_ns()); /* a neighbour's first may be rows */
    for (int k = 0; k < z->room; k++) {
        if (!z->contacts[k] || !z->contacts[k]->dealer) continue;
        TRY(go_on_knocking(z->contacts[k], &any, why));
        watch_dealer(z, k, &any);
    }
    for (int i = 0; i < STRANGERS && next_arrival(z, &a, from); i++) {
        any = true;
        if (a.frame && *from < 0) *from = introduce(z, &a);
        if (a.frame && *from < 0) {
            p->counters.dropped++;
            frame_free(a.frame);
            continue;
        }
        if (!a.frame) continue;
        int code = settle(z, *from, &a, why);
        if (code) return code;
        if (!a.frame) continue;
        *out = a.frame;
        *n = a.n;
        return 0;
    }
    if (any) return 0; /* a connection or credits: there may be something to push */
    report_gone(z);
    if (p->untold) return 0;
    if (!atomic_load(&p->woken)) wait_for_news(z, until);
    return 0;
}

/* ---- the rest of a port's life ---- */

static void zmq_wake(struct port *p)
{
    uint64_t one = 1;
    if (write(zmq_of(p)->wake_fd, &one, sizeof one) < 0) return; /* full: it is awake already */
}

static int zmq_reach(struct port *p, int node, const char *address, struct err *why)
{
    struct zmq_port *z = zmq_of(p);
    const struct contact *c = contact_of(z, node);
    if (c && c->dealer && !c->gone && !strcmp(c->address, address)) return 0;
    if (c && c->identity_bytes && !c->gone) return 0;
    if (c && (c->dealer || c->gone)) contact_end(z, node, 0);
    port_returned(p, node);
    return connect_to(z, node, address, why);
}

static bool zmq_met(const struct port *p, int node)
{
    const struct contact *c = contact_of(zmq_of(p), node);
    return c && c->heard && !c->gone;
}

static const char *zmq_silence(const struct port *p, int node)
{
    const struct contact *c = contact_of(zmq_of(p), node);
    if (!c || c->heard) return NULL;
    if (c->knock) return knock_reason(c->knock);
    if (c->refused) return c->refused;
    if (!c->shaken) return "a program listens there that is no worker, or hangs";
    return c->greet_again ? "it closed the connection" : "connected, but it says nothing";
}

static void zmq_part(struct port *p, int node)
{
    const struct contact *c = contact_of(zmq_of(p), node);
    if (c) contact_end(zmq_of(p), node, c->heard && !c->gone ? GOODBYE_MS : 0);
}

static int zmq_again(struct port *p, struct err *why)
{
    struct zmq_port *z = zmq_of(p);
    if (!z->router) return fail(why, E_LINK, "only a worker listens again");
    for (int k = 0; k < z->room; k++) {
        struct contact *c = z->contacts[k];
        if (!c) continue;
        if (c->identity_bytes && !c->gone && c->owed) send_credit(z, k); /* its window is whole again for the next run */
        contact_end(z, k, c->heard && !c->gone ? GOODBYE_MS : 0);
    }
    port_forget(p);
    return 0;
}

static void zmq_close_port(struct port *p)
{
    struct zmq_port *z = zmq_of(p);
    bool heard = false;
    for (int k = 0; k < z->room; k++) {
        const struct contact *c = z->contacts[k];
        bool there = c && c->heard && !c->gone && !peer_lost(p, k);
        heard |= there;
        contact_end(z, k, there ? GOODBYE_MS : 0);
    }
    zmq_socket_close(&z->router, &z->router_monitor, heard ? GOODBYE_MS : 0);
    if (z->context) while (zmq_ctx_term(z->context) && errno == EINTR) continue;
    zap_end(&z->zap);
    strangers_end(&z->strangers);
    if (z->wake_fd >= 0) close(z->wake_fd);
    frame_free(z->early.frame);
    free(z->contacts);
    port_free(p);
}

static const struct kind over_zmq = {.name = "zmq", .outlives = true, .by_address = true, .reachable = zmq_reachable,
                                     .push = zmq_push, .pull = zmq_pull, .wait = zmq_wait, .wake = zmq_wake, .reach = zmq_reach, .met = zmq_met,
                                     .part = zmq_part, .silence = zmq_silence,
                                     .again = zmq_again, .close = zmq_close_port};

static int port_prepare(struct zmq_port *z, int self, int nodes, const struct link_options *options, struct err *why)
{
    z->strangers.epoll = -1;
    z->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    TRY(port_init(&z->port, &over_zmq, options, self, nodes, why));
    if (z->wake_fd < 0) return fail_errno(why, E_INTERNAL, "cannot make an eventfd");
    TRY(contacts_grow(z, 1, why));
    return zmq_context_new(&z->context, why);
}

static int port_new(struct zmq_port **out, int self, int nodes, const struct link_options *options, struct err *why)
{
    struct zmq_port *z = calloc(1, sizeof *z);
    if (!z) return fail(why, E_MEMORY, "no memory for a port");
    int code = port_prepare(z, self, nodes, options, why);
    if (code) return zmq_close_port(&z->port), code;
    *out = z;
    return 0;
}

/* Before the address is bound. */
static int let_in_by_key(struct zmq_port *z, struct keys *keys, struct err *why)
{
    TRY(zap_begin(&z->zap, z->context, keys, why));
    TRY(zap_serve(z->router, keys, why));
    return zap_prove(z->zap, z->context, z->router, why);
}

int port_open_listen(struct port **out, const char *address, const struct link_options *options, struct err *why)
{
    struct zmq_port *z;
    TRY(address_check(address, why));
    TRY(port_new(&z, -1, 0, options, why));
    int code = strangers_begin(&z->strangers, why);
    if (!code) code = zmq_socket_open(z->context, ZMQ_ROUTER, address, &z->router, &z->router_monitor, why);
    if (!code && z->port.options.keys && strncmp(address, "ipc://", 6)) code = let_in_by_key(z, z->port.options.keys, why);
    if (!code) code = zmq_bind_address(z->router, address, why);
    if (code) return zmq_close_port(&z->port), code;
    *out = &z->port;
    return 0;
}

int port_open_dial(struct port **out, const struct link_options *options, struct err *why)
{
    struct zmq_port *z;
    TRY(port_new(&z, 0, 1, options, why));
    *out = &z->port;
    return 0;
}
