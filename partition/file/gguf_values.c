/* partition/file/gguf_values.c — metadata by name, with its kind checked; and as text for people.
 *
 * Everything was walked and bounded when the file was opened, so values here are only interpreted. */
#include "partition/file/gguf_parse.h"

#include "base/half.h"
#include "base/plain_text.h"
#include "base/utf8_read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *kind(const struct gguf_key *k)
{
    return gguf_value_names[k->type];
}

static int find(const struct gguf *g, const char *key, const struct gguf_key **out, struct err *why)
{
    *out = gguf_file_key(&g->files[0], key);
    return *out ? 0 : fail(why, E_FILE, "%s has no key %s", g->files[0].path, key);
}

/* The value as a signed or unsigned 64-bit number; false if it is not a whole number. */
static bool whole(uint32_t type, const uint8_t *p, uint64_t *bits, bool *negative)
{
    *negative = false;
    switch (type) {
    case GGUF_U8: case GGUF_U16: case GGUF_U32: case GGUF_U64:
        *bits = le_of(p, gguf_value_bytes[type]);
        return true;
    case GGUF_I8: case GGUF_I16: case GGUF_I32: case GGUF_I64: {
        unsigned spare = 64 - 8 * gguf_value_bytes[type];
        int64_t v = (int64_t)(le_of(p, gguf_value_bytes[type]) << spare) >> spare;
        *bits = (uint64_t)v;
        *negative = v < 0;
        return true;
    }
    default: return false;
    }
}

static double f64_at(const uint8_t *p)
{
    uint64_t bits = le_of(p, 8);
    double d;
    memcpy(&d, &bits, 8);
    return d;
}

int gguf_key_u64(const struct gguf_file *f, const struct gguf_key *k, uint64_t *out, struct err *why)
{
    bool negative;
    if (!whole(k->type, k->value, out, &negative))
        return fail(why, E_FILE, "%s: %s is of kind %s, wanted a whole number", f->path, k->name, kind(k));
    if (negative)
        return fail(why, E_FILE, "%s: %s is %" PRId64 ", wanted a number that is not negative", f->path, k->name,
                    (int64_t)*out);
    return 0;
}

bool gguf_has(const struct gguf *g, const char *key)
{
    return gguf_file_key(&g->files[0], key) != NULL;
}

int gguf_u64(const struct gguf *g, const char *key, uint64_t *out, struct err *why)
{
    const struct gguf_key *k;
    TRY(find(g, key, &k, why));
    return gguf_key_u64(&g->files[0], k, out, why);
}

int gguf_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *why)
{
    uint64_t v;
    TRY(gguf_u64(g, key, &v, why));
    if (v > UINT32_MAX) return fail(why, E_FILE, "%s: %s is %" PRIu64 ", which is absurd", g->files[0].path, key, v);
    *out = (uint32_t)v;
    return 0;
}

int gguf_f32(const struct gguf *g, const char *key, float *out, struct err *why)
{
    const struct gguf_key *k;
    TRY(find(g, key, &k, why));
    if (k->type == GGUF_F32) *out = f32_from_bits((uint32_t)le_of(k->value, 4));
    else if (k->type == GGUF_F64) *out = (float)f64_at(k->value);
    else return fail(why, E_FILE, "%s: %s is of kind %s, wanted f32", g->files[0].path, key, kind(k));
    return 0;
}

int gguf_bool(const struct gguf *g, const char *key, bool *out, struct err *why)
{
    const struct gguf_key *k;
    TRY(find(g, key, &k, why));
    if (k->type != GGUF_BOOL)
        return fail(why, E_FILE, "%s: %s is of kind %s, wanted bool", g->files[0].path, key, kind(k));
    *out = *k->value;
    return 0;
}

int gguf_text(const struct gguf *g, const char *key, struct gguf_string *out, struct err *why)
{
    const struct gguf_key *k;
    TRY(find(g, key, &k, why));
    if (k->type != GGUF_STRING)
        return fail(why, E_FILE, "%s: %s is of kind %s, wanted string", g->files[0].path, key, kind(k));
    const uint8_t *cursor = k->value;
    *out = gguf_next_string(&cursor);
    return 0;
}

