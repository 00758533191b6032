/* tests/unit/engine/scheduler_test.c — the scheduler against invented requests: nothing lost, nothing twice. */
#include "coordinator/engine/scheduler.h"
#include "partition/plan/speed.h"
#include "tests/support/check.h"

#include <stdlib.h>

struct world { /* seeded, so a failure can be played again */
    uint64_t seed;
};

static uint32_t dice(struct world *w, uint32_t n) /* 0..n-1 */
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return (uint32_t)((w->seed >> 11) % n);
}

#define PEOPLE 24
#define SPANS 4

struct person { /* one request as the test knows it */
    uint32_t known, sent, back; /* rows told, seen in a batch, come back */
    uint32_t slot, turns;       /* turns left: decodes or prompts */
    uint32_t since;             /* batches since its rows became known */
    bool added, ended, decode_in_flight, token_due;
    struct span spans[SPANS];
    uint32_t n_spans;
};

struct trial {
    struct world world;
    struct scheduler *s;
    struct scheduler_limits limits;
    struct person people[PEOPLE];
    struct schedule_batch flying[8]; /* in order; moves copied */
    struct move moves[8][PEOPLE];
    uint32_t n_flying, n_added, n_ended, slots_in_use;
    uint32_t longest_wait;
};

static uint32_t pick_spans(struct trial *t, uint32_t rows, struct span *out)
{
    uint32_t n = 0, at = 0;
    while (n < SPANS && dice(&t->world, 3)) {
        uint32_t first = at + dice(&t->world, 20), len = 1 + dice(&t->world, t->limits.rows);
        if (first >= rows || len > rows - first) break;
        out[n++] = (struct span){first, len};
        at = first + len;
    }
    return n;
}

static void tell(struct trial *t, uint32_t i, uint32_t rows, bool first)
{
    struct person *p = &t->people[i];
    struct span spans[SPANS];
    uint32_t n = rows > 1 ? pick_spans(t, rows, spans) : 0;
    if (first) NEED(schedule_add(t->s, i, rows, spans, n, 0, why));
    else NEED(schedule_more(t->s, i, rows, spans, n, why));
    for (uint32_t k = 0; k < n; k++) p->spans[k] = (struct span){p->known + spans[k].first, spans[k].n};
    p->n_spans = n;
    p->known += rows;
    p->since = 0;
}

static void check_move(struct trial *t, const struct move *m)
{
    struct person *p = &t->people[m->request];
    CHECK(m->rows > 0 && m->position == p->sent, "request %llu: rows from %u, wanted %u", (unsigned long long)m->request, m->position,
          p->sent);
    CHECK(m->start == (p->sent == 0));
    if (m->start) p->slot = m->slot, t->slots_in_use++;
    CHECK(m->slot == p->slot && m->slot < t->limits.slots);
    for (uint32_t i = 0; i < PEOPLE; i++) {
        const struct person *o = &t->people[i];
        CHECK(o == p || o->ended || !o->sent || o->slot != m->slot, "slot %u has two owners", m->slot);
    }
    CHECK(!p->decode_in_flight, "request %llu has two decodes in flight", (unsigned long long)m->request);
    p->sent += m->rows;
    CHECK(p->sent <= p->known);
    CHECK(m->want_token == (p->sent == p->known));
    for (uint32_t k = 0; k < p->n_spans; k++) {
        uint32_t first = p->spans[k].first, end = first + p->spans[k].n;
        CHECK(p->sent <= first || p->sent >= end, "request %llu: span %u..%u cut at %u", (unsigned long long)m->request, first, end,
              p->sent);
    }
    if (m->want_token) p->decode_in_flight = p->token_due = true;
    p->since = 0;
}

