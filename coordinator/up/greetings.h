/* coordinator/up/greetings.h — which workers of a list answer, and what they say of themselves. They get no part, and are dismissed. */
#pragma once

#include "base/error.h"
#include "transport/wire/wire.h"

struct greeting {
    bool answered;
    struct hello hello; /* if so */
    char why[600]; /* if not */
};

/* out: [n]. Waits for all that answer within so many seconds. E_INTERRUPTED at Ctrl-C; who does not answer is no error. */
int greet_all(struct greeting *out, const char *const *addresses, const char *const *key_names, int n, int seconds, struct err *why);
