/* tests/fuzz/tokenizer_model_fuzz.c — any bytes at all as a tokenizer.model, read and fitted to a few embeddings. */
#include "partition/checkpoint/tokens.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static bool look(const uint8_t *bytes, size_t n)
{
    struct token_list l;
    uint32_t example = 0;
    if (tokens_parse_model(&l, bytes, n, "tokenizer.model", NULL)) return false;
    if (tokens_find(&l, "<bos>") >= (int64_t)l.n) abort();
    if (!tokens_settle(&l, l.n + 3, "tokenizer.model", NULL) && tokens_wrong_types(&l, &example) > l.n) abort();
    tokens_free(&l);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
