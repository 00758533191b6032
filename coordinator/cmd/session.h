/* coordinator/cmd/session.h — what every command that runs a model opens and closes, in this order: files and workers, then, once
 * it is known what must be prepared for, the engine with those who watch it. */
#pragma once

#include "base/whole_file.h"
#include "coordinator/cluster/pipeline.h"
#include "coordinator/cmd/options.h"
#include "coordinator/cmd/stdout_ring.h"
#include "coordinator/cluster/replica_wishes.h"
#include "coordinator/engine/fleet.h"
#include "coordinator/report/chart_svg.h"
#include "coordinator/report/report.h"
#include "coordinator/report/run_chart.h"
#include "coordinator/report/trace.h"
#include "coordinator/schema/shaped.h"
#include "coordinator/text/tokenizer.h"

#define TURN_MS 100 /* of an engine_turn: who has enough of an answer should not wait longer until that is seen */

#define VERIFY_IDLE_MS 10000 /* somebody who reads an answer may ask again */

struct session {
    const struct options *options;
    struct pipeline *pipe; /* before the launch of replicas: the files alone. Then the first of them: */
    struct pipeline *replica[PIPELINES_MOST];
    int replicas;          /* [replicas]; 0 before the launch, also of one */
    struct pipeline *files; /* of replicas: what was read before it was known how many there are */
    struct replica_wishes *wishes;
    const struct cluster_wish *wish;
    struct capacity wanted; /* of all replicas, once launched */
    struct tokenizer *tokens; /* NULL without a text model */
    struct shaped_words words;  /* the same, for answers that are held to a schema */
    struct stdout_ring *out;  /* where results go: writing to stdout itself would wait for its reader */
    struct fleet *fleet;    /* NULL before session_launch */
    struct trace *trace;      /* NULL unless asked for, as the report */
    struct run_chart *chart;
    struct whole_file *drawing; /* of it */
    struct run_report *report;
    uint32_t verify_idle_ms; /* engine_setup has it: of who waits for people, before the launch */
};

/* Start with {0}; session_close cleans up in any case. `mpi`: rank 0's port or NULL; owned from now on. */
int session_open(struct session *s, const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why);
/* The files alone, for who only wants to know the plan; `tokens` only if there is a prompt to read. */
int session_open_files(struct session *s, const struct options *o, const struct cluster_wish *wish, struct err *why);
int session_launch(struct session *s, const struct capacity *c, struct err *why);

/* Starts or calls these workers only to measure them; they are dismissed again, and what they reach is kept. */
int session_measure(const struct cluster_wish *wish, struct err *why);

/* One turn of the engine; meanwhile the reader of stdout gets what it takes. E_FILE if it takes nothing any more. */
int session_turn(struct session *s, int timeout_ms, struct err *why);

/* Turns until nothing is unanswered. */
int session_answer(struct session *s, struct err *why);

/* Turns until the reader of stdout has all. */
int session_deliver(struct session *s, struct err *why);

/* What --report, --report-json, --trace and --timeline asked for, when all is answered. */
int session_finish(struct session *s, struct err *why);

/* failure: told to the workers; NULL if all went well. What stdout's reader has not taken it gets now, when no worker waits any more. */
void session_close(struct session *s, const struct err *failure);
