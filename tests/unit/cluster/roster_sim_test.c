/* tests/unit/cluster/roster_sim_test.c — the roster on a simulated link: members that end, hang, stand still or are slow at any moment,
 * minutes that take none. */
#include "coordinator/cluster/roster.h"
#include "tests/support/check.h"
#include "transport/links/sim.h"
#include "worker/worker.h"

#include <stdlib.h>

#define MEMBERS 5
#define MS 1000000ull

struct world {
    struct sim *sim;
    struct roster *roster;
    int number[MEMBERS + 1]; /* of each node's process */
    int victim;
    uint32_t busy;      /* what all say that they are */
    uint64_t step_ns;   /* that everyone's steps take; 0: the victim's have no end, the others' a millisecond */
    struct err why;     /* of the last loss */
    int joined[MEMBERS + 1], lost[MEMBERS + 1], woken;
};

/* Answers what the coordinator asks, as a worker does. */
static int member_hears(void *user, struct port *port, struct frame **f, struct err *why)
{
    struct hello hello = {.build = "b", .host = "attic", .isa = "ref", .numeric = worker_numeric(), .threads = 1};
    struct frame *out = NULL;
    struct ping ping;
    struct world *w = user;
    switch ((*f)->head.type) {
    case M_GREET: TRY(hello_write(&out, &hello, why)); break;
    case M_PING:
        if (ping_read(&ping, *f, why)) return why->code;
        ping.busy = w->busy;
        if (port_self(port) != w->victim || w->step_ns) ping.steps = clock_now(sim_clock(w->sim)) / (w->step_ns ? w->step_ns : MS);
        TRY(ping_write(&out, M_PONG, &ping, why));
        break;
    default: return 0;
    }
    return sim_send_later(port, 0, &out, 3 * MS, why);
}

static int begin(struct world *w, uint64_t seed, struct err *why)
{
    const struct sim_links links = {.seed = seed, .delay_ns = MS, .jitter_ns = 40 * MS};
    struct port *port;
    *w = (struct world){.victim = 1 + (int)(seed % MEMBERS)};
    TRY(sim_open(&w->sim, &links, why));
    TRY(sim_port(w->sim, &port, why));
    TRY(roster_open(&w->roster, port, sim_clock(w->sim), why));
    for (int k = 1; k <= MEMBERS; k++) {
        char address[SIM_ADDRESS];
        TRY(sim_process(w->sim, member_hears, w, address, &w->number[k], why));
        TRY(roster_add(w->roster, address, why));
    }
    return roster_greet(w->roster, 1, why);
}

static void end(struct world *w)
{
    roster_close(&w->roster);
    sim_close(&w->sim);
}

/* Listens for so long, in the time of the world, and counts. */
static int listen_for(struct world *w, uint64_t ms, struct err *why)
{
    const uint64_t until = clock_now(sim_clock(w->sim)) + ms * MS;
    while (clock_now(sim_clock(w->sim)) < until) {
        struct event e;
        TRY(roster_next(w->roster, &e, 100, why));
        if (e.kind == EVENT_JOINED) w->joined[e.who->node]++;
        if (e.kind == EVENT_LOST) w->lost[e.who->node]++, w->why = e.why;
        if (e.kind == EVENT_FRAME) return fail(why, E_INTERNAL, "%s came", message_name(e.frame->head.type));
        w->woken += e.kind == EVENT_WOKEN;
        event_free(&e);
    }
    return 0;
}

static void victim_ends(void *user)
{
    struct world *w = user;
    sim_end(w->sim, w->number[w->victim]);
}

/* Who ends before it heard the greeting never was there, and is waited for. Who heard it and ends before it has answered is lost: else nobody would
 * call for another. */
TEST(a_member_that_ends_at_any_moment_is_one_loss_and_the_others_stay)
{
    int losses = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct world w;
        NEED(begin(&w, seed, why));
        NEED(sim_at(w.sim, clock_now(sim_clock(w.sim)) + seed * 7 * MS, victim_ends, &w, why)); /* up to 2.8 s: greetings, pings */
        NEED(listen_for(&w, 30000, why));
        for (int k = 1; k <= MEMBERS; k++)
            CHECK(k == w.victim ? w.joined[k] <= w.lost[k] && w.lost[k] <= 1 : w.joined[k] == 1 && !w.lost[k],
                  "seed %llu, worker %d: joined %d, lost %d", (unsigned long long)seed, k, w.joined[k], w.lost[k]);
        losses += w.lost[w.victim];
        end(&w);
    }
    CHECK(losses > 350, "%d losses", losses);
}

