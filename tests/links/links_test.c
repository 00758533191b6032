/* tests/links/links_test.c — one suite of claims for every kind of port that can live in one process: threads, ZeroMQ over
 * ipc:// and over tcp://. MPI plays the same roles in mpi_links.c. */
#include "tests/support/check.h"
#include "tests/links/cluster.h"
#include "transport/links/strangers.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int sizes(struct cluster *c, struct port *p, struct err *why)
{
    return sizes_role(p, c->nodes, why);
}

static int ring(struct cluster *c, struct port *p, struct err *why)
{
    return ring_role(p, c->nodes, 300, 10000, why);
}

static int stop(struct cluster *c, struct port *p, struct err *why)
{
    return stop_role(p, c->nodes, why);
}

TEST(frames_of_every_size_arrive_whole_and_in_order)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        NEED(open_and_greet(&c, kind, 4, why));
        NEED(play(&c, sizes, why));
        cluster_close(&c);
    }
}

TEST(a_ring_where_all_send_before_they_read_does_not_stand_still)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        NEED(open_and_greet(&c, kind, 4, why));
        NEED(play(&c, ring, why));
        CHECK(port_counters(c.ports[1]).queued_most > 200, "%s: %llu queued", kind_names[kind],
              (unsigned long long)port_counters(c.ports[1]).queued_most);
        NEED(play(&c, stop, why));
        CHECK(port_counters(c.ports[0]).frames_in == 3 * 300 + 3 + 3, "%s: %llu frames at the coordinator", kind_names[kind],
              (unsigned long long)port_counters(c.ports[0]).frames_in);
        cluster_close(&c);
    }
}

TEST(every_worker_learns_its_number_and_the_run)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        NEED(cluster_open(&c, kind, 4, why));
        CHECK(kind == HERE || (port_self(c.ports[2]) == -1 && port_nodes(c.ports[2]) == 0));
        NEED(play(&c, greet, why));
        for (int k = 0; k < 4; k++) CHECK(port_self(c.ports[k]) == k && port_nodes(c.ports[k]) == 4, "%s, node %d", kind_names[kind], k);
        cluster_close(&c);
    }
}

/* ---- waiting ---- */

static void *wake_later(void *port)
{
    sleep_ns(100 * 1000000);
    port_wake(port);
    return 0;
}

TEST(a_wake_ends_the_wait)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        struct frame *f = 0;
        pthread_t thread;
        NEED(open_and_greet(&c, kind, 2, why));
        uint64_t start = clock_ns();
        if (pthread_create(&thread, 0, wake_later, c.ports[1])) abort();
        NEED(port_recv(c.ports[1], &f, 60000, why));
        double ms = (double)(clock_ns() - start) / 1e6;
        pthread_join(thread, 0);
        CHECK(!f && ms > 90 && ms < 50000, "%s: woke after %.0f ms", kind_names[kind], ms);
        CHECK(port_woken(c.ports[1]) && !port_woken(c.ports[1]), "%s: a wake is told once", kind_names[kind]);
        port_wake(c.ports[1]); /* before the wait: the next one returns */
        start = clock_ns();
        NEED(port_recv(c.ports[1], &f, 60000, why));
        CHECK(!f && clock_ns() - start < 50000000000ull, "%s: a wake before the wait was forgotten", kind_names[kind]);
        CHECK(port_woken(c.ports[1]));
        NEED(port_recv(c.ports[1], &f, 20, why));
        CHECK(!f && !port_woken(c.ports[1]), "%s: time that is over is not a wake", kind_names[kind]);
        cluster_close(&c);
    }
}

TEST(waiting_takes_the_time_asked_for_and_no_processor)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        struct frame *f = 0;
        NEED(open_and_greet(&c, kind, 2, why));
        double cpu = cpu_seconds();
        uint64_t start = clock_ns();
        NEED(port_recv(c.ports[1], &f, 500, why));
        double ms = (double)(clock_ns() - start) / 1e6;
        cpu = cpu_seconds() - cpu;
        CHECK(!f && ms >= 499 && ms < 900, "%s: 500 ms took %.0f", kind_names[kind], ms);
        CHECK(cpu < 0.02, "%s: waiting 0.5 s cost %.3f s of processor", kind_names[kind], cpu);
        NEED(port_recv(c.ports[1], &f, 0, why));
        CHECK(!f);
        cluster_close(&c);
    }
}

