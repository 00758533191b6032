/* base/interrupt.c — see interrupt.h. The handler does only what a handler may: it sets a flag and writes eight bytes. */
#include "base/interrupt.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static volatile sig_atomic_t seen, asked, asks_first, asks_too;
static volatile sig_atomic_t wake = -1;

static void on_signal(int number)
{
    const int reason = errno; /* of whatever was interrupted */
    const uint64_t one = 1;
    if ((number == SIGINT || number == asks_too) && asks_first && !asked) {
        asked = 1;
        return;
    }
    if (!seen) seen = number;
    if (wake >= 0 && write(wake, &one, sizeof one) < 0) errno = 0; /* full: then it is readable already */
    errno = reason;
}

void interrupt_catch(void)
{
    const struct sigaction on = {.sa_handler = on_signal};
    if (wake < 0) wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigaction(SIGINT, &on, NULL);
    sigaction(SIGTERM, &on, NULL);
    sigaction(SIGUSR1, &on, NULL);
    struct sigaction before;
    if (!sigaction(SIGHUP, NULL, &before) && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &on, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool interrupt_seen(void)
{
    return seen;
}

const char *interrupt_reason(void)
{
    switch (seen) {
    case SIGTERM: return "told to end (SIGTERM)";
    case SIGUSR1: return "told to end (SIGUSR1)";
    case SIGHUP: return "the terminal that this was started from is gone (SIGHUP); started with nohup it goes on";
    default: return "interrupted";
    }
}

int interrupt_fd(void)
{
    return wake;
}

const volatile sig_atomic_t *interrupt_flag(void)
{
    return &seen;
}

void interrupt_ask_first(int too)
{
    asks_too = too;
    asks_first = 1;
}

bool interrupt_asked(void)
{
    return asked;
}

void interrupt_forget(void)
{
    asked = 0;
}
