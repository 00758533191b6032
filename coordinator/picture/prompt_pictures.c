/* coordinator/picture/prompt_pictures.c — see prompt_pictures.h. */
#include "coordinator/picture/prompt_pictures.h"

#include <stdlib.h>

static int cut(struct album_page *page, const struct image *picture, const struct album *a, struct err *why)
{
    struct image_box crops[IMAGE_CROPS_MOST];
    page->crops = a->pan_and_scan ? (uint32_t)image_crops(picture->width, picture->height, crops) : 0;
    TRY(image_resize(&page->squares[0], picture, image_whole(picture), a->side, a->side, why));
    for (uint32_t i = 0; i < page->crops; i++) TRY(image_resize(&page->squares[i + 1], picture, crops[i], a->side, a->side, why));
    return 0;
}

int album_add(struct album *a, const char *name, struct err *why)
{
    if (a->n == a->room) {
        size_t room = a->room ? 2 * a->room : 4;
        struct album_page *more = realloc(a->page, room * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for another picture");
        a->page = more;
        a->room = room;
    }
    struct image picture = {0};
    struct album_page page = {0};
    TRY(image_open(&picture, name, NULL, why));
    int code = cut(&page, &picture, a, why);
    image_free(&picture);
    for (int i = 0; code && i <= IMAGE_CROPS_MOST; i++) image_free(&page.squares[i]);
    if (!code) a->page[a->n++] = page;
    return code;
}

void album_close(struct album *a)
{
    for (size_t i = 0; i < a->n; i++)
        for (uint32_t k = 0; k <= a->page[i].crops; k++) image_free(&a->page[i].squares[k]);
    free(a->page);
    *a = (struct album){0};
}
