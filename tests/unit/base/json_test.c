/* tests/unit/base/json_test.c — the JSON reader: what it accepts, what it passes on, and where it stops. */
#include "base/json.h"
#include "tests/support/check.h"

#include <stdlib.h>

static bool reads(const char *text)
{
    struct json j;
    json_begin(&j, text, strlen(text), "text", NULL);
    bool ok = !json_skip(&j) && !json_finish(&j);
    json_end(&j);
    return ok;
}

TEST(what_json_allows_is_read)
{
    static const char *const good[] = {
        "0", "-0.5e+10", "\"\"", "true", "null", "[]", "{}", " [ 1 , 2 ] ", "{\"a\":{\"b\":[{}]},\"c\":[[],[]]}",
        "\"\\u00e9\\ud83d\\ude42\\\"\"", "[\"a\",\"b\\\\\"]", "1e5", "\t\r\n1",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK(reads(good[i]), "%s", good[i]);
}

TEST(what_json_does_not_allow_is_refused)
{
    static const char *const bad[] = {
        "", "01", "1.", ".5", "+1", "1e", "--1", "NaN", "Infinity", "tru", "[1,]", "[,1]", "[1 2]", "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}", "{\"a\":}", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
        "[1]]",
        "[1", "{\"a\":1", "'a'", "// a\n1", "\"\n\"", "[}", "{]", "1 1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!reads(bad[i]), "%s", bad[i]);
}

TEST(what_is_written_is_json_and_moves_no_terminal)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    json_print_text(to, "\"\\\t\x1b\x7f\xc2\x9b\xe2\x80\xae\xff caf\xc3\xa9");
    fclose(to);
    CHECK(reads(text) && !strcmp(text, "\"\\\"\\\\\\u0009\\u001b\\u007f\\u009b\\u202e\\ufffd caf\xc3\xa9\""), "%s", text);
    free(text);
}

TEST(depth_has_an_end)
{
    char text[4000];
    for (int depth = 1; depth < 1000; depth += depth < 40 ? 1 : 101) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = 0;
        CHECK(reads(text) == (depth <= JSON_DEPTH), "%d", depth);
    }
}

TEST(strings_come_with_their_escapes_undone)
{
    const char *text = "[\"plain \xe2\x96\x81\", \"\\u2581\\ud83d\\ude42\\n\\/\\u0000x\"]";
    struct json j;
    struct json_text s;
    struct err why = {0};
    json_begin(&j, text, strlen(text), "text", &why);
    CHECK(!json_array(&j) && json_item(&j) && !json_string(&j, &s) && json_is(s, "plain \xe2\x96\x81"));
    CHECK(s.text >= text && s.text < text + strlen(text), "without escapes it is not copied");
    CHECK(json_item(&j) && !json_string(&j, &s));
    CHECK(s.n == 11 && !memcmp(s.text, "\xe2\x96\x81\xf0\x9f\x99\x82\n/\0x", 11), "%zu bytes", s.n);
    CHECK(!json_item(&j) && !json_done(&j) && !json_finish(&j));
    json_end(&j);
}

TEST(whole_numbers_are_exact_and_bounded)
{
    const char *text = "[18446744073709551615, 18446744073709551616, 1.0, -1, 4294967296]";
    static const bool good[] = {true, false, false, false, true};
    for (int i = 0; i < 5; i++) {
        struct json j;
        uint64_t v = 0;
        json_begin(&j, text, strlen(text), "text", NULL);
        json_array(&j);
        for (int k = 0; k < i && json_item(&j); k++) json_skip(&j);
        CHECK(json_item(&j) && !json_u64(&j, &v) == good[i], "number %d", i);
        json_end(&j);
        if (i == 0) CHECK(v == UINT64_MAX);
    }
    struct json j;
    uint32_t v = 7;
    json_begin(&j, "12", 2, "text", NULL);
    CHECK(json_u32(&j, 13, 20, &v) == E_FILE && v == 7);
    json_end(&j);
}

TEST(a_fault_names_source_and_line_and_sticks)
{
    const char *text = "{\n\"a\": 1,\n\"b\" 2}";
    struct json j;
    struct json_text key;
    struct err why = {0};
    json_begin(&j, text, strlen(text), "x/config.json", &why);
    CHECK(!json_object(&j) && json_key(&j, &key) && !json_skip(&j) && !json_key(&j, &key));
    CHECK(strstr(why.text, "x/config.json, line 3: found \"2}\" where a colon was wanted"), "%s", why.text);
    CHECK(json_done(&j) == E_FILE && json_skip(&j) == E_FILE && json_peek(&j) == JSON_NOTHING);
    json_end(&j);
}

TEST(text_goes_out_as_it_came_in)
{
    char *out;
    size_t n;
    const char *text = "a\"b\\c\nd\x01 \xe2\x96\x81";
    FILE *f = open_memstream(&out, &n);
    json_print_text(f, text);
    fclose(f);
    struct json j;
    struct json_text s = {"", 0};
    json_begin(&j, out, n, "text", NULL);
    CHECK(!json_string(&j, &s) && json_is(s, text), "%s", out);
    json_end(&j);
    free(out);
}
