/* base/json.c — see json.h. Strict where leniency would let two readers see two things: no comments, no trailing
 * commas, no control characters in strings, no lone surrogates, whole numbers read as whole numbers. UTF-8 inside
 * strings is passed on as it is; who cares checks it. */
#include "base/json.h"

#include "base/plain_text.h"
#include "base/utf8_read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MOST 64 /* characters */

void json_begin(struct json *j, const char *text, size_t n, const char *from, struct err *why)
{
    *j = (struct json){.begin = text, .at = text, .end = text + n, .from = from, .line = 1, .why = why};
}

void json_end(struct json *j)
{
    free(j->scratch);
    j->scratch = NULL;
    j->scratch_room = 0;
}

int json_done(const struct json *j)
{
    return j->code;
}

/* ---- saying no ---- */

static size_t line_of(const struct json *j)
{
    size_t line = j->line;
    for (const char *p = j->begin; p < j->at; p++) line += *p == '\n';
    return line;
}

int json_fail(struct json *j, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!j->code) j->code = fail(j->why, E_FILE, "%s, line %zu: %s", j->from, line_of(j), text);
    return j->code;
}

char *json_plain(char out[64], struct json_text s)
{
    size_t n = 0;
    for (; n < s.n && n < 60; n++) out[n] = s.text[n] < 0x20 || s.text[n] > 0x7e ? '?' : s.text[n];
    memcpy(out + n, s.n > 60 ? "..." : "", s.n > 60 ? 4 : 1);
    return out;
}

static int wanted(struct json *j, const char *what)
{
    char found[64];
    size_t left = (size_t)(j->end - j->at);
    if (!left) return json_fail(j, "the text ends where %s was wanted", what);
    return json_fail(j, "found \"%s\" where %s was wanted",
                     json_plain(found, (struct json_text){j->at, left < 16 ? left : 16}), what);
}

/* ---- places ---- */

static void skip_space(struct json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r')) j->at++;
}

static char next_char(struct json *j)
{
    skip_space(j);
    return j->at < j->end ? *j->at : 0;
}

enum json_kind json_peek(struct json *j)
{
    char c = j->code ? 0 : next_char(j);
    switch (c) {
    case '{': return JSON_OBJECT;
    case '[': return JSON_ARRAY;
    case '"': return JSON_STRING;
    case 't':
    case 'f': return JSON_TRUTH;
    case 'n': return JSON_NULL;
    default: return c == '-' || (c >= '0' && c <= '9') ? JSON_NUMBER : JSON_NOTHING;
    }
}

static int enter(struct json *j, char open, const char *what)
{
    if (j->code) return j->code;
    if (next_char(j) != open) return wanted(j, what);
    if (j->depth == JSON_DEPTH) return json_fail(j, "nested deeper than %d", JSON_DEPTH);
    j->at++;
    j->open[j->depth] = open;
    j->first[j->depth++] = true;
    return 0;
}

int json_object(struct json *j)
{
    return enter(j, '{', "an object in braces");
}

int json_array(struct json *j)
{
    return enter(j, '[', "a list in brackets");
}

/* To the next member of what is open; false at its end. */
static bool next_member(struct json *j, char open)
{
    if (j->code) return false;
    bool *first = &j->first[j->depth - 1];
    char close = open == '{' ? '}' : ']', c = next_char(j);
    if (c == close) {
        j->at++;
        j->depth--;
        return false;
    }
    if (!*first) {
        if (c != ',') return wanted(j, open == '{' ? "a comma or }" : "a comma or ]"), false;
        j->at++;
        if (next_char(j) == close) return wanted(j, "another value after the comma"), false;
    }
    *first = false;
    return true;
}

bool json_key(struct json *j, struct json_text *key)
{
    if (!next_member(j, '{') || json_string(j, key)) return false;
    if (next_char(j) != ':') return wanted(j, "a colon"), false;
    j->at++;
    return true;
}

bool json_item(struct json *j)
{
    return next_member(j, '[');
}

int json_finish(struct json *j)
{
    if (j->code) return j->code;
    skip_space(j);
    return j->at == j->end ? 0 : wanted(j, "the end of the text");
}

