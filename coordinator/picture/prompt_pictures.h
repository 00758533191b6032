/* coordinator/picture/prompt_pictures.h — the pictures of a command line or a conversation: read, and cut to the encoder's size.
 *
 * They are read before any worker is needed, so a damaged file is said at once. A prompt names them by their place in the
 * album; the engine gives them numbers of its own (engine/give_pictures.h). */
#ifndef COORDINATOR_PICTURE_PROMPT_PICTURES_H
#define COORDINATOR_PICTURE_PROMPT_PICTURES_H

#include "coordinator/picture/image.h"

struct album_page { /* one picture: the whole, then its crops */
    struct image squares[1 + IMAGE_CROPS_MOST]; /* empty once the engine has them */
    uint32_t numbers[1 + IMAGE_CROPS_MOST]; /* the engine's, if given */
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

void album_close(struct album *a);

#endif
