/* coordinator/picture/image_read.c — a picture's bytes from a file, stdin or a data URL. Never more of them than allowed: a
 * regular file is judged by its size, a pipe when it has given one byte too many, a data URL by its length. */
#include "coordinator/picture/image.h"

#include "base/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_ROOM 65536

static int too_large(const char *name, size_t most, struct err *why)
{
    return fail(why, E_FILE, "%s has more than the %zu bytes a picture may have", name, most);
}

/* Room for the file and the one byte whose absence shows the end; a pipe's doubles. */
static int grow(struct image_bytes *out, size_t *room, size_t most, struct err *why)
{
    size_t more = *room ? *room * 2 : FIRST_ROOM;
    if (more > most + 1) more = most + 1;
    uint8_t *data = realloc(out->data, more);
    if (!data) return fail(why, E_MEMORY, "no memory for %zu bytes of %s", more, out->name);
    out->data = data;
    *room = more;
    return 0;
}

static int read_all(struct image_bytes *out, int fd, size_t expected, size_t most, struct err *why)
{
    size_t room = expected / 2 + 1; /* grow doubles it */
    while (true) {
        if (!out->data || out->n == room) TRY(grow(out, &room, most, why));
        ssize_t got = read(fd, out->data + out->n, room - out->n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(why, E_FILE, "cannot read %s", out->name);
        if (got == 0) return 0;
        out->n += (size_t)got;
        if (out->n > most) return too_large(out->name, most, why);
    }
}

static int read_fd(struct image_bytes *out, int fd, size_t most, struct err *why)
{
    struct stat st;
    if (fstat(fd, &st)) return fail_errno(why, E_FILE, "cannot look at %s", out->name);
    if (S_ISDIR(st.st_mode)) return fail(why, E_FILE, "%s is a directory, not a picture", out->name);
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > most)
        return fail(why, E_FILE, "%s has %lld bytes; a picture may have %zu", out->name, (long long)st.st_size, most);
    return read_all(out, fd, S_ISREG(st.st_mode) ? (size_t)st.st_size : FIRST_ROOM, most, why);
}

static int read_file(struct image_bytes *out, const char *path, size_t most, struct err *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno(why, E_FILE, "cannot open the picture %s", path);
    inputs_add(path);
    int code = read_fd(out, fd, most, why);
    close(fd);
    return code;
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
    if (!strcmp(where, "-")) {
        bytes.name = "the picture on stdin";
        code = read_fd(&bytes, STDIN_FILENO, most, why);
    } else if (!strncasecmp(where, "data:", 5)) {
        bytes.name = "the data URL";
        code = read_data_url(&bytes, where, most, why);
    } else {
        code = read_file(&bytes, where, most, why);
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
