/* tests/support/failing_disk.c — see failing_disk.h. */
#include "tests/support/failing_disk.h"

#include "base/disk.h"

#include <errno.h>

static struct {
    int left, reason;
    bool failed, no_nameless;
    enum disk_call which;
} bad;

static bool fails(enum disk_call which)
{
    if (bad.left <= 0 || --bad.left) return false;
    bad.failed = true;
    bad.which = which;
    errno = bad.reason;
    return true;
}

static int create(void *user, const char *path)
{
    return fails(DISK_CREATE) ? -1 : disk_system()->create(user, path);
}

static int create_nameless(void *user, const char *folder)
{
    if (bad.no_nameless) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return fails(DISK_CREATE_NAMELESS) ? -1 : disk_system()->create_nameless(user, folder);
}

static int open_to_append(void *user, const char *path)
{
    return fails(DISK_OPEN_TO_APPEND) ? -1 : disk_system()->open_to_append(user, path);
}

static int cut(void *user, int fd, uint64_t bytes)
{
    return fails(DISK_CUT) ? -1 : disk_system()->cut(user, fd, bytes);
}

static int reserve(void *user, int fd, uint64_t bytes)
{
    return fails(DISK_RESERVE) ? -1 : disk_system()->reserve(user, fd, bytes);
}

static ssize_t append(void *user, int fd, const void *bytes, size_t n)
{
    if (!fails(DISK_APPEND)) return disk_system()->append(user, fd, bytes, n);
    if (n > 1) disk_system()->append(user, fd, bytes, n / 2);
    errno = bad.reason;
    return -1;
}

static int sync_file(void *user, int fd)
{
    return fails(DISK_SYNC) ? -1 : disk_system()->sync(user, fd);
}

static int sync_folder(void *user, const char *folder)
{
    return fails(DISK_SYNC_FOLDER) ? -1 : disk_system()->sync_folder(user, folder);
}

static int name(void *user, int fd, const char *path)
{
    return fails(DISK_NAME) ? -1 : disk_system()->name(user, fd, path);
}

static int rename_file(void *user, const char *from, const char *to)
{
    return fails(DISK_RENAME) ? -1 : disk_system()->rename(user, from, to);
}

static int remove_file(void *user, const char *path)
{
    return fails(DISK_REMOVE) ? -1 : disk_system()->remove(user, path);
}

/* A file is closed all the same: only what the system had to say is bad. */
static int close_file(void *user, int fd)
{
    const int result = disk_system()->close(user, fd);
    return fails(DISK_CLOSE) ? -1 : result;
}

static const struct disk failing = {
    .create = create, .create_nameless = create_nameless, .open_to_append = open_to_append, .cut = cut, .reserve = reserve, .append = append, .sync = sync_file,
    .sync_folder = sync_folder, .name = name, .rename = rename_file, .remove = remove_file, .close = close_file,
};

void failing_disk_use(int n, int reason)
{
    bad.left = n;
    bad.reason = reason;
    bad.failed = bad.no_nameless = false;
    disk_use(&failing);
}

void failing_disk_without_nameless(void)
{
    bad.no_nameless = true;
}

bool failing_disk_done(enum disk_call *which)
{
    disk_use(NULL);
    *which = bad.which;
    return bad.failed;
}
