/* tests/unit/kernels/kernels_test.c — every instruction set this CPU has gives exactly the bits of ref.c, whatever the size.
 *
 * kernels_truth_test.c holds ref.c itself against the truth. Each claim here walks over the sets; the first claim says
 * which there are, so that a log shows what was really compared. */
#include "tests/support/kernels_data.h"

static const char *const names[] = {"avx2", "avxvnni", "avx512", "neon", "neondot", "i8mm"};
#define NAMES (int)(sizeof names / sizeof *names)

static struct kernels ref_kernels(void)
{
    struct kernels k = {0};
    if (kernels_named(&k, "ref", NULL)) abort();
    return k;
}

static bool have(int i, struct kernels *k)
{
    return kernels_named(k, names[i], NULL) == 0;
}

TEST(each_instruction_set_answers_to_its_name)
{
    struct kernels k;
    printf("  compared with ref:");
    for (int i = 0; i < NAMES; i++)
        if (have(i, &k)) {
            printf(" %s", names[i]);
            CHECK(!strcmp(k.isa, names[i]));
        }
    printf("\n");
}

/* ---- matmul ----------------------------------------------------------------------------------------------------- */

static bool is_float_type(uint32_t type)
{
    return type == T_F32 || type == T_F16 || type == T_BF16;
}

/* y [rows, out] with `ldy` between rows and a guard value in between; panels first..first+n-1 only, where they belong. */
static void multiply(const struct kernels *k, float *y, size_t ldy, const struct matrix *m, const float *x,
                     uint32_t rows, uint32_t first, uint32_t n)
{
    struct acts a;
    void *store = memory(act_bytes(rows, m->cols));
    acts_init(&a, store, rows, m->cols);
    acts_shape(&a, rows, m->cols, x, m->cols);
    if (!is_float_type(m->type)) quantize_rows(k, &a);
    for (size_t i = 0; i < rows * ldy; i++) y[i] = 12345;
    k->matmul(y + first * PANEL_ROWS, ldy, &m->panels, &a, first, n);
    free(store);
}

/* All sets against ref, for the row counts listed. A row never depends on its neighbours, so ref runs once. */
static void compare_matmul(uint32_t type, uint32_t out, uint32_t cols, const uint32_t *row_counts, size_t counts,
                           float *x)
{
    struct kernels ref = ref_kernels(), k;
    struct matrix m = matrix_make(type, out, cols, type * 1000 + out + cols);
    uint32_t most = row_counts[counts - 1], panels = (out + 15) / 16;
    size_t ldy = out + 3;
    float *want = memory(most * ldy * 4), *got = memory(most * ldy * 4);
    multiply(&ref, want, ldy, &m, x, most, 0, panels);
    for (int i = 0; i < NAMES; i++)
        for (size_t c = 0; c < counts && have(i, &k); c++) {
            size_t n = row_counts[c] * ldy, at;
            multiply(&k, got, ldy, &m, x, row_counts[c], 0, panels);
            at = floats_differ(got, want, n);
            CHECK(at == n, "%s %s [%u, %u] rows %u: row %zu out %zu is %a, ref %a", k.isa, block_info(type)->name, out,
                  cols, row_counts[c], at / ldy, at % ldy, got[at], want[at]);
        }
    free(want), free(got);
    matrix_free(&m);
}

TEST(matmul_equals_ref_at_every_awkward_size)
{
    static const uint32_t outs[] = {1, 15, 16, 17, 100}, all_cols[] = {32, 64, 96, 256, 320, 1152, 2560};
    uint32_t rows[20];
    for (uint32_t i = 0; i < 20; i++) rows[i] = i + 1;
    float *x = floats_make(20 * 2560, 4, 1);
    for (size_t t = 0; t < ALL_TYPES; t++)
        for (size_t o = 0; o < 5; o++)
            for (size_t c = 0; c < 7; c++)
                if (all_cols[c] % block_info(all_types[t])->elems == 0 && (outs[o] < 100 || all_cols[c] < 1000))
                    compare_matmul(all_types[t], outs[o], all_cols[c], rows, 20, x);
    free(x);
}

