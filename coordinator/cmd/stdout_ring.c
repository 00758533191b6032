/* coordinator/cmd/stdout_ring.c — see stdout_ring.h. A reader that can be written to takes PIPE_BUF bytes without waiting, so as many
 * go at a time. A terminal may take less, so it gets a description of its own on which writing does not wait: the one that was given
 * is shared with the shell. */
#define _GNU_SOURCE
#include "coordinator/cmd/stdout_ring.h"

#include "base/clock.h"
#include "base/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FULL_BYTES 65536
#define PATIENCE_NS 500000000ull

struct stdout_ring {
    int fd, own; /* own: of these two the one to be closed, or -1 */
    FILE *stream;
    char *text; /* [first, n) waits */
    size_t first, n, room;
    int failed; /* errno of the write that did, for good */
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

static int reopen_terminal(int fd)
{
    char path[40];
    if (!isatty(fd)) return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int stdout_ring_open(struct stdout_ring **out, int fd, struct err *why)
{
    struct stdout_ring *r = *out = calloc(1, sizeof *r);
    if (!r) return fail(why, E_MEMORY, "no memory for the answer");
    r->own = reopen_terminal(fd);
    r->fd = r->own < 0 ? fd : r->own;
    r->stream = fopencookie(r, "w", (cookie_io_functions_t){.write = keep});
    if (!r->stream) {
        stdout_ring_close(out);
        return fail(why, E_MEMORY, "no memory for the answer");
    }
    setvbuf(r->stream, NULL, _IONBF, 0);
    return 0;
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

int stdout_ring_flush(struct stdout_ring *r, struct err *why)
{
    while (!r->failed && r->first < r->n && takes_more(r)) {
        size_t n = r->n - r->first < PIPE_BUF ? r->n - r->first : PIPE_BUF;
        ssize_t k = write(r->fd, r->text + r->first, n);
        if (k > 0) r->first += (size_t)k;
        else if (k < 0 && errno == EAGAIN) break;
        else if (k < 0 && errno != EINTR) r->failed = errno;
    }
    if (!r->failed) return 0;
    r->first = r->n;
    errno = r->failed;
    return fail_errno(why, E_FILE, "stdout could not be written");
}

/* ---- end ---- */

static void wait_for_reader(struct stdout_ring *r)
{
    uint64_t end = 0, now;
    while (!stdout_ring_flush(r, NULL) && !stdout_ring_empty(r)) {
        now = clock_ns();
        if (interrupt_seen() && !end) end = now + PATIENCE_NS;
        if (end && now >= end) return;
        struct pollfd p[] = {{.fd = r->fd, .events = POLLOUT}, {.fd = end ? -1 : interrupt_fd(), .events = POLLIN}};
        poll(p, 2, end ? (int)((end - now) / 1000000) + 1 : -1);
    }
}

void stdout_ring_close(struct stdout_ring **pr)
{
    struct stdout_ring *r = *pr;
    *pr = NULL;
    if (!r) return;
    wait_for_reader(r);
    if (r->stream) fclose(r->stream);
    if (r->own >= 0) close(r->own);
    free(r->text);
    free(r);
}
