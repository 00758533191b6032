/* base/processor_time.h — whether the threads of this process had to wait for a processor, because others computed on it. */
#pragma once

#include <stdint.h>

struct processor_time {
    uint64_t ran_ns, waited_ns; /* of all threads of this process: running, and ready to run */
    uint64_t stolen, ticks;     /* of all processors: what the machine below this virtual one took, of everything */
};

/* As the kernel has counted so far; zeros where it does not. */
struct processor_time processor_time(void);

/* Of the time between, the share in which those who could have run did not: 0 to 1. */
double processor_time_waited(const struct processor_time *from, const struct processor_time *to);