static void check_batch(struct trial *t, struct schedule_batch *b, uint64_t number)
{
    uint32_t rows = 0;
    CHECK(b->id == number);
    CHECK(b->n_moves > 0 && b->rows <= t->limits.rows);
    CHECK(schedule_in_flight(t->s) <= t->limits.in_flight);
    for (uint32_t i = 0; i < PEOPLE; i++) /* those who have a slot and something to send */
        if (t->people[i].added && t->people[i].sent < t->people[i].known && !t->people[i].ended) {
            if (t->people[i].sent) t->people[i].since++;
            if (t->people[i].since > t->longest_wait) t->longest_wait = t->people[i].since;
        }
    for (uint32_t i = 0; i < b->n_moves; i++) {
        rows += b->moves[i].rows;
        for (uint32_t k = 0; k < i; k++) CHECK(b->moves[k].request != b->moves[i].request);
        check_move(t, &b->moves[i]);
    }
    CHECK(rows == b->rows);
    CHECK(t->slots_in_use <= t->limits.slots);
    memcpy(t->moves[t->n_flying], b->moves, b->n_moves * sizeof *b->moves);
    t->flying[t->n_flying] = *b;
    t->flying[t->n_flying].moves = t->moves[t->n_flying];
    t->n_flying++;
}

static void person_goes_on(struct trial *t, uint32_t i)
{
    struct person *p = &t->people[i];
    uint32_t rows = dice(&t->world, 6) ? 1 : 1 + dice(&t->world, 100);
    if (p->turns && p->known + rows <= t->limits.context) {
        p->turns--;
        tell(t, i, rows, false);
        return;
    }
    schedule_leave(t->s, i);
    p->ended = true;
    t->n_ended++;
    t->slots_in_use--;
}

static void batch_returns(struct trial *t)
{
    struct schedule_batch b = t->flying[0];
    const struct schedule_batch *found = schedule_find(t->s, b.id);
    CHECK(found && !memcmp(found->moves, b.moves, b.n_moves * sizeof *b.moves), "moves changed while in flight");
    NEED(schedule_done(t->s, b.id, why));
    for (uint32_t i = 0; i < b.n_moves; i++) {
        struct person *p = &t->people[b.moves[i].request];
        p->back += b.moves[i].rows;
        if (!b.moves[i].want_token) continue;
        p->decode_in_flight = p->token_due = false;
        CHECK(p->back == p->known);
        person_goes_on(t, b.moves[i].request);
    }
    t->n_flying--;
    memmove(t->flying, t->flying + 1, t->n_flying * sizeof *t->flying);
    memmove(t->moves, t->moves + 1, t->n_flying * sizeof *t->moves);
    for (uint32_t i = 0; i < t->n_flying; i++) t->flying[i].moves = t->moves[i];
}

static void run_trial(struct trial *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->world.seed = seed * 0x9e3779b97f4a7c15ull | 1;
    uint32_t slots = 1 + dice(&t->world, 10), in_flight = 1 + dice(&t->world, 7), rows = 1 + dice(&t->world, 64);
    t->limits = (struct scheduler_limits){slots, in_flight, rows, 400, 0, dice(&t->world, 4), NULL, 0};
    NEED(scheduler_open(&t->s, &t->limits, why));
    uint64_t number = 0;
    for (uint32_t step = 0; t->n_ended < PEOPLE; step++) {
        if (step > 60000) {
            CHECK(false, "seed %llu: %u of %u have ended", (unsigned long long)seed, t->n_ended, PEOPLE);
            break;
        }
        if (t->n_added < PEOPLE && !dice(&t->world, 4)) {
            t->people[t->n_added].added = true;
            t->people[t->n_added].turns = dice(&t->world, 60);
            tell(t, t->n_added, 1 + dice(&t->world, 300), true);
            t->n_added++;
        }
        struct schedule_batch b;
        if (dice(&t->world, 4) && schedule_next(t->s, &b)) check_batch(t, &b, number++);
        else if (t->n_flying && dice(&t->world, 2)) batch_returns(t);
        else if (t->n_added == PEOPLE && !t->n_flying && schedule_next(t->s, &b)) check_batch(t, &b, number++);
    }
    CHECK(schedule_in_flight(t->s) == 0 && schedule_waiting(t->s) == 0);
    for (uint32_t i = 0; i < PEOPLE; i++)
        CHECK(t->people[i].back == t->people[i].known && t->people[i].sent == t->people[i].known);
    scheduler_close(&t->s);
}

