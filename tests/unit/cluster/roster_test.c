/* tests/unit/cluster/roster_test.c — what the roster makes of what members do: one event for each thing that happens.
 *
 * Members are ports of this process that the tests speak through; time is a number that the tests set. */
#include "coordinator/cluster/roster.h"
#include "tests/support/check.h"
#include "worker/worker.h"

#include <pthread.h>
#include <stdlib.h>

#define MEMBERS 3

struct stage_of_test {
    struct roster *roster;
    struct port *ports[MEMBERS + 1]; /* [0] is the roster's */
    uint64_t now;
    struct clock clock;
};

static uint64_t test_now(void *user)
{
    return ((struct stage_of_test *)user)->now;
}

static int begin(struct stage_of_test *s, struct err *why)
{
    *s = (struct stage_of_test){.now = 1000000000ull, .clock = {.now = test_now, .user = s}};
    TRY(port_open_here(s->ports, MEMBERS + 1, why));
    TRY(roster_open(&s->roster, s->ports[0], &s->clock, why));
    for (int i = 0; i < MEMBERS; i++) TRY(roster_add(s->roster, "", why));
    return roster_greet(s->roster, 1, why);
}

static void end(struct stage_of_test *s)
{
    roster_close(&s->roster);
    for (int i = 1; i <= MEMBERS; i++) port_close(&s->ports[i]);
}

static int say(struct stage_of_test *s, int node, struct frame *f, struct err *why)
{
    int code = port_send(s->ports[node], 0, &f, why);
    if (code) frame_free(f);
    return code;
}

static int say_empty(struct stage_of_test *s, int node, enum message type, struct err *why)
{
    struct frame *f = NULL;
    TRY(empty_write(&f, type, why));
    return say(s, node, f, why);
}

/* A member hears the greeting and answers. */
static int join(struct stage_of_test *s, int node, struct err *why)
{
    struct frame *f = NULL;
    const struct hello hello = {.build = "b", .host = "attic", .isa = "ref", .numeric = worker_numeric(), .pid = 40 + (uint32_t)node, .threads = 1};
    TRY(port_recv(s->ports[node], &f, 0, why));
    frame_free(f);
    TRY(hello_write(&f, &hello, why));
    return say(s, node, f, why);
}

static int join_all(struct stage_of_test *s, struct err *why)
{
    struct event e;
    for (int node = 1; node <= MEMBERS; node++) {
        TRY(join(s, node, why));
        TRY(roster_next(s->roster, &e, 0, why));
        event_free(&e);
    }
    return 0;
}

static enum event_kind next(struct stage_of_test *s, struct event *e)
{
    struct err why = {0};
    if (roster_next(s->roster, e, 0, &why)) return (enum event_kind)-1;
    return e->kind;
}

TEST(an_answered_greeting_is_one_event_with_its_member)
{
    struct stage_of_test s;
    struct event e;
    NEED(begin(&s, why));
    CHECK(next(&s, &e) == EVENT_NONE);
    NEED(join(&s, 2, why));
    CHECK(next(&s, &e) == EVENT_JOINED && e.who == roster_member(s.roster, 2));
    CHECK(e.who->standing == GREETED && !strcmp(e.who->name, "worker 2 (process 42 on attic)"), "%s", e.who->name);
    CHECK(next(&s, &e) == EVENT_NONE);
    NEED(join(&s, 2, why)); /* once more */
    CHECK(next(&s, &e) == EVENT_LOST && e.why.code == E_WIRE && strstr(e.why.text, "out of turn"), "%s", e.why.text);
    end(&s);
}

TEST(a_closed_connection_is_one_loss_and_nothing_of_it_is_heard_any_more)
{
    struct stage_of_test s;
    struct event e;
    NEED(begin(&s, why));
    NEED(join_all(&s, why));
    NEED(say_empty(&s, 3, M_PIECE_ACK, why));
    port_close(&s.ports[3]);
    port_close(&s.ports[1]);
    CHECK(next(&s, &e) == EVENT_LOST || e.kind == EVENT_FRAME);
    int losses = 0, frames = 0;
    for (int i = 0; i < 6 && e.kind != EVENT_NONE; i++) {
        losses += e.kind == EVENT_LOST;
        frames += e.kind == EVENT_FRAME;
        if (e.kind == EVENT_LOST) CHECK(e.why.code == E_WORKER && strstr(e.why.text, "connection was closed"), "%s", e.why.text);
        if (e.kind == EVENT_LOST) CHECK(e.who->standing == LOST && e.who->node != 2);
        event_free(&e);
        next(&s, &e);
    }
    CHECK(losses == 2 && frames == 1, "%d losses, %d frames", losses, frames);
    struct frame *f = NULL;
    NEED(empty_write(&f, M_STOP, why));
    NEED(roster_send(s.roster, roster_member(s.roster, 3), &f, why)); /* to nobody: no error, and no second event */
    CHECK(!f && next(&s, &e) == EVENT_NONE);
    end(&s);
}

