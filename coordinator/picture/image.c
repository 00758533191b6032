/* coordinator/picture/image.c — bytes -> upright RGB. The one door to stb_image.
 *
 * stb_image is small, everywhere, and made for files one trusts; ours come from strangers. So it is kept on a lead:
 *   - image_header.c has judged kind and sizes before it sees a byte;
 *   - only the decoders that are wanted are compiled in;
 *   - it reads through callbacks, which note when it asks for bytes behind the end: some of its decoders would
 *     take zeros instead and call a file that is cut short a picture;
 *   - it may not hold more memory at once than the header can explain: a compressed row of zeros that inflates to
 *     gigabytes is refused, and what it forgets to write is zero, not somebody's memory.
 * What it may still take is the one thread-local variable of this program: stb's hooks carry no context. */
#include "coordinator/picture/image.h"

#include "base/size_text.h"
#include "coordinator/picture/image_header.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct {
    size_t left;
    bool exceeded;
} budget;

static bool budget_allows(size_t n)
{
    if (n > budget.left) budget.exceeded = true;
    return n <= budget.left;
}

static void budget_charge(void *p)
{
    size_t n = malloc_usable_size(p);
    budget.left -= n < budget.left ? n : budget.left;
}

static void *budget_take(size_t n)
{
    void *p = budget_allows(n) ? calloc(1, n) : NULL;
    budget_charge(p);
    return p;
}

/* A large block is moved page by page, so the old one and the new are not there at once. */
static void *budget_grow(void *old, size_t n)
{
    size_t had = malloc_usable_size(old);
    void *p = budget_allows(n > had ? n - had : 0) ? realloc(old, n) : NULL;
    if (!p) return NULL;
    budget.left += had;
    budget_charge(p);
    return p;
}

static void budget_return(void *p)
{
    budget.left += malloc_usable_size(p);
    free(p);
}

#define STBI_MALLOC(n) budget_take(n)
#define STBI_REALLOC(p, n) budget_grow(p, n)
#define STBI_FREE(p) budget_return(p)
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_ONLY_TGA
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 65535
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic ignored "-Wunused-function" /* it declares one function that it never defines */
#include <stb/stb_image.h>

#define ANY_PICTURE ((size_t)512 << 10) /* bytes that stb_image takes whatever the picture's size: tables, and lines */

struct feed {
    const uint8_t *b;
    size_t n, at;
    bool asked_behind_end;
};

/* Called for the next piece of its buffer, or for exactly the bytes of a row or chunk: a whole buffer may be short at
 * the end of the file, nothing else may. */
static int feed_read(void *user, char *out, int size)
{
    struct feed *f = user;
    size_t wanted = size > 0 ? (size_t)size : 0, left = f->n - f->at, n = wanted < left ? wanted : left;
    if (left == 0 || (n < wanted && wanted != sizeof((stbi__context *)0)->buffer_start)) f->asked_behind_end = true;
    memcpy(out, f->b + f->at, n);
    f->at += n;
    return (int)n;
}

static void feed_skip(void *user, int n)
{
    struct feed *f = user;
    if (n > 0) f->at = (size_t)n < f->n - f->at ? f->at + (size_t)n : f->n;
}

static int feed_ended(void *user)
{
    const struct feed *f = user;
    return f->at == f->n;
}

/* The file, and beside it the decoder, or what follows: grey becomes three channels, an upright picture is a second one. */
static uint64_t memory_of(const struct image_header *h, size_t file)
{
    uint64_t pixels = (uint64_t)h->width * h->height, after = pixels * (h->orientation > 1 ? 6 : 4);
    uint64_t decoding = h->decoding + ANY_PICTURE;
    return file + (decoding > after ? decoding : after);
}

static int check_size(const struct image_header *h, const struct image_bytes *in, const struct image_limits *limits,
                      struct err *why)
{
    const char *name = in->name;
    uint32_t side = limits->side < STBI_MAX_DIMENSIONS ? limits->side : STBI_MAX_DIMENSIONS;
    if (!h->width || !h->height)
        return fail(why, E_FILE, "%s says it is %u × %u pixels: there is nothing to see", name, h->width, h->height);
    if (h->width > side || h->height > side)
        return fail(why, E_FILE, "%s says it is %u × %u pixels; no side may have more than %u", name, h->width,
                    h->height, side);
    uint64_t needed = memory_of(h, in->n);
    char takes[24], may[24];
    if (needed > limits->memory)
        return fail_about(why, ABOUT_PICTURE_MEMORY, E_FILE, "%s says it is %u × %u pixels; a %s of that size takes %s to decode, and may take %s",
                          in->name, h->width, h->height, image_kind_name(h->kind), show_bytes(takes, needed), show_bytes(may, limits->memory));
    return 0;
}

