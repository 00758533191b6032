/* tests/support/samples.h — one frame of every message with every field set, for wire_test.c, the fuzzer and its corpus. */
#pragma once

#include "base/little_endian.h"
#include "worker/assign.h"
#include "transport/wire/wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 36
#define SAMPLE_SCORED_BEST 26
#define SAMPLE_BEST_BYTES 20 /* at its end */

static inline void sample_work(struct work *w)
{
    struct sampling sampling = {.temperature = 0.7f, .top_k = 64, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.1f,
                                .repeat_last = 64, .seed = 0x1122334455667788};
    memset(w, 0, sizeof *w);
    w->batch = 0xb0b1b2b3b4b5b6b7;
    w->n_segments = 2;
    w->segments[0] = (struct segment){3, 100, 4, SEG_WANT_LOGITS, 0, 0x0102030405060708, 0x1112131415161718, sampling, 0, 0, 0, 0, 0};
    w->segments[1] = (struct segment){9, 0, 2, SEG_START | SEG_WANT_HASH, 1, 42, HISTORY_EMPTY, sampling, 0, 0, 0, 0, 0};
    w->n_rows = 6;
    for (uint32_t i = 0; i < 6; i++) w->rows[i] = (struct row){1000 + i, i < 4 ? 103 : i - 4};
    w->dtype = WIRE_F32;
    w->cols = 5;
}

/* A worker with parts of both chains; or, with the text left out, of the encoder alone. */
static inline struct frame *sample_assign(bool text)
{
    static uint8_t types[7] = {0, 2, 2, 1, 14, 2, 0}, seen[5] = {1, 0, 0, 8, 0}, hashes[7 * 8];
    struct assignment m = {
        .threads = 2,
        .text = {26, 1152, 6912, 4, 1, 256, 512, 6, 32768, 262144, 1e6f, 1e4f, 8.0f, 1e-6f, 0.0625f},
        .capacity = {4096, 8, 512, 4, 400, {0, 1, 1}},
        .vision = {.image = 896, .patch = 14, .layers = 27, .width = 1152, .ffn = 4304, .heads = 16, .pool = 4, .hidden = 2560,
                   .norm_epsilon = 1e-6f},
        .vision_as = 1,
        .pictures_in_flight = 2,
        .of = {[CHAIN_TEXT] = {.part = {7, 19, 3, 9, false}, .route = 1, .epoch = 6, .plan = 0x2122232425262728, .next = 3, .next_address = "tcp://10.0.0.7:7001", .previous_address = "tcp://[fe80::9]:7009", .relayed = true,
                               .path = "/models/gemma-3-1b.gguf", .fingerprint = {0x1234567890abcdef, 0xfedcba0987654321},
                               .n_types = 7, .types = types, .hashes = hashes, .previous = 9},
               [CHAIN_VISION] = {.part = {9, 27, 0, 1, false}, .route = 2, .epoch = 5, .plan = 0x2122232425262728, .next = 0, .path = "/models/mmproj.gguf",
                                 .fingerprint = {0x0011223344556677, 0x8899aabbccddeeff}, .n_types = 5, .types = seen}},
    };
    struct frame *f = 0;
    for (unsigned i = 0; i < KEY_BYTES; i++) {
        m.of[CHAIN_TEXT].next_key[i] = (uint8_t)i;
        m.of[CHAIN_TEXT].previous_key[i] = (uint8_t)(KEY_BYTES + i);
    }
    for (unsigned i = 0; i < 7; i++) put_le(hashes + 8 * i, 0x4142434445464748 + i, 8);
    if (!text) m.of[CHAIN_TEXT].part = (struct part){0};
    return assignment_write(&f, &m, 0) ? 0 : f;
}

