/* coordinator/cmd/line_reader.h — lines from a standard input that is no terminal, and what is common to all ways of typing. */
#pragma once

#include "base/error.h"

#include <stddef.h>

#define LINE_MOST (1u << 20) /* bytes of a question */

enum typed_what {
    TYPED_TEXT,
    TYPED_TOO_LONG, /* more than LINE_MOST: it was passed over */
    TYPED_NOTHING,  /* begun and given up */
    TYPED_END,
};

struct typed {
    enum typed_what what;
    const char *text; /* [n] of TYPED_TEXT, without the end of the line; stands until the next is read. May hold zeros */
    size_t n;
};

/* What has to be done a few times a second while somebody thinks. */
struct idle {
    int (*turn)(void *user, struct err *why);
    void *user;
};

/* Until standard input has something, or has ended. *ready: it has; else a signal came between. */
int stdin_wait(const struct idle *idle, int *ready, struct err *why);

struct line_reader;

int line_reader_open(struct line_reader **out, struct err *why);
void line_reader_close(struct line_reader **r);
int line_reader_next(struct line_reader *r, const struct idle *idle, struct typed *out, struct err *why);