TEST(matmul_equals_ref_with_many_rows_and_long_ones)
{
    static const uint32_t rows[] = {1, 7, 31, 64, 257}, some[] = {1, 7, 33};
    float *x = floats_make(257 * 1536, 4, 2);
    for (size_t t = 0; t < ALL_TYPES; t++) {
        compare_matmul(all_types[t], 35, 1536, rows, 5, x);
        compare_matmul(all_types[t], 35, 11008, some, 3, x); /* more columns than a piece of matmul.inc has */
    }
    free(x);
}

TEST(float_matmul_equals_ref_when_columns_are_no_multiple_of_anything)
{
    static const uint32_t rows[] = {1, 2, 3, 5, 9, 20}, cols[] = {1, 5, 31, 33, 72, 513, 1153};
    float *x = floats_make(20 * 1153, 4, 3);
    for (size_t c = 0; c < 7; c++) {
        compare_matmul(T_F32, 33, cols[c], rows, 6, x);
        compare_matmul(T_F16, 33, cols[c], rows, 6, x);
        compare_matmul(T_BF16, 33, cols[c], rows, 6, x);
    }
    free(x);
}

TEST(any_range_of_panels_gives_its_part_and_touches_nothing_else)
{
    struct kernels k;
    uint32_t rows = 11, out = 5 * 16 + 3, cols = 1536;
    float *x = floats_make(rows * cols, 4, 4), *whole = memory(4 * rows * out), *part = memory(4 * rows * out);
    for (int i = -1; i < NAMES; i++)
        for (size_t t = 0; t < ALL_TYPES; t++) {
            if (i < 0) k = ref_kernels();
            else if (!have(i, &k)) continue;
            struct matrix m = matrix_make(all_types[t], out, cols, 9 + t);
            multiply(&k, whole, out, &m, x, rows, 0, 6);
            for (uint32_t first = 0; first < 6; first += 2)
                for (uint32_t n = 1; first + n <= 6; n += 2) {
                    multiply(&k, part, out, &m, x, rows, first, n);
                    for (uint32_t r = 0; r < rows; r++)
                        for (uint32_t o = 0; o < out; o++) {
                            bool inside = o >= first * 16 && o < (first + n) * 16;
                            CHECK(f32_bits(part[r * out + o]) == f32_bits(inside ? whole[r * out + o] : 12345),
                                  "%s %s panels %u+%u", k.isa, block_info(all_types[t])->name, first, n);
                        }
                }
            matrix_free(&m);
        }
    free(x), free(whole), free(part);
}

/* Zeros, minus zeros, denormals, huge values, infinities and NaN, each in a row of its own among ordinary ones. */
TEST(a_row_of_strange_values_disturbs_no_other_row)
{
    static const float strange[] = {0, -0.0f, 1e-42f, -1e-38f, 1e30f, 3.4e38f, INFINITY, -INFINITY, NAN};
    uint32_t cols = 512, out = 35, rows = 19;
    float *plain = floats_make(rows * cols, 4, 6), *x = memory(4 * rows * cols);
    memcpy(x, plain, 4 * rows * cols);
    for (uint32_t s = 0; s < 9; s++)
        for (uint32_t c = 0; c < cols; c++)
            if (s < 6 || c % 37 == 5) x[(2 * s + 1) * cols + c] = c % 3 ? strange[s] : -strange[s];
    struct kernels ref = ref_kernels(), k;
    float *calm = memory(4 * rows * out), *want = memory(4 * rows * out), *got = memory(4 * rows * out);
    for (size_t t = 0; t < ALL_TYPES; t++) {
        struct matrix m = matrix_make(all_types[t], out, cols, 70 + t);
        multiply(&ref, calm, out, &m, plain, rows, 0, 3);
        multiply(&ref, want, out, &m, x, rows, 0, 3);
        for (uint32_t r = 0; r < rows; r += 2) CHECK(!memcmp(want + r * out, calm + r * out, 4 * out), "row %u", r);
        for (int i = 0; i < NAMES; i++) {
            if (!have(i, &k)) continue;
            multiply(&k, got, out, &m, x, rows, 0, 3);
            size_t at = floats_differ(got, want, rows * out);
            CHECK(at == rows * out, "%s %s row %zu: %a, ref %a", k.isa, block_info(all_types[t])->name, at / out,
                  got[at], want[at]);
        }
        matrix_free(&m);
    }
    free(plain), free(x), free(calm), free(want), free(got);
}