TEST(every_row_goes_once_in_order_and_everything_ends)
{
    static struct trial t;
    for (uint64_t seed = 1; seed <= 400; seed++) run_trial(&t, seed);
}

/* The worst of these worlds has micro-batches of one row and nine prompts of up to 300 rows in front: 512 here. The
 * bound has nothing to do with how long the others talk, which is several thousand micro-batches. */
TEST(no_one_waits_for_ever_however_long_the_others_talk)
{
    static struct trial t;
    uint32_t worst = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        run_trial(&t, seed);
        if (t.longest_wait > worst) worst = t.longest_wait;
    }
    CHECK(worst > 0 && worst < 1000, "%u micro-batches left without a row of someone", worst);
}

static struct scheduler *open_with(uint32_t slots, uint32_t in_flight, uint32_t rows)
{
    struct scheduler *s;
    struct scheduler_limits l = {slots, in_flight, rows, 4096, 0, 0, NULL, 0};
    return scheduler_open(&s, &l, NULL) ? NULL : s;
}

TEST(a_span_as_long_as_a_batch_gets_in_between_decodes)
{
    struct scheduler *s = open_with(4, 2, 64);
    for (uint32_t i = 0; i < 3; i++) NEED(schedule_add(s, i, 4, NULL, 0, 0, why));
    uint32_t waited = 0;
    bool gone = false, asked = false;
    for (int step = 0; step < 100 && !gone; step++) {
        struct schedule_batch b;
        while (schedule_next(s, &b)) {
            for (uint32_t i = 0; i < b.n_moves; i++) gone |= b.moves[i].request == 3 && b.moves[i].rows >= 64;
            waited += asked && !gone;
        }
        for (uint64_t id = 0; id < 1000; id++) {
            const struct schedule_batch *f = schedule_find(s, id);
            if (!f) continue;
            struct move moves[4];
            uint32_t n = f->n_moves;
            memcpy(moves, f->moves, n * sizeof *moves);
            NEED(schedule_done(s, id, why));
            for (uint32_t i = 0; i < n; i++)
                if (moves[i].want_token && moves[i].request < 3)
                    NEED(schedule_more(s, moves[i].request, 1, NULL, 0, why));
            break;
        }
        if (step != 10) continue;
        NEED(schedule_add(s, 3, 64, &(struct span){0, 64}, 1, 0, why));
        asked = true;
    }
    CHECK(gone && waited <= 6, "the span waited for %u micro-batches", waited);
    scheduler_close(&s);
}

TEST(one_long_prompt_streams_in_many_pieces)
{
    struct scheduler *s = open_with(2, 4, 128);
    NEED(schedule_add(s, 0, 1300, NULL, 0, 0, why));
    struct schedule_batch b;
    for (uint32_t sent = 0, id = 0; id < 4; id++, sent += b.rows)
        CHECK(schedule_next(s, &b) && b.rows >= 32 && b.rows <= 1300 / 20 && b.moves[0].position == sent, "%u rows", b.rows);
    CHECK(!schedule_next(s, &b));
    scheduler_close(&s);
}

TEST(stages_of_one_or_two_threads_take_shorter_pieces)
{
    for (uint32_t threads = 0; threads < 5; threads++) {
        struct scheduler *s;
        struct scheduler_limits l = {2, 3, 128, 4096, 2, piece_quarters(NULL, (int)threads), NULL, 0};
        NEED(scheduler_open(&s, &l, why));
        NEED(schedule_add(s, 0, 256, NULL, 0, 0, why));
        struct schedule_batch b;
        const bool few = threads == 1 || threads == 2;
        CHECK(schedule_next(s, &b) && b.rows == (few ? 16 : 32), "%u threads: %u rows", threads, b.rows);
        scheduler_close(&s);
        NEED(scheduler_open(&s, &l, why));
        NEED(schedule_add(s, 0, 1024, NULL, 0, 0, why));
        CHECK(schedule_next(s, &b) && b.rows == (few ? 16 : 64), "%u threads: %u of 1024 rows", threads, b.rows);
        scheduler_close(&s);
        NEED(scheduler_open(&s, &l, why));
        NEED(schedule_add(s, 0, 700, NULL, 0, 0, why));
        CHECK(schedule_next(s, &b) && b.rows % 16 == 0, "%u threads: %u rows are no whole tiles", threads, b.rows);
        scheduler_close(&s);
    }
}

