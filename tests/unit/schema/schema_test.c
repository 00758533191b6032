/* tests/unit/schema/schema_test.c — what fits a schema may be said, what does not may not, and a mask says so of words. */
#include "tests/support/check.h"
#include "coordinator/schema/mask.h"
#include "base/json.h"

#include <stdlib.h>

#define DEMO "models/demo/demo-q4_0.gguf"

static struct schema *made(const char *text)
{
    struct schema *s = NULL;
    struct err why = {0};
    char where[128];
    const int code = schema_make(&s, text, strlen(text), where, &why);
    CHECK(!code, "%s: %s", text, why.text);
    return s;
}

/* How many bytes of the text were possible; all of them and complete: -1. */
static int fits(const struct schema *s, const char *text)
{
    static struct automaton a;
    automaton_begin(&a, s);
    for (int i = 0; text[i]; i++)
        if (!automaton_step(&a, (uint8_t)text[i])) return i;
    return automaton_may_end(&a) ? -1 : (int)strlen(text);
}

struct trial {
    const char *schema, *text;
    int at; /* -1: fits */
};

static const struct trial trials[] = {
    {"{}", "{\"a\": [1, -2.5e+3, true, null, \"x\\n\\u00e9\"], \"b\":{}}", -1},
    {"{}", "[1,]", 3},
    {"{}", "01", 1},
    {"{}", "tru", 3},
    {"{}", "\"a", 2},
    {"{}", "\"\\ud800\"", 4},
    {"{}", "{\"a\":1,\"a\\", 9},
    {"{\"type\":\"object\"}", "[", 0},
    {"{\"type\":\"object\"}", "{\n  \"x\": 1\n}", -1},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"}},\"required\":[\"a\",\"b\"],\"additionalProperties\":false}",
     "{\"a\":1,\"b\":\"\"}", -1},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"}},\"required\":[\"b\"],\"additionalProperties\":false}",
     "{\"b\":\"\"}", -1},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{}},\"required\":[\"a\"],\"additionalProperties\":false}", "{\"b", 2},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"additionalProperties\":false}", "{\"a\":1.", 6},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"additionalProperties\":false}", "{}", -1},
    {"{\"type\":\"object\",\"properties\":{\"ab\":{},\"abc\":{\"type\":\"null\"}},\"required\":[\"abc\"]}", "{\"abc\":null,\"more\":[]}", -1},
    {"{\"type\":\"object\",\"properties\":{\"ab\":{},\"abc\":{\"type\":\"null\"}},\"required\":[\"abc\"]}", "{\"abc\":null,\"abc\":", 16},
    {"{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"]}", "{}", 1},
    {"{\"type\":\"object\",\"properties\":{\"a\":{}}}", "{\"a\":1,}", 7},
    {"{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"minItems\":1,\"maxItems\":2}", "[]", 1},
    {"{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"minItems\":1,\"maxItems\":2}", "[true,false]", -1},
    {"{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"minItems\":1,\"maxItems\":2}", "[true,false,", 11},
    {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"integer\"}],\"items\":false}", "[\"x\",3]", -1},
    {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"integer\"}],\"items\":false}", "[\"x\",3,", 6},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", "\"\xc3\xa9\xc3\xa9\xc3\xa9\"", -1},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", "\"a\"", 2},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", "\"abcd", 4},
    {"{\"enum\":[\"a\",\"ab\",1,12,null]}", "\"ab\"", -1},
    {"{\"enum\":[\"a\",\"ab\",1,12,null]}", "1", -1},
    {"{\"enum\":[\"a\",\"ab\",1,12,null]}", "12", -1},
    {"{\"enum\":[\"a\",\"ab\",1,12,null]}", "13", 1},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,12]}}}", "{\"a\":1}", -1},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,12]}}}", "{\"a\":12 }", -1},
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}]}", "[4]", -1},
    {"{\"type\":[\"integer\",\"null\"]}", "null", -1},
    {"{\"type\":\"string\",\"enum\":[1,\"a\",null]}", "\"a\"", -1},
    {"{\"type\":\"string\",\"enum\":[1,\"a\",null]}", "1", 0},
    {"{\"type\":[\"integer\",\"null\"],\"enum\":[1.5,\"a\",20,null]}", "20", -1},
    {"{\"type\":[\"integer\",\"null\"],\"enum\":[1.5,\"a\",20,null]}", "1.5", 0},
    {"{\"minItems\":1}", "[]", 1},
    {"{\"const\":\"x\\u0041\"}", "\"xA\"", -1},
    {"{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/n\"},{\"type\":\"null\"}]}},"
     "\"required\":[\"next\"],\"additionalProperties\":false}}}", "{\"next\":{\"next\":{\"next\":null}}}", -1},
    {"{}", "\"\xc3(\"", 2},
    {"{}", "\"\xed\xa0\x80\"", 2},
    {"{}", " 1", 0},
    {"{}", "1 ", 1},
    {"{}", "{\"a\" :", 4},
    {"{}", "[1 ,", 3},
    {"{}", "[1, \n", 4},
    {"{}", "[\n  1,\n  2\n]", -1},
    {"{\"type\":\"object\",\"properties\":{\"a\\\"b\\n\":{}},\"required\":[\"a\\\"b\\n\"]}", "{\"a\\\"b\\n\":1}", -1},
    {"{\"type\":\"object\",\"properties\":{\"a\\\"b\":{},\"a\":{}},\"additionalProperties\":false}", "{\"a\":1}", -1},
    {"{}", "12345678901234567890123.", 23},
    {"{}", "1234567890123456789012e+", 23},
    {"{}", "1234567890123456789012e1", -1},
};

