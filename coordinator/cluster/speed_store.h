/* coordinator/cluster/speed_store.h — how fast workers were when they were measured, kept from run to run.
 *
 * A file for each place where a worker is found (its address, or this machine), number of threads asked for, and shape of the model, in
 * the cache folder of this user. What is in there is true as long as the worker is the same: the program, the processor and what of it
 * control groups leave, threads, memory, the instruction set, and how many workers share the machine. It is thrown away when one of
 * these is another, or after SPEED_DAYS; after an hour if the worker was busy with something else. A file that cannot be understood is passed over with a word: it is measured anew. */
#pragma once

#include "partition/plan/speed.h"
#include "transport/wire/wire.h"

#define SPEED_DAYS 7
#define BUSY_SECONDS 3600

/* Where a measurement belongs. */
struct speed_place {
    const char *where; /* the worker's address; "here": this machine */
    int threads;       /* asked for; 0: the worker's own choice */
    uint64_t shape;    /* of the model: model_shape_hash */
};

uint64_t speed_place_number(const struct speed_place *place); /* of where it is alone */

struct known_speed {
    struct speed speed;
    struct hello of;   /* of the worker: build, host, isa, cpu, share, threads, memory */
    uint32_t crowd;    /* workers on its machine, itself included, that were measured at the same time */
    uint64_t at;       /* when: seconds since 1970 */
    uint32_t busy;     /* 1: with something else, while it was measured: it is kept for BUSY_SECONDS */
    uint32_t derived;  /* enum derived: not measured, but follows from what was */
};

/* False if nothing is known that is young enough. */
bool speed_store_find(struct known_speed *out, const struct speed_place *place, uint64_t now);
/* A failure is no more than a remark in the log. */
void speed_store_keep(const struct known_speed *k, const struct speed_place *place);
void speed_store_forget(const struct speed_place *place);
/* Whether what is known is of this worker as it is now. */
bool speed_still_true(const struct known_speed *k, const struct hello *now, uint32_t crowd);
/* The same of a worker on this machine that was not asked: the program, processor, share and memory are this process's own. */
bool speed_true_here(const struct known_speed *k, uint32_t crowd);
