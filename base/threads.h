/* base/threads.h — how many cores this process may really use, and what it has used of memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many threads will compute at once: says so, and returns true, if they have fewer cores. */
bool threads_remark(int threads);

/* What control groups allow of the processors' time; all 0 where they set no limit. */
struct time_allowed {
    uint32_t share;  /* thousandths of a core */
    uint32_t period; /* microseconds: so much of it is given at once (cgroup.h) */
    uint32_t tick;   /* microseconds: only so often the system looks whether it is used up, and takes back later what was too much */
    uint64_t group;
};
struct time_allowed time_allowed(void);

/* What the system calls the processor, at most size - 1 bytes; "unknown" where it does not say. */
void processor_name(char *out, size_t size);

bool is_this_host(const char *name); /* the one the system has for this machine */

int cores_allowed(void); /* by the affinity mask and the CPU quotas of control groups (cgroup.h); at least 1 */

/* Call first in main. A thread that waits at an OpenMP barrier spins for milliseconds by default; where stages share
 * cores that starves the thread it waits for (a 4B model took 32 s to load instead of 3). The library reads its settings
 * before main, so this sets them (spin for some microseconds, then sleep) and starts the program anew, once. What the user
 * has set (OMP_WAIT_POLICY, GOMP_SPINCOUNT, KMP_BLOCKTIME) are left alone. */
void threads_wait_politely(char *const argv[]);

uint64_t memory_allowed(void);      /* the smaller of installed memory and what control groups allow, in bytes */
uint64_t peak_resident_bytes(void); /* VmHWM of this process: since its beginning, or */
void peak_resident_begin_anew(void); /* since this was called, if the kernel can */
uint64_t resident_bytes(void);      /* VmRSS of this process */
