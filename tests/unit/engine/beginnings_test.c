/* tests/unit/engine/beginnings_test.c — what is kept, found and dropped, without workers: rows are sent when the scheduler says so. */
#include "coordinator/engine/live.h"
#include "tests/support/check.h"

#include <stdlib.h>

#define CONTEXT 512

struct room {
    struct engine engine;
    struct pipeline pipe;
};

static struct room *room_open(uint32_t blocks)
{
    struct room *r = calloc(1, sizeof *r);
    struct engine *e = &r->engine;
    const struct pages_stage stage = {.global = 1, .pool = blocks};
    const struct pages_limits pages = {2, CONTEXT, 0, 1, &stage, 1};
    struct scheduler_limits limits = {.slots = 2, .in_flight = 1, .rows = CONTEXT, .context = CONTEXT};
    struct err err = {0}, *why = &err;
    r->pipe.plan.capacity.context = CONTEXT;
    e->pipe = &r->pipe;
    CHECK(!pages_open(&e->pages, &pages, why) && !beginnings_open(&e->beginnings, why), "%s", why->text);
    limits.pages = e->pages;
    CHECK(!scheduler_open(&e->scheduler, &limits, why), "%s", why->text);
    return r;
}

static void room_close(struct room *r)
{
    beginnings_close(&r->engine.beginnings);
    scheduler_close(&r->engine.scheduler);
    pages_close(&r->engine.pages);
    free(r);
}

/* A prompt of `shared` rows of a text and some of its own comes. */
static struct live *come(struct engine *e, uint32_t text, uint32_t shared, uint32_t own)
{
    struct live *a = calloc(1, sizeof *a);
    struct err why;
    a->number = e->next_number++;
    a->ask.most = 1;
    for (uint32_t i = 0; i < shared + 70; i++) CHECK(!ids_push(&a->ids, i < shared ? text : 100000 + own, &why), "%s", why.text);
    beginnings_see(e, a);
    return a;
}

/* It is computed, all of it; returns how many of its rows were there. UINT32_MAX: it waits. */
static uint32_t go(struct engine *e, struct live *a)
{
    struct err err = {0}, *why = &err;
    struct schedule_batch b;
    struct order orders[WIRE_ORDERS];
    uint32_t beginning, rows;
    if (beginnings_wait(e, a) || !beginnings_choose(e, a, 0, &beginning)) return UINT32_MAX;
    rows = beginning == NO_BEGINNING ? 0 : pages_kept(e->pages, beginning);
    CHECK(!schedule_add_behind(e->scheduler, a->number, (uint32_t)a->ids.n, NULL, 0, 0, beginning, why), "%s", why->text);
    beginnings_promise(e, a, rows);
    for (a->sent = rows; a->sent < a->ids.n;) {
        CHECK(schedule_next(e->scheduler, &b) && b.n_moves == 1 && b.moves[0].position == a->sent, "at %u", a->sent);
        a->sent += b.rows;
        if (a->sharing.next && a->sent == a->sharing.next) beginnings_keep(e, a, b.moves[0].slot);
        CHECK(!schedule_done(e->scheduler, b.id, why), "%s", why->text);
        pages_orders(e->pages, orders);
    }
    return rows;
}

static void leave(struct engine *e, struct live *a)
{
    uint64_t who;
    beginnings_break(e, a);
    schedule_leave(e->scheduler, a->number);
    while (schedule_left(e->scheduler, &who)) continue;
    live_free(a);
}

static uint32_t pass(struct engine *e, uint32_t text, uint32_t shared, uint32_t own)
{
    struct live *a = come(e, text, shared, own);
    const uint32_t rows = go(e, a);
    leave(e, a);
    return rows;
}

static uint32_t kept(const struct engine *e)
{
    uint32_t n;
    CHECK(pages_are_free(e->pages, &n));
    return n;
}

TEST(the_third_that_passes_where_two_parted_goes_on_there_and_a_lone_prompt_keeps_nothing)
{
    struct room *r = room_open(1000);
    struct engine *e = &r->engine;
    CHECK(pass(e, 1, 200, 1) == 0 && kept(e) == 0 && pass(e, 1, 200, 2) == 0 && kept(e) == 1);
    CHECK(pass(e, 1, 200, 3) == 192 && pass(e, 1, 100, 4) == 0 && pass(e, 1, 100, 5) == 64, "a shorter one within it");
    CHECK(kept(e) == 2 && pass(e, 2, 200, 6) == 0 && kept(e) == 2);
    CHECK(pass(e, 3, 60, 7) == 0 && pass(e, 3, 60, 8) == 0 && pass(e, 3, 60, 9) == 0 && kept(e) == 2, "less than 64 rows alike");
    room_close(r);
}

TEST(who_comes_while_a_beginning_is_made_waits_and_goes_alone_if_it_is_not)
{
    struct room *r = room_open(1000);
    struct engine *e = &r->engine;
    struct live *a[3];
    uint32_t beginning;
    for (uint32_t i = 0; i < 3; i++) a[i] = come(e, 1, 200, i);
    CHECK(beginnings_choose(e, a[0], 0, &beginning) && beginning == NO_BEGINNING);
    NEED(schedule_add(e->scheduler, a[0]->number, (uint32_t)a[0]->ids.n, NULL, 0, 0, why));
    beginnings_promise(e, a[0], 0);
    a[2]->ask.priority = 1;
    CHECK(a[0]->sharing.next == 192 && go(e, a[1]) == UINT32_MAX && go(e, a[1]) == UINT32_MAX);
    CHECK(beginnings_choose(e, a[2], 0, &beginning), "the urgent wait for nobody less so");
    leave(e, a[0]);
    CHECK(go(e, a[1]) == 0, "it had waited in vain");
    leave(e, a[1]), leave(e, a[2]);
    CHECK(kept(e) == 1 && pass(e, 1, 200, 3) == 192, "and made it for others");
    room_close(r);
}

TEST(of_more_beginnings_than_there_are_numbers_the_longest_unused_goes)
{
    struct room *r = room_open(5000);
    struct engine *e = &r->engine;
    for (uint32_t text = 0; text < WIRE_BEGINNINGS; text++) CHECK(pass(e, text, 80, 1) == 0 && pass(e, text, 80, 2) == 0);
    CHECK(kept(e) == WIRE_BEGINNINGS && pass(e, 0, 80, 3) == 64);
    CHECK(pass(e, 1000, 80, 1) == 0 && pass(e, 1000, 80, 2) == 0 && pass(e, 1000, 80, 3) == 64 && kept(e) == WIRE_BEGINNINGS);
    CHECK(pass(e, 0, 80, 4) == 64 && pass(e, 2, 80, 3) == 64 && pass(e, 1, 80, 3) == 0, "the second was unused for longest");
    room_close(r);
}
