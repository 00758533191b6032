/* tests/links/routes_test.c — routes and their epochs: what is late is dropped and counted, and nobody else is disturbed. On every
 * kind of link that can live in one process. */
#include "tests/links/cluster.h"
#include "tests/support/check.h"

#define OTHER_ROUTE 7

static int send_on(struct port *p, int to, uint16_t route, uint32_t count, struct err *why)
{
    struct frame *f = marked_frame(port_self(p), count, 100);
    f->head.route = route;
    int code = port_send(p, to, &f, why);
    frame_free(f);
    return code;
}

static int await_on(struct port *p, int from, uint16_t route, uint32_t count, struct err *why)
{
    struct frame *f = NULL;
    TRY(await(p, &f, M_WORK, from, why));
    int code = check_marked(f, count, 100, why);
    if (!code && f->head.route != route) code = fail(why, E_LINK, "a frame of route %u came, not of %u", f->head.route, route);
    frame_free(f);
    return code;
}

static uint64_t dropped(struct port *p)
{
    return port_counters(p).dropped;
}

static int hear_nothing(struct port *p, struct err *why)
{
    struct frame *f = NULL;
    TRY(port_recv(p, &f, 100, why));
    const unsigned type = f ? f->head.type : 0;
    frame_free(f);
    return f ? fail(why, E_LINK, "%s was taken", message_name(type)) : 0;
}

TEST(frames_of_an_old_route_epoch_are_dropped_and_other_routes_go_on)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        NEED(open_and_greet(&c, kind, 2, why));
        struct port *home = c.ports[0], *away = c.ports[1];
        NEED(port_route(home, OTHER_ROUTE, PLAN, 1, why));
        NEED(port_route(away, OTHER_ROUTE, PLAN, 1, why));
        for (uint32_t i = 0; i < 3; i++) NEED(send_on(home, 1, ROUTE, i, why));
        NEED(send_on(home, 1, OTHER_ROUTE, 0, why));
        NEED(await_on(away, 0, ROUTE, 0, why));
        NEED(port_route(away, ROUTE, PLAN, ROUTE_EPOCH + 1, why)); /* frames 1 and 2 are late now */
        NEED(await_on(away, 0, OTHER_ROUTE, 0, why));
        CHECK(dropped(away) == 2, "%s: %llu dropped", kind_names[kind], (unsigned long long)dropped(away));
        NEED(port_route(home, ROUTE, PLAN, ROUTE_EPOCH + 1, why));
        for (uint32_t i = 10; i < 13; i++) { /* counted from nought on the one, further on the other */
            NEED(send_on(home, 1, ROUTE, i, why));
            NEED(send_on(home, 1, OTHER_ROUTE, i, why));
            NEED(await_on(away, 0, ROUTE, i, why));
            NEED(await_on(away, 0, OTHER_ROUTE, i, why));
            NEED(send_empty(away, 0, M_PONG, why)); /* what the other gave back of the window comes before it */
            NEED(await_and_free(home, M_PONG, 1, why));
        }
        NEED(send_empty(home, 1, M_PING, why)); /* nor was what has no route */
        NEED(await_and_free(away, M_PING, 0, why));
        CHECK(dropped(away) == 2);
        cluster_close(&c);
    }
}

TEST(frames_of_another_run_route_plan_or_epoch_are_dropped_and_counted)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        NEED(open_and_greet(&c, kind, 2, why));
        struct port *home = c.ports[0], *away = c.ports[1];
        NEED(port_route(home, ROUTE, PLAN + 1, ROUTE_EPOCH, why));
        NEED(send_on(home, 1, ROUTE, 0, why)); /* of another plan */
        NEED(port_route(home, ROUTE, PLAN, ROUTE_EPOCH + 1, why));
        NEED(send_on(home, 1, ROUTE, 0, why)); /* of an epoch that has not come yet */
        NEED(port_route(home, OTHER_ROUTE, PLAN, ROUTE_EPOCH, why));
        NEED(send_on(home, 1, OTHER_ROUTE, 0, why)); /* of a route that the other does not know */
        port_run(home, RUN, 0);
        NEED(send_empty(home, 1, M_PING, why)); /* of an old epoch of the run */
        port_run(home, RUN + 1, 1);
        NEED(send_empty(home, 1, M_PING, why)); /* of another run */
        NEED(hear_nothing(away, why));
        CHECK(dropped(away) == 5, "%s: %llu dropped", kind_names[kind], (unsigned long long)dropped(away));
        cluster_close(&c);
    }
}

