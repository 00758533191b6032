/* coordinator/picture/prompt_pictures.c — see prompt_pictures.h. */
#include "coordinator/picture/prompt_pictures.h"

#include <stdlib.h>
#include <string.h>

static int cut(struct prompt_picture *one, const struct image *picture, const struct prompt_pictures *all, struct err *why)
{
    struct image_box crops[IMAGE_CROPS_MOST];
    one->crops = all->pan_and_scan ? (uint32_t)image_crops(picture->width, picture->height, crops) : 0;
    for (uint32_t i = 0; i <= one->crops; i++) {
        one->origins[i].box = i ? crops[i - 1] : image_whole(picture);
        TRY(image_resize(&one->squares[i], picture, one->origins[i].box, all->side, all->side, why));
    }
    return 0;
}

static void forget_squares(struct prompt_picture *one)
{
    for (int i = 0; i <= IMAGE_CROPS_MOST; i++) {
        image_free(&one->squares[i]);
        image_source_release(&one->origins[i].source);
    }
}

/* Where they are fewer than the pixels: else nothing is gained by making these again. */
static void keep_bytes(struct prompt_picture *one, struct image_bytes *bytes, uint64_t memory, uint32_t side)
{
    struct image_source *s = bytes->n < image_patches_floats(side) ? malloc(sizeof *s) : NULL;
    if (!s) return;
    *s = (struct image_source){.users = 1 + one->crops, .memory = memory, .bytes = *bytes};
    s->bytes.name = "a picture";
    *bytes = (struct image_bytes){0};
    for (uint32_t i = 0; i <= one->crops; i++) one->origins[i].source = s;
}

static int read_picture(struct prompt_picture *one, const char *name, const struct prompt_pictures *all, struct err *why)
{
    struct image picture = {0};
    struct image_limits limits = IMAGE_LIMITS;
    if (all->memory) limits.memory = all->memory;
    forget_squares(one);
    struct image_bytes bytes;
    TRY(image_read(&bytes, name, &limits, why));
    int code = image_decode(&picture, &bytes, &limits, why);
    if (!code) code = cut(one, &picture, all, why);
    image_free(&picture);
    if (!code) keep_bytes(one, &bytes, limits.memory, all->side);
    image_bytes_free(&bytes);
    if (code) forget_squares(one);
    return code;
}

static int append(struct prompt_pictures *all, const struct prompt_picture *one, struct err *why)
{
    if (all->n == all->room) {
        size_t room = all->room ? 2 * all->room : 4;
        struct prompt_picture *more = realloc(all->of, room * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for another picture");
        all->of = more;
        all->room = room;
    }
    all->of[all->n++] = *one;
    return 0;
}

int prompt_pictures_add(struct prompt_pictures *all, const char *name, struct err *why)
{
    struct prompt_picture one = {0};
    int code = read_picture(&one, name, all, why);
    if (!code) code = append(all, &one, why);
    if (code) forget_squares(&one);
    return code;
}

int prompt_pictures_add_later(struct prompt_pictures *all, const char *name, struct err *why)
{
    struct prompt_picture one = {0};
    if (!strcmp(name, "-")) return prompt_pictures_add(all, name, why); /* stdin cannot be read again */
    if (all->pan_and_scan) TRY(read_picture(&one, name, all, why));
    forget_squares(&one);
    one.name = strdup(name);
    const int code = one.name ? append(all, &one, why) : fail(why, E_MEMORY, "no memory for the name of a picture");
    if (code) free(one.name);
    return code;
}

int prompt_pictures_read(struct prompt_pictures *all, size_t picture, struct err *why)
{
    struct prompt_picture *one = &all->of[picture];
    const uint32_t crops = one->crops;
    if (!one->name) return 0;
    TRY(read_picture(one, one->name, all, why));
    if (one->crops == crops) return 0;
    one->crops = crops;
    return fail(why, E_FILE, "%s is another picture than when it was first read", one->name);
}

void prompt_pictures_close(struct prompt_pictures *all)
{
    for (size_t i = 0; i < all->n; i++) {
        forget_squares(&all->of[i]);
        free(all->of[i].name);
    }
    free(all->of);
    *all = (struct prompt_pictures){0};
}
