/* partition/model/vision_config.h — the sizes of Gemma 3's picture encoder, from an mmproj file or from the wire.
 *
 * A picture is `image` by `image` pixels, cut into square patches of `patch` by `patch`; each patch is a row of `width`
 * values on its way through the layers. At the end `pool` by `pool` neighbouring patches become one row, which the
 * projector turns into a row of the text model's `hidden` values. */
#pragma once

#include "base/error.h"

#include <stdint.h>

struct vision_config {
    uint32_t image, patch; /* pixels along a side */
    uint32_t layers, width, ffn, heads;
    uint32_t pool;   /* patches along the side of what becomes one row */
    uint32_t hidden; /* of the text model */
    float norm_epsilon;
    float mean[3], deviation[3]; /* of the pixels, for whoever prepares them */
};

/* Bounds that every use relies on: nothing zero, patches and pools that come out even, heads that divide the width, every
 * product used for a size far from wrapping. `from` names the source. */
int vision_config_check(const struct vision_config *c, const char *from, struct err *why);

/* Do the encoder's rows fit a text model with `hidden` values a row? E_FILE naming both numbers if not. */
int vision_config_fits(const struct vision_config *c, uint32_t hidden, const char *from, struct err *why);

static inline uint32_t vision_side(const struct vision_config *c) /* patches along a side */
{
    return c->image / c->patch;
}

static inline uint32_t vision_patches(const struct vision_config *c)
{
    return vision_side(c) * vision_side(c);
}

static inline uint32_t vision_tokens(const struct vision_config *c)
{
    return vision_patches(c) / (c->pool * c->pool);
}

/* Values of one patch: colour by colour, line by line. */
static inline uint32_t vision_pixels(const struct vision_config *c)
{
    return 3 * c->patch * c->patch;
}

static inline uint32_t vision_head_dim(const struct vision_config *c)
{
    return c->width / c->heads;
}
