/* base/clock.c — see clock.h. */
#include "base/clock.h"

#include <time.h>

uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static uint64_t system_now(void *user)
{
    (void)user;
    return clock_ns();
}

const struct clock *clock_system(void)
{
    static const struct clock system = {.now = system_now};
    return &system;
}

void sleep_ns(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull)};
    nanosleep(&t, 0); /* woken early by a signal: the caller looks round and may sleep again */
}
