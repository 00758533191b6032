/* tests/fuzz/keys_fuzz.c — any bytes at all as a list of keys, and as a secret key. */
#include "transport/links/keys.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* The bytes stand at the end of their memory, so that a sanitizer sees who looks behind them. */
static bool look(const uint8_t *bytes, size_t n)
{
    struct key_list list;
    uint8_t secret[KEY_BYTES], again[KEY_BYTES];
    char hex[KEY_TEXT], *text = malloc(n ? n : 1);
    if (!text) return false;
    memcpy(text, bytes, n);
    const bool listed = !key_list_parse(&list, text, n, "trusted", NULL), kept = !key_secret_parse(secret, text, n, "id.key", NULL);
    for (int i = 0; listed && i < list.n; i++) {
        const size_t name = strnlen(list.at[i].name, KEY_NAME);
        if (!name || name == KEY_NAME || !key_read(again, key_text(hex, list.at[i].key)) || memcmp(again, list.at[i].key, KEY_BYTES)) abort();
    }
    if (kept && listed && list.n) abort(); /* what one of them is the other is not */
    free(list.at);
    free(text);
    return listed || kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
