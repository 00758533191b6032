/* partition/model/gemma_ids.h — where the ids of Gemma 3's published vocabulary change their nature: docs/MODEL.md, "Tokenizer".
 *
 * One home for all who must know: readers of vocabularies, the tokenizer, the sampler, makers of synthetic models. */
#pragma once

enum {
    GEMMA_PAD = 0,
    GEMMA_EOS = 1,
    GEMMA_BOS = 2,
    GEMMA_UNKNOWN = 3,
    GEMMA_MASK = 4,
    GEMMA_MULTIMODAL = 5,
    GEMMA_START_OF_TURN = 105,
    GEMMA_END_OF_TURN = 106,
    GEMMA_NEWLINES = 107,   /* runs of 1..31 */
    GEMMA_SPACES = 138,     /* runs of 2..31 */
    GEMMA_TAGS = 168,       /* 70 of HTML */
    GEMMA_BYTES = 238,      /* 256 */
    GEMMA_LEARNED = 494,    /* in the order of merging */
    GEMMA_SINGLES = 236743, /* characters; not merged, so their scores say nothing */
    GEMMA_TABS = 255968,    /* runs of 1..31 */
    GEMMA_IMAGE_START = 255999,
    GEMMA_IMAGE_END = 256000,
    GEMMA_TOKENS = 262144,     /* learned and reserved; a vocabulary with as many or more has this layout */
    GEMMA_IMAGE_SOFT = 262144, /* the next one; what follows it is padding */
    GEMMA_LONGEST_RUN = 31,
};

/* No published text holds one. Whoever trains the model further may give them a meaning. */
static inline int gemma_is_reserved(unsigned id)
{
    return (id >= GEMMA_MASK && id < GEMMA_START_OF_TURN) || id > GEMMA_IMAGE_END;
}
