/* tests/unit/format/quantize_test.c — the bytes of the quantisers: published check vectors, the rule at its edges, and the
 * vector versions against the plain ones on blocks made to sit on those edges. tests/peer/quantize_bytes_test.py
 * compares millions of blocks with an implementation in another language. */
#include "base/half.h"
#include "partition/format/quantize.h"
#include "tests/support/check.h"

#include <math.h>
#include <stdlib.h>

#define BLOCKS 512 /* of 256 values at a time */
#define VALUES (BLOCKS * 256)

static uint64_t state = 1;
static uint32_t dice(void)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 32);
}

static float normal(void)
{
    float sum = 0;
    for (int i = 0; i < 6; i++) sum += (float)(dice() >> 8) * 0x1p-24f;
    return (sum - 3) * 1.414f;
}

static void hex(char *out, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++) sprintf(out + 2 * i, "%02x", b[i]);
}

static void each_quantizer(void (*claim)(const struct quantizer *))
{
    struct quantizer plain = quantizer_plain(), best = quantizer_best();
    claim(&plain);
    if (strcmp(best.isa, plain.isa)) claim(&best);
}

static const struct vector {
    const char *what, *q4_0, *q8_0;
} vectors[] = {
    {"(j-15)/8", "00b48f7f7f6e6e5d5d4c4c3b3b2a2a191908",
     "0824899199a1a9b1b9c0c8d0d8e0e8f0f8000810182028303840474f575f676f777f"},
    {"(15-j)/8", "00348f7f7f6e6e5d5d4c4c3b3b2a2a191908",
     "0824776f675f574f47403830282018100800f8f0e8e0d8d0c8c0b9b1a9a199918981"},
    {"zeros", "008088888888888888888888888888888888",
     "00000000000000000000000000000000000000000000000000000000000000000000"},
    {"-1 +1 0.3", "0030a0afaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "0820817f262626262626262626262626262626262626262626262626262626262626"},
    {"+1 -1 0.3", "00b0606f6666666666666666666666666666",
     "08207f81262626262626262626262626262626262626262626262626262626262626"},
};

static void fill_vector(int which, float *x)
{
    for (int j = 0; j < 32; j++) {
        float ramp = (float)(j - 15) / 8, sign = which == 3 ? -1 : 1;
        x[j] = which == 0 ? ramp : which == 1 ? -ramp : which == 2 ? 0 : j == 0 ? sign : j == 1 ? -sign : 0.3f;
    }
}

static void check_vectors(const struct quantizer *q)
{
    for (int i = 0; i < 5; i++) {
        float x[32];
        uint8_t b[34];
        char text[69];
        fill_vector(i, x);
        q->q4_0(x, b, 1);
        hex(text, b, 18);
        CHECK(!strcmp(text, vectors[i].q4_0), "%s %s: %s", q->isa, vectors[i].what, text);
        q->q8_0(x, b, 1);
        hex(text, b, 34);
        CHECK(!strcmp(text, vectors[i].q8_0), "%s %s: %s", q->isa, vectors[i].what, text);
    }
}

TEST(published_check_vectors_give_their_bytes)
{
    each_quantizer(check_vectors);
}

static void check_ties(const struct quantizer *q)
{
    float x[32] = {0};
    uint8_t b[34];
    for (int first = 0; first < 31; first++)
        for (int second = first + 1; second < 32; second++)
            for (int sign = -1; sign <= 1; sign += 2) {
                memset(x, 0, sizeof x);
                x[first] = (float)sign;
                x[second] = (float)-sign;
                q->q4_0(x, b, 1);
                CHECK(b[1] >> 7 == (sign > 0), "%s: %d decides, not %d", q->isa, first, second);
            }
}

TEST(of_equal_extremes_the_first_gives_the_sign)
{
    each_quantizer(check_ties);
}

static void check_halves(const struct quantizer *q)
{
    float x[32] = {127};
    uint8_t b[34];
    for (int j = 1; j < 32; j++) x[j] = ((float)j + 0.5f) * (j & 1 ? 1 : -1);
    q->q8_0(x, b, 1);
    for (int j = 1; j < 32; j++) CHECK((int8_t)b[2 + j] == (j & 1 ? j + 1 : -j - 1), "%s %d", q->isa, (int8_t)b[2 + j]);
    for (int j = 1; j < 32; j++) x[j] = nextafterf((float)(4 * j) + 0.5f, 0);
    q->q8_0(x, b, 1);
    for (int j = 1; j < 32; j++) CHECK((int8_t)b[2 + j] == 4 * j || 4 * j > 127, "%s %d", q->isa, (int8_t)b[2 + j]);
}

TEST(q8_0_rounds_halves_away_from_zero)
{
    each_quantizer(check_halves);
}

/* x*id + 8.5 with one rounding is below an integer, with two it is that integer: d = -1, so id = -1 and the product is
 * x itself; a sum that needs 25 bits shows nothing. So the block takes id = -1/3: the product then has 48 bits. */
static void check_fused(const struct quantizer *q)
{
    int told = 0;
    for (int i = 0; i < 200000 && told < 20; i++) {
        float x[32] = {-1.0f - (float)(dice() >> 9) * 0x1p-23f}, id = 1 / (x[0] / -8);
        float edge = (float)(1 + (int)(dice() % 15)) - 8.5f;
        x[1] = edge / id;
        float once = fmaf(x[1], id, 8.5f);
        volatile float product = x[1] * id;
        float twice = product + 8.5f;
        if ((int)once == (int)twice) continue;
        uint8_t b[18];
        q->q4_0(x, b, 1);
        CHECK((b[3] & 15) == (int)once, "%s: %d, fused %d, not fused %d", q->isa, b[3] & 15, (int)once, (int)twice);
        told++;
    }
    CHECK(told == 20, "only %d blocks told the difference", told);
}

TEST(q4_0_is_computed_as_if_fused)
{
    each_quantizer(check_fused);
}

static void check_tiny(const struct quantizer *q)
{
    static const float sizes[] = {0x1p-149f, 0x1p-140f, 0x1.8p-127f, 0x1p-126f, 2.3e-38f, 2.4e-38f, 1e-30f, 0x1p-30f};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        float x[256], y[256];
        uint8_t b[272];
        for (int j = 0; j < 256; j++) x[j] = sizes[s] * (j & 1 ? 1 : -1) * (j % 7 ? 1 : 0);
        const uint32_t types[] = {T_Q4_0, T_Q8_0, T_Q6_K};
        for (int t = 0; t < 3; t++) {
            quantize_values(q, types[t], x, 256, b);
            block_dequantize(types[t], b, y, 256);
            for (int j = 0; j < 256; j++)
                CHECK(y[j] == 0, "%s %s: %g became %g", q->isa, block_info(types[t])->name, (double)x[j], (double)y[j]);
        }
    }
}

