/* coordinator/engine/give_pictures.c — see give_pictures.h. */
#include "coordinator/engine/give_pictures.h"

struct content prompt_pictures_content(const struct prompt_pictures *all, size_t picture)
{
    return (struct content){.crops = all->of[picture].crops};
}

static int give(struct prompt_pictures *all, size_t number, struct pictures *ps, struct err *why)
{
    struct prompt_picture *picture = &all->of[number];
    if (picture->given) return 0;
    TRY(prompt_pictures_read(all, number, why));
    for (uint32_t i = 0; i <= picture->crops; i++) {
        int code = pictures_add(ps, &picture->squares[i], &picture->origins[i], &picture->numbers[i], why);
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
        const size_t number = first + s->picture;
        TRY(give(all, number, ps, why));
        s->picture = all->of[number].numbers[s->crop];
    }
    return 0;
}

void prompt_pictures_take_some_back(struct prompt_pictures *all, struct pictures *ps, size_t first, size_t n)
{
    for (size_t i = first; ps && i < first + n; i++) {
        struct prompt_picture *one = &all->of[i];
        for (uint32_t k = 0; k <= one->crops && one->given; k++) pictures_release(ps, one->numbers[k]);
        one->given = false;
    }
}

void prompt_pictures_take_back(struct prompt_pictures *all, struct pictures *ps)
{
    prompt_pictures_take_some_back(all, ps, 0, all->n);
}
