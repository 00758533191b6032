/* tests/unit/base/interrupt_test.c — a signal is remembered, and wakes who waits. */
#include "base/interrupt.h"
#include "tests/support/check.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static bool readable(int ms)
{
    struct pollfd p = {.fd = interrupt_fd(), .events = POLLIN};
    return poll(&p, 1, ms) == 1 && p.revents & POLLIN;
}

/* One claim: what was seen is seen for the life of the process. A Ctrl-C that only asks is not seen; the next is. */
TEST(a_signal_is_remembered_and_wakes_who_waits)
{
    CHECK(interrupt_fd() == -1 && !interrupt_seen());
    interrupt_catch();
    interrupt_catch(); /* again changes nothing */
    CHECK(interrupt_fd() >= 0 && !interrupt_seen() && !*interrupt_flag() && !readable(0));

    interrupt_ask_first(0);
    raise(SIGINT);
    CHECK(interrupt_asked() && !interrupt_seen() && !readable(0));
    interrupt_forget();
    raise(SIGINT);
    CHECK(interrupt_asked() && !interrupt_seen(), "the one before was forgotten");

    errno = ENOENT;
    raise(SIGINT);
    CHECK(errno == ENOENT, "the handler left %d", errno);
    CHECK(interrupt_seen() && *interrupt_flag() && readable(1000));
    raise(SIGTERM);
    CHECK(interrupt_seen() && readable(0) && !strcmp(interrupt_reason(), "interrupted"), "the first counts: %s", interrupt_reason());
}

TEST(a_broken_pipe_is_an_error_and_no_end)
{
    int ends[2];
    interrupt_catch();
    CHECK(!pipe(ends));
    close(ends[0]);
    CHECK(write(ends[1], "x", 1) == -1 && errno == EPIPE);
    close(ends[1]);
}
