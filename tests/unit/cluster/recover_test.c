/* tests/unit/cluster/recover_test.c — who breaks the protocol is put aside and the run goes on, with the very same words.
 *
 * The workers are threads that listen at sockets of this process, one of them to spare; what one of them says is changed on its way in. */
#include "coordinator/cmd/collect.h"
#include "coordinator/engine/engine.h"
#include "tests/support/check.h"
#include "transport/links/faulty.h"
#include "worker/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define DEMO "models/demo/demo-q4_0.gguf"
#define WORKERS 3
#define IDS 9
#define MOST 12

struct crew {
    pthread_t thread[WORKERS];
    struct port *port[WORKERS];
    struct worker *worker[WORKERS];
    char address[WORKERS][80];
    const char *addresses[WORKERS];
    volatile sig_atomic_t stop;
};

struct served {
    struct crew *crew;
    int number;
};
static struct served served[WORKERS];

static void *serve(void *user)
{
    const struct served *s = user;
    struct err ignored;
    while (!s->crew->stop) {
        worker_serve(s->crew->worker[s->number], s->crew->port[s->number], &ignored);
        port_flush(s->crew->port[s->number], 1000, &ignored);
        if (port_listen_again(s->crew->port[s->number], &ignored)) break;
    }
    return NULL;
}

static int hire(struct crew *c, struct err *why)
{
    const struct worker_options options = {.threads = 1, .stop = &c->stop};
    *c = (struct crew){0};
    for (int i = 0; i < WORKERS; i++) {
        snprintf(c->address[i], sizeof c->address[i], "ipc:///tmp/gemmapipe-recover-%d-%d", (int)getpid(), i);
        c->addresses[i] = c->address[i];
        served[i] = (struct served){c, i};
        TRY(worker_open(&c->worker[i], &options, why));
        TRY(port_open_listen(&c->port[i], c->address[i], NULL, why));
        if (pthread_create(&c->thread[i], NULL, serve, &served[i])) return fail(why, E_INTERNAL, "no thread");
    }
    return 0;
}

static void dismiss(struct crew *c)
{
    c->stop = true;
    for (int i = 0; i < WORKERS; i++) {
        port_wake(c->port[i]);
        pthread_join(c->thread[i], NULL);
        port_close(&c->port[i]);
        worker_close(&c->worker[i]);
        unlink(c->address[i] + strlen("ipc://"));
    }
}

/* What is said in a run in which a frame of this type is harmed once (0: none is), and how many workers were lost. */
static int answer(struct crew *c, const struct fault_wish *harm, uint64_t *fingerprint, uint64_t *losses, struct err *why)
{
    const struct cluster_wish w = {.model = DEMO, .addresses = c->addresses, .n_addresses = WORKERS, .spare = 1, .threads = 1,
                                   .wait_seconds = 20, .patience_seconds = 20};
    const struct capacity capacity = {.context = 128, .sequences = 1, .rows = 8, .in_flight = 2};
    static const uint32_t ids[IDS] = {2, 105, 50, 60, 70, 80, 90, 100, 110};
    struct collected said = {0};
    struct pipeline *p = NULL;
    struct engine *e = NULL;
    uint64_t number;
    int code = pipeline_open(&p, &w, NULL, why);
    if (!code && harm) code = port_make_faulty(roster_port(p->roster), harm, why);
    if (!code) code = pipeline_launch(p, &capacity, why);
    if (!code) code = engine_open(&e, &(struct engine_setup){.pipe = p, .end_of_turn = -1, .eos = -1}, why);
    const struct ask ask = {.ids = ids, .n = IDS, .most = MOST, .want_hash = true, .sampling = {.repeat_penalty = 1}};
    const struct listener l = collect_into(&said);
    if (!code) code = engine_ask(e, &ask, &l, &number, why);
    while (!code && engine_unanswered(e)) code = engine_turn(e, 500, why);
    if (!code && said.ids.n != MOST) code = fail(why, E_INTERNAL, "%zu words came: %s", said.ids.n, said.why.text);
    if (!code) code = pipeline_reports(p, why);
    *fingerprint = said.ended.fingerprint;
    *losses = p ? p->losses : 0;
    ids_free(&said.ids);
    engine_close(&e);
    pipeline_close(&p, code ? why : NULL);
    return code;
}

/* Eight bytes more than such a frame has. */
static int spoil(void *user, struct frame **f, struct err *why)
{
    const unsigned type = (*f)->head.type;
    struct frame *other = frame_new(type, (*f)->head.body_bytes + 8);
    (void)user;
    if (!other) return fail(why, E_MEMORY, "no memory");
    memcpy(frame_body(other), frame_body(*f), (*f)->head.body_bytes);
    memset(frame_body(other) + (*f)->head.body_bytes, 0, 8);
    frame_free(*f);
    *f = other;
    return 0;
}

TEST(who_breaks_the_protocol_with_any_of_five_frames_is_put_aside_and_the_words_are_the_same)
{
    static const unsigned types[] = {M_ACCEPT, M_READY, M_RESULT, M_PONG, M_REPORT};
    static struct crew c;
    uint64_t quiet = 0, said = 0, losses = 0;
    NEED(hire(&c, why));
    NEED(answer(&c, NULL, &quiet, &losses, why));
    CHECK(losses == 0);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct fault_wish lie = {.what = FAULT_CHANGE, .type = types[i], .times = 1, .change = spoil};
        NEED(answer(&c, &lie, &said, &losses, why));
        CHECK(said == quiet, "%s: %016llx instead of %016llx", message_name(types[i]), (unsigned long long)said, (unsigned long long)quiet);
        CHECK(losses == 1 || types[i] == M_PONG, "%s: %llu losses", message_name(types[i]), (unsigned long long)losses);
    }
    const struct fault_wish damage = {.what = FAULT_DAMAGE, .type = M_RESULT, .skip = 3, .times = 1};
    NEED(answer(&c, &damage, &said, &losses, why));
    CHECK(said == quiet && losses == 1, "%llu losses", (unsigned long long)losses);
    dismiss(&c);
}
