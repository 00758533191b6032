/* tests/links/peers_test.c — who takes part: very many, one more at any time, some that leave and whose number another gets. */
#include "tests/links/cluster.h"
#include "tests/support/check.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- how many ---- */

/* Each node sends to the one after it, and all send home; the coordinator sends to all. One thread plays them all. */
static int everyone_speaks(struct port **ports, int nodes, struct err *why)
{
    for (int k = 0; k < nodes; k++) {
        TRY(send_empty(ports[k], (k + 1) % nodes, M_PING, why));
        if (k) TRY(send_empty(ports[k], 0, M_PONG, why));
    }
    for (int k = 2; k < nodes; k++) TRY(send_empty(ports[0], k, M_STOP, why));
    return 0;
}

static int everyone_hears(struct port **ports, int nodes, struct err *why)
{
    for (int k = 1; k < nodes; k++) {
        TRY(await_and_free(ports[k], M_PING, k - 1, why));
        if (k > 1) TRY(await_and_free(ports[k], M_STOP, 0, why));
    }
    for (int heard = 0; heard < nodes; heard++) {
        struct frame *f = NULL;
        TRY(port_recv(ports[0], &f, PATIENCE_MS, why));
        if (!f) return fail(why, E_LINK, "the coordinator heard %d of %d frames", heard, nodes);
        frame_free(f);
    }
    return 0;
}

TEST(a_thousand_workers_in_one_process_hear_each_other)
{
    static const int sizes[] = {2, 64, 65, 66, 67, 129, WORKERS_MOST + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int nodes = sizes[i];
        struct port **ports = calloc((size_t)nodes, sizeof *ports);
        NEED(port_open_here(ports, nodes, why));
        NEED(everyone_speaks(ports, nodes, why));
        NEED(everyone_hears(ports, nodes, why));
        for (int k = nodes - 1; k > 0; k--) port_close(&ports[k]);
        for (int lost = 0; lost < nodes - 1; lost++) {
            struct frame *f = NULL;
            NEED(port_recv(ports[0], &f, PATIENCE_MS, why));
            CHECK(f && f->head.type == M_LOST && f->head.from == lost + 1, "%d nodes, loss %d", nodes, lost);
            frame_free(f);
        }
        port_close(&ports[0]);
        free(ports);
    }
}

TEST(one_worker_more_than_allowed_is_a_sentence)
{
    struct port *ports[1];
    struct err no = {0};
    CHECK(port_open_here(ports, WORKERS_MOST + 2, &no) == E_USAGE && strstr(no.text, "a run has 2 to 1001"), "%s", no.text);
    struct frame *f = NULL;
    const struct greet one_more = {1, WORKERS_MOST + 2, 1, RUN, {0}};
    CHECK(greet_write(&f, &one_more, &no) == E_WIRE && strstr(no.text, "a run has 2 to 1001"), "%s", no.text);
}

/* Nobody listens; the connections are there all the same, and try again in silence. */
TEST(a_coordinator_connects_to_a_thousand_workers_and_not_to_one_more)
{
    struct port *p = NULL;
    struct err no = {0};
    int node = 0, code = 0, n = 0;
    char address[100];
    NEED(port_open_dial(&p, NULL, why));
    for (; !code && n <= WORKERS_MOST; n += !code) {
        snprintf(address, sizeof address, "ipc:///tmp/gemmapipe-nobody-%d-%d", (int)getpid(), n);
        code = port_invite(p, address, &node, &no);
        CHECK(code || node == n + 1, "invited %d, got number %d", n + 1, node);
    }
    const bool few_files = code == E_LINK && strstr(no.text, "ulimit -n"); /* a machine's own limit, told as a sentence */
    CHECK(few_files || (code == E_USAGE && n == WORKERS_MOST && strstr(no.text, "1000 workers already")), "after %d: %s", n, no.text);
    CHECK(node == -1 && port_nodes(p) == n + 1);
    port_close(&p);
}

/* libzmq would end the process. */
TEST(a_process_that_may_open_few_files_is_told_before_it_runs_out_of_them)
{
    pid_t pid = fork();
    if (!pid) {
        struct rlimit few = {256, 256};
        struct port *p = NULL;
        struct err no = {0};
        char address[100];
        int node, code = setrlimit(RLIMIT_NOFILE, &few) ? 1 : port_open_dial(&p, NULL, &no);
        for (int i = 0; i < 100 && !code; i++) {
            snprintf(address, sizeof address, "ipc:///tmp/gemmapipe-nobody-%d", i);
            code = port_invite(p, address, &node, &no);
        }
        port_close(&p);
        _exit(code == E_LINK && strstr(no.text, "raise the limit (ulimit -n)") ? 0 : 1);
    }
    int status = 1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0, "status %d", status);
}

