/* tests/unit/worker/worker_test.c — a worker from run to run: what it keeps, what it asks for, and that no failure ends it.
 *
 * The worker is a thread of this process that serves one node of a hub; the test is its coordinator, with the demo model. */
#include "base/little_endian.h"
#include "partition/file/delivery.h"
#include "partition/file/model_file.h"
#include "tests/support/check.h"
#include "worker/assign.h"
#include "worker/worker.h"

#include <pthread.h>
#include <stdlib.h>

#define DEMO "models/demo/demo-q4_0.gguf"

#define NEIGHBOURS 2

struct bench_of_one { /* a coordinator and its only worker */
    struct port *port, *theirs;
    int neighbours; /* that its worker has besides: they do nothing but what the test does with their ports */
    struct port *neighbour[NEIGHBOURS];
    struct worker *worker;
    pthread_t thread;
    struct err why;  /* of the worker's run */
    int code;
    uint64_t run;
    struct model *model;
    const char *path; /* of the model's file, as the assignment says it; NULL: none */
    uint32_t rows; /* of a piece, at most; 0: as they are handed out */
};

static void *serve(void *user)
{
    struct bench_of_one *b = user;
    b->code = worker_serve(b->worker, b->theirs, &b->why);
    struct err ignored;
    port_flush(b->theirs, 1000, &ignored);
    return NULL;
}

/* A new run of the same worker. */
static int begin_run(struct bench_of_one *b, struct err *why)
{
    struct port *ports[2 + NEIGHBOURS];
    TRY(port_open_here(ports, 2 + b->neighbours, why));
    b->port = ports[0];
    b->theirs = ports[1];
    for (int i = 0; i < b->neighbours; i++) b->neighbour[i] = ports[2 + i];
    b->why = (struct err){0};
    b->run++;
    return pthread_create(&b->thread, NULL, serve, b) ? fail(why, E_INTERNAL, "no thread") : 0;
}

static int end_run(struct bench_of_one *b)
{
    port_close(&b->port);
    pthread_join(b->thread, NULL);
    port_close(&b->theirs);
    for (int i = 0; i < b->neighbours; i++) port_close(&b->neighbour[i]);
    return b->code;
}

static int open_bench(struct bench_of_one *b, struct err *why)
{
    const struct worker_options options = {.threads = 1, .no_file = true};
    *b = (struct bench_of_one){.run = 100};
    TRY(model_open(&b->model, DEMO, why));
    return worker_open(&b->worker, &options, why);
}

static void close_bench(struct bench_of_one *b)
{
    worker_close(&b->worker);
    model_close(&b->model);
}

static int next_frame(struct bench_of_one *b, struct frame **out, struct err *why)
{
    TRY(port_recv(b->port, out, 5000, why));
    return *out ? 0 : fail(why, E_LINK, "nothing came within 5 s");
}

static int greet(struct bench_of_one *b, uint32_t epoch, struct err *why)
{
    struct frame *f = NULL;
    struct hello hello;
    port_run(b->port, b->run, epoch);
    TRY(greet_write(&f, &(struct greet){.node = 1, .nodes = (uint16_t)(2 + b->neighbours), .numeric = worker_numeric(), .run = b->run}, why));
    TRY(port_send(b->port, 1, &f, why));
    do {
        frame_free(f);
        TRY(next_frame(b, &f, why));
    } while (f->head.type != M_HELLO);
    int code = hello_read(&hello, f, why);
    frame_free(f);
    return code;
}

/* A piece as the model 7 has it; any other has one bit of it changed. */
static const uint8_t *bytes_of(const struct delivery_piece *p, uint64_t model)
{
    static uint8_t room[2 * DELIVERY_BYTES];
    memcpy(room, p->bytes, p->n);
    if (model != 7) room[p->n - 3] ^= 1;
    return room;
}

static uint64_t hash_of(const struct tensor *t, uint64_t model)
{
    struct delivery d;
    struct delivery_piece p;
    uint64_t hash = 0;
    delivery_begin(&d, t, 1);
    while (delivery_next(&d, &p)) hash += hash_rows(p.first_row, p.rows, bytes_of(&p, model), p.n / p.rows);
    return hash;
}

