/* tests/unit/base/silence_test.c — whose silence counts. */
#include "tests/support/check.h"

#include "base/silence.h"

#define S 1000000000ull

/* The silence at the last of looks twice a second, from second `from` to second `to`. */
static uint64_t silent_until(struct silence *s, uint64_t from, uint64_t to)
{
    uint64_t ns = 0;
    for (uint64_t t = from * S; t <= to * S; t += S / 2) ns = silence_ns(s, t);
    return ns;
}

TEST(silence_is_counted_from_the_last_word)
{
    struct silence s;
    silence_broken(&s, 5 * S);
    CHECK(silent_until(&s, 5, 35) == 30 * S);
    silence_broken(&s, 37 * S);
    CHECK(silent_until(&s, 37, 38) == S);
}

TEST(who_did_not_listen_cannot_say_that_others_were_silent)
{
    struct silence s;
    silence_broken(&s, 5 * S);
    CHECK(silent_until(&s, 5, 7) == 2 * S);
    CHECK(silent_until(&s, 500, 501) == 4 * S, "it was stopped for eight minutes, of which one second counts");
    CHECK(silence_ns(&s, 400 * S) == 4 * S, "time that goes back is no time");
}
