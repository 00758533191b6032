/* coordinator/picture/image_header.h — what a picture's first bytes say, before anything is decoded. For image.c only. */
#pragma once

#include "coordinator/picture/image.h"

enum image_kind { IMAGE_JPEG, IMAGE_PNG, IMAGE_GIF, IMAGE_BMP, IMAGE_PNM, IMAGE_TGA, IMAGE_WEBP };

struct image_header {
    enum image_kind kind;
    uint32_t width, height; /* as stored: not yet turned */
    int orientation;        /* 1..8 as in EXIF; 1 is upright */
    uint64_t decoding;      /* bytes that the decoder takes, its result among them, beside what it takes for any picture */
    uint32_t channels;      /* of the pixels to come, where the header says it: WebP */
};

/* Recognises the kind by its magic and reads the sizes. E_FILE with a sentence for what is no picture, or one of a kind
 * that is not read, or one whose header is damaged. Sizes may be anything, even 0: image_decode judges them. */
int image_header_read(struct image_header *out, const struct image_bytes *bytes, struct err *why);
const char *image_kind_name(enum image_kind kind);
int image_cut_short(const struct image_bytes *bytes, const char *kind, struct err *why); /* E_FILE, with the sentence */

/* The orientation in EXIF data, which begin with a TIFF header; 1 where there is none, or one that makes no sense. */
int image_exif_orientation(const uint8_t *tiff, size_t n);

/* Turns the picture by an EXIF orientation. */
int image_turn(struct image *image, int orientation, struct err *why);

int image_png_header(struct image_header *h, const struct image_bytes *bytes, struct err *why);
/* Whether every chunk that is whole has the checksum it says. */
int image_png_check(const struct image_bytes *bytes, struct err *why);
uint32_t image_png_checksum(const uint8_t *bytes, size_t n);

int image_webp_header(struct image_header *h, const struct image_bytes *bytes, struct err *why);
int image_webp_decode(struct image *out, const struct image_header *h, const struct image_bytes *bytes, struct err *why);

/* PNM, read here: stb_image knows neither its plain forms nor its scale, and mistakes the byte order of 16 bits. */
struct pnm {
    int magic; /* '1'..'6' */
    uint32_t width, height, maximum;
    size_t raster; /* where the samples begin */
};
int image_pnm_header(struct pnm *out, const struct image_bytes *bytes, struct err *why);
int image_pnm_decode(struct image *out, const struct image_bytes *bytes, struct err *why);
