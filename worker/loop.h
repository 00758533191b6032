/* worker/loop.h — a loaded stage at work: frames in, micro-batches computed in order, frames out. */
#pragma once

#include "transport/links/transport.h"
#include "worker/bond.h"
#include "worker/encoder/encoder_stage.h"
#include "worker/neighbours.h"
#include "worker/stage/stage.h"

#include <signal.h>
#include <stdatomic.h>

struct loop;

struct loop_setup {
    struct port *port;
    struct stage *stage;  /* NULL: this worker only has layers of the picture encoder */
    struct encoder_stage *encoder; /* NULL: it has none of those */
    uint16_t route[CHAINS]; /* the wire's numbers of the routes of both chains */
    int next;           /* node to which the stream goes: 0 for the last stage */
    bool relayed[CHAINS]; /* it goes there by the coordinator, also pictures */
    struct neighbours *neighbours;
    struct part part; /* of the text */
    uint32_t hidden;    /* columns of the stream */
    uint32_t rows;      /* of a micro-batch, at most */
    uint32_t first_word; /* of the part's */
    enum wire_dtype wire; /* of the text's rows */
    uint32_t in_flight; /* micro-batches the coordinator may have under way */
    int threads;        /* of stage and encoder */
    struct held_weights *held;
    const struct part_weights *weights; /* [CHAINS] of these, what this run has */
    struct bond *bond; /* with the coordinator */
    atomic_ullong *steps; /* rises with every layer computed */
    const struct cores *cores; /* these are bound to; n 0: to none */
    const volatile sig_atomic_t *stop;
    bool (*leaves)(void); /* NULL: never; see struct worker_options */
    struct frame **greeting; /* gets a later greeting, if one ends the work */
};

/* Runs until M_STOP (0), a GREET of a later epoch (GREETED_AGAIN, run.h), a failure (code and sentence; telling the coordinator is the
 * caller's task) or *stop. What is under way is told to end then, and *out is set, also on failure: loop_close waits for it, which may
 * take as long as a layer. */
int loop_run(struct loop **out, const struct loop_setup *setup, struct err *why);
void loop_close(struct loop **l); /* any thread; sets *l to NULL; NULL is fine */
