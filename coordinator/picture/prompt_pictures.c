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

struct content album_content(const struct album *a, size_t page)
{
    return (struct content){.crops = a->page[page].crops};
}

static int give(struct album_page *page, struct pictures *ps, struct err *why)
{
    if (page->given) return 0;
    for (uint32_t i = 0; i <= page->crops; i++) {
        int code = pictures_add(ps, &page->squares[i], &page->numbers[i], why);
        if (code) {
            while (i-- > 0) pictures_release(ps, page->numbers[i]);
            return code;
        }
    }
    page->given = true;
    return 0;
}

int album_bind(struct album *a, struct pictures *ps, size_t first, struct request *r, size_t from_span, struct err *why)
{
    struct picture_spans *spans = &r->spans;
    r->holds = true;
    for (size_t i = from_span; i < spans->n; i++) {
        struct picture_span *s = &spans->span[i];
        struct album_page *page = &a->page[first + s->picture];
        int code = give(page, ps, why);
        if (code) {
            spans->n = i; /* those before it have their numbers, and hold them */
            return code;
        }
        s->picture = page->numbers[s->crop];
        pictures_hold(ps, (uint32_t)s->picture);
    }
    return 0;
}

void album_close(struct album *a, struct pictures *ps)
{
    for (size_t i = 0; i < a->n; i++)
        for (uint32_t k = 0; k <= a->page[i].crops; k++) {
            if (a->page[i].given && ps) pictures_release(ps, a->page[i].numbers[k]);
            image_free(&a->page[i].squares[k]);
        }
    free(a->page);
    *a = (struct album){0};
}
