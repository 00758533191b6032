/* coordinator/text/utf8.c — see utf8.h. */
#include "coordinator/text/utf8.h"

#include <string.h>

static size_t length_promised(uint8_t first)
{
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return 2;
    if (first >= 0xe0 && first <= 0xef) return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* The second byte is where overlong forms, surrogates and too large values show. */
static bool second_fits(uint8_t first, uint8_t second)
{
    uint8_t least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return second >= least && second <= most;
}

/* True if the first n of the bytes promised are as they should be; 1 <= n <= promised. */
static bool begins_well(const uint8_t *s, size_t n)
{
    if (n >= 2 && !second_fits(s[0], s[1])) return false;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return false;
    return true;
}

size_t utf8_read(const char *text, size_t n, uint32_t *code)
{
    const uint8_t *s = (const uint8_t *)text;
    size_t length = n ? length_promised(s[0]) : 0;
    if (!length || n < length || !begins_well(s, length)) return 0;
    uint32_t c = length == 1 ? s[0] : s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) c = c << 6 | (s[i] & 0x3f);
    *code = c;
    return length;
}

bool utf8_valid(const char *s, size_t n)
{
    uint32_t code;
    for (size_t length; n; s += length, n -= length)
        if (!(length = utf8_read(s, n, &code))) return false;
    return true;
}

bool utf8_unfinished(const char *text, size_t n)
{
    const uint8_t *s = (const uint8_t *)text;
    return n && n < length_promised(s[0]) && begins_well(s, n);
}

/* Unicode's Zs, and what has the bidirectional class of white space or separators: Python's str.isspace(). */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* The last character, if the text ends in a whole one. */
static size_t read_last(const char *s, size_t n, uint32_t *code)
{
    for (size_t length = 1; length <= 4 && length <= n; length++)
        if (utf8_read(s + n - length, length, code) == length) return length;
    return 0;
}

void utf8_trim(const char **text, size_t *n)
{
    uint32_t c;
    size_t length;
    while ((length = utf8_read(*text, *n, &c)) && is_space(c)) *text += length, *n -= length;
    while ((length = read_last(*text, *n, &c)) && is_space(c)) *n -= length;
}

static void drop_held(struct utf8_stream *s, size_t n)
{
    s->n_held -= n;
    memmove(s->held, s->held + n, s->n_held);
}

/* Moves what is decided from `held` to `out`. At the end everything is. */
static size_t settle(struct utf8_stream *s, bool at_end, char *out)
{
    size_t n = 0;
    uint32_t code;
    while (s->n_held) {
        size_t length = utf8_read(s->held, s->n_held, &code);
        if (length) {
            memcpy(out + n, s->held, length);
            n += length;
            drop_held(s, length);
            continue;
        }
        if (!at_end && utf8_unfinished(s->held, s->n_held)) break;
        memcpy(out + n, "\xef\xbf\xbd", 3);
        n += 3;
        drop_held(s, 1);
    }
    return n;
}

size_t utf8_stream_push(struct utf8_stream *s, const char *bytes, size_t n, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < n; i++) {
        s->held[s->n_held++] = bytes[i]; /* at most 3 are ever left over */
        written += settle(s, false, out + written);
    }
    return written;
}

size_t utf8_stream_end(struct utf8_stream *s, char *out)
{
    return settle(s, true, out);
}
