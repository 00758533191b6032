/* partition/format/tiles.h — sizes that kernels work in and that memory is planned by: one number for both. */
#pragma once

#define ACT_TILE 16          /* rows of activations that matmul takes at a time, at most */
#define SHORT_KEYS 128       /* keys that the encoder's attention takes at a time */
#define VISION_ATTEND_TILE 32 /* rows of the tallest tile of the encoder's attention, on any instruction set */
