/* coordinator/picture/image_webp.c — WebP, lossy and lossless, with alpha. The one door to libwebp, of which the decoder alone is
 * used. Sizes come from its header reader, which allocates nothing, before a pixel is decoded.
 *
 * What libwebp allocates cannot be counted from outside. image_webp_header says what it takes for an ordinary picture; a
 * lossless one can be made so that its code tables take some hundred MiB more. */
#include "coordinator/picture/image_header.h"

#include "base/little_endian.h"

#include <stdlib.h>
#include <string.h>
#include <webp/decode.h>

/* In the RIFF container: chunks of name, length and data, padded to even lengths. */
static int orientation(const struct image_bytes *in)
{
    for (size_t at = 12; in->n - at >= 8;) {
        const uint8_t *chunk = in->data + at, *exif = chunk + 8;
        size_t n = (size_t)le_of(chunk + 4, 4);
        if (n > in->n - at - 8) break;
        if (!memcmp(chunk, "EXIF", 4)) {
            size_t mark = n >= 6 && !memcmp(exif, "Exif\0", 6) ? 6 : 0; /* as in a JPEG: some programs leave it there */
            return image_exif_orientation(exif + mark, n - mark);
        }
        at += 8 + n;
        if (n % 2 && at < in->n) at++;
    }
    return 1;
}

static int refuse(const struct image_bytes *in, VP8StatusCode status, struct err *why)
{
    switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return fail(why, E_MEMORY, "no memory to decode the WebP %s", in->name);
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return fail(why, E_FILE, "%s is cut short: the WebP data end before the picture does, after %zu bytes", in->name, in->n);
    case VP8_STATUS_UNSUPPORTED_FEATURE: return fail(why, E_FILE, "%s is a WebP of a kind that is not read; save it anew", in->name);
    default: return fail(why, E_FILE, "%s is a damaged WebP", in->name);
    }
}

int image_webp_header(struct image_header *h, const struct image_bytes *in, struct err *why)
{
    WebPBitstreamFeatures f;
    VP8StatusCode status = WebPGetFeatures(in->data, in->n, &f);
    if (status != VP8_STATUS_OK) return refuse(in, status, why);
    if (f.has_animation)
        return fail(why, E_FILE, "%s is an animated WebP, which is not read; save one of its pictures as WebP, JPEG or PNG", in->name);
    h->width = (uint32_t)f.width;
    h->height = (uint32_t)f.height;
    h->channels = f.has_alpha ? 4 : 3;
    h->orientation = orientation(in);
    /* Lossless: the picture in words of four bytes. Lossy with alpha: such words for alpha, and alpha itself. Some rows of it
     * and code tables come on top. */
    h->decoding = (uint64_t)h->width * h->height * (h->channels + (f.format == 2 ? 4u : f.has_alpha ? 5u : 0u)) +
                  h->width * 256ull + (1u << 20);
    return 0;
}

int image_webp_decode(struct image *out, const struct image_header *h, const struct image_bytes *in, struct err *why)
{
    size_t row = (size_t)h->width * h->channels, size = row * h->height;
    WebPDecoderConfig how;
    struct image image = {h->width, h->height, calloc(1, size)};
    if (!image.rgb || !WebPInitDecoderConfig(&how)) {
        image_free(&image);
        return fail(why, E_MEMORY, "no memory for the %u × %u pixels of %s", h->width, h->height, in->name);
    }
    how.output.colorspace = h->channels == 4 ? MODE_RGBA : MODE_RGB;
    how.output.is_external_memory = 1;
    how.output.u.RGBA = (WebPRGBABuffer){image.rgb, (int)row, size};
    VP8StatusCode status = WebPDecode(in->data, in->n, &how);
    if (status == VP8_STATUS_OK) *out = image;
    else image_free(&image);
    return status == VP8_STATUS_OK ? 0 : refuse(in, status, why);
}
