/* worker/run.h — what the files of this folder share about one run of a worker. Nobody else includes it. */
#pragma once

#include "worker/bond.h"
#include "worker/encoder/encoder_stage.h"
#include "worker/neighbours.h"
#include "worker/stage/stage.h"
#include "worker/worker.h"

#include <pthread.h>
#include <stdatomic.h>

struct run;
struct loop;

/* What only the port thread may do for the one that is aside. */
typedef int errand(struct run *r, void *with, struct err *why);

#define ASIDE_IN 16 /* frames; a coordinator has four pieces under way at most */

struct aside { /* a thread that does what takes long, and what it shares with the one that keeps the port: aside.c */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int (*what)(struct run *r, struct err *why);
    struct frame *in[ASIDE_IN];
    uint32_t first, n;
    errand *errand; /* NULL: none */
    void *with;
    int errand_code;
    struct err errand_why;
    uint64_t faults; /* of pages, while it was not idle */
    bool idle, done; /* it waits for a frame; it has ended */
    int over;        /* the run is over, with this code; 0: it is not */
    struct err why;
};

struct meeting { /* with another worker, which this one called: meet.c */
    uint32_t with; /* node; 0: none */
    uint32_t bytes;
    int turn;
    uint64_t asked_ns;
    double seconds[MEETING_POINTS];
};

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
    struct bond bond; /* with the coordinator */
    struct aside aside;
    struct meeting meeting;
    bool assigned; /* by the port thread: what other workers ask or say of the way comes too late */
    struct ready ready;
    atomic_ullong steps; /* rises with what gets done */
    struct loop *loop;   /* at work; NULL: not */

    struct model_config config;  /* of the text */
    struct capacity capacity;
    struct part part;            /* of the text */
    struct tensor *tensors;      /* [count] of the text's part; data set only while a file is mapped */
    uint32_t count;
    int next;                    /* node the text's rows go to */
    bool relayed[CHAINS];        /* by the coordinator */
    struct neighbours neighbours;
    int threads;
    struct part_weights weights[CHAINS];
    struct stage *stage;         /* NULL: only layers of the picture encoder */
    struct encoder_stage encoder; /* count 0: none of those */
    uint16_t route[CHAINS];      /* the wire's numbers of the routes this worker is on */
    char path[CHAINS][ASSIGN_PATH]; /* of the models' files on the coordinator's host */
    bool compared[CHAINS];       /* what a file of ours holds must be what the coordinator's holds; else it is that very file */
    struct hash128 fingerprint[CHAINS];
};

/* No failures, and nothing for the coordinator: a later greeting has come (r->greeting); it said STOP. */
#define GREETED_AGAIN (-1)
#define DISMISSED (-2)

/* Somebody wants this process to end. At work it hands over first (loop.c). */
static inline bool worker_is_to_end(const struct worker_options *o)
{
    return (o->stop && *o->stop) || (o->leaves && o->leaves());
}

/* aside.c: does this with a thread of its own, and answers pings meanwhile. An error is its error, or what ended the run. */
int run_aside(struct run *r, int (*what)(struct run *r, struct err *why), struct err *why);
/* By the thread aside: the next frame that is for it, waiting for it, or NULL if there is none yet; errors say what ended the run. */
int run_await(struct run *r, struct frame **out, struct err *why);
int run_look(struct run *r, struct frame **out, struct err *why);
int run_errand(struct run *r, errand *what, void *with, struct err *why);
int run_send(struct run *r, int to, struct frame *f, struct err *why); /* takes the frame in any case */
int run_expect(const struct frame *f, unsigned type, struct err *why);
/* By the port thread: pings are answered, bad news become errors, a greeting is put down; anything else is left in *f. */
int run_hear(struct run *r, struct frame **f, struct err *why);

/* join.c: hears GREET and says HELLO. */
int run_join(struct run *r, struct err *why);

/* prepare.c: hears ASSIGN, counts the bytes, takes the memory. Aside. */
int run_prepare(struct run *r, struct err *why);

/* The text's part of an assignment, checked and taken down; no memory yet but for the list of its tensors. */
int run_take_text(struct run *r, const struct assignment *a, struct err *why);

/* probe.c: measures what is asked and answers. What cannot be measured for lack of memory or time is no error. Aside. */
int run_probe(struct run *r, struct frame *f, struct err *why);

/* meet.c: the way to another worker is measured, if the coordinator asks. MEET; PROBED, of another worker; it is over, if it is on. Aside. */
int run_meet(struct run *r, struct frame *f, struct err *why);
int run_met(struct run *r, struct frame *f, struct err *why);
int run_meeting_over(struct run *r, struct err *why);
void run_look_up(char address[WIRE_TEXT]); /* prepare.c: a name that stands for one address becomes that */

/* load.c: says ACCEPT, gets the weights that are not held already; r->ready is what is to be said then. Aside. */
int run_load(struct run *r, struct err *why);
