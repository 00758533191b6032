/* coordinator/engine/give_pictures.c — see give_pictures.h. */
#include "coordinator/engine/give_pictures.h"

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

int album_give(struct album *a, struct pictures *ps, size_t first, struct picture_spans *spans, size_t from, struct err *why)
{
    for (size_t i = from; i < spans->n; i++) {
        struct picture_span *s = &spans->span[i];
        struct album_page *page = &a->page[first + s->picture];
        TRY(give(page, ps, why));
        s->picture = page->numbers[s->crop];
    }
    return 0;
}

void album_take_back(struct album *a, struct pictures *ps)
{
    for (size_t i = 0; i < a->n && ps; i++) {
        for (uint32_t k = 0; k <= a->page[i].crops && a->page[i].given; k++) pictures_release(ps, a->page[i].numbers[k]);
        a->page[i].given = false;
    }
}
