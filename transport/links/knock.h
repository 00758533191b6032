/* transport/links/knock.h — which endpoint of an address accepts a connection, and if none does, why not.
 *
 * libzmq tries one endpoint for ever and tells nobody how it goes: a name whose IPv6 address nobody listens on would hide the worker
 * on its IPv4 address, and "refused", "no route" and "no answer" would look alike. So we connect plainly first, to each endpoint in
 * turn, and ZeroMQ is given the first that accepts. What it costs is one connection that is closed again at once.
 *
 * A name is looked up aside, and again as long as nobody answers: a container takes its name with it when it ends, and comes back with
 * the name and another number. */
#pragma once

#include "transport/links/name_lookup.h"

#include <stdint.h>

struct knock {
    const char *address;
    struct endpoints at; /* none: the name is not known yet */
    struct lookup *lookup; /* NULL: none goes on */
    const char *unknown; /* why it found nothing */
    int turn;   /* which of them is tried, or comes next */
    int fd;     /* of the try that goes on; -1: there is none, until again_ns */
    int reason; /* why the first endpoint, the one the system would choose, was not reached, from errno; 0: not known yet */
    uint64_t again_ns, pause_ns, look_up_ns;
};

int knock_begin(struct knock *k, const char *address, struct err *why); /* which stays; a name that nobody knows is no error */
void knock_end(struct knock *k);

/* What can be done without waiting. The endpoint that accepts; NULL: none yet. Call it again at knock_wait, or when fd can be written. */
const struct endpoint *knock_step(struct knock *k, uint64_t now_ns);

/* "connection refused: no worker listens there", for a sentence; NULL while not known. */
const char *knock_reason(const struct knock *k);
