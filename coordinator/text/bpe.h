/* coordinator/text/bpe.h — one stretch of text to ids: characters, merged pair by pair, best first.
 *
 * Only tokenizer.c calls this. */
#ifndef COORDINATOR_TEXT_BPE_H
#define COORDINATOR_TEXT_BPE_H

#include "coordinator/text/vocabulary.h"

/* What a merge works in. Starts as {0}; grows to what the longest stretch needs; used again for the next. */
struct merge_scratch {
    char *text; /* the stretch with its spaces spelled SPACE_MARK */
    size_t text_room;
    struct symbol *symbols;
    struct candidate *heap;
    size_t symbols_room;
};
void merge_scratch_free(struct merge_scratch *s);

/* Appends the ids of a stretch that holds no text to be cut out. n <= MERGE_MOST. */
int merge_stretch(const struct vocabulary *v, struct merge_scratch *s, const char *text, size_t n, struct ids *out,
                  struct err *why);
#define MERGE_MOST (1u << 30)

#endif
