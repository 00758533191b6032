/* worker/stage/attention.c — see attention.h.
 *
 * A task is one key/value head and some neighbouring rows of one sequence, so that keys and values are read once for all of
 * them and for all query heads that share them. Rows late in a prompt see most and take longest: they go first, or a
 * thread that drew one last would keep the others waiting.
 *
 * A single token of a long conversation has fewer such tasks than there are threads. Then the positions it sees are cut into
 * spans, which threads take alone and join afterwards. Spans begin at fixed positions and the kernel adds them in their order
 * in both cases, so how many threads there are, and which of the two ways is gone, changes no bit: only the sums of spans are written
 * to memory and read again, and a second meeting of the threads is waited for. */
#include "worker/stage/attention.h"

#include <omp.h>
#include <string.h>

#define KEY_PIECE 256 /* columns of a key that are rounded at a time, before each goes to its panel */
#define ROWS_MOST 64  /* of a task: more would read keys and values less often, but they already stay in L2 */
#define TASKS_EACH 4  /* for a thread, about: cores of small machines are seldom all ours */

static void norm_and_turn(const struct attention *a, float *x, const float *g, uint32_t row)
{
    const struct workbench *b = a->b;
    const uint32_t d = b->config->head_dim;
    const size_t at = (size_t)row * (d / 2);
    b->k->norm(x, x, g, d, b->config->norm_epsilon);
    b->k->rope(x, b->cos[a->global] + at, b->sin[a->global] + at, d);
}

static void store_f16(const struct kernels *kernels, uint16_t *lane, const float *k, uint16_t *values, const float *v, uint32_t d)
{
    uint16_t key[KEY_PIECE];
    for (uint32_t i = 0, n; i < d; i += n) {
        n = d - i < KEY_PIECE ? d - i : KEY_PIECE;
        kernels->to_f16(key, k + i, n);
        for (uint32_t j = 0; j < n; j++) lane[(size_t)(i + j) * PANEL_ROWS] = key[j];
    }
    kernels->to_f16(values, v, d);
}

static void store_f32(float *lane, const float *k, float *values, const float *v, uint32_t d)
{
    for (uint32_t i = 0; i < d; i++) lane[(size_t)i * PANEL_ROWS] = k[i];
    memcpy(values, v, d * sizeof *v);
}

/* Up to KEY_PIECE columns as activations are rounded, in blocks of 32, and a factor for each. */
struct rounded {
    _Alignas(64) int8_t q[KEY_PIECE];
    uint16_t d[KEY_PIECE / KV_BLOCK];
};

static void round_q8(const struct kernels *kernels, struct rounded *r, const float *x, uint32_t n)
{
    float scale[KEY_PIECE / KV_BLOCK], sums[KEY_PIECE / KV_BLOCK];
    int32_t minus8[KEY_PIECE / KV_BLOCK], minus32[2 * KEY_PIECE / KV_BLOCK];
    struct acts one = {.rows = 1, .cols = n, .tile = 1, .q = r->q, .scale = scale, .sums = sums, .minus8 = minus8, .minus32 = minus32};
    kernels->quantize(&one, 0, x, 0, n);
    kernels->to_f16(r->d, scale, (n + KV_BLOCK - 1) / KV_BLOCK);
}

