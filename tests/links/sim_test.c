/* tests/links/sim_test.c — the simulated link: the same seed tells the same story, time passes only while somebody waits, and a
 * process that ends is one loss, after all that it sent. And what a faulty port does, on every kind of link. */
#include "tests/links/cluster.h"
#include "tests/support/check.h"
#include "transport/links/faulty.h"
#include "transport/links/sim.h"

#define MS 1000000ull

/* A world of workers that say PONG to every PING, after computing for a while, and pass WORK on along the ring. */
struct world {
    struct sim *sim;
    struct port *home;
    int workers;
    char address[8][SIM_ADDRESS];
    int number[8];
    uint64_t compute_ns;
    char story[4000]; /* who heard what when, in order */
};

static void tell(struct world *w, const struct frame *f, int at)
{
    const size_t n = strlen(w->story);
    snprintf(w->story + n, sizeof w->story - n, "%llu: node %d hears %s of %u\n",
             (unsigned long long)(clock_now(sim_clock(w->sim)) / 1000), at, message_name(f->head.type), f->head.from);
}

static int worker_hears(void *user, struct port *port, struct frame **f, struct err *why)
{
    struct world *w = user;
    struct frame *out = NULL;
    const int self = port_self(port);
    tell(w, *f, self);
    switch ((*f)->head.type) {
    case M_GREET:
        TRY(port_route(port, ROUTE, PLAN, ROUTE_EPOCH, why));
        if (self < w->workers) TRY(port_reach(port, self + 1, w->address[self + 1], why));
        return send_empty(port, 0, M_PIECE_ACK, why);
    case M_PING:
        TRY(empty_write(&out, M_PONG, why));
        return sim_send_later(port, 0, &out, w->compute_ns, why);
    case M_WORK: return sim_send_later(port, self < w->workers ? self + 1 : 0, f, w->compute_ns, why);
    case M_STOP: return fail(why, E_INTERRUPTED, "told to stop");
    default: return 0;
    }
}

static int world_open(struct world *w, int workers, uint64_t seed, struct err *why)
{
    const struct sim_links links = {.seed = seed, .delay_ns = MS, .jitter_ns = 5 * MS, .bytes_per_second = 1e9};
    *w = (struct world){.workers = workers, .compute_ns = 2 * MS};
    TRY(sim_open(&w->sim, &links, why));
    TRY(sim_port(w->sim, &w->home, why));
    for (int k = 1; k <= workers; k++) {
        int node;
        TRY(sim_process(w->sim, worker_hears, w, w->address[k], &w->number[k], why));
        TRY(port_invite(w->home, w->address[k], &node, why));
    }
    return 0;
}

static void world_close(struct world *w)
{
    port_close(&w->home);
    sim_close(&w->sim);
}

static int hear(struct world *w, int timeout_ms, struct err *why)
{
    struct frame *f = NULL;
    TRY(port_recv(w->home, &f, timeout_ms, why));
    if (f) tell(w, f, 0);
    const int type = f ? f->head.type : 0;
    frame_free(f);
    return -type; /* a message's number, negative: an error is positive */
}

static int greet_all(struct world *w, struct err *why)
{
    struct frame *f = NULL;
    port_run(w->home, RUN, 1);
    TRY(port_route(w->home, ROUTE, PLAN, ROUTE_EPOCH, why));
    for (int k = 1; k <= w->workers; k++) {
        TRY(greet_write(&f, &(struct greet){(uint16_t)k, (uint16_t)(w->workers + 1), 1, RUN, {0}}, why));
        TRY(port_send(w->home, k, &f, why));
    }
    for (int k = 1; k <= w->workers; k++)
        if (hear(w, 1000, why) != -M_PIECE_ACK) return fail(why, E_LINK, "a worker did not answer the greeting");
    return 0;
}

static int world_greeted(struct world *w, int workers, uint64_t seed, struct err *why)
{
    TRY(world_open(w, workers, seed, why));
    return greet_all(w, why);
}

static int lose_first(struct world *w, struct err *why)
{
    sim_end(w->sim, w->number[1]);
    return await_and_free(w->home, M_LOST, 1, why);
}

