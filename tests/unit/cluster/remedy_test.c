/* tests/unit/cluster/remedy_test.c — what is done about a loss, as a table. */
#include "coordinator/cluster/remedy.h"
#include "tests/support/check.h"

#define S 1000000000ull

struct row {
    const char *name;
    struct situation s;
    enum remedy want;
};

static void hold(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const enum remedy got = remedy_of(&rows[i].s);
        CHECK(got == rows[i].want, "%s: %d instead of %d", rows[i].name, (int)got, (int)rows[i].want);
    }
}
#define HOLD(rows) hold(rows, sizeof rows / sizeof *rows)

TEST(a_loss_begins_all_anew_unless_nothing_would_be_better_then)
{
    const struct row rows[] = {
        {"a worker died", {.lost = E_WORKER, .working = true, .outlived = true, .patience_ns = S}, REMEDY_BEGIN_ANEW},
        {"one without a part died", {.lost = E_WORKER, .outlived = true, .patience_ns = S}, REMEDY_CALL},
        {"where all end with one", {.lost = E_WORKER, .working = true, .patience_ns = S}, REMEDY_GIVE_UP},
        {"nobody is to be waited for", {.lost = E_WORKER, .working = true, .outlived = true}, REMEDY_GIVE_UP},
        {"a file is damaged", {.lost = E_FILE, .working = true, .outlived = true, .patience_ns = S}, REMEDY_GIVE_UP},
        {"it has too little memory", {.lost = E_MEMORY, .working = true, .outlived = true, .patience_ns = S}, REMEDY_GIVE_UP},
        {"it broke the protocol", {.lost = E_WIRE, .working = true, .outlived = true, .patience_ns = S, .first = true}, REMEDY_BEGIN_ANEW},
        {"one without a part broke it", {.lost = E_WIRE, .outlived = true, .patience_ns = S}, REMEDY_CALL},
        {"broken where all end with one", {.lost = E_WIRE, .working = true, .patience_ns = S}, REMEDY_GIVE_UP},
        {"busy when it was asked for", {.lost = E_LINK, .outlived = true, .patience_ns = S, .first = true}, REMEDY_GIVE_UP},
        {"busy when it was called later", {.lost = E_LINK, .outlived = true, .patience_ns = S}, REMEDY_CALL},
    };
    HOLD(rows);
}

TEST(at_first_all_are_waited_for_and_later_whoever_comes_soon)
{
    const struct row rows[] = {
        {"first, two of three", {.first = true, .wanted = 3, .all = 3, .here = 2, .hearing_ns = 90 * S}, REMEDY_NONE},
        {"first, all", {.first = true, .wanted = 3, .all = 3, .here = 3}, REMEDY_PLAN},
        {"first, all but the spare one", {.first = true, .wanted = 2, .all = 3, .here = 2, .hearing_ns = S}, REMEDY_NONE},
        {"and it does not come", {.first = true, .wanted = 2, .all = 3, .here = 2, .hearing_ns = SETTLE_NS}, REMEDY_PLAN},
        {"later, as many as were wanted", {.wanted = 2, .all = 3, .here = 2, .patience_ns = 9 * S}, REMEDY_PLAN},
        {"somebody who lives has not answered", {.wanted = 2, .all = 3, .here = 2, .awaited = true, .patience_ns = 9 * S}, REMEDY_NONE},
        {"fewer, and somebody may come", {.wanted = 2, .all = 2, .here = 1, .hearing_ns = S, .patience_ns = 9 * S}, REMEDY_NONE},
        {"fewer, and nobody came", {.wanted = 2, .all = 2, .here = 1, .hearing_ns = SETTLE_NS, .patience_ns = 9 * S}, REMEDY_PLAN},
    };
    HOLD(rows);
}

TEST(too_little_memory_waits_for_others_and_at_last_gives_up)
{
    const struct row rows[] = {
        {"too few", {.wanted = 2, .all = 2, .here = 1, .too_few = true, .hearing_ns = 3 * S, .lost_ns = 3 * S, .patience_ns = 9 * S}, REMEDY_WAIT},
        {"as many, but smaller", {.wanted = 2, .all = 2, .here = 2, .too_few = true, .hearing_ns = 3 * S, .lost_ns = 3 * S, .patience_ns = 9 * S}, REMEDY_WAIT},
        {"nobody", {.wanted = 2, .all = 2, .hearing_ns = 3 * S, .lost_ns = 3 * S, .patience_ns = 9 * S}, REMEDY_WAIT},
        {"nobody for too long", {.wanted = 2, .all = 2, .hearing_ns = 9 * S, .lost_ns = 9 * S, .patience_ns = 9 * S}, REMEDY_GIVE_UP},
        {"too few for too long", {.wanted = 2, .all = 2, .here = 1, .too_few = true, .hearing_ns = S, .lost_ns = 9 * S, .patience_ns = 9 * S}, REMEDY_GIVE_UP},
    };
    HOLD(rows);
}
