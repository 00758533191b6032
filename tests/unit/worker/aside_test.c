/* tests/unit/worker/aside_test.c — a worker that is busy for long still says that it lives, and knows when it is not counted on. */
#include "base/clock.h"
#include "tests/support/check.h"
#include "transport/links/port.h"
#include "worker/run.h"

#include <stdlib.h>

struct pair { /* a coordinator, which is the test, and a worker's run */
    struct port *ports[2];
    struct worker worker;
    struct run run;
    pthread_t thread;
    int code;
    struct err why;
    atomic_bool go_on, ended;
};

static struct pair *the_pair; /* for what is done aside */

static int open_pair(struct pair *p, struct err *why)
{
    memset(p, 0, sizeof *p);
    the_pair = p;
    TRY(port_open_here(p->ports, 2, why));
    p->run.worker = &p->worker;
    p->run.port = p->ports[1];
    p->run.greet = (struct greet){.node = 1, .nodes = 2};
    p->run.neighbours.clock = clock_system();
    bond_begin(&p->run.bond, p->ports[1], clock_system());
    return 0;
}

static void close_pair(struct pair *p)
{
    port_close(&p->ports[0]);
    port_close(&p->ports[1]);
    frame_free(p->run.greeting);
}

static int say(struct pair *p, struct frame *f, struct err *why)
{
    const int code = port_send(p->ports[0], 1, &f, why);
    if (code) frame_free(f);
    return code;
}

static int ping(struct pair *p, struct ping m, struct err *why)
{
    struct frame *f = NULL;
    TRY(ping_write(&f, M_PING, &m, why));
    return say(p, f, why);
}

static int hear_pong(struct pair *p, struct ping *pong, struct err *why)
{
    struct frame *f = NULL;
    TRY(port_recv(p->ports[0], &f, 60000, why));
    const int code = !f ? fail(why, E_LINK, "no answer") : f->head.type != M_PONG ? fail(why, E_WIRE, "no PONG") : ping_read(pong, f, why);
    frame_free(f);
    return code;
}

/* Computes, loads, maps: looks neither right nor left. */
static int busy(struct run *r, struct err *why)
{
    struct frame *f;
    while (!the_pair->go_on) sleep_ns(1000000);
    return run_look(r, &f, why);
}

static void *serve(void *user)
{
    struct pair *p = user;
    p->code = run_aside(&p->run, busy, &p->why);
    p->ended = true;
    return NULL;
}

TEST(pings_are_answered_while_something_takes_for_ever)
{
    struct pair *p = calloc(1, sizeof *p);
    struct ping pong;
    NEED(open_pair(p, why));
    if (pthread_create(&p->thread, NULL, serve, p)) abort();
    for (uint64_t i = 1; i <= 5; i++) {
        NEED(ping(p, (struct ping){.at_ns = i}, why));
        NEED(hear_pong(p, &pong, why));
        CHECK(pong.at_ns == i && pong.busy == BUSY_LOADING && pong.stamp_ns, "ping %llu", (unsigned long long)i);
    }
    CHECK(!p->ended);
    p->go_on = true;
    pthread_join(p->thread, NULL);
    CHECK(!p->code, "%s", p->why.text);
    close_pair(p);
    free(p);
}

TEST(what_ends_a_run_waits_for_who_is_busy_and_is_then_told)
{
    struct pair *p = calloc(1, sizeof *p);
    struct frame *f = NULL;
    struct ping pong;
    NEED(open_pair(p, why));
    if (pthread_create(&p->thread, NULL, serve, p)) abort();
    NEED(fault_write(&f, &(struct fault){E_WORKER, "worker 2 was lost"}, why));
    NEED(say(p, f, why));
    NEED(ping(p, (struct ping){.at_ns = 7}, why));
    NEED(hear_pong(p, &pong, why)); /* the fault was read before */
    CHECK(!p->ended, "its memory may not be given back yet");
    p->go_on = true;
    pthread_join(p->thread, NULL);
    CHECK(p->code == E_WORKER && strstr(p->why.text, "worker 2 was lost"), "%s", p->why.text);
    close_pair(p);
    free(p);
}

/* The coordinator brings back the clock of the last PONG it heard: older than that its patience cannot be. */
TEST(a_worker_that_was_not_heard_for_three_seconds_sends_nothing_until_it_is)
{
    struct pair *p = calloc(1, sizeof *p);
    struct bond *b = &p->run.bond;
    struct frame *f = NULL;
    NEED(open_pair(p, why));
    CHECK(bond_holds(b));
    b->leased_ns -= LEASE_NS; /* it was stopped, or its machine slept */
    CHECK(!bond_holds(b));
    const uint64_t then = b->leased_ns, now = clock_boot_ns();
    const uint64_t stamps[] = {0, then, now + LEASE_NS, now};
    for (int i = 0; i < 4; i++) { /* none was heard; an old one; one that was never said; one of now */
        NEED(ping_write(&f, M_PING, &(struct ping){.stamp_ns = stamps[i]}, why));
        NEED(bond_pong(b, f, (struct ping){0}, why));
        frame_free(f);
        CHECK(bond_holds(b) == (i == 3), "stamp %d", i);
    }
    close_pair(p);
    free(p);
}

TEST(a_coordinator_that_only_pings_is_left_unless_it_waits_for_others)
{
    struct pair *p = calloc(1, sizeof *p);
    struct bond b;
    struct err no = {0};
    NEED(open_pair(p, why));
    bond_begin(&b, p->ports[1], clock_system());
    b.idleness.silent_ns = IDLE_NS + 1;
    CHECK(!bond_check(&b, false, &no), "nothing is due");
    b.idleness.silent_ns = IDLE_NS + 1;
    b.waits = true;
    CHECK(!bond_check(&b, true, &no));
    struct frame *f = frame_new(M_ASSIGN, 0);
    bond_heard(&b, f); /* what it has assigned it has to give, whoever else is awaited */
    frame_free(f);
    b.idleness.silent_ns = IDLE_NS + 1;
    CHECK(bond_check(&b, true, &no) == E_WORKER);
    f = frame_new(M_GREET, 0);
    bond_heard(&b, f); /* somebody was lost, and who is left is greeted again: another one is awaited, for minutes */
    frame_free(f);
    b.idleness.silent_ns = IDLE_NS + 1;
    CHECK(!bond_check(&b, true, &no), "%s", no.text);
    b.idleness.silent_ns = IDLE_NS + 1;
    b.waits = false;
    CHECK(bond_check(&b, true, &no) == E_WORKER && strstr(no.text, "gave nothing to do"), "%s", no.text);
    close_pair(p);
    free(p);
}

/* An orderly end of such a run would be waited for by all, and so by who stands still. */
TEST(a_coordinator_that_all_end_with_is_waited_for_less_long_and_not_at_the_end)
{
    struct pair *p = calloc(1, sizeof *p);
    struct bond *b = &p->run.bond;
    struct err no = {0};
    for (int ranks = 0; ranks < 2; ranks++) {
        NEED(open_pair(p, why));
        b->ready = !ranks;
        struct kind kind = *p->ports[1]->kind;
        kind.outlives = !ranks;
        p->ports[1]->kind = &kind;
        b->silence.silent_ns = RANK_SILENT_NS + 1;
        CHECK(bond_check(b, false, &no) == (ranks ? E_WORKER : 0) && port_shunned(p->ports[1], 0) == ranks, "%s", no.text);
        close_pair(p);
    }
    free(p);
}
