/* coordinator/cmd/chat_history.c — see chat_history.h.
 *
 * A line is written with one call at the end of the file, under a lock, so that lines of several chats stand one after the other. A
 * file that has become long is replaced by its end under another inode; who waited for the lock of the old one opens the new one. */
#include "coordinator/cmd/chat_history.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST (1u << 20)
#define READ_MOST (FILE_MOST / 2) /* of its end, and what is left when it is shortened */
#define ENTRY_MOST 65536          /* longer ones are not written */
#define TRIES 5

struct chat_history {
    char path[PATH_MAX]; /* empty: there is no file */
    char **entry;        /* [n], the newest last */
    size_t n, room;
};

/* The folder, with those above it up to the one that the environment names; a home that is not there is not made. An empty path if
 * there is none. */
static void find_path(char path[PATH_MAX])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    const bool named = state && *state == '/';
    int n = -1;
    if (named) n = snprintf(path, PATH_MAX, "%s/gemmapipe/chat_history", state);
    else if (home && *home == '/') n = snprintf(path, PATH_MAX, "%s/.local/state/gemmapipe/chat_history", home);
    if (n < 0 || n >= PATH_MAX - 8) {
        *path = 0;
        return;
    }
    const char *given = named ? strrchr(state, '/') : NULL;
    for (char *slash = path + (given ? given - state : (long)strlen(home)) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(path, 0700); /* it is there, or opening the file says why it cannot be */
    }
}

static void keep(struct chat_history *h, char *text)
{
    if (text && h->n == h->room) {
        const size_t room = h->room ? 2 * h->room : 64;
        char **more = realloc(h->entry, room * sizeof *more);
        if (more) h->entry = more, h->room = room;
    }
    if (text && h->n < h->room) h->entry[h->n++] = text;
    else free(text);
}

/* ---- an entry as a line: \n and \\ for what a line cannot hold ---- */

static char *as_line(const char *text, size_t *n)
{
    char *line = malloc(2 * strlen(text) + 2), *to = line;
    for (; line && *text; text++) {
        if (*text == '\n' || *text == '\\') *to++ = '\\';
        *to++ = *text == '\n' ? 'n' : *text;
    }
    if (line) *to++ = '\n', *n = (size_t)(to - line);
    return line;
}

static char *as_text(const char *line, size_t n)
{
    char *text = malloc(n + 1), *to = text;
    for (size_t i = 0; text && i < n && line[i]; i++) {
        const bool escaped = line[i] == '\\' && i + 1 < n;
        if (escaped) i++;
        *to++ = escaped && line[i] == 'n' ? '\n' : line[i];
    }
    if (text) *to = 0;
    return text;
}

/* ---- the file ---- */

/* Opened and locked; -1 with errno. */
static int open_locked(const char *path)
{
    for (int i = 0; i < TRIES; i++) {
        struct stat mine, there;
        const int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600);
        if (fd < 0) return -1;
        errno = EINVAL;
        const bool ours = !fstat(fd, &mine) && S_ISREG(mine.st_mode) && !fchmod(fd, 0600) && !flock(fd, LOCK_EX);
        if (ours && !stat(path, &there) && there.st_ino == mine.st_ino && there.st_dev == mine.st_dev) return fd;
        const int reason = errno;
        close(fd);
        errno = reason;
        if (!ours) return -1;
    }
    return -1;
}

/* Its last bytes from the beginning of a line; the caller frees them. */
static char *read_end(int fd, size_t *n, off_t *size)
{
    *n = 0;
    *size = lseek(fd, 0, SEEK_END);
    const off_t from = *size > READ_MOST ? *size - READ_MOST : 0;
    char *text = malloc(READ_MOST);
    ssize_t k = text ? pread(fd, text, READ_MOST, from) : -1;
    if (k <= 0) return text;
    *n = (size_t)k;
    const char *whole = from ? memchr(text, '\n', *n) : NULL;
    if (whole) {
        *n -= (size_t)(whole + 1 - text);
        memmove(text, whole + 1, *n);
    }
    return text;
}

static bool replace(const char *path, const char *text, size_t n)
{
    char new[PATH_MAX + 8];
    snprintf(new, sizeof new, "%s.new", path);
    const int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    const bool written = fd >= 0 && write(fd, text, n) == (ssize_t)n;
    if (fd >= 0) close(fd);
    if (written && !rename(new, path)) return true;
    if (fd >= 0) unlink(new);
    return false;
}

/* Said once; from then on there is no file. */
static void give_up(struct chat_history *h)
{
    log_warn("what is typed is not kept in %s: %s", h->path, errno == EINVAL ? "it is no regular file" : strerror(errno));
    *h->path = 0;
}

static void load(struct chat_history *h)
{
    size_t n;
    off_t size;
    const int fd = open_locked(h->path);
    if (fd < 0) {
        give_up(h);
        return;
    }
    char *text = read_end(fd, &n, &size);
    if (text && size > FILE_MOST && !replace(h->path, text, n)) give_up(h);
    close(fd);
    for (size_t at = 0; at < n;) {
        const char *stop = memchr(text + at, '\n', n - at);
        const size_t line = stop ? (size_t)(stop - text) - at : n - at;
        if (line) keep(h, as_text(text + at, line));
        at += line + 1;
    }
    free(text);
}

struct chat_history *chat_history_open(void)
{
    struct chat_history *h = calloc(1, sizeof *h);
    if (h) find_path(h->path);
    if (h && *h->path) load(h);
    return h;
}

void chat_history_close(struct chat_history **ph)
{
    struct chat_history *h = *ph;
    *ph = NULL;
    if (!h) return;
    for (size_t i = 0; i < h->n; i++) free(h->entry[i]);
    free(h->entry);
    free(h);
}

void chat_history_add(struct chat_history *h, const char *text)
{
    size_t n = 0;
    if (!h || (h->n && !strcmp(h->entry[h->n - 1], text))) return;
    keep(h, strdup(text));
    if (!*h->path || strlen(text) > ENTRY_MOST) return;
    char *line = as_line(text, &n);
    const int fd = line ? open_locked(h->path) : -1;
    if (line && (fd < 0 || write(fd, line, n) != (ssize_t)n)) give_up(h);
    if (fd >= 0) close(fd);
    free(line);
}

size_t chat_history_size(const struct chat_history *h)
{
    return h ? h->n : 0;
}

const char *chat_history_back(const struct chat_history *h, size_t steps)
{
    return h->entry[h->n - steps];
}
