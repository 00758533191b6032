/* coordinator/cluster/cluster_wish.h — what is wanted of a pipeline: which files, which workers, how they are to share the work.
 *
 * Plain data. Whoever asks (a command line, a file, a test) fills it in; the cluster only reads it. Texts and lists belong
 * to the asker and must stay until the pipeline is closed. Zero always means: nothing was said. */
#ifndef COORDINATOR_CLUSTER_CLUSTER_WISH_H
#define COORDINATOR_CLUSTER_CLUSTER_WISH_H

#include "partition/plan/plan.h"
#include "partition/plan/vision_plan.h"

struct cluster_wish {
    const char *model;  /* path of the text model; NULL: only pictures become rows */
    const char *mmproj; /* path of the picture encoder; NULL: no pictures */

    /* Who computes: workers that listen elsewhere, or processes started here, or threads of this process. Under MPI: none of
     * these. Nothing said: one thread of this process. */
    const char *const *addresses; /* [n_addresses], in the order of the plan */
    int n_addresses, processes, threads_here;
    const struct worker_offer *said; /* [n_addresses]: what is known of them beforehand; NULL: nothing */
    int threads;       /* of each worker; 0: its share of the cores */
    bool pin;          /* threads of workers started here, each to a core of its own */
    bool send_weights; /* stream the parts even to workers that could open the file */
    int wait_seconds;  /* for workers to answer */

    /* How they share the work. */
    const struct cut *cuts; /* [n_cuts]: layers and parts of the head by hand; NULL: as is best */
    int n_cuts;
    const uint64_t *memory; /* [n_memory]: most bytes of each worker; one for all; NULL: what they say themselves */
    int n_memory;
    bool whole_head; /* never divide the head: asked for, or a sampling needs all scores in one place */
    struct vision_wish vision;
    enum vision_type vision_type;
    int vision_workers; /* the last so many have no text */

    bool exact_embed_scale; /* embedding rows scaled as llama.cpp does, instead of as the model was trained */
};

#endif