/* A key's numbers stand 16 apart, in its lane; the factors of values beside those of the positions before and behind. */
static void store_q8(const struct kernels *kernels, uint8_t *keys, const float *k, uint8_t *values, const float *v, uint32_t at, uint32_t d)
{
    const uint32_t panel = at / PANEL_ROWS, lane = at % PANEL_ROWS, blocks = (d + KV_BLOCK - 1) / KV_BLOCK;
    uint16_t *key_factors = (uint16_t *)(void *)(keys + (size_t)KV_PAGE * d) + (size_t)panel * blocks * PANEL_ROWS + lane;
    uint16_t *value_factors = (uint16_t *)(void *)(values + (size_t)KV_PAGE * d) + at;
    struct rounded r;
    for (uint32_t i = 0, n; i < d; i += n) {
        n = d - i < KEY_PIECE ? d - i : KEY_PIECE;
        round_q8(kernels, &r, k + i, n);
        for (uint32_t j = 0; j < n; j++) keys[((size_t)panel * d + i + j) * PANEL_ROWS + lane] = (uint8_t)r.q[j];
        for (uint32_t j = 0; j < n; j += KV_BLOCK) key_factors[(size_t)((i + j) / KV_BLOCK) * PANEL_ROWS] = r.d[j / KV_BLOCK];
        round_q8(kernels, &r, v + i, n);
        memcpy(values + (size_t)at * d + i, r.q, n);
        for (uint32_t j = 0; j < n; j += KV_BLOCK) value_factors[(size_t)((i + j) / KV_BLOCK) * KV_PAGE] = r.d[j / KV_BLOCK];
    }
}

static void store(const struct attention *a, const float *k, const float *v, uint32_t row, uint32_t head)
{
    const struct workbench *b = a->b;
    const uint32_t d = b->config->head_dim, position = b->places[row].position;
    const uint32_t n_pages = b->kv->layer[a->index].n_pages;
    uint8_t *page = kv_slot(b->kv, a->index, b->places[row].slot)[position / KV_PAGE % n_pages];
    uint8_t *keys = page + kv_keys_at(b->kv, head), *values = page + kv_values_at(b->kv, head);
    const uint32_t at = position % KV_PAGE;
    const size_t lane = (size_t)(at / PANEL_ROWS) * d * PANEL_ROWS + at % PANEL_ROWS;
    switch (b->kv->type) {
    case KV_F32: store_f32((float *)(void *)keys + lane, k, (float *)(void *)values + (size_t)at * d, v, d); break;
    case KV_Q8_0: store_q8(b->k, keys, k, values, v, at, d); break;
    default: store_f16(b->k, (uint16_t *)(void *)keys + lane, k, (uint16_t *)(void *)values + (size_t)at * d, v, d);
    }
}

/* Numbers from -1 to 1 that anybody can make again, whatever the machine and the cut. */
static void draw(float *x, uint32_t n, uint32_t seed)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = seed + i * 0xc2b2ae3du;
        v = (v ^ v >> 15) * 0x2c1b3c6du;
        v = (v ^ v >> 12) * 0x297a2d39u;
        x[i] = (float)(int32_t)(v ^ v >> 15) * 0x1p-31f;
    }
}

static void draw_head(const struct attention *a, float *k, float *v, uint32_t row, uint32_t head)
{
    const uint32_t d = a->b->config->head_dim, seed = a->b->places[row].position * 0x9e3779b1u + head * d * 0xc2b2ae3du;
    draw(k, d, seed + 2 * a->layer * 0x85ebca77u);
    draw(v, d, seed + (2 * a->layer + 1) * 0x85ebca77u);
}

void attention_store(const struct attention *a, const float *q_norm, const float *k_norm)
{
    const struct workbench *b = a->b;
    const struct model_config *c = b->config;
    const size_t ld = qkv_width(c);
    const uint32_t heads = c->heads + c->kv_heads;
#pragma omp for schedule(static) nowait
    for (uint32_t task = 0; task < b->n * heads; task++) {
        uint32_t row = task / heads, head = task % heads;
        float *x = b->wide + row * ld + (size_t)head * c->head_dim; /* q heads, then k heads */
        if (!b->places[row].drawn) norm_and_turn(a, x, head < c->heads ? q_norm : k_norm, row);
        else if (head >= c->heads) draw_head(a, x, x + kv_width(c), row, head - c->heads);
        if (head >= c->heads) store(a, x, x + kv_width(c), row, head - c->heads);
    }
    meet(b);
}

static struct attend_row sees_of(const struct attention *a, uint32_t row)
{
    const struct row_place *p = &a->b->places[row];
    const uint32_t window = a->b->config->window; /* it counts the row itself */
    return (struct attend_row){!a->global && p->position >= window ? p->position - window + 1 : 0, p->sees};
}