/* Weights and activations as large as they come: nothing may saturate on the way. */
TEST(the_largest_products_do_not_saturate)
{
    uint32_t cols = 512, rows = 5, out = 16;
    struct kernels ref = ref_kernels(), k;
    float *x = memory(4 * rows * cols), *want = memory(4 * rows * out), *got = memory(4 * rows * out);
    for (uint32_t i = 0; i < rows * cols; i++) x[i] = i / cols == 0 ? 1 : i / cols == 1 ? -1 : i % (i / cols) ? 1 : -1;
    for (size_t t = 0; t < 8; t++)
        for (int fill = 0; fill < 4; fill++) {
            static const uint8_t bytes[] = {0x00, 0xff, 0x80, 0x7f};
            struct matrix m = matrix_make(all_types[t], out, cols, 80 + t);
            const struct block_info *info = block_info(all_types[t]);
            uint32_t head = all_types[t] == T_Q6_K ? 0 : 4, tail = all_types[t] == T_Q6_K ? 2 : 0;
            for (size_t b = 0; b < out * block_row_bytes(all_types[t], cols); b += info->bytes)
                memset(m.file + b + head, bytes[fill], info->bytes - head - tail);
            panels_pack(&m.panels, all_types[t], 0, out, m.file);
            multiply(&ref, want, out, &m, x, rows, 0, 1);
            for (int i = 0; i < NAMES; i++) {
                if (!have(i, &k)) continue;
                multiply(&k, got, out, &m, x, rows, 0, 1);
                CHECK(floats_differ(got, want, rows * out) == rows * out, "%s %s byte %02x", k.isa, info->name,
                      bytes[fill]);
            }
            matrix_free(&m);
        }
    free(x), free(want), free(got);
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

/* Ordinary values with a strange one now and then. */
static float *strange_floats(size_t n, float size, uint64_t seed)
{
    static const float strange[] = {0, -0.0f, 1e-42f, -1e-30f, 1e30f, -1e20f, 88.8f, -104, -90};
    float *x = floats_make(n, size, seed);
    for (size_t i = 0; i < n; i++)
        if (dice_throw(&seed) % 20 == 0) x[i] = strange[dice_throw(&seed) % 9];
    return x;
}

/* The four sums behind -32, as ref has them: avx2 keeps each as two shorts. */
static bool same_minus32(const struct kernels *k, const int32_t *got, const int32_t *want)
{
    int32_t whole[2];
    for (int half = 0; half < 2; half++)
        whole[half] = strcmp(k->isa, "avx2") ? got[half] : (int16_t)got[half] + (int16_t)((uint32_t)got[half] >> 16);
    return !memcmp(whole, want, sizeof whole);
}

TEST(quantize_equals_ref_byte_for_byte)
{
    struct kernels ref = ref_kernels(), k;
    for (uint32_t cols = 1; cols < 400; cols += cols < 70 ? 1 : 41) {
        uint32_t rows = 1 + cols % 19, ldx = cols + 5, blocks = (cols + 31) / 32;
        float *x = strange_floats(rows * ldx, 10, cols);
        x[cols / 2] = cols % 3 ? 1 : cols % 2 ? INFINITY : NAN;
        size_t bytes = act_bytes(rows, cols);
        void *want_at = memory(bytes), *got_at = memory(bytes);
        struct acts want, got;
        acts_init(&want, want_at, rows, cols), acts_init(&got, got_at, rows, cols);
        acts_shape(&want, rows, cols, x, ldx), acts_shape(&got, rows, cols, x, ldx);
        quantize_rows(&ref, &want);
        for (int i = 0; i < NAMES; i++) {
            if (!have(i, &k)) continue;
            for (uint32_t r = 0; r < rows; r++)
                for (uint32_t from = 0, n; from < cols; from += n) { /* in pieces of one to five blocks */
                    n = 32 * (1 + (r + from) % 5);
                    if (n > cols - from) n = cols - from;
                    k.quantize(&got, r, x + r * ldx + from, from, n);
                }
            for (uint32_t r = 0; r < rows; r++)
                for (uint32_t b = 0; b < blocks; b++) {
                    size_t at = ((size_t)(r / got.tile) * blocks + b) * got.tile + r % got.tile;
                    CHECK(!memcmp(got.q + at * 32, want.q + at * 32, 32) &&
                              got.minus8[at] == want.minus8[at] && same_minus32(&k, got.minus32 + 2 * at, want.minus32 + 2 * at),
                          "%s cols %u row %u block %u", k.isa, cols, r, b);
                    CHECK(floats_differ(got.scale + at, want.scale + at, 1) &&
                          floats_differ(got.sums + at, want.sums + at, 1));
                }
        }
        free(x), free(want_at), free(got_at);
    }
}

TEST(norms_equal_ref)
{
    struct kernels ref = ref_kernels(), k;
    for (uint32_t n = 1; n < 1300; n += n < 66 ? 1 : 97) {
        float *x = floats_make(n, 50, n), *g = floats_make(n, 3, n + 1), *stream = floats_make(n, 500, n + 2);
        float *want = memory(4 * n), *got = memory(4 * n), *want_sum = memory(4 * n), *got_sum = memory(4 * n);
        ref.norm(want, x, g, n, 1e-6f);
        memcpy(want_sum, stream, 4 * n);
        ref.norm_add(want_sum, x, g, n, 1e-6f);
        for (int i = 0; i < NAMES; i++) {
            if (!have(i, &k)) continue;
            k.norm(got, x, g, n, 1e-6f);
            memcpy(got_sum, stream, 4 * n);
            k.norm_add(got_sum, x, g, n, 1e-6f);
            CHECK(floats_differ(got, want, n) == n && floats_differ(got_sum, want_sum, n) == n, "%s n %u", k.isa, n);
            memcpy(got, x, 4 * n);
            k.norm(got, got, g, n, 1e-6f);
            CHECK(floats_differ(got, want, n) == n, "%s n %u in place", k.isa, n);
        }
        free(x), free(g), free(stream), free(want), free(got), free(want_sum), free(got_sum);
    }
}

TEST(rope_equals_ref)
{
    struct kernels ref = ref_kernels(), k;
    float c[256], s[256], want[512], got[512];
    for (uint32_t dim = 2; dim <= 512; dim += dim < 80 ? 2 : 54) {
        rope_table(c, s, dim, 1e4, 1, 77 * dim);
        float *x = floats_make(dim, 9, dim);
        memcpy(want, x, 4 * dim);
        ref.rope(want, c, s, dim);
        for (int i = 0; i < NAMES; i++) {
            if (!have(i, &k)) continue;
            memcpy(got, x, 4 * dim);
            k.rope(got, c, s, dim);
            CHECK(floats_differ(got, want, dim) == dim, "%s head_dim %u", k.isa, dim);
        }
        free(x);
    }
}

/* Every 997th float there is, so exp is walked through all its range and past both ends. */
TEST(gelu_and_f16_equal_ref_over_all_floats)
{
    enum { N = 997 };
    struct kernels ref = ref_kernels(), k;
    float x[N], u[N], want[N], got[N];
    uint16_t want16[N], got16[N];
    uint64_t bits = 0;
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < N; i++, bits += 4327) x[i] = f32_from_bits((uint32_t)bits), u[i] = (float)(i - 400) / 64;
        uint32_t n = N - round % 40;
        memcpy(want, x, sizeof x);
        ref.gelu_mul(want, u, n);
        ref.to_f16(want16, x, n);
        for (int i = 0; i < NAMES; i++) {
            if (!have(i, &k)) continue;
            memcpy(got, x, sizeof x);
            k.gelu_mul(got, u, n);
            k.to_f16(got16, x, n);
            size_t at = floats_differ(got, want, N);
            CHECK(at == N, "%s gelu(%a) = %a, ref %a", k.isa, x[at], got[at], want[at]);
            CHECK(!memcmp(got16, want16, 2 * n), "%s to_f16", k.isa);
        }
    }
}

