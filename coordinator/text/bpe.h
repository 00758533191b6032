/* coordinator/text/bpe.h — one stretch of text to ids: characters, merged pair by pair, best first.
 *
 * Only tokenizer.c calls this. */
#pragma once

#include "coordinator/text/vocabulary.h"

/* Memory to work in, used again for the next stretch. Starts as {0}; grows to what the longest one needs. */
struct bpe_scratch {
    char *text; /* the stretch with its spaces spelled SPACE_MARK */
    size_t text_room;
    struct symbol *symbols;
    struct pair *heap; /* of pairs that could merge */
    size_t symbols_room;
};
void bpe_scratch_free(struct bpe_scratch *s);

/* Appends the ids of a stretch that holds no text to be cut out. n <= BPE_MOST. */
int bpe_encode(const struct vocabulary *v, struct bpe_scratch *s, const char *text, size_t n, struct ids *out,
                  struct err *why);
#define BPE_MOST (1u << 30)