bool gguf_text_is(struct gguf_string s, const char *word)
{
    return s.n == strlen(word) && !memcmp(s.text, word, s.n);
}

const char *gguf_show_text(char out[GGUF_SHOWN], struct gguf_string s)
{
    const size_t n = s.n < GGUF_SHOWN - 1 ? s.n : GGUF_SHOWN - 1;
    for (size_t i = 0; i < n; i++) out[i] = s.text[i] > 0x20 && s.text[i] < 0x7f ? s.text[i] : '?';
    out[n] = 0;
    return out;
}

int gguf_list(const struct gguf *g, const char *key, struct gguf_array *out, struct err *why)
{
    const struct gguf_key *k;
    TRY(find(g, key, &k, why));
    if (k->type != GGUF_ARRAY || k->elem == GGUF_ARRAY)
        return fail(why, E_FILE, "%s: %s is of kind %s, wanted array of numbers or strings", g->files[0].path, key,
                    k->type == GGUF_ARRAY ? "array of arrays" : kind(k));
    *out = (struct gguf_array){k->elem, k->count, k->value};
    return 0;
}

struct gguf_string gguf_next_string(const uint8_t **cursor)
{
    struct gguf_string s = {.text = (const char *)*cursor + 8, .n = le_of(*cursor, 8)};
    *cursor += 8 + s.n;
    return s;
}

/* ---- as text ---- */

struct page {
    char *at, *end;
};

static void put(struct page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct page *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(p->at, (size_t)(p->end - p->at), format, args);
    va_end(args);
    if (n > 0) p->at += n < p->end - p->at ? n : p->end - p->at - 1;
}

/* Foreign text on a terminal: anything that could steer it is shown, not sent. */
static void put_text(struct page *p, struct gguf_string s, size_t most)
{
    put(p, "\"");
    size_t i = 0;
    while (i < s.n && i < most) {
        uint32_t code = 0;
        size_t n = utf8_read(s.text + i, s.n - i, &code);
        if (code < ' ' || is_steering(code)) n = 0;
        if (n) put(p, "%.*s", (int)n, s.text + i);
        else if (s.text[i] == '\n') put(p, "\\n");
        else put(p, "\\x%02x", (uint8_t)s.text[i]);
        i += n ? n : 1;
    }
    put(p, i < s.n ? "…\"" : "\"");
}

static void put_value(struct page *p, uint32_t type, const uint8_t *v)
{
    uint64_t bits;
    bool negative;
    if (whole(type, v, &bits, &negative)) {
        if (negative) put(p, "%" PRId64, (int64_t)bits);
        else put(p, "%" PRIu64, bits);
    } else if (type == GGUF_F32) put(p, "%.9g", (double)f32_from_bits((uint32_t)le_of(v, 4)));
    else if (type == GGUF_F64) put(p, "%.17g", f64_at(v));
    else if (type == GGUF_BOOL) put(p, *v ? "true" : "false");
}

static void put_array(struct page *p, const struct gguf_key *k)
{
    const uint8_t *v = k->value;
    put(p, "%" PRIu64 " × %s", k->count, gguf_value_names[k->elem]);
    if (k->elem == GGUF_ARRAY || !k->count) return;
    put(p, ":");
    for (uint64_t i = 0; i < k->count && i < 6; i++) {
        put(p, " ");
        if (k->elem == GGUF_STRING) put_text(p, gguf_next_string(&v), 24);
        else put_value(p, k->elem, v), v += gguf_value_bytes[k->elem];
    }
    if (k->count > 6) put(p, " …");
}

size_t gguf_key_count(const struct gguf *g)
{
    return g->files[0].n_keys;
}

const char *gguf_key_at(const struct gguf *g, size_t i, uint32_t *type, char *out, size_t out_size)
{
    const struct gguf_key *k = &g->files[0].keys[i];
    if (type) *type = k->type;
    if (!out_size) return k->name;
    struct page p = {out, out + out_size};
    *out = 0;
    const uint8_t *cursor = k->value;
    if (k->type == GGUF_ARRAY) put_array(&p, k);
    else if (k->type == GGUF_STRING) put_text(&p, gguf_next_string(&cursor), 96);
    else put_value(&p, k->type, k->value);
    return k->name;
}