static inline struct frame *sample_probe(void)
{
    static uint8_t types[5] = {1, 0, 0, 8, 0};
    struct probe m = {.milliseconds = 300, .answer = 9, .n = 2, .at = {{1, 1, 64}, {8, 4, 0}}, .bytes = 3, .beside = 123456789};
    struct frame *f = 0;
    m.parts = (struct assignment){
        .threads = 2, .pictures_in_flight = 1,
        .vision = {.image = 112, .patch = 14, .layers = 27, .width = 1152, .ffn = 4304, .heads = 16, .pool = 4, .hidden = 2560, .norm_epsilon = 1e-6f},
        .of = {[CHAIN_VISION] = {.part = {1, 2, 0, 0, false}, .next = 1, .n_types = 5, .types = types}},
    };
    if (probe_write(&f, &m, 0)) return 0;
    memcpy(m.filler, "abc", 3);
    return f;
}

static inline struct frame *sample_meet(void)
{
    struct frame *f = NULL;
    struct meet m = {.node = 2, .bytes = 4096, .call = true, .address = "tcp://b:7001"};
    for (uint8_t i = 0; i < 32; i++) m.key[i] = i;
    meet_write(&f, &m, NULL);
    return f;
}

static inline struct frame *sample_probed(void)
{
    struct probed m = {.n = 2, .seconds = {0.25, 0}, .waited = {0.5, 0}, .bytes = 3};
    struct frame *f = 0;
    if (probed_write(&f, &m, 0)) return 0;
    memcpy(m.filler, "xyz", 3);
    return f;
}

static inline struct frame *sample_accept(void)
{
    static uint8_t have[5] = {1, 1, 0, 0, 1};
    const struct acceptance m = {{1, 2, 3, 4, 5, 15}, 5, have};
    struct frame *f = 0;
    return acceptance_write(&f, &m, 0) ? 0 : f;
}

/* Activations and scores are numbers 0, 1, 2… as bytes, so that a shift shows. */
static inline struct frame *sample_rows(int which)
{
    struct frame *f = 0;
    struct work *w = malloc(sizeof *w);
    struct logits l = {.batch = 11, .slot = 2, .position = 77, .hash = 0xabcdef, .n = 5};
    sample_work(w);
    if (which == 1) {
        w->dtype = WIRE_BF16;
        w->orders[w->n_orders++] = (struct order){.kind = ORDER_DROP, .beginning = 7};
        w->orders[w->n_orders++] = (struct order){ORDER_KEEP, 9, 255, 64, 0x3132333435363738};
    }
    int code = which < 2 ? work_write(&f, w, 0) : logits_write(&f, &l, 0);
    size_t n = which == 0 ? 120 : which == 1 ? 60 : 20;
    for (size_t i = 0; i < n && !code; i++) (which < 2 ? w->activations : l.scores)[i] = (uint8_t)i;
    free(w);
    return f;
}

static inline struct frame *sample_piece(void)
{
    uint8_t bytes[36];
    for (int i = 0; i < 36; i++) bytes[i] = (uint8_t)(200 + i);
    struct piece m = {.tensor = 5, .first_row = 6, .rows = 2, .hash = hash64(bytes, 36), .n = 36, .bytes = bytes};
    struct frame *f = 0;
    return piece_write(&f, &m, 0) ? 0 : f;
}

static inline struct frame *sample_result(void)
{
    static struct result m;
    struct frame *f = 0;
    m.batch = 12;
    m.n_tokens = 2;
    m.tokens[0] = (struct token){1, 200, 5000, -0.5f, 0x0f0e0d0c0b0a0908, 0, {{0, 0}}};
    m.tokens[1] = (struct token){2, 201, 5001, -1.5f, 0, 0, {{0, 0}}};
    return result_write(&f, &m, 0) ? 0 : f;
}

static inline struct frame *sample_picture(enum message type)
{
    struct picture_values m = {.picture = 31, .rows = 3, .cols = 2};
    struct frame *f = 0;
    if (picture_values_write(&f, type, &m, 0)) return 0;
    for (int i = 0; i < 24; i++) m.values[i] = (uint8_t)i;
    return f;
}

static inline struct frame *sample_diary(void)
{
    struct diary_part *m = calloc(1, sizeof *m);
    struct frame *f = 0;
    *m = (struct diary_part){.now_ns = 99, .first = 7, .written = 9, .n = 2, .spans = {{10, 20, 3, 128, DIARY_ROWS}, {21, 40, 5, 9, DIARY_PICTURE}}};
    diary_part_write(&f, m, 0);
    free(m);
    return f;
}