TEST(what_f16_cannot_scale_becomes_zero_not_nonsense)
{
    each_quantizer(check_tiny);
}

static void check_limits(const struct quantizer *q)
{
    static const uint32_t types[] = {T_F32, T_F16, T_BF16, T_Q4_0, T_Q8_0, T_Q6_K};
    for (int t = 0; t < 6; t++) {
        float x[256], y[256], limit = quantize_limit(types[t]);
        uint8_t b[1024];
        for (int j = 0; j < 256; j++) x[j] = j % 3 ? limit : -limit * ((float)j / 256);
        CHECK(quantize_first_bad(q, types[t], x, 256) == 256);
        quantize_values(q, types[t], x, 256, b);
        block_dequantize(types[t], b, y, 256);
        for (int j = 0; j < 256; j++) CHECK(isfinite(y[j]), "%s %s", q->isa, block_info(types[t])->name);
        const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, nextafterf(limit, INFINITY)};
        for (int k = 0; k < 5; k++)
            for (size_t at = 0; at < 256; at += 5) {
                float kept = x[at];
                x[at] = bad[k];
                for (size_t n = 240; n <= 256; n++)
                    CHECK(quantize_first_bad(q, types[t], x, n) == (at < n ? at : n), "%s %g at %zu of %zu", q->isa,
                          (double)bad[k], at, n);
                x[at] = kept;
            }
    }
}

TEST(at_the_limit_all_is_finite_and_beyond_it_the_place_is_found)
{
    each_quantizer(check_limits);
}

static double relative_error(const struct quantizer *q, uint32_t type, const float *x, size_t n)
{
    uint8_t *b = malloc(n * 4);
    float *y = malloc(n * sizeof *y);
    double noise = 0, signal = 0;
    quantize_values(q, type, x, n, b);
    block_dequantize(type, b, y, n);
    for (size_t i = 0; i < n; i++) {
        noise += ((double)y[i] - x[i]) * ((double)y[i] - x[i]);
        signal += (double)x[i] * x[i];
    }
    free(b);
    free(y);
    return sqrt(noise / signal);
}

/* Q6_K: with a hundred tries per group 1.643 % on normal numbers, so 1.66 leaves little to find. */
TEST(round_trip_errors_are_those_of_the_formats)
{
    struct quantizer q = quantizer_best();
    float *x = malloc(VALUES * sizeof *x);
    for (int i = 0; i < VALUES; i++) x[i] = 0.02f * normal();
    double q6 = relative_error(&q, T_Q6_K, x, VALUES), q8 = relative_error(&q, T_Q8_0, x, VALUES);
    double q4 = relative_error(&q, T_Q4_0, x, VALUES), f16 = relative_error(&q, T_F16, x, VALUES);
    CHECK(q6 > 0.015 && q6 < 0.0166, "%g", q6);
    CHECK(q8 > 0.004 && q8 < 0.0056, "%g", q8);
    CHECK(q4 > 0.07 && q4 < 0.09, "%g", q4);
    CHECK(f16 < 0.0003, "%g", f16);
    free(x);
}

