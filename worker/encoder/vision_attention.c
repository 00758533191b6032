/* worker/encoder/vision_attention.c — see vision_attention.h. Mostly moving: the sums are the kernels'.
 *
 *   queries   [patches][heads][dim to 2]                          and a scale per row and head
 *   keys      [heads][lines of 8 rows][pairs of dim][8][2]        and a scale per head and row
 *   values    [heads][pairs of rows][dim][2]                      and a scale per head, 128 rows and column */
#include "worker/encoder/vision_attention.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

#define INTO_POWERS_OF_TWO 0x1.715476p+0f /* 1 / ln 2 */

static size_t key_places(const struct patch_attention *s)
{
    return round_up(s->patches, PANEL_ROWS);
}

static size_t pieces(const struct patch_attention *s)
{
    return (s->patches + SHORT_KEYS - 1) / SHORT_KEYS;
}

static size_t value_places(const struct patch_attention *s)
{
    return round_up(s->patches, 2);
}

static size_t even_dim(const struct patch_attention *s)
{
    return round_up(s->dim, 2);
}

static size_t page_half(const struct patch_attention *s)
{
    return kv_half_bytes(s->dim, KV_F32);
}

static void init_exact(struct patch_attention *s, void *queries, void *keys)
{
    const uint32_t n = (s->patches + KV_PAGE - 1) / KV_PAGE;
    const uint8_t *page = (uint8_t *)keys + round_up(n * sizeof *s->pages, 64);
    s->floats = queries;
    s->pages = keys;
    for (uint32_t i = 0; i < n; i++, page += 2 * s->heads * page_half(s)) s->pages[i] = page;
    s->scale = (float)(1.0 / sqrt((double)s->dim));
}

void patch_attention_init(struct patch_attention *s, const struct vision_config *c, bool exact, const struct kernels *k, void *queries,
                          void *keys, void *values)
{
    *s = (struct patch_attention){.k = k, .patches = vision_patches(c), .width = c->width, .heads = c->heads,
                        .dim = vision_head_dim(c), .query_scales = queries, .key_scales = keys, .value_scales = values, .exact = exact};
    if (exact) {
        init_exact(s, queries, keys);
        return;
    }
    s->scale = (float)(1.0 / sqrt((double)s->dim)) * INTO_POWERS_OF_TWO;
    s->queries = (int16_t *)(s->query_scales + round_up((size_t)s->patches * s->heads, PANEL_ROWS));
    s->keys = (int16_t *)(s->key_scales + key_places(s) * s->heads);
    s->values = (int16_t *)(s->value_scales + round_up(pieces(s) * s->width, PANEL_ROWS));
}

static void add_bias(float *x, const float *bias, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] += bias[i];
}

/* A key that is not a number spoils its value, so that nobody overlooks it. */
static void store_row(const struct patch_attention *s, const float *q, const float *k, float *v, uint32_t row)
{
    const size_t pairs = even_dim(s) / 2;
    int16_t *keys = s->keys + ((size_t)(row / SHORT_LINE) * pairs * SHORT_LINE + row % SHORT_LINE) * 2;
    for (uint32_t h = 0; h < s->heads; h++, q += s->dim, k += s->dim, v += s->dim, keys += key_places(s) * even_dim(s)) {
        const size_t at = (size_t)row * s->heads + h;
        int16_t *query = s->queries + at * even_dim(s), key[1024];
        query[even_dim(s) - 1] = key[even_dim(s) - 1] = 0;
        s->query_scales[at] = s->scale * s->k->short_row(query, q, s->dim);
        float scale = s->k->short_row(key, k, s->dim);
        if (!(scale < INFINITY)) scale = 0, v[0] = NAN;
        s->key_scales[h * key_places(s) + row] = scale;
        for (size_t i = 0; i < pairs; i++) memcpy(keys + i * SHORT_LINE * 2, key + 2 * i, 2 * sizeof *key);
    }
}

