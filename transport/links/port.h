/* transport/links/port.h — what the kinds of port share, for port.c and the kinds only.
 *
 * port.c numbers the frames, filters runs and epochs, counts, keeps the queues and judges what comes in. A kind moves
 * sealed frames from the queues to the peers (push) and hands raw ones up (pull); it knows nothing about their meaning.
 * The one message port.c looks into is GREET: it tells a worker its number and the run.
 *
 * What a port knows of a peer is allocated when the two have to do with each other for the first time: a run may have
 * 1,000 workers, and most of them never exchange a frame. */
#pragma once

#include "base/clock.h"
#include "base/limits.h"
#include "transport/links/transport.h"
#include "transport/wire/wire.h"

#include <stdatomic.h>

#define PORT_WINDOW 8 /* frames on their way to one peer: enough to hide the travel time, few enough to bound memory */
#define NEVER UINT64_MAX
#define GIVES_NOTHING_NS 20000000000ull
#define MENDS_NS 300000000000ull /* of who has assigned something in this run: it may have lost a worker, and wait for another */

struct queue {
    struct frame *first, *last;
    uint32_t n;
};
void queue_put(struct queue *q, struct frame *f);
struct frame *queue_take(struct queue *q); /* NULL if empty */
void queue_clear(struct queue *q);

/* Numbers belong to a run and an epoch: they start again at 0 with either. */
struct numbering {
    uint64_t run;
    uint32_t epoch, next;
};

/* What two nodes send each other on one route is counted for itself, so that a route that begins anew disturbs no other.
 * Lane 0 is for what has no route. */
struct lane {
    uint16_t route;
    struct numbering sent, received;
};

struct peer {
    uint32_t epoch;     /* of what has no route: that of the greeting */
    struct lane *lanes; /* [n_lanes] few: a pair shares one route, or two */
    int n_lanes;
    struct queue out; /* sealed, not yet handed to the kind */
    bool lost;        /* gone, or broke the rules: nothing goes out or is taken any more */
    bool untold;      /* lost, and M_LOST not handed out yet */
};

struct port_route {
    bool open;
    uint32_t epoch;
    uint64_t plan;
};

struct kind;
struct port {
    const struct kind *kind;
    const struct clock *clock; /* what timeouts are measured by */
    int self, nodes; /* -1 and 0 while unknown */
    uint64_t run;
    uint32_t epoch;             /* of greetings, for peers first met from now on */
    uint64_t given_ns, gave_run; /* of a worker: when its coordinator last said anything but PING; the last run in which it assigned something */
    struct port_route *routes;  /* [n_routes], by number; [0] is never open */
    int n_routes;
    struct link_options options; /* limits to begin each run with */
    uint64_t max_body;
    uint32_t max_queued;
    struct port_counters counters;
    int culprit;         /* of the last error of port_recv; -1: ourselves */
    struct peer **peers; /* [room], by node; NULL: nothing to do with it so far */
    int room;
    int untold;          /* peers whose loss is still to be told */
    struct queue inbox;  /* taken while port_flush waited; the next port_recv hands them out */
    atomic_bool woken;   /* port_wake was called, and no wait has ended by it yet */
    bool told_woken;     /* a wait ended by it, and port_woken was not asked yet */
};

struct kind {
    const char *name;
    bool outlives;   /* port_outlives_peers */
    bool by_address; /* port_by_address */
    bool fixed;      /* all nodes are known when the port opens, and their number never changes */
    bool (*reachable)(const struct port *p, int to);
    /* Moves queued frames on as far as the peers allow; never waits. */
    int (*push)(struct port *p, struct err *why);
    /* One raw frame of *n bytes and the node at the other end of the connection it came by; or *out NULL when woken, when
     * `until` (clock_ns) has passed, when a peer was lost, or when there may be something new to push. An error with *from
     * set is that peer's doing: it is not listened to any more. *from is -1 before. */
    int (*pull)(struct port *p, struct frame **out, size_t *n, int *from, uint64_t until, struct err *why);
    /* Sleeps until `until` (clock_ns) or until pull has something to look at, of n ports of this kind; NULL: cannot. */
    void (*wait)(struct port *const *ports, int n, uint64_t until);
    void (*wake)(struct port *p);       /* from any thread; port->woken is set already */
    bool (*sent)(const struct port *p); /* nothing handed over is still on its way out; NULL: always so */
    int (*reach)(struct port *p, int node, const char *address, struct err *why); /* NULL: nothing to do */
    bool (*met)(const struct port *p, int node);                                  /* NULL: all are */
    void (*part)(struct port *p, int node);                                       /* NULL: nothing to do */
    const char *(*silence)(const struct port *p, int node);                       /* port_silence; NULL: never known */
    int (*again)(struct port *p, struct err *why);                                /* NULL: cannot */
    void (*close)(struct port *p); /* frees what is the kind's, then calls port_free */
};

/* Node numbers 0..nodes-1 are to be known from now on. */
int port_init(struct port *p, const struct kind *kind, const struct link_options *options, int self, int nodes, struct err *why);
int port_grow(struct port *p, int nodes, struct err *why);
/* A part of a port that has no route open: has[node] move there, with all that is known of them. All nodes keep their numbers. */
int port_init_part(struct port *part, struct port *whole, const bool *has, struct err *why);
void port_free(struct port *p);   /* what port_init and the rest of port.c allocated, and the port itself */
void port_forget(struct port *p); /* the run, all peers, and who we are; counters stay */

/* What is known of a node; NULL if nothing is. peer_made makes it first if need be: NULL if there is no memory for it. */
static inline struct peer *peer_of(const struct port *p, int node)
{
    return node >= 0 && node < p->room ? p->peers[node] : NULL;
}
struct peer *peer_made(struct port *p, int node);
void peer_forget(struct port *p, int node); /* numbers, losses and what is queued for it */

static inline bool peer_lost(const struct port *p, int node)
{
    const struct peer *peer = peer_of(p, node);
    return peer && peer->lost;
}

/* Would this head be taken from `from` now? */
enum verdict { FITS, OTHER_RUN, REPLAYED, GAP };
enum verdict port_fits(const struct port *p, int from, const struct frame_head *h);

/* The peer is gone: what waits for it is dropped, and M_LOST is handed out once. */
void port_lost(struct port *p, int node);

/* It connected anew before anyone was told: it is not lost any more. */
void port_returned(struct port *p, int node);

/* Whether the coordinator said what is to be done: from then on it may be silent for longer. */
bool port_assigned(const struct port *p);

/* It has not, and for GIVES_NOTHING_NS, or MENDS_NS, has said nothing but PING, whether or not it says that it waits for others: another one
 * that calls may have this worker. Of whom it waits for the worker knows nothing, so that must not be what keeps it from others. */
bool port_idles(const struct port *p);

/* "worker 2", "the coordinator": for sentences. */
const char *node_name(char out[32], int node);
