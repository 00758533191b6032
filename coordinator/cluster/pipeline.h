/* coordinator/cluster/pipeline.h — a model and the workers that hold it, ready to answer.
 *
 * pipeline_open reads the file; nothing runs yet. pipeline_launch finds the workers, plans, hands out the shares and
 * waits until all are ready. serve.h then keeps it busy. pipeline_close dismisses the workers and ends those we started.
 * Threads: one. */
#ifndef COORDINATOR_CLUSTER_PIPELINE_H
#define COORDINATOR_CLUSTER_PIPELINE_H

#include "coordinator/cluster/local_workers.h"
#include "coordinator/cmd/options.h"
#include "coordinator/text/tokenizer.h"
#include "coordinator/cluster/cluster_file.h"
#include "partition/plan/plan.h"
#include "partition/plan/vision_plan.h"
#include "transport/links/transport.h"
#include "transport/wire/wire.h"

struct node {
    char name[200];          /* "worker 2 (process 123 on host)" */
    char where[170];         /* "process 123 on host" */
    char address[WIRE_TEXT]; /* where it listens, for the stage before it; empty without ZeroMQ */
    struct hello hello;
    struct accept accept;
    struct ready ready;
    struct report report;
    bool greeted, accepted, is_ready, reported;
    uint64_t heard_ns;
};

struct pipeline {
    struct options asked;          /* the command line's, completed by the cluster file */
    const struct options *options; /* = &asked */
    struct model *model;          /* NULL: only pictures are turned into rows */
    struct vision_model *encoder; /* NULL: no pictures */
    struct tokenizer *tokens;
    struct cluster cluster; /* no workers unless --cluster */
    int wait; /* seconds */
    struct port *port;
    struct children *children; /* NULL if we started none */
    int stages; /* workers; those after the first plan.stages have no text */
    struct node nodes[WIRE_STAGES]; /* 1..stages */
    struct worker_offer offers[WIRE_STAGES];
    struct plan plan;
    struct vision_plan vision;
    uint64_t run, pinged_ns;
    bool launched;
    bool whole_head; /* asked for before the launch: somebody wants all scores of a row in one place */
    double launch_seconds;
    struct trace *trace; /* NULL unless asked for */
};

/* `mpi`: the port of rank 0 when started under mpirun, else NULL; the pipeline owns it from now on, also on failure. */
int pipeline_open(struct pipeline **out, const struct options *o, struct port *mpi, struct err *why);
int pipeline_launch(struct pipeline *p, const struct capacity *wanted, struct err *why);
void pipeline_close(struct pipeline **p, const struct err *failure); /* failure: told to the workers; NULL if all went well */

/* Bytes a worker was planned with, text and pictures. */
uint64_t pipeline_planned(const struct pipeline *p, int node);

/* False for a worker that got nothing: more of them than layers of the encoder, and no text. It hears STOP at the end. */
bool pipeline_computes(const struct pipeline *p, int node);

int pipeline_stages(const struct pipeline *p); /* of text, how many there will be; known after pipeline_open */

/* One frame for the coordinator, or NULL when timeout_ms are over. Pings, lost workers, faults, Ctrl-C and children that
 * died are dealt with in here: they come back as errors whose sentence names the worker. */
int pipeline_receive(struct pipeline *p, struct frame **out, int timeout_ms, struct err *why);

int pipeline_send(struct pipeline *p, int node, struct frame **f, struct err *why);

/* Asks every worker for its counters; fills nodes[].report. */
int pipeline_reports(struct pipeline *p, struct err *why);

/* Ctrl-C and SIGTERM make pipeline_receive return E_INTERRUPTED. */
void pipeline_catch_signals(void);
bool pipeline_interrupted(void);

#endif
