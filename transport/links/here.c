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
    uint32_t held[PORT_NODES]; /* frames in the inbox, by sender */
};

struct hub {
    pthread_mutex_t lock;
    int open; /* ports that still use it */
    int nodes;
    struct door doors[PORT_NODES];
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
        struct queue *out = &p->peers[to].out;
        if (!out->n) continue;
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
        if (k == p->self || !hub->doors[k].closed || p->peers[k].lost) continue;
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
    for (int k = 0; k < hub->nodes; k++) pthread_cond_destroy(&hub->doors[k].stir);
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
    free(p);
}

static const struct kind here = {.name = "here", .reachable = here_reachable, .push = here_push, .pull = here_pull,
                                 .wake = here_wake, .close = here_close};

static struct hub *hub_new(int nodes)
{
    struct hub *hub = calloc(1, sizeof *hub);
    pthread_condattr_t by_our_clock;
    if (!hub) return 0;
    hub->nodes = hub->open = nodes;
    pthread_mutex_init(&hub->lock, 0);
    pthread_condattr_init(&by_our_clock);
    pthread_condattr_setclock(&by_our_clock, CLOCK_MONOTONIC);
    for (int k = 0; k < nodes; k++) pthread_cond_init(&hub->doors[k].stir, &by_our_clock);
    pthread_condattr_destroy(&by_our_clock);
    return hub;
}

int port_open_here(struct port **ports, int nodes, struct err *why)
{
    if (nodes < 2 || nodes > PORT_NODES) return fail(why, E_USAGE, "%d nodes; a run has 2 to %d", nodes, PORT_NODES);
    struct here *all[PORT_NODES] = {0};
    struct hub *hub = hub_new(nodes);
    bool enough = hub != NULL;
    for (int k = 0; k < nodes; k++) enough &= (all[k] = calloc(1, sizeof *all[k])) != NULL;
    if (!enough) {
        for (int k = 0; k < nodes; k++) free(all[k]);
        if (hub) hub_free(hub);
        return fail(why, E_MEMORY, "no memory for %d ports", nodes);
    }
    for (int k = 0; k < nodes; k++) {
        port_init(&all[k]->port, &here, k, nodes);
        all[k]->hub = hub;
        ports[k] = &all[k]->port;
    }
    return 0;
}
