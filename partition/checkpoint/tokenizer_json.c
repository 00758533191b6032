/* partition/checkpoint/tokenizer_json.c — tokenizer.json: a table of ids, a list of merges, and added tokens.
 *
 * GGUF files rank merges by the score of the result, higher first; here the order of the list ranks them. A result's
 * score is minus its place among the results, in the order in which they first appear, which is how SentencePiece
 * numbers them too; pieces that no merge makes (single characters) follow in the order of their ids.
 *
 * The list may stand before the table it needs, so the file is walked twice. The real one has half a million merges and
 * is read in place; what is built is the token list and a table of hashes. */
#include "base/json.h"
#include "base/mapped.h"
#include "partition/checkpoint/added_tokens.h"
#include "partition/model/byte_token.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILE (512ull << 20)
#define NO_TOKEN UINT32_MAX

struct tokenizer_json {
    struct json j;
    struct token_list *out;
    uint32_t *slots; /* id by text, open addressing */
    uint32_t mask;
    uint32_t ranked; /* results that have a score */
    uint8_t *has_rank;
    bool second; /* the walk that reads the merges */
    char unknown_text[64];
};

static const char *text_of(const struct tokenizer_json *t, uint32_t id)
{
    return t->out->text + t->out->token[id].start;
}

/* ---- ids by text ---- */

static uint32_t *slot_of(const struct tokenizer_json *t, const char *text, size_t n)
{
    uint32_t at = (uint32_t)hash64(text, n) & t->mask;
    for (;; at = (at + 1) & t->mask) {
        uint32_t id = t->slots[at];
        if (id == NO_TOKEN || (t->out->token[id].n == n && !memcmp(text_of(t, id), text, n))) return &t->slots[at];
    }
}

static int index_texts(struct tokenizer_json *t)
{
    uint32_t size = 16;
    while (size < t->out->n * 2) size *= 2;
    t->slots = malloc(size * sizeof *t->slots);
    t->has_rank = calloc(t->out->n + 1, 1);
    if (!t->slots || !t->has_rank) return fail(t->j.why, E_MEMORY, "no memory for the tokens of %s", t->j.from);
    memset(t->slots, 0xff, size * sizeof *t->slots);
    t->mask = size - 1;
    for (uint32_t id = 0; id < t->out->n; id++) {
        if (t->out->token[id].n == TOKEN_ABSENT) continue;
        uint32_t *slot = slot_of(t, text_of(t, id), t->out->token[id].n);
        if (*slot == NO_TOKEN) *slot = id;
    }
    return 0;
}

/* ---- model.vocab ---- */

static int read_vocab(struct tokenizer_json *t)
{
    struct json *j = &t->j;
    struct json_text text;
    uint32_t id = 0;
    TRY(json_object(j));
    while (json_key(j, &text)) { /* the text lives in the file or the scratch; reading a number leaves both alone */
        TRY(json_u32(j, 0, TOKENS_MOST - 1, &id));
        TRY(tokens_set(t->out, id, text.text, text.n, 0, TOKEN_NORMAL, j->from, j->why));
        t->out->token[id].source = SOURCE_VOCABULARY;
    }
    return json_done(j);
}

/* ---- model.merges ---- */

/* The two parts of a merge as one text: ["a", "b"] or "a b". */
static int read_merge(struct json *j, char out[2 * TOKEN_BYTES_MOST], size_t *n)
{
    struct json_text part;
    int parts = 0;
    *n = 0;
    if (json_peek(j) != JSON_ARRAY) {
        TRY(json_string(j, &part));
        const char *gap = memchr(part.text, ' ', part.n);
        if (!gap || part.n > 2 * TOKEN_BYTES_MOST) return json_fail(j, "a merge is not two pieces");
        size_t left = (size_t)(gap - part.text);
        memcpy(out, part.text, left);
        memcpy(out + left, gap + 1, part.n - left - 1);
        *n = part.n - 1;
        return 0;
    }
    TRY(json_array(j));
    while (json_item(j)) {
        TRY(json_string(j, &part));
        if (++parts > 2 || part.n > TOKEN_BYTES_MOST) return json_fail(j, "a merge is not two pieces");
        memcpy(out + *n, part.text, part.n);
        *n += part.n;
    }
    TRY(json_done(j));
    return parts == 2 ? 0 : json_fail(j, "a merge is not two pieces");
}

static int read_merges(struct tokenizer_json *t)
{
    struct json *j = &t->j;
    char text[2 * TOKEN_BYTES_MOST], shown[64];
    size_t n = 0;
    TRY(json_array(j));
    while (json_item(j)) {
        TRY(read_merge(j, text, &n));
        uint32_t id = *slot_of(t, text, n);
        if (id == NO_TOKEN)
            return json_fail(j, "a merge makes \"%s\": no token",
                             json_plain(shown, (struct json_text){text, n}));
        if (t->has_rank[id] || t->out->token[id].type != TOKEN_NORMAL) continue;
        t->has_rank[id] = 1;
        t->out->token[id].score = -(float)t->ranked++;
    }
    return json_done(j);
}

