/* worker/neighbours.h — the workers before and behind this one on a route, and how the two come together.
 *
 *   who sends calls its neighbour, at once ─► HERE ─► whatever comes back: met
 *                      └─ CALL_NS: the other one has heard nothing, and calls itself ─► HERE ─► met
 *                                            └─ APART_NS: who sends tells the coordinator (UNREACHABLE), which passes rows on from then on
 *
 * A neighbour that died is the coordinator's to name: it knows more of it, and ends the run or begins it anew within moments. If all goes on
 * as before for HEARSAY_NS only the link between the two is broken, which nobody else can see, and that is told in the same way. Who tells
 * stays: what is done about it is the coordinator's. Of one that broke the protocol it says so at once.
 * Threads: the port's, but for neighbours_wrong. */
#pragma once

#include "base/clock.h"
#include "transport/links/transport.h"
#include "worker/assign.h"

#include <pthread.h>

#define NEIGHBOURS_MOST (4 * CHAINS) /* one before us and one behind us on each route, and as many that call though nobody told them to */

struct neighbours {
    const struct clock *clock;
    struct neighbour {
        int node;
        bool called;             /* by us, or nobody is to */
        bool met;
        bool sent_to;            /* by us: rows */
        bool told;               /* that it cannot be reached */
        char address[WIRE_TEXT]; /* empty: it calls */
        uint64_t since_ns, lost_ns; /* assigned; its connection broke, 0: it did not */
        char wrong[WIRE_TEXT];   /* that it did; empty: nothing */
    } of[NEIGHBOURS_MOST];
    int n;
    pthread_mutex_t lock; /* of `wrong` and n */
};

/* Those of one chain, as they were assigned. */
int neighbours_add(struct neighbours *n, struct port *port, const struct chain_assignment *of, struct err *why);

/* Now and then: calls, and tells. */
int neighbours_look(struct neighbours *n, struct port *port, struct err *why);

bool neighbours_met(const struct neighbours *n, const struct port *port); /* those that rows are sent to */
void neighbours_lost(struct neighbours *n, int node);                     /* the connection with it broke */
void neighbours_wrong(struct neighbours *n, int node, const char *what);  /* it broke the protocol; the first is the cause of the others */
