/* coordinator/text/tokenizer.h — text to ids and back, from the vocabulary of the model file (docs/MODEL.md, "Tokenizer").
 *
 * Two kinds of vocabulary are known. Gemma 3's own is recognised by a few texts at fixed ids; then the published id
 * ranges rule, because token types in real files are often wrong. Any other SentencePiece BPE vocabulary goes by its
 * scores and token types, and its specials by their texts.
 *
 * Threads: read-only once open, so any number may encode and decode.
 * Memory:  8 MiB for the real vocabulary, copied out of the file: the file may be closed. Encoding takes, while
 *          it runs, about 60 bytes per character of the longest stretch without a space, and copies texts of several
 *          parts once. A tokenizer outlives no call: nothing is cached. */
#pragma once

#include "base/error.h"
#include "coordinator/text/utf8.h"
#include "partition/file/gguf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer;

/* Ids, -1 where the vocabulary has none. With Gemma 3's vocabulary image_soft is always 262144, the mark for a row that
 * comes from a picture; smaller files have no row for it, so it may equal tokenizer_size: never look it up. */
struct specials {
    int32_t bos, eos, pad, unknown, start_of_turn, end_of_turn, start_of_image, end_of_image, image_soft;
};

/* `vocab` is the number of rows of the embedding table; the lists in the file must be as long. */
int tokenizer_open(struct tokenizer **out, const struct gguf *g, uint32_t vocab, struct err *why);

/* The same from arrays, which are copied. `scores` or `types` may be NULL where the kind of vocabulary does not need
 * them. `name` is the file's name for error sentences. */
struct piece_list {
    const char *name;
    uint32_t n;
    const struct gguf_string *pieces;
    const float *scores;
    const int32_t *types; /* 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte */
};
int tokenizer_from_list(struct tokenizer **out, const struct piece_list *list, struct err *why);

void tokenizer_close(struct tokenizer **t); /* sets *t to NULL; NULL is fine */
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
 * UTF-8 becomes byte tokens. No <bos> is added. E_MEMORY only, and then `out` is as it was. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, bool trusted, struct ids *out,
                     struct err *why);

/* The same for one text given in parts: ids are those of the whole, so a newline of a template and one of a user become
 * one token, but a control token is recognised only where every byte of it is in trusted parts. */
struct text_part {
    const char *text;
    size_t n;
    bool trusted;
};
int tokenizer_encode_parts(const struct tokenizer *t, const struct text_part *parts, size_t n_parts, struct ids *out,
                           struct err *why);

/* The first control token that the text would make if it were trusted, -1 if none. */
int32_t tokenizer_control_in(const struct tokenizer *t, const char *text, size_t n);

/* The bytes of one id into `out`, cut off at `room`; returns how many were written. Control tokens give none, unless
 * `show_control`; neither does an id that does not exist. */
size_t tokenizer_piece(const struct tokenizer *t, uint32_t id, bool show_control, char *out, size_t room);
#define PIECE_MOST 256 /* no piece is longer */
