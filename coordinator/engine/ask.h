/* coordinator/engine/ask.h — what can be asked of the engine, and how it answers.
 *
 * Plain data. An ask is copied by engine_ask, so whoever asks may forget it. What becomes of it is told to its listener. */
#pragma once

#include "coordinator/engine/biases.h"
#include "coordinator/text/prompt.h"
#include "transport/wire/wire.h"

enum finish {
    FINISH_NOT,       /* not yet */
    FINISH_STOP,      /* the model ended its answer */
    FINISH_LENGTH,    /* as many tokens as were asked for */
    FINISH_CONTEXT,   /* the context is full */
    FINISH_CANCELLED, /* engine_cancel, or the engine was closed */
    FINISH_LATE,      /* its deadline is over */
    FINISH_FAILED,    /* a failure of its own, or of the whole run: `why` says which */
};

struct ask {
    const uint32_t *ids; /* [n] the whole prompt; of a conversation all of it, earlier answers too */
    size_t n;
    const struct picture_span *spans; /* [n_spans] in order; span.picture is a number of pictures.h */
    size_t n_spans;
    size_t begun;          /* of the ids, the last ones: of an answer that was begun before, and goes on */
    uint32_t judged;       /* of the ids, the last ones: nothing is answered, and each of these is told as if it had been said, with its
                            * log-probability, to a listener that is never full; how it was to be drawn, and `most`, mean nothing */
    struct sampling sampling;
    struct bias_wish wish; /* beside the sampling */
    uint32_t top;          /* alternatives to each token that are told, WIRE_ALTERNATIVES at most */
    uint32_t most;         /* tokens of the answer, at most; not 0 */
    uint64_t key;          /* of its random draws, together with sampling.seed: the same key, the same draws, whatever else runs */
    uint64_t deadline_ns;  /* of the roster's clock; 0: none */
    uint32_t drawn;        /* of the ids, the first ones: for measuring at a depth their keys and values are drawn, not computed */
    int priority;          /* the higher the sooner */
    uint64_t salt;         /* what asks share they share only with the same salt: who may not know of others asks with one of its own */
    int only;              /* 0: whichever replica can begin first; else the one that is to compute it, from 1 */
    bool run_on;           /* past tokens that end an answer: for measuring */
    bool again;            /* only to be compared with what was computed before (verify.h): who counts does not hear of it */
    bool want_hash;        /* a fingerprint of all scores it was answered from */
    bool want_scores;      /* to listener.scores: those of every row that is computed, or of those before the judged ids */
};

struct said { /* one token of an answer; the one that ends it is not told */
    uint64_t number;
    uint32_t id;
    const struct token *token; /* with what else the workers said of it */
};

struct ended {
    uint64_t number;
    enum finish how;
    const struct err *why;  /* of FINISH_FAILED; else NULL */
    uint32_t prompt_rows;   /* ids asked with */
    uint32_t reused_rows;   /* of these, rows that the workers held already */
    uint32_t made;          /* tokens, the ending one included */
    uint32_t last_id;       /* the last of these */
    uint64_t fingerprint;   /* if asked */
    int replica;            /* that computed it, at last; from 0 */
    uint64_t asked_ns, first_ns, done_ns; /* first_ns 0: there was no token */
};

/* None of these may wait. Each may call engine_ask and engine_cancel. */
struct listener {
    /* False: full. The engine keeps the token, and the slot, and computes nothing more for this ask; every turn offers the same
     * token again (engine_wake makes a waiting turn end). NULL: tokens are not of interest. */
    bool (*token)(void *user, const struct said *said);
    /* One row's scores [n], in order of positions. A code other than 0 fails this ask with `why`. */
    int (*scores)(void *user, uint32_t position, const uint8_t *scores, uint32_t n, struct err *why);
    /* Once, always, last. */
    void (*finished)(void *user, const struct ended *ended);
    void *user;
    /* The words that the next token may be, [mask_words_of(vocabulary)] as struct work has them, asked when all before it were told;
     * valid until the next call of anything here. The same for the same tokens. NULL, or returning it: any. If none of them may be
     * said the ask fails. An ask with masks is not guessed at. */
    const uint8_t *(*mask)(void *user);
};
