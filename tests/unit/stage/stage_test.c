/* tests/unit/stage/stage_test.c — a stage gives the same bits however the work reaches it, and refuses what does not fit. */
#include "tests/support/check.h"
#include "tests/support/toy.h"

#include "base/threads.h"
#include "worker/kernels/blas.h"

#include <float.h>
#include <malloc.h>
#include <math.h>

#define LENGTH 100 /* five windows */

static const struct relay_plan plain = {"7", {200, 4, 64, 2, 0, {0}}, 1, NULL, NULL};

/* The fingerprint of LENGTH positions of one sequence, `step` rows at a time. */
static uint64_t fingerprint(const struct toy *toy, const struct relay_plan *plan, uint32_t step)
{
    struct relay *r;
    struct err why = {0};
    struct feed f = feed_new(1, 5);
    if (relay_open(&r, toy, plan, &why) || relay_feed(r, &f, LENGTH, step, &why))
        check_failed(__FILE__, __LINE__, "a run", " %s", why.text);
    uint64_t print = relay_fingerprint(r, 1, LENGTH);
    relay_close(&r);
    return print;
}

/* Of this process's own memory only: pages of files, the program's among them, come and go as the system likes. */
static uint64_t own_resident_bytes(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    unsigned long long kib = 0;
    for (char line[256]; f && !kib && fgets(line, sizeof line, f);) sscanf(line, "RssAnon: %llu", &kib);
    if (f) fclose(f);
    return kib * 1024;
}

/* The first claim: what others gave back to the heap could be used again, and nothing would grow. */
TEST(memory_is_what_the_plan_says)
{
    if (getenv("EMULATOR")) return test_skip("emulators leave out what fills memory at once (MADV_POPULATE_WRITE) and say that it was done");
    struct toy *toy = toy_small();
    struct relay *r;
    struct relay_plan plan = {"3,7,7", {3000, 3, 100, 4, 0, {0}}, 2, NULL, NULL};
    uint64_t before = own_resident_bytes(), taken = 0;
    NEED(relay_open(&r, toy, &plan, why));
    const struct part parts[] = {{0, 3, 0, 0, false}, {3, 7, 0, 0, false}, {7, 7, 0, HEAD_PARTS, false}};
    for (int i = 0; i < 3; i++) {
        struct stage_plan_in in = relay_stage(toy, parts[i], &plan);
        struct part_bytes want = text_part_bytes(&in.config, in.part, in.tensors, &in.capacity, 2);
        struct part_bytes have = stage_memory(r->stages[i]);
        CHECK(have.weights == want.weights && have.kv == want.kv && have.scratch == want.scratch, "stage %d", i);
        taken += have.weights + have.kv + have.scratch;
    }
    uint64_t grown = own_resident_bytes() - before;
    CHECK(grown >= taken, "%llu bytes promised, %llu there", (unsigned long long)taken, (unsigned long long)grown);
    relay_close(&r);
    toy_free(toy);
}

TEST(cutting_the_model_changes_nothing)
{
    struct toy *toy = toy_small();
    const char *cuts[] = {"3,7", "2,5,7", "1,2,3,4,5,6,7", "7,7", "2,7,7"};
    struct relay_plan plan = plain;
    uint64_t whole = fingerprint(toy, &plan, 64);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        plan.cuts = cuts[i];
        CHECK(fingerprint(toy, &plan, 64) == whole, "cut at %s", cuts[i]);
    }
    toy_free(toy);
}

/* Whatever the numbers are in, who computes does not show: as many rows at a time, stages and threads as there are. */
TEST(other_numbers_give_the_same_bits_everywhere_too)
{
    static const struct numeric_mode modes[] = {{.kv = KV_Q8_0}, {.wire = WIRE_BF16}, {.kv = KV_Q8_0, .wire = WIRE_BF16},
                                                 {.math = MATH_FLOAT32, .kv = KV_F32}};
    static const char *const isas[] = {"ref", NULL};
    struct toy *toy = toy_small();
    const uint64_t usual = fingerprint(toy, &plain, 64);
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        struct relay_plan plan = plain;
        if (modes[m].math == MATH_FLOAT32 && blas_open(NULL)) continue;
        plan.capacity.mode = modes[m];
        const uint64_t whole = fingerprint(toy, &plan, 64);
        CHECK(whole != usual, "numbers %zu change nothing", m);
        for (int i = 0; i < 8; i++) {
            const uint32_t step = 1 + 16 * (uint32_t)((i + i / 4) % 4);
            plan.isa = isas[i % 2], plan.cuts = i & 2 ? "2,5,7,7" : "7", plan.threads = 1 + i / 4;
            CHECK(fingerprint(toy, &plan, step) == whole, "numbers %zu, cut at %s, %d threads, %u rows at a time", m, plan.cuts, plan.threads, step);
        }
    }
    toy_free(toy);
}

