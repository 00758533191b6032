/* coordinator/picture/image.h — from a picture's bytes to what the vision encoder eats.
 *
 *   file, stdin, data URL ─► bytes ─► RGB, upright, on white ─► exactly n × n ─► patches, normalised
 *        image_read                     image_decode            image_resize      image_patches
 *
 * Read are JPEG, PNG, WebP (still ones), BMP, GIF (its first frame), PNM (P1 to P6) and TGA; other kinds are named and
 * refused. The bytes are a stranger's: file size, sides and the memory that decoding takes are held against the limits from
 * the header alone, before anything is decoded, and every refusal is one sentence with the picture's name.
 *
 * What the pixels are:
 *   - 16 bits per channel (PNG): the high byte. PNM of any other maximum than 255: scaled and rounded;
 *   - grey becomes three equal channels; alpha, palettes with transparent entries and a GIF's holes: composed on white;
 *   - EXIF orientation (JPEG, PNG, WebP) is applied, so width and height are those a person sees;
 *   - colour profiles are ignored, as the published processor does. CMYK JPEG: only as Adobe writes it.
 * Lossless formats give exactly Pillow's pixels. JPEG decoders differ by a few levels, ours (stb_image) too.
 *
 * Memory: the file, and while decoding 4.5 to 6 bytes per pixel (JPEG; in several scans 7.5 to 12), 6 (PNG of three channels,
 * with alpha 8, with 16 bits twice that), 3 to 9 (WebP), then 3; turning a picture upright takes 3 more. A limit holds all of it;
 * the usual one is enough for a JPEG of 48 million pixels that lies on its side. Resizing streams rows: n × 3 bytes for each row under the filter, never a whole copy.
 * Time: a JPEG of 12 million pixels is 240 ms to decode and 80 ms to resize to 896 × 896, on one core.
 * Threads: no state is shared; any number of pictures at once. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows from the top, pixels from the left, bytes R, G, B, without gaps. Owned; {0} holds nothing. */
struct image {
    uint32_t width, height;
    uint8_t *rgb;
};
void image_free(struct image *image); /* leaves {0}; {0} is fine */

/* Where NULL is passed for limits, these hold. */
struct image_limits {
    size_t bytes;    /* of the file */
    uint64_t memory; /* bytes held at once, from the file to the upright picture */
    uint32_t side;   /* width, and height; never above 65535, whatever stands here */
};
#define IMAGE_LIMITS ((struct image_limits){(size_t)64 << 20, (uint64_t)384 << 20, 65535})

/* A picture's bytes as they came, and what error sentences call it. */
struct image_bytes {
    uint8_t *data;
    size_t n;
    const char *name; /* points to `where`, or to a constant */
};

/* `where` is a path, "-" for stdin (read to its end), or "data:image/png;base64,…". E_FILE, E_MEMORY; E_USAGE for a
 * data URL that is none. */
int image_read(struct image_bytes *out, const char *where, const struct image_limits *limits, struct err *why);
void image_bytes_free(struct image_bytes *bytes);

int image_decode(struct image *out, const struct image_bytes *bytes, const struct image_limits *limits,
                 struct err *why);

/* image_read and image_decode. */
int image_open(struct image *out, const char *where, const struct image_limits *limits, struct err *why);

/* A part of a picture. */
struct image_box {
    uint32_t x, y, width, height;
};
struct image_box image_whole(const struct image *image);

/* The box of `in`, stretched to width × height: byte for byte what Pillow's crop and resize with BILINEAR give, which
 * is what the published processor calls. Proportions are lost on purpose: the model was trained so. */
int image_resize(struct image *out, const struct image *in, struct image_box box, uint32_t width, uint32_t height,
                 struct err *why);

/* Pan and scan, off unless asked for: a picture much longer than wide is shown whole and then again in two to four
 * pieces along its longer side. Writes their boxes and returns how many: 0 where a picture needs none. Each is resized
 * like the whole and takes as many rows of the prompt. */
#define IMAGE_CROPS_MOST 4
size_t image_crops(uint32_t width, uint32_t height, struct image_box crops[IMAGE_CROPS_MOST]);

/* The bytes that a square was made of, shared by all squares of one picture, so that it can be made again. */
struct image_source {
    uint32_t users;
    uint64_t memory; /* that reading it may take */
    struct image_bytes bytes;
};
struct image_origin {
    struct image_source *source; /* NULL: it cannot */
    struct image_box box;
};

int  image_make_again(struct image *out, const struct image_origin *of, uint32_t side, struct err *why); /* the same pixels, side × side */
void image_source_release(struct image_source **source); /* one user less; sets it to NULL; NULL is fine */

/* A square picture as the rows of patches that the encoder's first matrix multiplies:
 *
 *   out[row · (n/patch) + column][channel][y][x] = v / 127.5 − 1          float32 [(n/patch)², 3 · patch · patch]
 *
 * The order within a row is that of the weight [out][channel][y][x] in the file. `in` must be square and its side a
 * multiple of `patch`: E_INTERNAL otherwise. */
int image_patches(float *out, const struct image *in, uint32_t patch, struct err *why);
static inline size_t image_patches_floats(uint32_t side)
{
    return (size_t)3 * side * side;
}
