/* worker/vision_attention.c — see vision_attention.h. Mostly moving: the sums are the kernels'.
 *
 *   queries   [patches][width]                       short: [patches][heads][dim]    and a scale per row and head
 *   keys      [heads][panels of 16][dim][16]         short: pairs of dim             and a scale per row and head
 *   values    [heads][patches][dim to 16]            short: [heads][groups of 32][pairs of rows][dim to 16][2]
 *                                                    and a scale per group and column */
#include "worker/vision_attention.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

static size_t key_places(const struct sight *s)
{
    return round_up(s->patches, PANEL_ROWS);
}

static size_t value_width(const struct sight *s)
{
    return round_up(s->dim, PANEL_ROWS);
}

static size_t groups(const struct sight *s)
{
    return (s->patches + SHORT_GROUP - 1) / SHORT_GROUP;
}

static size_t short_dim(const struct sight *s)
{
    return round_up(s->dim, 2);
}

void sight_init(struct sight *s, const struct vision_config *c, const struct kernels *k, bool brief, void *queries,
                void *keys, void *values)
{
    *s = (struct sight){.k = k, .patches = vision_patches(c), .width = c->width, .heads = c->heads,
                        .dim = vision_head_dim(c), .scale = (float)(1.0 / sqrt((double)vision_head_dim(c))),
                        .brief = brief, .queries = queries, .keys = keys, .values = values};
    s->query_scales = queries, s->key_scales = keys, s->value_scales = values;
    s->short_queries = (int16_t *)(s->query_scales + round_up((size_t)s->patches * s->heads, PANEL_ROWS));
    s->short_keys = (int16_t *)(s->key_scales + key_places(s) * s->heads);
    s->short_values = (int16_t *)(s->value_scales + groups(s) * value_width(s) * s->heads);
}

static void add_bias(float *x, const float *bias, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] += bias[i];
}

/* ---- as floats ------------------------------------------------------------------------------------------------- */

/* One lane of a panel is one row. */
static void store_key(const struct sight *s, const float *k, uint32_t row)
{
    float *to = s->keys + (size_t)(row / PANEL_ROWS) * s->dim * PANEL_ROWS + row % PANEL_ROWS;
    for (uint32_t h = 0; h < s->heads; h++, to += key_places(s) * s->dim, k += s->dim)
        for (uint32_t i = 0; i < s->dim; i++) to[(size_t)i * PANEL_ROWS] = k[i];
}

static void store_value(const struct sight *s, const float *v, uint32_t row)
{
    float *to = s->values + row * value_width(s);
    for (uint32_t h = 0; h < s->heads; h++, to += s->patches * value_width(s), v += s->dim)
        memcpy(to, v, s->dim * sizeof *v);
}

static void look(const struct sight *s, uint32_t first, uint32_t n, uint32_t head, float *out, void *scratch)
{
    struct vision_attend t = {
        .q = s->queries + (size_t)first * s->width + (size_t)head * s->dim, .ldq = s->width,
        .out = out, .ldo = s->width,
        .keys = s->keys + head * key_places(s) * s->dim,
        .values = s->values + (size_t)head * s->patches * value_width(s),
        .rows = n, .head_dim = s->dim, .n = s->patches, .scale = s->scale, .scratch = scratch,
    };
    s->k->vision_attend(&t);
}

/* ---- as short integers ------------------------------------------------------------------------------------------ */

static void store_short_row(const struct sight *s, const float *q, const float *k, uint32_t row)
{
    const float limit = SHORT_KEY(s->dim);
    const size_t pairs = short_dim(s) / 2;
    int16_t *keys = s->short_keys + ((size_t)(row / PANEL_ROWS) * pairs * PANEL_ROWS + row % PANEL_ROWS) * 2;
    for (uint32_t h = 0; h < s->heads; h++, q += s->dim, k += s->dim, keys += key_places(s) * short_dim(s)) {
        const size_t at = (size_t)row * s->heads + h;
        int16_t *query = s->short_queries + at * short_dim(s), key[1024];
        query[short_dim(s) - 1] = key[short_dim(s) - 1] = 0;
        s->query_scales[at] = s->scale * s->k->short_row(query, q, s->dim, limit);
        s->key_scales[h * key_places(s) + row] = s->k->short_row(key, k, s->dim, limit);
        for (size_t i = 0; i < pairs; i++) memcpy(keys + i * PANEL_ROWS * 2, key + 2 * i, 2 * sizeof *key);
    }
}

static void store_short_values(const struct sight *s, const float *v, size_t ldv, uint32_t first, uint32_t n)
{
    const size_t wide = value_width(s);
    for (uint32_t r = 0; r < n; r += SHORT_GROUP)
        for (uint32_t h = 0; h < s->heads; h++) {
            const size_t at = (h * groups(s) + (first + r) / SHORT_GROUP) * wide;
            s->k->short_columns(s->short_values + at * SHORT_GROUP, s->value_scales + at, v + r * ldv + (size_t)h * s->dim,
                                ldv, n - r < SHORT_GROUP ? n - r : SHORT_GROUP, s->dim);
        }
}

static void look_short(const struct sight *s, uint32_t first, uint32_t n, uint32_t head, float *out, void *scratch)
{
    const size_t at = (size_t)first * s->heads + head, values = head * groups(s) * value_width(s);
    struct vision_attend_short t = {
        .q = s->short_queries + at * short_dim(s), .ldq = s->heads * short_dim(s),
        .q_scale = s->query_scales + at, .ld_scale = s->heads,
        .out = out, .ldo = s->width,
        .keys = s->short_keys + head * key_places(s) * short_dim(s), .key_scale = s->key_scales + head * key_places(s),
        .values = s->short_values + values * SHORT_GROUP, .value_scale = s->value_scales + values,
        .rows = n, .head_dim = s->dim, .n = s->patches, .scratch = scratch,
    };
    s->k->vision_attend_short(&t);
}

/* ---- either ------------------------------------------------------------------------------------------------------ */

void sight_store(const struct sight *s, uint32_t first, uint32_t n, float *qkv, const float *q_bias, const float *k_bias,
                 const float *v_bias)
{
    const size_t ld = 3 * (size_t)s->width;
    for (uint32_t r = 0; r < n; r++) {
        float *q = qkv + r * ld, *k = q + s->width, *v = k + s->width;
        add_bias(q, q_bias, s->width);
        add_bias(k, k_bias, s->width);
        add_bias(v, v_bias, s->width);
        if (s->brief) {
            store_short_row(s, q, k, first + r);
        } else {
            memcpy(s->queries + (size_t)(first + r) * s->width, q, s->width * sizeof *q);
            store_key(s, k, first + r);
            store_value(s, v, first + r);
        }
    }
    if (s->brief) store_short_values(s, qkv + 2 * (size_t)s->width, ld, first, n);
}

void sight_look(const struct sight *s, uint32_t first, uint32_t n, float *out, void *scratch)
{
    for (uint32_t head = 0; head < s->heads; head++)
        (s->brief ? look_short : look)(s, first, n, head, out + (size_t)head * s->dim, scratch);
}
