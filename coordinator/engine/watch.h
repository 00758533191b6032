/* coordinator/engine/watch.h — what happened, for whoever counts: traces, reports, progress, metrics. The engine knows none of them. */
#pragma once

#include "coordinator/text/prompt.h"

#include <stdint.h>

enum happening {
    ASK_CAME,     /* number, amount: rows; spans */
    ASK_GOES,     /* number: its pictures are there, it waits for a slot or has one */
    ASK_SPOKE,    /* number: its first token */
    ASK_ENDED,    /* number, amount: tokens */
    BATCH_SENT,   /* number of the micro-batch, amount: rows; moves */
    BATCH_BACK,   /* number of the micro-batch */
    PICTURE_SENT, /* number of the picture, amount: worker of the plan it goes to */
    PICTURE_BACK, /* number of the picture */
    EPOCH_BEGAN,  /* all begin again */
};

struct happened_rows { /* of one ask in a micro-batch */
    uint64_t number;
    uint32_t position, rows, guesses; /* guesses: the last of the rows, which may not stay */
};

struct happened {
    enum happening what;
    int replica; /* of whose engine it is told, from 0; numbers of micro-batches are its own */
    uint64_t at_ns, number;
    uint64_t asked_ns, first_ns; /* of ASK_…: when it came; when its first token did, 0: not yet */
    uint32_t asked_rows, reused_rows; /* of ASK_…: of its prompt; of these, what a slot held already */
    uint32_t amount;
    const struct picture_span *spans; /* [n] of ASK_CAME */
    const struct happened_rows *rows; /* [n] of BATCH_SENT */
    size_t n;
};

/* May not wait, and may not call the engine. */
typedef void watcher(void *user, const struct happened *what);

#define WATCHERS_MOST 8

struct watchers {
    watcher *watch[WATCHERS_MOST];
    void *user[WATCHERS_MOST];
    int n, replica;
};

static inline void tell_watchers(const struct watchers *w, const struct happened *what)
{
    struct happened here = *what;
    here.replica = w->replica;
    for (int i = 0; i < w->n; i++) w->watch[i](w->user[i], &here);
}