TEST(exp_sum_equals_ref_at_every_length_and_finds_what_is_not_finite)
{
    enum { N = 300 };
    struct kernels ref = ref_kernels(), k;
    float *x = floats_make(N, 40, 21), best[2];
    for (uint32_t n = 1; n <= N; n++) {
        float want = ref.exp_sum(x, n, &best[0]);
        for (int i = 0; i < NAMES; i++) {
            if (!have(i, &k)) continue;
            float got = k.exp_sum(x, n, &best[1]);
            CHECK(got == want && best[1] == best[0], "%s, %u scores: %a and %a, ref %a and %a", k.isa, n, got, best[1],
                  want, best[0]);
            float was = x[n / 2];
            const float odd[] = {NAN, -NAN, INFINITY, -INFINITY};
            for (int j = 0; j < 4; j++) {
                x[n / 2] = odd[j];
                CHECK(isnan(k.exp_sum(x, n, &best[1])), "%s, %u scores, one is %f", k.isa, n, (double)odd[j]);
            }
            x[n / 2] = was;
        }
    }
    free(x);
}

/* ---- attention -------------------------------------------------------------------------------------------------- */

struct ring {
    uint8_t *pages[200];
    uint32_t n_pages;
    enum kv_type type;
    size_t half;
};

/* Random numbers of the keys, or the values, of a page. */
static void half_fill(uint8_t *half, enum kv_type type, uint32_t head_dim, uint64_t *seed)
{
    const size_t n = (size_t)KV_PAGE * head_dim, blocks = (size_t)KV_PAGE * ((head_dim + KV_BLOCK - 1) / KV_BLOCK);
    uint16_t *shorts = (void *)half;
    for (size_t i = 0; i < n; i++) {
        const float f = random_float(seed) * 2;
        if (type == KV_F16) shorts[i] = f32_to_f16(f);
        else if (type == KV_F32) memcpy(half + 4 * i, &f, 4);
        else half[i] = (uint8_t)(int8_t)(f * 63);
    }
    for (size_t i = 0; type == KV_Q8_0 && i < blocks; i++) shorts[n / 2 + i] = f32_to_f16(random_float(seed) / 50);
}