/* The second segment of sample_work, its last row. */
static inline struct frame *sample_score(void)
{
    struct frame *f = 0;
    struct work *w = malloc(sizeof *w);
    sample_work(w);
    w->segments[0] = w->segments[1];
    w->segments[0].position = 1;
    w->segments[0].rows = 1;
    w->segments[0].flags = SEG_WANT_HASH;
    w->rows[0] = (struct row){1005, 1};
    w->n_segments = w->n_rows = 1;
    if (!score_write(&f, w, 0))
        for (int i = 0; i < 20; i++) w->activations[i] = (uint8_t)i;
    free(w);
    return f;
}

static inline struct frame *sample_scored(void)
{
    struct scored *m = calloc(1, sizeof *m);
    struct frame *f = 0;
    *m = (struct scored){.batch = 12, .slot = 9, .position = 1, .part = 3, .n_parts = 2, .parts = {{1.5f, 2.5f, 77}, {-1.5f, 1, 78}},
                         .n_candidates = 3, .candidates = {{60000, 1.5f, 3}, {70000, 1.25f, 1.25f}, {70001, 1.25f, 1.25f}}};
    scored_write(&f, m, 0);
    free(m);
    return f;
}

/* The same three with biases of words and alternatives to tokens. */
static inline struct frame *sample_biased(void)
{
    static uint8_t biases[3 * WIRE_BIAS_BYTES];
    struct frame *f = 0;
    struct work *w = malloc(sizeof *w);
    sample_work(w);
    w->segments[1].top = 20;
    w->n_biases = 3;
    w->biases = biases;
    bias_put(biases, 0, (struct bias){9, 1, -INFINITY});
    bias_put(biases, 1, (struct bias){9, 106, -100});
    bias_put(biases, 2, (struct bias){9, 70000, 0.5f});
    if (!work_write(&f, w, 0))
        for (int i = 0; i < 120; i++) w->activations[i] = (uint8_t)i;
    free(w);
    return f;
}

/* The same two, the last two rows of the first with tokens that are told. */
static inline struct frame *sample_told(void)
{
    static uint8_t told[8];
    struct frame *f = 0;
    struct work *w = malloc(sizeof *w);
    sample_work(w);
    w->segments[0].flags |= SEG_TOLD, w->segments[0].wanted = 2;
    w->segments[0].sampling = (struct sampling){.repeat_penalty = 1};
    w->told = told;
    told_put(told, 0, 1002);
    told_put(told, 1, 70000);
    if (!work_write(&f, w, 0))
        for (int i = 0; i < 120; i++) w->activations[i] = (uint8_t)i;
    free(w);
    return f;
}

static inline struct frame *sample_row_hashes(void)
{
    struct row_hashes m = {.batch = 9, .first = 4, .layers = 2, .rows = 3};
    struct frame *f = 0;
    if (!row_hashes_write(&f, &m, 0))
        for (int i = 0; i < 48; i++) m.hashes[i] = (uint8_t)i;
    return f;
}

static inline struct frame *sample_alternatives(void)
{
    static struct result m = {.batch = 12, .n_tokens = 2};
    struct frame *f = 0;
    m.tokens[0] = (struct token){.slot = 1, .position = 200, .id = 5000, .logprob = -0.5f, .n_alternatives = 2, .alternatives = {{7, -0.25f}, {5000, -0.5f}}};
    m.tokens[1] = (struct token){.slot = 2, .position = 201, .id = 5001, .logprob = -1.5f};
    return result_write(&f, &m, 0) ? 0 : f;
}

static inline struct frame *sample_scored_best(void)
{
    struct scored *m = calloc(1, sizeof *m);
    struct frame *f = 0;
    *m = (struct scored){.batch = 12, .slot = 9, .position = 1, .part = 3, .n_parts = 1, .parts = {{1.5f, 2.5f, 77}}, .n_candidates = 1,
                         .candidates = {{60000, 1.5f, 3}}, .n_best = 2, .best = {{60000, 3, 3}, {70000, 1.25f, 1.25f}}};
    scored_write(&f, m, 0);
    free(m);
    return f;
}

