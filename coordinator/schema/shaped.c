/* coordinator/schema/shaped.c — see shaped.h. */
#include "coordinator/schema/shaped.h"

#include <stdlib.h>

struct shaped {
    const struct word_list *words;
    struct automaton at;
    bool known; /* the mask is of where it stands */
    uint8_t mask[];
};

void shaped_words_close(struct shaped_words *w)
{
    word_list_close(&w->list);
}

int shaped_open(struct shaped **out, const struct schema *s, struct shaped_words *w, struct err *why)
{
    *out = NULL;
    if (!w->list) TRY(word_list_open(&w->list, w->tokens, w->words, w->ends, why));
    struct shaped *h = *out = malloc(sizeof *h + ((size_t)w->words + 31) / 32 * 4);
    if (!h) return fail(why, E_MEMORY, "no memory to hold an answer to a schema");
    h->words = w->list;
    h->known = false;
    automaton_begin(&h->at, s);
    return 0;
}

void shaped_close(struct shaped **h)
{
    free(*h);
    *h = NULL;
}

int shaped_say(struct shaped *h, uint32_t id, struct err *why)
{
    size_t n;
    const uint8_t *bytes = word_bytes(h->words, id, &n);
    h->known = false;
    return !n || automaton_word(&h->at, bytes, n) ? 0 : fail(why, E_INTERNAL, "word %u was said where its schema does not allow it", id);
}

const uint8_t *shaped_mask(struct shaped *h)
{
    if (!h->known) word_list_mask(h->words, &h->at, h->mask);
    h->known = true;
    return h->mask;
}
