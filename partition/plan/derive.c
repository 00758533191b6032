/* partition/plan/derive.c — see derive.h. */
#include "partition/plan/derive.h"

#include "partition/plan/text_cost.h"
#include "partition/plan/vision_cost.h"

#define FAR 1024 /* positions */
#define MANY_ROWS 16 /* behind so many a curve goes on straight */
#define PICTURE_ROWS 128 /* pictures are bound by arithmetic, as so many rows are */

static const struct part one_layer = {0, 1, 0, 0, false}, one_part = {0, 0, 0, 1, false};

static double nominal(const struct model_shape *shape, struct part part, uint32_t position, double rows)
{
    return part_seconds(NULL, shape, part, position, rows, rows);
}

/* A curve of `to` as `from` has it of another part. */
static void derive_curve(struct curve *to, const struct curve *from, const struct model_shape *shape, struct part part, struct part of)
{
    *to = *from;
    for (uint32_t i = 0; i < to->n; i++)
        to->seconds[i] *= nominal(shape, part, 0, to->rows[i]) / nominal(shape, of, 0, to->rows[i]);
}

/* A curve that ends among few rows is level still, as reading the weights is, and says nothing of many, which take arithmetic. */
static bool lengthen(struct curve *c, const struct model_shape *shape, struct part part)
{
    if (!c->n || c->n == CURVE_POINTS || c->rows[c->n - 1] >= MANY_ROWS) return false;
    const double rows = c->rows[c->n - 1], last = c->seconds[c->n - 1];
    c->seconds[c->n] = last * nominal(shape, part, 0, MANY_ROWS) / nominal(shape, part, 0, rows);
    c->rows[c->n++] = MANY_ROWS;
    return true;
}

static double times_nominal(const struct speed *v, const struct model_shape *shape, double rows)
{
    return curve_seconds(&v->local, rows) / nominal(shape, one_layer, 0, rows);
}

/* By how much a row takes longer far into a context, where the layer is a global one: as a share of the whole. */
static double derive_key(const struct speed *v, const struct model_shape *shape)
{
    uint32_t layer = 0;
    while (layer + 1 < shape->config.layers && !layer_is_global(&shape->config, layer)) layer++;
    const struct part there = {layer, layer + 1, 0, 0, false};
    const double far = layer_is_global(&shape->config, layer) || shape->config.window > FAR ? FAR : shape->config.window - 1;
    return far > 0 ? (nominal(shape, there, (uint32_t)far, 1) - nominal(shape, there, 0, 1)) / far * times_nominal(v, shape, 1) : 0;
}

static double derive_picture(const struct speed *v, const struct model_shape *shape, enum vision_type as)
{
    static const struct part middle = {.first = 1, .end = 2};
    struct tensor list[V_LAYER_ROLES];
    vision_part_tensors(shape->encoder, middle, list);
    return vision_seconds(&shape->encoder->config, middle, list, as) * times_nominal(v, shape, PICTURE_ROWS);
}

uint32_t speed_derive(struct speed *v, const struct model_shape *shape, enum vision_type as)
{
    uint32_t missing = 0;
    if (!v->local.n && !v->head_part.n) return DERIVED_ALL;
    if (lengthen(&v->local, shape, one_layer)) missing |= DERIVED_LAYERS;
    if (lengthen(&v->head_part, shape, one_part)) missing |= DERIVED_HEAD;
    if (!v->local.n) missing |= DERIVED_LAYERS, derive_curve(&v->local, &v->head_part, shape, one_layer, one_part);
    if (!v->head_part.n) missing |= DERIVED_HEAD, derive_curve(&v->head_part, &v->local, shape, one_part, one_layer);
    v->global = v->local;
    if (!(v->key > 0)) missing |= DERIVED_LOOKING_BACK, v->key = derive_key(v, shape);
    if (shape->encoder && shape->encoder->config.layers > 2 && !(v->picture_layer > 0))
        missing |= DERIVED_PICTURES, v->picture_layer = derive_picture(v, shape, as);
    return missing;
}
