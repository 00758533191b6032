/* coordinator/engine/give_pictures.h — pictures that were read for prompts become pictures the engine knows.
 *
 * The engine gets a square once, however many prompts show it; from then on it has a number, until it is taken back. */
#pragma once

#include "coordinator/engine/pictures.h"
#include "coordinator/picture/prompt_pictures.h"
#include "coordinator/text/prompt.h"

/* The picture as a part of a prompt. */
struct content prompt_pictures_content(const struct prompt_pictures *all, size_t picture);

/* Gives the engine what it does not have yet. The spans from `from` on, which count their pictures from `first`, get the engine's
 * numbers instead. A reference to each stays with `all` until prompt_pictures_take_back. */
int prompt_pictures_give(struct prompt_pictures *all, struct pictures *ps, size_t first, struct picture_spans *spans, size_t from,
                         struct err *why);

/* Gives the references back, of all or of n from `first` on; what asks still hold stays. `ps` NULL: nothing was given. */
void prompt_pictures_take_back(struct prompt_pictures *all, struct pictures *ps);
void prompt_pictures_take_some_back(struct prompt_pictures *all, struct pictures *ps, size_t first, size_t n);
