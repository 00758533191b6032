/* coordinator/text/utf8.h — characters in bytes: a text without white space around it, and a stream of pieces put back together. */
#pragma once

#include "base/utf8_read.h"

/* The text without white space at both ends, as Python's str.strip() and so the chat template's `trim` sees it. */
void utf8_trim(const char **text, size_t *n);

/* Streaming: bytes of an id go in, whole UTF-8 characters come out; an unfinished tail is held back. Broken sequences
 * come out as U+FFFD, one per byte that is part of no character. (The published decoder gives up a whole run of byte
 * tokens when one of them is wrong; a stream cannot, as it has already shown the good ones.) Starts as {0}. */
struct utf8_stream {
    char held[8];
    size_t n_held;
};
size_t utf8_stream_push(struct utf8_stream *s, const char *bytes, size_t n, char *out); /* out: room for 3 * (n + 4) */
size_t utf8_stream_end(struct utf8_stream *s, char *out);                               /* out: room for 12 */
