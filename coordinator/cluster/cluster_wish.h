/* coordinator/cluster/cluster_wish.h — what is wanted of a pipeline: which files, which workers, how they are to share the work.
 *
 * Plain data. Whoever asks (a command line, a file, a test) fills it in; the cluster only reads it. Texts and lists belong
 * to the asker and must stay until the pipeline is closed. Zero always means: nothing was said. */
#pragma once

#include "partition/plan/plan.h"

#define REPLICAS_AUTO (-1)
#define PIPELINES_MOST 64 /* replicas of one */

struct cluster_wish {
    const char *model;  /* path of the text model; NULL: only pictures become rows */
    const char *mmproj; /* path of the picture encoder; NULL: no pictures */

    /* Who computes: workers that listen elsewhere, or processes started here, or threads of this process. Under MPI: none of
     * these. Nothing said: one thread of this process. */
    const char *const *addresses; /* [n_addresses], in the order of the plan */
    int n_addresses, processes, threads_here;
    int ranks; /* of MPI, but rank 0; once they have answered, as what follows: */
    bool one_machine; /* all of them are on this one */
    const char *const *key_names; /* [n_addresses]: by what name its key is known here; NULL, one or all: by the address's own host and port */
    const char *keys;  /* the folder they are in; NULL: the usual, and where all addresses are of this machine links are plain */
    bool insecure;     /* links are plain, wherever they go */
    const struct worker_offer *said; /* [n_addresses]: what is known of them beforehand; NULL: nothing */
    struct numeric_mode numbers; /* that they compute in */
    int threads;       /* of each worker; 0: its share of the cores */
    bool pin;          /* threads of workers started here, each to a core of its own */
    bool send_weights; /* stream the parts even to workers that could open the file */
    const char *cache; /* folder of the workers started here, for layers packed once; NULL: none */
    uint64_t cache_size; /* its bytes, at most; 0: no limit */
    int wait_seconds;  /* for workers to answer */
    bool probe;        /* plan by measured speeds: look up how fast the workers were, and measure them if that is not known */
    int patience_seconds; /* for others to come in the place of lost ones; 0: a loss is the end */
    const char *accept; /* where workers may say that they are there, which nobody named; NULL: nowhere */
    int replicas;      /* pipelines that the workers are shared out to; REPLICAS_AUTO: as many as are fastest; 0: one */
    int before, beside; /* workers started here for replicas before this one; for all others */
    int spare;         /* workers more than the plan has, in the place of whom is lost first */

    const uint64_t *memory; /* [n_memory]: most bytes of each worker; one for all; NULL: what they say themselves */
    int n_memory;

    /* How they share the work. Its capacity comes with the launch, and what they have together follows from who they are. */
    struct plan_wish plan;

};

/* Workers that are to have a part: those that are named, or started here, but for the spare ones; no more than a split by hand has parts.
 * Where nothing else was said it says how many, and else there is one. Under MPI the ranks count. */
int wish_workers(const struct cluster_wish *w);
int wish_places(const struct cluster_wish *w); /* those to spare too */

/* Threads of each worker that is started here. */
int wish_threads(const struct cluster_wish *w, int workers);

/* What is said of these workers, spare ones too, before they are asked: [workers]. E_USAGE if the sizes of memory are for another number. */
int wish_offers(struct worker_offer *out, const struct cluster_wish *w, int workers, struct err *why);
