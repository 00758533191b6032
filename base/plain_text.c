/* base/plain_text.c — see plain_text.h. */
#include "base/plain_text.h"

#include "base/utf8_read.h"

#include <stdlib.h>
#include <string.h>

bool is_steering(uint32_t c)
{
    if (c == '\t') return false;
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

size_t plain_text(char *text, size_t n, bool lines)
{
    size_t out = 0;
    uint32_t code = 0;
    for (size_t at = 0, length; at < n; at += length ? length : 1) {
        length = utf8_read(text + at, n - at, &code);
        if (length && (!is_steering(code) || (lines && code == '\n'))) {
            memmove(text + out, text + at, length);
            out += length;
        } else {
            text[out++] = '?';
        }
    }
    return out;
}

FILE *plain_page_open(struct plain_page *p, FILE *to)
{
    *p = (struct plain_page){.to = to};
    p->stream = open_memstream(&p->text, &p->n);
    return p->stream ? p->stream : to; /* without memory rather as it is than not at all */
}

void plain_page_close(struct plain_page *p)
{
    if (!p->stream) return;
    fclose(p->stream);
    if (p->text) fwrite(p->text, 1, plain_text(p->text, p->n, true), p->to);
    free(p->text);
    *p = (struct plain_page){.to = p->to};
}
