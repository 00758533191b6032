/* worker/attention.c — see attention.h. */
#include "worker/attention.h"

#include <omp.h>

static void norm_and_turn(const struct attention *a, float *x, const float *g, uint32_t row)
{
    const struct bench *b = a->b;
    const uint32_t d = b->config->head_dim;
    const size_t at = (size_t)row * (d / 2);
    b->k->norm(x, x, g, d, b->config->norm_epsilon);
    b->k->rope(x, b->cos[a->global] + at, b->sin[a->global] + at, d);
}

static void store(const struct attention *a, const float *k, const float *v, uint32_t row, uint32_t head)
{
    const struct bench *b = a->b;
    const uint32_t d = b->config->head_dim, position = b->places[row].position;
    const uint32_t n_pages = b->kv->layer[a->index].n_pages;
    uint16_t *page = kv_slot(b->kv, a->index, b->places[row].slot)[position / KV_PAGE % n_pages];
    size_t at = (size_t)(position % KV_PAGE) * d;
    b->k->to_f16(page + kv_keys_at(b->kv, head) + at, k, d);
    b->k->to_f16(page + kv_values_at(b->kv, head) + at, v, d);
}

void attention_store(const struct attention *a, const float *q_norm, const float *k_norm)
{
    const struct bench *b = a->b;
    const struct model_config *c = b->config;
    const size_t ld = qkv_width(c);
    const uint32_t heads = c->heads + c->kv_heads;
#pragma omp for schedule(static)
    for (uint32_t task = 0; task < b->n * heads; task++) {
        uint32_t row = task / heads, head = task % heads;
        float *x = b->wide + row * ld + (size_t)head * c->head_dim; /* q heads, then k heads */
        norm_and_turn(a, x, head < c->heads ? q_norm : k_norm, row);
        if (head >= c->heads) store(a, x, x + kv_width(c), row, head - c->heads);
    }
}

/* One row over the key/value head that query heads first..first+n-1 share. */
static void look(const struct attention *a, uint32_t row, uint32_t first, uint32_t n)
{
    const struct bench *b = a->b;
    const struct model_config *c = b->config;
    const struct place *p = &b->places[row];
    const uint32_t kv_head = first / (c->heads / c->kv_heads);
    const bool bounded = !a->global && p->position >= c->window;
    struct attend task = {
        .q = b->wide + row * (size_t)qkv_width(c) + (size_t)first * c->head_dim,
        .out = b->narrow + row * (size_t)heads_width(c) + (size_t)first * c->head_dim,
        .heads = n,
        .head_dim = c->head_dim,
        .scale = c->attention_scale,
        .pages = (const uint16_t *const *)kv_slot(b->kv, a->index, p->slot),
        .n_pages = b->kv->layer[a->index].n_pages,
        .keys_at = kv_keys_at(b->kv, kv_head),
        .values_at = kv_values_at(b->kv, kv_head),
        .from = bounded ? p->position - c->window + 1 : 0, /* the window counts the row itself */
        .to = p->sees,
        .scores = b->scores + (size_t)omp_get_thread_num() * b->scores_each,
    };
    b->k->attend(&task);
}

/* Rows are the inner count, so that neighbours in time read the same head's keys. Query heads that share a key/value
 * head go together, which reads its keys once; when that leaves threads idle they go one by one. */
void attention_look(const struct attention *a)
{
    const struct bench *b = a->b;
    const struct model_config *c = b->config;
    const uint32_t shared = c->heads / c->kv_heads;
    const uint32_t n = b->n * c->kv_heads < (uint32_t)b->threads ? 1 : shared, groups = c->heads / n;
#pragma omp for schedule(dynamic)
    for (uint32_t task = 0; task < b->n * groups; task++) look(a, task % b->n, task / b->n * n, n);
}
