/* tests/fuzz/runs.h — real runs of the demo model in this process, recorded at every node: tests/fuzz/replay.h tells them again. */
#pragma once

#include "coordinator/cluster/timeline.h"
#include "coordinator/cmd/collect.h"
#include "coordinator/engine/engine.h"
#include "partition/plan/plan_text.h"
#include "tests/fuzz/replay.h"
#include "transport/links/transport.h"
#include "worker/worker.h"

#include <pthread.h>
#include <stdio.h>

#define DEMO "models/demo/demo-q4_0.gguf"
#define DEMO_ENCODER "models/demo/demo-mmproj-f16.gguf"
#define RUN_ASKS 3

struct run_of { /* what is asked in a run, of whom */
    const char *split; /* of the text */
    const char *mmproj;
    int workers;
    bool draws; /* words are drawn, and all scores wanted */
};

static const struct run_of recorded_runs[] = {
    {"4,4", NULL, 2, false},
    {"4+8,4+8", NULL, 2, true},
    {NULL, DEMO_ENCODER, 2, false},
};
#define RUNS (sizeof recorded_runs / sizeof *recorded_runs)

struct recorded {
    struct record node[NODES_MOST];
    uint64_t said; /* all words of the answers */
};

struct rank {
    pthread_t thread;
    struct port *port;
};

static inline void *be_a_worker(void *user)
{
    const struct rank *r = user;
    const struct worker_options options = {.threads = 1, .no_file = true};
    struct worker *w;
    struct err why;
    if (worker_open(&w, &options, &why)) return NULL;
    worker_serve(w, r->port, &why);
    port_flush(r->port, 1000, &why);
    worker_close(&w);
    return NULL;
}

/* The square is one colour, which is a picture like any other. */
static inline int ask_of_picture(struct engine *e, struct pipeline *p, const struct listener *l, struct err *why)
{
    const uint32_t side = p->encoder->config.image, tokens = vision_tokens(&p->encoder->config);
    struct image square = {side, side, malloc((size_t)side * side * 3)};
    uint32_t ids[1024] = {2}, number;
    if (!square.rgb || tokens > 1000) return fail(why, E_INTERNAL, "no such picture");
    memset(square.rgb, 120, (size_t)side * side * 3);
    TRY(pictures_add(engine_pictures(e), &square, &(struct image_origin){0}, &number, why));
    for (uint32_t i = 0; i < tokens; i++) ids[1 + i] = 8;
    ids[1 + tokens] = 50;
    const struct picture_span span = {.first = 1, .n = tokens, .picture = number};
    const struct ask ask = {.ids = ids, .n = tokens + 2, .spans = &span, .n_spans = 1, .most = 3, .want_hash = true, .sampling = {.repeat_penalty = 1}};
    const int code = engine_ask(e, &ask, l, NULL, why);
    pictures_release(engine_pictures(e), number);
    return code;
}

static inline int hear_scores(void *user, uint32_t position, const uint8_t *scores, uint32_t n, struct err *why)
{
    (void)user, (void)position, (void)scores, (void)n, (void)why;
    return 0;
}

static inline int ask_all(const struct run_of *run, struct engine *e, struct pipeline *p, struct collected *said, struct err *why)
{
    static const uint32_t ids[] = {2, 105, 50, 60, 70, 80, 90, 100, 110, 120, 130};
    for (int i = 0; i < RUN_ASKS; i++) {
        struct listener l = collect_into(&said[i]);
        struct ask ask = {.ids = ids, .n = 5 + 2 * (size_t)i, .most = 4, .key = (uint64_t)i, .want_hash = true, .sampling = {.repeat_penalty = 1}};
        if (run->draws && i < 2) ask.sampling = (struct sampling){.temperature = 0.8f, .top_k = i ? 40 : 0, .top_p = 1, .repeat_penalty = 1.1f, .repeat_last = 16, .seed = 7};
        if (i == 0) ask.top = 3;
        if (run->draws && i == 2) ask.want_scores = true, l.scores = hear_scores;
        if (run->mmproj && i == 0) TRY(ask_of_picture(e, p, &l, why));
        else TRY(engine_ask(e, &ask, &l, NULL, why));
    }
    return 0;
}

