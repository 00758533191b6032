/* tests/support/obedient.h — a worker that does not exist, in a world of transport/links/sim.h: it speaks the wire as a real one does, state by
 * state, keeps its lease and its neighbours (worker/bond.h, neighbours.h, the real ones), and computes hashes (hash_stage.h).
 *
 *   IDLE ── GREET ──► GREETED ── ASSIGN, ACCEPT ──► LOADING ── READY ──► WORKING ── STOP, or the coordinator is gone ──► IDLE
 *                        ▲                             │                    │
 *                        └──────── GREET of a later epoch, at any moment ───┘
 *
 * The real loop has three threads of its own, whose order nobody can replay. So what is here is a second reading of docs/WIRE.md.
 *
 * It believes nobody. What an honest coordinator never does, and what a plan must never ask, is a sentence in `broken`. */
#pragma once

#include "base/clock.h"
#include "partition/model/weights.h"
#include "tests/support/hash_stage.h"
#include "transport/links/sim.h"
#include "worker/assign.h"
#include "worker/bond.h"
#include "worker/neighbours.h"

#define OBEDIENT_WEIGHTS 160 /* tensors of the model, and parts of its head, at most */
#define OBEDIENT_OUT 64

struct obedient;
struct later;

/* What all workers of a world share. */
struct obedience {
    struct sim *sim;
    const struct model *model;
    const struct vision_model *encoder;
    bool counts;     /* as struct hash_stage has it */
    uint64_t poison; /* hash of the patches of a picture that ends whoever gets them; 0: there is none */
    uint64_t *dice;
    bool twice;      /* one frame that comes to each of them comes twice */
    struct later *later; /* what will happen, of all; the newest first */
    struct err broken;   /* code other than 0: the first thing that should never happen */
    /* Something happened to this worker, and two numbers about it. */
    void (*note)(void *user, const struct obedient *w, const char *what, uint64_t a, uint64_t b);
    /* It is about to send something of the run, other than a sign of life. */
    void (*sends)(void *user, const struct obedient *w);
    void *user;
    struct work work, score; /* the one before a worker */
    struct result result;
    struct scored scored;
};

struct obedient {
    struct obedience *of;
    int number; /* of the simulation */
    char address[SIM_ADDRESS];
    /* Who it is, to be set before it is greeted. */
    char host[16];
    uint64_t memory;
    bool has_file;       /* of the model */
    bool wrong;          /* it computes a layer of the first that it gets wrongly, from then on */
    uint64_t slow_ns;    /* of a row in a layer, about */

    struct port *port;
    struct clock clock;
    uint64_t booted_ns, slept_ns; /* of the world's time: its boot clock began; its other one stood still so long */
    uint64_t stands_until_ns;
    enum { OBEDIENT_IDLE, OBEDIENT_GREETED, OBEDIENT_LOADING, OBEDIENT_WORKING } state;
    uint32_t turn; /* rises whenever it begins something else: what was to happen before does not */
    uint64_t run;
    uint32_t epoch;
    struct greet greet;
    struct bond bond;
    struct hash_stage stage;
    struct capacity capacity;
    struct part sees; /* of the encoder */
    uint32_t pictures, pictures_most; /* under way here */
    uint16_t route[CHAINS];
    int next[CHAINS];
    bool relayed[CHAINS];
    struct tensor tensor[OBEDIENT_WEIGHTS]; /* [count] of its parts, the text's first */
    uint32_t count, got[OBEDIENT_WEIGHTS], missing, unproved; /* got: rows that came */
    const void *held[OBEDIENT_WEIGHTS]; /* [n_held] where in the file those begin that it has, from run to run */
    uint32_t held_rows[OBEDIENT_WEIGHTS], n_held;
    uint64_t busy_until_ns, computed, steps; /* computed: the last micro-batch, and 1 */
    uint32_t under_way; /* to be computed, and computed and not sent */
    struct frame *out[OBEDIENT_OUT]; /* [n_out] waits for the lease */
    int out_to[OBEDIENT_OUT], n_out;
    struct neighbours neighbours;
    uint64_t leaving_ns; /* it was told to end, then; 0: it was not */
};

/* A process of of->sim, which listens from now on. */
int obedient_open(struct obedient *w, struct obedience *of, struct err *why);
void obedient_kill(struct obedient *w);
void obedient_leave(struct obedient *w); /* SIGTERM: where it works it goes on until it is let go, or 20 s */
int obedient_restart(struct obedient *w, struct err *why); /* it has kept nothing */
/* SIGSTOP and SIGCONT; or the machine sleeps, and of its clocks only one goes on. */
void obedient_stop(struct obedient *w, uint64_t until_ns, bool sleeps);
void obedience_end(struct obedience *of); /* before the simulation is closed */