/* ---- limits ---- */

TEST(a_body_over_the_limit_is_refused_by_sender_and_receiver)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        struct err no = {0};
        NEED(open_and_greet(&c, kind, 2, why));
        struct frame *f = marked_frame(0, 0, 70000);
        port_limits(c.ports[0], 69999, 10);
        CHECK(port_send(c.ports[0], 1, &f, &no) == E_WIRE && f, "%s: %s", kind_names[kind], no.text);
        port_limits(c.ports[0], 70000, 10);
        port_limits(c.ports[1], 69999, 10);
        NEED(port_send(c.ports[0], 1, &f, why));
        CHECK(port_recv(c.ports[1], &f, PATIENCE_MS, &no) == E_WIRE && !f && strstr(no.text, "69999"), "%s: %s", kind_names[kind], no.text);
        CHECK(port_recv(c.ports[1], &f, 0, &no) == 0 && !f, "%s: refused once, then quiet: %s", kind_names[kind], no.text);
        CHECK(send_empty(c.ports[1], 0, M_PONG, &no) == E_LINK, "%s: a peer that broke the rules is left alone", kind_names[kind]);
        cluster_close(&c);
    }
}

TEST(a_queue_has_its_bound_and_a_refused_frame_stays_with_the_caller)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        struct err no = {0};
        int sent = 0, code = 0;
        struct frame *f = 0;
        NEED(open_and_greet(&c, kind, 2, why));
        port_limits(c.ports[0], 1000, 5);
        do {
            frame_free(f);
            f = marked_frame(0, 0, 100);
            code = port_send(c.ports[0], 1, &f, &no);
        } while (!code && ++sent < 100);
        CHECK(code == E_LINK && f && sent < 20 && strstr(no.text, "5 already wait"), "%s: after %d: %s", kind_names[kind], sent, no.text);
        frame_free(f);
        cluster_close(&c);
    }
}

TEST(frames_that_cannot_go_anywhere_are_refused)
{
    struct cluster c;
    struct err no = {0};
    NEED(cluster_open(&c, IPC, 3, why));
    CHECK(send_empty(c.ports[1], 0, M_PONG, &no) == E_LINK && strstr(no.text, "no coordinator has come"), "%s", no.text);
    NEED(play(&c, greet, why));
    CHECK(send_empty(c.ports[1], 1, M_PONG, &no) == E_LINK && strstr(no.text, "this is node 1 of 3"), "%s", no.text);
    CHECK(send_empty(c.ports[1], 3, M_PONG, &no) == E_LINK);
    CHECK(send_empty(c.ports[1], -1, M_PONG, &no) == E_LINK);
    CHECK(send_empty(c.ports[2], 1, M_PONG, &no) == E_LINK && strstr(no.text, "no connection to worker 1"), "%s", no.text);
    cluster_close(&c);
}

/* ---- peers that lie ---- */

/* What a hostile peer does: a frame with any head, any damage, past all that port_send looks after. */
static struct frame *raw_frame(enum message type, int from, int to, uint32_t sequence)
{
    struct frame *f = frame_new(type, 40);
    memset(frame_body(f), 7, 40);
    f->head.run = RUN;
    f->head.epoch = 1;
    f->head.from = (uint16_t)from;
    f->head.to = (uint16_t)to;
    f->head.sequence = sequence;
    frame_seal(f);
    return f;
}

static void raw_send(struct port *p, int to, struct frame *f)
{
    queue_put(&peer_made(p, to)->out, f);
    p->kind->push(p, 0);
}

