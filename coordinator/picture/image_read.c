/* coordinator/picture/image_read.c — a picture's bytes from a file, stdin or a data URL. Never more of them than allowed: a
 * data URL is judged by its length. */
#include "coordinator/picture/image.h"

#include "base/read_to_end.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int too_large(const char *name, size_t most, struct err *why)
{
    return fail(why, E_FILE, "%s has more than the %zu bytes a picture may have", name, most);
}

/* ---- data:[type][;parameters];base64,DIGITS ---- */

static int digit_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* White space may stand anywhere; padding may be left out. `room` for 3 of 4 bytes of `text`. */
static int decode_base64(struct image_bytes *out, const char *text, struct err *why)
{
    uint32_t bits = 0, held = 0;
    const char *at = text;
    for (; *at && *at != '='; at++) {
        if (strchr(" \t\r\n", *at)) continue;
        int value = digit_value((uint8_t)*at);
        if (value < 0)
            return fail(why, E_USAGE, "%s is not base64: byte 0x%02x at place %zu of its data", out->name, (uint8_t)*at,
                        (size_t)(at - text));
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        out->data[out->n++] = (uint8_t)(bits >> held);
    }
    if (held == 6) return fail(why, E_USAGE, "%s is not base64: one digit is left over at its end", out->name);
    if (at[strspn(at, "= \t\r\n")])
        return fail(why, E_USAGE, "%s is not base64: data go on behind the padding", out->name);
    return 0;
}

static int read_data_url(struct image_bytes *out, const char *url, size_t most, struct err *why)
{
    static const char marker[] = ";base64";
    const char *comma = strchr(url, ',');
    if (!comma) return fail(why, E_USAGE, "%s has no comma, so no data", out->name);
    size_t head = (size_t)(comma - url), tail = sizeof marker - 1;
    if (head < tail || strncasecmp(comma - tail, marker, tail))
        return fail(why, E_USAGE, "%s is not base64: \"data:image/png;base64,…\" is wanted", out->name);
    size_t digits = strlen(comma + 1);
    if (digits / 4 > most / 3 + most / 30)
        return too_large(out->name, most, why); /* a tenth of it may be white space */
    out->data = malloc(digits / 4 * 3 + 3);
    if (!out->data) return fail(why, E_MEMORY, "no memory for the %zu bytes of %s", digits, out->name);
    TRY(decode_base64(out, comma + 1, why));
    return out->n > most ? too_large(out->name, most, why) : 0;
}

int image_read(struct image_bytes *out, const char *where, const struct image_limits *limits, struct err *why)
{
    size_t most = limits ? limits->bytes : IMAGE_LIMITS.bytes;
    struct image_bytes bytes = {.name = where};
    int code;
    if (!strncasecmp(where, "data:", 5)) {
        bytes.name = "the data URL";
        code = read_data_url(&bytes, where, most, why);
    } else {
        char *data;
        if (!strcmp(where, "-")) bytes.name = "the picture on stdin";
        code = read_to_end(where, most, &data, &bytes.n, why);
        bytes.data = (uint8_t *)data;
    }
    if (code) image_bytes_free(&bytes);
    else *out = bytes;
    return code;
}

void image_bytes_free(struct image_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct image_bytes){0};
}
