/* coordinator/batch/logprobs.h — the tokens of an answer with their log-probabilities, and as OpenAI's two interfaces write them. */
#pragma once

#include "coordinator/text/tokenizer.h"
#include "transport/wire/wire.h"

#include <stdio.h>

struct logprobs_token {
    size_t at; /* in the bytes of the answer */
    struct alternative self, top[WIRE_ALTERNATIVES];
    uint32_t n_top;
};

/* {0} to begin with; logprobs_free. */
struct logprobs {
    struct logprobs_token *token; /* [n] */
    size_t n, room;
};

int logprobs_add(struct logprobs *l, const struct token *t, size_t at, struct err *why);
void logprobs_free(struct logprobs *l);

/* {"content": …} of a chat, or the lists of a completion. text[0..n) is the answer; cut: a stop text ended it, and tokens that begin
 * behind its end are left out. */
void logprobs_print(FILE *to, const struct logprobs *l, const struct tokenizer *tokens, bool chat, const char *text, size_t n, bool cut);
