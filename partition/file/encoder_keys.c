/* partition/file/encoder_keys.c — an encoder's sizes, read from the metadata of its mmproj file.
 *
 * Two generations of files are about: older ones also say that there is no text encoder and no llava projector. What
 * both say is required; what only one says must not contradict it. */
#include "partition/file/encoder_file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define USUAL_POOL 4

static int check_architecture(const struct gguf *g, struct err *why)
{
    struct gguf_string arch, projector;
    char name[GGUF_SHOWN];
    TRY(gguf_text(g, "general.architecture", &arch, why));
    gguf_show_text(name, arch);
    TRY(gguf_refuse_ollamas(g, why));
    if (gguf_text_is(arch, "gemma3"))
        return fail(why, E_FILE, "%s holds a text model; wanted its picture encoder, the mmproj file", gguf_path(g, 0));
    if (!gguf_text_is(arch, "clip"))
        return fail(why, E_FILE, "%s is of architecture \"%s\"; a picture encoder says \"clip\"", gguf_path(g, 0), name);
    if (!gguf_has(g, "clip.projector_type"))
        return fail(why, E_FILE, "%s does not say for which model it is (clip.projector_type)", gguf_path(g, 0));
    TRY(gguf_text(g, "clip.projector_type", &projector, why));
    gguf_show_text(name, projector);
    if (!gguf_text_is(projector, "gemma3"))
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
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) TRY(gguf_u32(g, sizes[i].key, sizes[i].to, why));
    if (gguf_has(g, "clip.vision.projector.scale_factor"))
        TRY(gguf_u32(g, "clip.vision.projector.scale_factor", &c.pool, why));
    TRY(gguf_f32(g, "clip.vision.attention.layer_norm_epsilon", &c.norm_epsilon, why));
    TRY(read_three(g, "clip.vision.image_mean", c.mean, why));
    TRY(read_three(g, "clip.vision.image_std", c.deviation, why));
    TRY(vision_config_check(&c, gguf_path(g, 0), why));
    *out = c;
    return 0;
}