TEST(a_damaged_frame_ends_the_link_with_one_sentence)
{
    static const size_t places[] = {0, 5, 30, 41, 50, 60, 64, 103}; /* magic, version, sequence, size, both CRCs, body */
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        EVERY_KIND(kind)
        {
            struct cluster c;
            struct err no = {0};
            struct frame *f = raw_frame(M_PING, 0, 1, 1), *out = 0;
            f->bytes[places[i]] ^= 0x10;
            NEED(open_and_greet(&c, kind, 3, why));
            raw_send(c.ports[0], 1, f);
            CHECK(port_recv(c.ports[1], &out, PATIENCE_MS, &no) == E_WIRE && !out && strstr(no.text, "the coordinator"),
                  "%s, byte %zu: %s", kind_names[kind], places[i], no.text);
            raw_send(c.ports[0], 1, raw_frame(M_PING, 0, 1, 1));
            CHECK(port_recv(c.ports[1], &out, 50, &no) == 0 && !out, "%s: listened to after it broke the rules", kind_names[kind]);
            NEED(send_empty(c.ports[0], 2, M_PING, why)); /* the others go on */
            NEED(await_and_free(c.ports[2], M_PING, 0, why));
            cluster_close(&c);
        }
}

TEST(a_number_that_was_there_is_dropped_and_one_that_was_skipped_ends_the_link)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        struct err no = {0};
        struct frame *f = 0;
        NEED(open_and_greet(&c, kind, 2, why));
        raw_send(c.ports[0], 1, raw_frame(M_PING, 0, 1, 1));
        raw_send(c.ports[0], 1, raw_frame(M_PING, 0, 1, 0));
        raw_send(c.ports[0], 1, raw_frame(M_PING, 0, 1, 1));
        raw_send(c.ports[0], 1, raw_frame(M_PONG, 0, 1, 2));
        NEED(await_and_free(c.ports[1], M_PING, 0, why));
        NEED(await_and_free(c.ports[1], M_PONG, 0, why));
        CHECK(port_counters(c.ports[1]).dropped == 2, "%s: %llu dropped", kind_names[kind], (unsigned long long)port_counters(c.ports[1]).dropped);
        raw_send(c.ports[0], 1, raw_frame(M_PING, 0, 1, 4));
        CHECK(port_recv(c.ports[1], &f, PATIENCE_MS, &no) == E_WIRE && !f && strstr(no.text, "number 4 came, 3 was next"), "%s: %s", kind_names[kind], no.text);
        cluster_close(&c);
    }
}

TEST(a_node_cannot_speak_for_another)
{
    EVERY_ZMQ_KIND(kind)
    {
        struct cluster c;
        struct err no = {0};
        struct frame *f = 0;
        NEED(open_and_greet(&c, kind, 3, why));
        raw_send(c.ports[0], 1, raw_frame(M_PING, 2, 1, 0));
        CHECK(port_recv(c.ports[1], &f, PATIENCE_MS, &no) == E_WIRE && !f && strstr(no.text, "the coordinator sent PING from node 2"), "%s: %s", kind_names[kind], no.text);
        cluster_close(&c);
    }
}

/* A second connection that says it is a node which is there already, in the right run; a program that does not speak ZMTP
 * at all; one that speaks it and sends noise. */
TEST(strangers_do_no_harm)
{
    struct cluster c, stranger = {.nodes = 2};
    struct frame *f = 0;
    NEED(open_and_greet(&c, TCP, 3, why));
    NEED(send_empty(c.ports[1], 2, M_PONG, why));
    NEED(port_flush(c.ports[1], PATIENCE_MS, why));
    NEED(await_and_free(c.ports[2], M_PONG, 1, why));
    strcpy(stranger.addresses[1], c.addresses[2]);
    for (int i = 0; i < 3; i++) {
        NEED(open_coordinator(&stranger, why));
        f = raw_frame(i == 0 ? M_PING : M_STOP, i == 2 ? 1 : 0, 2, i == 2 ? 1 : 2);
        if (i == 1) f->bytes[70] ^= 1;
        raw_send(stranger.ports[0], 1, f);
        CHECK(port_recv(c.ports[2], &f, 200, 0) == 0 && !f, "stranger %d was listened to", i);
        CHECK(port_counters(c.ports[2]).dropped == (uint64_t)i + 1);
        port_close(&stranger.ports[0]);
    }
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)atoi(strrchr(c.addresses[2], ':') + 1))};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(!connect(s, (struct sockaddr *)&a, sizeof a) && send(s, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL) == 18);
    CHECK(port_recv(c.ports[2], &f, 100, 0) == 0 && !f);
    close(s);
    NEED(port_recv(c.ports[1], &f, 0, why)); /* its window opens with what worker 2 gave back */
    NEED(send_empty(c.ports[1], 2, M_PONG, why));
    NEED(await_and_free(c.ports[2], M_PONG, 1, why));
    NEED(send_empty(c.ports[0], 2, M_PING, why));
    NEED(await_and_free(c.ports[2], M_PING, 0, why));
    cluster_close(&c);
}

