/* base/clock.h — time that only moves forward, in nanoseconds since some moment of this machine. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_ns(void);
void sleep_ns(uint64_t ns);

#endif
