/* tests/support/torn_disk.h — one file on a disk that can be full, and whose machine can stop in the middle of a write.
 *
 * It lies on the system's own disk, so that whoever reads it needs no seam; but only what was synced survives torn_disk_crash, and of what
 * came after that a part, as far as chance has it, or room for it that was never filled. */
#pragma once

#include "base/disk.h"

#include <stdbool.h>

struct torn_disk {
    struct disk table; /* for disk_use */
    char path[300];
    uint64_t bytes, synced;
    uint64_t *dice;
    bool full;
    uint32_t torn, refused; /* how often that was so */
};

void torn_disk_open(struct torn_disk *d, const char *path, uint64_t *dice); /* there is no file yet */
void torn_disk_crash(struct torn_disk *d); /* whoever wrote is gone, and has closed it */
