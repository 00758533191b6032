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

#include <math.h>
#include <stdlib.h>

#define WORKERS 3
#define MANY 6

struct cluster {
    struct pipeline p;
    struct member *crew[MANY];
    struct port *ports[MANY + 1]; /* [0] is the roster's */
    struct folder folder;
    double waited[MANY]; /* share of the time in which others ran */
    bool alone[MANY];  /* it cannot reach the others, and does not know it */
    int meetings;
    bool silent[MANY]; /* answers what it is asked of the way, and then nothing */
    bool deaf[MANY];   /* answers nothing of the way */
    uint64_t beside[MANY]; /* most that it was asked to read between, */
    bool alone_once[MANY]; /* and whether it was nothing for some of its parts */
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

static int begin(struct cluster *c, int workers, struct err *why)
{
    *c = (struct cluster){.folder = folder_new()};
    setenv("XDG_CACHE_HOME", c->folder.path, 1);
    c->p = (struct pipeline){.workers = workers, .places = workers, .crew = c->crew};
    TRY(model_open(&c->p.model, "models/demo/demo-q4_0.gguf", why));
    TRY(port_open_here(c->ports, workers + 1, why));
    TRY(roster_open(&c->p.roster, c->ports[0], clock_system(), why));
    for (int i = 0; i < workers; i++) TRY(roster_add(c->p.roster, "", why));
    TRY(roster_greet(c->p.roster, 1, why));
    for (int i = 0; i < workers; i++) {
        TRY(join(c, i + 1, why));
        c->crew[i] = roster_member(c->p.roster, i + 1);
        c->crew[i]->worker = i;
    }
    return 0;
}

static void end(struct cluster *c)
{
    roster_close(&c->p.roster);
    for (int i = 1; i <= c->p.workers; i++) port_close(&c->ports[i]);
    model_close(&c->p.model);
    free(c->p.known);
    folder_end(&c->folder);
}

static int reply(struct cluster *c, int node, struct probed *out, struct err *why)
{
    struct frame *f = NULL;
    TRY(probed_write(&f, out, why));
    if (out->bytes) memset(out->filler, 0, out->bytes);
    return port_send(c->ports[node], 0, &f, why);
}

/* Every point takes a millisecond for each row of each worker before this one, and this one. */
static int measured(struct cluster *c, int node, struct frame *f, struct err *why)
{
    struct probe *m = calloc(1, sizeof *m);
    int code = m ? probe_read(m, f, why) : fail(why, E_MEMORY, "no memory");
    if (!code && !(m->milliseconds ? c->silent : c->deaf)[node - 1]) {
        struct probed out = {.n = m->n, .bytes = m->answer};
        if (m->beside > c->beside[node - 1]) c->beside[node - 1] = m->beside;
        c->alone_once[node - 1] |= m->milliseconds && !m->beside;
        for (uint32_t i = 0; i < m->n; i++) out.seconds[i] = 1e-3 * node * m->at[i].rows, out.waited[i] = c->waited[node - 1];
        code = reply(c, node, &out, why);
    }
    free(m);
    return code;
}

/* From each to each a message takes as many milliseconds as both have numbers together, and 1 MiB a second more there, 2 MiB back. */
static int met(struct cluster *c, int node, struct frame *f, struct err *why)
{
    struct meet m;
    struct probed out = {0};
    TRY(meet_read(&m, f, why));
    if (m.call && c->alone[node - 1]) return 0;
    c->meetings += m.call;
    if (m.call) {
        const double call = 2e-3 * (node + m.node);
        out = (struct probed){.n = MEETING_POINTS, .seconds = {call, call + m.bytes / 1048576.0, call + m.bytes / 2097152.0}};
    }
    return reply(c, node, &out, why);
}

static int answer(struct cluster *c, int node, struct err *why)
{
    struct frame *f = NULL;
    int code = port_recv(c->ports[node], &f, 0, why);
    if (!code && f && f->head.type == M_PROBE) code = measured(c, node, f, why);
    if (!code && f && f->head.type == M_MEET) code = met(c, node, f, why);
    frame_free(f);
    return code;
}

/* Until it is done. */
static int go_on(struct cluster *c, struct probing *b, struct err *why)
{
    bool done = false;
    while (!done) {
        struct event e;
        for (int node = 1; node <= c->p.workers; node++) TRY(answer(c, node, why));
        TRY(roster_next(c->p.roster, &e, 1, why));
        int code = e.kind == EVENT_FRAME ? probing_frame(b, e.who, e.frame, &done, why) : 0;
        event_free(&e);
        if (!code && !done) code = probing_wait(b, &done, why);
        if (code) return code;
    }
    return 0;
}

static int measure(struct cluster *c, struct probing **b, uint32_t milliseconds, struct err *why)
{
    TRY(probing_begin(b, &c->p, milliseconds, true, why));
    return go_on(c, *b, why);
}

TEST(all_are_measured_where_all_answer)
{
    struct cluster c;
    struct probing *b = NULL;
    NEED(begin(&c, WORKERS, why));
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

TEST(workers_read_between_what_they_do_not_measure_of_the_model)
{
    struct cluster c;
    struct probing *b = NULL;
    NEED(begin(&c, WORKERS, why));
    NEED(measure(&c, &b, 4000, why));
    const struct model *m = c.p.model;
    const struct part layers = {0, m->config.layers, 0, 0, false};
    const struct capacity capacity = {128, 16, 128, 1, 0, {0}};
    struct tensor tensors[200];
    text_part_tensors(m, layers, tensors);
    const struct part_bytes bytes = text_part_bytes(&m->config, layers, tensors, &capacity, 1);
    for (int i = 0; i < WORKERS; i++) /* most while the head is measured, all of which is measured but for a sixteenth */
        CHECK(c.beside[i] >= bytes.weights + bytes.kv && c.beside[i] < bytes.weights + bytes.kv + text_tensor_bytes(&m->head), "worker %d: %llu bytes, layers have %llu", i + 1,
              (unsigned long long)c.beside[i], (unsigned long long)(bytes.weights + bytes.kv));
    probing_close(&b);
    end(&c);
}

/* Looking back is measured with more keys and values than all layers have when they are measured. */
TEST(parts_with_more_keys_than_were_counted_are_measured_beside_nothing)
{
    struct cluster c;
    struct probing *b = NULL;
    NEED(begin(&c, 1, why));
    c.p.model->config.kv_heads = 256;
    c.p.model->config.layers = c.p.model->config.pattern = 1;
    NEED(measure(&c, &b, 4000, why));
    CHECK(c.alone_once[0], "something is read between each time");
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
    NEED(begin(&c, WORKERS, why));
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

TEST(who_answers_nothing_of_the_way_keeps_nobody_from_being_measured)
{
    struct cluster c;
    struct probing *b = NULL;
    NEED(begin(&c, WORKERS, why));
    c.deaf[0] = true;
    NEED(measure(&c, &b, 2000, why));
    for (int i = 1; i < WORKERS; i++) {
        const struct known_speed *k = &c.p.known[i];
        CHECK(k->speed.local.n == CURVE_POINTS && k->derived != DERIVED_ALL, "worker %d: %u", i + 1, k->derived);
    }
    probing_close(&b);
    end(&c);
}

TEST(the_ways_between_workers_are_measured_both_ways_and_kept)
{
    struct cluster c;
    struct probing *b = NULL;
    NEED(begin(&c, WORKERS, why));
    NEED(measure(&c, &b, 4000, why));
    CHECK(c.meetings == 3, "%d meetings", c.meetings);
    for (int from = 0; from < WORKERS; from++)
        for (int to = 0; to < WORKERS; to++) {
            const struct hop *h = speed_way(&c.p.known[from].speed, &c.p.known[to].speed);
            if (from == to) continue;
            CHECK(h && fabs(h->delay - 1e-3 * (from + to + 2)) < 1e-9, "from %d to %d: %g s", from + 1, to + 1, h ? h->delay : -1);
            CHECK(h && fabs(h->bytes_per_second / 1048576 - (from < to ? 1 : 2)) < 1e-6, "%g bytes a second", h ? h->bytes_per_second : -1);
        }
    CHECK(speeds_known(&c.p) && speed_way(&c.p.known[1].speed, &c.p.known[2].speed)->delay > 4.9e-3);
    probing_close(&b);
    end(&c);
}

TEST(of_many_workers_those_next_to_each_other_in_the_plan_meet)
{
    struct cluster c;
    struct probing *b = NULL;
    bool done;
    NEED(begin(&c, MANY, why));
    NEED(measure(&c, &b, 4000, why));
    CHECK(c.meetings == 0 && probing_wants_neighbours(b), "%d meetings", c.meetings);
    struct member *first = c.crew[0]; /* a plan has another order */
    c.crew[0] = c.crew[5], c.crew[5] = first;
    c.crew[0]->worker = 0, c.crew[5]->worker = 5;
    NEED(probing_neighbours(b, &done, why));
    CHECK(!done);
    NEED(go_on(&c, b, why));
    CHECK(c.meetings == MANY - 1 && !probing_wants_neighbours(b), "%d meetings", c.meetings);
    const struct speed *sixth = &c.p.known[5].speed;
    CHECK(speed_way(sixth, &c.p.known[1].speed) && !speed_way(sixth, &c.p.known[4].speed) && sixth->ways == 1, "%u ways", sixth->ways);
    CHECK(speeds_known(&c.p) && speed_way(&c.p.known[1].speed, &c.p.known[5].speed));
    probing_close(&b);
    end(&c);
}

TEST(who_cannot_reach_another_holds_up_no_measurement)
{
    struct cluster c;
    struct probing *b = NULL;
    NEED(begin(&c, WORKERS, why));
    c.alone[0] = true;
    NEED(measure(&c, &b, 1000, why));
    for (int i = 0; i < WORKERS; i++) CHECK(c.p.known[i].at && !c.p.known[i].speed.ways && c.p.known[i].speed.local.n, "worker %d", i + 1);
    CHECK(c.crew[0]->unheeded == 1, "%u answers are still to come", c.crew[0]->unheeded);
    probing_close(&b);
    end(&c);
}

TEST(who_had_something_else_to_do_is_known_for_an_hour_and_the_plan_says_so)
{
    struct cluster c;
    struct probing *b = NULL;
    char said[SPEED_REMARK];
    NEED(begin(&c, WORKERS, why));
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
    NEED(begin(&c, WORKERS, why));
    for (int i = 0; i < WORKERS; i++) c.silent[i] = true;
    NEED(measure(&c, &b, 100, why));
    for (int i = 0; i < WORKERS; i++) CHECK(!c.p.known[i].at, "worker %d", i + 1);
    probing_close(&b);
    end(&c);
}
