/* partition/checkpoint/tokens.c — see tokens.h; docs/MODEL.md, "Tokenizer", has the ranges. */
#include "partition/checkpoint/tokens.h"

#include "base/little_endian.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE_MARK "\xe2\x96\x81" /* U+2581, which stands for a space */

#define ADDED_SCORE (-1000.0f)
#define PADDING_SCORE (-10000.0f)

/* ---- growing ---- */

static int grow(struct token_list *l, uint32_t n, const char *from, struct err *why)
{
    if (n > TOKENS_MOST) return fail(why, E_FILE, "%s has token %u; %u are the most", from, n - 1, TOKENS_MOST);
    if (n > l->room) {
        uint32_t room = n + l->room / 2 + 1024;
        struct token_entry *grown = realloc(l->token, room * sizeof *grown);
        if (!grown) return fail(why, E_MEMORY, "no memory for the %u tokens of %s", n, from);
        l->token = grown, l->room = room;
    }
    for (; l->n < n; l->n++) l->token[l->n] = (struct token_entry){.n = TOKEN_ABSENT};
    return 0;
}

static int put_text(struct token_list *l, struct token_entry *t, const char *text, size_t n, const char *from,
                    struct err *why)
{
    if (n > TOKEN_BYTES_MOST)
        return fail(why, E_FILE, "%s has a token of %zu bytes; %d are the most", from, n, TOKEN_BYTES_MOST);
    if (l->text_n + n > UINT32_MAX) return fail(why, E_FILE, "%s has tokens of 4 GiB together", from);
    if (!l->text || l->text_n + n > l->text_room) { /* texts may be empty; where they are may not be nowhere */
        size_t room = l->text_room + l->text_room / 2 + n + 4096;
        char *grown = realloc(l->text, room);
        if (!grown) return fail(why, E_MEMORY, "no memory for the tokens of %s", from);
        l->text = grown, l->text_room = room;
    }
    memcpy(l->text + l->text_n, text, n);
    t->start = (uint32_t)l->text_n;
    t->n = (uint32_t)n;
    l->text_n += n;
    return 0;
}

int tokens_set(struct token_list *l, uint32_t id, const char *text, size_t n, float score, int32_t type,
               const char *from, struct err *why)
{
    if (id >= TOKENS_MOST) return fail(why, E_FILE, "%s has token %u; %u are the most", from, id, TOKENS_MOST);
    if (id >= l->n) TRY(grow(l, id + 1, from, why));
    struct token_entry *t = &l->token[id];
    if (t->n != TOKEN_ABSENT) return fail(why, E_FILE, "%s has two tokens of id %u", from, id);
    TRY(put_text(l, t, text, n, from, why));
    t->score = score;
    t->type = type;
    t->source = SOURCE_MODEL;
    return 0;
}

int tokens_add(struct token_list *l, const char *text, size_t n, float score, int32_t type, const char *from,
               struct err *why)
{
    return tokens_set(l, l->n, text, n, score, type, from, why);
}

int tokens_name(struct token_list *l, uint32_t id, const char *text, size_t n, enum token_type type, enum token_source source,
                const char *from, struct err *why)
{
    bool there = id < l->n && l->token[id].n != TOKEN_ABSENT;
    bool same = there && l->token[id].n == n && !memcmp(l->text + l->token[id].start, text, n);
    uint8_t before = there ? l->token[id].source : SOURCE_MODEL;
    if (there && !same && before == source) return fail(why, E_FILE, "%s has two tokens of id %u", from, id);
    if (!same) {
        uint32_t *count = !there ? &l->changes.added : before < source ? &l->changes.renamed : &l->changes.overruled;
        ++*count;
        l->changes.example = id;
    }
    if (before > source) return 0;
    if (there && !same) l->token[id].n = TOKEN_ABSENT;
    if (!same) TRY(tokens_set(l, id, text, n, 0, (int32_t)type, from, why));
    l->token[id].type = (int32_t)type;
    l->token[id].source = source;
    return 0;
}

void tokens_free(struct token_list *l)
{
    free(l->token);
    free(l->text);
    *l = (struct token_list){0};
}

/* ---- looking ---- */

bool token_is(const struct token_list *l, uint32_t id, const char *text)
{
    size_t n = strlen(text);
    return id < l->n && l->token[id].n == n && !memcmp(l->text + l->token[id].start, text, n);
}

int64_t tokens_find(const struct token_list *l, const char *text)
{
    for (uint32_t id = 0; id < l->n; id++)
        if (token_is(l, id, text)) return id;
    return -1;
}