/* ---- strings ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int hex4(struct json *j, uint32_t *out)
{
    if (j->end - j->at < 4) return json_fail(j, "the text ends inside a \\u escape");
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*j->at++);
        if (digit < 0) return json_fail(j, "a \\u escape wants four hexadecimal digits");
        *out = *out << 4 | (uint32_t)digit;
    }
    return 0;
}

static size_t put_utf8(char *out, uint32_t c)
{
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 63));
    out[0] = (char)(lead[n] | c);
    return n;
}

/* Characters beyond U+FFFF are written as two escapes, a high and a low surrogate. */
static int unicode_escape(struct json *j, char *out, size_t *n)
{
    uint32_t c, low;
    TRY(hex4(j, &c));
    if (c >= 0xd800 && c < 0xdc00 && j->end - j->at >= 6 && j->at[0] == '\\' && j->at[1] == 'u') {
        j->at += 2;
        TRY(hex4(j, &low));
        if (low < 0xdc00 || low > 0xdfff) return json_fail(j, "half a surrogate pair in a string");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    if (c >= 0xd800 && c < 0xe000) return json_fail(j, "half a surrogate pair in a string");
    *n += put_utf8(out + *n, c);
    return 0;
}

static int escape(struct json *j, char *out, size_t *n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (j->at == j->end) return json_fail(j, "the text ends inside a string");
    char c = *j->at++;
    if (c == 'u') return unicode_escape(j, out, n);
    const char *which = c ? strchr(from, c) : NULL;
    if (!which) return json_fail(j, "a string holds an escape that JSON does not have");
    out[(*n)++] = to[which - from];
    return 0;
}

/* The closing quote of the string that begins at `at`, or NULL; *plain is false if escapes are in between. */
static const char *string_end(struct json *j, bool *plain)
{
    *plain = true;
    for (const char *p = j->at; p < j->end; p++) {
        if (*p == '"') return p;
        if ((uint8_t)*p < 0x20) return json_fail(j, "a string holds the control character %u", (uint8_t)*p), NULL;
        if (*p == '\\') *plain = false, p++;
    }
    return json_fail(j, "the text ends inside a string"), NULL;
}

/* Never longer than it was with its escapes. */
static int unescape(struct json *j, const char *end, struct json_text *out)
{
    size_t room = (size_t)(end - j->at), n = 0;
    if (room > j->scratch_room) {
        char *grown = realloc(j->scratch, room);
        if (!grown) return j->code = fail(j->why, E_MEMORY, "no memory for a string of %s", j->from);
        j->scratch = grown, j->scratch_room = room;
    }
    while (j->at < end) {
        char c = *j->at++;
        if (c == '\\') TRY(escape(j, j->scratch, &n));
        else j->scratch[n++] = c;
    }
    *out = (struct json_text){j->scratch, n};
    return 0;
}

int json_string(struct json *j, struct json_text *out)
{
    bool plain;
    if (j->code) return j->code;
    if (next_char(j) != '"') return wanted(j, "a string");
    j->at++;
    const char *end = string_end(j, &plain);
    if (!end) return j->code;
    if (plain) *out = (struct json_text){j->at, (size_t)(end - j->at)};
    else TRY(unescape(j, end, out));
    j->at = end + 1;
    return 0;
}

/* ---- numbers and words ---- */

static size_t digits(const char *p, const char *end)
{
    size_t n = 0;
    while (p + n < end && p[n] >= '0' && p[n] <= '9') n++;
    return n;
}

/* The characters of the number that begins here, by JSON's grammar; 0 if there is none. */
static size_t number_length(const struct json *j, bool *whole)
{
    const char *p = j->at, *end = j->end;
    if (p < end && *p == '-') p++;
    size_t n = digits(p, end);
    if (!n || (n > 1 && *p == '0')) return 0;
    p += n;
    *whole = true;
    if (p < end && *p == '.') {
        *whole = false;
        if (!(n = digits(p + 1, end))) return 0;
        p += 1 + n;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        *whole = false;
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        if (!(n = digits(p, end))) return 0;
        p += n;
    }
    return (size_t)(p - j->at);
}

static int take_number(struct json *j, char out[NUMBER_MOST + 1], bool *whole)
{
    if (j->code) return j->code;
    skip_space(j);
    size_t n = number_length(j, whole);
    if (!n) return wanted(j, "a number");
    if (n > NUMBER_MOST) return json_fail(j, "a number of %zu characters; %d is the most", n, NUMBER_MOST);
    memcpy(out, j->at, n);
    out[n] = 0;
    j->at += n;
    return 0;
}

int json_double(struct json *j, double *out)
{
    char text[NUMBER_MOST + 1];
    bool whole;
    TRY(take_number(j, text, &whole));
    *out = strtod(text, NULL);
    return 0;
}

int json_u64(struct json *j, uint64_t *out)
{
    char text[NUMBER_MOST + 1];
    bool whole;
    TRY(take_number(j, text, &whole));
    errno = 0;
    *out = strtoull(text, NULL, 10);
    if (!whole || *text == '-' || errno) return json_fail(j, "%s is not a whole number from 0 to 2^64 - 1", text);
    return 0;
}

int json_i64(struct json *j, int64_t *out)
{
    char text[NUMBER_MOST + 1];
    bool whole;
    TRY(take_number(j, text, &whole));
    errno = 0;
    *out = strtoll(text, NULL, 10);
    if (!whole || errno) return json_fail(j, "%s is not a whole number from -2^63 to 2^63 - 1", text);
    return 0;
}

int json_u32(struct json *j, uint32_t least, uint32_t most, uint32_t *out)
{
    uint64_t v;
    TRY(json_u64(j, &v));
    if (v < least || v > most) return json_fail(j, "found %" PRIu64 ", wanted %u to %u", v, least, most);
    *out = (uint32_t)v;
    return 0;
}

static bool word_here(struct json *j, const char *word)
{
    size_t n = strlen(word);
    skip_space(j);
    if ((size_t)(j->end - j->at) < n || memcmp(j->at, word, n)) return false;
    j->at += n;
    return true;
}

int json_truth(struct json *j, bool *out)
{
    if (j->code) return j->code;
    *out = word_here(j, "true");
    return *out || word_here(j, "false") ? 0 : wanted(j, "true or false");
}

static int skip_scalar(struct json *j)
{
    struct json_text s;
    double d;
    bool truth;
    switch (json_peek(j)) {
    case JSON_STRING: return json_string(j, &s);
    case JSON_NUMBER: return json_double(j, &d);
    case JSON_TRUTH: return json_truth(j, &truth);
    case JSON_NULL: return word_here(j, "null") ? 0 : wanted(j, "a value");
    default: return wanted(j, "a value");
    }
}

/* Goes down by hand, not by recursion: the depth is in the reader already. */
int json_skip(struct json *j)
{
    int floor = j->depth;
    struct json_text key;
    do {
        enum json_kind kind = json_peek(j);
        if (kind == JSON_OBJECT) TRY(json_object(j));
        else if (kind == JSON_ARRAY) TRY(json_array(j));
        else TRY(skip_scalar(j));
        while (j->depth > floor && !(j->open[j->depth - 1] == '{' ? json_key(j, &key) : json_item(j))) TRY(j->code);
    } while (j->depth > floor);
    return j->code;
}

/* ---- writing ---- */

void json_print_bytes(FILE *to, const char *text, size_t n)
{
    const char *end = text + n;
    uint32_t code = 0;
    fputc('"', to);
    for (size_t length; text < end; text += length ? length : 1) {
        length = utf8_read(text, (size_t)(end - text), &code);
        if (!length) fputs("\\ufffd", to);
        else if (code == '"' || code == '\\') fprintf(to, "\\%c", *text);
        else if (code == '\n') fputs("\\n", to);
        else if (code == '\t' || is_steering(code)) fprintf(to, "\\u%04x", code);
        else fwrite(text, 1, length, to);
    }
    fputc('"', to);
}

void json_print_text(FILE *to, const char *text)
{
    json_print_bytes(to, text, strlen(text));
}
