/* base/read_to_end.c — see read_to_end.h. */
#include "base/read_to_end.h"

#include "base/inputs.h"
#include "base/interrupt.h"
#include "base/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_ROOM 65536

/* Until there are bytes, or the end of them, or Ctrl-C. */
static int wait_for_bytes(int fd, const char *name, struct err *why)
{
    struct pollfd either[2] = {{.fd = fd, .events = POLLIN}, {.fd = interrupt_fd(), .events = POLLIN}};
    while (poll(either, 2, -1) < 0)
        if (errno != EINTR) return fail_errno(why, E_FILE, "cannot wait for %s", name);
    return either[1].revents ? fail(why, E_INTERRUPTED, "%s", interrupt_reason()) : 0;
}

static int read_all(int fd, const char *name, size_t most, char **out, size_t *n, struct err *why)
{
    for (size_t room = FIRST_ROOM;; room *= 2) {
        if (room > most) room = most + 1; /* the one byte more shows that there are too many */
        char *more = realloc(*out, room + 1);
        if (!more) return fail(why, E_MEMORY, "no memory for %zu bytes of %s", room, name);
        *out = more;
        while (*n < room) {
            TRY(wait_for_bytes(fd, name, why));
            const ssize_t got = read(fd, *out + *n, room - *n);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return fail_errno(why, E_FILE, "cannot read %s", name);
            *n += (size_t)got;
            (*out)[*n] = 0;
            if (!got) return 0;
        }
        if (*n > most) return fail(why, E_FILE, "%s has more than %zu bytes, the most that are read", name, most);
    }
}

/* A descriptor that was given to this process, as a shell's <(command) is: it may be a pipe, and somebody is at its other end. */
static int is_given(const char *path)
{
    return !strcmp(path, "/dev/stdin") || !strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/proc/self/fd/", 14);
}

static int open_input(int *fd, const char *path, size_t most, struct err *why)
{
    struct file_state state = {0};
    if (is_given(path)) *fd = open(path, O_RDONLY | O_CLOEXEC);
    else TRY(file_open(fd, path, &state, why));
    if (*fd < 0) return fail_errno(why, E_FILE, "cannot open %s", path);
    inputs_add(path);
    if (state.bytes <= most) return 0;
    close(*fd);
    return fail(why, E_FILE, "%s has %llu bytes, wanted at most %zu", path, (unsigned long long)state.bytes, most);
}

int read_to_end(const char *path, size_t most, char **out, size_t *n, struct err *why)
{
    const int standard = !strcmp(path, "-");
    int fd = STDIN_FILENO;
    *out = NULL;
    *n = 0;
    if (standard) inputs_add("/dev/stdin");
    else TRY(open_input(&fd, path, most, why));
    const int code = read_all(fd, standard ? "stdin" : path, most, out, n, why);
    if (!standard) close(fd);
    if (code) {
        free(*out);
        *out = NULL;
    }
    return code;
}
