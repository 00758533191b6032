/* tests/fuzz/image_fuzz.c — any bytes as a picture: kinds, sizes, EXIF, decoders, and what follows a picture that
 * opened.
 *
 * Limits are small, so that no input costs much memory or time; the code behind them is the same.
 *
 * What must hold:
 *   - a picture, or a refusal with a sentence; no picture above the limits;
 *   - the same bytes give the same picture twice: nothing comes from memory that was never written;
 *   - it can be resized, cut into crops and into patches, whose values lie in −1 .. 1.
 *
 * For libFuzzer: make fuzz T=image; without it: image_fuzz_test.c. */
#include "coordinator/picture/image_header.h"

#include "base/hash.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *image_fuzz_one(const uint8_t *data, size_t size, bool *is_picture);

#define SIDE 28
#define PATCH 14

static const struct image_limits LITTLE = {1 << 20, 2 << 20, 2000};

static const char *check_patches(const struct image *image, struct image_box box)
{
    struct image square = {0};
    float rows[3 * SIDE * SIDE];
    const char *wrong = 0;
    if (image_resize(&square, image, box, SIDE, SIDE, 0)) return "a picture could not be resized";
    if (image_patches(rows, &square, PATCH, 0)) wrong = "a square could not be cut into patches";
    for (size_t i = 0; !wrong && i < image_patches_floats(SIDE); i++)
        if (!(rows[i] >= -1 && rows[i] <= 1)) wrong = "a value outside -1 .. 1";
    image_free(&square);
    return wrong;
}

static const char *check_image(const struct image *image, const struct image_bytes *bytes)
{
    struct image again = {0};
    struct image_box crops[IMAGE_CROPS_MOST];
    size_t n = (size_t)image->width * image->height;
    if (!n || n * 3 > LITTLE.memory || image->width > LITTLE.side || image->height > LITTLE.side) return "above the limits";
    if (image_decode(&again, bytes, &LITTLE, 0)) return "refused the second time";
    bool same = again.width == image->width && hash64(again.rgb, n * 3) == hash64(image->rgb, n * 3);
    image_free(&again);
    if (!same) return "another picture the second time";
    const char *wrong = check_patches(image, image_whole(image));
    for (size_t i = image_crops(image->width, image->height, crops); !wrong && i-- > 0;)
        wrong = check_patches(image, crops[i]);
    return wrong;
}

static const char *judge(const struct image_bytes *bytes, bool *is_picture)
{
    struct image image = {0};
    struct err why = {0};
    const char *wrong = 0;
    int code = image_decode(&image, bytes, &LITTLE, &why);
    *is_picture = !code;
    if (!code) wrong = check_image(&image, bytes);
    else if (code != E_FILE || strncmp(why.text, "input ", 6)) wrong = "refused without a sentence";
    image_free(&image);
    return wrong;
}

/* Right checksums for a damaged PNG, or none would be decoded. False if it is no PNG. */
static bool mend_checksums(uint8_t *b, size_t size)
{
    if (size < 8 || memcmp(b, "\x89PNG\r\n\x1a\n", 8)) return false;
    for (size_t at = 8; size - at >= 12;) {
        size_t n = (size_t)b[at] << 24 | (size_t)b[at + 1] << 16 | (size_t)b[at + 2] << 8 | b[at + 3];
        if (n > size - at - 12) break;
        uint32_t sum = image_png_checksum(b + at + 4, n + 4);
        for (int i = 0; i < 4; i++) b[at + 8 + n + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
        at += 12 + n;
    }
    return true;
}

/* NULL, or what did not hold. */
const char *image_fuzz_one(const uint8_t *data, size_t size, bool *is_picture)
{
    uint8_t *copy = malloc(size ? size : 1); /* of exactly this size: a sanitizer sees a byte too many */
    if (!copy) return 0;
    memcpy(copy, data, size);
    struct image_bytes bytes = {copy, size, "input"};
    const char *wrong = judge(&bytes, is_picture);
    if (!wrong && mend_checksums(copy, size)) wrong = judge(&bytes, is_picture);
    free(copy);
    return wrong;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool is_picture;
    const char *wrong = image_fuzz_one(data, size, &is_picture);
    if (!wrong) return 0;
    fprintf(stderr, "%s\n", wrong);
    abort();
}
