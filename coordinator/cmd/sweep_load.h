/* coordinator/cmd/sweep_load.h — what is asked at one point of a sweep.
 *
 * Either the requests of a file, as `gemmapipe batch` asks them; or prompts drawn at random, all of one length, whose answers are as
 * long as wanted: as many under way as the point says, the next one asked when one ends. */
#pragma once

#include "coordinator/batch/batch.h"
#include "coordinator/cmd/session.h"

struct sweep_load { /* {0} and what is wanted to begin with; stays until the session is closed */
    struct job_file *file; /* NULL: at random */
    const char *folder;    /* of the file's pictures */
    uint32_t value[SWEPT];
    uint32_t repeats;      /* of prompts at random, for each sequence */

    struct capacity capacity;
    struct batch *batch;
    uint32_t asked, ended; /* at random */
    struct err failed;     /* the first answer that did not end as wanted */
};

int sweep_load_prepare(struct sweep_load *l, struct session *s, struct err *why); /* before the launch */
/* All of it. *requests, *failed: lines, or prompts. */
int sweep_load_run(struct sweep_load *l, struct session *s, uint64_t *requests, uint64_t *failed, struct err *why);
void sweep_load_close(struct sweep_load *l); /* after session_close */
