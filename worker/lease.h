/* worker/lease.h — how long the coordinator was silent while this worker listened.
 *
 * A coordinator pings every second; one that was silent for COORDINATOR_LEASE_NS is gone. Time in which the worker itself did not
 * listen, because it was stopped (Ctrl-Z) or took memory, proves nothing: what was said then may still be on its way. Times in, an
 * answer out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define COORDINATOR_LEASE_NS 30000000000ull
#define LISTENING_NS 2000000000ull /* who listens looks more often */

struct lease {
    uint64_t heard_ns, looked_ns;
};

static inline void lease_heard(struct lease *l, uint64_t now)
{
    *l = (struct lease){now, now};
}

/* To be asked at every look. */
static inline bool lease_over(struct lease *l, uint64_t now)
{
    if (now - l->looked_ns > LISTENING_NS) l->heard_ns = now;
    l->looked_ns = now;
    return now - l->heard_ns > COORDINATOR_LEASE_NS;
}