TEST(short_prompts_are_spread_over_an_empty_pipe)
{
    struct scheduler *s = open_with(8, 4, 512);
    for (uint32_t i = 0; i < 4; i++) NEED(schedule_add(s, i, 50, NULL, 0, 0, why));
    struct schedule_batch b;
    uint32_t n = 0, most = 0;
    while (schedule_next(s, &b)) n++, most = b.rows > most ? b.rows : most;
    CHECK(n == 4 && most <= 66, "%u micro-batches, the largest of %u rows", n, most);
    scheduler_close(&s);

    s = open_with(8, 4, 512); /* too little to divide */
    NEED(schedule_add(s, 0, 40, NULL, 0, 0, why));
    CHECK(schedule_next(s, &b) && b.rows == 40);
    scheduler_close(&s);
}

TEST(a_request_that_can_never_fit_is_refused_with_the_numbers)
{
    struct scheduler *s = open_with(2, 3, 64);
    struct err no = {0};
    CHECK(schedule_add(s, 0, 4097, NULL, 0, 0, &no) == E_USAGE && strstr(no.text, "4096") && strstr(no.text, "4097"));
    CHECK(schedule_add(s, 0, 0, NULL, 0, 0, &no) == E_USAGE);
    CHECK(schedule_add(s, 0, 100, &(struct span){0, 65}, 1, 0, &no) == E_USAGE && strstr(no.text, "65"));
    CHECK(schedule_add(s, 0, 100, &(struct span){90, 11}, 1, 0, &no) == E_USAGE);
    struct span twice[2] = {{0, 10}, {9, 5}};
    CHECK(schedule_add(s, 0, 100, twice, 2, 0, &no) == E_USAGE);
    NEED(schedule_add(s, 0, 4096, NULL, 0, 0, why));
    CHECK(schedule_add(s, 0, 1, NULL, 0, 0, &no) == E_INTERNAL);
    scheduler_close(&s);
}

TEST(what_is_in_flight_cannot_go_on_and_leaves_when_it_is_home)
{
    struct scheduler *s = open_with(1, 3, 64);
    struct err no = {0};
    struct schedule_batch b;
    uint64_t gone;
    NEED(schedule_add(s, 0, 5, NULL, 0, 0, why));
    NEED(schedule_add(s, 1, 5, NULL, 0, 0, why));
    NEED(schedule_add(s, 2, 5, NULL, 0, 0, why));
    CHECK(schedule_waiting(s) == 2);
    CHECK(schedule_next(s, &b) && !schedule_next(s, &b));
    CHECK(schedule_more(s, 0, 1, NULL, 0, &no) == E_INTERNAL);
    schedule_leave(s, 0);
    CHECK(!schedule_left(s, &gone) && !schedule_next(s, &b), "its piece is on its way");
    schedule_leave(s, 1); /* never had a slot */
    CHECK(schedule_left(s, &gone) && gone == 1 && !schedule_left(s, &gone));
    schedule_leave(s, 1); /* nobody of that name any more */
    CHECK(schedule_done(s, 7, &no) == E_WIRE && strstr(no.text, "7"));
    NEED(schedule_done(s, 0, why));
    CHECK(schedule_done(s, 0, &no) == E_WIRE);
    CHECK(schedule_left(s, &gone) && gone == 0 && !schedule_left(s, &gone));
    CHECK(schedule_waiting(s) == 0 && schedule_next(s, &b) && b.moves[0].request == 2 && b.moves[0].start);
    scheduler_close(&s);
}