TEST(rows_at_a_time_change_nothing)
{
    struct toy *toy = toy_small();
    uint64_t whole = fingerprint(toy, &plain, 64);
    const uint32_t steps[] = {1, 7, 16, 33};
    for (size_t i = 0; i < 4; i++) CHECK(fingerprint(toy, &plain, steps[i]) == whole, "%u rows at a time", steps[i]);
    toy_free(toy);
}

TEST(threads_change_nothing)
{
    struct toy *toy = toy_small();
    struct relay_plan plan = plain;
    uint64_t one = fingerprint(toy, &plan, 64);
    for (plan.threads = 2; plan.threads <= 3; plan.threads++) {
        CHECK(fingerprint(toy, &plan, 64) == one, "%d threads, 64 rows", plan.threads);
        CHECK(fingerprint(toy, &plan, 2) == one, "%d threads, 2 rows", plan.threads);
    }
    toy_free(toy);
}

/* One row at a time, far enough for several spans, over more threads than there are heads; and in a tall micro-batch. */
TEST(threads_that_share_one_row_change_nothing)
{
    enum { BEFORE = 640, ROWS = 4 };
    struct toy *toy = toy_small();
    uint64_t prints[3];
    for (int i = 0; i < 3; i++) {
        struct relay *r;
        struct feed f = feed_new(0, 8);
        const struct relay_plan plan = {"7", {BEFORE + ROWS, 1, 64, 2, 0, {0}}, i == 0 ? 1 : 6, NULL, NULL};
        NEED(relay_open(&r, toy, &plan, why));
        NEED(relay_feed(r, &f, i < 2 ? BEFORE : BEFORE + ROWS, 64, why));
        if (i < 2) NEED(relay_feed(r, &f, ROWS, 1, why));
        prints[i] = relay_fingerprint(r, 0, BEFORE + ROWS);
        relay_close(&r);
    }
    CHECK(prints[1] == prints[0] && prints[2] == prints[0]);
    toy_free(toy);
}

/* A processor multiplies zeros faster, and what is no number ends a stage. */
TEST(drawn_weights_of_every_type_give_rows_of_numbers_that_are_not_zero)
{
    const struct toy_types types[] = {{T_Q4_0, T_Q4_0, T_Q4_0, T_Q6_K}, {T_Q4_1, T_Q5_0, T_Q5_1, T_F16}, {T_Q4_K, T_Q5_K, T_Q8_0, T_Q4_0},
                                      {T_F16, T_BF16, T_F32, T_BF16}, {T_Q6_K, T_Q6_K, T_Q8_0, T_Q8_0}};
    for (size_t t = 0; t < 2 * sizeof types / sizeof *types; t++) {
        struct toy *toy = toy_make(toy_config(), types[t / 2], 11);
        struct relay_plan plan = plain;
        struct relay *r;
        uint32_t zeros = 0;
        struct feed f = feed_new(1, 5);
        plan.capacity.mode.kv = t % 2 ? KV_Q8_0 : KV_F16;
        NEED(relay_open(&r, toy, &plan, why));
        stage_draw(r->stages[0]);
        stage_pretend(r->stages[0], 1, LENGTH);
        f.position = LENGTH, f.history = 0;
        NEED(relay_feed(r, &f, 40, 20, why));
        for (uint32_t i = 0; i < toy->config.vocab; i++) zeros += r->scores[i] == 0;
        CHECK(!zeros, "types %zu: %u scores are zero", t, zeros);
        relay_close(&r);
        toy_free(toy);
    }
}

