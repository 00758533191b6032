/* coordinator/picture/image_png.c — the chunks of a PNG: sizes, the memory that decoding takes, which way up, and whether each
 * chunk has the checksum that it says. The decoder skips checksums, and would show a damaged picture as if it were one. */
#include "coordinator/picture/image_header.h"

#include <string.h>

#define SIGNATURE 8 /* bytes */
#define AROUND 12   /* of a chunk: length and type before its data, checksum behind */

struct png_chunk {
    size_t at, n; /* of the data */
    const uint8_t *type;
};

static uint32_t be32(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* The chunk at *at, which then stands behind it; false at the end, behind IEND, or where it is not whole. */
static bool next_chunk(const struct image_bytes *in, size_t *at, struct png_chunk *c)
{
    if (in->n - *at < AROUND || be32(in->data + *at) > in->n - *at - AROUND) return false;
    *c = (struct png_chunk){*at + 8, be32(in->data + *at), in->data + *at + 4};
    *at = memcmp(c->type, "IEND", 4) ? *at + AROUND + c->n : in->n;
    return true;
}

/* stb_image holds the data inflated and the samples unpacked side by side; sixteen bits are halved last, in a copy. Passes
 * of an interlaced picture are unpacked beside the whole, the largest has half of its pixels. */
static uint64_t decoding(const struct image_header *h, const uint8_t *ihdr, bool has_transparency, size_t file)
{
    static const uint8_t samples[] = {1, 0, 3, 1, 2, 0, 4}; /* by kind of colour; 3 has a palette */
    uint32_t colour = ihdr[9] < sizeof samples ? ihdr[9] : 0, per_pixel = samples[colour];
    uint64_t pixels = (uint64_t)h->width * h->height, interlaced = ihdr[12] != 0;
    uint64_t inflated = ((uint64_t)h->width * ihdr[8] + 7) / 8 * per_pixel * h->height + h->height;
    uint64_t unpacked = pixels * (per_pixel + (has_transparency && colour != 3)) * (ihdr[8] == 16 ? 2 : 1);
    if (interlaced) inflated *= 2, unpacked += unpacked / 2;
    if (colour == 3) unpacked += 4 * pixels;
    return inflated + (unpacked > 2 * file ? unpacked : 2 * file);
}

int image_png_header(struct image_header *h, const struct image_bytes *in, struct err *why)
{
    if (in->n < 33) return image_cut_short(in, "PNG", why);
    if (memcmp(in->data + 12, "IHDR", 4))
        return fail(why, E_FILE, "%s is a damaged PNG, or one of Apple's private kind: it does not begin with IHDR",
                    in->name);
    struct png_chunk c;
    bool has_transparency = false;
    h->width = be32(in->data + 16);
    h->height = be32(in->data + 20);
    for (size_t at = SIGNATURE; next_chunk(in, &at, &c);) {
        has_transparency |= !memcmp(c.type, "tRNS", 4);
        if (!memcmp(c.type, "eXIf", 4)) h->orientation = image_exif_orientation(in->data + c.at, c.n);
    }
    h->decoding = decoding(h, in->data + 16, has_transparency, in->n);
    return 0;
}

uint32_t image_png_checksum(const uint8_t *b, size_t n)
{
    uint32_t table[256], sum = UINT32_MAX;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
    }
    for (size_t i = 0; i < n; i++) sum = sum >> 8 ^ table[(sum ^ b[i]) & 255];
    return ~sum;
}

int image_png_check(const struct image_bytes *in, struct err *why)
{
    struct png_chunk c;
    for (size_t at = SIGNATURE; next_chunk(in, &at, &c);) {
        uint32_t said = be32(c.type + 4 + c.n), found = image_png_checksum(c.type, 4 + c.n);
        if (said != found)
            return fail(why, E_FILE, "%s is a damaged PNG: the %zu bytes from byte %zu on have the checksum %08x, and it says %08x",
                        in->name, 4 + c.n, c.at - 4, found, said);
    }
    return 0;
}
