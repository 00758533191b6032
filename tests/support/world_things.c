/* tests/support/world_things.c — see world_things.h. */
#define _GNU_SOURCE
#include "tests/support/world_things.h"

#include "coordinator/picture/image.h"
#include "partition/make/synth.h"
#include "tests/support/encoder_recipe.h"
#include "tests/support/hash_stage.h"

#define HIDDEN 32

static int make_model(struct world_things *t, const char *folder, struct err *why)
{
    struct synth s;
    char path[300];
    TRY(synth_size(&s, "tiny", why));
    s.layers = 6, s.hidden = HIDDEN, s.ffn = 32, s.heads = 2, s.kv_heads = 1, s.head_dim = 16, s.window = 64, s.context = 512, s.vocab = 362;
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    setenv("XDG_CACHE_HOME", folder, 1); /* what is kept from run to run is kept there */
    TRY(synth_write(&s, path, why));
    return model_open(&t->model, path, why);
}

static int write_file(const char *path, const void *bytes, size_t n, struct err *why)
{
    FILE *f = fopen(path, "wbe");
    const bool wrote = f && fwrite(bytes, 1, n, f) == n;
    return !f || fclose(f) || !wrote ? fail_errno(why, E_FILE, "%s cannot be written", path) : 0;
}

/* Of 4 × 4 patches 2 × 2 become a row. */
static void pool(struct forge *f)
{
    forge_u32(f, "clip.vision.projector.scale_factor", 2);
}

static int make_encoder(struct world_things *t, const char *folder, struct err *why)
{
    struct recipe r = plain;
    char path[300];
    r.hidden = r.made = HIDDEN;
    r.add = pool;
    struct forge *f = cook(&r);
    snprintf(path, sizeof path, "%s/encoder.gguf", folder);
    const int code = write_file(path, f->b, f->n, why);
    free(f);
    return code ? code : vision_open(&t->encoder, path, why);
}

static int make_picture(struct world_things *t, int i, const char *folder, struct err *why)
{
    const struct vision_config *c = &t->encoder->config;
    struct world_picture *p = &t->picture[i];
    struct image read, square = {0};
    char file[20 + 8 * 8 * 3];
    float patches[3 * 8 * 8];
    uint64_t noise = (uint64_t)i;
    const int side = i % 4 ? 4 : 8, head = sprintf(file, "P6 %d %d 255\n", side, side), n = head + side * side * 3; /* of what is large the bytes are not kept */
    for (int k = head; k < n; k++) file[k] = (char)dice(&noise, 256);
    snprintf(p->name, sizeof p->name, "picture-%d.ppm", i);
    snprintf(p->path, sizeof p->path, "%s/picture-%d.ppm", folder, i);
    TRY(write_file(p->path, file, (size_t)n, why));
    TRY(image_open(&read, p->path, NULL, why));
    int code = image_resize(&square, &read, image_whole(&read), c->image, c->image, why);
    if (!code) code = image_patches(patches, &square, c->patch, why);
    if (!code) p->pixels = hash128(square.rgb, (size_t)3 * c->image * c->image);
    image_free(&read);
    image_free(&square);
    p->patches = hash64(patches, sizeof patches);
    const uint64_t made = hash_picture(0, c->layers, p->patches);
    for (uint32_t k = 0; k < WORLD_PICTURE_ROWS; k++) p->row[k] = hash_picture_row(made, k);
    return code;
}

int world_things_open(struct world_things *t, const char *folder, struct err *why)
{
    *t = (struct world_things){0};
    TRY(make_model(t, folder, why));
    TRY(make_encoder(t, folder, why));
    if (vision_tokens(&t->encoder->config) != WORLD_PICTURE_ROWS || t->encoder->config.image != 8)
        return fail(why, E_INTERNAL, "the encoder makes %u rows of a picture", vision_tokens(&t->encoder->config));
    for (int i = 0; i < WORLD_PICTURES; i++) TRY(make_picture(t, i, folder, why));
    return 0;
}

void world_things_close(struct world_things *t)
{
    model_close(&t->model);
    vision_close(&t->encoder);
}