/* Greets, pings all, sends frames round the ring, and listens until nothing more comes. */
static int a_little_life(struct world *w, struct err *why)
{
    TRY(greet_all(w, why));
    for (int i = 0; i < 4; i++) {
        for (int k = 1; k <= w->workers; k++) TRY(send_empty(w->home, k, M_PING, why));
        struct frame *f = marked_frame(0, (uint32_t)i, 10000);
        TRY(port_send(w->home, 1, &f, why));
    }
    int code;
    while ((code = hear(w, 100, why)) < 0) continue;
    return code;
}

TEST(the_same_seed_tells_the_same_story_and_another_seed_another)
{
    struct world w[3];
    for (int i = 0; i < 3; i++) {
        NEED(world_open(&w[i], 4, i < 2 ? 7 : 8, why));
        NEED(a_little_life(&w[i], why));
        world_close(&w[i]);
    }
    CHECK(strlen(w[0].story) > 1000 && !strcmp(w[0].story, w[1].story), "%s", w[0].story);
    CHECK(strcmp(w[0].story, w[2].story), "the seed makes no difference");
}

TEST(time_passes_only_while_somebody_waits_and_no_longer_than_asked)
{
    struct world w;
    struct frame *f = NULL;
    NEED(world_greeted(&w, 2, 1, why));
    const struct clock *c = sim_clock(w.sim);
    uint64_t then = clock_now(c), real = clock_ns();
    NEED(port_recv(w.home, &f, 3600 * 1000, why)); /* an hour */
    CHECK(!f && clock_now(c) - then == 3600000 * MS && clock_ns() - real < 100000 * MS);
    then = clock_now(c);
    NEED(send_empty(w.home, 1, M_PING, why));
    NEED(port_recv(w.home, &f, 0, why));
    CHECK(!f && clock_now(c) == then, "a look takes no time");
    NEED(await_and_free(w.home, M_PONG, 1, why));
    const uint64_t took = clock_now(c) - then; /* there, 2 ms of computing, and back */
    CHECK(took >= 4 * MS && took <= 14 * MS + MS / 100, "%llu us", (unsigned long long)took / 1000);
    world_close(&w);
}

TEST(computing_takes_its_time_one_after_the_other_and_frames_keep_their_order)
{
    struct world w;
    NEED(world_greeted(&w, 3, 3, why));
    w.compute_ns = 50 * MS;
    const uint64_t then = clock_now(sim_clock(w.sim));
    for (uint32_t i = 0; i < 5; i++) {
        struct frame *f = marked_frame(3, i, 1000); /* as if worker 3 had made it: it passes it on as it came */
        NEED(port_send(w.home, 1, &f, why));
    }
    for (uint32_t i = 0; i < 5; i++) {
        struct frame *f = NULL;
        NEED(await(w.home, &f, M_WORK, 3, why));
        NEED(check_marked(f, i, 1000, why));
        frame_free(f);
    }
    const uint64_t ms = (clock_now(sim_clock(w.sim)) - then) / MS; /* 3 stages fill, then one each 50 ms */
    CHECK(ms >= 350 && ms < 380, "%llu ms", (unsigned long long)ms);
    world_close(&w);
}

/* ---- losses ---- */

struct end_of_one {
    struct sim *sim;
    int number;
};

static void end_one(void *user)
{
    const struct end_of_one *e = user;
    sim_end(e->sim, e->number);
}

TEST(a_process_that_ends_is_lost_once_after_all_that_it_sent)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct world w;
        struct frame *f = NULL;
        struct err no = {0};
        NEED(world_open(&w, 3, seed, why));
        NEED(greet_all(&w, why));
        for (int i = 0; i < 10; i++) NEED(send_empty(w.home, 2, M_PING, why));
        struct end_of_one end = {w.sim, w.number[2]};
        NEED(sim_at(w.sim, clock_now(sim_clock(w.sim)) + (5 + seed) * MS, end_one, &end, why));
        int pongs = 0, losses = 0;
        for (;;) {
            NEED(port_recv(w.home, &f, 1000, why));
            if (!f) break;
            CHECK(!losses && f->head.from == 2);
            pongs += f->head.type == M_PONG;
            losses += f->head.type == M_LOST;
            frame_free(f);
        }
        CHECK(losses == 1 && pongs <= 10 && !sim_is_alive(w.sim, w.number[2]), "seed %llu: %d losses after %d pongs",
              (unsigned long long)seed, losses, pongs);
        CHECK(send_empty(w.home, 2, M_PING, &no) == E_LINK && strstr(no.text, "worker 2 is gone"), "%s", no.text);
        CHECK(strstr(w.story, "node 1 hears LOST of 2") && !strstr(w.story, "node 3 hears LOST of 1"), "%s", w.story);
        NEED(send_empty(w.home, 3, M_PING, why)); /* the others go on */
        NEED(await_and_free(w.home, M_PONG, 3, why));
        world_close(&w);
    }
}

