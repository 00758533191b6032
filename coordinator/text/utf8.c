/* coordinator/text/utf8.c — see utf8.h. */
#include "coordinator/text/utf8.h"

#include <string.h>

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