TEST(it_is_lost_at_that_moment_and_not_when_somebody_looks_again)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world w;
        struct event e = {.kind = EVENT_NONE};
        NEED(begin(&w, seed, why));
        NEED(listen_for(&w, 5000, why));
        for (int k = 1; k <= MEMBERS; k++) sim_hang(w.sim, w.number[k]);
        while (e.kind != EVENT_LOST) NEED(roster_next(w.roster, &e, 10000, why));
        const uint64_t silent = e.who->silence.silent_ns;
        CHECK(silent > 3000 * MS && silent <= 3002 * MS, "seed %llu: silent for %llu us", (unsigned long long)seed, (unsigned long long)silent / 1000);
        end(&w);
    }
}

TEST(a_member_that_falls_silent_is_lost_when_its_lease_is_over_and_no_sooner)
{
    struct world w;
    NEED(begin(&w, 2, why));
    NEED(listen_for(&w, 5000, why));
    sim_hang(w.sim, w.number[w.victim]);
    NEED(listen_for(&w, 800, why));
    CHECK(!w.lost[w.victim] && !roster_member(w.roster, w.victim)->suspect);
    NEED(listen_for(&w, 1200, why));
    CHECK(!w.lost[w.victim] && roster_member(w.roster, w.victim)->suspect);
    NEED(listen_for(&w, 1500, why));
    CHECK(w.lost[w.victim] == 1);
    NEED(listen_for(&w, 3600 * 1000, why)); /* an hour later it is still one */
    for (int k = 1; k <= MEMBERS; k++) CHECK(w.lost[k] == (k == w.victim), "worker %d", k);
    end(&w);
}

/* An answer to a ping says that a process lives, and no more. */
TEST(who_answers_and_gets_nothing_done_is_lost_and_who_is_slow_is_not)
{
    struct world w;
    for (uint32_t busy = 0; busy <= BUSY_ROWS; busy += BUSY_ROWS) {
        NEED(begin(&w, 4, why));
        w.busy = busy;
        NEED(listen_for(&w, 5000, why));
        for (int k = 1; k <= MEMBERS; k++) roster_member(w.roster, k)->standing = busy ? READY : LOADING, roster_member(w.roster, k)->part_bytes = 1 << 30;
        NEED(listen_for(&w, 70000, why));
        for (int k = 1; k <= MEMBERS; k++) CHECK(w.lost[k] == (k == w.victim), "worker %d: %s", k, w.why.text);
        CHECK(strstr(w.why.text, busy ? "it answers, but nothing of its work went on" : "after which READY is awaited"), "%s", w.why.text);
        end(&w);
    }
    NEED(begin(&w, 5, why));
    w.busy = BUSY_ROWS;
    w.step_ns = 25000 * MS; /* a layer of a large model on a small machine */
    NEED(listen_for(&w, 600000, why));
    w.step_ns *= 10; /* and then the machine is given to others for a while */
    NEED(listen_for(&w, 300000, why));
    w.busy = 0;
    w.step_ns = 86400000 * MS;
    NEED(listen_for(&w, 3600000, why)); /* who has nothing to do gets nothing done */
    for (int k = 1; k <= MEMBERS; k++) CHECK(!w.lost[k], "worker %d: %s", k, w.why.text);
    end(&w);
}

/* Steps are soon said. What it has to load is known, and so how long that takes at most. */
TEST(who_says_that_it_gets_on_with_loading_and_is_never_ready_is_lost_and_by_the_size_of_its_part)
{
    struct world w;
    NEED(begin(&w, 6, why));
    w.busy = BUSY_LOADING;
    w.step_ns = 500 * MS;
    NEED(listen_for(&w, 5000, why));
    for (int k = 1; k <= MEMBERS; k++) roster_member(w.roster, k)->standing = LOADING, roster_member(w.roster, k)->part_bytes = k == w.victim ? 0 : 1u << 30;
    NEED(listen_for(&w, 200000, why));
    for (int k = 1; k <= MEMBERS; k++) CHECK(w.lost[k] == (k == w.victim), "worker %d: %s", k, w.why.text);
    NEED(listen_for(&w, 200000, why));
    for (int k = 1; k <= MEMBERS; k++) CHECK(w.lost[k] == 1, "worker %d: %s", k, w.why.text);
    end(&w);
}

static void wake(void *roster)
{
    roster_wake(roster);
}

TEST(wakes_are_events_at_their_moments)
{
    struct world w;
    NEED(begin(&w, 3, why));
    NEED(listen_for(&w, 1000, why));
    for (uint64_t i = 1; i <= 10; i++) NEED(sim_at(w.sim, clock_now(sim_clock(w.sim)) + i * 333 * MS, wake, w.roster, why));
    NEED(listen_for(&w, 1500, why));
    CHECK(w.woken == 4, "%d", w.woken);
    NEED(listen_for(&w, 5000, why));
    CHECK(w.woken == 10, "%d", w.woken);
    end(&w);
}
