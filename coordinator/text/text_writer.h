/* coordinator/text/text_writer.h — tokens -> text on a stream, whole characters only.
 *
 * Starts with the first three fields set and the rest {0}. The stream is the caller's; it is flushed after each token. */
#pragma once

#include "coordinator/text/tokenizer.h"

#include <stdbool.h>
#include <stdio.h>

struct writer {
    const struct tokenizer *tokens;
    FILE *to;
    bool one_line; /* newlines as \n, backslashes as \\, so that an answer is one line */
    struct utf8_stream utf8;
};

void writer_token(struct writer *w, uint32_t id);
void writer_end(struct writer *w); /* the held-back tail, if any; no newline */