static int assign(struct bench_of_one *b, struct part part, uint64_t model, struct acceptance *yes, uint8_t *have, struct err *why)
{
    struct tensor tensors[200];
    uint8_t types[200], hashes[200 * 8];
    const uint32_t n = (uint32_t)part_count(CHAIN_TEXT, part);
    struct assignment a = {.text = b->model->config, .capacity = {128, 2, 32, 2}, .threads = 1};
    struct frame *f = NULL;
    text_part_tensors(b->model, part, tensors);
    for (uint32_t i = 0; i < n; i++) types[i] = (uint8_t)tensors[i].type;
    for (uint32_t i = 0; i < n; i++) put_le(hashes + 8 * i, hash_of(&tensors[i], model), 8);
    a.of[CHAIN_TEXT] = (struct chain_assignment){.part = part, .route = 1, .epoch = 1, .fingerprint = {7, 2},
                                                 .n_types = n, .types = types, .hashes = hashes};
    if (b->path) a.of[CHAIN_TEXT].fingerprint = b->model->fingerprint;
    if (b->path) snprintf(a.of[CHAIN_TEXT].path, sizeof a.of[CHAIN_TEXT].path, "%s", b->path);
    TRY(assignment_write(&f, &a, why));
    TRY(port_send(b->port, 1, &f, why));
    TRY(next_frame(b, &f, why));
    int code = acceptance_read(yes, f, why);
    if (!code) memcpy(have, yes->have, yes->n);
    frame_free(f);
    return code;
}

static int send_piece(struct bench_of_one *b, const struct delivery_piece *p, const uint8_t *bytes, struct err *why)
{
    struct piece m = {.tensor = p->tensor, .first_row = p->first_row, .rows = p->rows, .hash = hash64(bytes, p->n),
                      .n = p->n, .bytes = (uint8_t *)bytes};
    struct frame *f = NULL;
    TRY(piece_write(&f, &m, why));
    return port_send(b->port, 1, &f, why);
}

static int hear(struct bench_of_one *b, unsigned type, struct err *why)
{
    struct frame *f = NULL;
    TRY(next_frame(b, &f, why));
    struct fault fault = {0};
    int code = 0;
    if (f->head.type == M_FAULT && !fault_read(&fault, f, why)) code = fail(why, (int)fault.code, "%s", fault.text);
    else if (f->head.type != type) code = fail(why, E_WIRE, "%s", message_name(f->head.type));
    frame_free(f);
    return code;
}

/* At most so many pieces. */
static int send_some(struct bench_of_one *b, struct part part, uint64_t model, const uint8_t *have, uint32_t most, uint32_t *sent,
                     struct err *why)
{
    struct tensor tensors[200];
    struct delivery d;
    struct delivery_piece p;
    text_part_tensors(b->model, part, tensors);
    delivery_begin(&d, tensors, (uint32_t)part_count(CHAIN_TEXT, part));
    d.have = have;
    *sent = 0;
    while (delivery_next(&d, &p)) {
        const uint8_t *bytes = bytes_of(&p, model);
        const uint64_t row_bytes = p.n / p.rows;
        const uint32_t end = p.first_row + p.rows, step = b->rows ? b->rows : p.rows;
        for (; p.first_row < end; p.first_row += p.rows, bytes += p.n, ++*sent) {
            if (*sent == most) return 0;
            p.rows = end - p.first_row < step ? end - p.first_row : step;
            p.n = p.rows * row_bytes;
            TRY(send_piece(b, &p, bytes, why));
            TRY(hear(b, M_PIECE_ACK, why));
        }
    }
    return 0;
}

static int send_missing(struct bench_of_one *b, struct part part, uint64_t model, const uint8_t *have, uint32_t *sent, struct err *why)
{
    TRY(send_some(b, part, model, have, UINT32_MAX, sent, why));
    return hear(b, M_READY, why);
}

/* Greets, assigns, hands out what is wanted, until READY. *sent: pieces. */
static int get_ready(struct bench_of_one *b, uint32_t epoch, struct part part, uint64_t model, uint32_t *sent, struct err *why)
{
    struct acceptance yes;
    uint8_t have[200];
    TRY(greet(b, epoch, why));
    TRY(assign(b, part, model, &yes, have, why));
    return send_missing(b, part, model, have, sent, why);
}

