/* worker/worker.h — a worker's life: greeted, assigned a part, loaded, at work, dismissed. Others see this header
 * and worker/assign.h of this room, and nothing else.
 *
 *   idle --GREET--> HELLO --ASSIGN--> ACCEPT --(PIECE, or its own file)--> READY --WORK--> … --STOP--> idle
 *
 * A worker keeps its weights from run to run: the next one that asks for the same layers is ready at once. After a run that
 * failed it can serve another as well.
 *
 * Two threads: the caller's keeps the port (answers pings, takes frames in, hands frames out), one more computes, so
 * receiving n+1, computing n and sending n-1 overlap and a busy worker still says that it lives. */
#pragma once

#include "base/cores.h"
#include "base/error.h"
#include "transport/links/transport.h"
#include "transport/wire/wire.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct worker_options {
    int threads;                          /* 0: what the coordinator says, else all cores allowed */
    bool crowded;                         /* workers of one machine have more threads together than it has cores */
    struct cores cores;                   /* each computing thread is bound to one of these, and memory lies near them; n 0: not bound */
    uint64_t memory;                      /* bytes this worker may take; 0: what the machine has */
    bool no_file;                         /* never open the model file here: have the part sent */
    const char *models;                   /* the folder it must lie in; NULL: wherever the coordinator says */
    bool only_network;                    /* it is reached over a network, and connects to no socket of this machine's own */
    const char *shard;                    /* a shard to take the part from if it is inside, a file or a folder of packed ones; NULL: none */
    const char *cache;                    /* a folder to keep packed layers in, and to find them in again; NULL: none */
    uint64_t cache_size;                  /* its bytes, at most; 0: as many as the disk has */
    const volatile sig_atomic_t *stop;    /* becomes true when the process should end; may be NULL */
    bool (*leaves)(void);                 /* true: it should end, but may finish what it has begun for others first; may be NULL */
    void (*holds)(const char *part);      /* called with what it has of the models whenever it is ready; may be NULL */
    void (*named)(int node);              /* called with the number that the coordinator gives it; may be NULL */
};

/* The version of the numbers this program computes: of two that differ, results differ in some bit. */
uint32_t worker_numeric(void);

struct worker;

/* Options are copied. It takes no memory for weights before a run asks for it. */
int worker_open(struct worker **out, const struct worker_options *options, struct err *why);
void worker_close(struct worker **w); /* gives the weights back; sets *w to NULL; NULL is fine */

/* Serves one run on this port, from greeting to dismissal. 0: dismissed in order. Else the run failed: the coordinator was
 * told, `why` holds the sentence. E_INTERRUPTED: *stop became true; or `leaves` did, and there was nothing to hand over, or nobody took it in
 * time. In either case it can serve another run. */
int worker_serve(struct worker *w, struct port *port, struct err *why);

/* The token after a row whose head is divided: of `row`, with what all parts of the head said of it together (their sums in
 * order, their candidates merged, best first), as the segment asked. The same bits as where the head is whole.
 * E_WORKER if a score is not a number. */
int worker_answer(struct token *out, const struct scored *row, const struct segment *asked, struct err *why);

/* The same from all scores of a row, where the token is one of too many to name: by the arithmetic of a whole head. */
struct all_scores {
    float *scores; /* [words], of the whole vocabulary; spoilt */
    uint32_t words;
    uint32_t *ids;          /* scratch [words] */
    const uint32_t *recent; /* [n_recent] ids up to the row, oldest first, as many as its repeat penalty looks at */
    uint32_t n_recent;
    const struct work *of; /* brings the segment's biases */
    const uint8_t *mask;   /* the row's, see struct work; NULL: none */
};
void worker_draw(struct token *out, const struct scored *row, const struct segment *asked, const struct all_scores *all);
int worker_scores_hash(uint64_t *out, const struct scored *row, const struct segment *asked, struct err *why); /* E_WORKER as above */

/* What this machine does at most, per second, with so many threads and the instruction set the kernels use here. */
struct worker_limits {
    char isa[16];
    int threads;
    double read_bytes; /* memory read through once, far more than the caches hold */
    double int8_macs;  /* products of bytes added up, in registers */
    double f32_macs;   /* fused multiply-adds, in registers */
};

/* Measures for about a second, in up to 1 GiB of memory that is given back. Only on a machine that does nothing else
 * do the numbers mean anything. */
int worker_limits(struct worker_limits *out, int threads, struct err *why);
