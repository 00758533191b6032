/* coordinator/picture/prompt_pictures.h — the pictures of a command line or a conversation: read, cut to size, numbered.
 *
 * They are read before any worker is needed, so a damaged file is said at once; they get their numbers when there is a
 * server. A prompt names them by their place in the album. */
#ifndef COORDINATOR_PICTURE_PROMPT_PICTURES_H
#define COORDINATOR_PICTURE_PROMPT_PICTURES_H

#include "coordinator/picture/image.h"
#include "coordinator/engine/pictures.h"
#include "coordinator/engine/request.h"

struct album_page { /* one picture: the whole, then its crops */
    struct image squares[1 + IMAGE_CROPS_MOST]; /* empty once the server has them */
    uint32_t numbers[1 + IMAGE_CROPS_MOST];
    uint32_t crops;
    bool given;
};

struct album {
    uint32_t side; /* of the encoder's pictures */
    bool pan_and_scan;
    struct album_page *page;
    size_t n, room;
};

/* Reads a picture and appends it. */
int album_add(struct album *a, const char *name, struct err *why);

/* The picture as a part of a prompt. */
struct content album_content(const struct album *a, size_t page);

/* Gives the server what it does not have yet, and the request's spans from `from_span` on, whose pictures count from page
 * `first`, their numbers. */
int album_bind(struct album *a, struct pictures *ps, size_t first, struct request *r, size_t from_span, struct err *why);

/* `ps` may be NULL if nothing was ever given. */
void album_close(struct album *a, struct pictures *ps);

#endif