TEST(a_later_greeting_counts_from_nought_and_forgets_the_routes)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        struct err no = {0};
        struct frame *f = NULL;
        NEED(open_and_greet(&c, kind, 2, why));
        struct port *home = c.ports[0], *away = c.ports[1];
        NEED(send_on(home, 1, ROUTE, 0, why));
        NEED(await_on(away, 0, ROUTE, 0, why));
        port_run(home, RUN, 2);
        NEED(greet_write(&f, &(struct greet){1, 2, 1, RUN, {0}}, why));
        NEED(port_send(home, 1, &f, why));
        NEED(await(away, &f, M_GREET, 0, why));
        CHECK(f->head.epoch == 2 && f->head.sequence == 0, "%s", kind_names[kind]);
        frame_free(f);
        NEED(send_empty(away, 0, M_PONG, why)); /* in the new epoch without being told by port_run */
        NEED(await_and_free(home, M_PONG, 1, why));
        CHECK(send_on(away, 0, ROUTE, 0, &no) == E_LINK && strstr(no.text, "route 1 is not open"), "%s", no.text);
        NEED(send_on(home, 1, ROUTE, 1, why));
        NEED(hear_nothing(away, why));
        CHECK(dropped(away) == 1);
        for (int k = 0; k < 2; k++) NEED(port_route(c.ports[k], ROUTE, PLAN, ROUTE_EPOCH + 1, why));
        NEED(send_on(home, 1, ROUTE, 2, why));
        NEED(await_on(away, 0, ROUTE, 2, why));
        cluster_close(&c);
    }
}

TEST(one_worker_is_greeted_again_and_the_others_stay_in_their_epoch)
{
    EVERY_KIND(kind)
    {
        struct cluster c;
        struct frame *f = NULL;
        NEED(open_and_greet(&c, kind, 3, why));
        NEED(port_epoch(c.ports[0], 2, 2, why));
        NEED(greet_write(&f, &(struct greet){2, 3, 1, RUN, {0}}, why));
        NEED(port_send(c.ports[0], 2, &f, why));
        NEED(await(c.ports[2], &f, M_GREET, 0, why));
        CHECK(f->head.epoch == 2, "%s", kind_names[kind]);
        frame_free(f);
        for (int k = 1; k < 3; k++) {
            NEED(send_empty(c.ports[0], k, M_PING, why));
            NEED(await_and_free(c.ports[k], M_PING, 0, why));
            NEED(send_empty(c.ports[k], 0, M_PONG, why));
            NEED(await_and_free(c.ports[0], M_PONG, k, why));
        }
        NEED(send_on(c.ports[0], 1, ROUTE, 0, why)); /* whose route is as it was */
        NEED(await_on(c.ports[1], 0, ROUTE, 0, why));
        cluster_close(&c);
    }
}

TEST(a_frame_has_a_route_if_it_is_of_a_kind_that_travels)
{
    struct cluster c;
    struct err no = {0};
    struct frame *f = NULL;
    NEED(open_and_greet(&c, HERE, 2, why));
    CHECK(send_on(c.ports[0], 1, 0, 0, &no) == E_INTERNAL && strstr(no.text, "WORK was given no route"), "%s", no.text);
    CHECK(send_on(c.ports[0], 1, OTHER_ROUTE, 0, &no) == E_LINK && strstr(no.text, "route 7 is not open"), "%s", no.text);
    NEED(empty_write(&f, M_STOP, why));
    f->head.route = ROUTE;
    CHECK(port_send(c.ports[0], 1, &f, &no) == E_INTERNAL && strstr(no.text, "STOP was given route 1"), "%s", no.text);
    frame_free(f);
    CHECK(port_route(c.ports[0], 0, PLAN, 1, &no) == E_USAGE && port_route(c.ports[0], ROUTES_MOST + 1, PLAN, 1, &no) == E_USAGE, "%s", no.text);
    cluster_close(&c);
}