static void store_values(const struct patch_attention *s, const float *v, size_t ldv, uint32_t first, uint32_t n)
{
    for (uint32_t r = 0; r < n; r += SHORT_KEYS)
        for (uint32_t h = 0; h < s->heads; h++)
            s->k->short_columns(s->values + (h * value_places(s) + first + r) * s->dim,
                                s->value_scales + (h * pieces(s) + (first + r) / SHORT_KEYS) * s->dim,
                                v + r * ldv + (size_t)h * s->dim, ldv, n - r < SHORT_KEYS ? n - r : SHORT_KEYS, s->dim);
}

static void store_exact(const struct patch_attention *s, const float *q, const float *k, const float *v, uint32_t row)
{
    const uint32_t at = row % KV_PAGE;
    float *keys = (float *)(uintptr_t)s->pages[row / KV_PAGE], *values = keys + s->heads * page_half(s) / sizeof *keys;
    memcpy(s->floats + (size_t)row * s->width, q, s->width * sizeof *q);
    for (uint32_t h = 0; h < s->heads; h++, k += s->dim, v += s->dim) {
        for (uint32_t i = 0; i < s->dim; i++) keys[((size_t)(at / PANEL_ROWS) * s->dim + i) * PANEL_ROWS + at % PANEL_ROWS] = k[i];
        memcpy(values + (size_t)at * s->dim, v, s->dim * sizeof *v);
        keys += page_half(s) / sizeof *keys, values += page_half(s) / sizeof *values;
    }
}

/* As rows of text that see all there are. */
static void look_exact(const struct patch_attention *s, uint32_t first, uint32_t n, uint32_t head, float *out, void *scratch)
{
    struct attend_row sees[VISION_ROWS];
    for (uint32_t i = 0; i < n; i++) sees[i] = (struct attend_row){0, s->patches - 1};
    const struct attend t = {
        .q = s->floats + (size_t)first * s->width + (size_t)head * s->dim, .out = out, .ldq = s->width, .ldo = s->width,
        .sees = sees, .rows = n, .heads = 1, .head_dim = s->dim, .scale = s->scale,
        .pages = s->pages, .n_pages = (s->patches + KV_PAGE - 1) / KV_PAGE, .type = KV_F32,
        .keys_at = head * page_half(s), .values_at = (s->heads + head) * page_half(s), .scratch = scratch,
    };
    s->k->attend(&t);
}

static void look(const struct patch_attention *s, uint32_t first, uint32_t n, uint32_t head, float *out, void *scratch)
{
    if (s->exact) {
        look_exact(s, first, n, head, out, scratch);
        return;
    }
    const size_t at = (size_t)first * s->heads + head;
    struct vision_attend t = {
        .q = s->queries + at * even_dim(s), .ldq = s->heads * even_dim(s),
        .q_scale = s->query_scales + at, .ld_scale = s->heads,
        .out = out, .ldo = s->width,
        .keys = s->keys + head * key_places(s) * even_dim(s), .key_scale = s->key_scales + head * key_places(s),
        .values = s->values + head * value_places(s) * s->dim, .value_scale = s->value_scales + head * pieces(s) * s->dim,
        .rows = n, .head_dim = s->dim, .n = s->patches, .scratch = scratch,
    };
    s->k->vision_attend(&t);
}

void patch_attention_store(const struct patch_attention *s, uint32_t first, uint32_t n, float *qkv, const float *q_bias,
                           const float *k_bias, const float *v_bias)
{
    const size_t ld = 3 * (size_t)s->width;
    for (uint32_t r = 0; r < n; r++) {
        float *q = qkv + r * ld, *k = q + s->width, *v = k + s->width;
        add_bias(q, q_bias, s->width);
        add_bias(k, k_bias, s->width);
        add_bias(v, v_bias, s->width);
        if (s->exact) store_exact(s, q, k, v, first + r);
        else store_row(s, q, k, v, first + r);
    }
    if (!s->exact) store_values(s, qkv + 2 * (size_t)s->width, ld, first, n);
}

void patch_attention_look(const struct patch_attention *s, uint32_t first, uint32_t n, float *out, void *scratch)
{
    for (uint32_t head = 0; head < s->heads; head++) look(s, first, n, head, out + (size_t)head * s->dim, scratch);
}
