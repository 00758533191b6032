/* coordinator/batch/answer_text.h — the tokens of one answer as text, and the end that a stop text puts to it.
 *
 * Stop texts are looked for in the bytes of the text, so one may begin in the middle of one token and end in that of another; of
 * several the one that begins first cuts, and nothing of it is kept. */
#pragma once

#include "coordinator/text/tokenizer.h"

/* Starts with the first three fields set and the rest {0}; answer_text_free. */
struct answer_text {
    const struct tokenizer *tokens;
    char *const *stop; /* [n_stops] */
    uint32_t n_stops;
    char *text; /* [n] UTF-8 */
    size_t n, room;
    bool stopped; /* nothing more is taken */
    struct utf8_stream utf8;
};

int answer_text_add(struct answer_text *a, uint32_t id, struct err *why);
int answer_text_end(struct answer_text *a, struct err *why); /* a character that was left unfinished */
void answer_text_free(struct answer_text *a);