/* ---- who may ---- */

/* A process of this user greets a worker. */
static pid_t greet_as(uid_t user, const char *address)
{
    const pid_t pid = fork();
    if (pid) return pid;
    struct port *p = NULL;
    struct frame *f = NULL;
    int node;
    if (setuid(user) || port_open_dial(&p, NULL, NULL) || port_invite(p, address, &node, NULL)) _exit(1);
    port_run(p, RUN, 1);
    if (greet_write(&f, &(struct greet){1, 2, 1, RUN, {0}}, NULL) || port_send(p, 1, &f, NULL)) _exit(1);
    port_recv(p, &f, 300, NULL);
    _exit(0);
}

TEST(a_worker_under_a_name_without_a_file_hears_only_its_own_user)
{
    struct port *p = NULL;
    char address[100];
    if (getuid()) return test_skip("only root can be another user");
    if (getenv("EMULATOR")) return test_skip("emulators have no second process of a program with threads");
    snprintf(address, sizeof address, "ipc://@gemmapipe-peers-%d", (int)getpid());
    NEED(port_open_listen(&p, address, NULL, why));
    for (int own = 0; own <= 1; own++) {
        struct frame *f = NULL;
        int status = 1;
        const pid_t pid = greet_as(own ? getuid() : 65534, address);
        NEED(port_recv(p, &f, own ? PATIENCE_MS : 500, why));
        CHECK(waitpid(pid, &status, 0) == pid && status == 0, "status %d", status);
        CHECK((f != NULL) == own, "%s was %sheard", own ? "its own user" : "another user", f ? "" : "not ");
        frame_free(f);
    }
    port_close(&p);
}

/* ---- coming and going ---- */

/* The coordinator greets one worker, which answers. */
static int meet(struct cluster *c, int node, struct err *why)
{
    struct frame *f = NULL;
    TRY(greet_write(&f, &(struct greet){(uint16_t)node, (uint16_t)port_nodes(c->ports[0]), 1, RUN, {0}}, why));
    TRY(port_send(c->ports[0], node, &f, why));
    TRY(await_and_free(c->ports[node], M_GREET, 0, why));
    TRY(send_empty(c->ports[node], 0, M_PONG, why));
    return await_and_free(c->ports[0], M_PONG, node, why);
}

/* It holds nobody up who means to compute. */
TEST(a_coordinator_that_greets_and_falls_silent_is_left_for_the_next_that_calls)
{
    struct cluster c, next = {.nodes = 2};
    struct frame *f = NULL;
    NEED(cluster_open(&c, IPC, 2, why));
    port_run(c.ports[0], RUN, 1);
    NEED(meet(&c, 1, why));
    strcpy(next.addresses[1], c.addresses[1]);
    NEED(open_coordinator(&next, why));
    port_run(next.ports[0], RUN + 1, 1);
    NEED(greet_write(&f, &(struct greet){1, 2, 1, RUN + 1, {0}}, why));
    NEED(port_send(next.ports[0], 1, &f, why));
    NEED(port_recv(next.ports[0], &f, 300, why)); /* its greeting goes out in here */
    NEED(await_and_free(c.ports[1], M_LOST, 0, why));
    NEED(port_listen_again(c.ports[1], why));
    NEED(await_and_free(c.ports[1], M_GREET, 0, why));
    port_close(&next.ports[0]);
    cluster_close(&c);
}

TEST(a_worker_is_invited_while_the_others_are_at_work)
{
    EVERY_ZMQ_KIND(kind)
    {
        struct cluster c;
        int node = 0;
        NEED(open_and_greet(&c, kind, 3, why));
        free_address(c.addresses[3], kind);
        NEED(port_open_listen(&c.ports[3], c.addresses[3], NULL, why));
        c.nodes = 4;
        NEED(port_invite(c.ports[0], c.addresses[3], &node, why));
        CHECK(node == 3 && port_nodes(c.ports[0]) == 4);
        NEED(send_empty(c.ports[0], 1, M_PING, why));
        NEED(meet(&c, 3, why));
        NEED(await_and_free(c.ports[1], M_PING, 0, why)); /* the others did not notice */
        cluster_close(&c);
    }
}

