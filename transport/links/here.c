/* transport/links/here.c — all nodes are threads of one process. See transport.h.
 *
 * A hub with one lock and a door per node: frames pass from the sender's queue to the receiver's inbox as they are, no
 * byte is copied. The lock is held for the few instructions that move a pointer, and a frame stands for milliseconds of
 * computing, so one lock for all is enough. The inbox keeps the order of arrival over all senders; each may have
 * PORT_WINDOW frames in it, what is more waits with the sender, as it would on a network. */
#include "transport/links/port.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct door {
    pthread_cond_t stir; /* something to look at: a frame, room at a peer's door, a wake, a peer that left */
    bool stirred, closed;
    struct queue inbox;
    uint32_t *held; /* [nodes] frames in the inbox, by sender */
};

struct hub {
    pthread_mutex_t lock;
    int open; /* ports that still use it */
    int nodes;
    struct door doors[]; /* [nodes] */
};

struct here {
    struct port port; /* first, so that a port of this kind is a struct here */
    struct hub *hub;
};

static struct here *here_of(struct port *p)
{
    return (struct here *)p;
}

static void stir(struct door *d)
{
    d->stirred = true;
    pthread_cond_signal(&d->stir);
}

static bool here_reachable(const struct port *p, int to)
{
    (void)p, (void)to; /* every node has its door from the start */
    return true;
}

static int here_push(struct port *p, struct err *why)
{
    struct hub *hub = here_of(p)->hub;
    (void)why;
    for (int to = 0; to < hub->nodes; to++) {
        struct peer *peer = peer_of(p, to);
        if (!peer || !peer->out.n) continue;
        struct queue *out = &peer->out;
        pthread_mutex_lock(&hub->lock);
        struct door *d = &hub->doors[to];
        while (out->n && !d->closed && d->held[p->self] < PORT_WINDOW) {
            queue_put(&d->inbox, queue_take(out));
            d->held[p->self]++;
            stir(d);
        }
        bool closed = d->closed;
        pthread_mutex_unlock(&hub->lock);
        if (closed) port_lost(p, to);
    }
    return 0;
}

/* Lock held. */
static struct frame *take_from(struct hub *hub, struct door *d, int *from)
{
    struct frame *f = queue_take(&d->inbox);
    if (!f) return 0;
    *from = f->head.from;
    if (d->held[*from]-- == PORT_WINDOW) stir(&hub->doors[*from]);
    return f;
}

/* Lock held. What a node sent before it left is read first: this is called when the inbox is empty. */
static bool anyone_left(struct port *p, const struct hub *hub)
{
    bool any = false;
    for (int k = 0; k < hub->nodes; k++) {
        if (k == p->self || !hub->doors[k].closed || peer_lost(p, k)) continue;
        port_lost(p, k);
        any = true;
    }
    return any;
}

/* Lock held. */
static void wait_for_stir(struct hub *hub, struct door *d, uint64_t until)
{
    struct timespec t = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};
    if (until == NEVER) pthread_cond_wait(&d->stir, &hub->lock);
    else if (pthread_cond_timedwait(&d->stir, &hub->lock, &t) == ETIMEDOUT) d->stirred = true;
}

static int here_pull(struct port *p, struct frame **out, size_t *n, int *from, uint64_t until, struct err *why)
{
    struct hub *hub = here_of(p)->hub;
    struct door *d = &hub->doors[p->self];
    (void)why;
    pthread_mutex_lock(&hub->lock);
    *out = take_from(hub, d, from);
    if (!*out && !anyone_left(p, hub)) {
        while (!d->stirred && !atomic_load(&p->woken)) wait_for_stir(hub, d, until);
        d->stirred = false;
        *out = take_from(hub, d, from);
    }
    pthread_mutex_unlock(&hub->lock);
    if (*out) *n = FRAME_HEAD_BYTES + (*out)->head.body_bytes;
    return 0;
}

static void here_wake(struct port *p)
{
    struct hub *hub = here_of(p)->hub;
    pthread_mutex_lock(&hub->lock);
    stir(&hub->doors[p->self]);
    pthread_mutex_unlock(&hub->lock);
}

static void hub_free(struct hub *hub)
{
    for (int k = 0; k < hub->nodes; k++) {
        pthread_cond_destroy(&hub->doors[k].stir);
        free(hub->doors[k].held);
    }
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

static void here_close(struct port *p)
{
    struct hub *hub = here_of(p)->hub;
    pthread_mutex_lock(&hub->lock);
    hub->doors[p->self].closed = true;
    queue_clear(&hub->doors[p->self].inbox);
    for (int k = 0; k < hub->nodes; k++) stir(&hub->doors[k]);
    bool last = --hub->open == 0;
    pthread_mutex_unlock(&hub->lock);
    if (last) hub_free(hub);
    port_free(p);
}

static const struct kind here = {.name = "here", .outlives = true, .fixed = true, .reachable = here_reachable, .push = here_push,
                                 .pull = here_pull, .wake = here_wake, .close = here_close};

/* For `nodes` ports, none of which is open yet; NULL without memory. */
static struct hub *hub_new(int nodes)
{
    struct hub *hub = calloc(1, sizeof *hub + (size_t)nodes * sizeof *hub->doors);
    pthread_condattr_t by_our_clock;
    if (!hub) return NULL;
    bool enough = true;
    hub->nodes = nodes;
    pthread_mutex_init(&hub->lock, 0);
    pthread_condattr_init(&by_our_clock);
    pthread_condattr_setclock(&by_our_clock, CLOCK_MONOTONIC);
    for (int k = 0; k < nodes; k++) {
        pthread_cond_init(&hub->doors[k].stir, &by_our_clock);
        hub->doors[k].held = calloc((size_t)nodes, sizeof *hub->doors[k].held);
        enough &= hub->doors[k].held != NULL;
    }
    pthread_condattr_destroy(&by_our_clock);
    if (enough) return hub;
    hub_free(hub);
    return NULL;
}

static int here_new(struct port **out, struct hub *hub, int self, struct err *why)
{
    struct here *h = calloc(1, sizeof *h);
    if (!h) return fail(why, E_MEMORY, "no memory for a port");
    h->hub = hub;
    int code = port_init(&h->port, &here, NULL, self, hub->nodes, why);
    if (code) {
        port_free(&h->port);
        return code;
    }
    hub->open++;
    *out = &h->port;
    return 0;
}

int port_open_here(struct port **ports, int nodes, struct err *why)
{
    if (nodes < 2 || nodes > WORKERS_MOST + 1) return fail(why, E_USAGE, "%d nodes; a run has 2 to %d", nodes, WORKERS_MOST + 1);
    struct hub *hub = hub_new(nodes);
    if (!hub) return fail(why, E_MEMORY, "no memory for %d ports", nodes);
    for (int k = 0; k < nodes; k++) ports[k] = NULL;
    for (int k = 0; k < nodes; k++) {
        int code = here_new(&ports[k], hub, k, why);
        if (!code) continue;
        if (!k) hub_free(hub); /* else the last port that is closed frees it */
        for (int i = 0; i < k; i++) port_close(&ports[i]);
        return code;
    }
    return 0;
}
