/* tests/unit/engine/fleet_test.c — replicas, whose workers are threads of this process: who computes is nobody's business, and who is
 * lost loses nothing. */
#include "coordinator/cmd/collect.h"
#include "coordinator/engine/fleet.h"
#include "coordinator/engine/live.h"
#include "tests/support/check.h"

#include <stdlib.h>
#include <string.h>

#define DEMO "models/demo/demo-q4_0.gguf"
#define REPLICAS 3
#define ASKS 12

struct room {
    struct pipeline *pipe[REPLICAS];
    struct fleet *fleet;
    int n;
};

struct asked {
    struct collected answer;
    uint64_t number;
    uint32_t told; /* tokens */
    int finished;
    bool full;
};

static int room_open(struct room *r, int n, uint32_t sequences, struct err *why)
{
    const struct cluster_wish w = {.model = DEMO, .threads_here = 2, .threads = 1, .wait_seconds = 20};
    const struct capacity capacity = {.context = 160, .sequences = sequences, .rows = 32};
    const struct engine_setup setup = {.end_of_turn = -1, .eos = -1};
    *r = (struct room){0};
    for (; r->n < n; r->n++) TRY(pipeline_open(&r->pipe[r->n], &w, NULL, why));
    TRY(pipelines_launch(r->pipe, n, &capacity, why));
    return fleet_open(&r->fleet, r->pipe, n, &setup, why);
}

static void room_close(struct room *r)
{
    fleet_close(&r->fleet);
    for (int i = 0; i < r->n; i++) pipeline_close(&r->pipe[i], NULL);
}

static bool hear(void *user, const struct said *said)
{
    struct asked *a = user;
    const struct listener l = collect_into(&a->answer);
    if (a->full) return false;
    a->told++;
    return l.token(l.user, said);
}

static void hear_end(void *user, const struct ended *ended)
{
    struct asked *a = user;
    const struct listener l = collect_into(&a->answer);
    a->finished++;
    l.finished(l.user, ended);
}

/* Of different lengths; some begin alike. */
static uint32_t prompt_of(uint32_t ids[100], uint32_t i)
{
    const uint32_t n = 66 + i;
    ids[0] = 2;
    for (uint32_t k = 1; k < n; k++) ids[k] = 300 + (k * 7 + (k < 65 ? i % 2 : i)) % 500;
    return n;
}

/* Half of the answers are drawn. */
static int say(struct room *r, struct asked *a, uint32_t i, int only, struct err *why)
{
    uint32_t ids[100];
    const uint32_t n = prompt_of(ids, i);
    const struct listener l = {.token = hear, .finished = hear_end, .user = a};
    const struct ask ask = {.ids = ids, .n = n, .key = i, .most = 8 + 2 * i, .run_on = true, .want_hash = true, .only = only,
                            .sampling = {.seed = 9, .temperature = i % 2 ? 1 : 0, .top_k = i % 2 ? 40 : 1, .top_p = 1, .repeat_penalty = 1}};
    return fleet_ask(r->fleet, &ask, &l, &a->number, why);
}

static int say_all(struct room *r, struct asked *a, uint32_t n, struct err *why)
{
    for (uint32_t i = 0; i < n; i++) TRY(say(r, &a[i], i, 0, why));
    return 0;
}

static int answer_all(struct room *r, struct err *why)
{
    while (fleet_unanswered(r->fleet)) TRY(fleet_turn(r->fleet, 100, why));
    return 0;
}

static void free_all(struct asked *a)
{
    for (int i = 0; i < ASKS; i++) collected_free(&a[i].answer);
}

static int ask_one_pipeline(uint64_t print[ASKS], struct err *why)
{
    struct room r;
    struct asked a[ASKS] = {0};
    int code = room_open(&r, 1, 4, why);
    if (!code) code = say_all(&r, a, ASKS, why);
    if (!code) code = answer_all(&r, why);
    for (int i = 0; i < ASKS; i++) print[i] = a[i].answer.ended.fingerprint;
    free_all(a);
    room_close(&r);
    return code;
}

static void check_all(const struct asked *a, const uint64_t *print)
{
    for (int i = 0; i < ASKS; i++) {
        const struct ended *e = &a[i].answer.ended;
        CHECK(a[i].finished == 1 && e->how == FINISH_LENGTH && a[i].told == e->made && e->made == 8 + 2u * (uint32_t)i, "%d: finished %d times, told %u of %u", i,
              a[i].finished, a[i].told, e->made);
        CHECK(e->fingerprint == print[i], "answer %d is another one in replica %d", i, e->replica + 1);
    }
}

static int use_all(const uint64_t *print, uint32_t sequences, struct err *why)
{
    struct room r;
    struct asked a[ASKS] = {0};
    int by[REPLICAS] = {0};
    int code = room_open(&r, REPLICAS, sequences, why);
    if (!code) code = say_all(&r, a, ASKS, why);
    if (!code) code = answer_all(&r, why);
    if (!code) check_all(a, print);
    for (int i = 0; i < ASKS; i++) by[a[i].answer.ended.replica]++;
    for (int k = 0; k < REPLICAS && !code; k++) CHECK(by[k] > 1, "replica %d computed %d of %d", k + 1, by[k], ASKS);
    free_all(a);
    room_close(&r);
    return code;
}

TEST(whoever_computes_an_answer_it_is_the_same)
{
    uint64_t print[ASKS];
    NEED(ask_one_pipeline(print, why));
    NEED(use_all(print, 1, why));
    NEED(use_all(print, 4, why));
}

