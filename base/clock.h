/* base/clock.h — time that only moves forward: nanoseconds since some moment in this machine's past. */
#pragma once

#include <stdint.h>

uint64_t clock_ns(void);
uint64_t clock_thread_ns(void); /* that the calling thread computed */
uint64_t clock_boot_ns(void); /* goes on while the machine sleeps */
void sleep_ns(uint64_t ns); /* may return early when a signal comes */

/* A source of time that a test can hold. What must run in a simulation takes one and never asks clock_ns itself. */
struct clock {
    uint64_t (*now)(void *user);
    void *user;
    uint64_t (*boot)(void *user); /* goes on while the machine sleeps; NULL: it never does */
};
const struct clock *clock_system(void); /* clock_ns, clock_boot_ns */

static inline uint64_t clock_now(const struct clock *c)
{
    return c->now(c->user);
}

static inline uint64_t clock_boot_now(const struct clock *c)
{
    return c->boot ? c->boot(c->user) : c->now(c->user);
}
