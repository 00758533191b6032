/* worker/run.h — what worker.c, join.c, prepare.c and load.c share about one run of a worker. Nobody else includes it. */
#pragma once

#include "worker/encoder/encoder_stage.h"
#include "worker/lease.h"
#include "worker/stage/stage.h"
#include "worker/worker.h"

struct worker {
    struct worker_options options;
    uint64_t member; /* says in every run that this is the same worker */
    struct held_weights *held; /* from run to run */
    struct packed_store store; /* where they are found packed */
    struct kernels kernels;
};

/* One run, or one epoch of it. */
struct run {
    struct worker *worker;
    struct port *port;
    struct greet greet; /* nodes 0: not greeted yet */
    struct frame *greeting; /* a later one that came in the middle: the run begins anew with it */
    struct lease lease; /* of the coordinator */

    struct model_config config;  /* of the text */
    struct capacity capacity;
    struct part part;            /* of the text */
    struct tensor *tensors;      /* [count] of the text's part; data set only while a file is mapped */
    uint32_t count;
    int next;                    /* node the text's rows go to */
    int threads;
    struct part_weights weights[CHAINS];
    struct stage *stage;         /* NULL: only layers of the picture encoder */
    struct encoder_stage encoder; /* count 0: none of those */
    uint16_t route[CHAINS];      /* the wire's numbers of the routes this worker is on */
    char path[CHAINS][ASSIGN_PATH]; /* of the models' files on the coordinator's host */
    bool compared[CHAINS];       /* what a file of ours holds must be what the coordinator's holds; else it is that very file */
    struct hash128 fingerprint[CHAINS];
};

/* What run_look and all that wait return when a later greeting has come: no failure, and nothing for the coordinator. */
#define GREETED_AGAIN (-1)

/* join.c: one look at the port. Pings are answered, bad news become errors, anything else is *out (NULL: nothing came). */
int run_look(struct run *r, struct frame **out, int timeout_ms, struct err *why);
/* The next frame that is not a ping. Before the greeting a worker waits for ever. */
int run_await(struct run *r, struct frame **out, struct err *why);
int run_expect(const struct frame *f, unsigned type, struct err *why);
/* Hears GREET and says HELLO; *dismissed: it was a STOP. */
int run_join(struct run *r, bool *dismissed, struct err *why);

/* prepare.c: hears ASSIGN, counts the bytes, takes the memory. */
int run_prepare(struct run *r, bool *dismissed, struct err *why);

/* The text's part of an assignment, checked and taken down; no memory yet but for the list of its tensors. */
int run_take_text(struct run *r, const struct assignment *a, struct err *why);

/* probe.c: measures what is asked and answers. What cannot be measured for lack of memory or time is no error. */
int run_probe(struct run *r, struct frame *f, struct err *why);

/* load.c: says ACCEPT, gets the weights that are not held already, says READY. */
int run_load(struct run *r, struct err *why);
