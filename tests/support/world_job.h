/* tests/support/world_job.h — the job of a coordinator in a world of world.h, as `gemmapipe batch` has one: a file of requests that the real
 * batch reads and asks, the real journal on a disk that tears, and the file of results, which are written as they come or at the end.
 *
 * What must hold: a result is the one of a quiet run, to the byte; one that was safe, or that stood in the file of results, is there in every
 * life that follows; tokens that a journal brings back are those of a quiet run; in the end each line has one result. A line fails only where
 * workers or coordinators were lost with it under way, and is asked again. */
#pragma once

#include "coordinator/batch/batch.h"
#include "tests/support/torn_disk.h"

#define JOB_LINES 10
#define JOB_CHOICES 2

struct leader;
struct line;

struct world_job {
    struct leader *leader;
    bool as_they_come, retry; /* how results are written; lines that failed are asked again */
    char in[300], out[300];
    struct torn_disk disk;
    char *golden[JOB_LINES]; /* [lines] what a quiet run writes */
    bool safe[JOB_LINES];    /* that has a result which stays */
    uint32_t choices[JOB_LINES], window;
    struct job_file *file;
    struct journal *journal;
    struct outputs *outputs;
    struct batch *batch;
};

int world_job_draw(struct world_job *j, struct leader *l, struct err *why); /* its lines are drawn */
void world_job_end(struct world_job *j);

/* In the order of cmd/cmd_batch.c. `stops`: the run is over in good order, before the job. */
int world_job_open(struct world_job *j, struct err *why);
int world_job_begin(struct world_job *j, struct err *why); /* there is a fleet */
int world_job_turn(struct world_job *j, int ms, bool *over, struct err *why);
int world_job_finish(struct world_job *j, bool *done, struct err *why); /* it is over; not done: some lines failed */
int world_job_stop(struct world_job *j, struct err *why);
int world_job_close(struct world_job *j, struct err *why); /* after the fleet */
