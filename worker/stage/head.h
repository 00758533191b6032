/* worker/stage/head.h — the end of the pipe: rows to scores, scores to tokens, or to one part's say in a token.
 *
 * Only rows that somebody asked about are scored: the last of a segment that wants a token, all of one that wants its
 * scores. LOGIT_ROWS at a time, so that a megabyte a row stays a few megabytes.
 * A head is whole or divided by words. The whole one picks tokens and hands out scores. One that has some parts says
 * of each row what the coordinator needs to pick (struct scored; candidates.h says why the bits are the same), or gives it the scores.
 * A segment that wants all scores folds their hashes in order, from 0, and its token carries that. */
#pragma once

#include "worker/stage/sequences.h"
#include "worker/stage/stage.h"
#include "worker/stage/text.h"

struct head {
    const struct model_config *config;
    const struct weight *norm, *matrix;
    uint32_t first, words;  /* of the vocabulary */
    uint32_t part, n_parts; /* the same in parts; those without words are not counted */
    float *scores;          /* [LOGIT_ROWS, ld] */
    size_t ld;
    uint32_t *ids;             /* the sampler's, [threads, at most LOGIT_ROWS][words] */
    struct scored *scored;     /* [LOGIT_ROWS] */
    struct token *picked;      /* [LOGIT_ROWS]: where the head is whole */
    struct wanted_row *wanted; /* [rows of a micro-batch] */
    uint32_t n_wanted;
    int code; /* of what went wrong while scoring: 0 or an error that stands in the call's `why` */
};

/* One micro-batch's questions and where the answers go: to `result` and `sink` from a whole head at the end of the pipe;
 * to `sink` and `say`, if that is set, from anyone who has parts. */
struct head_call {
    const struct work *w;
    const struct sequences *sequences;
    struct result *result;
    logits_sink sink;
    scored_sink say;
    void *user;
    struct err *why;
};

/* `scratch` is scratch_bytes.logits long, 64-byte aligned, owned by the caller. */
int head_open(struct head *h, const struct model_config *c, struct part part, const struct weight *norm,
              const struct weight *matrix, uint32_t rows, int threads, void *scratch, uint64_t bytes, struct err *why);
void head_close(struct head *h);

/* By one thread, before the region: which rows are wanted. E_WIRE if one wants what cannot be. */
int head_ask(struct head *h, const struct head_call *call);

/* By all threads: scores them, gives scores or says to the sink and tokens to the result, in order. Sinks are called by the
 * region's first thread only, which is the one that opened it. Afterwards h->code says how it went. */
void head_answer(struct head *h, const struct workbench *b, const float *x, const struct head_call *call);
