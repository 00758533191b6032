/* transport/links/knock.c — see knock.h. */
#include "transport/links/knock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define LOOK_UP_NS 1000000000ull /* between two looks at who has the name */
#define TRY_NS 3000000000ull   /* for one endpoint to say yes or no */
#define PAUSE_LEAST 10000000ull /* between rounds: a worker may be about to start */
#define PAUSE_MOST 1000000000ull

int knock_begin(struct knock *k, const char *address, struct err *why)
{
    *k = (struct knock){.address = address, .fd = -1, .pause_ns = PAUSE_LEAST};
    if (address_is_name(address)) return 0;
    k->look_up_ns = UINT64_MAX;
    return address_resolve(&k->at, address, why);
}

static void hang_up(struct knock *k)
{
    if (k->fd >= 0) close(k->fd);
    k->fd = -1;
}

void knock_end(struct knock *k)
{
    hang_up(k);
    lookup_end(&k->lookup);
}

/* Between two rounds. */
static void look_up(struct knock *k, uint64_t now_ns)
{
    if (!k->lookup && now_ns >= k->look_up_ns) k->lookup = lookup_begin(k->address);
    if (!k->lookup || !lookup_done(k->lookup, &k->at, &k->unknown)) return;
    lookup_end(&k->lookup);
    k->look_up_ns = now_ns + LOOK_UP_NS;
}

/* How the try ended: 0, or an errno; -1 while it goes on. */
static int outcome(const struct knock *k, uint64_t now_ns)
{
    struct pollfd p = {.fd = k->fd, .events = POLLOUT};
    int reason = 0;
    socklen_t size = sizeof reason;
    if (poll(&p, 1, 0) < 1) return now_ns < k->again_ns ? -1 : ETIMEDOUT;
    return getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &reason, &size) ? errno : reason;
}

const struct endpoint *knock_step(struct knock *k, uint64_t now_ns)
{
    bool done = false;
    int reason = 0;
    if (k->fd < 0) {
        if (now_ns < k->again_ns) return NULL;
        if (!k->turn) look_up(k, now_ns);
        if (!k->at.n) return k->again_ns = now_ns + PAUSE_LEAST, NULL;
    }
    const struct endpoint *e = &k->at.to[k->turn];
    if (k->fd < 0) {
        k->fd = endpoint_connect(e, &done);
        k->again_ns = now_ns + TRY_NS;
        if (k->fd < 0) reason = -k->fd;
    }
    if (k->fd >= 0 && !done) reason = outcome(k, now_ns);
    if (reason < 0) return NULL;
    hang_up(k);
    if (!reason) return e;
    if (!k->turn) k->reason = reason;
    k->turn = (k->turn + 1) % k->at.n;
    k->again_ns = now_ns;
    if (k->turn) return NULL;
    k->again_ns += k->pause_ns;
    k->pause_ns = k->pause_ns < PAUSE_MOST / 2 ? 2 * k->pause_ns : PAUSE_MOST;
    return NULL;
}

const char *knock_reason(const struct knock *k)
{
    switch (k->reason) {
    case 0: return k->at.n ? NULL : k->unknown;
    case ECONNREFUSED:
    case ENOENT: return "connection refused: no worker listens there";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETDOWN: return "no route to that address";
    case ETIMEDOUT: return "nothing answers there: the machine is off, or a firewall is in between";
    default: return strerror(k->reason);
    }
}
