/* coordinator/engine/request.h — one question from arrival to last word: plain data, filled in by serve.c as it goes. */
#ifndef COORDINATOR_ENGINE_REQUEST_H
#define COORDINATOR_ENGINE_REQUEST_H

#include "coordinator/text/prompt.h"
#include "coordinator/text/tokenizer.h"
#include "transport/wire/wire.h"

enum finish { FINISH_NOT, FINISH_STOP, FINISH_LENGTH, FINISH_CONTEXT };

struct request;
typedef void (*token_sink)(struct request *r, uint32_t id, void *user);
typedef int (*score_sink)(struct request *r, uint32_t position, const uint8_t *scores, uint32_t n, void *user, struct err *why);

struct request {
    /* asked */
    uint32_t number;          /* the scheduler's, once it has it */
    uint64_t key;             /* keys the random numbers: the place of the prompt, whatever else is asked */
    struct ids ids;           /* the prompt; answers are appended; owned by the request */
    struct picture_spans spans; /* where rows of pictures stand among the ids; span.picture is a number of pictures.h, held by
                                 * the request (if `holds`); owned */
    bool holds;               /* the spans have their numbers, and a reference each */
    uint32_t most;            /* tokens of this answer, at most */
    struct sampling sampling;
    bool run_on;              /* past tokens that end an answer: for measuring */
    bool keep;                /* another turn will follow: hold the slot */
    bool want_hash, want_scores;
    token_sink on_token;      /* every token but the one that ends the answer */
    score_sink on_scores;     /* one row; called in order of positions */
    void *user;

    /* known so far */
    uint32_t prompt_rows;     /* ids known when the current turn began */
    uint32_t sent;            /* rows that entered the pipe */
    bool scheduled;           /* the scheduler knows it; before, its pictures are on their way */
    uint64_t history;         /* of those rows */
    uint32_t made;            /* tokens of this answer, the ending one included */
    enum finish finish;
    uint64_t fingerprint;     /* of all scores produced for it, in order */
    uint32_t scores_seen;     /* rows that came as M_LOGITS */
    uint64_t added_ns, first_ns, done_ns;
};

#endif
