/* coordinator/text/vocabulary.h — what the pieces of a vocabulary are, and finding one by its text.
 *
 * Only tokenizer.c and bpe.c look in here; everyone else sees tokenizer.h. Read-only once built. */
#pragma once

#include "coordinator/text/tokenizer.h"
#include "partition/model/gemma_ids.h"

#define NO_ID UINT32_MAX
#define SPACE_MARK "\xe2\x96\x81" /* U+2581, how a vocabulary spells the space */
#define SPACE_MARK_BYTES 3

enum piece_kind {
    PIECE_LEARNED,  /* made from characters and by merging */
    PIECE_CUT,      /* cut out of any text before merging: runs of newlines, HTML tags */
    PIECE_RESERVED, /* cut out of trusted text only, but shown when it comes */
    PIECE_CONTROL,  /* the same, and never shown */
    PIECE_BYTE,
};

struct cut_text {          /* a text that is cut out before merging */
    uint32_t start, bytes; /* in vocabulary.text */
    uint32_t id;
    bool trusted_only;
};

struct vocabulary {
    bool is_gemma;
    uint32_t rows;   /* of the embedding table */
    uint32_t pieces; /* rows, or one more for Gemma's <image_soft_token> */
    uint32_t *start; /* [pieces + 1], where each text begins in `text`; spaces are spelled SPACE_MARK */
    char *text;
    uint8_t *kind;  /* enum piece_kind */
    uint32_t *rank; /* of another vocabulary: 0 merges first, equal scores share one; NULL for Gemma's */

    struct slot *slots; /* hash table of pieces that characters and merges can make */
    uint32_t slot_mask;

    struct cut_text *cuts; /* sorted by text */
    uint32_t n_cuts;
    uint32_t cuts_from[257]; /* cuts that begin with byte b are cuts_from[b]..cuts_from[b + 1] - 1 */

    uint32_t byte_id[256];       /* NO_ID where there is none */
    bool holds_space_after[256]; /* some learned piece has a space inside, after a character that ends in this byte */
    struct specials specials;
};

/* Checks the list and builds everything; E_FILE with a sentence that names the id. */
int vocabulary_build(struct vocabulary *v, const struct piece_list *list, struct err *why);
void vocabulary_free(struct vocabulary *v);

/* True if these pieces are Gemma 3's: a few texts at fixed ids. */
bool vocabulary_is_gemma(const struct gguf_string *pieces, uint32_t n);

/* The learned piece with this text, or NO_ID. */
uint32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t n);

/* The longest text to cut out at the front of text[0..n), of which the first `trusted` bytes are trusted: its id, or
 * NO_ID. */
uint32_t vocabulary_cut(const struct vocabulary *v, const char *text, size_t n, size_t trusted, size_t *bytes);

static inline uint32_t piece_bytes(const struct vocabulary *v, uint32_t id)
{
    return v->start[id + 1] - v->start[id];
}

static inline const char *piece_text(const struct vocabulary *v, uint32_t id)
{
    return v->text + v->start[id];
}
