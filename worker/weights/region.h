/* worker/weights/region.h — one large piece of memory, taken and written to before it is needed.
 *
 * A plan that the machine cannot keep is refused here, not in the middle of an answer. */
#ifndef WORKER_WEIGHTS_REGION_H
#define WORKER_WEIGHTS_REGION_H

#include "base/error.h"

#include <stdint.h>

struct region {
    uint8_t *at; /* page-aligned */
    uint64_t bytes;
};

/* 0 bytes: nothing is taken. Written to by `threads` threads, so that finding and clearing the memory is shared and, where it
 * belongs to several processors, spread over those that will read it. */
int region_open(struct region *r, uint64_t bytes, const char *what, int threads, struct err *why);
void region_close(struct region *r);

#endif
