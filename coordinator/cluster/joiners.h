/* coordinator/cluster/joiners.h — workers that come later say here that they are there: gemmapipe-worker --join.
 *
 * All they say is the port at which they listen: "gemmapipe-join 1 PORT" and a line end, on a connection that is closed again. The coordinator
 * then calls them like any worker, at the address the connection came from, so whatever keeps strangers out when a worker is called keeps
 * them out here, and a stranger learns nothing and is believed nothing but its own address.
 *
 * Who sits where nobody can connect to says "gemmapipe-join 1 by NUMBER NAME", and the connection stays: it is called by that (transport/links/tunnel.h).
 * The number, drawn when the worker started, says that two connections are of the same; the name, its host's, which key it will have to prove.
 *
 * Never waits: a look accepts, reads what came, and is asked again. At most CALLERS_MOST connections, for CALLER_NS each. */
#pragma once

#include "base/error.h"
#include "transport/wire/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct joiners;

int  joiners_open(struct joiners **out, const char *address, struct err *why); /* tcp://HOST:PORT; a star for all cards */
void joiners_close(struct joiners **j);

struct joiner {
    char address[WIRE_TEXT]; /* where to call it */
    bool calls;              /* by a tunnel: nobody else can call it */
    char name[64], host[WIRE_TEXT]; /* then: as it says, and the address it came from */
};

/* One who called, each call once; who calls by a tunnel now and then. False: no other has so far. */
bool joiners_next(struct joiners *j, uint64_t now_ns, struct joiner *out);
