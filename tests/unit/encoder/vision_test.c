/* tests/unit/encoder/vision_test.c — a picture's rows have the same bits however the encoder is cut, on any number of threads and
 * any instruction set; and what does not fit is refused. */
#include "tests/support/kernels_data.h"
#include "worker/encoder/vision.h"

/* 81 patches in 9 tokens, heads of 20: nothing comes out even. */
static const struct vision_config odd = {.image = 18, .patch = 2, .layers = 4, .width = 60, .ffn = 100, .heads = 3,
                                         .pool = 3, .hidden = 36, .norm_epsilon = 1e-6f, .mean = {0.5f, 0.5f, 0.5f},
                                         .deviation = {0.5f, 0.5f, 0.5f}};
/* 324 patches: more keys than are taken at a time; blocks of 32. */
static const struct vision_config even = {.image = 36, .patch = 2, .layers = 2, .width = 64, .ffn = 96, .heads = 2,
                                          .pool = 2, .hidden = 64, .norm_epsilon = 1e-6f, .mean = {0.5f, 0.5f, 0.5f},
                                          .deviation = {0.5f, 0.5f, 0.5f}};

struct toy {
    struct vision_config config;
    struct tensor *tensors; /* of the whole encoder */
    size_t n;
    float *pixels;
};

static bool is_layer_matrix(const struct tensor *t)
{
    return t->role < V_LAYER_ROLES && !vision_role_is_vector(t->role);
}

static struct toy toy_make(struct vision_config c, uint32_t type, uint64_t seed)
{
    const struct part all = {0, c.layers, 0, 1, true};
    struct toy t = {.config = c, .n = part_count(CHAIN_VISION, all)};
    t.tensors = calloc(t.n, sizeof *t.tensors);
    vision_part_shape(&c, all, t.tensors);
    for (size_t i = 0; i < t.n; i++) {
        struct tensor *w = &t.tensors[i];
        if (is_layer_matrix(w) || (w->role == V_PROJECTION && block_row_bytes(type, w->cols))) w->type = type;
        const struct block_info *info = block_info(w->type);
        size_t bytes = w->rows * block_row_bytes(w->type, w->cols);
        uint8_t *data = memory(bytes);
        for (size_t at = 0; at < bytes; at += info->bytes) random_block(w->type, data + at, &seed);
        w->data = data;
    }
    t.pixels = floats_make((size_t)vision_patches(&c) * vision_pixels(&c), 1, seed);
    return t;
}

static void toy_free(struct toy *t)
{
    for (size_t i = 0; i < t->n; i++) free((void *)t->tensors[i].data);
    free(t->tensors);
    free(t->pixels);
}

static const struct tensor *tensors_of(const struct toy *t, struct part s)
{
    return t->tensors + (s.front ? 0 : V_POST - V_PATCH + s.first * V_LAYER_ROLES);
}

static int load_all(struct vision_stage *s, const struct tensor *t, size_t n, uint32_t step, struct err *why)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t r = 0; r < t[i].rows; r += step)
            TRY(vision_stage_load(s, i, r, t[i].rows - r < step ? t[i].rows - r : step,
                                  t[i].data + r * block_row_bytes(t[i].type, t[i].cols), why));
    return vision_stage_loaded(s, why);
}

static struct vision_plan_in plan_of(const struct toy *t, struct part s, enum vision_type type, int threads)
{
    return (struct vision_plan_in){t->config, s, tensors_of(t, s), type, threads, NULL};
}

/* One stage on rows in place. */
static int through(const struct toy *t, struct part s, enum vision_type type, int threads, const char *isa,
                   float *rows, struct err *why)
{
    struct vision_plan_in in = plan_of(t, s, type, threads);
    struct vision_stage *stage;
    struct kernels k;
    TRY(kernels_named(&k, isa, why));
    TRY(vision_stage_open(&stage, &in, &k, why));
    int code = load_all(stage, in.tensors, part_count(CHAIN_VISION, s), threads > 1 ? 16 : 48, why);
    if (!code) code = vision_stage_run(stage, rows, rows, why);
    vision_stage_close(&stage);
    return code;
}

/* The whole encoder cut after the layers of `cuts`; the rows are the caller's. */
static float *encode(const struct toy *t, const char *cuts, enum vision_type type, int threads, const char *isa)
{
    const struct vision_config *c = &t->config;
    size_t n = (size_t)vision_patches(c) * vision_pixels(c), m = (size_t)vision_patches(c) * c->width;
    size_t out = (size_t)vision_tokens(c) * c->hidden;
    float *rows = memory((n > m ? n : m) * sizeof *rows + out * sizeof *rows);
    struct part s = {0};
    struct err why = {0};
    memcpy(rows, t->pixels, n * sizeof *rows);
    do {
        s.first = s.end;
        s.end = *cuts ? (uint32_t)(*cuts++ - '0') : c->layers;
        s.front = s.first == 0, s.back_end = s.end == c->layers;
        if (through(t, s, type, threads, isa, rows, &why)) check_failed(__FILE__, __LINE__, "a stage", " %s", why.text);
    } while (s.end < c->layers && !why.code);
    return rows;
}