/* As coordinator, on this port, which is closed. *said: a sum of all that was answered. */
static inline int coordinate_run(const struct run_of *run, struct port *port, uint64_t *said, struct err *why)
{
    struct cluster_wish w = {.model = DEMO, .mmproj = run->mmproj, .send_weights = true, .threads = 1, .wait_seconds = 5, .patience_seconds = 0};
    const struct capacity capacity = {.context = run->mmproj ? 512 : 64, .sequences = 2, .rows = run->mmproj ? 300 : 8, .in_flight = 2};
    struct collected answers[RUN_ASKS] = {0};
    struct cut *cuts = NULL;
    struct pipeline *p = NULL;
    struct engine *e = NULL;
    struct timeline t = {0};
    int code = run->split ? plan_read_split(run->split, &cuts, &w.plan.n_cuts, why) : 0;
    w.plan.cuts = cuts;
    if (code) return port_close(&port), code;
    code = pipeline_open(&p, &w, port, why);
    if (!code) code = pipeline_launch(p, &capacity, why);
    if (!code) code = engine_open(&e, &(struct engine_setup){.pipe = p, .end_of_turn = -1, .eos = -1}, why);
    if (!code) code = ask_all(run, e, p, answers, why);
    while (!code && engine_unanswered(e)) code = engine_turn(e, 500, why);
    if (!code) code = pipeline_reports(p, why);
    if (!code) code = timeline_fetch(&t, p, why);
    *said = 0;
    engine_close(&e); /* whoever is unanswered is told */
    for (int i = 0; i < RUN_ASKS; i++) {
        *said = hash_fold(*said, answers[i].ended.fingerprint);
        for (size_t k = 0; k < answers[i].ids.n; k++) *said = hash_fold(*said, answers[i].ids.id[k]);
        collected_free(&answers[i]);
    }
    timeline_free(&t);
    pipeline_close(&p, code ? why : NULL);
    free(cuts);
    return code;
}

static inline int record_run(struct recorded *out, const struct run_of *run, struct err *why)
{
    struct port *ports[NODES_MOST];
    struct rank rank[NODES_MOST];
    TRY(port_open_here(ports, run->workers + 1, why));
    for (int i = 0; i <= run->workers; i++) record_port(ports[i], &out->node[i]);
    for (int i = 1; i <= run->workers; i++) {
        rank[i].port = ports[i];
        if (pthread_create(&rank[i].thread, NULL, be_a_worker, &rank[i])) abort();
    }
    const int code = coordinate_run(run, ports[0], &out->said, why);
    for (int i = 1; i <= run->workers; i++) {
        pthread_join(rank[i].thread, NULL);
        port_close(&ports[i]);
    }
    return code;
}

/* Behind the greeting the worker is asked how fast it computes the part that it is going to get: no time is lost on that in a real run. */
static inline void ask_how_fast(struct record *r)
{
    static uint8_t filler[100];
    struct probe probe = {.milliseconds = 1, .answer = 50, .n = 2, .at = {{1, 1, 0}, {4, 2, 3}}, .bytes = sizeof filler, .filler = filler};
    struct frame *assign = frame_copy(r->at[1].frame), *f = NULL;
    struct err why;
    memcpy(assign->bytes, r->at[1].frame->bytes, FRAME_HEAD_BYTES);
    if (frame_open(assign, FRAME_HEAD_BYTES + assign->head.body_bytes, FRAME_BODY_MOST, "a record", &why) || assignment_read(&probe.parts, assign, &why))
        broken("an assignment", &why);
    probe.parts.capacity.blocks = 0;
    if (probe_write(&f, &probe, &why)) broken("a probe", &why);
    const uint16_t type = f->head.type;
    const uint64_t body = f->head.body_bytes;
    f->head = assign->head;
    f->head.type = type;
    f->head.body_bytes = body;
    frame_seal(f);
    frame_free(assign);
    struct told *more = realloc(r->at, (r->n + 1) * sizeof *more);
    if (!more) abort();
    r->at = more;
    r->room = r->n + 1;
    memmove(more + 2, more + 1, (r->n++ - 1) * sizeof *more);
    more[1].frame = f;
    for (uint32_t i = 2; i < r->n; i++) more[i].after[ABOUT_RUN]++;
}

static inline void recorded_free(struct recorded *r)
{
    for (int i = 0; i < NODES_MOST; i++) record_free(&r->node[i]);
}

/* All runs, once. In the first the hashes of tensors are not known, and the weights are sent whatever a worker holds; all others were made
 * before, so
 * who holds weights is not sent them. */
static inline const struct recorded *all_runs(void)
{
    static struct recorded runs[RUNS];
    static bool there;
    struct err why = {0};
    char folder[] = "/tmp/gemmapipe-runs-XXXXXX";
    if (there) return runs;
    there = true;
    if (!mkdtemp(folder) || setenv("XDG_CACHE_HOME", folder, 1)) abort();
    for (size_t i = 0; i < RUNS; i++) {
        if (i && record_run(&runs[i], &recorded_runs[i], &why)) broken("a run", &why);
        recorded_free(&runs[i]);
        if (record_run(&runs[i], &recorded_runs[i], &why)) broken("a run", &why);
    }
    for (int k = 1; k <= recorded_runs[0].workers; k++) ask_how_fast(&runs[0].node[k]);
    return runs;
}