/* Why there is no picture. */
static int explain(const struct image_header *h, const struct image_bytes *in, const struct feed *feed,
                   bool has_other_size, struct err *why)
{
    const char *kind = image_kind_name(h->kind), *reason = stbi_failure_reason();
    if (budget.exceeded)
        return fail(why, E_FILE, "%s is a damaged %s: it says %u × %u pixels, its data hold far more", in->name, kind,
                    h->width, h->height);
    if (feed->asked_behind_end)
        return fail(why, E_FILE, "%s is cut short: the %s data end before the picture does, after %zu bytes", in->name,
                    kind, in->n);
    if (has_other_size)
        return fail(why, E_FILE, "%s is a damaged %s: it says %u × %u pixels first and another size later", in->name,
                    kind, h->width, h->height);
    if (!strcmp(reason, "outofmem"))
        return fail(why, E_MEMORY, "no memory to decode the %u × %u pixels of %s", h->width, h->height, in->name);
    return fail(why, E_FILE, "%s cannot be decoded as %s of %u × %u pixels: %s", in->name, kind, h->width, h->height,
                reason);
}

/* With `channels` of the file: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. */
static int decode_stb(struct image *out, int *channels, const struct image_header *h, const struct image_bytes *in,
                      struct err *why)
{
    static const stbi_io_callbacks io = {feed_read, feed_skip, feed_ended};
    struct feed feed = {in->data, in->n, 0, false};
    int width = 0, height = 0;
    budget.left = h->decoding + ANY_PICTURE;
    budget.exceeded = false;
    stbi__g_failure_reason = "damaged"; /* it does not always give one, and then an older one would stand there */
    uint8_t *pixels = stbi_load_from_callbacks(&io, &feed, &width, &height, channels, 0);
    if (pixels && !feed.asked_behind_end && (uint32_t)width == h->width && (uint32_t)height == h->height) {
        *out = (struct image){h->width, h->height, pixels};
        return 0;
    }
    bool has_other_size = pixels;
    free(pixels);
    return explain(h, in, &feed, has_other_size, why);
}

static uint8_t on_white(uint32_t c, uint32_t alpha)
{
    return (uint8_t)((c * alpha + 255 * (255 - alpha) + 127) / 255);
}

/* In place: fewer channels from the end, more from the front, so that nothing is overwritten before it is read. */
static void spread(uint8_t *b, size_t pixels, int channels)
{
    for (size_t i = pixels; i-- > 0;) {
        uint8_t grey = channels == 1 ? b[i] : on_white(b[2 * i], b[2 * i + 1]);
        b[3 * i] = b[3 * i + 1] = b[3 * i + 2] = grey;
    }
}

static void gather(uint8_t *b, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++) {
        uint8_t alpha = b[4 * i + 3];
        for (size_t c = 0; c < 3; c++) b[3 * i + c] = on_white(b[4 * i + c], alpha);
    }
}

static int to_rgb(struct image *image, int channels, const char *name, struct err *why)
{
    size_t pixels = (size_t)image->width * image->height;
    if (channels == 3) return 0;
    if (channels == 4) gather(image->rgb, pixels);
    uint8_t *fitting = realloc(image->rgb, pixels * 3);
    if (!fitting)
        return fail(why, E_MEMORY, "no memory for the %u × %u pixels of %s", image->width, image->height, name);
    image->rgb = fitting;
    if (channels < 3) spread(fitting, pixels, channels);
    return 0;
}

int image_decode(struct image *out, const struct image_bytes *in, const struct image_limits *limits, struct err *why)
{
    struct image_header h;
    struct image image = {0};
    const struct image_limits usual = IMAGE_LIMITS;
    if (!limits) limits = &usual;
    if (in->n > limits->bytes || in->n > INT32_MAX)
        return fail(why, E_FILE, "%s has %zu bytes; a picture may have %zu", in->name, in->n, limits->bytes);
    TRY(image_header_read(&h, in, why));
    TRY(check_size(&h, in, limits, why));
    if (h.kind == IMAGE_PNG) TRY(image_png_check(in, why));
    int channels = h.kind == IMAGE_WEBP ? (int)h.channels : 3;
    if (h.kind == IMAGE_PNM) TRY(image_pnm_decode(&image, in, why));
    else if (h.kind == IMAGE_WEBP) TRY(image_webp_decode(&image, &h, in, why));
    else TRY(decode_stb(&image, &channels, &h, in, why));
    int code = to_rgb(&image, channels, in->name, why);
    if (!code) code = image_turn(&image, h.orientation, why);
    if (code) image_free(&image);
    else *out = image;
    return code;
}

int image_open(struct image *out, const char *where, const struct image_limits *limits, struct err *why)
{
    struct image_bytes bytes;
    TRY(image_read(&bytes, where, limits, why));
    int code = image_decode(out, &bytes, limits, why);
    image_bytes_free(&bytes);
    return code;
}

int image_make_again(struct image *out, const struct image_origin *of, uint32_t side, struct err *why)
{
    struct image whole = {0};
    struct image_limits limits = IMAGE_LIMITS;
    limits.memory = of->source->memory;
    TRY(image_decode(&whole, &of->source->bytes, &limits, why));
    const int code = image_resize(out, &whole, of->box, side, side, why);
    image_free(&whole);
    return code;
}

void image_source_release(struct image_source **source)
{
    struct image_source *s = *source;
    *source = NULL;
    if (!s || --s->users) return;
    image_bytes_free(&s->bytes);
    free(s);
}

void image_free(struct image *image)
{
    free(image->rgb);
    *image = (struct image){0};
}
