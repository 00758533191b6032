/* tests/fuzz/schema_fuzz.c — any bytes at all as a schema, and behind a NUL which words an answer to it takes: what may be said is JSON. */
#include "coordinator/schema/mask.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define SAID_MOST 4000

/* A small vocabulary: every byte by itself, and some words that JSON is full of. The first ends an answer. */
static struct word_list *words_of(uint32_t *words)
{
    static const char *const more[] = {"true", "false", "null", "\":", "\",\"", "{\"", "[[", "]}", "12", "\\u00", "\xc3\xa9", "\\\"", "    "};
    static char text[256][8];
    static struct gguf_string piece[256 + 1 + sizeof more / sizeof *more];
    static int32_t type[sizeof piece / sizeof *piece];
    const uint32_t all = sizeof piece / sizeof *piece;
    struct tokenizer *t;
    struct word_list *w;
    struct err why;
    const int32_t ends[2] = {0, -1};
    piece[0] = (struct gguf_string){"<eos>", 5}, type[0] = 3;
    for (int b = 0; b < 256; b++) {
        snprintf(text[b], sizeof text[b], "<0x%02X>", (unsigned)b);
        piece[1 + b] = (struct gguf_string){text[b], 6}, type[1 + b] = 6;
    }
    for (uint32_t i = 257; i < all; i++) piece[i] = (struct gguf_string){more[i - 257], strlen(more[i - 257])}, type[i] = 1;
    static float score[sizeof piece / sizeof *piece];
    const struct piece_list list = {.name = "words", .n = all, .pieces = piece, .scores = score, .types = type};
    if (tokenizer_from_list(&t, &list, &why) || word_list_open(&w, t, all, ends, &why)) abort();
    *words = all;
    return w;
}

static bool may(const uint8_t *mask, uint32_t word)
{
    return mask[word / 8] >> word % 8 & 1;
}

/* Says words as the bytes choose, from those that may come, until the answer may end. */
static void walk(const struct schema *s, const uint8_t *choice, size_t n)
{
    static struct word_list *list;
    static uint32_t words;
    static struct automaton a;
    static char said[SAID_MOST + 64];
    uint8_t mask[64];
    size_t length = 0;
    if (!list) list = words_of(&words);
    automaton_begin(&a, s);
    for (size_t i = 0; i < n && length < SAID_MOST; i++) {
        if (!word_list_mask(list, &a, mask)) return;
        if (may(mask, 0) != automaton_may_end(&a)) abort();
        uint32_t word = choice[i] % words;
        for (uint32_t tried = 0; tried < words && (!word || !may(mask, word)); tried++) word = (word + 1) % words;
        if (!word || !may(mask, word)) break;
        size_t bytes;
        const uint8_t *text = word_bytes(list, word, &bytes);
        if (!automaton_word(&a, text, bytes)) abort(); /* the mask said it may */
        memcpy(said + length, text, bytes);
        length += bytes;
    }
    if (!automaton_may_end(&a)) return;
    struct json j;
    struct err why;
    json_begin(&j, said, length, "an answer", &why);
    if ((json_skip(&j) || json_finish(&j)) && !strstr(why.text, "deep")) abort();
    json_end(&j);
}

static bool look(const uint8_t *bytes, size_t n)
{
    const uint8_t *end = memchr(bytes, 0, n);
    const size_t length = end ? (size_t)(end - bytes) : n;
    struct schema *s;
    struct err why;
    char where[128];
    const int code = schema_make(&s, (const char *)bytes, length, where, &why);
    if (code == E_MEMORY || (!code && !s)) abort();
    if (code) return false;
    static const uint8_t usual[] = "{\"ab\": 1, [x] - 0.5e9 true}";
    if (end) walk(s, end + 1, n - length - 1);
    else walk(s, usual, sizeof usual);
    schema_free(&s);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
