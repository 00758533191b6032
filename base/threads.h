/* base/threads.h — how many cores this process may really use, and what it has used of memory. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include <stdint.h>

int cores_allowed(void);            /* by the affinity mask and the cgroup's CPU quota; at least 1 */
uint64_t memory_allowed(void);      /* the smaller of installed memory and the cgroup's limit, in bytes */
uint64_t peak_resident_bytes(void); /* VmHWM of this process */
uint64_t resident_bytes(void);      /* VmRSS of this process */

#endif
