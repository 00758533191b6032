/* base/utf8_read.c — see utf8_read.h. */
#include "base/utf8_read.h"

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