static void same_rows(const struct toy *t, const float *wanted, float *rows, const char *what, int threads)
{
    const size_t n = (size_t)vision_tokens(&t->config) * t->config.hidden, at = floats_differ(wanted, rows, n);
    CHECK(at == n, "%s, %d threads: value %zu is %.9g, wanted %.9g", what, threads, at, (double)rows[at], (double)wanted[at]);
    free(rows);
}

TEST(cuts_and_threads_change_nothing)
{
    const char *cuts[] = {"", "2", "13", "123"};
    for (int type = VISION_AS_FILE; type <= VISION_Q8_0; type++) {
        struct toy t = toy_make(odd, T_F16, 1);
        float *whole = encode(&t, "", (enum vision_type)type, 1, NULL);
        for (size_t i = 0; i < 4; i++)
            for (int threads = 1; threads <= 3; threads++)
                same_rows(&t, whole, encode(&t, cuts[i], (enum vision_type)type, threads, NULL), cuts[i], threads);
        free(whole);
        toy_free(&t);
    }
}

TEST(every_instruction_set_gives_the_same_picture)
{
    static const uint32_t types[] = {T_F16, T_BF16, T_F32, T_Q8_0, T_Q4_0, T_F16};
    const char *isas[] = {"avx2", "avxvnni", "avx512", "neon", "neondot", "i8mm"};
    struct kernels k;
    int tried = 0;
    for (size_t i = 0; i < 6; i++) {
        struct toy t = toy_make(even, types[i], 7 + i);
        enum vision_type as = i == 5 ? VISION_Q8_0 : VISION_AS_FILE;
        float *ref = encode(&t, "", as, 1, "ref");
        for (size_t j = 0; j < sizeof isas / sizeof *isas; j++) {
            if (kernels_named(&k, isas[j], NULL)) continue;
            same_rows(&t, ref, encode(&t, "", as, 2, isas[j]), isas[j], 2);
            tried++;
        }
        free(ref);
        toy_free(&t);
    }
    if (!tried) test_skip("this CPU has only the plain kernels");
}

TEST(a_picture_leaves_nothing_behind)
{
    struct toy t = toy_make(odd, T_F16, 3);
    struct vision_plan_in in = plan_of(&t, (struct part){0, 4, 0, 1, true}, VISION_AS_FILE, 2);
    struct vision_stage *s;
    struct kernels k;
    const size_t n = (size_t)vision_tokens(&odd) * odd.hidden;
    float *first = memory(n * 4), *again = memory(n * 4), *other = floats_make(vision_floats_in(&odd, in.part), 3, 9);
    NEED(kernels_named(&k, NULL, why));
    NEED(vision_stage_open(&s, &in, &k, why));
    NEED(load_all(s, in.tensors, t.n, 64, why));
    NEED(vision_stage_run(s, t.pixels, first, why));
    NEED(vision_stage_run(s, other, again, why));
    CHECK(floats_differ(first, again, n) < n, "two pictures, the same rows");
    NEED(vision_stage_run(s, t.pixels, again, why));
    CHECK(floats_differ(first, again, n) == n, "the same picture, other rows");
    vision_stage_close(&s);
    free(first), free(again), free(other);
    toy_free(&t);
}

TEST(memory_is_what_was_planned)
{
    struct toy t = toy_make(odd, T_F16, 1);
    const struct part parts[] = {{0, 4, 0, 1, true}, {0, 2, 0, 0, true}, {2, 3, 0, 0, false}, {3, 4, 0, 1, false}};
    struct kernels k;
    NEED(kernels_named(&k, NULL, why));
    for (int type = VISION_AS_FILE; type <= VISION_Q8_0; type++)
        for (size_t i = 0; i < 4; i++) {
            struct vision_plan_in in = plan_of(&t, parts[i], (enum vision_type)type, 2);
            struct part_bytes plan = vision_part_bytes(&odd, in.part, in.tensors, in.type, 3, 2), took;
            struct vision_stage *s;
            NEED(vision_stage_open(&s, &in, &k, why));
            took = vision_stage_memory(s);
            CHECK(took.weights == plan.weights && took.scratch == plan.scratch, "part %zu: %llu and %llu, planned %llu and %llu", i,
                  (unsigned long long)took.weights, (unsigned long long)took.scratch, (unsigned long long)plan.weights,
                  (unsigned long long)plan.scratch);
            CHECK(plan.total == plan.weights + plan.scratch + plan.frames && plan.frames >= 5 * 4 * vision_floats_out(&odd, in.part));
            vision_stage_close(&s);
        }
    toy_free(&t);
}