TEST(what_fits_may_be_said_and_what_does_not_is_stopped_at_its_first_byte)
{
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        struct schema *s = made(trials[i].schema);
        const int at = s ? fits(s, trials[i].text) : 0;
        CHECK(at == trials[i].at, "%s of %s: stopped at %d, wanted %d", trials[i].text, trials[i].schema, at, trials[i].at);
        schema_free(&s);
    }
}

static void refused(const char *text, const char *sentence, const char *place)
{
    struct schema *s = NULL;
    struct err why = {0};
    char where[128];
    const int code = schema_make(&s, text, strlen(text), where, &why);
    CHECK(code == E_USAGE && strstr(why.text, sentence) && !strcmp(where, place), "%s: %d %s (%s)", text, code, why.text, where);
    schema_free(&s);
}

TEST(what_is_not_understood_is_refused_with_its_place)
{
    refused("{\"type\":\"string\",\"pattern\":\"a+\"}", "not supported", "/pattern");
    refused("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\",\"minimum\":3}}}", "not supported", "/properties/a/minimum");
    refused("{\"type\":\"thing\"}", "not a type", "/type");
    refused("{\"anyOf\":[{\"type\":\"null\"},{\"allOf\":[]}]}", "not supported", "/anyOf/1/allOf");
    refused("{\"enum\":[]}", "allows nothing", "/enum");
    refused("{\"enum\":[1],\"type\":\"string\"}", "allows nothing", "/enum");
    refused("{\"const\":1,\"type\":\"string\"}", "allows nothing", "/const");
    refused("{\"const\":{\"a\":1}}", "neither text", "/const");
    refused("{\"enum\":[1,2],\"const\":2}", "not understood with", "/enum");
    refused("{\"enum\":[\"abc\"],\"type\":\"string\",\"maxLength\":2}", "not understood with", "/enum");
    refused("{\"$ref\":\"#/$defs/x\",\"$defs\":{\"x\":{}},\"type\":\"string\"}", "not understood with", "/$ref");
    refused("{\"type\":\"object\",\"anyOf\":[{\"type\":\"null\"}]}", "not understood with", "/anyOf");
    refused("{\"oneOf\":[{}],\"anyOf\":[{\"type\":\"null\"}]}", "not understood with", "/anyOf");
    refused("{\"oneOf\":[{}],\"required\":[\"a\"]}", "not understood with", "/oneOf");
    refused("{\"$ref\":\"#/$defs/x\"}", "leads to nothing", "/$ref");
    refused("{\"$ref\":\"http://x\"}", "leads elsewhere", "/$ref");
    refused("{\"$ref\":\"#/$defs/x\",\"$defs\":{\"x\":{\"$ref\":\"#/$defs/x\"}}}", "by itself alone", "");
    refused("{\"required\":[\"a\"]}", "does not name", "/required");
    refused("{\"type\":[\"object\",\"null\",\"object\"]}", "names a type twice", "/type");
    refused("{\"type\":\"array\",\"minItems\":3,\"maxItems\":2}", "wants more items", "/minItems");
    refused("{\"$ref\":\"#/$defs/a/b\",\"$defs\":{\"b\":{}}}", "leads elsewhere", "/$ref");
    refused("{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"minItems\":1}", "never ends", "");
    refused("{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", "never ends", "");
    refused("[1]", "", "");
    refused("{\"type\":", "", "");
}

