/* tests/support/world_things.h — what all worlds of world.h have in common: a small model, a small encoder, and some pictures. */
#pragma once

#include "partition/file/encoder_file.h"
#include "partition/file/model_file.h"

#define WORLD_PICTURES 40     /* more than a coordinator keeps rows of */
#define WORLD_PICTURE_ROWS 4

struct world_picture {
    char name[40], path[300];
    struct hash128 pixels;
    uint64_t patches; /* a hash of them */
    uint64_t row[WORLD_PICTURE_ROWS]; /* what the encoder makes of it, if a hash computes */
};

struct world_things {
    struct model *model;
    struct vision_model *encoder;
    struct world_picture picture[WORLD_PICTURES];
};

int world_things_open(struct world_things *t, const char *folder, struct err *why); /* files in the folder */
void world_things_close(struct world_things *t);
