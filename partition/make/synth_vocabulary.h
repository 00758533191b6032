/* partition/make/synth_vocabulary.h — the vocabulary of a synthetic model: invented, or taken from a file. */
#pragma once

#include "partition/model/gemma_ids.h"
#include "partition/file/gguf_write.h"

/* The three arrays as they lie in a GGUF file, and the ids its metadata names. */
struct wordlist {
    uint32_t count;
    struct bytes tokens; /* strings */
    struct bytes scores; /* f32 */
    struct bytes types;  /* i32 */
    uint32_t bos, eos, unknown, padding;
};

#define WORDLIST_LEAST 362    /* specials, bytes, turns, printable characters */

/* `count` tokens, no two alike. */
int wordlist_invent(struct wordlist *v, uint32_t count, struct err *why);
/* All tokens of the GGUF file at `path`. */
int wordlist_copy(struct wordlist *v, const char *path, struct err *why);
void wordlist_free(struct wordlist *v);