static void refused(int code, int wanted, const struct err *why, const char *word)
{
    CHECK(code == wanted && strstr(why->text, word), "wanted \"%s\", got %d: %s", word, code, why->text);
}

TEST(wrong_pieces_are_refused)
{
    struct toy t = toy_make(odd, T_F16, 1);
    struct vision_plan_in in = plan_of(&t, (struct part){1, 2, 0, 0, false}, VISION_AS_FILE, 1);
    struct vision_stage *s;
    struct kernels k;
    struct err no = {0};
    const void *data = in.tensors[V_Q].data;
    NEED(kernels_named(&k, NULL, why));
    NEED(vision_stage_open(&s, &in, &k, why));
    refused(vision_stage_load(s, V_LAYER_ROLES, 0, 1, data, &no), E_WIRE, &no, "the part has 16 tensors");
    refused(vision_stage_load(s, V_Q, 16, 16, data, &no), E_WIRE, &no, "row 0 is next");
    refused(vision_stage_load(s, V_Q, 0, 61, data, &no), E_WIRE, &no, "1 to 60 are missing");
    refused(vision_stage_load(s, V_Q, 0, 17, data, &no), E_WIRE, &no, "multiples of 16");
    refused(vision_stage_loaded(s, &no), E_WIRE, &no, "ln1.weight of vision layer 1 is not complete");
    vision_stage_close(&s);
    toy_free(&t);
}

static void stage_refused(struct vision_plan_in in, int wanted, const char *word)
{
    struct vision_stage *s;
    struct kernels k;
    struct err no = {0};
    NEED(kernels_named(&k, NULL, why));
    int code = vision_stage_open(&s, &in, &k, &no);
    refused(code, wanted, &no, word);
    vision_stage_close(&s);
}

TEST(impossible_stages_are_refused)
{
    struct toy t = toy_make(odd, T_F16, 1);
    const struct vision_plan_in good = plan_of(&t, (struct part){0, 4, 0, 1, true}, VISION_AS_FILE, 1);
    struct vision_plan_in in = good;
    in.part.end = 5;
    stage_refused(in, E_WIRE, "cannot be");
    in = good, in.part.first = 1;
    stage_refused(in, E_WIRE, "cannot be");
    in = good, in.threads = 0;
    stage_refused(in, E_USAGE, "threads");
    in = good, in.config.heads = 7;
    stage_refused(in, E_FILE, "whole heads");
    in = good, in.config.pool = 4;
    stage_refused(in, E_FILE, "cannot be pooled");
    struct tensor was = t.tensors[3 + V_UP];
    t.tensors[3 + V_UP].rows--;
    stage_refused(good, E_WIRE, "should be ffn_up.weight of layer 0");
    t.tensors[3 + V_UP] = was;
    t.tensors[3 + V_UP].type = T_Q8_0; /* rows of 60 */
    stage_refused(good, E_WIRE, "cannot have number format 8");
    t.tensors[3 + V_UP] = was;
    t.tensors[3 + V_LN1].type = T_F16;
    stage_refused(good, E_WIRE, "ln1.weight of vision layer 0 cannot have");
    toy_free(&t);
}

TEST(rows_that_are_not_finite_are_refused)
{
    struct toy t = toy_make(odd, T_F16, 1);
    struct err why = {0};
    float *rows = floats_make(vision_floats_in(&odd, (struct part){1, 2, 0, 0, false}), 1, 1);
    rows[1000] = NAN;
    refused(through(&t, (struct part){1, 2, 0, 0, false}, VISION_AS_FILE, 2, NULL, rows, &why), E_WORKER, &why,
            "not finite");
    free(rows);
    toy_free(&t);
}

TEST(a_stop_is_heeded_between_layers)
{
    struct toy t = toy_make(odd, T_F16, 1);
    struct vision_plan_in in = plan_of(&t, (struct part){0, 4, 0, 1, true}, VISION_AS_FILE, 2);
    struct vision_stage *s;
    struct kernels k;
    struct err no = {0};
    atomic_bool stop = true;
    float *out = memory(vision_floats_out(&odd, in.part) * 4);
    NEED(kernels_named(&k, NULL, why));
    NEED(vision_stage_open(&s, &in, &k, why));
    NEED(load_all(s, in.tensors, t.n, 64, why));
    vision_stage_heed(s, &stop);
    refused(vision_stage_run(s, t.pixels, out, &no), E_INTERRUPTED, &no, "stopped");
    vision_stage_close(&s);
    free(out);
    toy_free(&t);
}