/* In place; returns the new length, which is never more. */
static uint32_t spell_spaces(char *text, uint32_t bytes)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < bytes;) {
        bool mark = bytes - i >= 3 && !memcmp(text + i, SPACE_MARK, 3);
        text[n++] = mark ? ' ' : text[i];
        i += mark ? 3 : 1;
    }
    return n;
}

static uint32_t spelled_out(const struct token_list *l, uint32_t id, char out[TOKEN_BYTES_MOST])
{
    if (id >= l->n || l->token[id].n == TOKEN_ABSENT) return TOKEN_ABSENT;
    memcpy(out, l->text + l->token[id].start, l->token[id].n);
    return spell_spaces(out, l->token[id].n);
}

bool tokens_same_text(const struct token_list *a, const struct token_list *b, uint32_t id)
{
    char one[TOKEN_BYTES_MOST], other[TOKEN_BYTES_MOST];
    uint32_t n = spelled_out(a, id, one);
    return n == spelled_out(b, id, other) && (n == TOKEN_ABSENT || !memcmp(one, other, n));
}

bool tokens_are_gemma(const struct token_list *l)
{
    return l->n >= GEMMA_TOKENS && token_is(l, 0, "<pad>") && token_is(l, GEMMA_START_OF_TURN, "<start_of_turn>") &&
           token_is(l, GEMMA_END_OF_TURN, "<end_of_turn>") && token_is(l, GEMMA_NEWLINES, "\n") && token_is(l, GEMMA_BYTES, "<0x00>") &&
           token_is(l, GEMMA_IMAGE_START, "<start_of_image>");
}

int32_t gemma_token_type(uint32_t id)
{
    if (id == GEMMA_MULTIMODAL) return TOKEN_USER;
    if (id < GEMMA_NEWLINES) return TOKEN_CONTROL;
    if (id < GEMMA_BYTES) return TOKEN_USER;
    if (id < GEMMA_LEARNED) return TOKEN_BYTE;
    if (id < GEMMA_TABS) return TOKEN_NORMAL;
    if (id < GEMMA_IMAGE_START) return TOKEN_USER;
    return id <= GEMMA_IMAGE_SOFT ? TOKEN_CONTROL : TOKEN_UNUSED;
}

/* Reserved tokens may be called control or unused; no text ever holds one. */
static bool same_nature(uint32_t id, int32_t type)
{
    int32_t wanted = gemma_token_type(id);
    return type == wanted || gemma_is_reserved(id) || (id == GEMMA_UNKNOWN && type == TOKEN_UNKNOWN);
}

uint32_t tokens_wrong_types(const struct token_list *l, uint32_t *example)
{
    uint32_t wrong = 0;
    if (!tokens_are_gemma(l)) return 0;
    for (uint32_t id = l->n; id-- > 0;)
        if (!same_nature(id, l->token[id].type)) wrong++, *example = id;
    return wrong;
}

uint32_t tokens_rising_scores(const struct token_list *l)
{
    uint32_t rising = 0;
    if (!tokens_are_gemma(l)) return 0;
    for (uint32_t id = GEMMA_LEARNED + 1; id < GEMMA_SINGLES; id++) rising += l->token[id].score > l->token[id - 1].score;
    return rising;
}

/* ---- settling ---- */

static bool is_added(uint32_t id)
{
    return id < GEMMA_BYTES || id >= GEMMA_TABS;
}

/* Reserved for whoever trains the model further, and taken: a text of their own, as an added token. */
static bool is_their_own(const struct token_list *l, uint32_t id)
{
    const struct token_entry *t = &l->token[id];
    bool published = (t->n >= 7 && !memcmp(l->text + t->start, "<unused", 7)) || token_is(l, id, "<mask>") ||
                     token_is(l, id, "[multimodal]") || token_is(l, id, "<image_soft_token>");
    return gemma_is_reserved(id) && !published && (t->type == TOKEN_USER || t->type == TOKEN_CONTROL);
}

/* User-defined tokens are matched in raw text, so their spaces are spaces. */
static void settle_gemma(struct token_list *l)
{
    for (uint32_t id = 0; id < l->n; id++) {
        struct token_entry *t = &l->token[id];
        bool own = is_their_own(l, id);
        if (!own) t->type = gemma_token_type(id);
        if (own || (is_added(id) && id <= GEMMA_IMAGE_SOFT)) t->score = ADDED_SCORE;
        if (t->type == TOKEN_USER) t->n = spell_spaces(l->text + t->start, t->n);
    }
}