/* A ZeroMQ connection by hand, as a program that keeps no rule would make it. */
static int raw_connection(const char *address)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1))};
    uint8_t greeting[64] = {0xff, [8] = 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'}, theirs[258];
    static const uint8_t ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06" "DEALER";
    int s = socket(AF_INET, SOCK_STREAM, 0);
    bool done = !connect(s, (struct sockaddr *)&a, sizeof a) && send(s, greeting, 64, MSG_NOSIGNAL) == 64 &&
                recv(s, theirs, 64, MSG_WAITALL) == 64 && send(s, ready, sizeof ready - 1, MSG_NOSIGNAL) == sizeof ready - 1 &&
                recv(s, theirs, 2, MSG_WAITALL) == 2 && recv(s, theirs + 2, theirs[1], MSG_WAITALL) == theirs[1];
    if (done) return s;
    close(s);
    return -1;
}

static bool raw_message(int s, struct frame *f)
{
    uint8_t message[2 + FRAME_HEAD_BYTES + 40] = {0, FRAME_HEAD_BYTES + 40};
    memcpy(message + 2, f->bytes, FRAME_HEAD_BYTES + 40);
    frame_free(f);
    return send(s, message, sizeof message, MSG_NOSIGNAL) == sizeof message;
}

/* It learns our version from the head, whatever it can make of the rest. Twice on one connection is answered once. */
TEST(a_program_of_another_version_is_told_ours_at_once)
{
    struct port *p = NULL;
    struct frame *f = NULL;
    uint8_t answer[2 + 255];
    const struct timeval patience = {.tv_sec = 10};
    char address[100];
    free_address(address, TCP);
    NEED(port_open_listen(&p, address, NULL, why));
    const int s = raw_connection(address);
    CHECK(s >= 0);
    for (int i = 0; i < 2; i++) {
        f = raw_frame(M_GREET, 0, 1, 0);
        f->head.version = FRAME_VERSION + 1;
        frame_seal(f);
        CHECK(raw_message(s, f));
    }
    for (int i = 0; i < 50 && port_counters(p).dropped < 2; i++) NEED(port_recv(p, &f, 20, why));
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const ssize_t n = recv(s, answer, sizeof answer, 0);
    CHECK(n > 2 + FRAME_HEAD_BYTES && n == 2 + answer[1], "%zd bytes", n);
    f = frame_new(0, (size_t)answer[1] - FRAME_HEAD_BYTES);
    memcpy(f->bytes, answer + 2, answer[1]);
    struct fault fault = {0};
    CHECK(frame_version(f, answer[1]) == FRAME_VERSION);
    NEED(frame_open(f, answer[1], 1000, "the worker", why));
    NEED(fault_read(&fault, f, why));
    char sentence[80];
    snprintf(sentence, sizeof sentence, "speaks version %d of the protocol, this program version %d", FRAME_VERSION + 1, FRAME_VERSION);
    CHECK(strstr(fault.text, sentence), "%s", fault.text);
    frame_free(f);
    close(s);
    port_close(&p);
}

/* More frames than the window, unread; then the connection breaks, while the carrier's own clocks go on. */
TEST(a_flood_without_credit_does_no_harm)
{
    struct cluster c;
    struct frame *f = 0;
    struct linger at_once = {.l_onoff = 1};
    NEED(open_and_greet(&c, TCP, 2, why));
    int s = raw_connection(c.addresses[1]);
    CHECK(s >= 0);
    for (uint32_t i = 0; i < 100; i++) CHECK(raw_message(s, raw_frame(M_PING, 0, 1, i)));
    sleep_ns(1500000000); /* it piles up */
    for (uint64_t start = clock_ns(); port_counters(c.ports[1]).dropped < 16 && clock_ns() - start < 10000000000;)
        CHECK(port_recv(c.ports[1], &f, 50, 0) == 0 && !f); /* now, because breaking it discards what was not read yet */
    setsockopt(s, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(s);
    sleep_ns(2500000000);
    NEED(send_empty(c.ports[0], 1, M_STOP, why));
    NEED(await(c.ports[1], &f, M_STOP, 0, why));
    CHECK(port_counters(c.ports[1]).dropped >= 16, "%llu dropped", (unsigned long long)port_counters(c.ports[1]).dropped);
    frame_free(f);
    cluster_close(&c);
}

static bool hung_up(int s)
{
    char c;
    return recv(s, &c, 1, 0) == 0;
}

/* So many connections that are accepted: ours, and what strangers.h is told of. */
static void accepted(int n, int ours[], int theirs[])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    const int door = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(door, (struct sockaddr *)&a, sizeof a) || listen(door, n) || getsockname(door, (struct sockaddr *)&a, &size)) abort();
    for (int i = 0; i < n; i++) {
        ours[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(ours[i], (struct sockaddr *)&a, sizeof a)) abort();
        theirs[i] = accept(door, NULL, NULL);
    }
    close(door);
}

