/* base/cgroup.h — what the system's control groups leave a process: containers, services and job steps are limited by them.
 *
 * A process sees more memory and more cores than its group may use. Who takes more memory is killed without a word; who has more
 * threads than the group has time for stands still with all of them, for most of every tenth of a second. */
#pragma once

#include <stdint.h>

struct cgroup_limits {
    uint64_t memory; /* bytes; UINT64_MAX: no limit */
    uint64_t cores;  /* whole ones that the time allowed is enough for, rounded up; UINT64_MAX: no limit */
    uint64_t share;  /* the same in thousandths of a core */
    uint64_t period; /* microseconds for which that share is given at once: used up, all stands still until the next; 0: no limit */
    uint64_t group;  /* which group that is: whoever has the same on this machine shares its time */
};

/* Of this process's own groups, of version 1 or 2, and all groups above them: the smallest counts. `root` is where /proc and /sys lie:
 * "" outside tests. What cannot be read sets no limit. */
struct cgroup_limits cgroup_limits(const char *root);
