/* coordinator/cmd/stdout_ring.h — text on its way to stdout, whose reader may be slow: a pipe into a pager, a stopped terminal.
 *
 * Writing never waits: who waits for a reader does not hear its workers, and they think it lost. What the reader does not take stays
 * here; when that is a lot the ring is full, and whoever writes should stop until it is not. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdio.h>

struct stdout_ring;

int stdout_ring_open(struct stdout_ring **out, int fd, struct err *why);

/* Waits until the reader has what is still here, or has gone; after Ctrl-C half a second at most. NULL is fine. */
void stdout_ring_close(struct stdout_ring **r);

FILE *stdout_ring_stream(struct stdout_ring *r); /* unbuffered; takes everything, up to the memory there is */
bool stdout_ring_full(const struct stdout_ring *r);
bool stdout_ring_empty(const struct stdout_ring *r);

/* Passes on what the reader takes now. E_FILE: nothing will be taken any more, the reader has gone or the disk is full. */
int stdout_ring_flush(struct stdout_ring *r, struct err *why);
