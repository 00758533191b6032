/* tests/unit/kernels/vision_kernels_test.c — what only the picture encoder computes: right, and the same on every instruction set. */
#include "tests/support/kernels_data.h"

/* Queries, keys and values as floats, and what the kernels `k` round them to. */
struct looker {
    struct vision_attend t;
    float *q, *keys, *values; /* rows of head_dim */
    void *pieces[7];
};

static struct looker looker_make(const struct kernels *k, uint32_t dim, uint32_t n, uint32_t rows)
{
    const size_t even = round_up(dim, 2), lines = round_up(n, SHORT_LINE), pieces = (n + SHORT_KEYS - 1) / SHORT_KEYS;
    struct looker l = {.q = floats_make((size_t)rows * dim, 3, dim), .keys = floats_make((size_t)n * dim, 3, n),
                       .values = floats_make((size_t)n * dim, 1, rows)};
    int16_t *q = memory(rows * (even + 3) * 2), *keys = memory(lines * even * 2), *values = memory((n + 1) * dim * 2), *key = memory(even * 2);
    float *q_scale = memory(rows * 2 * 4), *key_scale = memory(lines * 4), *value_scale = memory(pieces * dim * 4);
    for (uint32_t r = 0; r < rows; r++) {
        q[r * (even + 3) + even - 1] = 0;
        q_scale[2 * r] = 0.3f * k->short_row(q + r * (even + 3), l.q + (size_t)r * dim, dim);
    }
    memset(keys, 0, lines * even * 2);
    memset(key_scale, 0, lines * 4);
    for (uint32_t r = 0; r < n; r++) {
        key[even - 1] = 0;
        key_scale[r] = k->short_row(key, l.keys + (size_t)r * dim, dim);
        for (size_t i = 0; i < even; i++)
            keys[((r / SHORT_LINE * even / 2 + i / 2) * SHORT_LINE + r % SHORT_LINE) * 2 + i % 2] = key[i];
    }
    for (uint32_t r = 0; r < n; r += SHORT_KEYS)
        k->short_columns(values + (size_t)r * dim, value_scale + r / SHORT_KEYS * dim, l.values + (size_t)r * dim, dim,
                         n - r < SHORT_KEYS ? n - r : SHORT_KEYS, dim);
    l.t = (struct vision_attend){.q = q, .q_scale = q_scale, .keys = keys, .key_scale = key_scale, .values = values,
                                 .value_scale = value_scale, .ldq = even + 3, .ld_scale = 2, .ldo = dim + 1, .rows = rows,
                                 .head_dim = dim, .n = n, .scratch = memory(vision_attend_bytes(dim))};
    memcpy(l.pieces, (void *[]){q, keys, values, q_scale, key_scale, value_scale, l.t.scratch}, sizeof l.pieces);
    free(key);
    return l;
}

static void looker_free(struct looker *l)
{
    for (size_t i = 0; i < 7; i++) free(l->pieces[i]);
    free(l->q), free(l->keys), free(l->values);
}

static float *look(struct looker *l, const struct kernels *k)
{
    l->t.out = memory((size_t)l->t.rows * l->t.ldo * 4);
    memset(l->t.out, 0, (size_t)l->t.rows * l->t.ldo * 4);
    k->vision_attend(&l->t);
    return l->t.out;
}

/* Square of the error by square of the result, against unrounded numbers in double. */
static double far_from_truth(const struct looker *l, const float *out)
{
    const size_t n = l->t.n, dim = l->t.head_dim;
    double error = 0, size = 0, *e = memory(n * sizeof *e);
    for (size_t r = 0; r < l->t.rows; r++) {
        double sum = 0;
        for (size_t k = 0; k < n; k++) {
            double score = 0;
            for (size_t i = 0; i < dim; i++) score += (double)l->q[r * dim + i] * (double)l->keys[k * dim + i] * (double)0.3f;
            sum += e[k] = exp2(score);
        }
        for (size_t i = 0; i < dim; i++) {
            double wanted = 0;
            for (size_t k = 0; k < n; k++) wanted += e[k] / sum * (double)l->values[k * dim + i];
            error += pow(wanted - (double)out[r * l->t.ldo + i], 2);
            size += wanted * wanted;
        }
    }
    free(e);
    return error / size;
}