TEST(every_instruction_set_gives_the_same_scores)
{
    const char *isas[] = {"avx2", "avxvnni", "avx512", "neon", "neondot", "i8mm"};
    const struct toy_types types[] = {{T_Q4_0, T_Q4_0, T_Q4_0, T_Q6_K}, {T_Q4_1, T_Q5_0, T_Q5_1, T_F16},
                                      {T_Q4_K, T_Q5_K, T_Q8_0, T_Q4_0}, {T_F16, T_BF16, T_F32, T_BF16}};
    struct kernels k;
    int tried = 0;
    for (size_t t = 0; t < 4; t++) {
        struct model_config c = toy_config();
        c.layers = 3;
        struct toy *toy = toy_make(c, types[t], 11 + t);
        struct relay_plan plan = plain;
        plan.cuts = "3", plan.isa = "ref";
        uint64_t ref = fingerprint(toy, &plan, 64);
        for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
            plan.isa = isas[i];
            if (kernels_named(&k, isas[i], NULL)) continue;
            const uint32_t step = (t + i) % 2 ? 64 : 5;
            CHECK(fingerprint(toy, &plan, step) == ref, "%s, types %zu, %u rows at a time", isas[i], t, step);
            tried++;
        }
        toy_free(toy);
    }
    if (!tried) test_skip("this CPU has only the plain kernels");
}

/* The same numbers through other shapes of the heads. */
TEST(head_shapes_can_be_cut_too)
{
    const struct { uint32_t heads, kv_heads, head_dim; } shapes[] = {{1, 1, 256}, {4, 4, 128}, {4, 1, 64}, {2, 1, 32}};
    for (size_t i = 0; i < 4; i++) {
        struct model_config c = toy_config();
        c.layers = 3, c.heads = shapes[i].heads, c.kv_heads = shapes[i].kv_heads, c.head_dim = shapes[i].head_dim;
        struct toy *toy = toy_make(c, (struct toy_types){T_Q4_0, T_Q4_0, T_Q4_0, T_Q8_0}, 3);
        struct relay_plan plan = plain;
        plan.cuts = "3";
        uint64_t whole = fingerprint(toy, &plan, 64);
        plan.cuts = "1,3", plan.threads = 2;
        CHECK(fingerprint(toy, &plan, 3) == whole, "%u heads over %u of %u", c.heads, c.kv_heads, c.head_dim);
        toy_free(toy);
    }
}

TEST(batch_mates_change_nothing)
{
    struct toy *toy = toy_small();
    struct relay *alone, *together;
    struct relay_plan plan = plain;
    plan.cuts = "3,7";
    NEED(relay_open(&alone, toy, &plan, why));
    plan.threads = 2;
    NEED(relay_open(&together, toy, &plan, why));
    struct feed single[4], mixed[4];
    for (uint32_t s = 0; s < 4; s++) {
        single[s] = mixed[s] = feed_new(s, 20 + s);
        NEED(relay_feed(alone, &single[s], 100, 64, why));
    }
    uint64_t state = 1;
    for (bool more = true; more;) {
        work_clear(together);
        more = false;
        for (uint32_t i = 0, first = (uint32_t)toy_random(&state) % 4; i < 4; i++) {
            struct feed *f = &mixed[(first + i) % 4];
            uint32_t rows = (uint32_t)(toy_random(&state) % 17);
            if (rows > 100 - f->position) rows = 100 - f->position;
            if (rows) work_add(together, f, rows, SEG_WANT_LOGITS);
            more = more || f->position < 100;
        }
        NEED(relay_run(together, why));
    }
    for (uint32_t s = 0; s < 4; s++)
        CHECK(relay_fingerprint(together, s, 100) == relay_fingerprint(alone, s, 100), "slot %u", s);
    relay_close(&alone);
    relay_close(&together);
    toy_free(toy);
}

TEST(a_slot_used_again_remembers_nothing)
{
    struct toy *toy = toy_small();
    struct relay *r;
    NEED(relay_open(&r, toy, &plain, why));
    struct feed first = feed_new(1, 77), again = feed_new(1, 5);
    NEED(relay_feed(r, &first, 193, 50, why));
    NEED(relay_feed(r, &again, LENGTH, 10, why));
    CHECK(relay_fingerprint(r, 1, LENGTH) == fingerprint(toy, &plain, 64));
    relay_close(&r);
    toy_free(toy);
}

