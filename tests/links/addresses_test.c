/* tests/links/addresses_test.c — how a worker is found: names, both families, and what is said when it is not. */
#include "tests/links/cluster.h"
#include "tests/support/check.h"
#include "transport/links/knock.h"

/* "tcp://127.0.0.1:PORT" with another host. */
static void with_host(char out[100], const char *address, const char *host)
{
    snprintf(out, 100, "tcp://%s%s", host, strrchr(address, ':'));
}

TEST(a_name_is_listened_on_and_connected_to_as_all_it_stands_for)
{
    static const char *const hosts[][2] = {{"localhost", "localhost"}, {"localhost", "127.0.0.1"}, {"127.0.0.1", "localhost"}, {"[::1]", "[::1]"}};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct cluster c = {.nodes = 2, .run = RUN};
        struct err no = {0};
        char free_one[100], listened[100];
        free_address(free_one, TCP);
        with_host(listened, free_one, hosts[i][0]);
        with_host(c.addresses[1], free_one, hosts[i][1]);
        if (port_open_listen(&c.ports[1], listened, NULL, &no)) {
            CHECK(strchr(listened, '[') && strstr(no.text, "no such address"), "%s", no.text); /* a machine without IPv6 */
            continue;
        }
        NEED(open_coordinator(&c, why));
        NEED(play(&c, greet, why));
        cluster_close(&c);
    }
}

TEST(the_endpoint_that_accepts_is_taken_whichever_stands_first)
{
    char address[100], other[100];
    struct port *worker = NULL;
    struct knock k;
    struct endpoints two;
    free_address(address, TCP);
    free_address(other, TCP);
    NEED(port_open_listen(&worker, address, NULL, why));
    NEED(knock_begin(&k, other, why));
    NEED(address_resolve(&two, address, why));
    k.at.to[k.at.n++] = two.to[0];
    const struct endpoint *e = NULL;
    for (int i = 0; i < 500 && !e; i++, sleep_ns(1000000)) e = knock_step(&k, clock_ns());
    CHECK(e == &k.at.to[1] && k.reason, "turn %d, reason %d", k.turn, k.reason);
    knock_end(&k);
    port_close(&worker);
}

