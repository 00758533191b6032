/* coordinator/tokenizer.h — text to ids and back, from the vocabulary of the model file (docs/MODEL.md, "Tokenizer").
 *
 * Threads: read-only once open. Memory: about 30 MiB for the real vocabulary. */
#ifndef COORDINATOR_TOKENIZER_H
#define COORDINATOR_TOKENIZER_H

#include "base/error.h"
#include "partition/gguf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer;

struct specials { /* ids, -1 where the vocabulary has none */
    int32_t bos, eos, pad, unknown, start_of_turn, end_of_turn, start_of_image, end_of_image, image_soft;
};

int tokenizer_open(struct tokenizer **out, const struct gguf *g, uint32_t vocab, struct err *why);
void tokenizer_close(struct tokenizer **t);
struct specials tokenizer_specials(const struct tokenizer *t);
uint32_t tokenizer_size(const struct tokenizer *t);

/* A growing list of ids. Start with {0}; free with ids_free. */
struct ids {
    uint32_t *id;
    size_t n, capacity;
};
int ids_push(struct ids *ids, uint32_t id, struct err *why);
void ids_free(struct ids *ids);

/* Appends the ids of text[0..n). Newline and tab runs and HTML tags are always cut out whole; control tokens
 * (<start_of_turn>, <bos>, …) only if `trusted`: text from a user can never make one. Any bytes are fine: what is not
 * UTF-8 becomes byte tokens. No <bos> is added. E_MEMORY only. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, bool trusted, struct ids *out, struct err *why);

/* The bytes of one id into `out` (at most `room`); returns how many there are. Control tokens give none, unless
 * `show_control`. */
size_t tokenizer_piece(const struct tokenizer *t, uint32_t id, bool show_control, char *out, size_t room);
#define PIECE_MOST 256 /* no piece is longer */

/* Streaming: bytes of an id go in, whole UTF-8 characters come out; an unfinished tail is held back. Broken sequences come
 * out as U+FFFD, one per byte. */
struct utf8_stream {
    char held[8];
    size_t n_held;
};
size_t utf8_stream_push(struct utf8_stream *s, const char *bytes, size_t n, char *out); /* out: room for 3 * (n + 4) */
size_t utf8_stream_end(struct utf8_stream *s, char *out);                             /* out: room for 12 */

#endif
