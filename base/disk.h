/* base/disk.h — the one door through which files are written that must not be lost.
 *
 * Behind the door is a table of functions, each like the system call of its name: 0, or a number of bytes or a
 * descriptor, and on failure -1 with errno set. A test puts another table there, one whose disk is full at the n-th
 * call or tears a write in two, and so sees every failure a disk can have (tests/support/failing_disk.h).
 *
 * Who writes a file from its beginning to its end wants base/whole_file.h, which stands on this.
 * Threads: the calls are as safe as the system's. disk_use is for a moment when nobody writes. */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct disk {
    int (*create)(void *user, const char *path);              /* for writing; what was there before is gone */
    int (*create_nameless)(void *user, const char *folder);   /* a file that is gone when it is closed without a name */
    int (*open_to_append)(void *user, const char *path);      /* a file to read and to add to; made if there is none */
    int (*cut)(void *user, int fd, uint64_t bytes);           /* only so many stay */
    int (*reserve)(void *user, int fd, uint64_t bytes);       /* takes room for so many */
    ssize_t (*append)(void *user, int fd, const void *bytes, size_t n); /* may write less than it was given */
    int (*sync)(void *user, int fd);                          /* returns when all of it is on the disk */
    int (*sync_folder)(void *user, const char *folder);       /* the same of the names in a folder */
    int (*name)(void *user, int fd, const char *path);        /* of a nameless file; fails if there is such a file */
    int (*rename)(void *user, const char *from, const char *to); /* takes the place of a file that is there */
    int (*remove)(void *user, const char *path);
    int (*close)(void *user, int fd);
    void *user;
};

const struct disk *disk_system(void); /* the system calls themselves */
const struct disk *disk_now(void);    /* what is behind the door: disk_system, unless a test put something else there */
void disk_use(const struct disk *disk); /* not copied; NULL: the system again */

/* All n bytes, in as many pieces as it takes; -1 with errno if one cannot be written. */
int disk_append(int fd, const void *bytes, size_t n);

/* The folder of a path, "." if it names none; NULL without memory. The caller frees it. */
char *disk_folder_of(const char *path);
