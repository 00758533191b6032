/* tests/unit/serve/fair_test.c — nobody's flood takes more than its part, and nobody saves up. */
#include "tests/support/check.h"
#include "coordinator/serve/fair.h"

static int one;

/* `times` requests are answered, each of so many tokens for the prompt and half of that made. Counts whose they were. */
static void serve(struct fair *f, int times, const uint64_t *tokens, int *served)
{
    for (int i = 0; i < times; i++) {
        size_t owner;
        if (!fair_take(f, &owner)) return;
        served[owner]++;
        fair_charge(f, owner, tokens[owner], tokens[owner] / 2);
        fair_done(f, owner);
    }
}

static void put(struct fair *f, size_t owner, int times)
{
    for (int i = 0; i < times; i++) NEED(fair_put(f, owner, &one, why));
}

TEST(two_who_flood_get_the_same_tokens_not_the_same_requests)
{
    struct fair *f;
    const uint64_t tokens[] = {100, 300};
    int served[2] = {0};
    NEED(fair_open(&f, 2, why));
    put(f, 0, 1000);
    put(f, 1, 1000);
    serve(f, 400, tokens, served);
    CHECK(served[0] == 300 && served[1] == 100, "%d and %d", served[0], served[1]);
    CHECK(fair_waiting(f) == 1600);
    fair_close(&f);
}

TEST(who_comes_after_a_flood_is_next)
{
    struct fair *f;
    const uint64_t tokens[] = {100, 100};
    int served[2] = {0};
    NEED(fair_open(&f, 2, why));
    put(f, 0, 1000);
    serve(f, 500, tokens, served);
    put(f, 1, 1);
    serve(f, 2, tokens, served);
    CHECK(served[1] == 1 && served[0] == 501, "%d and %d", served[0], served[1]);
    fair_close(&f);
}

TEST(who_was_idle_has_saved_nothing_up)
{
    struct fair *f;
    const uint64_t tokens[] = {100, 100};
    int served[2] = {0};
    NEED(fair_open(&f, 2, why));
    put(f, 0, 2000);
    serve(f, 1000, tokens, served);
    put(f, 1, 1000);
    serve(f, 100, tokens, served);
    CHECK(served[1] >= 49 && served[1] <= 51, "%d of 100", served[1]);
    fair_close(&f);
}

TEST(equals_are_served_in_the_order_they_came)
{
    struct fair *f;
    int items[3];
    size_t owner;
    NEED(fair_open(&f, 3, why));
    NEED(fair_put(f, 2, &items[0], why));
    NEED(fair_put(f, 0, &items[1], why));
    NEED(fair_put(f, 1, &items[2], why));
    for (int i = 0; i < 3; i++) CHECK(fair_take(f, &owner) == &items[i], "number %d was passed over", i);
    CHECK(!fair_take(f, &owner) && !fair_waiting(f));
    fair_close(&f);
}
