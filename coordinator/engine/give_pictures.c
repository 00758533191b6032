/* coordinator/engine/give_pictures.c — see give_pictures.h. */
#include "coordinator/engine/give_pictures.h"

struct content prompt_pictures_content(const struct prompt_pictures *all, size_t picture)
{
    return (struct content){.crops = all->of[picture].crops};
}

static int give(struct prompt_picture *picture, struct pictures *ps, struct err *why)
{
    if (picture->given) return 0;
    for (uint32_t i = 0; i <= picture->crops; i++) {
        int code = pictures_add(ps, &picture->squares[i], &picture->numbers[i], why);
        if (code) {
            while (i-- > 0) pictures_release(ps, picture->numbers[i]);
            return code;
        }
    }
    picture->given = true;
    return 0;
}

int prompt_pictures_give(struct prompt_pictures *all, struct pictures *ps, size_t first, struct picture_spans *spans, size_t from,
                         struct err *why)
{
    for (size_t i = from; i < spans->n; i++) {
        struct picture_span *s = &spans->span[i];
        struct prompt_picture *picture = &all->of[first + s->picture];
        TRY(give(picture, ps, why));
        s->picture = picture->numbers[s->crop];
    }
    return 0;
}

void prompt_pictures_take_back(struct prompt_pictures *all, struct pictures *ps)
{
    for (size_t i = 0; i < all->n && ps; i++) {
        for (uint32_t k = 0; k <= all->of[i].crops && all->of[i].given; k++) pictures_release(ps, all->of[i].numbers[k]);
        all->of[i].given = false;
    }
}