/* Twenty-five steps, each of two ways to the same: thirty-three million ways. */
TEST(a_shape_that_is_reached_in_very_many_ways_is_tried_once)
{
    char text[4096], *at = text;
    at += sprintf(at, "{\"$ref\":\"#/$defs/0\",\"$defs\":{");
    for (int i = 0; i < 25; i++) at += sprintf(at, "\"%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/%d\"},{\"$ref\":\"#/$defs/%d\"}]},", i, i + 1, i + 1);
    sprintf(at, "\"25\":{\"type\":\"null\"}}}");
    struct schema *s = made(text);
    static struct stack next[STACKS_MOST];
    const struct stack begin = {.depth = 1};
    if (s) CHECK(stack_step(s, &begin, 'n', next, STACKS_MOST) == 1, "it is one thing and comes several times");
    schema_free(&s);
}

/* Each is defined by the one before: tried one in the other, they would take as much stack as somebody likes. */
TEST(shapes_that_are_one_of_one_of_many_others_are_refused)
{
    static char text[40000];
    for (int n = 190; n <= 250; n += 60) {
        char *at = text + sprintf(text, "{\"anyOf\":[{\"$ref\":\"#/$defs/0\"}");
        for (int i = 1; i < n; i++) at += sprintf(at, ",{\"$ref\":\"#/$defs/%d\"}", i);
        at += sprintf(at, "],\"$defs\":{\"0\":{\"type\":\"null\"}");
        for (int i = 1; i < n; i++) at += sprintf(at, ",\"%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/%d\"}]}", i, i - 1);
        sprintf(at, "}}");
        if (n > 200) refused(text, "through more than 200 others", "");
    }
}

/* Thirty-one lists that each part into three, and one that does not: more than are kept at a time. */
TEST(a_word_that_one_of_many_shapes_allows_may_be_said)
{
    char text[16384], *at = text;
    at += sprintf(at, "{\"anyOf\":[");
    for (int i = 0; i < 31; i++) {
        at += sprintf(at, "{\"type\":\"array\",\"items\":{\"anyOf\":[");
        for (int k = 0; k < 3; k++) at += sprintf(at, "%s{\"type\":\"array\",\"items\":{\"const\":%d}}", k ? "," : "", k);
        at += sprintf(at, "]}},");
    }
    sprintf(at, "{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}]}");
    struct schema *s = made(text);
    static struct automaton a;
    automaton_begin(&a, s);
    CHECK(automaton_word(&a, (const uint8_t *)"[", 1) && a.n == STACKS_MOST, "%u", a.n);
    CHECK(automaton_word(&a, (const uint8_t *)"[{", 2), "a word that the mask allows");
    schema_free(&s);
}

/* However deep one goes, something may follow until all is complete. */
TEST(what_is_open_always_has_room_to_be_closed)
{
    static const char *const deep[] = {
        "{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"c\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"anyOf\":"
        "[{\"$ref\":\"#/$defs/n\"},{\"type\":\"null\"}]}}},\"required\":[\"c\"],\"additionalProperties\":false}}}",
        "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"null\"},{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#\"}}],\"items\":{\"$ref\":\"#\"}}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"$ref\":\"#\"}},\"required\":[\"b\"]}},\"additionalProperties\":false}",
    };
    static const char order[] = "[{,\"ac:bn]}ul"; /* what leads deeper comes first */
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        struct schema *s = made(deep[i]);
        static struct automaton a, next;
        int said = 0;
        automaton_begin(&a, s);
        for (bool can = true; can && said < 400 && !automaton_may_end(&a); said++) {
            can = false;
            for (size_t b = 0; order[b] && !can; b++) {
                next = a;
                can = automaton_step(&next, (uint8_t)order[b]);
            }
            CHECK(can, "%s: nothing may follow %d bytes", deep[i], said);
            a = next;
        }
        schema_free(&s);
    }
}

/* ---- random walks ---- */

static uint64_t dice_state;

static uint32_t dice(uint32_t n)
{
    dice_state = dice_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(dice_state >> 33) % n;
}

