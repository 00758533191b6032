/* tests/unit/engine/pages_test.c — the account is never below what a stage holds, which keeps its own book. */
#include "tests/support/check.h"
#include "tests/support/page_book.h"

#define SLOTS 5
#define BEGINNINGS 12

static uint32_t dice(uint64_t *state, uint32_t n)
{
    *state = hash_fold(*state, 1);
    return (uint32_t)((*state >> 32) * n >> 32);
}

/* A stage that has obeyed all orders and seen all rows but those that a slot was only promised. */
struct room {
    struct pages *pages;
    struct book book;
    struct order orders[WIRE_ORDERS];
    uint32_t promised[SLOTS];
    uint32_t refused, kept, begun;
};

static int obey(struct room *r, struct err *why)
{
    const uint32_t n = pages_orders(r->pages, r->orders);
    for (uint32_t i = 0; i < n; i++) TRY(book_order(&r->book, &r->orders[i], why));
    return 0;
}

/* Rows up to `end` go to the stage, under a history that nobody looks into. */
static int go(struct room *r, uint32_t slot, uint32_t end, struct err *why)
{
    struct book_rows *s = &r->book.slot[slot];
    TRY(obey(r, why));
    if (end <= s->rows) return 0;
    s->history = hash_fold(s->history, end);
    return book_rows(&r->book, slot, end - s->rows, why);
}

static void enter(struct room *r, uint32_t slot, uint32_t context, uint64_t *state)
{
    uint32_t beginning = dice(state, 2 * BEGINNINGS), rows = 1 + dice(state, context - 1);
    if (beginning >= BEGINNINGS || !r->book.beginning[beginning].used) beginning = NO_BEGINNING;
    const uint32_t begun = beginning == NO_BEGINNING ? 0 : r->book.beginning[beginning].rows;
    if (rows <= begun) rows = begun + 1;
    if (rows > context || !pages_could_hold(r->pages, beginning, rows)) return;
    if (!pages_enter(r->pages, slot, beginning, rows)) r->refused++;
    else r->promised[slot] = rows, r->begun += begun > 0;
}

static int keep(struct room *r, uint32_t slot, uint32_t beginning, uint64_t *state, struct err *why)
{
    const uint32_t first = r->book.slot[slot].rows / KV_PAGE + 1, last = r->promised[slot] / KV_PAGE;
    if (r->book.beginning[beginning].used || last < first) return 0;
    const uint32_t rows = KV_PAGE * (first + dice(state, last - first + 1));
    TRY(go(r, slot, rows, why));
    r->kept += pages_keep(r->pages, slot, beginning, rows, r->book.slot[slot].history, 900);
    return obey(r, why);
}

static int step(struct room *r, uint32_t context, uint64_t *state, struct err *why)
{
    const uint32_t slot = dice(state, SLOTS), beginning = dice(state, BEGINNINGS);
    const uint32_t more = r->promised[slot] + 1 + dice(state, 100);
    switch (dice(state, 7)) {
    case 0: pages_leave(r->pages, slot, true), r->promised[slot] = 0; break;
    case 1: if (pages_can_drop(r->pages, beginning)) pages_drop(r->pages, beginning); break;
    case 2: return keep(r, slot, beginning, state, why);
    case 3: if (r->promised[slot] && more <= context && pages_grow(r->pages, slot, more)) r->promised[slot] = more; break;
    case 4: if (r->promised[slot]) return go(r, slot, r->promised[slot], why); break;
    default: if (!r->promised[slot]) enter(r, slot, context, state);
    }
    return obey(r, why);
}

TEST(no_stage_ever_holds_more_than_is_counted)
{
    static struct room r;
    uint32_t kept = 0, begun = 0, refused = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t state = seed;
        const uint32_t window = 1 + dice(&state, 300), ring = (window + 100) / KV_PAGE + 2, context = 900, blocks = 15 + dice(&state, 25);
        const struct pages_stage stage = {.global = dice(&state, 3), .local = 1 + dice(&state, 5)};
        struct pages_stage s = stage;
        s.pool = stage.global * blocks + stage.local * (blocks < SLOTS * ring ? blocks : SLOTS * ring);
        const struct pages_limits limits = {SLOTS, context, window, ring < 15 ? ring : 15, &s, 1};
        memset(&r, 0, sizeof r);
        NEED(pages_open(&r.pages, &limits, why));
        book_open(&r.book, &s, &limits);
        for (int i = 0; i < 600; i++) {
            struct err e = {0};
            CHECK(!step(&r, context, &state, &e), "seed %llu, step %d: %s", (unsigned long long)seed, i, e.text);
            if (e.code) return;
        }
        for (uint32_t i = 0; i < SLOTS; i++) pages_leave(r.pages, i, true);
        for (int round = 0; round < BEGINNINGS; round++)
            for (uint32_t i = 0; i < BEGINNINGS; i++)
                if (pages_can_drop(r.pages, i)) pages_drop(r.pages, i);
        NEED(obey(&r, why));
        uint32_t left;
        CHECK(pages_are_free(r.pages, &left) && !left && !r.book.in_use[0] && !r.book.in_use[1], "seed %llu: %u beginnings are left",
              (unsigned long long)seed, left);
        pages_close(&r.pages);
        kept += r.kept, begun += r.begun, refused += r.refused;
    }
    CHECK(kept > 1000 && begun > 1000 && refused > 1000, "%u kept, %u begun, %u refused: the dice are loaded", kept, begun, refused);
}

TEST(a_beginning_costs_its_blocks_once)
{
    const struct pages_stage stage = {.global = 1, .pool = 10};
    const struct pages_limits limits = {4, 640, 0, 1, &stage, 1};
    struct pages *p;
    struct order o[WIRE_ORDERS];
    NEED(pages_open(&p, &limits, why));
    CHECK(pages_enter(p, 0, NO_BEGINNING, 300) && pages_keep(p, 0, 7, 256, 99, 300));
    CHECK(pages_enter(p, 1, 7, 260) && pages_enter(p, 2, 7, 257), "four blocks are shared, and each has one of its own");
    CHECK(!pages_enter(p, 3, NO_BEGINNING, 260) && !pages_can_drop(p, 7));
    CHECK(pages_orders(p, o) == 3 && o[0].kind == ORDER_KEEP && o[1].kind == ORDER_BEGIN && o[2].slot == 2 && o[2].history == 99);
    for (uint32_t i = 0; i < 3; i++) pages_leave(p, i, true);
    CHECK(pages_can_drop(p, 7) && pages_enter(p, 3, 7, 257));
    pages_leave(p, 3, true);
    CHECK(pages_orders(p, o) == 3 && o[2].kind == ORDER_FORGET && o[2].slot == 2, "who was never told of a beginning forgets none");
    pages_close(&p);
}

TEST(a_pool_that_cannot_hold_one_sequence_is_refused)
{
    const struct pages_stage stage = {.global = 2, .pool = 19};
    const struct pages_limits limits = {4, 640, 0, 1, &stage, 1};
    struct pages *p;
    struct err no = {0};
    CHECK(pages_open(&p, &limits, &no) == E_USAGE && strstr(no.text, "640"), "%s", no.text);
}