TEST(the_more_urgent_get_slots_and_rows_first_and_equals_in_the_order_they_came)
{
    static const int priorities[] = {0, 1, 0, 2, 1};
    static const uint32_t order[] = {0, 3, 1, 4, 2}; /* the first found a free slot */
    struct scheduler *s = open_with(1, 1, 64);
    struct schedule_batch b;
    for (uint32_t i = 0; i < 5; i++) NEED(schedule_add(s, i, 4, NULL, 0, priorities[i], why));
    for (uint32_t i = 0; i < 5; i++) {
        CHECK(schedule_next(s, &b) && b.moves[0].request == order[i], "request %llu came as number %u",
              (unsigned long long)b.moves[0].request, i);
        NEED(schedule_done(s, b.id, why));
        schedule_leave(s, order[i]);
    }
    scheduler_close(&s);
    s = open_with(3, 1, 64);
    for (uint32_t i = 0; i < 3; i++) NEED(schedule_add(s, i, 4, NULL, 0, (int)i, why));
    CHECK(schedule_next(s, &b) && b.n_moves == 3 && b.moves[0].request == 2 && b.moves[1].request == 1 && b.moves[2].request == 0);
    scheduler_close(&s);
}

TEST(the_newest_of_the_least_urgent_gives_up_its_slot_for_someone_more_urgent)
{
    struct scheduler *s = open_with(3, 1, 64);
    struct schedule_batch b;
    uint64_t who;
    NEED(schedule_add(s, 0, 4, NULL, 0, 1, why));
    NEED(schedule_add(s, 1, 4, NULL, 0, 0, why));
    NEED(schedule_add(s, 2, 4, NULL, 0, 0, why));
    CHECK(!schedule_yield(s, &who), "nobody waits");
    NEED(schedule_add(s, 3, 4, NULL, 0, 0, why));
    CHECK(!schedule_yield(s, &who), "nobody is more urgent");
    NEED(schedule_add(s, 4, 4, NULL, 0, 2, why));
    CHECK(schedule_yield(s, &who) && who == 2, "%llu", (unsigned long long)who);
    CHECK(schedule_next(s, &b));
    schedule_leave(s, 2);
    CHECK(!schedule_yield(s, &who), "one slot is about to be free");
    NEED(schedule_done(s, b.id, why));
    CHECK(schedule_next(s, &b) && b.moves[0].request == 4 && b.moves[0].start);
    scheduler_close(&s);
}

TEST(who_gave_up_a_slot_comes_back_before_those_who_came_later)
{
    struct scheduler *s = open_with(1, 1, 64);
    struct schedule_batch b;
    uint64_t who;
    for (uint64_t i = 0; i < 3; i++) NEED(schedule_add(s, i, 4, NULL, 0, 0, why));
    NEED(schedule_add(s, 3, 4, NULL, 0, 1, why));
    CHECK(schedule_yield(s, &who) && who == 0, "%llu", (unsigned long long)who);
    schedule_leave(s, 0);
    CHECK(schedule_left(s, &who) && who == 0 && !schedule_yield(s, &who));
    NEED(schedule_add(s, 0, 6, NULL, 0, 0, why));
    static const uint64_t order[] = {3, 0, 1, 2};
    for (int i = 0; i < 4; i++) {
        CHECK(schedule_next(s, &b) && b.moves[0].request == order[i], "request %llu came", (unsigned long long)b.moves[0].request);
        NEED(schedule_done(s, b.id, why));
        schedule_leave(s, order[i]);
    }
    scheduler_close(&s);
}

TEST(a_slot_is_handed_over_with_all_it_holds)
{
    struct scheduler *s = open_with(2, 2, 64);
    struct schedule_batch b;
    uint64_t who;
    NEED(schedule_add(s, 0, 4, NULL, 0, 0, why));
    NEED(schedule_add(s, 1, 4, NULL, 0, 1, why));
    CHECK(schedule_next(s, &b) && b.n_moves == 2);
    NEED(schedule_done(s, b.id, why));
    NEED(schedule_more(s, 0, 3, NULL, 0, why));
    schedule_hand_over(s, 0, 7000000000, 2);
    NEED(schedule_more(s, 1, 3, NULL, 0, why));
    CHECK(schedule_next(s, &b) && b.moves[0].request == 7000000000 && b.moves[0].position == 4 && b.moves[0].slot == 0);
    NEED(schedule_done(s, b.id, why));
    NEED(schedule_add(s, 2, 3, NULL, 0, 2, why));
    CHECK(schedule_yield(s, &who) && who == 1, "the other is as urgent as who waits");
    scheduler_close(&s);
}

