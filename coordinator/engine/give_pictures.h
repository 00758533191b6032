/* coordinator/engine/give_pictures.h — pictures that were read for prompts become pictures the engine knows.
 *
 * The engine gets a square once, however many prompts show it; from then on it has a number. */
#ifndef COORDINATOR_ENGINE_GIVE_PICTURES_H
#define COORDINATOR_ENGINE_GIVE_PICTURES_H

#include "coordinator/engine/pictures.h"
#include "coordinator/picture/prompt_pictures.h"
#include "coordinator/text/prompt.h"

/* The picture as a part of a prompt. */
struct content album_content(const struct album *a, size_t page);

/* Gives the engine what it does not have yet. The spans from `from` on, whose pictures count from page `first` of the album, get its
 * numbers. The album holds a reference to each until album_take_back. */
int album_give(struct album *a, struct pictures *ps, size_t first, struct picture_spans *spans, size_t from, struct err *why);

/* Gives the references back; what asks still hold stays. `ps` NULL: nothing was given. */
void album_take_back(struct album *a, struct pictures *ps);

#endif
