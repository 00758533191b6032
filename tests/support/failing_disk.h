/* tests/support/failing_disk.h — the system's disk, but for one call that fails.
 *
 *     for (int n = 1; ; n++) {
 *         failing_disk_use(n, ENOSPC);
 *         int code = write_it();
 *         if (!failing_disk_done(&which)) break;   // fewer than n calls: every failure was seen
 *         CHECK(code == E_FILE);
 *     } */
#pragma once

#include <stdbool.h>

enum disk_call {
    DISK_CREATE, DISK_CREATE_NAMELESS, DISK_RESERVE, DISK_APPEND, DISK_SYNC, DISK_SYNC_FOLDER, DISK_NAME, DISK_RENAME, DISK_REMOVE,
    DISK_CLOSE, DISK_OPEN_TO_APPEND, DISK_CUT, DISK_CALLS,
};

/* From now on the n-th call (from 1) fails with `reason`. An append that fails writes half of its bytes first. */
void failing_disk_use(int n, int reason);
void failing_disk_without_nameless(void); /* such files cannot be had either; after failing_disk_use */
bool failing_disk_done(enum disk_call *which); /* whether the n-th call came, and which it was; the system's own disk is back */