/* Whether the kernel says that one of them sent something. */
static bool stirred(const struct strangers *s, uint64_t now, int wait_ms)
{
    struct pollfd p = {.events = POLLIN};
    strangers_wait(s, now, NEVER, &p.fd);
    return p.fd < 0 || poll(&p, 1, wait_ms) == 1;
}

/* The clock is the test's. */
TEST(strangers_are_looked_at_when_they_send_and_ended_when_they_are_silent_or_send_too_much)
{
    enum { SILENT, SPEAKS, GREEDY, OF_A_RUN, ALL };
    static const char much[30000];
    const uint64_t most = 20000;
    struct strangers s = {0};
    int ours[ALL], theirs[ALL];
    uint64_t now = 1000000000;
    if (getenv("EMULATOR")) return test_skip("emulators do not say how much came over a connection (TCP_INFO)");
    accepted(ALL, ours, theirs);
    NEED(strangers_begin(&s, why));
    for (int i = 0; i < ALL; i++) strangers_came(&s, theirs[i], now);
    strangers_look(&s, most, now);
    now += STRANGERS_LOOK_NS;
    CHECK(s.n == ALL && !stirred(&s, now, 0), "who is silent is looked at");
    CHECK(send(ours[SPEAKS], much, 100, 0) == 100 && send(ours[OF_A_RUN], much, 15000, 0) == 15000 && stirred(&s, now, 20000));
    strangers_spoke(&s, theirs[SPEAKS]);
    CHECK(send(ours[GREEDY], much, sizeof much, 0) == sizeof much);
    while (s.n == ALL && stirred(&s, now, 20000)) strangers_look(&s, most, now += STRANGERS_LOOK_NS);
    CHECK(s.n == ALL - 1 && hung_up(ours[GREEDY]), "%d are left", s.n);
    strangers_look(&s, most / 2, now += STRANGERS_LOOK_NS);
    CHECK(s.n == ALL - 2 && hung_up(ours[OF_A_RUN]), "%d are left after the run", s.n);
    strangers_look(&s, most, 1000000000 + STRANGER_SILENT_NS);
    CHECK(s.n == 2);
    strangers_look(&s, most, 1000000001 + STRANGER_SILENT_NS);
    CHECK(s.n == 1 && s.at[0].fd == theirs[SPEAKS] && hung_up(ours[SILENT]), "%d are left after a minute", s.n);
    strangers_end(&s);
    for (int i = 0; i < ALL; i++) close(ours[i]), close(theirs[i]);
}

/* ---- peers that leave, addresses that do not work ---- */

TEST(a_peer_that_leaves_is_lost_once_and_only_after_its_last_frame)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        struct frame *f = 0;
        struct err no = {0};
        NEED(open_and_greet(&c, kind, 3, why));
        for (int i = 0; i < 5; i++) NEED(send_empty(c.ports[1], 0, M_PONG, why));
        NEED(port_flush(c.ports[1], PATIENCE_MS, why));
        port_close(&c.ports[1]);
        uint64_t start = clock_ns();
        for (int i = 0; i < 5; i++) NEED(await_and_free(c.ports[0], M_PONG, 1, why));
        NEED(await_and_free(c.ports[0], M_LOST, 1, why));
        CHECK(clock_ns() - start < 15000000000ull, "%s: noticed after %.1f s", kind_names[kind], (double)(clock_ns() - start) / 1e9);
        CHECK(port_recv(c.ports[0], &f, 50, 0) == 0 && !f, "%s: told twice", kind_names[kind]);
        CHECK(send_empty(c.ports[0], 1, M_PING, &no) == E_LINK && strstr(no.text, "worker 1 is gone"), "%s: %s", kind_names[kind], no.text);
        NEED(send_empty(c.ports[0], 2, M_PING, why)); /* the others stay */
        NEED(await_and_free(c.ports[2], M_PING, 0, why));
        cluster_close(&c);
    }
}

