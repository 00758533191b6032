/* base/mapped.c — see mapped.h. */
#include "base/mapped.h"

#include "base/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- a file as it is ---- */

static const char *what_it_is(mode_t mode)
{
    return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

static uint64_t nanoseconds(struct timespec t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int look(int fd, const char *path, struct file_state *out, struct err *why)
{
    struct stat st;
    if (fstat(fd, &st)) return fail_errno(why, E_FILE, "cannot look at %s", path);
    if (!S_ISREG(st.st_mode)) return fail(why, E_FILE, "%s is not a file but %s", path, what_it_is(st.st_mode));
    *out = (struct file_state){st.st_dev, st.st_ino, (uint64_t)st.st_size, nanoseconds(st.st_mtim), nanoseconds(st.st_ctim)};
    return 0;
}

/* O_NONBLOCK: a pipe nobody writes to opens at once, and is refused. Of a file it changes nothing. */
int file_open(int *fd, const char *path, struct file_state *state, struct err *why)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0) return fail_errno(why, E_FILE, "cannot open %s", path);
    int code = look(*fd, path, state, why);
    if (!code) return 0;
    close(*fd);
    *fd = -1;
    return code;
}

int file_unchanged(int fd, const char *path, const struct file_state *was, struct err *why)
{
    struct file_state is;
    TRY(look(fd, path, &is, why));
    if (is.bytes != was->bytes)
        return fail(why, E_FILE, "%s has %" PRIu64 " bytes; it had %" PRIu64 " when it was opened, and must stay as it is", path,
                    is.bytes, was->bytes);
    /* Another name or owner is no harm: a model is replaced by renaming. */
    if (is.written_ns == was->written_ns) return 0;
    return fail(why, E_FILE, "%s was written to since it was opened; its %" PRIu64 " bytes must stay as they are", path, was->bytes);
}

bool file_settled(const struct file_state *s)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return s->changed_ns / 1000000000u + 1 < (uint64_t)now.tv_sec;
}

int file_read(int fd, const char *path, uint64_t from, void *out, size_t n, struct err *why)
{
    const uint64_t end = from + n;
    for (uint8_t *to = out; from < end;) {
        ssize_t got = pread(fd, to, (size_t)(end - from), (off_t)from);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(why, E_FILE, "cannot read %s at byte %" PRIu64, path, from);
        if (!got)
            return fail(why, E_FILE, "%s ends at byte %" PRIu64 ", wanted byte %" PRIu64 "; it was cut while it was read", path, from,
                        end - 1);
        to += got;
        from += (uint64_t)got;
    }
    return 0;
}

/* ---- mappings ---- */

/* The mappings there are, for the handler, which may take no lock. One that finds no place has no name in the sentence. */
static struct map {
    _Atomic(const uint8_t *) at;
    uint64_t bytes;
    const char *path;
} maps[1024];

/* The system's way to say that a mapped file has no such byte any more. */
static void on_missing_page(int number, siginfo_t *info, void *context)
{
    const uint8_t *at = info->si_addr;
    char text[PATH_MAX + 200];
    (void)context;
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        const uint8_t *from = maps[i].at;
        if (!from || at < from || at >= from + maps[i].bytes) continue;
        const int n = snprintf(text, sizeof text, "%s cannot be read at byte %zu of %" PRIu64 ": it was cut while it was read\n",
                               maps[i].path, (size_t)(at - from), maps[i].bytes);
        if (write(STDERR_FILENO, text, (size_t)n) < 0) _exit(E_INTERNAL);
        _exit(E_FILE);
    }
    signal(number, SIG_DFL); /* not ours: it comes again, and ends the process */
}

static void watch_for_missing_pages(void)
{
    const struct sigaction on = {.sa_sigaction = on_missing_page, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &on, NULL);
}

const uint8_t *map_open(int fd, const char *path, uint64_t bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_once(&once, watch_for_missing_pages);
    void *map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        if (maps[i].at) continue;
        maps[i].bytes = bytes;
        maps[i].path = path;
        maps[i].at = map;
        break;
    }
    pthread_mutex_unlock(&lock);
    return map;
}

void map_close(const uint8_t *map, uint64_t bytes)
{
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (maps[i].at == map) maps[i].at = NULL;
    munmap((void *)map, bytes);
}

static int open_and_map(struct mapped *m, const char *path, uint64_t most, struct err *why)
{
    struct file_state state;
    m->path = strdup(path);
    if (!m->path) return fail(why, E_MEMORY, "no memory to open %s", path);
    TRY(file_open(&m->fd, path, &state, why));
    inputs_add(path);
    if (state.bytes > most) return fail(why, E_FILE, "%s has %" PRIu64 " bytes; wanted at most %" PRIu64, path, state.bytes, most);
    m->data = (const uint8_t *)"";
    if (!state.bytes) return 0;
    m->data = map_open(m->fd, m->path, state.bytes);
    if (!m->data) return fail_errno(why, E_FILE, "cannot map %s", path);
    m->bytes = state.bytes;
    return 0;
}

int mapped_open(struct mapped *m, const char *path, uint64_t most, struct err *why)
{
    *m = (struct mapped){.fd = -1};
    int code = open_and_map(m, path, most, why);
    if (code) mapped_close(m);
    return code;
}

void mapped_close(struct mapped *m)
{
    if (m->bytes) map_close(m->data, m->bytes);
    if (m->path && m->fd >= 0) close(m->fd);
    free(m->path);
    *m = (struct mapped){.fd = -1};
}

int mapped_read(const struct mapped *m, uint64_t from, void *out, size_t n, struct err *why)
{
    return file_read(m->fd, m->path, from, out, n, why);
}

void mapped_forget(const void *from, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)from + page - 1) / page * page, end = ((uintptr_t)from + bytes) / page * page;
    if (first < end) madvise((void *)first, end - first, MADV_DONTNEED);
}

char *path_in(const char *dir, const char *name)
{
    size_t n = strlen(dir), room = n + strlen(name) + 2;
    char *path = malloc(room);
    if (path) snprintf(path, room, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
    return path;
}

/* Makes the folder; if it cannot, writing into it will tell. Frees the one it is in. */
static char *folder_in(char *in, const char *name)
{
    char *path = in ? path_in(in, name) : NULL;
    if (path) mkdir(path, 0700);
    free(in);
    return path;
}

char *cache_folder(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/') return folder_in(folder_in(strdup(cache), ""), "gemmapipe");
    return home && home[0] == '/' ? folder_in(folder_in(strdup(home), ".cache"), "gemmapipe") : NULL;
}

bool is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

bool is_file(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode);
}
