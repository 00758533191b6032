/* coordinator/batch/batch.h — answers the lines of a job and keeps what is done in its journal.
 *
 *   line ─► request ─► token ids, pictures ─► asks, one for each choice ─► answers ─► result ─► journal ─► output
 *            │ refused                                                                   ▲
 *            └───────────────────────────────────────────────────────────────────────────┘
 *
 * Lines are taken in order, as many at once as keep the pipeline full; those the journal has a result of are passed over. A line
 * that was under way when the job stopped goes on behind the tokens that the journal has of it: the draw of a token depends on
 * the line's seed, the choice and the position alone, so the rest of the answer is the same. One that wants log-probabilities begins anew.
 *
 * Threads: one, the engine's. */
#pragma once

#include "coordinator/batch/job_file.h"
#include "coordinator/batch/journal.h"
#include "coordinator/batch/outputs.h"
#include "coordinator/batch/request.h"
#include "coordinator/batch/result.h"
#include "coordinator/engine/fleet.h"
#include "coordinator/quality/task.h"
#include "coordinator/schema/shaped.h"

struct batch_setup { /* everything it points to must stay */
    struct fleet *fleet;
    const struct tokenizer *tokens;
    struct shaped_words *words; /* for answers that are held to a schema */
    struct job_file *file;
    struct journal *journal; /* NULL: results are of no interest */
    struct request_defaults defaults;
    struct result_common common;
    const char *folder;      /* pictures are looked for in here; NULL: */
    int (*find_picture)(void *user, const char *name, char **path, struct err *why); /* as struct question_setup has it */
    void *find_user;
    int priority;            /* of all that is asked */
    uint64_t seed;           /* of the job: of lines that bring none */
    uint32_t window;         /* answers that are asked for at once */
    uint32_t context;        /* positions of a sequence */
    uint32_t picture_rows, picture_side; /* 0: there is no encoder */
    uint64_t picture_memory; /* that reading one may take; 0: the usual limit */
    bool tasks;              /* its lines are questions of a test, and their results what the answers are worth: quality/task.h */
    enum task_filter filter; /* of these */
    struct outputs *outputs; /* gets results as they are safe; NULL: nobody does */
};

struct batch;

int batch_open(struct batch **out, const struct batch_setup *setup, struct err *why);
/* After fleet_close, which still tells the answers that are under way of their end; batch_put_away keeps them. Sets *b to NULL; NULL
 * is fine. */
void batch_close(struct batch **b);

bool batch_is_over(const struct batch *b); /* every line has a result */

/* Takes lines, turns the engine once, and writes what was finished to the journal. An error ends the job where it stands. */
int batch_turn(struct batch *b, int timeout_ms, struct err *why);

/* Its parts, for whoever turns the engine between them: lines are taken for `window` answers under way, and what was finished is kept. */
int batch_feed(struct batch *b, uint32_t window, struct err *why);
int batch_settle(struct batch *b, struct err *why);
uint32_t batch_under_way(const struct batch *b); /* answers */
void batch_cancel(struct batch *b);              /* those end soon, without results; batch_feed and batch_settle may not be called any more */
void batch_forget(struct batch *b);              /* then, when none is under way: batch_close may come before fleet_close */

/* The tokens of all that is under way go to the journal, which is then synced. */
int batch_put_away(struct batch *b, struct err *why);

struct batch_counts {
    size_t lines, done, failed; /* of the job; of earlier runs too */
    size_t unread;              /* lines that have no result and were not read yet */
    uint64_t unread_bytes;
    size_t asked, answered, refused; /* lines, of this run; those answered and refused have their result */
    uint64_t asked_bytes, prompt_tokens; /* of lines asked; of lines answered, once for each */
};
struct batch_counts batch_counts(const struct batch *b);
