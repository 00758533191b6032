/* worker/kernels/blas.c — see blas.h. The one door to OpenBLAS, whose functions are declared here: there is no header without its -dev package. */
#include "worker/kernels/blas.h"

#include "worker/kernels/inside.h"

#include "base/half.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libopenblas.so.0"
enum { ROW_MAJOR = 101, AS_IS = 111 }; /* the numbers of CBLAS */

static struct {
    pthread_mutex_t lock;
    void (*sgemm)(int order, int a_is, int b_is, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta,
                  float *c, int ldc);
    char name[128];
} blas = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the library ---- */

/* Code for what our own kernels want too, so that machines of one kind take the same whatever else they have: an ARM what every one can. */
static const char *core_type(void)
{
#if defined(__aarch64__)
    return "ARMV8";
#else
    return cpu_has_avx512_vnni() ? "SkylakeX" : cpu_has_avx2() ? "Haswell" : NULL;
#endif
}

static int load(struct err *why)
{
    const char *core = core_type(), *(*text[2])(void);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    if (core) setenv("OPENBLAS_CORETYPE", core, 0);
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) return fail(why, E_USAGE, "float32 math needs OpenBLAS, and %s is not here: install the package libopenblas0", LIBRARY);
    void *found[] = {dlsym(library, "cblas_sgemm"), dlsym(library, "openblas_get_config"), dlsym(library, "openblas_get_corename")};
    if (!found[0] || !found[1] || !found[2]) return fail(why, E_USAGE, "%s has no cblas_sgemm, or does not say what it is", LIBRARY);
    memcpy(text, found + 1, sizeof text);
    const char *config = text[0]();
    const size_t first = strcspn(config, " "), length = first + (config[first] ? 1 + strcspn(config + first + 1, " ") : 0); /* name, version */
    snprintf(blas.name, sizeof blas.name, "%.*s %s", (int)length, config, text[1]());
    memcpy(&blas.sgemm, found, sizeof blas.sgemm);
    return 0;
}

int blas_open(struct err *why)
{
    pthread_mutex_lock(&blas.lock);
    const int code = blas.sgemm ? 0 : load(why);
    pthread_mutex_unlock(&blas.lock);
    return code;
}

const char *blas_name(void)
{
    return blas.name;
}

/* ---- widening ---- */

/* A block's factors and minima, lane by lane: kernels.h, docs/MODEL.md. `late` is for columns 16..31 where Q6 has another. */
struct block_scales {
    float d[LANES], late[LANES], m[LANES];
};

static float f16_lane(const uint8_t *p, uint32_t lane)
{
    uint16_t h;
    memcpy(&h, p + 2 * lane, sizeof h);
    return f16_to_f32(h);
}

static void scales_of(struct block_scales *s, enum panel_kind kind, const uint8_t *group, uint32_t j)
{
    const uint8_t *at = group + scales_at(kind, j);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        float d = f16_lane(panel_shape(kind).shared ? group : at, lane), late = d, m = 0;
        if (kind == P_Q4M || kind == P_Q8M) m = f16_lane(at + 32, lane);
        if (kind == P_K4 || kind == P_K5) late = d *= (float)at[lane], m = -(f16_lane(group + 32, lane) * (float)at[16 + lane]);
        if (kind == P_Q6) late = d * (float)(int8_t)at[16 + lane], d *= (float)(int8_t)at[lane];
        s->d[lane] = d, s->late[lane] = late, s->m[lane] = m;
    }
}

/* Four columns of 16 lanes: a word for each lane, of whose bytes the lower or upper halves count unless they are whole numbers. `twos`:
 * the words with Q6's upper bits, from bit `from` on. */
INLINE void widen_words(float *to, size_t ld, const int offset, const bool halves, const uint8_t *words, int shift, const uint8_t *twos, int from,
                        const float *d, const float *m)
{
    uint32_t w[LANES], u[LANES] = {0};
    memcpy(w, words, sizeof w);
    if (twos) memcpy(u, twos, sizeof u);
    for (int i = 0; i < 4; i++)
        for (int lane = 0; lane < LANES; lane++) {
            const int32_t whole = (int8_t)(w[lane] >> 8 * i), half = (int32_t)(w[lane] >> (8 * i + shift) & 15) | (int32_t)(u[lane] >> (8 * i + from) & 3) << 4;
            to[(size_t)i * ld + (size_t)lane] = d[lane] * (float)((halves ? half : whole) - offset) + m[lane];
        }
}