TEST(a_coordinator_that_leaves_is_lost_to_its_workers)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        NEED(open_and_greet(&c, kind, 3, why));
        port_close(&c.ports[0]);
        NEED(await_and_free(c.ports[1], M_LOST, 0, why));
        NEED(await_and_free(c.ports[2], M_LOST, 0, why));
        cluster_close(&c);
    }
}

/* Ports move on only while they are listened to. */
static int hear_greeting(struct cluster *c, int node, struct err *why)
{
    struct frame *f = 0;
    for (int i = 0; i < 100 && port_self(c->ports[node]) < 0; i++) {
        TRY(port_recv(c->ports[0], &f, 50, why));
        TRY(port_recv(c->ports[node], &f, 50, why));
    }
    const bool greeted = f && f->head.type == M_GREET;
    frame_free(f);
    return greeted ? 0 : fail(why, E_LINK, "node %d was not greeted", node);
}

TEST(workers_may_start_after_the_coordinator)
{
    EVERY_ZMQ_KIND(kind)
    {
        struct cluster c = {.nodes = 3};
        struct frame *f = 0;
        for (int k = 1; k < 3; k++) free_address(c.addresses[k], kind);
        NEED(open_coordinator(&c, why));
        port_run(c.ports[0], RUN, 1);
        for (int k = 1; k < 3; k++) {
            NEED(greet_write(&f, &(struct greet){(uint16_t)k, 3, 1, RUN, {0}}, why));
            NEED(port_send(c.ports[0], k, &f, why));
        }
        CHECK(port_recv(c.ports[0], &f, 200, 0) == 0 && !f, "%s: someone answered before there was anyone", kind_names[kind]);
        for (int k = 1; k < 3; k++) NEED(port_open_listen(&c.ports[k], c.addresses[k], NULL, why));
        for (int k = 1; k < 3; k++) {
            NEED(hear_greeting(&c, k, why));
            NEED(send_empty(c.ports[k], 0, M_PONG, why));
            NEED(await_and_free(c.ports[0], M_PONG, k, why));
        }
        cluster_close(&c);
    }
}

/* Connected, greeted, and gone before it said a word: the greeting is not lost with it. */
TEST(a_worker_that_starts_anew_before_it_answered_is_greeted_again)
{
    EVERY_ZMQ_KIND(kind)
    {
        struct cluster c;
        struct frame *f = 0;
        NEED(cluster_open(&c, kind, 2, why));
        port_run(c.ports[0], RUN, 1);
        NEED(greet_write(&f, &(struct greet){1, 2, 1, RUN, {0}}, why));
        NEED(port_send(c.ports[0], 1, &f, why));
        NEED(port_recv(c.ports[0], &f, 200, why)); /* by now the greeting lies at the worker's door, unread */
        port_close(&c.ports[1]);
        NEED(port_recv(c.ports[0], &f, 100, why));
        CHECK(!f, "%s: %s before the first contact", kind_names[kind], f ? message_name(f->head.type) : "");
        NEED(port_open_listen(&c.ports[1], c.addresses[1], NULL, why));
        NEED(hear_greeting(&c, 1, why));
        NEED(send_empty(c.ports[1], 0, M_PONG, why));
        NEED(await_and_free(c.ports[0], M_PONG, 1, why));
        cluster_close(&c);
    }
}

/* The other node in a process of its own: it greets or is greeted, then waits until it is killed. */
static pid_t start_peer(const char *address, bool worker)
{
    pid_t pid = fork();
    if (pid) return pid;
    struct port *p = 0;
    struct err why = {0};
    char none[2][100] = {""};
    int node;
    if (worker ? port_open_listen(&p, address, NULL, &why) : port_open_dial(&p, NULL, &why) || port_invite(p, address, &node, &why)) _exit(1);
    if (greet_role(p, 2, RUN, none, &why)) _exit(1);
    for (;;) {
        struct frame *f = 0;
        if (port_recv(p, &f, -1, &why)) _exit(1);
        frame_free(f);
    }
}