TEST(a_process_that_fails_ends_with_its_sentence)
{
    struct world w;
    NEED(world_greeted(&w, 2, 5, why));
    NEED(send_empty(w.home, 1, M_STOP, why));
    NEED(await_and_free(w.home, M_LOST, 1, why));
    CHECK(sim_why(w.sim, w.number[1])->code == E_INTERRUPTED && !strcmp(sim_why(w.sim, w.number[1])->text, "told to stop"));
    CHECK(sim_why(w.sim, w.number[2])->code == 0);
    world_close(&w);
}

TEST(a_process_that_hangs_is_silent_and_not_lost)
{
    struct world w;
    struct frame *f = NULL;
    NEED(world_greeted(&w, 2, 5, why));
    sim_hang(w.sim, w.number[1]);
    NEED(send_empty(w.home, 1, M_PING, why));
    NEED(port_recv(w.home, &f, 60000, why));
    CHECK(!f);
    world_close(&w);
}

TEST(a_process_comes_back_under_the_number_of_one_that_was_lost)
{
    struct world w;
    struct frame *f = NULL;
    int node;
    NEED(world_greeted(&w, 2, 5, why));
    NEED(lose_first(&w, why));
    NEED(sim_process(w.sim, worker_hears, &w, w.address[1], &w.number[1], why));
    port_part(w.home, 1);
    NEED(port_invite(w.home, w.address[1], &node, why));
    CHECK(node == 1);
    NEED(greet_write(&f, &(struct greet){1, 3, 1, RUN, {0}}, why));
    NEED(port_send(w.home, 1, &f, why));
    NEED(await_and_free(w.home, M_PIECE_ACK, 1, why));
    port_part(w.home, 2); /* a farewell: it hears that the coordinator left */
    NEED(port_recv(w.home, &f, 100, why));
    CHECK(!f && strstr(w.story, "node 2 hears LOST of 0"), "%s", w.story);
    world_close(&w);
}

TEST(who_calls_a_process_that_is_gone_is_heard_when_it_is_there_again_and_what_was_on_its_way_is_lost)
{
    struct world w;
    struct frame *f = NULL;
    int node;
    NEED(world_greeted(&w, 2, 5, why));
    NEED(send_empty(w.home, 1, M_PING, why)); /* on its way when it ends */
    NEED(lose_first(&w, why));
    NEED(port_invite(w.home, w.address[1], &node, why));
    CHECK(node == 3);
    NEED(greet_write(&f, &(struct greet){3, 4, 1, RUN, {0}}, why));
    NEED(port_send(w.home, 3, &f, why));
    NEED(port_recv(w.home, &f, 5000, why));
    CHECK(!f, "nobody is there");
    w.workers = 0; /* it has no neighbour */
    NEED(sim_restart(w.sim, w.number[1], why));
    NEED(await_and_free(w.home, M_PIECE_ACK, 3, why));
    CHECK(!strstr(w.story, "node 1 hears PING"), "%s", w.story);
    world_close(&w);
}

static uint64_t cut_until_ns;

static uint64_t cut(void *user, int from, int to)
{
    const struct world *w = user;
    const uint64_t now = clock_now(sim_clock(w->sim));
    return from + to == 2 && now < cut_until_ns ? cut_until_ns - now : 0;
}

