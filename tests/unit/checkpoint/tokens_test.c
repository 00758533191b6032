/* tests/unit/checkpoint/tokens_test.c — one vocabulary from three sources, and Gemma 3's own by its ids. */
#include "partition/checkpoint/tokens.h"

#include "partition/checkpoint/added_tokens.h"
#include "tests/support/check.h"

#define DEMO "models/demo/"

static bool same_token(const struct token_list *a, const struct token_list *b, uint32_t id)
{
    const struct token_entry *x = &a->token[id], *y = &b->token[id];
    return x->type == y->type && x->score == y->score && x->n == y->n &&
           !memcmp(a->text + x->start, b->text + y->start, x->n);
}

static void compare(const struct token_list *a, const struct token_list *b, const char *what)
{
    CHECK(a->n == b->n, "%s: %u and %u tokens", what, a->n, b->n);
    uint32_t wrong = 0, first = 0;
    for (uint32_t id = a->n < b->n ? a->n : b->n; id-- > 0;)
        if (!same_token(a, b, id)) wrong++, first = id;
    CHECK(!wrong, "%s: %u tokens differ, such as %u: type %d score %g and type %d score %g", what, wrong, first,
          a->token[first].type, (double)a->token[first].score, b->token[first].type, (double)b->token[first].score);
}

TEST(model_json_and_gguf_of_the_demo_are_one_vocabulary)
{
    struct token_list model, json, gguf;
    struct gguf *g;
    NEED(tokens_from_model(&model, DEMO "checkpoint/tokenizer.model", why));
    NEED(tokens_from_json(&json, DEMO "checkpoint/tokenizer.json", why));
    NEED(gguf_open(&g, DEMO "demo-q4_0.gguf", why));
    NEED(tokens_from_gguf(&gguf, g, why));
    NEED(tokens_settle(&model, 1024, "model", why));
    NEED(tokens_settle(&json, 1024, "json", why));
    compare(&model, &gguf, "tokenizer.model");
    compare(&json, &gguf, "tokenizer.json");
    gguf_close(&g);
    tokens_free(&model);
    tokens_free(&json);
    tokens_free(&gguf);
}

/* The bare bones of Gemma 3's vocabulary: right where it is recognised, all of type normal. */
static int gemma(struct token_list *l, struct err *why)
{
    static const struct {
        uint32_t id;
        const char *text;
    } known[] = {{0, "<pad>"}, {1, "<eos>"}, {2, "<bos>"}, {105, "<start_of_turn>"}, {106, "<end_of_turn>"},
                 {107, "\n"},
                 {138, "\xe2\x96\x81\xe2\x96\x81"}, {238, "<0x00>"}, {255999, "<start_of_image>"}};
    *l = (struct token_list){0};
    for (uint32_t id = 0; id < GEMMA_TOKENS; id++) {
        char text[32];
        snprintf(text, sizeof text, "t%u", id);
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (known[i].id == id) snprintf(text, sizeof text, "%s", known[i].text);
        TRY(tokens_add(l, text, strlen(text), -(float)id, TOKEN_NORMAL, "test", why));
    }
    return 0;
}

TEST(types_of_gemmas_vocabulary_follow_from_the_ids)
{
    static const struct {
        uint32_t id;
        int32_t type;
        float score;
    } wanted[] = {
        {0, 3, -1000}, {3, 3, -1000}, {4, 3, -1000}, {5, 4, -1000}, {6, 3, -1000}, {104, 3, -1000}, {105, 3, -1000},
        {106, 3, -1000}, {107, 4, -1000}, {138, 4, -1000}, {237, 4, -1000}, {238, 6, -238}, {493, 6, -493},
        {494, 1, -494}, {236743, 1, -236743}, {255967, 1, -255967}, {255968, 4, -1000}, {255998, 4, -1000},
        {255999, 3, -1000}, {256000, 3, -1000}, {256001, 3, -1000}, {262143, 3, -1000}, {262144, 3, -1000},
        {262145, 5, -10000}, {262207, 5, -10000},
    };
    struct token_list l;
    NEED(gemma(&l, why));
    NEED(tokens_settle(&l, 262208, "test", why));
    CHECK(l.n == 262208);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const struct token_entry *t = &l.token[wanted[i].id];
        CHECK(t->type == wanted[i].type && t->score == wanted[i].score, "token %u: type %d, score %g", wanted[i].id,
              t->type, (double)t->score);
    }
    CHECK(token_is(&l, 138, "  "), "spaces of user-defined tokens are spaces");
    CHECK(token_is(&l, 262144, "<image_soft_token>") && token_is(&l, 262145, "[PAD262145]"));
    uint32_t example = 0;
    CHECK(tokens_wrong_types(&l, &example) == 0, "such as %u", example);
    tokens_free(&l);
}

TEST(the_image_token_is_dropped_where_there_is_no_row_for_it)
{
    struct token_list l;
    NEED(gemma(&l, why));
    NEED(tokens_add(&l, "<image_soft_token>", 18, 0, TOKEN_CONTROL, "test", why));
    NEED(tokens_settle(&l, GEMMA_TOKENS, "test", why));
    CHECK(l.n == GEMMA_TOKENS);
    struct err why = {0};
    CHECK(tokens_settle(&l, GEMMA_TOKENS - 1, "test", &why) == E_FILE && strstr(why.text, "do not belong together"));
    tokens_free(&l);
}

