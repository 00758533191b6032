/* coordinator/cmd/line_reader.c — see line_reader.h. */
#include "coordinator/cmd/line_reader.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 300

struct line_reader {
    char *text;     /* [LINE_MOST + 1] */
    size_t n, line; /* bytes held; of the line handed out last */
    bool ended, passing; /* passing over a line that is too long */
};

int stdin_wait(const struct idle *idle, int *ready, struct err *why)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        *ready = poll(&in, 1, WAIT_MS);
        const int reason = errno;
        TRY(idle->turn(idle->user, why));
        if (*ready > 0) return 0;
        if (*ready == 0) continue;
        *ready = 0;
        errno = reason;
        return reason == EINTR ? 0 : fail_errno(why, E_INTERNAL, "cannot wait for stdin");
    }
}

int line_reader_open(struct line_reader **out, struct err *why)
{
    struct line_reader *r = *out = calloc(1, sizeof *r);
    if (r) r->text = malloc(LINE_MOST + 1);
    if (r && r->text) return 0;
    line_reader_close(out);
    return fail(why, E_MEMORY, "no memory for a line");
}

void line_reader_close(struct line_reader **r)
{
    if (*r) free((*r)->text);
    free(*r);
    *r = NULL;
}

/* The bytes up to `stop` are the line, and the one that stands there is its end. */
static struct typed hand_out(struct line_reader *r, size_t stop)
{
    struct typed line = {.what = r->passing ? TYPED_TOO_LONG : TYPED_TEXT, .text = r->text, .n = stop};
    if (line.n && r->text[line.n - 1] == '\r') line.n--;
    r->line = stop < r->n ? stop + 1 : stop;
    r->passing = false;
    return line;
}

int line_reader_next(struct line_reader *r, const struct idle *idle, struct typed *out, struct err *why)
{
    memmove(r->text, r->text + r->line, r->n - r->line);
    r->n -= r->line;
    for (size_t seen = r->line = 0;;) {
        const char *stop = memchr(r->text + seen, '\n', r->n - seen);
        if (stop || (r->ended && (r->n || r->passing))) {
            *out = hand_out(r, stop ? (size_t)(stop - r->text) : r->n);
            return 0;
        }
        *out = (struct typed){.what = TYPED_END};
        if (r->ended) return 0;
        if (r->n > LINE_MOST) r->passing = true, r->n = 0;
        seen = r->n;
        int ready;
        TRY(stdin_wait(idle, &ready, why));
        ssize_t k = ready ? read(STDIN_FILENO, r->text + r->n, LINE_MOST + 1 - r->n) : 0;
        if (k < 0 && errno != EINTR && errno != EAGAIN) return fail_errno(why, E_INTERNAL, "cannot read stdin");
        if (ready && k == 0) r->ended = true;
        if (k > 0) r->n += (size_t)k;
    }
}
