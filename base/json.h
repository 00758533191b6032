/* base/json.h — reads JSON (RFC 8259) front to back, without building a tree.
 *
 * A real tokenizer.json is 33 MB with half a million merges; as a tree it would take ten times that, and all we want of
 * it is one number and one name at a time. Whoever reads walks in and names what it expects:
 *
 *     TRY(json_object(j));
 *     while (json_key(j, &key))
 *         if (json_is(key, "layers")) TRY(json_u32(j, 1, 1024, &layers));
 *         else TRY(json_skip(j));
 *     TRY(json_done(j));
 *
 * Memory:  the text is the caller's and not changed. Only strings with escapes are copied, into one buffer of the
 *          reader: a string is good until the next one is read.
 * Errors:  E_FILE with the source, the line, and what was found and wanted; once one happened every call returns it. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH 32

enum json_kind { JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_TRUTH, JSON_NULL, JSON_NOTHING };

struct json_text {
    const char *text; /* UTF-8, not NUL-terminated, may hold any byte */
    size_t n;
};

struct json {
    const char *begin, *at, *end;
    const char *from; /* for sentences */
    size_t line;      /* of the source where the text begins; json_begin says 1 */
    char *scratch;
    size_t scratch_room;
    int depth;
    int code; /* the first error; every call returns it */
    char open[JSON_DEPTH];   /* '{' or '[' */
    bool first[JSON_DEPTH];  /* nothing was read in there yet */
    struct err *why;
};

void json_begin(struct json *j, const char *text, size_t n, const char *from, struct err *why);
void json_end(struct json *j); /* frees; may be called twice */

/* What comes next; JSON_NOTHING if it is not a value. */
enum json_kind json_peek(struct json *j);

int json_object(struct json *j);
bool json_key(struct json *j, struct json_text *key); /* false at the closing brace, and after an error */
int json_array(struct json *j);
bool json_item(struct json *j);
int json_done(const struct json *j); /* after the loop: the error, if one ended it */

int json_string(struct json *j, struct json_text *out);
int json_u32(struct json *j, uint32_t least, uint32_t most, uint32_t *out);
int json_u64(struct json *j, uint64_t *out); /* exact; no sign, point or exponent */
int json_i64(struct json *j, int64_t *out); /* the same with a sign */
int json_double(struct json *j, double *out);
int json_truth(struct json *j, bool *out);
int json_skip(struct json *j); /* a whole value of any kind, checked all the same */
int json_finish(struct json *j); /* nothing but white space may follow */

static inline bool json_is(struct json_text s, const char *word)
{
    return s.n == __builtin_strlen(word) && !__builtin_memcmp(s.text, word, s.n);
}

/* An E_FILE sentence that begins with source and line. */
int json_fail(struct json *j, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A copy of `s` fit for sentences: printable, shortened. Returns out. */
char *json_plain(char out[64], struct json_text s);

/* `text` in quotes, as JSON wants it; UTF-8 is passed on. */
void json_print_text(FILE *to, const char *text);
void json_print_bytes(FILE *to, const char *text, size_t n);
