/* partition/model/weights.h — the model as named, checked tensors, and a worker's part of them.
 *
 * Every tensor of the architecture has a role. Its shape follows from the config, so a file, or the wire, only says
 * the number format. A model file must hold exactly the architecture's tensors: one missing, one unknown or one of
 * another shape is refused. */
#pragma once

#include "base/hash.h"
#include "partition/format/blocks.h"
#include "partition/model/part.h"
#include "partition/model/config.h"

enum role {
    W_ATTN_NORM, W_Q, W_K, W_V, W_Q_NORM, W_K_NORM, W_O, W_ATTN_POST_NORM, W_FFN_NORM, W_GATE, W_UP, W_DOWN,
    W_FFN_POST_NORM,
    W_LAYER_ROLES, /* the roles above stand once per layer, in this order */
    W_OUTPUT_NORM = W_LAYER_ROLES,
    W_HEAD, /* output.weight if the file has one, else token_embd.weight */
    W_ROLES
};

struct gguf;

/* A whole model. Where there is no file its tensors have shapes and types, but no data. */
struct model {
    struct gguf *file;
    struct model_config config;
    struct tensor embedding;     /* [vocab, hidden], read row by row by the coordinator only */
    struct tensor *layer_tensors; /* [layers * W_LAYER_ROLES] */
    struct tensor output_norm, head;
    struct hash128 fingerprint;
};

/* The head is cut by words, its rows, into parts of equal size (the last may be shorter): a part's sums are the same
 * whoever makes them. Multiples of 16 rows, so that no panel is cut. */
#define HEAD_PARTS 16
static inline uint32_t head_part_words(uint32_t vocab)
{
    return ((vocab - 1) / HEAD_PARTS / 16 + 1) * 16;
}
/* The first word of a part; of part HEAD_PARTS the end of the vocabulary. */
static inline uint32_t head_word(uint32_t vocab, uint32_t part)
{
    const uint64_t word = (uint64_t)part * head_part_words(vocab);
    return word < vocab ? (uint32_t)word : vocab;
}

static inline bool part_has_head(struct part s)
{
    return part_has_back(s);
}

static inline bool part_has_whole_head(struct part s)
{
    return s.back == 0 && s.back_end == HEAD_PARTS;
}

/* The first of its words, and how many. */
static inline uint32_t part_first_word(const struct model_config *c, struct part s)
{
    return head_word(c->vocab, s.back);
}
static inline uint32_t part_words(const struct model_config *c, struct part s)
{
    return head_word(c->vocab, s.back_end) - head_word(c->vocab, s.back);
}

/* How many of its parts have words. */
static inline uint32_t part_head_parts(const struct model_config *c, struct part s)
{
    return part_has_head(s) ? (part_words(c, s) - 1) / head_part_words(c->vocab) + 1 : 0;
}

/* False for a part that cannot be: it has nothing, too much, or sixteenths of the head without words. */
static inline bool text_part_possible(const struct model_config *c, struct part s)
{
    const bool layers = s.first <= s.end && s.end <= c->layers;
    const bool parts = s.back <= s.back_end && s.back_end <= HEAD_PARTS;
    return layers && parts && (s.first < s.end || part_has_head(s)) && (!part_has_head(s) || part_words(c, s) > 0);
}

struct tensor text_tensor(const struct model_config *c, enum role role, uint32_t layer); /* no type but a norm's, no data */
void text_part_shape(const struct model_config *c, struct part s, struct tensor *out); /* role, layer, rows, cols; no type, no data */
/* A description that came from the wire: roles and shapes must be the part's own, types ones that we read. E_WIRE. */
int text_part_check(const struct model_config *c, struct part s, const struct tensor *tensors, struct err *why);
void text_part_tensors(const struct model *m, struct part s, struct tensor *out);      /* the whole description, with data */

const char *role_name(enum role role); /* "attn_q" as in the file's tensor names */
/* As in a file: "blk.3.attn_q.weight"; of the head "output.weight", though a tied head is found as token_embd.weight. */
#define ROLE_NAME_ROOM 80
void role_tensor_name(char out[ROLE_NAME_ROOM], enum role role, uint32_t layer);
bool role_is_norm(enum role role);     /* always F32, one row */
