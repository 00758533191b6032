/* coordinator/cmd/typed_prompt.h — from one prompt as it was typed (pictures, a text, perhaps a system text before it) to token ids. */
#pragma once

#include "coordinator/picture/prompt_pictures.h"
#include "coordinator/cmd/session.h"

struct typed_prompt {
    const char *text;
    size_t n;
    size_t first_picture, pictures; /* its pictures, which stand before the text: the first, and how many */
};

/* The pictures of --image, cut to the size of this session's encoder; none without an encoder. */
int typed_prompt_images(struct prompt_pictures *out, const struct session *s, struct err *why);

/* Takes "/image FILE" off the beginning of a prompt, as often as it stands there, and adds the pictures to `all`, to be read later. A
 * name with blanks stands in quotes.
 * E_USAGE where there can be none: without an encoder, or beside --image. */
int typed_prompt_take_images(struct typed_prompt *t, struct prompt_pictures *all, const struct session *s, struct err *why);

/* Fills ids and spans; what --raw and --system say is heeded. */
int typed_prompt_encode(const struct typed_prompt *t, const struct prompt_pictures *all, const struct session *s, struct ids *ids,
                        struct picture_spans *spans, struct err *why);

/* Tells a person whose text has control tokens, a pasted template, what becomes of them. False if there is nothing to tell. */
bool typed_prompt_hint(const struct typed_prompt *t, const struct session *s);

/* Rows of a picture in a prompt; 0 without an encoder. */
uint32_t typed_prompt_picture_rows(const struct session *s);