/* Number `at` of a half becomes odd; of Q8_0 the factor of the block that holds it. */
static void half_spoil(uint8_t *half, enum kv_type type, uint32_t head_dim, size_t at, size_t factor, uint16_t odd)
{
    const float f = f16_to_f32(odd);
    if (type == KV_F32) memcpy(half + 4 * at, &f, 4);
    else memcpy(half + (type == KV_F16 ? 2 * at : (size_t)KV_PAGE * head_dim + 2 * factor), &odd, 2);
}

/* `odd` goes to key and value 67 only, wherever the layout has it. */
static struct ring ring_make(enum kv_type type, uint32_t n_pages, uint32_t head_dim, uint64_t seed, uint16_t odd)
{
    struct ring r = {.n_pages = n_pages, .type = type, .half = kv_half_bytes(head_dim, type)};
    for (uint32_t p = 0; p < n_pages; p++) {
        r.pages[p] = memory(2 * r.half);
        for (int half = 0; half < 2; half++) half_fill(r.pages[p] + (size_t)half * r.half, type, head_dim, &seed);
        if (!odd || p != 1) continue;
        half_spoil(r.pages[p], type, head_dim, 3 * head_dim, 3, odd);
        half_spoil(r.pages[p] + r.half, type, head_dim, 3, 3, odd);
    }
    return r;
}

