/* tests/support/torn_disk.h — a disk that can be full, and whose machine can stop in the middle of a write; with one file of which is looked
 * at what is safe, the one that is appended to.
 *
 * It lies on the system's own disk, so that whoever reads it needs no seam; but only what was synced survives torn_disk_crash, and of what
 * came after that a part, as far as chance has it: its beginning, room for it that was never filled, or its end alone, because that was
 * written earlier. */
#pragma once

#include "base/disk.h"

#include <stdbool.h>

struct torn_disk {
    struct disk table; /* for disk_use */
    char path[300];
    uint64_t bytes, synced;
    uint64_t *dice;
    int file;          /* the one that is appended to */
    bool full;
    uint32_t stops_in; /* writes, and times that it is to be sure of something; then the machine stops. 0: it does not */
    bool stopped;      /* nothing is written any more */
    bool holed;        /* an end survived whose beginning did not */
    uint32_t torn, refused, holes; /* how often that was so */
};

void torn_disk_open(struct torn_disk *d, const char *path, uint64_t *dice); /* there is no file yet */
void torn_disk_crash(struct torn_disk *d); /* whoever wrote is gone, and has closed it; the machine starts again */
