/* coordinator/picture/prompt_pictures.h — the pictures of a command line or a conversation: read, and cut to the encoder's size.
 *
 * They are read before any worker is needed, so a damaged file is said at once; or, of many prompts with pictures of their own, when
 * the turn of their prompt comes, so that memory holds no more than the prompts under way need. A prompt names them by their place
 * here; the engine gives them numbers of its own (coordinator/engine/give_pictures.h). */
#pragma once

#include "coordinator/picture/image.h"

struct prompt_picture { /* one picture: the whole, then its crops */
    char *name; /* owned; NULL: it was read, and is not read again */
    struct image squares[1 + IMAGE_CROPS_MOST]; /* empty once the engine has them */
    struct image_origin origins[1 + IMAGE_CROPS_MOST]; /* of these; all have the same source */
    uint32_t numbers[1 + IMAGE_CROPS_MOST]; /* the engine's, if given */
    uint32_t crops;
    bool given;
};

struct prompt_pictures {
    uint32_t side; /* of the encoder's pictures */
    bool pan_and_scan;
    uint64_t memory; /* that reading one may take; 0: the usual limit */
    struct prompt_picture *of; /* [n] */
    size_t n, room;
};

/* Reads a picture and appends it. */
int prompt_pictures_add(struct prompt_pictures *all, const char *name, struct err *why);

/* Appends it, to be read when it is wanted: prompt_pictures_read. With pan_and_scan it is read now too, as its pieces are to be
 * counted. */
int prompt_pictures_add_later(struct prompt_pictures *all, const char *name, struct err *why);
int prompt_pictures_read(struct prompt_pictures *all, size_t picture, struct err *why);

void prompt_pictures_close(struct prompt_pictures *all);