static void ring_free(struct ring *r)
{
    for (uint32_t p = 0; p < r->n_pages; p++) free(r->pages[p]);
}

/* Row by row and whole, span by span, and with the others: all must be what ref says of each row alone. */
static void compare_attend_rows(uint32_t rows, const struct attend_row *sees, uint32_t heads, uint32_t head_dim,
                                struct ring *ring)
{
    struct kernels ref = ref_kernels(), k;
    const size_t n = (size_t)heads * head_dim, ldq = n + 5, ldo = n + 1;
    float *q = floats_make(rows * ldq, 3, heads), *want = memory(4 * rows * ldo), *got = memory(4 * rows * ldo);
    float *parts = memory(4ul * heads * ATTEND_SPANS * attend_part(head_dim));
    struct attend t = {.q = q,
                       .ldq = ldq,
                       .ldo = ldo,
                       .heads = heads,
                       .head_dim = head_dim,
                       .scale = 0.0771516750f,
                       .n_pages = ring->n_pages,
                       .pages = (const uint8_t *const *)ring->pages,
                       .type = ring->type,
                       .keys_at = ring->half,
                       .values_at = 0,
                       .scratch = memory(attend_bytes(head_dim))};
    for (size_t i = 0; i < rows * ldo; i++) want[i] = 4711;
    for (uint32_t r = 0; r < rows; r++) {
        t.rows = 1, t.sees = sees + r, t.q = q + r * ldq, t.out = want + r * ldo;
        ref.attend(&t);
    }
    for (int i = -1; i < NAMES; i++) {
        if (i < 0) k = ref;
        else if (!have(i, &k)) continue;
        for (int way = 0; way < 2; way++) { /* together; span by span, the last one first */
            for (size_t j = 0; j < rows * ldo; j++) got[j] = 4711;
            t.rows = rows, t.sees = sees, t.q = q, t.out = got;
            if (way == 0) k.attend(&t);
            else t.rows = 1;
            for (uint32_t r = 0; r < rows && way == 1; r++) {
                t.sees = sees + r, t.q = q + r * ldq, t.out = got + r * ldo;
                for (uint32_t s = attend_spans(sees[r].from, sees[r].to); s--;) k.attend_one_span(&t, s, parts);
                k.attend_join(&t, parts);
            }
            size_t at = floats_differ(got, want, rows * ldo), r = at / ldo;
            CHECK(at == rows * ldo, "%s type %d rows %u heads %u dim %u%s: row %zu (keys %u..%u) at %zu is %a, ref %a", k.isa, (int)ring->type, rows,
                  heads, head_dim, way ? " by spans" : "", r, sees[r].from, sees[r].to, at % ldo, got[at], want[at]);
        }
    }
    free(q), free(want), free(got), free(parts), free(t.scratch);
}

static void compare_attend(uint32_t heads, uint32_t head_dim, uint32_t n_pages, uint32_t from, uint32_t to,
                           uint16_t odd)
{
    for (int type = 0; type < KV_TYPES; type++) {
        struct ring ring = ring_make((enum kv_type)type, n_pages, head_dim, from * 7 + to, odd);
        compare_attend_rows(1, &(struct attend_row){from, to}, heads, head_dim, &ring);
        ring_free(&ring);
    }
}