TEST(wrong_types_and_rising_scores_are_counted)
{
    struct token_list l;
    uint32_t example = 0;
    NEED(gemma(&l, why));
    uint32_t wrong = tokens_wrong_types(&l, &example); /* all normal: specials, user-defined and bytes are wrong */
    CHECK(wrong == 4 + 2 + 131 + 256 + 31 + 2 && example == 0, "%u wrong, such as %u", wrong, example);
    CHECK(tokens_rising_scores(&l) == 0);
    l.token[1000].score = 5;
    CHECK(tokens_rising_scores(&l) == 1);
    tokens_free(&l);
}

TEST(merges_rank_what_they_make_in_their_order)
{
    static const char text[] =
        "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<u>\",\"vocab\":{\"<u>\":0,\"a\":4,\"b\":5,\"ba\":2,\"ab\":1,\"aba\":3},"
        "\"merges\":[\"b a\",\"a b\",\"ab a\",\"a ba\"]},\"added_tokens\":[{\"id\":7,\"content\":\"<x>\",\"special\":true}]}";
    struct token_list l;
    NEED(tokens_parse_json(&l, text, sizeof text - 1, "test", why));
    NEED(tokens_settle(&l, 9, "test", why));
    static const float scores[] = {0, -1, 0, -2, -3, -4, -10000, 0, -10000};
    static const int32_t types[] = {2, 1, 1, 1, 1, 1, 5, 3, 5};
    for (uint32_t id = 0; id < 9; id++)
        CHECK(l.token[id].score == scores[id] && l.token[id].type == types[id], "token %u: score %g, type %d", id,
              (double)l.token[id].score, l.token[id].type);
    CHECK(token_is(&l, 6, "[PAD6]") && token_is(&l, 7, "<x>"));
    tokens_free(&l);
}

TEST(a_small_file_cannot_ask_for_much_memory)
{
    static const char text[] = "{\"model\":{\"vocab\":{\"a\":1048576},\"merges\":[]}}";
    struct token_list l;
    struct err why = {0};
    CHECK(tokens_parse_json(&l, text, sizeof text - 1, "test", &why) == E_FILE, "%s", why.text);
    CHECK(strstr(why.text, "1048576"), "%s", why.text);
}

static void is_called(const struct token_list *l, uint32_t id, const char *text, int32_t type)
{
    CHECK(token_is(l, id, text) && l->token[id].type == type, "token %u is \"%.*s\" of type %d", id, (int)l->token[id].n,
          l->text + l->token[id].start, l->token[id].type);
}

static int added(struct token_list *l, const char *text, int (*read)(struct json *, struct token_list *), struct err *why)
{
    struct json j;
    l->changes = (struct token_changes){0};
    json_begin(&j, text, strlen(text), "test", why);
    int code = read(&j, l);
    json_end(&j);
    return code;
}

static const char beside[] = "{\"<a>\":6,\"<b>\":7,\"<c>\":262145}";
static const char config[] = "{\"added_tokens_decoder\":{\"7\":{\"content\":\"<call>\",\"special\":true},\"9\":{\"content\":\"<d>\"}}}";

TEST(tokens_that_somebody_renamed_or_added_prevail_over_the_model)
{
    struct token_list l;
    NEED(gemma(&l, why));
    NEED(added(&l, beside, added_tokens_file, why));
    CHECK(l.changes.added == 1 && l.changes.renamed == 2 && l.changes.example == 262145);
    NEED(added(&l, config, added_tokens_config, why));
    CHECK(l.changes.added == 0 && l.changes.renamed == 2 && l.changes.overruled == 0);
    NEED(tokens_settle(&l, 262208, "test", why));
    is_called(&l, 6, "<a>", TOKEN_USER);
    is_called(&l, 7, "<call>", TOKEN_CONTROL);
    is_called(&l, 8, "t8", TOKEN_CONTROL);
    is_called(&l, 262145, "<c>", TOKEN_USER);
    is_called(&l, 262146, "[PAD262146]", TOKEN_UNUSED);
    tokens_free(&l);
}

TEST(tokenizer_json_prevails_over_what_stands_beside_it)
{
    static const char text[] = "{\"model\":{\"vocab\":{\"a\":5,\"b\":6,\"c\":7},\"merges\":[]},"
                               "\"added_tokens\":[{\"id\":5,\"content\":\"<x>\",\"special\":true}]}";
    struct token_list l;
    NEED(tokens_parse_json(&l, text, sizeof text - 1, "test", why));
    CHECK(l.changes.renamed == 1 && l.changes.example == 5);
    NEED(added(&l, config, added_tokens_config, why));
    CHECK(l.changes.added == 1 && l.changes.renamed == 0 && l.changes.overruled == 1);
    is_called(&l, 5, "<x>", TOKEN_CONTROL);
    is_called(&l, 7, "c", TOKEN_NORMAL);
    is_called(&l, 9, "<d>", TOKEN_USER);
    tokens_free(&l);
}

TEST(one_file_that_gives_an_id_two_texts_is_refused)
{
    struct token_list l = {0};
    struct err no = {0};
    CHECK(added(&l, "{\"<a>\":6,\"<b>\":6}", added_tokens_file, &no) == E_FILE && strstr(no.text, "two tokens of id 6"), "%s", no.text);
    tokens_free(&l);
}

TEST(a_token_without_a_row_is_named)
{
    struct token_list l;
    struct err no = {0};
    NEED(gemma(&l, why));
    NEED(added(&l, "{\"<c>\":262146}", added_tokens_file, why));
    CHECK(tokens_settle(&l, GEMMA_TOKENS, "test", &no) == E_FILE && strstr(no.text, "262146, \"<c>\", has none"), "%s", no.text);
    tokens_free(&l);
}