/* A model that was trained for the grid is on it: quantising what was dequantised loses nothing. */
TEST(values_on_the_grid_come_back_exactly)
{
    struct quantizer q = quantizer_best();
    float *x = malloc(VALUES * sizeof *x);
    for (int i = 0; i < VALUES; i++) x[i] = i % 32 ? 0.25f * (float)(8 - (int)(dice() % 16)) : 2.0f;
    CHECK(relative_error(&q, T_Q4_0, x, VALUES) == 0);
    for (int i = 0; i < VALUES; i++) x[i] = 0x1p-9f * (i % 16 ? (float)((int)(dice() % 64) - 32) : -32.0f);
    CHECK(relative_error(&q, T_Q6_K, x, VALUES) == 0, "%g", relative_error(&q, T_Q6_K, x, VALUES));
    free(x);
}

/* ---- vector against plain ---- */

static void fill_any_bits(float *x)
{
    for (int i = 0; i < VALUES; i++) {
        int e = 97 + (int)(dice() % 40) - (i / 4096) % 97; /* exponents down into the subnormals */
        x[i] = f32_from_bits((dice() & 0x807fffffu) | (uint32_t)(e < 0 ? 0 : e) << 23);
    }
}

static void fill_coarse(float *x)
{
    for (int i = 0; i < VALUES; i++) x[i] = 0.125f * (float)((int)(dice() % 33) - 16); /* ties everywhere */
}

static void fill_bf16(float *x)
{
    for (int i = 0; i < VALUES; i++) x[i] = bf16_to_f32(f32_to_bf16(0.03f * normal()));
}

/* A few units in the last place around where a quant changes: of Q4_0 (halves of d), and of Q8_0 and Q6_K. */
static void fill_edges(float *x)
{
    for (int i = 0; i < VALUES; i++) {
        if (i % 32 == 0) x[i] = (1 + (float)(dice() >> 9) * 0x1p-23f) * (dice() & 1 ? 1 : -1);
        float mx = x[i & ~31], steps = i & 32 ? 127.0f : 8.0f;
        if (i % 32 == 0) continue;
        float v = mx / steps * ((float)((int)(dice() % (unsigned)(2 * steps - 1)) - (int)steps + 1) + 0.5f);
        x[i] = f32_from_bits(f32_bits(v) + dice() % 5 - 2);
    }
}

static void fill_sparse(float *x)
{
    for (int i = 0; i < VALUES; i++) x[i] = dice() % 16 ? 0.0f * (dice() & 1 ? 1 : -1) : normal();
}

TEST(vector_versions_give_the_plain_bytes)
{
    struct quantizer plain = quantizer_plain(), best = quantizer_best();
    if (!strcmp(best.isa, plain.isa)) return test_skip("this processor has no vector version");
    void (*const fills[])(float *) = {fill_any_bits, fill_coarse, fill_bf16, fill_edges, fill_sparse};
    static const uint32_t types[] = {T_F32, T_F16, T_BF16, T_Q4_0, T_Q8_0, T_Q6_K};
    float *x = malloc(VALUES * sizeof *x);
    uint8_t *a = malloc(VALUES * 4), *b = malloc(VALUES * 4);
    for (int round = 0; round < 20; round++) {
        fills[round % 5](x);
        for (int t = 0; t < 6; t++) {
            memset(a, 1, VALUES * 4);
            memset(b, 1, VALUES * 4);
            quantize_values(&plain, types[t], x, VALUES, a);
            quantize_values(&best, types[t], x, VALUES, b);
            size_t row = block_row_bytes(types[t], 256);
            for (size_t i = 0; i < BLOCKS; i++)
                CHECK(!memcmp(a + i * row, b + i * row, row), "%s, fill %d, values from %zu",
                      block_info(types[t])->name, round % 5, i * 256);
            CHECK(!memcmp(a, b, VALUES * 4), "%s wrote beyond its end", block_info(types[t])->name);
        }
    }
    free(x);
    free(a);
    free(b);
}

TEST(sixteen_bit_floats_are_widened_exactly_at_any_address)
{
    struct quantizer plain = quantizer_plain(), best = quantizer_best();
    uint8_t *in = malloc(131073);
    float *a = malloc(65536 * 4), *b = malloc(65536 * 4);
    for (unsigned i = 0; i < 65536; i++) in[1 + 2 * i] = (uint8_t)i, in[2 + 2 * i] = (uint8_t)(i >> 8);
    const uint32_t types[] = {T_F16, T_BF16};
    for (int t = 0; t < 2; t++)
        for (size_t n = 65519; n <= 65536; n++) {
            widen_values(&plain, types[t], in + 1, n, a);
            widen_values(&best, types[t], in + 1, n, b);
            CHECK(!memcmp(a, b, n * 4), "%s", block_info(types[t])->name);
            uint8_t out[2];
            for (unsigned i = 0; n == 65536 && i < n; i++) {
                if (isnan(a[i])) continue;
                quantize_values(&best, types[t], a + i, 1, out);
                CHECK(out[0] == (i & 255) && out[1] == i >> 8, "%s %04x", block_info(types[t])->name, i);
            }
        }
    free(in);
    free(a);
    free(b);
}
