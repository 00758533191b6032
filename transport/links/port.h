/* transport/links/port.h — what the three kinds of port share, for port.c, here.c, mpi.c and zmq.c only.
 *
 * port.c numbers the frames, filters runs and epochs, counts, keeps the queues and judges what comes in. A kind moves
 * sealed frames from the queues to the peers (push) and hands raw ones up (pull); it knows nothing about their meaning.
 * The one message port.c looks into is GREET: it tells a worker its number and the run. */
#ifndef TRANSPORT_LINKS_PORT_H
#define TRANSPORT_LINKS_PORT_H

#include "transport/links/transport.h"
#include "transport/wire/wire.h"

#include <stdatomic.h>

#define PORT_NODES (WIRE_STAGES + 1)
#define PORT_WINDOW 8 /* frames on their way to one peer: enough to hide the travel time, few enough to bound memory */
#define NEVER UINT64_MAX

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

struct peer {
    struct numbering sent, received;
    struct queue out; /* sealed, not yet handed to the kind */
    bool lost;        /* gone, or broke the rules: nothing goes out or is taken any more */
    bool untold;      /* lost, and M_LOST not handed out yet */
};

struct kind;
struct port {
    const struct kind *kind;
    int self, nodes; /* -1 and 0 while unknown */
    uint64_t run, plan;
    uint32_t epoch;
    uint64_t max_body;
    uint32_t max_queued;
    struct port_counters counters;
    int culprit; /* of the last error of port_recv; -1: ourselves */
    struct peer peers[PORT_NODES];
    struct queue inbox; /* taken while port_flush waited; the next port_recv hands them out */
    atomic_bool woken;
};

struct kind {
    const char *name;
    bool (*reachable)(const struct port *p, int to);
    /* Moves queued frames on as far as the peers allow; never waits. */
    int (*push)(struct port *p, struct err *why);
    /* One raw frame of *n bytes and the node at the other end of the connection it came by; or *out NULL when woken, when
     * `until` (clock_ns) has passed, when a peer was lost, or when there may be something new to push. */
    int (*pull)(struct port *p, struct frame **out, size_t *n, int *from, uint64_t until, struct err *why);
    void (*wake)(struct port *p);       /* from any thread; port->woken is set already */
    bool (*sent)(const struct port *p); /* nothing handed over is still on its way out; NULL: always so */
    int (*reach)(struct port *p, int node, const char *address, struct err *why); /* NULL: nothing to do */
    int (*again)(struct port *p, struct err *why);                                /* NULL: cannot */
    void (*close)(struct port *p); /* frees the port itself too */
};

void port_init(struct port *p, const struct kind *kind, int self, int nodes);
void port_forget(struct port *p); /* the run and all peers; counters stay */

/* Would this head be taken from `from` now? */
enum verdict { FITS, OTHER_RUN, REPLAYED, GAP };
enum verdict port_fits(const struct port *p, int from, const struct frame_head *h);

/* The peer is gone: what waits for it is dropped, and M_LOST is handed out once. */
void port_lost(struct port *p, int node);

/* "worker 2", "the coordinator": for sentences. */
const char *node_name(char out[32], int node);

#endif
