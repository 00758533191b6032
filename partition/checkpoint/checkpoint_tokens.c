/* partition/checkpoint/checkpoint_tokens.c — a folder's tokens, from up to four files that need not agree.
 *
 * Who fine-tunes a model adds or renames tokens, and the file that says so depends on the library and its version. What
 * prevails is what the published library makes of the same folder: docs/MODEL.md, "Checkpoints". Whatever one file changes
 * in another is noted, for a person to see. */
#include "partition/checkpoint/added_tokens.h"
#include "partition/checkpoint/checkpoint_inside.h"

#include <stdlib.h>

static void note_changes(struct checkpoint *c, const char *name)
{
    const struct token_changes *x = &c->tokens.changes;
    char shown[64];
    if (!x->added && !x->renamed && !x->overruled) return;
    const struct token_entry *t = &c->tokens.token[x->example];
    json_plain(shown, (struct json_text){c->tokens.text + t->start, t->n});
    checkpoint_note(c, "%s: tokens added %u, renamed %u, not taken because another file prevails %u; such as %u, which is \"%s\"",
                    name, x->added, x->renamed, x->overruled, x->example, shown);
    c->tokens.changes = (struct token_changes){0};
}

static int read_beside(struct checkpoint *c, const char *name, int (*read)(struct json *, struct token_list *), struct err *why)
{
    struct mapped m;
    struct json j;
    bool there;
    TRY(checkpoint_small(c, name, &m, &there, why));
    if (!there) return 0;
    json_begin(&j, (const char *)m.data, m.bytes, m.path, why);
    int code = read(&j, &c->tokens);
    json_end(&j);
    mapped_close(&m);
    if (!code) note_changes(c, name);
    return code;
}

/* tokenizer.json is taken whole; what an older tokenizer.model beside it calls otherwise is worth a word. */
static int compare_with_model(struct checkpoint *c, const char *path, struct err *why)
{
    struct token_list model;
    uint32_t differ = 0, example = 0;
    TRY(tokens_from_model(&model, path, why));
    for (uint32_t id = model.n > c->tokens.n ? model.n : c->tokens.n; id-- > 0;)
        if (!tokens_same_text(&model, &c->tokens, id)) differ++, example = id;
    tokens_free(&model);
    if (differ)
        checkpoint_note(c, "tokenizer.json has %u tokens that tokenizer.model lacks or spells otherwise, the first of them %u",
                        differ, example);
    return 0;
}

static int read_vocabulary(struct checkpoint *c, const char *model, const char *json, const char **from, struct err *why)
{
    if (!model || !json) return fail(why, E_MEMORY, "no memory to open the tokenizer of %s", c->dir);
    bool has_model = is_file(model), has_json = is_file(json);
    if (!has_model && !has_json)
        return fail(why, E_FILE, "%s has neither tokenizer.model nor tokenizer.json; download one of them", c->dir);
    *from = has_json ? json : model;
    TRY(has_json ? tokens_from_json(&c->tokens, json, why) : tokens_from_model(&c->tokens, model, why));
    checkpoint_note(c, "the vocabulary is that of %s, %u tokens", has_json ? "tokenizer.json" : "tokenizer.model", c->tokens.n);
    c->tokens.changes.added = 0; /* whether in its table or beside it: both are tokenizer.json */
    note_changes(c, "the list of added tokens in tokenizer.json");
    return has_json && has_model ? compare_with_model(c, model, why) : 0;
}

static void note_rows(struct checkpoint *c)
{
    uint32_t rows = c->config.text.vocab, without = 0, first = 0;
    for (uint32_t id = rows; id-- > 0;)
        if (id >= c->tokens.n || c->tokens.token[id].n == TOKEN_ABSENT) without++, first = id;
    if (without)
        checkpoint_note(c, "%u of the %u rows of the embeddings have no token, the first of them %u", without, rows, first);
}

int checkpoint_read_tokens(struct checkpoint *c, struct err *why)
{
    char *model = path_in(c->dir, "tokenizer.model"), *json = path_in(c->dir, "tokenizer.json");
    const char *from = NULL;
    tokens_free(&c->tokens);
    int code = read_vocabulary(c, model, json, &from, why);
    if (!code) code = read_beside(c, "added_tokens.json", added_tokens_file, why);
    if (!code) code = read_beside(c, "tokenizer_config.json", added_tokens_config, why);
    if (!code) note_rows(c);
    if (!code) code = tokens_settle(&c->tokens, c->config.text.vocab, from, why);
    if (code) tokens_free(&c->tokens);
    free(model);
    free(json);
    return code;
}
