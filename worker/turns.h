/* worker/turns.h — rows or a picture: what a stage that has both computes next.
 *
 * A layer of a picture takes a second where a micro-batch of tokens takes milliseconds, and everyone who is answering
 * waits for that micro-batch. So rows pass pictures, also between two layers of the same picture. But not for ever: a picture gets its
 * next layer when rows have had as much time as its last layer took, so while both wait each has half of the stage.
 * Which comes first changes no result. Times in, a choice out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct turns {
    uint64_t layer_ns; /* the last layer of a picture took */
    uint64_t rows_ns;  /* rows have had since */
};

static inline bool turns_picture_next(const struct turns *t, bool rows_wait, bool picture_waits)
{
    return picture_waits && (!rows_wait || t->rows_ns >= t->layer_ns);
}

static inline void turns_took(struct turns *t, bool picture, uint64_t ns)
{
    if (picture) *t = (struct turns){.layer_ns = ns};
    else t->rows_ns += ns;
}