/* Seconds from `start` until M_LOST; negative if it does not come. */
static double seconds_to_notice(struct port *p, uint64_t start, struct err *why)
{
    struct frame *f = 0;
    int code = port_recv(p, &f, 13000, why);
    double seconds = !code && f && f->head.type == M_LOST ? (double)(clock_ns() - start) / 1e9 : -1;
    frame_free(f);
    return seconds;
}

TEST(a_killed_worker_is_noticed_within_a_second)
{
    EVERY_ZMQ_KIND(kind)
    {
        struct cluster c = {.nodes = 2, .run = RUN};
        struct err no = {0};
        free_address(c.addresses[1], kind);
        pid_t pid = start_peer(c.addresses[1], true);
        CHECK(!open_coordinator(&c, &no) && !greet(&c, c.ports[0], &no), "%s", no.text);
        kill(pid, SIGKILL);
        double s = seconds_to_notice(c.ports[0], clock_ns(), &no);
        CHECK(s >= 0 && s < 1, "%s: %.2f s %s", kind_names[kind], s, no.text);
        waitpid(pid, 0, 0);
        port_close(&c.ports[0]);
    }
}

TEST(a_second_coordinator_is_told_that_the_worker_is_busy)
{
    EVERY_ZMQ_KIND(kind)
    {
        struct cluster c, second = {.nodes = 2};
        struct frame *f = 0;
        struct fault fault = {0};
        NEED(open_and_greet(&c, kind, 3, why));
        strcpy(second.addresses[1], c.addresses[2]);
        NEED(open_coordinator(&second, why));
        port_run(second.ports[0], RUN + 1, 1);
        NEED(greet_write(&f, &(struct greet){1, 2, 1, RUN + 1, {0}}, why));
        NEED(port_send(second.ports[0], 1, &f, why));
        for (int i = 0; i < 50; i++) { /* it is told when the first says anything */
            NEED(send_empty(c.ports[0], 2, M_PING, why));
            NEED(await_and_free(c.ports[2], M_PING, 0, why));
            NEED(port_recv(second.ports[0], &f, 20, why));
            if (f) break;
        }
        CHECK(f && f->head.type == M_FAULT);
        NEED(fault_read(&fault, f, why));
        CHECK(strstr(fault.text, "busy"), "%s: %s", kind_names[kind], fault.text);
        frame_free(f);
        NEED(send_empty(c.ports[0], 2, M_PING, why)); /* the first one is served as before */
        NEED(await_and_free(c.ports[2], M_PING, 0, why));
        port_close(&second.ports[0]);
        CHECK(port_recv(c.ports[2], &f, 100, 0) == 0 && !f, "%s: the second one's end was told as the first one's", kind_names[kind]);
        cluster_close(&c);
    }
}

/* Whatever it says it waits for, the worker cannot know. */
TEST(a_coordinator_that_only_pings_keeps_a_worker_until_another_one_calls)
{
    EVERY_ZMQ_KIND(kind)
    {
        struct cluster c, second = {.nodes = 2};
        struct frame *f = NULL;
        NEED(open_and_greet(&c, kind, 2, why));
        NEED(send_empty(c.ports[0], 1, M_PING, why));
        NEED(await_and_free(c.ports[1], M_PING, 0, why));
        c.ports[1]->routes[ROUTE].open = false; /* nothing was assigned, and the greeting is long ago */
        c.ports[1]->given_ns -= GIVES_NOTHING_NS;
        NEED(send_empty(c.ports[0], 1, M_PING, why));
        NEED(await_and_free(c.ports[1], M_PING, 0, why));
        strcpy(second.addresses[1], c.addresses[1]);
        NEED(open_coordinator(&second, why));
        port_run(second.ports[0], RUN + 1, 1);
        NEED(greet_write(&f, &(struct greet){1, 2, 1, RUN + 1, {0}}, why));
        NEED(port_send(second.ports[0], 1, &f, why));
        NEED(port_recv(second.ports[0], &f, 150, why)); /* by now it lies at the worker's door */
        NEED(await_and_free(c.ports[1], M_LOST, 0, why));
        NEED(port_listen_again(c.ports[1], why));
        NEED(await_and_free(c.ports[1], M_GREET, 0, why));
        port_close(&second.ports[0]);
        cluster_close(&c);
    }
}

