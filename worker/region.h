/* worker/region.h — one large piece of memory, taken and written to before it is needed.
 *
 * A plan that the machine cannot keep is refused here, not in the middle of an answer. */
#ifndef WORKER_REGION_H
#define WORKER_REGION_H

#include "base/error.h"

#include <stdint.h>

struct region {
    uint8_t *at; /* page-aligned */
    uint64_t bytes;
};

int region_open(struct region *r, uint64_t bytes, const char *what, struct err *why); /* 0 bytes: nothing is taken */
void region_close(struct region *r);

#endif
