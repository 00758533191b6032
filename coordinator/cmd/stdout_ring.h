/* coordinator/cmd/stdout_ring.h — text on its way to stdout, whose reader may be slow: a pipe into a pager, a stopped terminal.
 *
 * Writing never waits. What the reader does not take stays here; when that is a lot the ring is full, and whoever writes should
 * stop until it is not. */
#ifndef COORDINATOR_CMD_STDOUT_RING_H
#define COORDINATOR_CMD_STDOUT_RING_H

#include "base/error.h"

#include <stdbool.h>
#include <stdio.h>

struct stdout_ring;

int stdout_ring_open(struct stdout_ring **out, int fd, struct err *why);
void stdout_ring_close(struct stdout_ring **r); /* what is still here is dropped */

FILE *stdout_ring_stream(struct stdout_ring *r); /* unbuffered; takes everything, up to the memory there is */
bool stdout_ring_full(const struct stdout_ring *r);
bool stdout_ring_empty(const struct stdout_ring *r);

/* Passes on what the reader takes now. False: it has gone, nothing will be taken any more. */
bool stdout_ring_flush(struct stdout_ring *r);

#endif
