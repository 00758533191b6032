/* coordinator/cmd/collect.h — a listener that gathers one answer. */
#pragma once

#include "coordinator/engine/ask.h"

struct collected {
    struct ids ids;     /* the tokens, the ending one left out; owned */
    struct ended ended; /* how FINISH_NOT: not yet */
    struct err why;     /* of FINISH_FAILED */
};

struct listener collect_into(struct collected *c); /* *c must stay until it has ended */
void collected_free(struct collected *c);