/* A ring as long as the context never wraps; one of two pages, as short as can be, wraps three times in 400. */
TEST(the_length_of_the_ring_changes_nothing)
{
    struct model_config c = toy_config();
    c.layers = 3;
    struct toy *toy = toy_make(c, (struct toy_types){T_Q4_0, T_Q4_0, T_Q4_0, T_Q8_0}, 8);
    struct relay *roomy, *tight;
    const struct relay_plan plans[] = {{"3", {400, 1, 400, 2, 0, {0}}, 1, NULL, NULL}, {"3", {400, 1, 8, 2, 0, {0}}, 1, NULL, NULL}};
    struct feed f = feed_new(0, 5), g = f;
    CHECK(kv_pages(&c, 0, &plans[0].capacity) == 7 && kv_pages(&c, 0, &plans[1].capacity) == 2);
    NEED(relay_open(&roomy, toy, &plans[0], why));
    NEED(relay_open(&tight, toy, &plans[1], why));
    NEED(relay_feed(roomy, &f, 400, 400, why));
    NEED(relay_feed(tight, &g, 400, 7, why));
    CHECK(relay_fingerprint(roomy, 0, 400) == relay_fingerprint(tight, 0, 400));
    relay_close(&roomy);
    relay_close(&tight);
    toy_free(toy);
}

/* One layer, so what a position sees is what its attention sees. Changes one row and tells which scores change. */
static void what_sees_row(uint32_t changed, bool global, uint32_t sees_from, uint32_t sees_to, bool seen[12])
{
    struct model_config c = toy_config();
    c.layers = 1, c.window = 4, c.pattern = global ? 1 : 2;
    struct toy *toy = toy_make(c, (struct toy_types){T_F32, T_F32, T_F32, T_F32}, 4);
    struct relay_plan plan = plain;
    plan.cuts = "1";
    uint64_t hashes[2][12];
    for (int turn = 0; turn < 2; turn++) {
        struct relay *r;
        struct feed f = feed_new(0, 6);
        NEED(relay_open(&r, toy, &plan, why));
        work_clear(r);
        work_add(r, &f, 12, SEG_WANT_LOGITS);
        for (uint32_t i = sees_from; i < sees_to; i++) r->work->rows[i].sees = sees_to - 1;
        if (turn) r->work->rows[changed].id ^= 1;
        NEED(relay_run(r, why));
        memcpy(hashes[turn], r->hashes, sizeof hashes[turn]);
        relay_close(&r);
    }
    for (int i = 0; i < 12; i++) seen[i] = hashes[0][i] != hashes[1][i];
    toy_free(toy);
}

TEST(a_window_counts_the_row_itself)
{
    bool seen[12];
    what_sees_row(2, false, 0, 0, seen);
    for (uint32_t i = 0; i < 12; i++) CHECK(seen[i] == (i >= 2 && i < 6), "position %u, window 4", i);
    what_sees_row(2, true, 0, 0, seen);
    for (uint32_t i = 0; i < 12; i++) CHECK(seen[i] == (i >= 2), "position %u, global", i);
}

TEST(rows_of_a_picture_see_each_other)
{
    bool seen[12];
    what_sees_row(6, true, 3, 8, seen); /* rows 3..7 are a picture */
    for (uint32_t i = 0; i < 12; i++) CHECK(seen[i] == (i >= 3), "position %u", i);
    what_sees_row(6, false, 3, 8, seen);
    for (uint32_t i = 0; i < 12; i++) CHECK(seen[i] == (i >= 3 && i < 10), "position %u, window 4", i);
}

static void refused(struct relay *r, const char *words)
{
    struct err why = {0};
    int code = relay_run(r, &why);
    CHECK(code == E_WIRE && strstr(why.text, words), "%d \"%s\", wanted \"%s\"", code, why.text, words);
}

/* A micro-batch of a good segment of slot 0 and one of slot 1 to be spoiled. */
static struct segment *two_segments(struct relay *r, struct feed zero, struct feed one, uint32_t rows)
{
    work_clear(r);
    work_add(r, &zero, 2, SEG_WANT_LOGITS);
    return work_add(r, &one, rows, SEG_WANT_LOGITS);
}