/* The first was killed while the worker computed. The second one's greeting may lie at the door before the worker has read of
 * that loss, or after; in either case before it listens again. */
TEST(a_coordinator_that_comes_before_the_last_one_is_forgotten_is_served_next)
{
    for (int read_loss_first = 0; read_loss_first < 2; read_loss_first++) EVERY_ZMQ_KIND(kind)
    {
        struct cluster c, next = {.nodes = 2};
        struct frame *f = 0;
        NEED(open_and_greet(&c, kind, 2, why));
        port_close(&c.ports[0]);
        if (read_loss_first) NEED(await_and_free(c.ports[1], M_LOST, 0, why));
        strcpy(next.addresses[1], c.addresses[1]);
        NEED(open_coordinator(&next, why));
        port_run(next.ports[0], RUN + 1, 1);
        NEED(greet_write(&f, &(struct greet){1, 2, 1, RUN + 1, {0}}, why));
        NEED(port_send(next.ports[0], 1, &f, why));
        NEED(port_recv(next.ports[0], &f, 150, why)); /* by now the greeting lies at the worker's door */
        if (!read_loss_first) NEED(await_and_free(c.ports[1], M_LOST, 0, why));
        CHECK(port_recv(c.ports[1], &f, 20, NULL) == 0 && !f, "%s: a greeting in the middle of a run", kind_names[kind]);
        NEED(port_listen_again(c.ports[1], why));
        NEED(await_and_free(c.ports[1], M_GREET, 0, why));
        NEED(send_empty(c.ports[1], 0, M_PONG, why));
        NEED(await_and_free(next.ports[0], M_PONG, 1, why));
        port_close(&next.ports[0]);
        cluster_close(&c);
    }
}

TEST(a_worker_serves_one_run_after_another)
{
    EVERY_ZMQ_KIND(kind)
    {
        struct cluster c;
        NEED(open_and_greet(&c, kind, 3, why));
        for (int again = 1; again < 6; again++) {
            NEED(play(&c, stop, why));
            for (int k = 1; k < 3; k++) NEED(port_listen_again(c.ports[k], why));
            CHECK(port_self(c.ports[1]) == -1);
            if (again % 2) { /* by turns a new coordinator, and a new run of the same one */
                port_close(&c.ports[0]);
                NEED(open_coordinator(&c, why));
            }
            c.run++;
            NEED(play(&c, greet, why));
            CHECK(port_self(c.ports[1]) == 1);
        }
        NEED(play(&c, ring, why));
        cluster_close(&c);
    }
}

TEST(an_address_that_cannot_be_used_gets_one_sentence)
{
    struct port *first = 0, *p = 0;
    struct err no = {0};
    EVERY_ZMQ_KIND(kind)
    {
        char address[100];
        free_address(address, kind);
        NEED(port_open_listen(&first, address, NULL, why));
        CHECK(port_open_listen(&p, address, NULL, &no) == E_LINK && !p && strstr(no.text, "is in use"), "%s", no.text);
        port_close(&first);
        NEED(port_open_listen(&first, address, NULL, why)); /* what the first left behind is no hindrance */
        port_close(&first);
    }
    static const char *const bad[] = {"", "here", "tcp://", "tcp://x", "udp://127.0.0.1:7", "ipc://", "tcp://127.0.0.1:",
                                      "tcp://127.0.0.1:99999", "tcp://127.0.0.1:port", "tcp://192.0.2.1:7001", "ipc:///nowhere/at/all"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(port_open_listen(&p, bad[i], NULL, &no) == E_LINK && !p && no.text[0], "'%s'", bad[i]);
    int node;
    NEED(port_open_dial(&p, NULL, why));
    CHECK(port_invite(p, "nonsense", &node, &no) == E_LINK && node == -1 && strstr(no.text, "tcp://HOST:PORT"), "%s", no.text);
    CHECK(port_nodes(p) == 1);
    port_close(&p);
}
