/* coordinator/cmd/stdout_ring.c — see stdout_ring.h. A reader that can be written to takes PIPE_BUF bytes without waiting, so as many
 * go at a time. */
#define _GNU_SOURCE
#include "coordinator/cmd/stdout_ring.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FULL_BYTES 65536

struct stdout_ring {
    int fd;
    FILE *stream;
    char *text; /* [first, n) waits */
    size_t first, n, room;
    bool gone;
};

/* Of fopencookie: takes everything or fails. */
static ssize_t keep(void *cookie, const char *text, size_t n)
{
    struct stdout_ring *r = cookie;
    if (r->first == r->n) r->first = r->n = 0;
    if (r->n + n > r->room) {
        size_t room = 2 * (r->n + n);
        char *more = realloc(r->text, room);
        if (!more) return 0;
        r->text = more;
        r->room = room;
    }
    memcpy(r->text + r->n, text, n);
    r->n += n;
    return (ssize_t)n;
}

int stdout_ring_open(struct stdout_ring **out, int fd, struct err *why)
{
    struct stdout_ring *r = *out = calloc(1, sizeof *r);
    if (!r) return fail(why, E_MEMORY, "no memory for the answer");
    r->fd = fd;
    r->stream = fopencookie(r, "w", (cookie_io_functions_t){.write = keep});
    if (!r->stream) {
        stdout_ring_close(out);
        return fail(why, E_MEMORY, "no memory for the answer");
    }
    setvbuf(r->stream, NULL, _IONBF, 0);
    return 0;
}

void stdout_ring_close(struct stdout_ring **pr)
{
    struct stdout_ring *r = *pr;
    *pr = NULL;
    if (!r) return;
    if (r->stream) fclose(r->stream);
    free(r->text);
    free(r);
}

FILE *stdout_ring_stream(struct stdout_ring *r)
{
    return r->stream;
}

bool stdout_ring_full(const struct stdout_ring *r)
{
    return r->n - r->first >= FULL_BYTES;
}

bool stdout_ring_empty(const struct stdout_ring *r)
{
    return r->n == r->first;
}

static bool takes_more(const struct stdout_ring *r)
{
    struct pollfd p = {.fd = r->fd, .events = POLLOUT};
    return poll(&p, 1, 0) > 0;
}

bool stdout_ring_flush(struct stdout_ring *r)
{
    while (!r->gone && r->first < r->n && takes_more(r)) {
        size_t n = r->n - r->first < PIPE_BUF ? r->n - r->first : PIPE_BUF;
        ssize_t k = write(r->fd, r->text + r->first, n);
        if (k > 0) r->first += (size_t)k;
        else if (k < 0 && errno == EAGAIN) break;
        else if (k < 0 && errno != EINTR) r->gone = true;
    }
    if (r->gone) r->first = r->n;
    return !r->gone;
}