static int stop(struct bench_of_one *b, struct err *why)
{
    struct frame *f = NULL;
    TRY(empty_write(&f, M_STOP, why));
    return port_send(b->port, 1, &f, why);
}

TEST(a_second_run_of_the_same_part_is_sent_nothing)
{
    struct bench_of_one b;
    uint32_t first, second;
    NEED(open_bench(&b, why));
    NEED(begin_run(&b, why));
    NEED(get_ready(&b, 1, (struct part){0, 4, 0, 0, false}, 7, &first, why));
    NEED(stop(&b, why));
    CHECK(end_run(&b) == 0, "%s", b.why.text);
    NEED(begin_run(&b, why));
    NEED(get_ready(&b, 1, (struct part){0, 4, 0, 0, false}, 7, &second, why));
    NEED(stop(&b, why));
    CHECK(end_run(&b) == 0, "%s", b.why.text);
    CHECK(first > 4 && second == 0, "%u, then %u pieces", first, second);
    close_bench(&b);
}

TEST(of_another_part_only_what_is_missing_is_sent)
{
    struct bench_of_one b;
    uint32_t first, second, third, head;
    NEED(open_bench(&b, why));
    NEED(begin_run(&b, why));
    NEED(get_ready(&b, 1, (struct part){0, 4, 0, 0, false}, 7, &first, why));
    NEED(get_ready(&b, 2, (struct part){3, 5, 0, 0, false}, 7, &second, why)); /* layer 3 stays, 4 comes, 0 to 2 go */
    CHECK(second == first / 4, "%u of %u pieces", second, first);
    NEED(get_ready(&b, 3, (struct part){3, 5, 0, 0, false}, 8, &third, why)); /* of another model */
    CHECK(third == first / 2, "%u of %u pieces", third, first);
    NEED(get_ready(&b, 4, (struct part){3, 5, 0, 8, false}, 8, &head, why));
    NEED(get_ready(&b, 5, (struct part){3, 5, 8, 16, false}, 8, &third, why)); /* as many words, but others */
    CHECK(third == head && head > 1, "%u and %u pieces", head, third);
    NEED(stop(&b, why));
    CHECK(end_run(&b) == 0, "%s", b.why.text);
    close_bench(&b);
}

TEST(a_greeting_of_a_later_epoch_is_taken_at_any_moment_and_nothing_is_lost)
{
    struct bench_of_one b;
    uint32_t sent;
    struct acceptance yes;
    uint8_t have[200];
    NEED(open_bench(&b, why));
    NEED(begin_run(&b, why));
    NEED(greet(&b, 1, why));
    NEED(greet(&b, 2, why)); /* greeted */
    NEED(assign(&b, (struct part){0, 2, 0, 0, false}, 7, &yes, have, why));
    NEED(greet(&b, 3, why)); /* loading */
    NEED(get_ready(&b, 4, (struct part){0, 2, 0, 0, false}, 7, &sent, why));
    CHECK(sent > 0);
    NEED(get_ready(&b, 5, (struct part){0, 2, 0, 0, false}, 7, &sent, why)); /* working */
    CHECK(sent == 0, "%u pieces", sent);
    NEED(stop(&b, why));
    CHECK(end_run(&b) == 0, "%s", b.why.text);
    close_bench(&b);
}

/* One says what only the coordinator may say, the other hands on what is no micro-batch. */
TEST(of_neighbours_that_break_the_protocol_each_is_named_and_the_worker_stays)
{
    const unsigned says[NEIGHBOURS] = {M_STOP, M_WORK};
    struct bench_of_one b;
    struct unreachable told;
    struct frame *f = NULL;
    uint32_t sent, named = 0;
    NEED(open_bench(&b, why));
    b.neighbours = NEIGHBOURS;
    NEED(begin_run(&b, why));
    NEED(get_ready(&b, 1, (struct part){0, 2, 0, 0, false}, 7, &sent, why));
    for (int i = 0; i < NEIGHBOURS; i++) {
        port_run(b.neighbour[i], b.run, 1);
        NEED(port_route(b.neighbour[i], 1, 0, 1, why));
        f = frame_new(says[i], says[i] == M_WORK ? 8 : 0);
        f->head.route = says[i] == M_WORK;
        NEED(port_send(b.neighbour[i], 1, &f, why));
    }
    while (named != 12) { /* 4 for the one and 8 for the other */
        NEED(next_frame(&b, &f, why));
        NEED(unreachable_read(&told, f, why));
        CHECK(strstr(told.text, told.node == 2 ? "STOP came from worker 2" : "WORK"), "%s", told.text);
        named += 1u << told.node;
        frame_free(f);
    }
    NEED(get_ready(&b, 2, (struct part){0, 2, 0, 0, false}, 7, &sent, why));
    CHECK(sent == 0, "%u pieces", sent);
    NEED(stop(&b, why));
    CHECK(end_run(&b) == 0, "%s", b.why.text);
    close_bench(&b);
}

