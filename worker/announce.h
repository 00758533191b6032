/* worker/announce.h — a worker that joins says again and again that it is there, at the address where a coordinator waits for such
 * (coordinator/cluster/joiners.h). From a thread of its own, which does nothing else: whether somebody is there takes as long as it takes. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* Who has no address that others could connect to makes the connection itself, and comes to be called by that (transport/links/tunnel.h): `calls`. The number
 * is the worker's own.
 *
 * `listens`: the address this worker listens at; its port is what is said. Both must stay until the process ends, as does the thread. */
int announce_begin(const char *to, const char *listens, bool calls, struct err *why);