TEST(attention_over_a_picture_is_right_and_the_same_everywhere)
{
    static const uint32_t dims[] = {72, 5, 32, 103}, keys[] = {1, 17, 256, 259, 600}, rows[] = {1, 9, 35, 3};
    const char *isas[] = {"avx2", "avxvnni", "avx512", "neon", "neondot", "i8mm"};
    struct kernels ref, k;
    NEED(kernels_named(&ref, "ref", why));
    for (size_t i = 0; i < 20; i++) {
        struct looker l = looker_make(&ref, dims[i % 4], keys[i % 5], rows[i / 5]);
        float *wanted = look(&l, &ref);
        double off = far_from_truth(&l, wanted);
        CHECK(off < 5e-7, "head of %u, %u keys: error %g", l.t.head_dim, l.t.n, off);
        for (size_t j = 0; j < sizeof isas / sizeof *isas; j++) {
            if (kernels_named(&k, isas[j], NULL)) continue;
            struct looker m = looker_make(&k, dims[i % 4], keys[i % 5], rows[i / 5]);
            const size_t n = (size_t)m.t.rows * m.t.ldo;
            float *out = look(&m, &k);
            size_t at = floats_differ(out, wanted, n);
            CHECK(at == n, "%s, head of %u, %u keys, %u rows: place %zu", isas[j], m.t.head_dim, m.t.n, m.t.rows, at);
            free(out);
            looker_free(&m);
        }
        free(wanted);
        looker_free(&l);
    }
}

/* The longest vectors there are, all in one direction: the largest sums of products that can occur. */
TEST(no_sum_of_attention_leaves_its_integer)
{
    const char *isas[] = {"ref", "avx2", "avxvnni", "avx512", "neon", "neondot", "i8mm"};
    struct kernels k;
    for (size_t j = 0; j < sizeof isas / sizeof *isas; j++) {
        if (kernels_named(&k, isas[j], NULL)) continue;
        for (uint32_t dim = 1; dim <= 64; dim += 63) {
            struct looker l = looker_make(&k, dim, 200, 3);
            for (size_t i = 0; i < 3 * l.t.ldq; i++) ((int16_t *)l.pieces[0])[i] = dim == 1 ? 32767 : 5788;
            for (size_t i = 0; i < 200 * (size_t)round_up(dim, 2); i++) ((int16_t *)l.pieces[1])[i] = dim == 1 ? 32767 : 5788;
            for (size_t i = 0; i < 200 * (size_t)dim; i++) ((int16_t *)l.pieces[2])[i] = 1447;
            for (size_t i = 0; i < 6; i++) ((float *)l.pieces[3])[i] = 1e-8f;
            for (size_t i = 0; i < 200; i++) ((float *)l.pieces[4])[i] = 1;
            for (size_t i = 0; i < 2 * dim; i++) ((float *)l.pieces[5])[i] = 2;
            float *out = look(&l, &k);
            for (size_t r = 0; r < 3; r++)
                for (size_t i = 0; i < dim; i++)
                    CHECK(fabsf(out[r * l.t.ldo + i] - 2 * 1447) < 0.1f, "%s, head of %u: %g", isas[j], dim, (double)out[r * l.t.ldo + i]);
            free(out);
            looker_free(&l);
        }
    }
}

TEST(many_rows_and_norms_are_the_same_everywhere)
{
    static const uint32_t types[] = {T_F16, T_BF16, T_F32, T_Q8_0, T_F16, T_F16}, rows[] = {40, 16, 100, 48, 1, 130},
                          cols[] = {300, 72, 513, 96, 1, 32}, many[] = {1, 8, 17, 30, 5, 33};
    const char *isas[] = {"avx2", "avxvnni", "avx512", "neon", "neondot", "i8mm"};
    struct kernels ref, k;
    NEED(kernels_named(&ref, "ref", why));
    for (size_t i = 0; i < 6; i++) {
        struct matrix m = matrix_make(types[i], rows[i], cols[i], i);
        const size_t n = (size_t)many[i] * rows[i], nx = (size_t)many[i] * cols[i];
        float *x = floats_make(nx, 2, 5), *wanted = memory(n * 4), *y = memory(n * 4), *g = floats_make(nx, 1, 6);
        float *normed = memory(nx * 4), *z = memory(nx * 4);
        struct acts a;
        acts_init(&a, memory(act_bytes(many[i], cols[i])), many[i], cols[i]);
        acts_shape(&a, many[i], cols[i], x, cols[i]);
        quantize_rows(&ref, &a);
        ref.matmul(wanted, rows[i], &m.panels, &a, 0, (rows[i] + 15) / 16);
        ref.layer_norm(normed, x, g, x, (uint32_t)nx, 1e-6f);
        ref.gelu_bias(normed, g, nx);
        ref.add(normed, g, x, nx);
        for (size_t j = 0; j < sizeof isas / sizeof *isas; j++) {
            if (kernels_named(&k, isas[j], NULL)) continue;
            k.matmul_many(y, rows[i], &m.panels, &a);
            CHECK(floats_differ(y, wanted, n) == n, "%s, matrix %zu", isas[j], i);
            k.layer_norm(z, x, g, x, (uint32_t)nx, 1e-6f);
            k.gelu_bias(z, g, nx);
            k.add(z, g, x, nx);
            CHECK(floats_differ(z, normed, nx) == nx, "%s, rows of %zu", isas[j], nx);
        }
        free(x), free(wanted), free(y), free(g), free(normed), free(z), free(a.q), matrix_free(&m);
    }
}