TEST(an_acceptance_says_yes_or_no_of_a_tensor_and_nothing_else)
{
    uint8_t have[3] = {1, 0, 1};
    struct acceptance yes = {.n = 3, .have = have};
    struct frame *f = NULL;
    struct err no = {0};
    NEED(acceptance_write(&f, &yes, why));
    NEED(acceptance_read(&yes, f, why));
    yes.have[1] = 2; /* in the frame */
    CHECK(acceptance_read(&yes, f, &no) == E_WIRE && strstr(no.text, "2 for tensor 1"), "%s", no.text);
    frame_free(f);
}

static uint32_t held(const struct acceptance *yes, const uint8_t *have)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < yes->n; i++) n += have[i];
    return n;
}

/* A run breaks off after each number of pieces, so in the middle of tensors too; the next one is of another model, then the same again.
 * The worker compares all it has with the hashes, so READY says that no row is left of what came before. */
/* Whoever assigns may name any file. */
TEST(a_file_that_the_coordinator_names_is_opened_only_where_that_is_allowed)
{
    const struct part part = {0, 3, 0, 0, false};
    const struct { const char *models, *path; bool no_file, opened; } cases[] = {
        {NULL, DEMO, false, true}, {"models", DEMO, false, true}, {"models/demo", "models/../models/demo/demo-q4_0.gguf", false, true},
        {"docs", DEMO, false, false}, {"models/dem", DEMO, false, false}, {"models", "models/../docs/WIRE.md", false, false},
        {NULL, "/dev/zero", false, false}, {NULL, "models", false, false}, {NULL, DEMO, true, false}, {"/", DEMO, false, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench_of_one b = {.run = 100, .path = cases[i].path};
        const struct worker_options options = {.threads = 1, .no_file = cases[i].no_file, .models = cases[i].models};
        struct acceptance yes;
        uint8_t have[200];
        struct err no;
        NEED(model_open(&b.model, DEMO, why));
        if (worker_open(&b.worker, &options, &no)) {
            CHECK(!strcmp(cases[i].models, "models/dem") && strstr(no.text, "is no folder"), "%s", no.text);
            model_close(&b.model);
            continue;
        }
        NEED(begin_run(&b, why));
        NEED(greet(&b, 1, why));
        NEED(assign(&b, part, 7, &yes, have, why));
        CHECK(have[0] == cases[i].opened, "case %zu", i);
        end_run(&b);
        close_bench(&b);
    }
}

TEST(what_is_half_loaded_is_never_taken_for_whole_nor_for_another_model)
{
    struct bench_of_one b;
    struct acceptance yes;
    uint8_t have[200];
    uint32_t sent, all;
    const struct part head = {0, 0, 0, 16, false}; /* a norm, and a matrix of many pieces */
    NEED(open_bench(&b, why));
    b.rows = 128;
    NEED(begin_run(&b, why));
    NEED(get_ready(&b, 1, head, 8, &all, why));
    CHECK(all > 2, "%u pieces: none is in the middle", all);
    for (uint32_t n = 0; n <= all; n++) {
        NEED(greet(&b, 3 * n + 2, why));
        NEED(assign(&b, head, 7, &yes, have, why));
        NEED(send_some(&b, head, 7, have, n, &sent, why));
        NEED(greet(&b, 3 * n + 3, why));
        NEED(assign(&b, head, 7, &yes, have, why));
        CHECK(held(&yes, have) == (n == 0 ? 0 : n < all ? 1 : 2), "after %u of %u pieces it has %u tensors", n, all, held(&yes, have));
        NEED(greet(&b, 3 * n + 4, why));
        NEED(assign(&b, head, 8, &yes, have, why));
        CHECK(held(&yes, have) == 0, "it has %u tensors of another model", held(&yes, have));
        NEED(send_missing(&b, head, 8, have, &sent, why));
    }
    NEED(stop(&b, why));
    CHECK(end_run(&b) == 0, "%s", b.why.text);
    close_bench(&b);
}

TEST(bytes_that_are_not_those_of_the_hash_are_refused_by_the_name_of_the_tensor)
{
    struct bench_of_one b;
    struct acceptance yes;
    uint8_t have[200];
    uint32_t sent;
    NEED(open_bench(&b, why));
    NEED(begin_run(&b, why));
    NEED(greet(&b, 1, why));
    NEED(assign(&b, (struct part){0, 2, 0, 0, false}, 7, &yes, have, why));
    struct err no = {0};
    CHECK(send_some(&b, (struct part){0, 2, 0, 0, false}, 8, have, 9, &sent, &no) == E_FILE &&
              strstr(no.text, "attn_norm of layer 0 is not what the coordinator's file holds"), "%s", no.text);
    CHECK(end_run(&b) == E_FILE);
    close_bench(&b);
}

/* The coordinator leaves, complains, or talks nonsense, in every state. */
static int break_a_run(struct bench_of_one *b, int how, struct err *why)
{
    struct acceptance yes;
    uint8_t have[200];
    struct frame *f = NULL;
    const struct part part = {0, 3, 0, 0, false};
    uint32_t sent;
    const int state = how % 4;
    if (state > 0) TRY(greet(b, 1, why));
    if (state > 1) TRY(assign(b, part, 7, &yes, have, why));
    if (state > 2) TRY(send_missing(b, part, 7, have, &sent, why));
    switch (how / 4 % 4) {
    case 0: return 0; /* gone */
    case 1: TRY(fault_write(&f, &(struct fault){.code = E_WORKER, .text = "another worker was lost"}, why)); break;
    case 2: TRY(empty_write(&f, M_READY, why)); break; /* not a coordinator's word */
    default: TRY(greet_write(&f, &(struct greet){.node = 1, .nodes = 2, .numeric = worker_numeric(), .run = b->run}, why)); frame_body(f)[0] = 9; break; /* node 9 of 2 */
    }
    int code = port_send(b->port, 1, &f, why);
    if (code) frame_free(f);
    struct err ignored;
    port_flush(b->port, 500, &ignored);
    return 0;
}

TEST(a_worker_serves_the_next_run_after_each_of_fifty_failed_ones)
{
    struct bench_of_one b;
    uint32_t sent;
    NEED(open_bench(&b, why));
    for (int i = 0; i < 50; i++) {
        NEED(begin_run(&b, why));
        NEED(break_a_run(&b, i, why));
        if (i % 16 == 0) NEED(stop(&b, why)); /* nobody was greeted: a thread waits for a word */
        end_run(&b);
        NEED(begin_run(&b, why));
        NEED(get_ready(&b, 1, (struct part){0, 3, 0, 0, false}, 7, &sent, why));
        CHECK(i == 0 || sent == 0, "after failure %d: %u pieces", i, sent);
        NEED(stop(&b, why));
        CHECK(end_run(&b) == 0, "after failure %d: %s", i, b.why.text);
    }
    close_bench(&b);
}

static int hello_of(struct bench_of_one *b, uint32_t numeric, struct numeric_mode mode, struct hello *hello, struct fault *fault, struct err *why)
{
    struct frame *f = NULL;
    port_run(b->port, b->run, 1);
    TRY(greet_write(&f, &(struct greet){.node = 1, .nodes = 2, .numeric = numeric, .run = b->run, .mode = mode}, why));
    TRY(port_send(b->port, 1, &f, why));
    TRY(next_frame(b, &f, why));
    int code = f->head.type == M_HELLO ? hello_read(hello, f, why) : fault_read(fault, f, why);
    frame_free(f);
    return code;
}

TEST(who_computes_other_numbers_refuses_and_says_both_versions)
{
    struct bench_of_one b;
    struct hello first = {0}, second = {0};
    struct fault fault = {0};
    NEED(open_bench(&b, why));
    NEED(begin_run(&b, why));
    NEED(hello_of(&b, worker_numeric() + 41, (struct numeric_mode){0}, &first, &fault, why));
    CHECK(fault.code == E_USAGE && strstr(fault.text, "by version 42 of the numbers, this worker by version 1"), "%s", fault.text);
    CHECK(end_run(&b) == E_USAGE);
    NEED(begin_run(&b, why)); /* and it is there for the next one, still the same member */
    NEED(hello_of(&b, worker_numeric(), (struct numeric_mode){0}, &first, &fault, why));
    end_run(&b);
    NEED(begin_run(&b, why));
    NEED(hello_of(&b, worker_numeric(), (struct numeric_mode){0}, &second, &fault, why));
    end_run(&b);
    CHECK(first.numeric == worker_numeric() && first.member && first.member == second.member);
    close_bench(&b);
}

/* Numbers that this program does not know, and an assignment for others than the greeting's. */
TEST(a_worker_refuses_numbers_that_it_cannot_compute_in)
{
    static const struct numeric_mode odd[] = {{.math = MATHS}, {.kv = KV_TYPES}, {.wire = WIRE_DTYPES}, {.kv = KV_F32}};
    struct bench_of_one b;
    struct acceptance yes;
    uint8_t have[200];
    NEED(open_bench(&b, why));
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct hello hello;
        struct fault fault = {0};
        NEED(begin_run(&b, why));
        NEED(hello_of(&b, worker_numeric(), odd[i], &hello, &fault, why));
        CHECK(fault.code == E_USAGE && end_run(&b) == E_USAGE, "numbers %zu: %s", i, fault.text);
    }
    NEED(begin_run(&b, why));
    NEED(hello_of(&b, worker_numeric(), (struct numeric_mode){.kv = KV_Q8_0}, &(struct hello){0}, &(struct fault){0}, why));
    struct err mixed = {0};
    assign(&b, (struct part){0, 3, 0, 0, false}, 7, &yes, have, &mixed);
    CHECK(end_run(&b) == E_WIRE && strstr(b.why.text, "other numbers"), "%s", b.why.text);
    close_bench(&b);
}