TEST(what_does_not_continue_a_slot_is_refused_and_changes_nothing)
{
    struct toy *toy = toy_small();
    struct relay *r;
    struct relay_plan plan = plain;
    plan.cuts = "3,7";
    NEED(relay_open(&r, toy, &plan, why));
    struct feed zero = feed_new(0, 9), one = feed_new(1, 5);
    NEED(relay_feed(r, &zero, 30, 30, why));
    NEED(relay_feed(r, &one, 80, 30, why));

    two_segments(r, zero, one, 3)->position = 79, refused(r, "position 79");
    two_segments(r, zero, one, 3)->position = 81, refused(r, "position 81");
    two_segments(r, zero, one, 3)->history ^= 1, refused(r, "other tokens");
    two_segments(r, zero, one, 3)->slot = 4, refused(r, "slot 4");
    two_segments(r, zero, one, 3)->slot = 0, refused(r, "twice");
    two_segments(r, zero, one, 3)->flags |= SEG_START, refused(r, "starts at 0");
    two_segments(r, zero, one, 3)->rows = 4, refused(r, "rows");
    two_segments(r, zero, one, 3)->rows = 0, refused(r, "0 rows");
    two_segments(r, zero, one, 3)->rows = 2, refused(r, "segments have 4");
    two_segments(r, zero, one, 3), r->work->rows[3].sees = 79, refused(r, "wants to see");
    two_segments(r, zero, one, 3), r->work->rows[3].sees = 83, refused(r, "wants to see");
    two_segments(r, zero, one, 3), r->work->cols = 255, refused(r, "255 values");
    two_segments(r, zero, one, 63), refused(r, "65 rows");
    two_segments(r, zero, one, 3), r->work->segments[1].wanted = 1;
    r->work->segments[1].sampling.temperature = NAN;
    struct err e = {0};
    CHECK(stage_run(r->stages[1], r->work, r->x, r->result, relay_take, r, &e) == E_WIRE &&
          strstr(e.text, "temperature"), "%s", e.text);

    NEED(relay_feed(r, &one, LENGTH - 80, 7, why));
    CHECK(relay_fingerprint(r, 1, LENGTH) == fingerprint(toy, &plain, 64));
    NEED(relay_feed(r, &one, 200 - LENGTH, 50, why));
    two_segments(r, zero, one, 1), refused(r, "the context is 200");
    relay_close(&r);
    toy_free(toy);
}

static void answer_something(struct relay *r, uint32_t slot)
{
    struct feed f = feed_new(slot, 5);
    NEED(relay_feed(r, &f, 80, 31, why));
    work_clear(r);
    work_add(r, &f, 1, WANT_TOKEN | SEG_WANT_HASH)->sampling.temperature = 1;
    NEED(relay_run(r, why));
}

TEST(nothing_is_allocated_after_opening)
{
    struct toy *toy = toy_small();
    struct relay *r;
    NEED(relay_open(&r, toy, &plain, why));
    /* OpenMP's own records of a loop, taken and given back by each, leave the heap cut up at first. */
    for (uint32_t slot = 0; slot < 2; slot++) answer_something(r, slot);
    size_t before = mallinfo2().uordblks;
    for (uint32_t slot = 0; slot < 4; slot++) answer_something(r, slot);
    CHECK(mallinfo2().uordblks == before);
    relay_close(&r);
    toy_free(toy);
}

static void plan_refused(const struct stage_plan_in *in, int wanted, const char *words)
{
    struct stage *s;
    struct kernels k;
    struct err e = {0};
    NEED(kernels_named(&k, "ref", why));
    int code = stage_open(&s, in, &k, &e);
    CHECK(code == wanted && strstr(e.text, words), "%d \"%s\", wanted %d \"%s\"", code, e.text, wanted, words);
    CHECK(!s);
    stage_close(&s);
}

TEST(a_plan_that_cannot_be_kept_is_refused)
{
    struct toy *toy = toy_small();
    const struct stage_plan_in good = relay_stage(toy, (struct part){0, 7, 0, HEAD_PARTS, false}, &plain);
    struct stage_plan_in in = good;
    in.capacity.context = 4000000000u, plan_refused(&in, E_MEMORY, "bytes for keys and values");
    in.capacity.context = UINT32_MAX, in.capacity.sequences = UINT32_MAX, plan_refused(&in, E_MEMORY, "bytes for");
    in = good, in.capacity.sequences = 0, plan_refused(&in, E_WIRE, "0 sequences");
    in = good, in.capacity.rows = WIRE_ROWS + 1, plan_refused(&in, E_WIRE, "4097 rows");
    in = good, in.part.end = 8, plan_refused(&in, E_WIRE, "layers 0 to 8");
    in = good, in.part = (struct part){3, 3, 0, 0, false}, plan_refused(&in, E_WIRE, "layers 3 to 3");
    in = good, in.config.kv_heads = 3, plan_refused(&in, E_FILE, "");
    toy_free(toy);
}

