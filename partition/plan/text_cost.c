/* partition/plan/text_cost.c — bytes and multiply-adds of layers and the head, and the seconds they stand for.
 *
 * Bytes are those of the panels a worker really reads, not those of the file. Norms, rotations and the like are a few rows of
 * floats per layer and are left out: they weigh the same in every layer. */
#include "partition/plan/text_cost.h"

#include "partition/format/panels.h"

static bool is_float(uint32_t type)
{
    return type == T_F16 || type == T_BF16 || type == T_F32;
}

static void add_matrix(struct item_work *w, const struct tensor *t)
{
    w->bytes += (double)panels_bytes(t->type, t->rows, t->cols);
    w->macs += (double)t->rows * t->cols * (is_float(t->type) ? FLOAT_MAC_PRICE : 1);
}

/* Positions that a row looks back at. */
static double keys_of(const struct model_config *c, uint32_t layer, uint32_t position)
{
    const double keys = (double)position + 1;
    return !layer_is_global(c, layer) && keys > c->window ? c->window : keys;
}

struct item_work layer_work(const struct model_shape *shape, uint32_t layer, uint32_t position)
{
    const struct model_config *c = &shape->config;
    struct item_work w = {0};
    for (int r = 0; r < W_LAYER_ROLES; r++)
        if (!role_is_norm((enum role)r)) add_matrix(&w, &shape->layer_tensors[(size_t)layer * W_LAYER_ROLES + r]);
    const double keys = keys_of(c, layer, position);
    w.kv_bytes = keys * 2 * c->kv_heads * c->head_dim * sizeof(uint16_t);
    w.kv_macs = keys * 2 * c->heads * c->head_dim * FLOAT_MAC_PRICE;
    return w;
}

struct item_work head_work(const struct model_shape *shape, struct part s)
{
    struct item_work w = {0};
    struct tensor t = shape->head;
    t.rows = part_words(&shape->config, s);
    add_matrix(&w, &t);
    return w;
}

/* There is a place more in the pipe than it has stages, unless somebody wished otherwise. */
static uint32_t groups(const struct capacity *cap)
{
    return groups_of(cap->sequences, cap->in_flight - 1, cap->in_flight);
}

uint32_t decode_rows(const struct capacity *cap)
{
    if (!cap->in_flight || !cap->sequences) return 1;
    uint32_t rows = (cap->sequences - 1) / groups(cap) + 1;
    return cap->rows && rows > cap->rows ? cap->rows : rows;
}

uint32_t decode_groups(const struct capacity *cap)
{
    const uint32_t full = (cap->sequences - 1) / decode_rows(cap) + 1;
    return full < groups(cap) ? full : groups(cap);
}

static double layer_seconds(const struct speed *v, const struct model_shape *shape, uint32_t layer, uint32_t position, double rows, bool piece)
{
    const struct model_config *c = &shape->config;
    const double key = !v ? 0 : piece && v->piece_key > 0 ? v->piece_key : v->key;
    if (v) return curve_seconds(layer_is_global(c, layer) ? &v->global : &v->local, rows) + rows * keys_of(c, layer, position) * key;
    const struct item_work w = layer_work(shape, layer, position);
    return nominal_seconds(&w, rows);
}

static double head_seconds(const struct speed *v, const struct model_shape *shape, struct part s, double rows)
{
    if (v) return curve_seconds(&v->head_part, rows) * part_words(&shape->config, s) / head_part_words(shape->config.vocab);
    const struct item_work w = head_work(shape, s);
    return nominal_seconds(&w, rows);
}

double part_seconds(const struct speed *v, const struct model_shape *shape, struct part s, uint32_t position, double rows, double head_rows)
{
    double sum = 0;
    for (uint32_t layer = s.first; layer < s.end; layer++) sum += layer_seconds(v, shape, layer, position, rows, rows > head_rows);
    return part_has_head(s) ? sum + head_seconds(v, shape, s, head_rows) : sum;
}

double decode_seconds(const struct speed *speed, const struct model_shape *shape, struct part s, const struct capacity *cap)
{
    return part_seconds(speed, shape, s, cap->context / 2, decode_rows(cap), decode_rows(cap));
}

double prefill_seconds(const struct speed *speed, const struct model_shape *shape, struct part s, const struct capacity *cap)
{
    return part_seconds(speed, shape, s, cap->context / 2, cap->rows, 1);
}

double nominal_power(const struct worker_offer *offer)
{
    const double speed = offer->speed > 0 ? offer->speed : 1, power = speed * (offer->threads > 0 ? offer->threads : 1);
    return (power > 1e-6 ? power : 1e-6) * ration_share(&offer->ration);
}

double offer_power(const struct worker_offer *offer)
{
    return offer->measured ? ration_share(&offer->ration) : nominal_power(offer);
}

double lap_seconds(const struct model_shape *shape, const struct part *parts, const struct worker_offer *offers, int stages,
                   const struct capacity *cap)
{
    double layers = 0, head = 0;
    for (int i = 0; i < stages; i++) {
        const struct part s = parts[i], own = {s.first, s.end, 0, 0, false}, words = {0, 0, s.back, s.back_end, false};
        const double power = offer_power(&offers[i]), t = decode_seconds(offers[i].measured, shape, words, cap) / power;
        layers += decode_seconds(offers[i].measured, shape, own, cap) / power;
        if (t > head) head = t;
    }
    return layers + head;
}