static int pad(struct token_list *l, bool gemma, const char *from, struct err *why)
{
    for (uint32_t id = 0; id < l->n; id++) {
        char text[24];
        if (l->token[id].n != TOKEN_ABSENT) continue;
        snprintf(text, sizeof text, "[PAD%u]", id);
        if (gemma && id == GEMMA_IMAGE_SOFT) snprintf(text, sizeof text, "<image_soft_token>");
        TRY(tokens_set(l, id, text, strlen(text), PADDING_SCORE, TOKEN_UNUSED, from, why));
    }
    return 0;
}

int tokens_settle(struct token_list *l, uint32_t rows, const char *from, struct err *why)
{
    bool gemma = tokens_are_gemma(l);
    /* tokenizer.json has the image's token also where the weights have no row for it. */
    if (gemma && l->n == rows + 1 && rows == GEMMA_IMAGE_SOFT) l->n--;
    if (l->n > rows) {
        uint32_t id = rows;
        while (l->token[id].n == TOKEN_ABSENT) id++; /* the last one is there: it made the list so long */
        return fail(why, E_FILE, "%s has %u tokens and the embeddings have %u rows: %u, \"%.*s\", has none; they do not belong together",
                    from, l->n, rows, id, (int)l->token[id].n, l->text + l->token[id].start);
    }
    TRY(grow(l, rows, from, why));
    TRY(pad(l, gemma, from, why));
    if (gemma) settle_gemma(l);
    return 0;
}

/* ---- GGUF ---- */

static int optional_list(const struct gguf *g, const char *key, uint32_t type, uint64_t n, const uint8_t **out,
                         struct err *why)
{
    struct gguf_array list;
    *out = NULL;
    if (!gguf_has(g, key)) return 0;
    TRY(gguf_list(g, key, &list, why));
    if (list.type != type || list.count != n)
        return fail(why, E_FILE, "%s: %s has %" PRIu64 " elements, wanted one for each of %" PRIu64 " tokens",
                    gguf_path(g, 0), key, list.count, n);
    *out = list.data;
    return 0;
}

static int read_gguf(struct token_list *out, const struct gguf *g, struct err *why)
{
    struct gguf_array texts;
    const uint8_t *scores, *types;
    TRY(gguf_list(g, "tokenizer.ggml.tokens", &texts, why));
    if (texts.type != GGUF_STRING)
        return fail(why, E_FILE, "%s: tokenizer.ggml.tokens is not a list of texts", gguf_path(g, 0));
    TRY(optional_list(g, "tokenizer.ggml.scores", GGUF_F32, texts.count, &scores, why));
    TRY(optional_list(g, "tokenizer.ggml.token_type", GGUF_I32, texts.count, &types, why));
    const uint8_t *cursor = texts.data;
    for (uint64_t i = 0; i < texts.count; i++) {
        struct gguf_string s = gguf_next_string(&cursor);
        uint32_t bits = scores ? (uint32_t)le_of(scores + 4 * i, 4) : 0;
        float score;
        memcpy(&score, &bits, 4);
        int32_t type = types ? (int32_t)le_of(types + 4 * i, 4) : TOKEN_NORMAL;
        TRY(tokens_add(out, s.text, s.n, score, type, gguf_path(g, 0), why));
    }
    return 0;
}

int tokens_from_gguf(struct token_list *out, const struct gguf *g, struct err *why)
{
    *out = (struct token_list){0};
    int code = read_gguf(out, g, why);
    if (code) tokens_free(out);
    return code;
}

void tokens_put(const struct token_list *l, struct gguf_out *o)
{
    struct bytes texts = {0}, scores = {0}, types = {0};
    for (uint32_t id = 0; id < l->n; id++) {
        const struct token_entry *t = &l->token[id];
        uint32_t bits;
        memcpy(&bits, &t->score, 4);
        bytes_put_text(&texts, l->text + t->start, t->n);
        bytes_put_le(&scores, bits, 4);
        bytes_put_le(&types, (uint32_t)t->type, 4);
    }
    gguf_put_array(o, "tokenizer.ggml.tokens", GGUF_STRING, l->n, &texts);
    gguf_put_array(o, "tokenizer.ggml.scores", GGUF_F32, l->n, &scores);
    gguf_put_array(o, "tokenizer.ggml.token_type", GGUF_I32, l->n, &types);
    bytes_free(&texts);
    bytes_free(&scores);
    bytes_free(&types);
}