static void *wake_later(void *roster)
{
    sleep_ns(50 * 1000000);
    roster_wake(roster);
    return NULL;
}

TEST(a_wake_ends_the_wait_as_an_event_of_its_own)
{
    struct stage_of_test s;
    struct event e;
    struct err no = {0};
    pthread_t thread;
    NEED(begin(&s, why));
    const uint64_t start = clock_ns();
    if (pthread_create(&thread, NULL, wake_later, s.roster)) abort();
    CHECK(!roster_next(s.roster, &e, 5000, &no) && e.kind == EVENT_WOKEN && !e.who, "%d: %s", e.kind, no.text);
    const double ms = (double)(clock_ns() - start) / 1e6;
    pthread_join(thread, NULL);
    CHECK(ms > 40 && ms < 1000, "woke after %.0f ms", ms);
    CHECK(next(&s, &e) == EVENT_NONE, "a wake is told once");
    NEED(join(&s, 1, why));
    roster_wake(s.roster);
    bool woken = false, joined = false; /* frames do not hide a wake, nor does a wake a frame */
    for (int i = 0; i < 3; i++) {
        next(&s, &e);
        woken |= e.kind == EVENT_WOKEN;
        joined |= e.kind == EVENT_JOINED;
    }
    CHECK(woken && joined);
    end(&s);
}

TEST(a_member_that_computes_other_numbers_is_refused_with_both_versions)
{
    struct stage_of_test s;
    struct event e;
    struct frame *f = NULL;
    const struct hello hello = {.build = "b", .host = "attic", .isa = "ref", .numeric = worker_numeric() + 6, .threads = 1};
    NEED(begin(&s, why));
    NEED(port_recv(s.ports[2], &f, 0, why));
    frame_free(f);
    NEED(hello_write(&f, &hello, why));
    NEED(say(&s, 2, f, why));
    CHECK(next(&s, &e) == EVENT_LOST && e.who->node == 2 && e.why.code == E_USAGE);
    CHECK(strstr(e.why.text, "by version 7 of the numbers, this program by version 1"), "%s", e.why.text);
    end(&s);
}

TEST(a_fault_is_an_event_and_counts_as_a_loss)
{
    struct stage_of_test s;
    struct event e;
    struct frame *f = NULL;
    const struct fault fault = {.code = E_MEMORY, .text = "no room"};
    NEED(begin(&s, why));
    NEED(join_all(&s, why));
    NEED(fault_write(&f, &fault, why));
    NEED(say(&s, 1, f, why));
    CHECK(next(&s, &e) == EVENT_FAULT && e.who->node == 1 && e.who->standing == LOST);
    CHECK(e.why.code == E_MEMORY && strstr(e.why.text, "cannot go on: no room"), "%s", e.why.text);
    port_close(&s.ports[1]);
    CHECK(next(&s, &e) == EVENT_NONE, "its end is no second event");
    end(&s);
}

TEST(a_member_that_breaks_the_protocol_is_lost_alone)
{
    struct stage_of_test s;
    struct event e;
    struct frame *f = NULL;
    NEED(begin(&s, why));
    NEED(join_all(&s, why));
    f = frame_new(M_FAULT, 3); /* too short for a fault */
    memset(frame_body(f), 0, 3);
    NEED(say(&s, 2, f, why));
    CHECK(next(&s, &e) == EVENT_LOST && e.who->node == 2 && e.why.code == E_WIRE, "%s", e.why.text);
    NEED(say_empty(&s, 1, M_PIECE_ACK, why));
    CHECK(next(&s, &e) == EVENT_FRAME && e.who->node == 1);
    event_free(&e);
    end(&s);
}

TEST(silence_longer_than_the_lease_is_a_loss_unless_we_did_not_listen_ourselves)
{
    struct stage_of_test s;
    struct event e;
    NEED(begin(&s, why));
    NEED(join_all(&s, why));
    for (int i = 1; i <= MEMBERS; i++) roster_member(s.roster, i)->standing = READY;
    s.now += 300000000000ull; /* we were stopped for five minutes */
    CHECK(next(&s, &e) == EVENT_NONE);
    int lost = 0;
    for (int tick = 0; tick < 12; tick++) {
        s.now += 500000000ull;
        NEED(say_empty(&s, 1, M_PIECE_ACK, why)); /* worker 1 lives */
        while (next(&s, &e) != EVENT_NONE) {
            lost += e.kind == EVENT_LOST;
            if (e.kind == EVENT_LOST) CHECK(strstr(e.why.text, "has not answered for 3 s"), "%s", e.why.text);
            event_free(&e);
        }
        if (tick == 1) CHECK(roster_member(s.roster, 2)->suspect && !roster_member(s.roster, 1)->suspect, "after 2 s, of which one we stood still");
    }
    CHECK(lost == 2 && roster_member(s.roster, 1)->standing == READY, "%d were lost", lost);
    end(&s);
}

