/* partition/model/vision_config.c — an encoder's sizes, held against what the engine can carry. */
#include "partition/model/vision_config.h"

#include <stddef.h>


/* The real encoder has 27 layers, 1152 wide, 4304 in its ffn, 4096 patches. */
#define MAX_LAYERS 1024
#define MAX_WIDTH 16384
#define MAX_FFN 65536
#define MAX_IMAGE 8192
#define MAX_PATCH 256
#define MAX_PATCHES 65536
#define MAX_HEAD_DIM 512
#define MAX_HIDDEN 65536

static int check_patches(const struct vision_config *c, const char *from, struct err *why)
{
    if (c->image % c->patch)
        return fail(why, E_FILE, "%s: a picture of %u pixels is not whole patches of %u", from, c->image, c->patch);
    uint32_t side = vision_side(c);
    if (side > MAX_PATCHES / side)
        return fail(why, E_FILE, "%s: a picture has %u by %u patches, wanted %d in all at most", from, side, side,
                    MAX_PATCHES);
    if (c->pool > side || side % c->pool)
        return fail(why, E_FILE, "%s: %u patches along a side cannot be pooled by %u", from, side, c->pool);
    if (c->width % c->heads || c->width / c->heads > MAX_HEAD_DIM)
        return fail(why, E_FILE, "%s: %u values a patch over %u heads; wanted whole heads of at most %d", from,
                    c->width, c->heads, MAX_HEAD_DIM);
    return 0;
}

int vision_config_check(const struct vision_config *c, const char *from, struct err *why)
{
    const struct {
        const char *name;
        uint32_t value, most;
    } sizes[] = {
        {"picture size", c->image, MAX_IMAGE}, {"patch size", c->patch, MAX_PATCH},
        {"vision layers", c->layers, MAX_LAYERS}, {"vision width", c->width, MAX_WIDTH},
        {"vision ffn size", c->ffn, MAX_FFN}, {"vision heads", c->heads, MAX_WIDTH},
        {"pooling", c->pool, MAX_IMAGE}, {"projected size", c->hidden, MAX_HIDDEN},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
            return fail(why, E_FILE, "%s: %s is %u, wanted 1 to %u", from, sizes[i].name, sizes[i].value,
                        sizes[i].most);
    TRY(check_patches(c, from, why));
    if (!(c->norm_epsilon >= 0 && c->norm_epsilon <= 1)) /* written so that NaN fails */
        return fail(why, E_FILE, "%s: norm epsilon of the encoder is %g, wanted 0 to 1", from, (double)c->norm_epsilon);
    for (int i = 0; i < 3; i++)
        if (!(c->mean[i] >= -10 && c->mean[i] <= 10 && c->deviation[i] >= 1e-3f && c->deviation[i] <= 1e3f))
            return fail(why, E_FILE, "%s: pixels have mean %g and deviation %g, which is absurd", from,
                        (double)c->mean[i], (double)c->deviation[i]);
    return 0;
}

int vision_config_fits(const struct vision_config *c, uint32_t hidden, const char *from, struct err *why)
{
    if (c->hidden == hidden) return 0;
    return fail(why, E_FILE, "%s makes rows of %u values and the text model has %u: they belong to different models",
                from, c->hidden, hidden);
}
