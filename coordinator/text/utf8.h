/* coordinator/text/utf8.h — characters in bytes: reading one, and putting a stream of pieces back together.
 *
 * Strict: overlong forms, surrogates and anything above U+10FFFF are not characters. */
#ifndef COORDINATOR_TEXT_UTF8_H
#define COORDINATOR_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes the character at s[0..n) takes, 1 to 4, and its code point; 0 if there is none. */
size_t utf8_read(const char *s, size_t n, uint32_t *code);

bool utf8_valid(const char *s, size_t n);

/* True if s[0..n) is the beginning of a character and nothing but its end is missing. */
bool utf8_unfinished(const char *s, size_t n);

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

#endif
