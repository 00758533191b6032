/* base/clock.c — see clock.h. */
#define _GNU_SOURCE /* CLOCK_BOOTTIME */
#include "base/clock.h"

#include <time.h>

static uint64_t time_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

uint64_t clock_ns(void)
{
    return time_of(CLOCK_MONOTONIC);
}

uint64_t clock_thread_ns(void)
{
    return time_of(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_boot_ns(void)
{
    return time_of(CLOCK_BOOTTIME);
}

static uint64_t system_now(void *user)
{
    (void)user;
    return clock_ns();
}

static uint64_t system_boot(void *user)
{
    (void)user;
    return clock_boot_ns();
}

const struct clock *clock_system(void)
{
    static const struct clock system = {.now = system_now, .boot = system_boot};
    return &system;
}

void sleep_ns(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull)};
    nanosleep(&t, 0); /* woken early by a signal: the caller looks round and may sleep again */
}
