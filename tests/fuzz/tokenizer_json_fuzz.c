/* tests/fuzz/tokenizer_json_fuzz.c — any bytes at all as a tokenizer.json, and as the files of added tokens
 * beside one, read and fitted to a few embeddings. */
#include "partition/checkpoint/added_tokens.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void look_beside(const uint8_t *bytes, size_t n, int (*read)(struct json *, struct token_list *))
{
    struct token_list l = {0};
    struct json j;
    json_begin(&j, (const char *)bytes, n, "beside", NULL);
    if (!read(&j, &l)) tokens_settle(&l, l.n + 3, "beside", NULL);
    json_end(&j);
    tokens_free(&l);
}

static bool look(const uint8_t *bytes, size_t n)
{
    struct token_list l;
    look_beside(bytes, n, added_tokens_config);
    look_beside(bytes, n, added_tokens_file);
    if (tokens_parse_json(&l, (const char *)bytes, n, "tokenizer.json", NULL)) return false;
    for (uint32_t id = 0; id < l.n; id++) {
        const struct token_entry *t = &l.token[id];
        if (t->n != TOKEN_ABSENT && (size_t)t->start + t->n > l.text_n) abort();
    }
    tokens_settle(&l, l.n + 3, "tokenizer.json", NULL);
    tokens_free(&l);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
