/* partition/model/vision_memory.c — one formula per buffer, used by the planner to count and by the worker to allocate.
 *
 * vision_config_check bounds every size: patches and columns are below 2^17, so products of three stay within 64 bits. */
#include "partition/model/vision_memory.h"

#include "base/checked.h"
#include "partition/model/memory.h"
#include "partition/format/panels.h"
#include "partition/format/tiles.h"

/* Room in a frame for everything but rows. */
#define FRAME_EXTRA (64ull << 10)

static uint64_t floats(uint64_t n)
{
    return (n * sizeof(float) + 63) / 64 * 64;
}

static uint64_t shorts(uint64_t n)
{
    return (n * sizeof(int16_t) + 63) / 64 * 64;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t vision_attend_bytes(uint32_t head_dim)
{
    return floats(VISION_ATTEND_TILE * ((uint64_t)SHORT_KEYS + head_dim + (head_dim + 1) / 2));
}

uint64_t vision_floats_in(const struct vision_config *c, struct part s)
{
    return (uint64_t)vision_patches(c) * (s.front ? vision_pixels(c) : c->width);
}

uint64_t vision_floats_out(const struct vision_config *c, struct part s)
{
    return part_has_back(s) ? (uint64_t)vision_tokens(c) * c->hidden : (uint64_t)vision_patches(c) * c->width;
}

/* Float32 math: queries as they are; pages of keys and values as those of text, behind a pointer to each. */
static void exact_attention(struct vision_scratch *b, const struct vision_config *c)
{
    const uint64_t patches = vision_patches(c), pages = round_up(patches, KV_PAGE) / KV_PAGE;
    b->queries = floats(patches * c->width);
    b->keys = (pages * sizeof(void *) + 63) / 64 * 64 + pages * 2 * c->heads * kv_half_bytes(vision_head_dim(c), KV_F32);
    b->values = 0;
    b->attend = attend_bytes(vision_head_dim(c));
    b->tiles = sgemm_bytes(VISION_ROWS);
}

struct vision_scratch vision_scratch(const struct vision_config *c, struct part s, enum vision_type as, int threads)
{
    const uint64_t patches = vision_patches(c), dim = vision_head_dim(c);
    const uint64_t places = round_up(patches, PANEL_ROWS), pieces = round_up(patches, SHORT_KEYS) / SHORT_KEYS;
    const uint64_t even = c->heads * round_up(dim, 2);
    struct vision_scratch b = {
        .stream = floats(patches * c->width),
        .queries = floats(round_up(patches * c->heads, 16)) + shorts(patches * even),
        .keys = floats(places * c->heads) + shorts(places * even),
        .values = floats(round_up(pieces * c->width, 16)) + shorts(round_up(patches, 2) * c->width),
        .tokens = part_has_back(s) ? floats((uint64_t)vision_tokens(c) * c->width) : 0,
        .narrow = floats(VISION_ROWS * (uint64_t)c->width),
        .wide = floats(most(VISION_ROWS * most(c->ffn, 3 * (uint64_t)c->width),
                            8 * most(c->hidden, vision_pixels(c)) + 256)), /* also the room for loading */
        .acts = act_bytes(VISION_ROWS, (uint32_t)most(most(c->ffn, c->width), vision_pixels(c))),
        .attend = vision_attend_bytes((uint32_t)dim),
    };
    if (as == VISION_FLOAT32) exact_attention(&b, c);
    uint64_t each = b.narrow + b.wide + b.acts + b.attend + b.tiles;
    b.total = b.stream + b.queries + b.keys + b.values + b.tokens + each * (uint64_t)(threads > 0 ? threads : 1);
    return b;
}

uint64_t vision_tensor_bytes(const struct tensor *t, enum vision_type as)
{
    struct vision_kept k = vision_kept(t, as);
    if (vision_role_is_vector(t->role) || t->role == V_POSITIONS) return floats((uint64_t)k.rows * k.cols);
    return panels_bytes(k.type, k.rows, k.cols);
}

struct part_bytes vision_part_bytes(const struct vision_config *c, struct part s,
                                 const struct tensor *tensors, enum vision_type as, uint32_t in_flight,
                                 int threads)
{
    struct part_bytes b = {.scratch = vision_scratch(c, s, as, threads).total};
    for (size_t i = 0; i < part_count(CHAIN_VISION, s); i++) b.weights += vision_tensor_bytes(&tensors[i], as);
    uint64_t frame = floats(most(vision_floats_in(c, s), vision_floats_out(c, s))) + FRAME_EXTRA;
    b.frames = ((uint64_t)in_flight + 2) * frame;
    b.total = b.weights + b.scratch + b.frames;
    return b;
}

void vision_bytes_alone(struct part_bytes *b, enum vision_type as)
{
    const uint64_t runtime = runtime_bytes(as == VISION_FLOAT32);
    b->total += runtime - b->runtime;
    b->runtime = runtime;
}