/* `rows` rows from `position` on, as a window shows them; the last `picture` of them see each other. */
static void compare_prompt(uint32_t rows, uint32_t position, uint32_t window, uint32_t picture, uint32_t heads,
                           uint32_t head_dim, uint32_t n_pages, uint16_t odd)
{
    struct attend_row *sees = memory(rows * sizeof *sees);
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t p = position + r;
        sees[r] = (struct attend_row){p >= window ? p - window + 1 : 0, r + picture >= rows ? position + rows - 1 : p};
    }
    for (int type = 0; type < KV_TYPES; type++) {
        struct ring ring = ring_make((enum kv_type)type, n_pages, head_dim, rows + position, odd);
        compare_attend_rows(rows, sees, heads, head_dim, &ring);
        ring_free(&ring);
    }
    free(sees);
}

TEST(attention_equals_ref_for_every_number_of_heads_and_width)
{
    static const uint32_t dims[] = {2, 6, 16, 18, 64, 72, 128, 130, 256, 512};
    for (size_t d = 0; d < 10; d++)
        for (uint32_t heads = 1; heads <= 32; heads += heads < 9 ? 1 : 23) compare_attend(heads, dims[d], 2, 3, 83, 0);
}

TEST(attention_equals_ref_for_every_span_of_keys)
{
    for (uint32_t from = 0; from < 70; from += 1 + from % 5)
        for (uint32_t to = from; to < from + 150; to += 1 + to % 13) compare_attend(2, 64, 4, from, to, 0);
    compare_attend(4, 256, 6, 1000, 1383, 0); /* a ring filled to the last place */
    compare_attend(2, 128, 3, 131000, 131071, 0);
    compare_attend(1, 16, 6, 4294967000u, 4294967294u, 0); /* and the last position there can be */
}

TEST(attention_equals_ref_however_many_rows_go_together)
{
    for (uint32_t rows = 2; rows < 40; rows += 1 + rows % 7) {
        compare_prompt(rows, 50, 1000, 0, 2, 64, 2, 0);
        compare_prompt(rows, 100 + rows, 30, 0, 1, 32, 4, 0);
    }
    compare_prompt(50, 4095 - 20, 10000, 0, 3, 16, 65, 0); /* spans grow longer on the way; more lines than go together */
    compare_prompt(70, 200, 60, 40, 2, 18, 6, 0);          /* a picture behind text */
    compare_prompt(9, 300, 20, 9, 4, 64, 6, 0);
}

TEST(attention_joins_many_spans_as_ref_does)
{
    compare_attend(2, 32, 65, 0, 4095, 0);
    compare_attend(2, 32, 65, 100, 4150, 0);
    compare_attend(1, 16, 200, 3, 12345, 0);
    CHECK(attend_span(0, 4095) == 256 && attend_spans(0, 4095) == 16);
    CHECK(attend_span(1, 4096) == 256 && attend_spans(1, 4096) == 17);
    CHECK(attend_span(0, 4096) == 512 && attend_spans(0, 4096) == 9);
    for (uint32_t to = 0; to < 140000; to += 77) CHECK(attend_spans(to / 3, to) <= ATTEND_SPANS, "to %u", to);
    CHECK(attend_spans(0, UINT32_MAX) == 16 && attend_spans(7, 7) == 1);
}

/* Key and value 67 are no number or too large. Who does not see them must not notice. */
TEST(attention_with_infinite_or_nan_keys_equals_ref)
{
    static const uint16_t odd[] = {0x7c00, 0xfc00, 0x7e00};
    for (size_t i = 0; i < 3; i++) {
        compare_attend(3, 64, 3, 0, 150, odd[i]);
        compare_attend(3, 64, 3, 70, 150, odd[i]); /* not in sight */
        compare_prompt(30, 50, 40, 0, 2, 64, 3, odd[i]);
        compare_prompt(30, 80, 20, 5, 2, 64, 3, odd[i]);
        compare_prompt(33, 95, 40, 0, 1, 64, 3, odd[i]);
    }
}
