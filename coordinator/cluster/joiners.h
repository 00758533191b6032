/* coordinator/cluster/joiners.h — workers that come later say here that they are there: gemmapipe-worker --join.
 *
 * All they say is the port at which they listen: "gemmapipe-join 1 PORT" and a line end, on a connection that is closed again. The coordinator
 * then calls them like any worker, at the address the connection came from, so whatever keeps strangers out when a worker is called keeps
 * them out here, and a stranger learns nothing and is believed nothing but its own address. Who sits where nobody can connect to cannot join.
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

/* The address of one who called, each call once. False: no other has so far. */
bool joiners_next(struct joiners *j, uint64_t now_ns, char address[WIRE_TEXT]);
