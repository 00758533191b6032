/* base/cgroup.c — see cgroup.h.
 *
 * /proc/self/cgroup has a line for each hierarchy, "4:memory:/a/b": version 1 is mounted at /sys/fs/cgroup/memory, by that name.
 * Version 2 has no name, "0::/a/b", and is mounted at /sys/fs/cgroup, or beside version 1 at /sys/fs/cgroup/unified. A container
 * may see the path of its group from outside but only its own group inside: a folder that is not there is passed over, and the walk
 * ends at the mount in any case. */
#define _GNU_SOURCE
#include "base/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* How many of two numbers stand in the file; "max" is none. */
static int numbers_in(const char *folder, const char *name, long long out[2])
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return 0;
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    const int n = fscanf(f, "%lld %lld", &out[0], &out[1]);
    fclose(f);
    return n;
}

static void limit(uint64_t *least, long long to)
{
    if (to > 0 && (uint64_t)to < *least) *least = (uint64_t)to;
}

static uint64_t inode_of(const char *folder)
{
    struct stat st;
    return stat(folder, &st) ? 0 : (uint64_t)st.st_ino;
}

static void limit_time(const char *folder, struct cgroup_limits *out, long long quota, long long period)
{
    if (quota <= 0 || period <= 0) return;
    const uint64_t was = out->share;
    limit(&out->cores, quota / period + (quota % period != 0));
    limit(&out->share, quota / period * 1000 + quota % period * 1000 / period);
    if (out->share < was) out->period = (uint64_t)period, out->group = inode_of(folder);
}

/* The names of both versions do not overlap, so it need not be known which this is. */
static void look_in(const char *folder, struct cgroup_limits *out)
{
    long long n[2], period[2];
    if (numbers_in(folder, "memory.max", n) >= 1) limit(&out->memory, n[0]);
    if (numbers_in(folder, "memory.limit_in_bytes", n) >= 1) limit(&out->memory, n[0]);
    if (numbers_in(folder, "cpu.max", n) == 2) limit_time(folder, out, n[0], n[1]);
    if (numbers_in(folder, "cpu.cfs_quota_us", n) >= 1 && numbers_in(folder, "cpu.cfs_period_us", period) >= 1)
        limit_time(folder, out, n[0], period[0]);
}

static void climb(const char *root, const char *mount, const char *group, struct cgroup_limits *out)
{
    char folder[PATH_MAX];
    const int top = snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s%s", root, *mount ? "/" : "", mount);
    if (top >= (int)sizeof folder || snprintf(folder + top, sizeof folder - (size_t)top, "%s", group) >= (int)sizeof folder - top) return;
    for (char *end; look_in(folder, out), (end = strrchr(folder + top, '/'));) *end = 0;
}

struct cgroup_limits cgroup_limits(const char *root)
{
    struct cgroup_limits out = {UINT64_MAX, UINT64_MAX, UINT64_MAX, 0, 0};
    char path[PATH_MAX], *line = NULL;
    size_t room = 0;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f && getline(&line, &room, f) > 0) {
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        if (!group) continue;
        *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        climb(root, names + 1, group, &out);
        if (!names[1]) climb(root, "unified", group, &out);
    }
    free(line);
    if (f) fclose(f);
    return out;
}