TEST(an_ask_for_one_replica_is_computed_there)
{
    struct room r;
    struct asked a[ASKS] = {0};
    uint64_t print[ASKS];
    struct err no;
    NEED(ask_one_pipeline(print, why));
    NEED(room_open(&r, REPLICAS, 2, why));
    for (uint32_t i = 0; i < ASKS; i++) NEED(say(&r, &a[i], i, 1 + (int)i % REPLICAS, why));
    CHECK(say(&r, &a[0], 0, REPLICAS + 1, &no) == E_USAGE);
    NEED(answer_all(&r, why));
    check_all(a, print);
    for (int i = 0; i < ASKS; i++) CHECK(a[i].answer.ended.replica == i % REPLICAS);
    free_all(a);
    room_close(&r);
}

/* Six conversations, in two turns; in between the replicas have answered them in any order. */
TEST(a_conversation_goes_on_where_its_rows_are_kept)
{
    struct room r;
    struct asked a[ASKS] = {0};
    NEED(room_open(&r, REPLICAS, 9, why));
    NEED(say_all(&r, a, 6, why));
    NEED(answer_all(&r, why));
    for (uint32_t i = 6; i-- > 0;) {
        const struct collected *before = &a[i].answer;
        struct asked *after = &a[6 + i];
        uint32_t ids[100];
        const uint32_t n = prompt_of(ids, i);
        const struct listener l = {.token = hear, .finished = hear_end, .user = after};
        struct ids all = {0};
        for (uint32_t k = 0; k < n; k++) NEED(ids_push(&all, ids[k], why));
        for (size_t k = 0; k < before->ids.n; k++) NEED(ids_push(&all, before->ids.id[k], why));
        NEED(ids_push(&all, 77, why));
        const struct ask ask = {.ids = all.id, .n = all.n, .most = 4, .run_on = true, .sampling = {.repeat_penalty = 1}};
        NEED(fleet_ask(r.fleet, &ask, &l, NULL, why));
        NEED(answer_all(&r, why));
        const struct ended *e = &after->answer.ended;
        CHECK(e->replica == before->ended.replica && e->reused_rows + 2 == e->prompt_rows, "conversation %u: %u of %u rows in replica %d, they were in %d", i,
              e->reused_rows, e->prompt_rows, e->replica + 1, before->ended.replica + 1);
        ids_free(&all);
    }
    free_all(a);
    room_close(&r);
}

static void lose(struct room *r, int replica)
{
    struct err lost;
    fail(&lost, E_WORKER, "worker 1 was lost for this test");
    roster_lose(r->pipe[replica]->roster, r->pipe[replica]->crew[0], &lost);
}

/* Threads cannot be started again, so their pipeline is lost for good. Also a listener that is full then, and one that has gone. */
TEST(what_a_lost_replica_computed_goes_on_in_the_others)
{
    struct room r;
    struct asked a[ASKS] = {0};
    uint64_t print[ASKS];
    struct err no;
    NEED(ask_one_pipeline(print, why));
    NEED(room_open(&r, REPLICAS, 4, why));
    NEED(say_all(&r, a, ASKS, why));
    while (!a[0].told || !a[5].told) NEED(fleet_turn(r.fleet, 100, why));
    a[5].full = true;
    for (int k = 0; k < 5; k++) NEED(fleet_turn(r.fleet, 10, why));
    lose(&r, 0);
    while (!fleet_lost(r.fleet, 0)) NEED(fleet_turn(r.fleet, 10, why));
    a[5].full = false;
    CHECK(say(&r, &a[0], 0, 1, &no) == E_WORKER);
    for (int k = 0; k < 3; k++) NEED(fleet_turn(r.fleet, 10, why));
    lose(&r, 2);
    NEED(answer_all(&r, why));
    check_all(a, print);
    CHECK(!fleet_lost(r.fleet, 1) && fleet_lost(r.fleet, 2));
    free_all(a);
    room_close(&r);
}

TEST(with_the_last_replica_the_run_is_over_and_all_are_told)
{
    struct room r;
    struct asked a[ASKS] = {0};
    struct err no = {0};
    NEED(room_open(&r, 2, 2, why));
    for (uint32_t i = 0; i < ASKS; i++) NEED(say(&r, &a[i], i, i == 3, why));
    while (!a[0].told) NEED(fleet_turn(r.fleet, 100, why));
    fleet_cancel(r.fleet, a[ASKS - 1].number);
    lose(&r, 0);
    while (!fleet_lost(r.fleet, 0)) NEED(fleet_turn(r.fleet, 10, why));
    NEED(fleet_turn(r.fleet, 10, why));
    CHECK(a[3].finished == 1 && a[3].answer.ended.how == FINISH_FAILED, "what only the lost one was to compute");
    CHECK(a[ASKS - 1].finished == 1 && a[ASKS - 1].answer.ended.how == FINISH_CANCELLED);
    lose(&r, 1);
    int code = 0;
    for (int k = 0; k < 100 && !code; k++) code = fleet_turn(r.fleet, 10, &no);
    CHECK(code == E_WORKER && fleet_turn(r.fleet, 10, &no) == E_WORKER && !fleet_unanswered(r.fleet), "%s", no.text);
    for (int i = 0; i < ASKS; i++) CHECK(a[i].finished == 1, "ask %d was told of its end %d times", i, a[i].finished);
    free_all(a);
    room_close(&r);
}
