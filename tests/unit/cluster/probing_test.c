/* tests/unit/cluster/probing_test.c — workers are measured in the time there is, and what was not measured follows from what was.
 *
 * Workers are ports of this process that the tests speak through. */
#include "coordinator/cluster/probing.h"
#include "partition/file/model_file.h"
#include "partition/plan/derive.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"
#include "worker/assign.h"
#include "worker/worker.h"

#include <stdlib.h>

#define WORKERS 3

struct cluster {
    struct pipeline p;
    struct member *crew[WORKERS];
    struct port *ports[WORKERS + 1]; /* [0] is the roster's */
    struct folder folder;
    double waited[WORKERS]; /* share of the time in which others ran */
    bool silent[WORKERS]; /* answers what it is asked of the way, and then nothing */
};

static int join(struct cluster *c, int node, struct err *why)
{
    struct frame *f = NULL;
    struct hello hello = {.build = "b", .isa = "ref", .numeric = worker_numeric(), .threads = (uint32_t)node};
    struct event e;
    snprintf(hello.host, sizeof hello.host, "host %d", node);
    TRY(port_recv(c->ports[node], &f, 0, why));
    frame_free(f);
    TRY(hello_write(&f, &hello, why));
    TRY(port_send(c->ports[node], 0, &f, why));
    TRY(roster_next(c->p.roster, &e, 0, why));
    event_free(&e);
    return 0;
}

static int begin(struct cluster *c, struct err *why)
{
    *c = (struct cluster){.folder = folder_new()};
    setenv("XDG_CACHE_HOME", c->folder.path, 1);
    c->p = (struct pipeline){.workers = WORKERS, .places = WORKERS, .crew = c->crew};
    TRY(model_open(&c->p.model, "models/demo/demo-q4_0.gguf", why));
    TRY(port_open_here(c->ports, WORKERS + 1, why));
    TRY(roster_open(&c->p.roster, c->ports[0], clock_system(), why));
    for (int i = 0; i < WORKERS; i++) TRY(roster_add(c->p.roster, "", why));
    TRY(roster_greet(c->p.roster, 1, why));
    for (int i = 0; i < WORKERS; i++) {
        TRY(join(c, i + 1, why));
        c->crew[i] = roster_member(c->p.roster, i + 1);
        c->crew[i]->worker = i;
    }
    return 0;
}

static void end(struct cluster *c)
{
    roster_close(&c->p.roster);
    for (int i = 1; i <= WORKERS; i++) port_close(&c->ports[i]);
    model_close(&c->p.model);
    free(c->p.known);
    folder_end(&c->folder);
}

/* Every point takes a millisecond for each row of each worker before this one, and this one. */
static int answer(struct cluster *c, int node, bool *heard, struct err *why)
{
    struct probe *m = calloc(1, sizeof *m);
    struct probed out = {0};
    struct frame *f = NULL;
    int code = m ? port_recv(c->ports[node], &f, 0, why) : fail(why, E_MEMORY, "no memory");
    *heard = f && f->head.type == M_PROBE;
    if (!code && *heard) code = probe_read(m, f, why);
    frame_free(f);
    if (!code && *heard && !(c->silent[node - 1] && m->milliseconds)) {
        out = (struct probed){.n = m->n, .bytes = m->answer};
        for (uint32_t i = 0; i < m->n; i++) out.seconds[i] = 1e-3 * node * m->at[i].rows, out.waited[i] = c->waited[node - 1];
        code = probed_write(&f, &out, why);
        if (!code && out.bytes) memset(out.filler, 0, out.bytes);
        if (!code) code = port_send(c->ports[node], 0, &f, why);
    }
    free(m);
    return code;
}

static int measure(struct cluster *c, struct probing **b, uint32_t milliseconds, struct err *why)
{
    bool done = false, heard;
    TRY(probing_begin(b, &c->p, milliseconds, true, why));
    while (!done) {
        struct event e;
        for (int node = 1; node <= WORKERS; node++) TRY(answer(c, node, &heard, why));
        TRY(roster_next(c->p.roster, &e, 1, why));
        int code = e.kind == EVENT_FRAME ? probing_frame(*b, e.who, e.frame, &done, why) : 0;
        event_free(&e);
        if (!code && !done) code = probing_wait(*b, &done, why);
        if (code) return code;
    }
    return 0;
}

TEST(all_are_measured_where_all_answer)
{
    struct cluster c;
    struct probing *b = NULL;
    NEED(begin(&c, why));
    NEED(measure(&c, &b, 4000, why));
    for (int i = 0; i < WORKERS; i++) {
        const struct known_speed *k = &c.p.known[i];
        CHECK(k->at && k->speed.local.n == CURVE_POINTS && k->speed.head_part.n == 5 && k->speed.to.delay > 0, "worker %d", i + 1);
        CHECK(!(k->derived & ~DERIVED_LOOKING_BACK), "worker %d: %u", i + 1, k->derived);
    }
    CHECK(c.p.known[2].speed.local.seconds[0] > 2.9 * c.p.known[0].speed.local.seconds[0]);
    probing_close(&b);
    end(&c);
}

TEST(who_does_not_answer_in_time_is_taken_for_another_and_its_late_answer_for_nothing)
{
    struct cluster c;
    struct probing *b = NULL;
    struct event e;
    struct frame *f = NULL;
    char said[SPEED_REMARK];
    NEED(begin(&c, why));
    c.silent[1] = true;
    NEED(measure(&c, &b, 300, why));
    const struct known_speed *first = &c.p.known[0], *silent = &c.p.known[1];
    CHECK(silent->derived == DERIVED_ALL && silent->at && silent->speed.local.n, "%u", silent->derived);
    CHECK(silent->speed.local.seconds[0] == first->speed.local.seconds[0] / 2, "%g s, the first %g", silent->speed.local.seconds[0],
          first->speed.local.seconds[0]); /* it has twice as many threads */
    speed_remark(said, silent, 1);
    CHECK(strstr(said, "worker 2 was not measured"), "%s", said);
    probing_close(&b);
    for (int i = 0; i < 2; i++) {
        struct probed late = {.n = CURVE_POINTS};
        NEED(probed_write(&f, &late, why));
        NEED(port_send(c.ports[2], 0, &f, why));
        NEED(roster_next(c.p.roster, &e, 0, why));
        CHECK(e.kind == (i ? EVENT_FRAME : EVENT_NONE), "answer %d of one that is awaited no more: event %d", i + 1, e.kind);
        event_free(&e);
    }
    end(&c);
}

TEST(who_had_something_else_to_do_is_known_for_an_hour_and_the_plan_says_so)
{
    struct cluster c;
    struct probing *b = NULL;
    char said[SPEED_REMARK];
    NEED(begin(&c, why));
    c.waited[2] = 0.5;
    NEED(measure(&c, &b, 4000, why));
    for (int i = 0; i < WORKERS; i++) CHECK(c.p.known[i].busy == (i == 2), "worker %d", i + 1);
    speed_remark(said, &c.p.known[2], 2);
    CHECK(strstr(said, "worker 3 was busy with something else when it was measured"), "%s", said);
    probing_close(&b);
    end(&c);
}

TEST(where_nobody_can_be_measured_nominal_speeds_count)
{
    struct cluster c;
    struct probing *b = NULL;
    NEED(begin(&c, why));
    for (int i = 0; i < WORKERS; i++) c.silent[i] = true;
    NEED(measure(&c, &b, 100, why));
    for (int i = 0; i < WORKERS; i++) CHECK(!c.p.known[i].at, "worker %d", i + 1);
    probing_close(&b);
    end(&c);
}