static const char *const walked[] = {
    "{\"type\":\"object\"}",
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":9},\"n\":{\"type\":\"integer\"},\"tags\":{\"type\":\"array\",\"items\":{\"enum\":"
    "[\"red\",\"green\",3]},\"minItems\":1,\"maxItems\":3},\"more\":{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"number\"}]}},\"required\":[\"name\",\"tags\"],"
    "\"additionalProperties\":false}",
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"boolean\"},\"ab\":{}},\"required\":[\"ab\"]},\"maxItems\":4}",
};

/* Says possible bytes, and prefers those that end things. */
static bool walk(const struct schema *s, char *text, size_t most)
{
    static struct automaton a;
    static struct stack next[STACKS_MOST];
    automaton_begin(&a, s);
    for (size_t n = 0; n + 1 < most; n++) {
        text[n] = 0;
        if (automaton_may_end(&a) && dice(2)) return true;
        uint8_t can[256];
        uint32_t cans = 0;
        for (int b = 0; b < 256; b++) {
            uint32_t steps = 0;
            for (uint32_t k = 0; k < a.n && !steps; k++) steps = stack_step(s, &a.stack[k], (uint8_t)b, next, STACKS_MOST);
            if (!steps) continue;
            if (n > most / 4 && strchr("\"]},:0", b) && b) can[0] = (uint8_t)b, cans = 1, b = 256;
            else can[cans++] = (uint8_t)b;
        }
        if (!cans) return automaton_may_end(&a);
        text[n] = (char)can[dice(cans)];
        automaton_step(&a, (uint8_t)text[n]);
    }
    return false;
}

TEST(whatever_may_be_said_is_json)
{
    char text[4000];
    int ended = 0;
    for (uint32_t i = 0; i < 300; i++) {
        struct schema *s = made(walked[i % 3]);
        struct json j;
        struct err why = {0};
        dice_state = i;
        if (walk(s, text, sizeof text)) {
            ended++;
            json_begin(&j, text, strlen(text), "walk", &why);
            CHECK(!json_skip(&j) && !json_finish(&j), "%u: %s\n%s", i, why.text, text);
            json_end(&j);
        }
        schema_free(&s);
    }
    CHECK(ended > 200, "only %d of 300 walks came to an end", ended);
}

/* ---- masks ---- */

static void compare_masks(const struct word_list *w, uint32_t words, const struct automaton *a, const char *said)
{
    uint8_t *mask = malloc((words + 31) / 32 * 4);
    static struct automaton copy;
    uint32_t wrong = 0;
    word_list_mask(w, a, mask);
    for (uint32_t i = 0; i < words; i++) {
        size_t n;
        const uint8_t *bytes = word_bytes(w, i, &n);
        bool can = n > 0;
        if (i == 106 || i == 1) can = automaton_may_end(a), n = 0;
        copy = *a;
        if (n) can = automaton_word(&copy, bytes, n);
        wrong += can != (mask[i / 8] >> i % 8 & 1);
    }
    CHECK(!wrong, "%u words are wrong behind %s", wrong, said);
    free(mask);
}

TEST(a_mask_is_what_trying_each_word_says)
{
    static const char *const said[] = {"", "{", "{\"", "{\"na", "{\"name\":\"", "{\"name\":\"abcdefg", "{\"name\":\"a\",", "{\"name\":\"a\",\"tags\":[\"gr", "[{\"ab\":{\"x\":\"\xc3",
                                       "[{\"ab\":1", "{\"a\\", "[{\"a\":tr"};
    struct gguf *g;
    struct tokenizer *t;
    struct word_list *w;
    NEED(gguf_open(&g, DEMO, why));
    NEED(tokenizer_open(&t, g, 1024, why));
    const uint32_t words = tokenizer_size(t);
    const int32_t ends[] = {106, 1};
    NEED(word_list_open(&w, t, words, ends, why));
    for (size_t k = 0; k < sizeof walked / sizeof *walked; k++) {
        struct schema *s = made(walked[k]);
        for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
            static struct automaton a;
            bool can = true;
            automaton_begin(&a, s);
            for (const char *at = said[i]; *at && can; at++) can = automaton_step(&a, (uint8_t)*at);
            if (can) compare_masks(w, words, &a, said[i]);
        }
        schema_free(&s);
    }
    word_list_close(&w);
    tokenizer_close(&t);
    gguf_close(&g);
}