TEST(a_share_of_another_shape_is_refused)
{
    struct toy *toy = toy_small();
    struct err why = {0};
    struct relay *r;
    const uint32_t type = toy->tensors[W_Q].type;
    toy->tensors[W_Q].type = 7777;
    CHECK(relay_open(&r, toy, &plain, &why) == E_WIRE && strstr(why.text, "attn_q of layer 0"), "%s", why.text);
    relay_close(&r);
    toy->tensors[W_Q].type = type;
    toy->tensors[W_FFN_NORM].type = T_F16;
    CHECK(relay_open(&r, toy, &plain, &why) == E_WIRE && strstr(why.text, "must be F32"), "%s", why.text);
    relay_close(&r);
    toy->tensors[W_FFN_NORM].type = T_F32;
    toy->tensors[W_DOWN].type = T_Q6_K; /* rows of 288 are not whole blocks of 256 */
    CHECK(relay_open(&r, toy, &plain, &why) == E_WIRE && strstr(why.text, "rows of 288"), "%s", why.text);
    relay_close(&r);
    toy_free(toy);
}

TEST(weights_come_in_order_and_completely)
{
    struct toy *toy = toy_small();
    struct stage_plan_in in = relay_stage(toy, (struct part){2, 4, 0, 0, false}, &plain);
    struct stage *s;
    struct kernels k;
    struct err e = {0};
    NEED(kernels_named(&k, "ref", why));
    NEED(stage_open(&s, &in, &k, why));
    const void *q = in.tensors[W_Q].data;
    CHECK(stage_loaded(s, &e) == E_WIRE && strstr(e.text, "attn_norm of layer 2"), "%s", e.text);
    CHECK(stage_load(s, 26, 0, 1, q, &e) == E_WIRE && strstr(e.text, "tensor 26"), "%s", e.text);
    CHECK(stage_load(s, W_Q, 16, 16, q, &e) == E_WIRE && strstr(e.text, "layer 2: rows from 16"), "%s", e.text);
    CHECK(stage_load(s, W_Q, 0, 17, q, &e) == E_WIRE && strstr(e.text, "piece of 17"), "%s", e.text);
    CHECK(stage_load(s, W_Q, 0, 257, q, &e) == E_WIRE && strstr(e.text, "257 rows"), "%s", e.text);
    CHECK(stage_load(s, W_Q, 0, 0, q, &e) == E_WIRE && strstr(e.text, "0 rows"), "%s", e.text);
    CHECK(stage_load(s, W_Q, 0, 256, q, &e) == 0, "%s", e.text);
    CHECK(stage_load(s, W_Q, 256, 16, q, &e) == E_WIRE, "more than there is");
    CHECK(stage_load(s, W_Q, 0, 16, q, &e) == E_WIRE, "twice");
    stage_close(&s);
    toy_free(toy);
}

TEST(scores_that_are_no_numbers_are_named)
{
    struct toy *toy = toy_small();
    struct relay *r;
    for (uint32_t i = 0; i < 64; i++) memcpy((uint8_t *)toy->tensors[toy->n - 2].data + 4 * i, &(float){FLT_MAX}, 4); /* of the output norm */
    NEED(relay_open(&r, toy, &plain, why));
    struct feed f = feed_new(0, 31);
    struct err e = {0};
    CHECK(relay_feed(r, &f, 5, 5, &e) == E_WORKER && strstr(e.text, "request 31 at position 0"), "%s", e.text);
    relay_close(&r);
    toy_free(toy);
}

TEST(weights_that_are_no_numbers_are_refused_by_tensor_and_row)
{
    struct toy *toy = toy_small();
    struct relay *r = NULL;
    struct err e = {0};
    uint8_t *q = (uint8_t *)toy->tensors[2 * W_LAYER_ROLES + W_Q].data;
    const uint64_t row = block_row_bytes(toy->tensors[2 * W_LAYER_ROLES + W_Q].type, toy->tensors[2 * W_LAYER_ROLES + W_Q].cols);
    q[35 * row] = 0, q[35 * row + 1] = 0x7c; /* the scale of its first block */
    CHECK(relay_open(&r, toy, &plain, &e) == E_FILE && strstr(e.text, "attn_q of layer 2 is damaged: from row 32 on"), "%s", e.text);
    relay_close(&r);
    toy_free(toy);
}

