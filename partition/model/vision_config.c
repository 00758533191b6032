/* partition/model/vision_config.c — an encoder's sizes, read from metadata and held against what the engine can carry.
 *
 * Two generations of files are about: older ones also say that there is no text encoder and no llava projector. What
 * both say is required; what only one says must not contradict it. */
#include "partition/model/vision_config.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The real encoder has 27 layers, 1152 wide, 4304 in its ffn, 4096 patches. */
#define MAX_LAYERS 1024
#define MAX_WIDTH 16384
#define MAX_FFN 65536
#define MAX_IMAGE 8192
#define MAX_PATCH 256
#define MAX_PATCHES 65536
#define MAX_HEAD_DIM 512
#define MAX_HIDDEN 65536

#define USUAL_POOL 4

static bool text_is(struct gguf_string s, const char *word)
{
    return s.n == strlen(word) && !memcmp(s.text, word, s.n);
}

/* Foreign text as it may be shown. */
static void shown(char out[40], struct gguf_string s)
{
    size_t n = s.n < 39 ? s.n : 39;
    for (size_t i = 0; i < n; i++) out[i] = s.text[i] > 0x20 && s.text[i] < 0x7f ? s.text[i] : '?';
    out[n] = 0;
}

static int read_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *why)
{
    uint64_t v;
    TRY(gguf_u64(g, key, &v, why));
    if (v > UINT32_MAX) return fail(why, E_FILE, "%s: %s is %" PRIu64 ", which is absurd", gguf_path(g, 0), key, v);
    *out = (uint32_t)v;
    return 0;
}

static int check_architecture(const struct gguf *g, struct err *why)
{
    struct gguf_string arch, projector;
    char name[40];
    TRY(gguf_text(g, "general.architecture", &arch, why));
    shown(name, arch);
    if (text_is(arch, "gemma3"))
        return fail(why, E_FILE, "%s holds a text model; wanted its picture encoder, the mmproj file", gguf_path(g, 0));
    if (!text_is(arch, "clip"))
        return fail(why, E_FILE, "%s is of architecture \"%s\"; a picture encoder says \"clip\"", gguf_path(g, 0), name);
    if (!gguf_has(g, "clip.projector_type"))
        return fail(why, E_FILE, "%s does not say for which model it is (clip.projector_type)", gguf_path(g, 0));
    TRY(gguf_text(g, "clip.projector_type", &projector, why));
    shown(name, projector);
    if (!text_is(projector, "gemma3"))
        return fail(why, E_FILE, "%s is a picture encoder for \"%s\"; wanted one for gemma3", gguf_path(g, 0), name);
    return 0;
}

static int check_flags(const struct gguf *g, struct err *why)
{
    static const struct {
        const char *key;
        bool wanted;
    } flags[] = {{"clip.has_vision_encoder", true}, {"clip.use_gelu", true}, {"clip.has_text_encoder", false},
                 {"clip.has_llava_projector", false}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        bool is = flags[i].wanted;
        if (gguf_has(g, flags[i].key)) TRY(gguf_bool(g, flags[i].key, &is, why));
        if (is != flags[i].wanted)
            return fail(why, E_FILE, "%s: %s is %s, Gemma 3's encoder has it %s", gguf_path(g, 0), flags[i].key,
                        is ? "true" : "false", is ? "false" : "true");
    }
    return 0;
}

static int read_three(const struct gguf *g, const char *key, float out[3], struct err *why)
{
    struct gguf_array list;
    for (int i = 0; i < 3; i++) out[i] = 0.5f;
    if (!gguf_has(g, key)) return 0;
    TRY(gguf_list(g, key, &list, why));
    if (list.type != GGUF_F32 || list.count != 3)
        return fail(why, E_FILE, "%s: %s has %" PRIu64 " elements, wanted three floats", gguf_path(g, 0), key,
                    list.count);
    memcpy(out, list.data, 3 * sizeof *out);
    return 0;
}

int vision_config_read(struct vision_config *out, const struct gguf *g, struct err *why)
{
    struct vision_config c = {.pool = USUAL_POOL};
    const struct {
        const char *key;
        uint32_t *to;
    } sizes[] = {
        {"clip.vision.image_size", &c.image},
        {"clip.vision.patch_size", &c.patch},
        {"clip.vision.embedding_length", &c.width},
        {"clip.vision.feed_forward_length", &c.ffn},
        {"clip.vision.block_count", &c.layers},
        {"clip.vision.attention.head_count", &c.heads},
        {"clip.vision.projection_dim", &c.hidden},
    };
    TRY(check_architecture(g, why));
    TRY(check_flags(g, why));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) TRY(read_u32(g, sizes[i].key, sizes[i].to, why));
    if (gguf_has(g, "clip.vision.projector.scale_factor"))
        TRY(read_u32(g, "clip.vision.projector.scale_factor", &c.pool, why));
    TRY(gguf_f32(g, "clip.vision.attention.layer_norm_epsilon", &c.norm_epsilon, why));
    TRY(read_three(g, "clip.vision.image_mean", c.mean, why));
    TRY(read_three(g, "clip.vision.image_std", c.deviation, why));
    TRY(vision_config_check(&c, gguf_path(g, 0), why));
    *out = c;
    return 0;
}

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
