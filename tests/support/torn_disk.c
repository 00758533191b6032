/* tests/support/torn_disk.c — see torn_disk.h. */
#include "tests/support/torn_disk.h"

#include "tests/support/hash_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int stopped(struct torn_disk *d)
{
    d->stopped = true;
    errno = EIO;
    return -1;
}

/* Whether it stops with this. */
static bool stops(struct torn_disk *d)
{
    return d->stops_in && !--d->stops_in;
}

static int open_to_append(void *user, const char *path)
{
    struct torn_disk *d = user;
    struct stat st;
    d->file = disk_system()->open_to_append(NULL, path);
    const bool other = d->file >= 0 && !fstat(d->file, &st) && (uint64_t)st.st_size != d->bytes;
    if (other) d->bytes = d->synced = (uint64_t)st.st_size; /* it was repaired */
    return d->file;
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
    if (d->stopped) return stopped(d);
    const bool last = stops(d);
    const size_t part = n > 1 && (d->full || last || !dice(d->dice, 8)) ? dice(d->dice, (uint32_t)n) : n;
    if (d->full && !last && (!part || !dice(d->dice, 2))) {
        d->refused++;
        errno = ENOSPC;
        return -1;
    }
    const ssize_t wrote = disk_system()->append(NULL, fd, bytes, part ? part : n);
    if (wrote > 0 && fd == d->file) d->bytes += (uint64_t)wrote;
    return last ? stopped(d) : wrote;
}

static int sync_file(void *user, int fd)
{
    struct torn_disk *d = user;
    if (d->stopped || stops(d)) return stopped(d);
    if (fd == d->file) d->synced = d->bytes;
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

/* What there was room for, and was not written, is read as zeros. */
static int lose(const struct torn_disk *d, uint64_t from, uint64_t end)
{
    static const char zeros[4096];
    const int fd = open(d->path, O_WRONLY | O_CLOEXEC);
    int code = fd < 0 ? -1 : 0;
    for (uint64_t at = from; at < end && !code; at += sizeof zeros) {
        const size_t n = end - at < sizeof zeros ? (size_t)(end - at) : sizeof zeros;
        code = pwrite(fd, zeros, n, (off_t)at) == (ssize_t)n ? 0 : -1;
    }
    if (fd >= 0) close(fd);
    return code;
}

void torn_disk_crash(struct torn_disk *d)
{
    const uint64_t unsynced = d->bytes - d->synced, cut = d->synced + (unsynced ? dice(d->dice, (uint32_t)unsynced + 1) : 0);
    const uint32_t how = dice(d->dice, 6);
    const bool torn = cut < d->bytes, room = torn && how < 2;
    const bool hole = torn && !how && cut > d->synced && d->synced; /* the first record is no larger than what a disk writes at once */
    d->torn += torn;
    d->holes += hole;
    d->holed |= hole;
    if (hole ? lose(d, d->synced, cut) : truncate(d->path, (off_t)cut) || (room && truncate(d->path, (off_t)d->bytes))) perror(d->path);
    d->bytes = d->synced = room ? d->bytes : cut;
    d->stops_in = 0;
    d->stopped = false;
}
