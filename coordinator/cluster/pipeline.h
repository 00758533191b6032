/* coordinator/cluster/pipeline.h — a model and the workers that hold it, ready to answer.
 *
 * pipeline_open reads the file and finds the workers; nothing runs yet. pipeline_launch greets them, plans, hands out the
 * parts and waits until all are ready (recover.h, launch.h). The engine then keeps it busy. pipeline_close dismisses the workers and
 * ends those we started.
 *
 * Whoever computes is known by three numbers, and they are not the same: a *worker* is a number of the plan, from 0; a
 * *member* (roster.h) is the process that plays it; a *node* is where the port reaches that process. Rows travel along
 * *routes* (partition/plan/plan.h).
 * Threads: one. */
#pragma once

#include "coordinator/cluster/cluster_wish.h"
#include "coordinator/cluster/roster.h"
#include "coordinator/cluster/speed_store.h"
#include "partition/plan/plan.h"

/* What a worker of a plan took, when it was over because somebody was lost. */
struct past_stage {
    uint32_t epoch;
    int node;
    uint64_t planned, measured; /* bytes */
};

struct pipeline {
    struct cluster_wish wish;
    struct model *model;           /* NULL: only pictures are turned into rows */
    struct vision_model *encoder;  /* NULL: no pictures */
    struct local_workers *local; /* NULL if we started none */
    struct keys *keys; /* NULL: links are plain */
    struct roster *roster;
    int places;                /* workers that were named or started, those to spare too */
    int workers_named;         /* that were wanted at first */
    int workers_wanted;        /* as many as that, or after losses fewer, make a plan; who is more than that is spare */
    int workers;               /* of the plan; the last vision_workers of them have no text */
    struct member **crew;      /* [workers]: who plays which worker of the plan; set when all have answered */
    struct worker_offer *offers; /* [workers] */
    struct known_speed *known; /* [places]: how fast they were when they were measured; NULL: nobody looked */
    struct plan plan; /* once launched */
    uint32_t epoch;   /* since the last new beginning; 0: not launched yet */
    bool hands_over;  /* somebody is to end, or layers are to move: nothing new is sent, and when all that is under way is home, recover_hand_over */
    int way;          /* in which the layers lie: planning.h; 0: as is best */
    double slower;    /* so many times as long as in that one its slowest stage takes */
    bool whole;       /* all workers of the plan are ready, in this epoch. Only then anything may be sent to them on a route */
    struct recovery *recovery; /* of recover.c */
    struct joiners *joiners;   /* NULL: nobody may join */
    uint32_t losses;     /* of members that had a part of the plan */
    struct apart *apart; /* [n_apart], by node; stays where it is */
    int n_apart;
    struct past_stage *past; /* [n_past], by epoch */
    size_t n_past;
    double lost_seconds; /* in which the pipeline was not whole, after it was */
    struct gguf_hashes *hashes[CHAINS]; /* of the tensors of both files; once launched */
    double launch_seconds;
};

/* `mpi`: the port of rank 0 when started under mpirun, or a part of it, else NULL; the pipeline owns it from now on, also on failure. What
 * the wish leaves open (all_scores) may still be set, in p->wish.plan, until the launch. */
int pipeline_open(struct pipeline **out, const struct cluster_wish *wish, struct port *mpi, struct err *why);
int pipeline_launch(struct pipeline *p, const struct capacity *wanted, struct err *why);
int pipelines_launch(struct pipeline *const *p, int n, const struct capacity *wanted, struct err *why); /* replicas, all at the same time */
/* Greets the workers and measures them, whatever is known already; nothing is assigned. What was found out is in the store. */
int pipeline_measure(struct pipeline *p, struct err *why);
/* Under MPI: greets the ranks and lists them in p->wish, before it is known which of them make which replica, or whether there are any. */
int pipeline_hear(struct pipeline *p, struct err *why);
void pipeline_close(struct pipeline **p, const struct err *failure); /* failure: told to the workers; NULL if all went well */

/* The files alone and no worker, for whoever only wants to know what the plan would be (planning.h). */
int pipeline_open_files(struct pipeline **out, const struct cluster_wish *wish, struct err *why);

/* The place of who plays this worker; before anybody does, the same number. */
static inline int pipeline_place(const struct pipeline *p, int worker)
{
    return p->crew && p->crew[worker] ? p->crew[worker]->place : worker;
}

/* Where links are encrypted: whose key it is that answers at this address, by the name that was said, or NULL: by its own host. Before
 * it is called. E_USAGE if no such key is known. */
int pipeline_know(struct pipeline *p, const char *address, const char *said, struct err *why);

/* Bytes a worker was planned with, text and pictures. */
uint64_t pipeline_planned(const struct pipeline *p, int worker);

/* False for a worker that got nothing, as when more workers see pictures than the encoder has layers. It hears STOP at the end. */
bool pipeline_computes(const struct pipeline *p, int worker);

/* The wire's number of a route of the plan. */
uint16_t pipeline_route(const struct pipeline *p, const struct route *route);

/* To a worker of the plan; see roster_send. */
int pipeline_send(struct pipeline *p, int worker, struct frame **f, struct err *why);

/* Whether what one worker of the plan has for another is passed on here: neither can call the other, or it was tried in vain. */
bool pipeline_relays(const struct pipeline *p, int from, int to);
/* It was tried in vain: so it is in plans from now on. *known: it was noted already. */
int pipeline_note_apart(struct pipeline *p, const struct member *a, const struct member *b, bool *known, struct err *why);

/* The address at which one member can call another; empty: none. */
const char *pipeline_address(const struct member *of, const struct member *caller);

/* Passes a frame on that came from this worker for the next one of its route. False: it is not such a frame. */
int pipeline_pass_on(struct pipeline *p, struct event *e, bool *done, struct err *why);

/* One row of the embedding table, as it lies in the file: this process holds no part of the model. */
int pipeline_embedding(const struct pipeline *p, uint32_t id, uint8_t *row, struct err *why);

/* E_FILE if the model or the encoder was written to since it was opened. */
int pipeline_files_unchanged(const struct pipeline *p, struct err *why);

/* Whether all workers are threads of this process. */
bool pipeline_is_one_process(const struct pipeline *p);

/* Asks those for their counters that have answered the last time they were asked. Does not wait: the answer is an EVENT_REPORT. */
int pipeline_ask_reports(struct pipeline *p, struct err *why);

/* Asks every worker for its counters and waits until they are in crew[]->report. Call it while nothing is under way. */
int pipeline_reports(struct pipeline *p, struct err *why);
