/* base/threads.c — see threads.h. */
#define _GNU_SOURCE
#include "base/threads.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int cgroup_cores(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (!f) return 0;
    char quota[32];
    long period = 0;
    int n = fscanf(f, "%31s %ld", quota, &period);
    fclose(f);
    long q = 0;
    if (n != 2 || period <= 0 || sscanf(quota, "%ld", &q) != 1 || q <= 0) return 0;
    return (int)((q + period - 1) / period);
}

int cores_allowed(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int limit = cgroup_cores();
    if (limit > 0 && limit < n) n = limit;
    return n > 0 ? n : 1;
}

uint64_t memory_allowed(void)
{
    uint64_t installed = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "r");
    if (!f) return installed;
    unsigned long long limit = 0;
    int n = fscanf(f, "%llu", &limit);
    fclose(f);
    return n == 1 && limit > 0 && limit < installed ? limit : installed;
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

uint64_t resident_bytes(void)
{
    return status_kb("VmRSS:");
}