/* Rows from `row` on, of one sequence, over one key/value head: what attend wants but for how many and what they see. */
static struct attend task_of(const struct attention *a, uint32_t row, uint32_t kv_head)
{
    const struct workbench *b = a->b;
    const struct model_config *c = b->config;
    const uint32_t heads = c->heads / c->kv_heads;
    const size_t ldq = qkv_width(c), ldo = heads_width(c), first = (size_t)kv_head * heads * c->head_dim;
    return (struct attend){
        .q = b->wide + row * ldq + first,
        .out = b->narrow + row * ldo + first,
        .ldq = ldq,
        .ldo = ldo,
        .rows = 1,
        .heads = heads,
        .head_dim = c->head_dim,
        .scale = c->attention_scale,
        .pages = (const uint8_t *const *)kv_slot(b->kv, a->index, b->places[row].slot),
        .n_pages = b->kv->layer[a->index].n_pages,
        .keys_at = kv_keys_at(b->kv, kv_head),
        .values_at = kv_values_at(b->kv, kv_head),
        .type = b->kv->type,
        .scratch = b->attend + (size_t)omp_get_thread_num() * attend_bytes(c->head_dim),
    };
}

/* Rows row..end-1, neighbours of one sequence together. */
static void look(const struct attention *a, uint32_t row, uint32_t end, uint32_t kv_head)
{
    struct attend_row sees[ROWS_MOST];
    while (row < end) {
        struct attend task = task_of(a, row, kv_head);
        const uint32_t slot = a->b->places[row].slot;
        uint32_t n = 0;
        for (; row < end && a->b->places[row].slot == slot; row++) sees[n++] = sees_of(a, row);
        task.rows = n, task.sees = sees;
        a->b->k->attend(&task);
    }
}

/* Too few rows and heads for all threads: they share out the spans of each, and then join them. */
static void look_by_spans(const struct attention *a)
{
    const struct workbench *b = a->b;
    const struct model_config *c = b->config;
    const uint32_t pairs = b->n * c->kv_heads;
    const size_t each = (size_t)(c->heads / c->kv_heads) * ATTEND_SPANS * attend_part(c->head_dim);
#pragma omp for schedule(dynamic) nowait
    for (uint32_t i = 0; i < pairs * ATTEND_SPANS; i++) {
        const uint32_t pair = i % pairs, span = i / pairs;
        const struct attend_row sees = sees_of(a, pair / c->kv_heads);
        struct attend task = task_of(a, pair / c->kv_heads, pair % c->kv_heads);
        task.sees = &sees;
        if (span < attend_spans(sees.from, sees.to)) b->k->attend_one_span(&task, span, b->parts + pair * each);
    }
    meet(b);
#pragma omp for schedule(static) nowait
    for (uint32_t pair = 0; pair < pairs; pair++) {
        const struct attend_row sees = sees_of(a, pair / c->kv_heads);
        struct attend task = task_of(a, pair / c->kv_heads, pair % c->kv_heads);
        task.sees = &sees;
        b->k->attend_join(&task, b->parts + pair * each);
    }
    meet(b);
}

/* Tasks of one head and as many rows as leave each thread a few. The last rows, which see most, go first. */
void attention_look(const struct attention *a)
{
    const struct workbench *b = a->b;
    const uint32_t heads = b->config->kv_heads, wanted = (uint32_t)b->threads * TASKS_EACH;
    if (b->n * heads <= attend_shared(b->threads)) {
        look_by_spans(a);
        return;
    }
    uint32_t rows = b->n * heads / wanted;
    rows = rows < 1 ? 1 : rows > ROWS_MOST ? ROWS_MOST : rows;
    const uint32_t tiles = (b->n + rows - 1) / rows;
#pragma omp for schedule(dynamic) nowait
    for (uint32_t task = 0; task < tiles * heads; task++) {
        const uint32_t first = (tiles - 1 - task / heads) * rows;
        look(a, first, b->n - first < rows ? b->n : first + rows, task % heads);
    }
    meet(b);
}
