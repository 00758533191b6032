/* coordinator/picture/prompt_pictures.c — see prompt_pictures.h. */
#include "coordinator/picture/prompt_pictures.h"

#include <stdlib.h>

static int cut(struct prompt_picture *one, const struct image *picture, const struct prompt_pictures *all, struct err *why)
{
    struct image_box crops[IMAGE_CROPS_MOST];
    one->crops = all->pan_and_scan ? (uint32_t)image_crops(picture->width, picture->height, crops) : 0;
    TRY(image_resize(&one->squares[0], picture, image_whole(picture), all->side, all->side, why));
    for (uint32_t i = 0; i < one->crops; i++) TRY(image_resize(&one->squares[i + 1], picture, crops[i], all->side, all->side, why));
    return 0;
}

int prompt_pictures_add(struct prompt_pictures *all, const char *name, struct err *why)
{
    if (all->n == all->room) {
        size_t room = all->room ? 2 * all->room : 4;
        struct prompt_picture *more = realloc(all->of, room * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for another picture");
        all->of = more;
        all->room = room;
    }
    struct image picture = {0};
    struct prompt_picture one = {0};
    struct image_limits limits = IMAGE_LIMITS;
    if (all->memory) limits.memory = all->memory;
    TRY(image_open(&picture, name, &limits, why));
    int code = cut(&one, &picture, all, why);
    image_free(&picture);
    for (int i = 0; code && i <= IMAGE_CROPS_MOST; i++) image_free(&one.squares[i]);
    if (!code) all->of[all->n++] = one;
    return code;
}

void prompt_pictures_close(struct prompt_pictures *all)
{
    for (size_t i = 0; i < all->n; i++)
        for (uint32_t k = 0; k <= all->of[i].crops; k++) image_free(&all->of[i].squares[k]);
    free(all->of);
    *all = (struct prompt_pictures){0};
}
