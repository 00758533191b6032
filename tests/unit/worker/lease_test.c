/* tests/unit/worker/lease_test.c — whose silence counts. */
#include "tests/support/check.h"

#include "worker/lease.h"

#define S 1000000000ull

/* Whether it is over at some look, twice a second, from second `from` to second `to`. */
static bool over_within(struct lease *l, uint64_t from, uint64_t to)
{
    for (uint64_t t = from * S; t <= to * S; t += S / 2)
        if (lease_over(l, t)) return true;
    return false;
}

TEST(a_coordinator_that_is_silent_while_one_listens_is_gone)
{
    struct lease l;
    lease_heard(&l, 5 * S);
    CHECK(!over_within(&l, 5, 35) && over_within(&l, 35, 36));
    lease_heard(&l, 37 * S);
    CHECK(!over_within(&l, 37, 67) && over_within(&l, 67, 68));
}

TEST(a_worker_that_did_not_listen_cannot_say_that_others_were_silent)
{
    struct lease l;
    lease_heard(&l, 5 * S);
    CHECK(!over_within(&l, 5, 20) && !over_within(&l, 500, 530), "it was stopped for eight minutes");
    CHECK(over_within(&l, 530, 531), "and then for as long as ever");
}
