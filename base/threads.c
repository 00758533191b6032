/* base/threads.c — see threads.h. */
#define _GNU_SOURCE
#include "base/threads.h"

#include "base/cgroup.h"
#include "base/log.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool is_this_host(const char *name)
{
    char mine[256] = {0};
    return !gethostname(mine, sizeof mine - 1) && !strcmp(mine, name);
}

int cores_allowed(void)
{
    cpu_set_t set;
    const int mine = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const uint64_t limit = cgroup_limits("").cores;
    return limit < (uint64_t)mine ? (int)limit : mine;
}

struct time_allowed time_allowed(void)
{
    const struct cgroup_limits l = cgroup_limits("");
    struct timespec tick = {0};
    if (l.share >= UINT32_MAX || l.period > UINT32_MAX) return (struct time_allowed){0};
    clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
    return (struct time_allowed){(uint32_t)l.share, (uint32_t)l.period, (uint32_t)(tick.tv_nsec / 1000), l.group};
}

/* x86 has a line "model name"; ARM numbers for who made it and which one it is. */
void processor_name(char *out, size_t size)
{
    char line[512], *value;
    size_t k = 0;
    FILE *f = fopen("/proc/cpuinfo", "re");
    *out = 0;
    while (f && fgets(line, sizeof line, f) && *line != '\n') {
        if (!(value = strchr(line, ':'))) continue;
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "model name", 10) && strncmp(line, "CPU implementer", 15) && strncmp(line, "CPU part", 8)) continue;
        k += (size_t)snprintf(out + k, size - k, "%s%s", k ? " " : "", value + 1 + strspn(value + 1, " "));
        if (k >= size) k = size - 1;
    }
    if (f) fclose(f);
    if (!*out) snprintf(out, size, "unknown");
}

bool threads_remark(int threads)
{
    const int cores = cores_allowed();
    if (threads <= cores) return false;
    log_warn("%d threads will compute on %d core%s; as many threads as cores would be faster", threads, cores, cores == 1 ? "" : "s");
    return true;
}

uint64_t memory_allowed(void)
{
    const uint64_t installed = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), limit = cgroup_limits("").memory;
    return limit < installed ? limit : installed;
}

void threads_wait_politely(char *const argv[])
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || getenv("KMP_BLOCKTIME")) return;
    setenv("GOMP_SPINCOUNT", "500", 1); /* GNU's library: turns of a loop of about 15 ns */
    setenv("KMP_BLOCKTIME", "0", 1);     /* LLVM's: milliseconds */
    execv("/proc/self/exe", argv);       /* if that fails the program is only slower */
}

static uint64_t status_kb(const char *key)
{
    FILE *f = fopen("/proc/self/status", "r");
    if (!f) return 0;
    char line[256];
    unsigned long long kb = 0;
    size_t n = strlen(key);
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, key, n) && sscanf(line + n, "%llu", &kb) == 1) break;
    fclose(f);
    return kb * 1024;
}

uint64_t peak_resident_bytes(void)
{
    return status_kb("VmHWM:");
}

void peak_resident_begin_anew(void)
{
    static int fd = -1; /* kept: a worker opens no file to write later on */
    if (fd < 0) fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) (void)!write(fd, "5", 1); /* proc(5): resets the peak */
}

uint64_t resident_bytes(void)
{
    return status_kb("VmRSS:");
}
