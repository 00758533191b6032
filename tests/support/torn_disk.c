/* tests/support/torn_disk.c — see torn_disk.h. */
#include "tests/support/torn_disk.h"

#include "tests/support/hash_stage.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static int open_to_append(void *user, const char *path)
{
    (void)user;
    return disk_system()->open_to_append(NULL, path);
}

static int cut(void *user, int fd, uint64_t bytes)
{
    struct torn_disk *d = user;
    d->bytes = bytes;
    if (d->synced > bytes) d->synced = bytes;
    return disk_system()->cut(NULL, fd, bytes);
}

/* Sometimes in pieces; and what is full takes what there is room for. */
static ssize_t append(void *user, int fd, const void *bytes, size_t n)
{
    struct torn_disk *d = user;
    const size_t part = n > 1 && (d->full || !dice(d->dice, 8)) ? dice(d->dice, (uint32_t)n) : n;
    if (d->full && (!part || !dice(d->dice, 2))) {
        d->refused++;
        errno = ENOSPC;
        return -1;
    }
    const ssize_t wrote = disk_system()->append(NULL, fd, bytes, part ? part : n);
    if (wrote > 0) d->bytes += (uint64_t)wrote;
    return wrote;
}

static int sync_file(void *user, int fd)
{
    struct torn_disk *d = user;
    (void)fd;
    d->synced = d->bytes;
    return 0;
}

static int sync_folder(void *user, const char *folder)
{
    (void)user, (void)folder;
    return 0;
}

static int close_file(void *user, int fd)
{
    (void)user;
    return disk_system()->close(NULL, fd);
}

void torn_disk_open(struct torn_disk *d, const char *path, uint64_t *dice)
{
    *d = (struct torn_disk){.dice = dice};
    d->table = *disk_system();
    d->table.open_to_append = open_to_append, d->table.cut = cut, d->table.append = append, d->table.sync = sync_file;
    d->table.sync_folder = sync_folder, d->table.close = close_file, d->table.user = d;
    snprintf(d->path, sizeof d->path, "%s", path);
}

void torn_disk_crash(struct torn_disk *d)
{
    const uint64_t unsynced = d->bytes - d->synced, left = d->synced + (unsynced ? dice(d->dice, (uint32_t)unsynced + 1) : 0);
    d->torn += left < d->bytes;
    const bool empty_room = left < d->bytes && !dice(d->dice, 3);
    if (truncate(d->path, (off_t)left) || (empty_room && truncate(d->path, (off_t)d->bytes))) perror(d->path);
    d->bytes = d->synced = empty_room ? d->bytes : left;
}
