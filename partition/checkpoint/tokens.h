/* partition/checkpoint/tokens.h — a vocabulary as GGUF files keep it: text, score and type per token.
 *
 * Made from tokenizer.model, tokenizer.json or a GGUF file. Gemma 3's own vocabulary is known by a few of its tokens;
 * its types then follow from the ids, because sources disagree about them and some are wrong. */
#pragma once

#include "partition/model/gemma_ids.h"
#include "partition/file/gguf.h"
#include "partition/file/gguf_write.h"

#define TOKENS_MOST (1u << 20) /* an id in a small file must not ask for much memory */
#define TOKEN_BYTES_MOST 1024

enum token_type { TOKEN_NORMAL = 1, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER, TOKEN_UNUSED, TOKEN_BYTE };

/* Files of a folder that name tokens. A later one has more weight: docs/MODEL.md, "Checkpoints". */
enum token_source { SOURCE_MODEL, SOURCE_ADDED, SOURCE_CONFIG, SOURCE_VOCABULARY, SOURCE_TOKENIZER };

struct token_entry {
    uint32_t start, n; /* in `text`; n is TOKEN_ABSENT where an id has no token */
    float score;
    int32_t type;
    uint8_t source; /* enum token_source */
};
#define TOKEN_ABSENT UINT32_MAX

/* What tokens_name did: ids that had no token, ids whose token got another text, texts that did not prevail; and an id. */
struct token_changes {
    uint32_t added, renamed, overruled, example;
};

struct token_list {
    struct token_entry *token;
    uint32_t n, room;
    char *text;
    size_t text_n, text_room;
    struct token_changes changes;
};

/* At the end, and in place (the list grows to hold `id`; an id taken already is E_FILE). `from` names the source. */
int tokens_add(struct token_list *l, const char *text, size_t n, float score, int32_t type, const char *from,
               struct err *why);
int tokens_set(struct token_list *l, uint32_t id, const char *text, size_t n, float score, int32_t type,
               const char *from, struct err *why);
void tokens_free(struct token_list *l);

/* `source` calls the token `id` so. It prevails over sources of less weight; two texts from one source are E_FILE. */
int tokens_name(struct token_list *l, uint32_t id, const char *text, size_t n, enum token_type type, enum token_source source,
                const char *from, struct err *why);

/* tokenizer.ggml.tokens, scores and token_type; a missing list reads as 0 and normal. */
int tokens_from_gguf(struct token_list *out, const struct gguf *g, struct err *why);
int tokens_from_model(struct token_list *out, const char *path, struct err *why); /* SentencePiece protobuf */
int tokens_from_json(struct token_list *out, const char *path, struct err *why);  /* tokenizer.json */

/* The same of bytes already at hand. */
int tokens_parse_model(struct token_list *out, const uint8_t *bytes, size_t n, const char *from, struct err *why);
int tokens_parse_json(struct token_list *out, const char *text, size_t n, const char *from, struct err *why);

/* Makes the list one of exactly `rows` tokens, typed and scored as published GGUF files are: Gemma's ranges where it is
 * Gemma's vocabulary, but for tokens of one's own in its reserved ids; ids without a token become unused ones, [PAD7]. E_FILE if there are more tokens than rows. */
int tokens_settle(struct token_list *l, uint32_t rows, const char *from, struct err *why);

bool tokens_are_gemma(const struct token_list *l);
int32_t gemma_token_type(uint32_t id);
/* Of the ids that carry meaning: how many have another type than published, and one of them. */
uint32_t tokens_wrong_types(const struct token_list *l, uint32_t *example);
/* Learned pieces whose score is higher than that of the one before: priorities would be wrong. */
uint32_t tokens_rising_scores(const struct token_list *l);

/* Whether both have the same there, where a space may be spelled as itself; two ids without a token are the same. */
bool tokens_same_text(const struct token_list *a, const struct token_list *b, uint32_t id);

bool token_is(const struct token_list *l, uint32_t id, const char *text);
int64_t tokens_find(const struct token_list *l, const char *text); /* the first, or -1; walks the list */

void tokens_put(const struct token_list *l, struct gguf_out *o);
