/* base/limits.h — how many of what there may be, in one place: every table and every check follows from these. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#define WORKERS_MOST 1000  /* of a run; the wire's nodes are 0..WORKERS_MOST */
#define STAGES_MOST 80     /* workers that rows pass one after the other: of one route */
#define ROUTES_MOST (2 * WORKERS_MOST) /* of a run: each worker alone may be one for the text and one for pictures */
#define IN_FLIGHT_MOST 128 /* micro-batches, or pictures, under way at once */
#define THREADS_MOST 4096    /* of a worker */

#endif
