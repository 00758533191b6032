/* base/interrupt.c — see interrupt.h. */
#include "base/interrupt.h"

#include <signal.h>

static volatile sig_atomic_t seen;

static void on_signal(int number)
{
    (void)number;
    seen = 1;
}

void interrupt_catch(void)
{
    struct sigaction on = {.sa_handler = on_signal};
    sigaction(SIGINT, &on, 0);
    sigaction(SIGTERM, &on, 0);
    signal(SIGPIPE, SIG_IGN);
}

bool interrupt_seen(void)
{
    return seen;
}