/* ---- pages ------------------------------------------------------------------------------------------------------ */

static struct scheduler *open_with_pages(struct pages **p, uint32_t slots, uint32_t blocks, uint32_t in_flight)
{
    const struct pages_stage stage = {.global = 1, .pool = blocks};
    const struct pages_limits pages = {slots, 256, 0, 1, &stage, 1};
    struct scheduler_limits l = {slots, in_flight, 64, 256, 0, 0, NULL, 0};
    struct scheduler *s = NULL;
    struct err e = {0};
    CHECK(!pages_open(p, &pages, &e), "%s", e.text);
    l.pages = *p;
    CHECK(!scheduler_open(&s, &l, &e), "%s", e.text);
    return s;
}

TEST(who_asks_for_more_pages_than_there_are_waits_and_nobody_passes)
{
    struct pages *p;
    struct scheduler *s = open_with_pages(&p, 3, 4, 1);
    struct schedule_batch b;
    uint64_t who;
    NEED(schedule_add(s, 0, 60, NULL, 0, 0, why));
    CHECK(schedule_lack(s) == LACKS_NOTHING);
    NEED(schedule_add(s, 1, 250, NULL, 0, 0, why));
    NEED(schedule_add(s, 2, 1, NULL, 0, 0, why));
    CHECK(schedule_waiting(s) == 2 && schedule_lack(s) == LACKS_PAGES && !schedule_yield(s, &who), "nobody yields to who came later");
    CHECK(schedule_next(s, &b) && b.n_moves == 1 && b.moves[0].request == 0);
    NEED(schedule_done(s, b.id, why));
    schedule_leave(s, 0);
    CHECK(schedule_waiting(s) == 1 && schedule_next(s, &b) && b.moves[0].request == 1);
    scheduler_close(&s);
    pages_close(&p);
}

TEST(the_oldest_takes_the_pages_of_the_newest_and_never_yields)
{
    struct pages *p;
    struct scheduler *s = open_with_pages(&p, 3, 4, 1);
    struct schedule_batch b;
    uint64_t who;
    NEED(schedule_add(s, 7, 64, NULL, 0, 0, why));
    NEED(schedule_add(s, 8, 64, NULL, 0, 0, why));
    CHECK(schedule_next(s, &b) && b.rows == 64);
    NEED(schedule_done(s, b.id, why));
    CHECK(schedule_next(s, &b) && b.rows == 64 && b.moves[0].request == 8);
    NEED(schedule_done(s, b.id, why));
    NEED(schedule_more(s, 8, 1, NULL, 0, why));
    NEED(schedule_more(s, 7, 65, NULL, 0, why));
    CHECK(schedule_lack(s) == LACKS_PAGES && schedule_yield(s, &who) && who == 8, "%llu", (unsigned long long)who);
    CHECK(schedule_next(s, &b) && b.n_moves == 1 && b.moves[0].request == 8, "rows that have pages go");
    schedule_leave(s, 8);
    CHECK(!schedule_yield(s, &who), "its pages are about to be free");
    NEED(schedule_done(s, b.id, why));
    CHECK(schedule_lack(s) == LACKS_NOTHING && schedule_next(s, &b) && b.moves[0].request == 7 && b.moves[0].position == 64);
    NEED(schedule_add(s, 8, 66, NULL, 0, 0, why));
    CHECK(schedule_lack(s) == LACKS_PAGES && !schedule_yield(s, &who), "it comes back when there is room for one block more of each");
    scheduler_close(&s);
    pages_close(&p);
}

