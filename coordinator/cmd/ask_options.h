/* coordinator/cmd/ask_options.h — one question as the command line says it: pictures, a text, perhaps a system's word; to ids. */
#ifndef COORDINATOR_CMD_ASK_OPTIONS_H
#define COORDINATOR_CMD_ASK_OPTIONS_H

#include "coordinator/picture/prompt_pictures.h"
#include "coordinator/cmd/session.h"

struct question {
    const char *text;
    size_t n;
    size_t page, pages; /* of the album; they stand before the text */
};

/* An album for this session's encoder, with the pictures of --image in it; empty without an encoder. */
int question_album(struct album *out, const struct session *s, struct err *why);

/* Takes "/image FILE" off the beginning of a question, as often as it stands there, and puts the pictures into the album.
 * E_USAGE where there can be none: without an encoder, or beside --image. */
int question_pictures(struct question *q, struct album *a, const struct session *s, struct err *why);

/* Fills ids and spans; what --raw and --system say is heeded. */
int question_encode(const struct question *q, const struct album *a, const struct session *s, struct ids *ids, struct picture_spans *spans,
                    struct err *why);

/* Rows of a picture in a prompt; 0 without an encoder. */
uint32_t question_picture_rows(const struct session *s);

#endif