TEST(a_process_that_is_stopped_and_a_link_that_is_cut_hold_back_what_comes_and_lose_nothing)
{
    struct world w = {.sim = NULL};
    struct frame *f = NULL;
    const struct sim_links links = {.seed = 3, .delay_ns = MS, .cut_ns = cut, .user = &w};
    cut_until_ns = 0;
    NEED(sim_open(&w.sim, &links, why));
    NEED(sim_port(w.sim, &w.home, why));
    for (w.workers = 1; w.workers <= 2; w.workers++) {
        int node;
        NEED(sim_process(w.sim, worker_hears, &w, w.address[w.workers], &w.number[w.workers], why));
        NEED(port_invite(w.home, w.address[w.workers], &node, why));
    }
    w.workers = 2;
    NEED(greet_all(&w, why));
    const uint64_t now = clock_now(sim_clock(w.sim));
    sim_stop(w.sim, w.number[1], now + 3000 * MS);
    cut_until_ns = now + 4000 * MS;
    for (int i = 0; i < 3; i++)
        for (int k = 1; k <= 2; k++) NEED(send_empty(w.home, k, M_PING, why));
    NEED(port_recv(w.home, &f, 2990, why));
    CHECK(!f);
    for (int i = 0; i < 6; i++) NEED(await_and_free(w.home, M_PONG, i < 3 ? 1 : 2, why));
    sim_break(w.sim, w.number[1], w.number[2]);
    NEED(port_recv(w.home, &f, 100, why));
    CHECK(!f && strstr(w.story, "node 1 hears LOST of 2"), "%s", w.story);
    sim_pass(w.sim, now + 9000 * MS);
    CHECK(clock_now(sim_clock(w.sim)) == now + 9000 * MS);
    world_close(&w);
}

TEST(a_process_serves_one_coordinator_and_tells_another_that_it_is_busy)
{
    struct world w;
    struct port *other;
    struct frame *f = NULL;
    struct fault fault;
    int node, number;
    NEED(world_greeted(&w, 2, 5, why));
    NEED(sim_driven(w.sim, &other, &number, why));
    port_run(other, RUN + 1, 1);
    NEED(port_invite(other, w.address[2], &node, why));
    NEED(greet_write(&f, &(struct greet){1, 2, 1, RUN + 1, {0}}, why));
    NEED(port_send(other, 1, &f, why));
    NEED(await(other, &f, M_FAULT, 1, why));
    NEED(fault_read(&fault, f, why));
    frame_free(f);
    CHECK(fault.code == E_LINK && strstr(fault.text, "busy"), "%s", fault.text);
    NEED(port_invite(other, w.address[1], &node, why));
    NEED(greet_write(&f, &(struct greet){2, 3, 1, RUN + 1, {0}}, why));
    NEED(port_send(other, 2, &f, why));
    port_run(other, RUN + 1, 2); /* it begins anew before it hears that this one is busy too, which is said once */
    NEED(await_and_free(other, M_FAULT, 2, why));
    sim_end(w.sim, number);
    port_close(&other);
    NEED(send_empty(w.home, 2, M_PING, why));
    NEED(await_and_free(w.home, M_PONG, 2, why));
    world_close(&w);
}

/* ---- waking ---- */

static void wake(void *port)
{
    port_wake(port);
}

TEST(a_wake_from_inside_ends_the_wait_at_its_moment)
{
    struct world w;
    struct frame *f = NULL;
    NEED(world_greeted(&w, 1, 5, why));
    const uint64_t then = clock_now(sim_clock(w.sim));
    NEED(sim_at(w.sim, then + 70 * MS, wake, w.home, why));
    NEED(port_recv(w.home, &f, 1000, why));
    CHECK(!f && port_woken(w.home) && clock_now(sim_clock(w.sim)) == then + 70 * MS);
    NEED(port_recv(w.home, &f, 1000, why));
    CHECK(!f && !port_woken(w.home) && clock_now(sim_clock(w.sim)) == then + 1070 * MS);
    world_close(&w);
}

TEST(waiting_for_ever_where_nothing_can_happen_is_an_error)
{
    struct world w;
    struct frame *f = NULL;
    struct err no = {0};
    NEED(world_open(&w, 1, 5, why));
    CHECK(port_recv(w.home, &f, -1, &no) == E_INTERNAL && strstr(no.text, "nothing will happen"), "%s", no.text);
    CHECK(port_invite(w.home, "sim:9", &(int){0}, &no) == E_LINK && strstr(no.text, "'sim:9' is no address"), "%s", no.text);
    world_close(&w);
}