/* Of n sequences that answer, each with 16 guesses of this chance, so many travel with the first one's row, where all go together. */
static void expect_guesses(uint32_t n, double reading, double chance, uint32_t least, uint32_t most)
{
    struct scheduler *s = open_with(n, 1, 256);
    struct schedule_batch b;
    schedule_reading(s, reading);
    for (uint32_t i = 0; i < n; i++) NEED(schedule_add(s, i, 4, NULL, 0, 0, why));
    while (schedule_next(s, &b)) NEED(schedule_done(s, b.id, why));
    for (uint32_t i = 0; i < n; i++) {
        NEED(schedule_more(s, i, 1, NULL, 0, why));
        schedule_guess(s, i, 16, chance);
    }
    CHECK(schedule_next(s, &b) && b.n_moves == n && b.moves[0].rows == 1 + b.moves[0].guesses && b.moves[0].want_token);
    CHECK(b.moves[0].guesses >= least && b.moves[0].guesses <= most, "%u of %u sequences, reading %g, chance %g", b.moves[0].guesses, n, reading, chance);
    scheduler_close(&s);
}

TEST(as_many_guesses_travel_as_pay)
{
    expect_guesses(1, 5, 1, 16, 16);
    expect_guesses(1, 5, 0.5, 2, 2);
    expect_guesses(1, 50, 0.5, 4, 5);
    expect_guesses(1, 5, 0.1, 0, 0);
    expect_guesses(1, 0, 1, 0, 0); /* a row costs what it brings */
    expect_guesses(2, 5, 0.9, 2, 8);
    expect_guesses(64, 5, 0.9, 0, 0); /* many share the reading already */
}

TEST(guesses_that_were_wrong_go_back)
{
    struct scheduler *s = open_with(1, 2, 64);
    struct schedule_batch b;
    schedule_reading(s, 5);
    NEED(schedule_add(s, 0, 10, NULL, 0, 0, why));
    CHECK(schedule_next(s, &b) && b.moves[0].guesses == 0);
    NEED(schedule_done(s, b.id, why));
    NEED(schedule_more(s, 0, 1, NULL, 0, why));
    schedule_guess(s, 0, 3, 1);
    CHECK(schedule_next(s, &b) && b.moves[0].position == 10 && b.moves[0].rows == 4 && b.moves[0].guesses == 3 && b.moves[0].want_token);
    NEED(schedule_done(s, b.id, why));
    schedule_back(s, 0, 12, 77); /* one of them was right */
    NEED(schedule_more(s, 0, 1, NULL, 0, why));
    schedule_guess(s, 0, 60, 1);
    CHECK(schedule_next(s, &b) && b.moves[0].position == 12 && b.moves[0].guesses == 16, "%u", b.moves[0].guesses);
    NEED(schedule_done(s, b.id, why));
    schedule_back(s, 0, 13, 78);
    NEED(schedule_more(s, 0, 50, NULL, 0, why)); /* as far as the context but one row */
    while (schedule_next(s, &b)) NEED(schedule_done(s, b.id, why));
    scheduler_close(&s);
}

TEST(guesses_end_where_the_context_or_the_micro_batch_does)
{
    struct scheduler_limits l = {.slots = 1, .in_flight = 1, .rows = 5, .context = 16};
    struct scheduler *s = NULL;
    struct schedule_batch b;
    NEED(scheduler_open(&s, &l, why));
    schedule_reading(s, 5);
    NEED(schedule_add(s, 0, 5, NULL, 0, 0, why));
    while (schedule_next(s, &b)) NEED(schedule_done(s, b.id, why));
    for (uint32_t known = 6; known < 16; known = b.moves[0].position + b.moves[0].rows + 1) {
        NEED(schedule_more(s, 0, 1, NULL, 0, why));
        schedule_guess(s, 0, 16, 1);
        CHECK(schedule_next(s, &b) && b.rows == (known < 12 ? 5 : 17 - known), "%u rows behind %u", b.rows, known);
        NEED(schedule_done(s, b.id, why));
        schedule_back(s, 0, b.moves[0].position + b.moves[0].rows, 0); /* all were right */
    }
    scheduler_close(&s);
}