static void widen_block(float *to, size_t ld, enum panel_kind kind, const uint8_t *group, uint32_t j)
{
    const uint8_t *quants = group + quants_at(kind, j);
    struct block_scales s;
    scales_of(&s, kind, group, j);
    for (int k = 0; k < 8; k++, to += 4 * ld) {
        const uint8_t *words = quants + k % 4 * 4 * LANES, *twos = quants + (4 + k / 4) * 4 * LANES;
        const float *d = k < 4 ? s.d : s.late;
        const int shift = k < 4 ? 0 : 4;
        if (kind == P_Q6) widen_words(to, ld, 32, true, words, shift, twos, 2 * (k % 4), d, s.m);
        else if (kind == P_Q4) widen_words(to, ld, 8, true, words, shift, NULL, 0, d, s.m);
        else if (panel_shape(kind).quants < 512) widen_words(to, ld, 0, true, words, shift, NULL, 0, d, s.m);
        else widen_words(to, ld, 0, false, quants + k * 4 * LANES, 0, NULL, 0, d, s.m);
    }
}

static void widen_floats(float *to, size_t ld, enum panel_kind kind, const uint8_t *panel, uint32_t n)
{
    const size_t each = kind == P_F32 ? 4 : 2;
    for (uint32_t c = 0; c < n; c++, to += ld, panel += LANES * each) {
        uint16_t h[LANES];
        memcpy(kind == P_F32 ? (void *)to : (void *)h, panel, LANES * each);
        for (int lane = 0; kind != P_F32 && lane < LANES; lane++) to[lane] = kind == P_F16 ? f16_to_f32(h[lane]) : bf16_to_f32(h[lane]);
    }
}

void panel_widen(float *to, size_t ld, const struct panels *w, uint32_t p, uint32_t first, uint32_t n)
{
    const uint8_t *panel = w->data + p * w->panel_bytes;
    if (kind_is_float(w->kind)) {
        widen_floats(to, ld, w->kind, panel + (size_t)first * LANES * (w->kind == P_F32 ? 4 : 2), n);
        return;
    }
    const uint32_t together = panel_shape(w->kind).blocks;
    for (uint32_t c = 0; c < n; c += BLOCK) {
        const uint32_t block = (first + c) / BLOCK;
        widen_block(to + c * ld, ld, w->kind, panel + block / together * group_bytes(w->kind), block % together);
    }
}

/* ---- products ---- */

/* The scratch of a call: a tile of weights, rows filled up, results. */
struct desk {
    float *weights, *rows, *sums;
};

/* SGEMM_DEPTH columns of a tile of weights meet all rows, SGEMM_ROWS at a time. */
static void all_rows(const struct desk *desk, const struct acts *a, uint32_t from, uint32_t depth)
{
    for (uint32_t r = 0; r < a->rows; r += SGEMM_ROWS) {
        const float *x = a->x + r * a->ldx + from;
        const bool whole = a->rows - r >= SGEMM_ROWS;
        for (uint32_t i = 0; i < SGEMM_ROWS && !whole; i++) {
            float *row = desk->rows + i * SGEMM_DEPTH;
            if (r + i < a->rows) memcpy(row, x + i * a->ldx, depth * sizeof *row);
            else memset(row, 0, depth * sizeof *row);
        }
        blas.sgemm(ROW_MAJOR, AS_IS, AS_IS, SGEMM_ROWS, SGEMM_COLS, (int)depth, 1, whole ? x : desk->rows, whole ? (int)a->ldx : SGEMM_DEPTH,
                   desk->weights, SGEMM_COLS, from ? 1 : 0, desk->sums + (size_t)r * SGEMM_COLS, SGEMM_COLS);
    }
}

static void one_tile(float *y, size_t ldy, const struct desk *desk, const struct panels *w, const struct acts *a, uint32_t first, uint32_t n)
{
    const uint32_t left = w->rows - first * PANEL_ROWS, columns = left < n * PANEL_ROWS ? left : n * PANEL_ROWS;
    for (uint32_t from = 0, depth; from < w->cols; from += depth) {
        depth = w->cols - from < SGEMM_DEPTH ? w->cols - from : SGEMM_DEPTH;
        if (n * PANEL_ROWS < SGEMM_COLS) memset(desk->weights, 0, sizeof(float) * SGEMM_COLS * depth);
        for (uint32_t p = 0; p < n; p++) panel_widen(desk->weights + p * PANEL_ROWS, SGEMM_COLS, w, first + p, from, depth);
        all_rows(desk, a, from, depth);
    }
    for (uint32_t r = 0; r < a->rows; r++) memcpy(y + r * ldy, desk->sums + (size_t)r * SGEMM_COLS, columns * sizeof *y);
}

void blas_matmul(float *y, size_t ldy, const struct panels *w, const struct acts *a, uint32_t first, uint32_t n, float *scratch)
{
    const uint32_t together = SGEMM_COLS / PANEL_ROWS;
    const struct desk desk = {scratch, scratch + SGEMM_COLS * SGEMM_DEPTH, scratch + (SGEMM_COLS + SGEMM_ROWS) * SGEMM_DEPTH};
    for (uint32_t p = 0; p < n; p += together, y += SGEMM_COLS)
        one_tile(y, ldy, &desk, w, a, first + p, n - p < together ? n - p : together);
}