static inline struct frame *sample_message(int i)
{
    struct frame *f = 0;
    switch (i) {
    case 0: greet_write(&f, &(struct greet){2, 4, 3, 0x5a5a5a5a12345678, {1, 2, 1}}, 0); break;
    case 1: hello_write(&f, &(struct hello){"0.1", "attic", "avx512-vnni", 4242, 8, 17ull << 30, 0x3132333435363738, 3, 1500, 100000, 4000, 0x4142434445464748, "Xeon", "OpenBLAS"}, 0); break;
    case 2: return sample_assign(true);
    case 3: return sample_accept();
    case 4: return sample_piece();
    case 5: empty_write(&f, M_PIECE_ACK, 0); break;
    case 6: ready_write(&f, &(struct ready){123456789, 2.5}, 0); break;
    case 7: return sample_rows(0);
    case 8: return sample_rows(1);
    case 9: return sample_result();
    case 10: return sample_rows(2);
    case 11: ping_write(&f, M_PING, &(struct ping){.at_ns = 1, .batch = 2, .queue = 3, .stamp_ns = 5}, 0); break;
    case 12: ping_write(&f, M_PONG, &(struct ping){4, 5, 6, 7, 8, 9}, 0); break;
    case 13: empty_write(&f, M_REPORT_ASK, 0); break;
    case 14: report_write(&f, &(struct report){1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, 0); break;
    case 15: empty_write(&f, M_STOP, 0); break;
    case 16: fault_write(&f, &(struct fault){E_FILE, "the file is gone"}, 0); break;
    case 17: return sample_assign(false);
    case 18: return sample_picture(M_PICTURE);
    case 19: return sample_picture(M_PICTURE_ROWS);
    case 20: diary_ask_write(&f, &(struct diary_ask){1234567}, 0); break;
    case 21: return sample_diary();
    case 22: return sample_score();
    case 23: return sample_scored();
    case 24: return sample_biased();
    case 25: return sample_alternatives();
    case 27: return sample_probe();
    case 28: return sample_probed();
    case 29: unreachable_write(&f, &(struct unreachable){3, true, "it broke"}, 0); break;
    case 30: return sample_told();
    case 31: empty_write(&f, M_LEAVE, 0); break;
    case 32: empty_write(&f, M_HERE, 0); break;
    case 33: return sample_meet();
    case 34: return sample_row_hashes();
    case 35: check_write(&f, &(struct check){1, "layer 3"}, 0); break;
    case SAMPLE_SCORED_BEST: return sample_scored_best();
    }
    return f;
}

/* A new frame: free it. NULL if it could not be written. */
static inline struct frame *sample_frame(int i)
{
    struct frame *f = sample_message(i);
    if (f && message_has_route(f->head.type)) f->head.route = 513;
    return f;
}

union sample {
    struct greet greet;
    struct hello hello;
    struct assignment assignment;
    struct probe probe;
    struct probed probed;
    struct meet meet;
    struct picture_values picture;
    struct acceptance acceptance;
    struct piece piece;
    struct ready ready;
    struct work work;
    struct result result;
    struct logits logits;
    struct ping ping;
    struct report report;
    struct diary_ask diary_ask;
    struct diary_part diary;
    struct scored scored;
    struct fault fault;
    struct unreachable unreachable;
    struct row_hashes row_hashes;
    struct check check;
};

/* Reads the body by the type the head states. */
static inline int sample_read_into(union sample *m, struct frame *f, struct err *why)
{
    switch (f->head.type) {
    case M_GREET: return greet_read(&m->greet, f, why);
    case M_HELLO: return hello_read(&m->hello, f, why);
    case M_ASSIGN: return assignment_read(&m->assignment, f, why);
    case M_PROBE: return probe_read(&m->probe, f, why);
    case M_PROBED: return probed_read(&m->probed, f, why);
    case M_MEET: return meet_read(&m->meet, f, why);
    case M_PICTURE: case M_PICTURE_ROWS: return picture_values_read(&m->picture, f, why);
    case M_ACCEPT: return acceptance_read(&m->acceptance, f, why);
    case M_PIECE: return piece_read(&m->piece, f, why);
    case M_READY: return ready_read(&m->ready, f, why);
    case M_WORK: return work_read(&m->work, f, why);
    case M_RESULT: return result_read(&m->result, f, why);
    case M_LOGITS: return logits_read(&m->logits, f, why);
    case M_PING: case M_PONG: return ping_read(&m->ping, f, why);
    case M_REPORT: return report_read(&m->report, f, why);
    case M_DIARY_ASK: return diary_ask_read(&m->diary_ask, f, why);
    case M_DIARY: return diary_part_read(&m->diary, f, why);
    case M_SCORE: return score_read(&m->work, f, why);
    case M_SCORED: return scored_read(&m->scored, f, why);
    case M_ROW_HASHES: return row_hashes_read(&m->row_hashes, f, why);
    case M_CHECK: return check_read(&m->check, f, why);
    case M_UNREACHABLE: return unreachable_read(&m->unreachable, f, why);
    case M_FAULT: return fault_read(&m->fault, f, why);
    default: return f->head.body_bytes ? fail(why, E_WIRE, "a body where none belongs, from worker %u", f->head.from) : 0;
    }
}

/* Writes what was read. */
static inline int sample_write(struct frame **out, unsigned type, union sample *m, struct err *why)
{
    switch (type) {
    case M_GREET: return greet_write(out, &m->greet, why);
    case M_HELLO: return hello_write(out, &m->hello, why);
    case M_ASSIGN: return assignment_write(out, &m->assignment, why);
    case M_PROBE: return probe_write(out, &m->probe, why);
    case M_PROBED: return probed_write(out, &m->probed, why);
    case M_MEET: return meet_write(out, &m->meet, why);
    case M_PICTURE: case M_PICTURE_ROWS: return picture_values_write(out, type, &m->picture, why);
    case M_ACCEPT: return acceptance_write(out, &m->acceptance, why);
    case M_PIECE: return piece_write(out, &m->piece, why);
    case M_READY: return ready_write(out, &m->ready, why);
    case M_WORK: return work_write(out, &m->work, why);
    case M_RESULT: return result_write(out, &m->result, why);
    case M_LOGITS: return logits_write(out, &m->logits, why);
    case M_PING: case M_PONG: return ping_write(out, type, &m->ping, why);
    case M_REPORT: return report_write(out, &m->report, why);
    case M_DIARY_ASK: return diary_ask_write(out, &m->diary_ask, why);
    case M_DIARY: return diary_part_write(out, &m->diary, why);
    case M_SCORE: return score_write(out, &m->work, why);
    case M_SCORED: return scored_write(out, &m->scored, why);
    case M_ROW_HASHES: return row_hashes_write(out, &m->row_hashes, why);
    case M_CHECK: return check_write(out, &m->check, why);
    case M_UNREACHABLE: return unreachable_write(out, &m->unreachable, why);
    case M_FAULT: return fault_write(out, &m->fault, why);
    default: return empty_write(out, type, why);
    }
}

static inline int sample_read(struct frame *f, struct err *why)
{
    union sample *m = malloc(sizeof *m);
    int code = sample_read_into(m, f, why);
    free(m);
    return code;
}

/* Reads `f` into a struct full of noise, writes it again. Rows and scores are copied as their users do. */
static inline int sample_copy(struct frame **out, struct frame *f, struct err *why)
{
    union sample *m = malloc(sizeof *m);
    memset(m, 0xa5, sizeof *m);
    int code = sample_read_into(m, f, why);
    bool picture = f->head.type == M_PICTURE || f->head.type == M_PICTURE_ROWS;
    const uint8_t *rows = f->head.type == M_WORK || f->head.type == M_SCORE ? m->work.activations : f->head.type == M_LOGITS ? m->logits.scores : f->head.type == M_ROW_HASHES ? m->row_hashes.hashes : picture ? m->picture.values : 0;
    if (!code) code = sample_write(out, f->head.type, m, why);
    size_t n = !rows ? 0 : (size_t)(frame_body(f) + f->head.body_bytes - rows);
    if (!code && rows) memcpy(frame_body(*out) + (rows - frame_body(f)), rows, n);
    free(m);
    return code;
}
