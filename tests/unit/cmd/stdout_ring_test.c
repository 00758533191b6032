/* tests/unit/cmd/stdout_ring_test.c — a reader that is slow, or gone, never makes the writer wait. */
#include "coordinator/cmd/stdout_ring.h"
#include "tests/support/check.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

TEST(what_a_slow_reader_does_not_take_waits_in_order_and_the_writer_does_not)
{
    struct stdout_ring *r;
    int ends[2];
    char line[16], got[64];
    CHECK(pipe(ends) == 0);
    NEED(stdout_ring_open(&r, ends[1], why));
    int written = 0;
    while (!stdout_ring_full(r) && written < 1000000) {
        snprintf(line, sizeof line, "%07d\n", written++);
        fputs(line, stdout_ring_stream(r));
        CHECK(!stdout_ring_flush(r, NULL));
    }
    CHECK(written > 10000 && written < 1000000, "full after %d lines", written);
    FILE *reader = fdopen(ends[0], "r");
    for (int i = 0; i < written; i++) {
        CHECK(!stdout_ring_flush(r, NULL));
        if (!fgets(got, sizeof got, reader)) got[0] = 0;
        if (atoi(got) != i) {
            CHECK(false, "line %d came as \"%s\"", i, got);
            break;
        }
    }
    CHECK(stdout_ring_empty(r) && !stdout_ring_full(r));
    stdout_ring_close(&r);
    fclose(reader);
    close(ends[1]);
}

TEST(a_reader_that_goes_away_is_told_and_nothing_is_kept_for_it)
{
    struct stdout_ring *r;
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    CHECK(pipe(ends) == 0);
    NEED(stdout_ring_open(&r, ends[1], why));
    close(ends[0]);
    fputs("hello\n", stdout_ring_stream(r));
    struct err why = {0};
    CHECK(stdout_ring_flush(r, &why) == E_FILE && strstr(why.text, "Broken pipe") && stdout_ring_empty(r), "%s", why.text);
    stdout_ring_close(&r);
    close(ends[1]);
}
