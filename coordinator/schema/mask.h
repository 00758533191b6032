/* coordinator/schema/mask.h — which words of the vocabulary may come next: a bit for each.
 *
 * A word may come if all of its bytes may, one after the other. Inside a text nearly every word may (99 of 100 have no quote, backslash
 * or control character), so these are looked up at once and only the rest is tried; elsewhere the words are tried in the order of their
 * bytes, and all that begin as one that failed are passed over. */
#pragma once

#include "coordinator/schema/automaton.h"
#include "coordinator/text/tokenizer.h"

struct word_list;

/* `words` of the tokenizer's vocabulary; `ends`: ids that end an answer, -1: none. */
int word_list_open(struct word_list **out, const struct tokenizer *t, uint32_t words, const int32_t ends[2], struct err *why);
void word_list_close(struct word_list **w);

/* mask: [(words + 31) / 32 * 4] bytes; word w is bit w % 8 of byte w / 8. False: no word may come, as where the vocabulary lacks a byte. */
bool word_list_mask(const struct word_list *w, const struct automaton *a, uint8_t *mask);

/* The bytes of one word; n 0: it has none that may be said. */
const uint8_t *word_bytes(const struct word_list *w, uint32_t id, size_t *n);
