/* base/mapped.c — see mapped.h. */
#include "base/mapped.h"

#include "base/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_and_map(struct mapped *m, const char *path, uint64_t most, struct err *why)
{
    struct stat st;
    m->path = strdup(path);
    if (!m->path) return fail(why, E_MEMORY, "no memory to open %s", path);
    m->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (m->fd < 0) return fail_errno(why, E_FILE, "cannot open %s", path);
    inputs_add(path);
    if (fstat(m->fd, &st)) return fail_errno(why, E_FILE, "cannot look at %s", path);
    if (!S_ISREG(st.st_mode)) return fail(why, E_FILE, "%s is not a file", path);
    if ((uint64_t)st.st_size > most)
        return fail(why, E_FILE, "%s has %lld bytes; wanted at most %" PRIu64, path, (long long)st.st_size, most);
    m->data = (const uint8_t *)"";
    if (!st.st_size) return 0;
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, m->fd, 0);
    if (map == MAP_FAILED) return fail_errno(why, E_FILE, "cannot map %s", path);
    m->data = map;
    m->bytes = (uint64_t)st.st_size;
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
    if (m->bytes) munmap((void *)m->data, m->bytes);
    if (m->path && m->fd >= 0) close(m->fd);
    free(m->path);
    *m = (struct mapped){.fd = -1};
}

int mapped_read(const struct mapped *m, uint64_t from, void *out, size_t n, struct err *why)
{
    uint8_t *to = out;
    while (n) {
        ssize_t got = pread(m->fd, to, n, (off_t)from);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(why, E_FILE, "cannot read %s at byte %" PRIu64, m->path, from);
        if (!got)
            return fail(why, E_FILE, "%s ends at byte %" PRIu64 " of %" PRIu64 "; it was cut while it was read",
                        m->path, from, m->bytes);
        to += got;
        from += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
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
