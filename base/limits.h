/* base/limits.h — how many there may be of what: every table and every check follows from these numbers. */
#pragma once

#define WORKERS_MOST 1000 /* of a run; the wire's nodes are 0..WORKERS_MOST */
#define STAGES_MOST 80    /* of one route: workers that rows pass one after the other */
#define ROUTES_MOST (2 * WORKERS_MOST) /* of a run: at most one for text and one for pictures begins at each worker */
#define IN_FLIGHT_MOST 128 /* micro-batches, or pictures, under way at once */
#define THREADS_MOST 4096  /* of a worker */
#define BEGINNINGS_MOST 256 /* of sequences, kept at once for others to begin with */