TEST(a_peer_parted_from_is_forgotten_and_another_gets_its_number)
{
    EVERY_ZMQ_KIND(kind)
    {
        struct cluster c;
        struct frame *f = NULL;
        struct err no = {0};
        int node = 0;
        NEED(open_and_greet(&c, kind, 3, why));
        port_close(&c.ports[1]);
        NEED(await_and_free(c.ports[0], M_LOST, 1, why));
        free_address(c.addresses[1], kind);
        NEED(port_invite(c.ports[0], c.addresses[1], &node, why)); /* nobody parted from node 1 yet */
        CHECK(node == 3, "%s: the number of a lost peer was given away: %d", kind_names[kind], node);
        port_part(c.ports[0], 3);
        port_part(c.ports[0], 1);
        CHECK(send_empty(c.ports[0], 1, M_PING, &no) == E_LINK && strstr(no.text, "no connection"), "%s", no.text);
        NEED(port_open_listen(&c.ports[1], c.addresses[1], NULL, why));
        NEED(port_invite(c.ports[0], c.addresses[1], &node, why));
        CHECK(node == 1, "%s: the lowest free number is 1, not %d", kind_names[kind], node);
        NEED(meet(&c, 1, why)); /* counted from 0 again on both sides */
        port_part(c.ports[0], 2); /* it was well: it loses the coordinator, and nobody is told that it was lost */
        NEED(await_and_free(c.ports[2], M_LOST, 0, why));
        CHECK(port_recv(c.ports[0], &f, 50, NULL) == 0 && !f, "%s", kind_names[kind]);
        cluster_close(&c);
    }
}

TEST(only_nodes_with_addresses_can_be_added)
{
    struct cluster c;
    struct err no = {0};
    int node = 0;
    NEED(cluster_open(&c, HERE, 3, why));
    CHECK(port_invite(c.ports[0], "here", &node, &no) == E_LINK && node == -1 && strstr(no.text, "of kind here"), "%s", no.text);
    CHECK(port_outlives_peers(c.ports[0]) && !port_by_address(c.ports[0]));
    cluster_close(&c);
    NEED(open_and_greet(&c, IPC, 2, why));
    CHECK(port_invite(c.ports[1], c.addresses[1], &node, &no) == E_LINK, "a worker invites nobody");
    CHECK(port_outlives_peers(c.ports[0]) && port_by_address(c.ports[0]));
    cluster_close(&c);
}

/* Rows of one route go from worker 1 to worker 2, of another from 2 to 1. */
static int both_ways(struct cluster *c, struct port *p, struct err *why)
{
    const int self = port_self(p), other = 3 - self;
    if (!self) return 0;
    TRY(port_reach(p, other, c->addresses[other], why));
    for (uint32_t i = 0; i < 100; i++) {
        struct frame *f = marked_frame(self, i, 5000);
        TRY(port_send(p, other, &f, why));
    }
    for (uint32_t i = 0; i < 100; i++) {
        struct frame *f = NULL;
        TRY(await(p, &f, M_WORK, other, why));
        TRY(check_marked(f, i, 5000, why));
        frame_free(f);
    }
    return port_flush(p, PATIENCE_MS, why);
}

TEST(two_workers_may_send_to_each_other)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        NEED(open_and_greet(&c, kind, 3, why));
        for (int again = 0; again < 3; again++) NEED(play(&c, both_ways, why));
        port_close(&c.ports[2]);
        NEED(await_and_free(c.ports[1], M_LOST, 2, why));
        cluster_close(&c);
    }
}

/* ---- how a port begins ---- */

TEST(limits_are_what_the_port_was_opened_with)
{
    struct cluster c = {.nodes = 2};
    const struct link_options small = {.max_body = 100, .max_queued = 3};
    struct err no = {0};
    int node;
    NEED(port_open_dial(&c.ports[0], &small, why));
    NEED(port_invite(c.ports[0], "ipc:///tmp/gemmapipe-nobody", &node, why));
    NEED(port_route(c.ports[0], ROUTE, PLAN, ROUTE_EPOCH, why));
    struct frame *f = marked_frame(0, 0, 101);
    CHECK(port_send(c.ports[0], 1, &f, &no) == E_WIRE && strstr(no.text, "at most 100"), "%s", no.text);
    frame_free(f);
    int sent = 0;
    while (sent < 20 && !send_empty(c.ports[0], 1, M_PING, &no)) sent++;
    CHECK(sent == 3 && strstr(no.text, "3 already wait"), "%d: %s", sent, no.text);
    cluster_close(&c);
}