/* Somebody who reads a cold file between two looks, say: a second for each frame of another member, and what the third one said waits behind. */
TEST(whose_word_waits_to_be_read_is_not_silent_however_long_our_turns_take)
{
    struct stage_of_test s;
    struct event e;
    NEED(begin(&s, why));
    NEED(join_all(&s, why));
    for (int i = 1; i <= MEMBERS; i++) roster_member(s.roster, i)->standing = READY;
    for (int i = 0; i < 6; i++) NEED(say_empty(&s, 1, M_PIECE_ACK, why));
    NEED(say_empty(&s, 3, M_PIECE_ACK, why));
    int turn = 0;
    do {
        s.now += 1000000000ull;
        NEED(next(&s, &e) == EVENT_FRAME ? 0 : fail(why, E_INTERNAL, "in turn %d worker %d was lost, and not all was read", turn, e.who ? e.who->node : 0));
        event_free(&e);
    } while (e.who->node != 3 && ++turn < 12);
    CHECK(turn == 6, "worker 3 was heard in turn %d", turn);
    CHECK(next(&s, &e) == EVENT_LOST && e.who->node == 2, "it said nothing at all, and all was read");
    end(&s);
}

/* Others talk all the while, and there is always something to read. */
TEST(who_is_silent_is_lost_also_where_others_never_stop_talking)
{
    struct stage_of_test s;
    struct event e;
    int frames = 0;
    bool lost = false;
    NEED(begin(&s, why));
    NEED(join_all(&s, why));
    for (int i = 1; i <= MEMBERS; i++) roster_member(s.roster, i)->standing = READY;
    for (int i = 0; i < 2; i++) NEED(say_empty(&s, 1, M_PIECE_ACK, why));
    while (!lost && s.now < 60000000000ull) {
        s.now += 10000000ull;
        NEED(say_empty(&s, 1, M_PIECE_ACK, why));
        NEED(say_empty(&s, 3, M_PIECE_ACK, why));
        for (int i = 0; i < 2 && !lost; i++) {
            lost = next(&s, &e) == EVENT_LOST;
            if (lost) CHECK(e.who->node == 2, "worker %d", e.who->node);
            frames += e.kind == EVENT_FRAME;
            event_free(&e);
        }
    }
    CHECK(lost && s.now < 5000000000ull, "after %d frames, %llu ms", frames, (unsigned long long)(s.now / 1000000));
    end(&s);
}

/* Which of the two is at fault nobody can know, and neither is lost. */
TEST(a_broken_link_between_two_who_live_is_an_event_that_names_both)
{
    struct stage_of_test s;
    struct event e;
    struct frame *f = NULL;
    NEED(begin(&s, why));
    NEED(join_all(&s, why));
    NEED(unreachable_write(&f, &(struct unreachable){2, false, "their connection broke"}, why));
    NEED(say(&s, 1, f, why));
    CHECK(next(&s, &e) == EVENT_APART && e.who->node == 1 && e.other->node == 2 && e.other->standing == GREETED);
    CHECK(strstr(e.why.text, "worker 1 (process 41 on attic) cannot reach worker 2 (process 42 on attic)"), "%s", e.why.text);
    roster_lose(s.roster, roster_member(s.roster, 2), &(struct err){.code = E_WORKER});
    CHECK(next(&s, &e) == EVENT_LOST);
    NEED(unreachable_write(&f, &(struct unreachable){2, false, "once more"}, why));
    NEED(say(&s, 3, f, why));
    CHECK(next(&s, &e) == EVENT_NONE, "it is lost already");
    NEED(unreachable_write(&f, &(struct unreachable){1, true, "it broke the protocol"}, why));
    NEED(say(&s, 3, f, why));
    CHECK(next(&s, &e) == EVENT_LOST && e.who->node == 1 && strstr(e.why.text, "broke the protocol"), "%s", e.why.text);
    NEED(unreachable_write(&f, &(struct unreachable){9, false, "who is that"}, why));
    NEED(say(&s, 3, f, why));
    CHECK(next(&s, &e) == EVENT_LOST && e.who->node == 3 && e.why.code == E_WIRE, "%s", e.why.text);
    end(&s);
}

TEST(pongs_are_dealt_with_and_reports_are_events_at_once)
{
    struct stage_of_test s;
    struct event e;
    struct frame *f = NULL;
    NEED(begin(&s, why));
    NEED(join_all(&s, why));
    NEED(ping_write(&f, M_PONG, &(struct ping){.at_ns = 5}, why));
    NEED(say(&s, 1, f, why));
    NEED(report_write(&f, &(struct report){.batches = 77}, why));
    NEED(say(&s, 1, f, why));
    struct err no = {0};
    const uint64_t then = clock_ns();
    CHECK(!roster_next(s.roster, &e, 60000, &no) && e.kind == EVENT_REPORT && e.who == roster_member(s.roster, 1), "%s", no.text);
    CHECK(e.who->report.batches == 77 && e.who->reports == 1 && !e.frame && clock_ns() - then < 50000000000ull, "who waits for it waits no longer");
    end(&s);
}