static uint32_t asked_blocks;

/* One question about a part of the demo model. */
static int ask(struct bench_of_one *b, struct part part, struct probe *m, struct probed *out, struct err *why)
{
    struct tensor tensors[200];
    uint8_t types[200];
    struct frame *f = NULL;
    const uint32_t n = (uint32_t)part_count(CHAIN_TEXT, part);
    text_part_tensors(b->model, part, tensors);
    for (uint32_t i = 0; i < n; i++) types[i] = (uint8_t)tensors[i].type;
    m->parts = (struct assignment){.text = b->model->config, .capacity = {256, 4, 64, 1, asked_blocks}, .threads = 1};
    m->parts.of[CHAIN_TEXT] = (struct chain_assignment){.part = part, .n_types = n, .types = types};
    m->filler = NULL;
    TRY(probe_write(&f, m, why));
    if (m->bytes) memset(m->filler, 1, m->bytes);
    TRY(port_send(b->port, 1, &f, why));
    TRY(next_frame(b, &f, why));
    struct fault fault;
    const int code = f->head.type == M_FAULT && !fault_read(&fault, f, why) ? fail(why, E_WORKER, "%s", fault.text) : probed_read(out, f, why);
    frame_free(f);
    return code;
}

/* It hangs up, or answers with what is no answer; the coordinator says nothing meanwhile. */
TEST(a_meeting_whose_other_end_fails_is_over_at_once)
{
    for (int hangs_up = 0; hangs_up < 2; hangs_up++) {
        const struct meet m = {.node = 2, .call = true, .bytes = 100};
        struct bench_of_one b;
        struct probed told = {.n = 9};
        struct frame *f = NULL;
        NEED(open_bench(&b, why));
        b.neighbours = 1;
        NEED(begin_run(&b, why));
        NEED(greet(&b, 1, why));
        NEED(meet_write(&f, &m, why));
        NEED(port_send(b.port, 1, &f, why));
        port_run(b.neighbour[0], b.run, 1);
        do {
            frame_free(f);
            NEED(port_recv(b.neighbour[0], &f, 20000, why));
        } while (f && f->head.type != M_PROBE);
        CHECK(f, "it was not called");
        frame_free(f);
        f = frame_new(M_PROBED, 3);
        memset(frame_body(f), 0, 3);
        if (hangs_up) port_close(&b.neighbour[0]), frame_free(f);
        else NEED(port_send(b.neighbour[0], 1, &f, why));
        f = NULL;
        do {
            frame_free(f);
            NEED(next_frame(&b, &f, why));
        } while (f->head.type == M_LOST); /* the coordinator is told of it too */
        NEED(probed_read(&told, f, why));
        CHECK(told.n == 0, "%u points", told.n);
        frame_free(f);
        NEED(stop(&b, why));
        CHECK(end_run(&b) == 0, "%s", b.why.text);
        close_bench(&b);
    }
}

