/* coordinator/schema/shaped.h — one answer, held to a schema: what was said so far, and which words may come next. */
#pragma once

#include "coordinator/schema/mask.h"

/* The vocabulary as masks want it, made when the first answer needs it. */
struct shaped_words {
    const struct tokenizer *tokens;
    uint32_t words;   /* of the model's vocabulary */
    int32_t ends[2];  /* ids that end an answer; -1: none */
    struct word_list *list; /* NULL at first; shaped_words_close */
};
void shaped_words_close(struct shaped_words *w);

struct shaped;

/* The schema and the words must stay as long as this. */
int shaped_open(struct shaped **out, const struct schema *s, struct shaped_words *w, struct err *why);
void shaped_close(struct shaped **h); /* NULL is fine */

/* A word that was said. E_INTERNAL: it may not follow. One that ends an answer may come when all is complete. */
int shaped_say(struct shaped *h, uint32_t id, struct err *why);

/* As struct listener's mask wants it; no bit set: nothing may follow. */
const uint8_t *shaped_mask(struct shaped *h);
