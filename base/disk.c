/* base/disk.c — see disk.h. */
#define _GNU_SOURCE
#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- the system ---- */

static int system_create(void *user, const char *path)
{
    (void)user;
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

/* Under this path the system shows what a descriptor stands for. */
static void path_of_descriptor(char out[40], int fd)
{
    snprintf(out, 40, "/proc/self/fd/%d", fd);
}

static int system_create_nameless(void *user, const char *folder)
{
    (void)user;
    char link[40];
    const int fd = open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    path_of_descriptor(link, fd);
    if (!access(link, F_OK)) return fd;
    close(fd); /* without /proc it could never be given a name */
    errno = ENOTSUP;
    return -1;
}

static int system_open_to_append(void *user, const char *path)
{
    (void)user;
    return open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

static int system_cut(void *user, int fd, uint64_t bytes)
{
    (void)user;
    return ftruncate(fd, (off_t)bytes);
}

static int system_reserve(void *user, int fd, uint64_t bytes)
{
    (void)user;
    return fallocate(fd, 0, 0, (off_t)bytes);
}

static ssize_t system_append(void *user, int fd, const void *bytes, size_t n)
{
    (void)user;
    return write(fd, bytes, n);
}

static int system_sync(void *user, int fd)
{
    (void)user;
    return fsync(fd);
}

static int system_sync_folder(void *user, const char *folder)
{
    (void)user;
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    const int result = fsync(fd), reason = errno;
    close(fd);
    errno = reason;
    return result;
}

static int system_name(void *user, int fd, const char *path)
{
    (void)user;
    char from[40];
    path_of_descriptor(from, fd);
    return linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

static int system_rename(void *user, const char *from, const char *to)
{
    (void)user;
    return rename(from, to);
}

static int system_remove(void *user, const char *path)
{
    (void)user;
    return unlink(path);
}

static int system_close(void *user, int fd)
{
    (void)user;
    return close(fd);
}

static const struct disk the_system = {
    .create = system_create, .create_nameless = system_create_nameless, .open_to_append = system_open_to_append,
    .cut = system_cut, .reserve = system_reserve, .append = system_append,
    .sync = system_sync, .sync_folder = system_sync_folder, .name = system_name, .rename = system_rename,
    .remove = system_remove, .close = system_close,
};

/* ---- the door ---- */

static const struct disk *now = &the_system;

const struct disk *disk_system(void)
{
    return &the_system;
}

const struct disk *disk_now(void)
{
    return now;
}

void disk_use(const struct disk *disk)
{
    now = disk ? disk : &the_system;
}

int disk_append(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n) {
        const ssize_t wrote = now->append(now->user, fd, at, n);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return -1;
        if (wrote == 0) {
            errno = EIO; /* a disk that takes nothing and names no reason would be asked for ever */
            return -1;
        }
        at += wrote;
        n -= (size_t)wrote;
    }
    return 0;
}

char *disk_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}
