/* partition/checkpoint/added_tokens.h — tokens that stand beside a vocabulary, in three files of three layouts.
 *
 *   tokenizer.json          "added_tokens": [{"id": 5, "content": "<x>", "special": true}, ...]
 *   tokenizer_config.json   "added_tokens_decoder": {"5": {"content": "<x>", "special": true}, ...}
 *   added_tokens.json       {"<x>": 5, ...}
 *
 * All go through tokens_name, so which file prevails is decided there. */
#pragma once

#include "base/json.h"
#include "partition/checkpoint/tokens.h"

/* The list of tokenizer.json, which comes next in `j`. */
int added_tokens_list(struct json *j, struct token_list *l);

/* A whole tokenizer_config.json, which may well name none, or a whole added_tokens.json. */
int added_tokens_config(struct json *j, struct token_list *l);
int added_tokens_file(struct json *j, struct token_list *l);
