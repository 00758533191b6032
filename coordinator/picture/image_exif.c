/* coordinator/picture/image_exif.c — the one number of EXIF that changes a picture: which way up it is, and the turning itself.
 *
 * EXIF is a small TIFF file: a directory of 12-byte entries at an offset that the header names. Only entry 0x0112 of
 * the first directory is looked at. Anything odd means "upright": cameras write strange things, and a picture that lies
 * on its side is better than none. */
#include "coordinator/picture/image_header.h"

#include <stdlib.h>
#include <string.h>

#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT 3
#define ENTRY_BYTES 12
#define TILE 32 /* pixels: a tile of source and target lie in the first cache together */

struct tiff {
    const uint8_t *b;
    size_t n;
    bool big_endian;
};

static uint32_t get(const struct tiff *t, size_t at, size_t bytes)
{
    uint32_t v = 0;
    for (size_t i = 0; i < bytes; i++) v = v << 8 | t->b[at + (t->big_endian ? i : bytes - 1 - i)];
    return v;
}

int image_exif_orientation(const uint8_t *tiff, size_t n)
{
    if (n < 8 || (memcmp(tiff, "II*\0", 4) && memcmp(tiff, "MM\0*", 4))) return 1;
    struct tiff t = {tiff, n, tiff[0] == 'M'};
    size_t at = get(&t, 4, 4);
    if (at > n - 2) return 1;
    size_t entries = get(&t, at, 2), fit = (n - at - 2) / ENTRY_BYTES;
    at += 2;
    for (size_t i = 0; i < entries && i < fit; i++, at += ENTRY_BYTES) {
        if (get(&t, at, 2) != TAG_ORIENTATION) continue;
        uint32_t value = get(&t, at + 8, 2);
        bool sound = get(&t, at + 2, 2) == TYPE_SHORT && get(&t, at + 4, 4) == 1 && value >= 1 && value <= 8;
        return sound ? (int)value : 1;
    }
    return 1;
}

/* Where the pixel at (x, y) of the upright picture lies in the stored one: axes swapped from 5 on, then mirrored. */
struct turn_rule {
    bool swap, mirror_x, mirror_y; /* mirrors in terms of the stored picture */
};

static void turn_tile(struct image *to, const struct image *from, struct turn_rule rule, uint32_t x0, uint32_t y0)
{
    uint32_t x1 = to->width - x0 < TILE ? to->width : x0 + TILE, y1 = to->height - y0 < TILE ? to->height : y0 + TILE;
    for (uint32_t y = y0; y < y1; y++) {
        uint8_t *out = to->rgb + ((size_t)y * to->width + x0) * 3;
        for (uint32_t x = x0; x < x1; x++, out += 3) {
            uint32_t u = rule.swap ? y : x, v = rule.swap ? x : y;
            if (rule.mirror_x) u = from->width - 1 - u;
            if (rule.mirror_y) v = from->height - 1 - v;
            memcpy(out, from->rgb + ((size_t)v * from->width + u) * 3, 3);
        }
    }
}

int image_turn(struct image *image, int orientation, struct err *why)
{
    if (orientation <= 1) return 0;
    int o = orientation;
    struct turn_rule rule = {o >= 5, o == 2 || o == 3 || o == 7 || o == 8, o == 3 || o == 4 || o == 6 || o == 7};
    struct image turned = {rule.swap ? image->height : image->width, rule.swap ? image->width : image->height, 0};
    turned.rgb = malloc((size_t)turned.width * turned.height * 3);
    if (!turned.rgb)
        return fail(why, E_MEMORY, "no memory to turn a picture of %u × %u pixels", image->width, image->height);
    for (uint32_t y = 0; y < turned.height; y += TILE)
        for (uint32_t x = 0; x < turned.width; x += TILE) turn_tile(&turned, image, rule, x, y);
    image_free(image);
    *image = turned;
    return 0;
}