TEST(rows_that_are_no_numbers_are_named_by_the_layer_they_come_from)
{
    for (uint32_t layer = 0; layer < 4; layer++) {
        struct toy *toy = toy_small();
        struct relay *r;
        struct err e = {0};
        char want[64];
        for (uint32_t i = 0; i < 64; i++) /* numbers, but too large to be multiplied */
            memcpy((uint8_t *)toy->tensors[layer * W_LAYER_ROLES + W_FFN_NORM].data + 4 * i, &(float){FLT_MAX}, 4);
        NEED(relay_open(&r, toy, &plain, why));
        struct feed f = feed_new(0, 31);
        snprintf(want, sizeof want, "the rows after layer %u are not finite", layer);
        CHECK(relay_feed(r, &f, 5, 5, &e) == E_WORKER && strstr(e.text, want), "%s", e.text);
        relay_close(&r);
        toy_free(toy);
    }
}

TEST(a_token_comes_with_its_probability_and_hash)
{
    struct toy *toy = toy_small();
    struct relay *r;
    NEED(relay_open(&r, toy, &plain, why));
    struct feed f = feed_new(2, 5), other = feed_new(3, 6);
    work_clear(r);
    work_add(r, &other, 3, 0);
    work_add(r, &f, 10, SEG_WANT_LOGITS | WANT_TOKEN);
    NEED(relay_run(r, why));
    const struct token *t = &r->result->tokens[0];
    double sum = 0;
    uint32_t best = 0;
    for (uint32_t i = 0; i < toy->config.vocab; i++) {
        sum += exp((double)r->scores[i]);
        if (r->scores[i] > r->scores[best]) best = i;
    }
    CHECK(r->result->n_tokens == 1 && r->result->batch == r->work->batch && t->slot == 2 && t->position == 9);
    CHECK(t->id == best, "%u, wanted %u", t->id, best);
    CHECK(fabs((double)t->logprob - ((double)r->scores[best] - log(sum))) < 1e-5, "%g", (double)t->logprob);
    uint64_t folded = 0;
    for (uint32_t i = 0; i < 10; i++) folded = hash_fold(folded, r->hashes[2 * 200 + i]);
    CHECK(t->hash == folded);

    work_clear(r);
    work_add(r, &f, 1, WANT_TOKEN | SEG_WANT_HASH);
    work_add(r, &other, 1, WANT_TOKEN);
    NEED(relay_run(r, why));
    CHECK(r->result->n_tokens == 2 && r->result->tokens[0].slot == 2 && r->result->tokens[1].slot == 3);
    CHECK(r->result->tokens[1].hash == 0, "nobody asked for it");
    uint64_t hash = r->result->tokens[0].hash;
    struct feed g = feed_new(0, 5);
    NEED(relay_feed(r, &g, 11, 11, why));
    CHECK(hash == r->hashes[10], "one row's hash is that of its scores");
    relay_close(&r);
    toy_free(toy);
}

/* Ids sampled from the same feeds, alone and with company, must agree: draws are keyed, not streamed. */
TEST(batch_mates_change_no_sampled_token)
{
    struct toy *toy = toy_small();
    struct relay *r;
    NEED(relay_open(&r, toy, &plain, why));
    uint32_t alone[40];
    for (int turn = 0; turn < 2; turn++) {
        struct feed f = feed_new(turn ? 3 : 0, 5), other = feed_new(1, 6);
        for (uint32_t i = 0; i < 40; i++) {
            work_clear(r);
            if (turn) work_add(r, &other, 2, WANT_TOKEN)->sampling.temperature = 2;
            work_add(r, &f, 1, WANT_TOKEN)->sampling =
                (struct sampling){1, .top_k = 64, .top_p = 0.95f, .repeat_penalty = 1.1f, .repeat_last = 20};
            NEED(relay_run(r, why));
            uint32_t id = r->result->tokens[turn].id;
            if (turn) CHECK(id == alone[i], "position %u", i);
            else alone[i] = id;
        }
    }
    relay_close(&r);
    toy_free(toy);
}