TEST(a_thousand_workers_live_in_a_world)
{
    static struct world w;
    int node, answers = 0;
    struct frame *f = NULL;
    NEED(world_open(&w, 0, 5, why));
    for (int i = 0; i < WORKERS_MOST; i++) {
        NEED(sim_process(w.sim, worker_hears, &w, w.address[0], &w.number[0], why));
        NEED(port_invite(w.home, w.address[0], &node, why));
    }
    port_run(w.home, RUN, 1);
    for (int k = 1; k <= WORKERS_MOST; k++) {
        NEED(greet_write(&f, &(struct greet){(uint16_t)k, WORKERS_MOST + 1, 1, RUN, {0}}, why));
        NEED(port_send(w.home, k, &f, why));
    }
    for (;; answers++) {
        NEED(port_recv(w.home, &f, 100, why));
        if (!f) break;
        frame_free(f);
    }
    CHECK(answers == WORKERS_MOST, "%d", answers);
    world_close(&w);
}

/* ---- faulty ports ---- */

static int harmed(struct cluster *c, enum link_kind kind, struct fault_wish wish, struct err *why)
{
    TRY(open_and_greet(c, kind, 2, why));
    TRY(port_make_faulty(c->ports[1], &wish, why));
    TRY(send_empty(c->ports[0], 1, M_PONG, why));
    for (uint32_t i = 0; i < 3; i++) {
        struct frame *f = marked_frame(0, i, 500);
        TRY(port_send(c->ports[0], 1, &f, why));
    }
    TRY(await_and_free(c->ports[1], M_PONG, 0, why));
    return await_and_free(c->ports[1], M_WORK, 0, why); /* `skip` lets one through */
}

TEST(a_faulty_port_loses_damages_cuts_and_doubles_what_it_is_told_to)
{
    static const struct {
        enum fault_what what;
        const char *says; /* NULL: nobody notices */
    } cases[] = {{FAULT_LOSE, "number 2 came, 1 was next"}, {FAULT_DAMAGE, "was damaged on the way"}, {FAULT_CUT, "its head says 500"},
                 {FAULT_DOUBLE, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        EVERY_KIND(kind)
        {
            struct cluster c;
            struct frame *f = NULL;
            struct err no = {0};
            NEED(harmed(&c, kind, (struct fault_wish){.what = cases[i].what, .type = M_WORK, .skip = 1, .times = 1}, why));
            int code = port_recv(c.ports[1], &f, PATIENCE_MS, &no);
            if (cases[i].says) {
                CHECK(code == E_WIRE && !f && strstr(no.text, cases[i].says), "%s, case %zu: %s", kind_names[kind], i, no.text);
            } else {
                CHECK(!code && f, "%s", no.text);
                frame_free(f);
                NEED(await_and_free(c.ports[1], M_WORK, 0, why));
                CHECK(port_counters(c.ports[1]).dropped == 1);
            }
            cluster_close(&c);
        }
}

static int say_something_else(void *user, struct frame **f, struct err *why)
{
    (void)why;
    memset(frame_body(*f), *(int *)user, (*f)->head.body_bytes);
    return 0;
}

TEST(a_faulty_port_changes_what_a_peer_says_and_may_be_faulty_twice)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        struct frame *f = NULL;
        int byte = 77;
        const struct fault_wish other = {.what = FAULT_CHANGE, .type = M_WORK, .skip = 1, .change = say_something_else, .user = &byte};
        NEED(harmed(&c, kind, other, why));
        NEED(port_make_faulty(c.ports[1], &(struct fault_wish){.what = FAULT_DOUBLE}, why));
        NEED(await(c.ports[1], &f, M_WORK, 0, why));
        CHECK(frame_body(f)[0] == 77 && frame_body(f)[499] == 77, "%s", kind_names[kind]);
        frame_free(f);
        NEED(await_and_free(c.ports[1], M_WORK, 0, why));
        NEED(port_recv(c.ports[1], &f, 20, why));
        CHECK(!f && port_counters(c.ports[1]).dropped == 2, "%s", kind_names[kind]);
        cluster_close(&c);
    }
}
