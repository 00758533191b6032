/* partition/synth_words.h — the vocabulary of a synthetic model: invented, or taken from a file. */
#ifndef PARTITION_SYNTH_WORDS_H
#define PARTITION_SYNTH_WORDS_H

#include "partition/gguf_write.h"

/* The three arrays as they lie in a GGUF file, and the ids its metadata names. */
struct vocabulary {
    uint32_t count;
    struct bytes tokens; /* strings */
    struct bytes scores; /* f32 */
    struct bytes types;  /* i32 */
    uint32_t bos, eos, unknown, padding;
};

#define VOCABULARY_LEAST 362    /* specials, bytes, turns, printable characters */
#define VOCABULARY_FULL 262144  /* from here on the published layout */

/* `count` tokens, no two alike. */
int vocabulary_invent(struct vocabulary *v, uint32_t count, struct err *why);
/* All tokens of the GGUF file at `path`. */
int vocabulary_copy(struct vocabulary *v, const char *path, struct err *why);
void vocabulary_free(struct vocabulary *v);

#endif