/* ---- added_tokens ---- */

static int read_added_tokens(struct tokenizer_json *t)
{
    return added_tokens_list(&t->j, t->out);
}

/* ---- the file ---- */

static int read_model_type(struct json *j)
{
    struct json_text type;
    char shown[64];
    TRY(json_string(j, &type));
    return json_is(type, "BPE") ? 0 : json_fail(j, "the model is \"%s\", wanted BPE", json_plain(shown, type));
}

static int read_unknown(struct tokenizer_json *t)
{
    struct json_text text;
    if (json_peek(&t->j) == JSON_NULL) return json_skip(&t->j);
    TRY(json_string(&t->j, &text));
    if (text.n < sizeof t->unknown_text) {
        memcpy(t->unknown_text, text.text, text.n);
        t->unknown_text[text.n] = 0;
    }
    return 0;
}

static int read_model(struct tokenizer_json *t)
{
    struct json *j = &t->j;
    struct json_text key;
    int vocabs = 0, merges = 0;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        bool vocab = json_is(key, "vocab"), merge = json_is(key, "merges");
        if ((vocab && vocabs++) || (merge && merges++)) return json_fail(j, "the model has a part twice");
        if (json_is(key, "type")) TRY(read_model_type(j));
        else if (json_is(key, "unk_token")) TRY(read_unknown(t));
        else if (vocab && !t->second) TRY(read_vocab(t));
        else if (merge && t->second) TRY(read_merges(t));
        else TRY(json_skip(j));
    }
    TRY(json_done(j));
    return vocabs && merges ? 0 : json_fail(j, "the model lacks its vocab or its merges");
}

/* The first walk reads the vocabulary, the second the merges; added tokens come in between, from `added`. */
static int walk(struct tokenizer_json *t, const char *part, int (*read)(struct tokenizer_json *))
{
    struct json *j = &t->j;
    struct json_text key;
    int parts = 0;
    json_end(j);
    json_begin(j, j->begin, (size_t)(j->end - j->begin), j->from, j->why);
    TRY(json_object(j));
    while (json_key(j, &key)) {
        bool here = json_is(key, part);
        if (here && parts++) return json_fail(j, "\"%s\" stands there twice", part);
        TRY(here && json_peek(j) != JSON_NULL ? read(t) : json_skip(j));
    }
    TRY(json_done(j));
    TRY(json_finish(j));
    return parts || read == read_added_tokens ? 0 : json_fail(j, "there is no \"%s\"", part);
}

static void type_tokens(struct tokenizer_json *t)
{
    for (uint32_t id = 0; id < t->out->n; id++) {
        struct token_entry *token = &t->out->token[id];
        if (token->n == TOKEN_ABSENT) continue;
        if (token->type == TOKEN_NORMAL && byte_token(text_of(t, id), token->n) >= 0) token->type = TOKEN_BYTE;
        if (*t->unknown_text && token_is(t->out, id, t->unknown_text)) token->type = TOKEN_UNKNOWN;
    }
}

static void rank_the_rest(struct tokenizer_json *t)
{
    for (uint32_t id = 0; id < t->out->n; id++) {
        struct token_entry *token = &t->out->token[id];
        if (token->n == TOKEN_ABSENT || token->type != TOKEN_NORMAL || t->has_rank[id]) continue;
        token->score = -(float)t->ranked++;
    }
}

static int read_all(struct tokenizer_json *t)
{
    TRY(walk(t, "model", read_model));
    TRY(walk(t, "added_tokens", read_added_tokens));
    if (!t->out->n) return fail(t->j.why, E_FILE, "%s has no tokens", t->j.from);
    type_tokens(t);
    TRY(index_texts(t));
    t->second = true;
    TRY(walk(t, "model", read_model));
    rank_the_rest(t);
    return 0;
}

int tokens_parse_json(struct token_list *out, const char *text, size_t n, const char *from, struct err *why)
{
    struct tokenizer_json t = {.out = out};
    *out = (struct token_list){0};
    json_begin(&t.j, text, n, from, why);
    int code = read_all(&t);
    json_end(&t.j);
    free(t.slots);
    free(t.has_rank);
    if (code) tokens_free(out);
    return code;
}

int tokens_from_json(struct token_list *out, const char *path, struct err *why)
{
    struct mapped m;
    *out = (struct token_list){0};
    TRY(mapped_open(&m, path, MAX_FILE, why));
    int code = tokens_parse_json(out, (const char *)m.data, m.bytes, path, why);
    mapped_close(&m);
    return code;
}
