/* partition/checkpoint/added_tokens.c — see added_tokens.h. */
#include "partition/checkpoint/added_tokens.h"

#include <string.h>

struct added {
    bool special;
    uint32_t id;
    bool has_id, has_text;
    size_t n;
    char text[TOKEN_BYTES_MOST];
};

static int read_added(struct json *j, struct added *a)
{
    struct json_text key, text;
    a->special = a->has_text = false;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        a->has_id |= json_is(key, "id");
        if (json_is(key, "id")) TRY(json_u32(j, 0, TOKENS_MOST - 1, &a->id));
        else if (json_is(key, "special")) TRY(json_truth(j, &a->special));
        else if (json_is(key, "content")) {
            TRY(json_string(j, &text));
            if (text.n > sizeof a->text) return json_fail(j, "an added token of %zu bytes", text.n);
            memcpy(a->text, text.text, text.n);
            a->n = text.n;
            a->has_text = true;
        } else TRY(json_skip(j));
    }
    TRY(json_done(j));
    return a->has_id && a->has_text ? 0 : json_fail(j, "an added token lacks its id or its content");
}

static int name(struct json *j, struct token_list *l, const struct added *a, enum token_source source)
{
    return tokens_name(l, a->id, a->text, a->n, a->special ? TOKEN_CONTROL : TOKEN_USER, source, j->from, j->why);
}

int added_tokens_list(struct json *j, struct token_list *l)
{
    struct added a;
    TRY(json_array(j));
    while (json_item(j)) {
        a.has_id = false;
        TRY(read_added(j, &a));
        TRY(name(j, l, &a, SOURCE_TOKENIZER));
    }
    return json_done(j);
}

/* An id as the key of an object. */
static int read_id(struct json *j, struct json_text key, uint32_t *id)
{
    char shown[64];
    *id = 0;
    for (size_t i = 0; i < key.n; i++) {
        bool digit = key.text[i] >= '0' && key.text[i] <= '9';
        if (digit) *id = *id * 10 + (uint32_t)(key.text[i] - '0');
        if (!digit || *id >= TOKENS_MOST) key.n = 0;
    }
    return key.n ? 0 : json_fail(j, "\"%s\" is not the id of a token, 0 to %u", json_plain(shown, key), TOKENS_MOST - 1);
}

static int read_decoder(struct json *j, struct token_list *l)
{
    struct json_text key;
    struct added a;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        TRY(read_id(j, key, &a.id));
        a.has_id = true;
        TRY(read_added(j, &a));
        TRY(name(j, l, &a, SOURCE_CONFIG));
    }
    return json_done(j);
}

int added_tokens_config(struct json *j, struct token_list *l)
{
    struct json_text key;
    int decoders = 0;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        bool here = json_is(key, "added_tokens_decoder");
        if (here && decoders++) return json_fail(j, "\"added_tokens_decoder\" stands there twice");
        TRY(here && json_peek(j) != JSON_NULL ? read_decoder(j, l) : json_skip(j));
    }
    TRY(json_done(j));
    return json_finish(j);
}

int added_tokens_file(struct json *j, struct token_list *l)
{
    struct json_text text;
    uint32_t id = 0;
    TRY(json_object(j));
    while (json_key(j, &text)) { /* reading a number leaves the text alone */
        TRY(json_u32(j, 0, TOKENS_MOST - 1, &id));
        TRY(tokens_name(l, id, text.text, text.n, TOKEN_USER, SOURCE_ADDED, j->from, j->why));
    }
    TRY(json_done(j));
    return json_finish(j);
}