TEST(a_worker_measures_itself_before_it_has_a_part_and_then_serves_as_ever)
{
    const struct part parts[] = {{0, 3, 0, 0, false}, {0, 0, 3, 5, false}, {0, 0, 0, 16, false}};
    struct bench_of_one b;
    struct probe *m = calloc(1, sizeof *m);
    struct probed out = {0};
    struct acceptance yes;
    uint8_t have[200];
    uint32_t sent;
    NEED(open_bench(&b, why));
    NEED(begin_run(&b, why));
    NEED(greet(&b, 1, why));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *m = (struct probe){.milliseconds = 300, .n = 3, .at = {{1, 1, 0}, {4, 4, 100}, {64, 1, 192}}};
        NEED(ask(&b, parts[i], m, &out, why));
        CHECK(out.n == 3 && out.seconds[0] > 0, "part %zu: %u points, the first %g s", i, out.n, out.seconds[0]); /* others if there was time */
    }
    *m = (struct probe){.milliseconds = 300, .beside = 40 << 20, .n = 1, .at = {{1, 1, 0}}};
    NEED(ask(&b, parts[0], m, &out, why));
    CHECK(out.n == 1 && out.seconds[0] > 0, "beside 40 MiB: %u points, %g s", out.n, out.seconds[0]);
    *m = (struct probe){.milliseconds = 300, .beside = (1 << 29) + 1, .n = 1, .at = {{1, 1, 0}}};
    struct err much = {0};
    CHECK(ask(&b, parts[0], m, &out, &much) == E_WIRE && strstr(much.text, "536870913 bytes beside"), "%s", much.text);
    *m = (struct probe){.answer = 70000, .bytes = 50000};
    NEED(ask(&b, parts[0], m, &out, why));
    CHECK(!out.n && out.bytes == 70000, "%u points, %u bytes", out.n, out.bytes);
    NEED(assign(&b, parts[0], 7, &yes, have, why));
    NEED(send_missing(&b, parts[0], 7, have, &sent, why));
    NEED(stop(&b, why));
    CHECK(end_run(&b) == 0, "%s", b.why.text);

    NEED(begin_run(&b, why));
    NEED(greet(&b, 1, why));
    *m = (struct probe){.bytes = 1};
    NEED(ask(&b, parts[0], m, &out, why));
    end_run(&b); /* who asked goes, and nothing was assigned */

    NEED(begin_run(&b, why));
    NEED(greet(&b, 1, why));
    *m = (struct probe){.milliseconds = 30, .n = 1, .at = {{64, 1, 193}}};
    struct err no = {0};
    CHECK(ask(&b, parts[0], m, &out, &no) && strstr(no.text, "64 rows of 1 sequences at position 193"), "a row more than the context: %s", no.text);
    end_run(&b);

    NEED(begin_run(&b, why));
    NEED(greet(&b, 1, why));
    *m = (struct probe){.milliseconds = 30, .n = 1, .at = {{4, 4, 100}}};
    asked_blocks = 4; /* fewer pages than these sequences would have */
    no = (struct err){0};
    CHECK(ask(&b, parts[0], m, &out, &no) && strstr(no.text, "room for 4 blocks"), "too few pages: %s", no.text);
    asked_blocks = 0;
    end_run(&b);
    close_bench(&b);
    free(m);
}
