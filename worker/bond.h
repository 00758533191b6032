/* worker/bond.h — what ties a worker to its coordinator while a run lasts: whether the one hears the other, and may act for it.
 *
 *   coordinator silent for COORDINATOR_SILENT_NS, before READY for UNREADY_SILENT_NS ──► it is gone: the run is over. Where all
 *                                                     end with one (MPI) after RANK_SILENT_NS: nothing can be mended anyway
 *   no PONG of ours known to be heard for LEASE_NS ──► the lease is over: nothing of the run is sent until one is
 *   nothing but PINGs for IDLE_NS where more is due ──► it has forgotten us, or never meant to compute: the run is over
 *
 * A coordinator that hears nothing for LEASE_NS takes a worker for lost and goes on without it. That worker may live: it was stopped, or
 * cut off. So it must know by itself that it is not counted on any more. PING brings back the clock of the last PONG that was heard, by
 * the worker's own clock, which goes on while the machine sleeps; whatever the way took, the lease a coordinator grants ends later than
 * the one a worker takes. What was sent just before is dropped by its epoch, by whoever gets it. */
#pragma once

#include "base/clock.h"
#include "base/silence.h"
#include "transport/links/transport.h"
#include "transport/wire/wire.h"

#include <stdbool.h>

#define LEASE_NS 3000000000ull
#define COORDINATOR_SILENT_NS 30000000000ull
#define UNREADY_SILENT_NS 10000000000ull /* before all is ready: who means to compute says PING all the while */
#define RANK_SILENT_NS 7000000000ull
#define IDLE_NS 120000000000ull

struct bond {
    struct port *port;
    const struct clock *clock; /* the worker's own */
    struct silence silence, idleness; /* nothing came; nothing but PINGs */
    uint64_t leased_ns;  /* by the boot clock: when the PONG was said that the coordinator heard last */
    bool ready; /* READY was said */
    bool waits; /* the coordinator says that it waits for the answers of others: until something was assigned to be idle is no wonder */
    bool assigned; /* since it greeted last: a later greeting may be one that waits for who takes a lost one's place */
};

void bond_begin(struct bond *b, struct port *port, const struct clock *clock); /* both must live as long */

/* A frame of the coordinator came. */
void bond_heard(struct bond *b, const struct frame *f);

/* To be asked at every look. An error: the coordinator is gone. more_is_due: it has yet to give us something to do. */
int bond_check(struct bond *b, bool more_is_due, struct err *why);

/* Whether something of the run may be sent now. */
bool bond_holds(const struct bond *b);

/* Answers a PING. `state`: last micro-batch, queue, busy and steps; the rest is filled in. */
int bond_pong(struct bond *b, struct frame *ping, struct ping state, struct err *why);