TEST(an_address_that_is_no_worker_s_is_refused_at_once)
{
    static const struct { const char *address, *said; } bad[] = {
        {"tcp://::1:7001", "write an IPv6 address in brackets, tcp://[::1]:7001"},
        {"tcp://fe80::1:7001", "in brackets"},
        {"tcp://:7001", "write tcp://HOST:PORT"},
        {"tcp://127.0.0.1:0", "write tcp://HOST:PORT"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct port *p = NULL, *listener = NULL;
        struct err no = {0};
        int node;
        NEED(port_open_dial(&p, NULL, why));
        CHECK(port_invite(p, bad[i].address, &node, &no) == E_LINK && strstr(no.text, bad[i].said), "%s: %s", bad[i].address, no.text);
        CHECK(port_open_listen(&listener, bad[i].address, NULL, &no) == E_LINK && !listener && strstr(no.text, bad[i].said),
              "%s: %s", bad[i].address, no.text);
        port_close(&p);
    }
}

/* As a container's: it ends, its name with it, and what is started again in its place has the name and another number. */
TEST(a_name_is_looked_up_until_somebody_answers_there)
{
    char address[100], name[100] = "tcp://no host:7001";
    struct port *worker = NULL;
    struct knock k;
    const struct endpoint *e = NULL;
    free_address(address, TCP);
    NEED(port_open_listen(&worker, address, NULL, why));
    NEED(knock_begin(&k, name, why));
    for (int i = 0; i < 60000 && !knock_reason(&k); i++, sleep_ns(1000000)) e = knock_step(&k, clock_ns());
    CHECK(!e && !strcmp(knock_reason(&k), "there is no host of that name"), "%s", knock_reason(&k));
    snprintf(name, sizeof name, "tcp://localhost%s", strrchr(address, ':'));
    for (int i = 0; i < 60000 && !e; i++, sleep_ns(1000000)) e = knock_step(&k, clock_ns());
    CHECK(e, "%s", knock_reason(&k));
    knock_end(&k);
    port_close(&worker);
}

TEST(two_workers_are_not_one)
{
    struct cluster c;
    struct frame *f = NULL;
    struct fault fault = {0};
    struct err no = {0};
    int node;
    char alias[100];
    NEED(open_and_greet(&c, TCP, 2, why));
    CHECK(port_invite(c.ports[0], c.addresses[1], &node, &no) == E_USAGE && strstr(no.text, "workers 1 and 2 have the same address"), "%s", no.text);
    with_host(alias, c.addresses[1], "localhost");
    NEED(port_invite(c.ports[0], alias, &node, why));
    NEED(greet_write(&f, &(struct greet){2, 3, 1, RUN, {0}}, why));
    NEED(port_send(c.ports[0], 2, &f, why));
    for (int i = 0; i < 50 && !port_counters(c.ports[1]).dropped; i++) {
        NEED(port_recv(c.ports[0], &f, 10, why));
        NEED(port_recv(c.ports[1], &f, 10, why));
    }
    NEED(await(c.ports[0], &f, M_FAULT, 2, why));
    NEED(fault_read(&fault, f, why));
    CHECK(fault.code == E_USAGE && strstr(fault.text, "it is worker 1 of this run already"), "%s", fault.text);
    frame_free(f);
    cluster_close(&c);
}

/* What a port says of a new worker once that holds what is wanted, or at last. */
static const char *silence_of(struct port *p, const char *address, const char *wanted, struct err *why)
{
    struct frame *f = NULL;
    const char *said = NULL;
    int node;
    if (port_invite(p, address, &node, why)) return why->text;
    for (int waited = 0; waited < PATIENCE_MS && !(said && strstr(said, wanted)); waited += 20) {
        if (port_recv(p, &f, 20, why)) return why->text;
        said = port_silence(p, node);
    }
    return said ? said : "nothing";
}

TEST(why_a_worker_is_silent_is_told_apart)
{
    struct port *p = NULL;
    struct err no = {0};
    char address[100], taken[100];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    NEED(port_open_dial(&p, NULL, why));
    CHECK(!port_silence(p, 1));
    EVERY_ZMQ_KIND(kind)
    {
        free_address(address, kind);
        const char *said = silence_of(p, address, "connection refused", &no);
        CHECK(strstr(said, "connection refused"), "%s: %s", kind_names[kind], said);
    }
    free_address(taken, TCP);
    a.sin_port = htons((uint16_t)atoi(strrchr(taken, ':') + 1));
    const int mute = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(!bind(mute, (struct sockaddr *)&a, sizeof a) && !listen(mute, 5));
    const char *said = silence_of(p, taken, "no worker, or hangs", &no);
    CHECK(strstr(said, "no worker, or hangs"), "%s", said);
    said = silence_of(p, "tcp://255.255.255.255:7001", "no route", &no);
    CHECK(strstr(said, "no route"), "%s", said);
    close(mute);
    struct port *hanging = NULL;
    free_address(address, TCP);
    NEED(port_open_listen(&hanging, address, NULL, why));
    said = silence_of(p, address, "says nothing", &no);
    CHECK(strstr(said, "says nothing"), "%s", said);
    port_close(&hanging);
    port_close(&p);
}

TEST(an_address_is_near_if_only_this_machine_can_connect_there)
{
    const char *near[] = {"tcp://127.0.0.1:7001", "tcp://127.3.2.1:7001", "tcp://[::1]:7001", "tcp://localhost:7001", "ipc:///tmp/x", "ipc://@x"};
    const char *far[] = {"tcp://*:7001", "tcp://0.0.0.0:7001", "tcp://[::]:7001", "tcp://10.0.0.1:7001", "tcp://no-such-name.invalid:7001"};
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) CHECK(address_is_near(near[i]), "%s", near[i]);
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) CHECK(!address_is_near(far[i]), "%s", far[i]);
}
