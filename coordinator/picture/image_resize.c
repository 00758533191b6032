/* coordinator/picture/image_resize.c — a picture to the encoder's size, to crops, to patches.
 *
 * The filter is a triangle whose foot is as wide as the shrinking asks for, so every pixel counts: "bilinear with
 * antialias". Weights are computed in double, then fixed to 22 bits; sums are integers and each of the two passes
 * rounds to 8 bits. Horizontal comes first: the order shows in the last bit, and in this order the bytes are Pillow's.
 *
 *   in [h][w] ── horizontal ──► ring of the rows under the filter [taps][width] ── vertical ──► out [height][width]
 *
 * A row is squeezed once, when the vertical filter first reaches it, and forgotten when the filter has passed: a tall
 * picture needs no copy of itself. */
#include "coordinator/picture/image.h"

#include <stdlib.h>

#define FIXED_BITS 22

/* One axis: output j is the sum over k < count[j] of weight[j][k] · input[first[j] + k]. */
struct filter {
    uint32_t n, taps; /* outputs; the most inputs of one output */
    uint32_t *first, *count;
    int32_t *weight; /* [n][taps] */
};

static void filter_free(struct filter *f)
{
    free(f->first), free(f->count), free(f->weight);
}

/* Where output j looks, and how much of each it takes. */
static void filter_fill(struct filter *f, uint32_t j, uint32_t from, double *share)
{
    double scale = (double)from / f->n, reach = scale < 1 ? 1 : scale, centre = (j + 0.5) * scale, sum = 0;
    double narrow = 1.0 / reach, low = centre - reach + 0.5, high = centre + reach + 0.5;
    uint32_t first = low < 0 ? 0 : (uint32_t)low, last = high > from ? from : (uint32_t)high;
    for (uint32_t x = first; x < last; x++) {
        double away = (x + 0.5 - centre) * narrow;
        if (away < 0) away = -away;
        share[x - first] = away < 1 ? 1 - away : 0;
        sum += share[x - first];
    }
    f->first[j] = first;
    f->count[j] = last - first;
    for (uint32_t k = 0; k < last - first; k++)
        f->weight[(size_t)j * f->taps + k] = (int32_t)(0.5 + share[k] / sum * (1 << FIXED_BITS));
}

static int filter_make(struct filter *f, uint32_t from, uint32_t to, struct err *why)
{
    double reach = (double)from / to < 1 ? 1 : (double)from / to;
    *f = (struct filter){.n = to, .taps = 2 * (uint32_t)(reach + 1) + 1};
    f->first = malloc(to * sizeof *f->first);
    f->count = malloc(to * sizeof *f->count);
    f->weight = malloc((size_t)to * f->taps * sizeof *f->weight);
    double *share = malloc(f->taps * sizeof *share);
    bool there = f->first && f->count && f->weight && share;
    if (there)
        for (uint32_t j = 0; j < to; j++) filter_fill(f, j, from, share);
    free(share);
    if (there) return 0;
    filter_free(f);
    return fail(why, E_MEMORY, "no memory to resize a picture's side from %u to %u", from, to);
}

static uint8_t to_byte(int32_t sum)
{
    int32_t v = sum >> FIXED_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void squeeze_row(uint8_t *out, const uint8_t *in, const struct filter *f)
{
    for (uint32_t j = 0; j < f->n; j++, out += 3) {
        const int32_t *w = f->weight + (size_t)j * f->taps;
        const uint8_t *p = in + (size_t)f->first[j] * 3;
        int32_t r = 1 << (FIXED_BITS - 1), g = r, b = r;
        for (uint32_t k = 0; k < f->count[j]; k++, p += 3) r += w[k] * p[0], g += w[k] * p[1], b += w[k] * p[2];
        out[0] = to_byte(r), out[1] = to_byte(g), out[2] = to_byte(b);
    }
}

static void add_row(int32_t *restrict sum, const uint8_t *restrict row, int32_t weight, size_t n)
{
    for (size_t i = 0; i < n; i++) sum[i] += weight * row[i];
}

/* Rows of the ring: input row y is at y % taps, and no output needs more than taps of them. */
struct ring {
    uint8_t *row;
    int32_t *sum;
    uint32_t next; /* input row to be squeezed next */
};

static void resize_rows(struct image *out, const uint8_t *in, size_t stride, const struct filter *across,
                        const struct filter *down, struct ring *ring)
{
    size_t bytes = (size_t)out->width * 3;
    for (uint32_t j = 0; j < out->height; j++) {
        uint32_t first = down->first[j], last = first + down->count[j];
        for (; ring->next < last; ring->next++)
            squeeze_row(ring->row + ring->next % down->taps * bytes, in + ring->next * stride, across);
        for (size_t i = 0; i < bytes; i++) ring->sum[i] = 1 << (FIXED_BITS - 1);
        for (uint32_t y = first; y < last; y++)
            add_row(ring->sum, ring->row + y % down->taps * bytes, down->weight[(size_t)j * down->taps + y - first],
                    bytes);
        for (size_t i = 0; i < bytes; i++) out->rgb[j * bytes + i] = to_byte(ring->sum[i]);
    }
}

static int resize_with(struct image *out, const struct image *in, struct image_box box, const struct filter *across,
                       const struct filter *down, struct err *why)
{
    size_t bytes = (size_t)across->n * 3;
    struct image image = {across->n, down->n, malloc(bytes * down->n)};
    struct ring ring = {malloc(bytes * down->taps), malloc(bytes * sizeof(int32_t)), 0};
    bool there = image.rgb && ring.row && ring.sum;
    if (there) {
        resize_rows(&image, in->rgb + ((size_t)box.y * in->width + box.x) * 3, (size_t)in->width * 3, across, down,
                    &ring);
        *out = image;
    } else {
        image_free(&image);
    }
    free(ring.row), free(ring.sum);
    return there ? 0 : fail(why, E_MEMORY, "no memory to resize a picture to %u × %u pixels", across->n, down->n);
}

int image_resize(struct image *out, const struct image *in, struct image_box box, uint32_t width, uint32_t height,
                 struct err *why)
{
    struct filter across, down;
    if (!width || !height || width > 65535 || height > 65535 || !box.width || !box.height || box.x > in->width ||
        box.width > in->width - box.x || box.y > in->height || box.height > in->height - box.y)
        return fail(why, E_INTERNAL, "cannot resize %u × %u at %u, %u of a picture of %u × %u to %u × %u", box.width,
                    box.height, box.x, box.y, in->width, in->height, width, height);
    TRY(filter_make(&across, box.width, width, why));
    int code = filter_make(&down, box.height, height, why);
    if (!code) {
        code = resize_with(out, in, box, &across, &down, why);
        filter_free(&down);
    }
    filter_free(&across);
    return code;
}

struct image_box image_whole(const struct image *image)
{
    return (struct image_box){0, 0, image->width, image->height};
}

/* ---- pan and scan: the published processor's numbers ---- */

#define CROP_SIDE_LEAST 256 /* no crop is smaller */
#define CROPS_LEAST 2

/* Pieces along the longer side; 0 where the picture is not long enough (under 6 : 5) or the pieces would be too small.
 */
static uint32_t count_crops(uint32_t longer, uint32_t shorter)
{
    if ((uint64_t)longer * 5 < (uint64_t)shorter * 6 || !shorter) return 0;
    uint64_t n = (2 * (uint64_t)longer + shorter) / (2 * (uint64_t)shorter); /* the ratio, rounded */
    if (n > longer / CROP_SIDE_LEAST) n = longer / CROP_SIDE_LEAST;
    if (n < CROPS_LEAST) n = CROPS_LEAST;
    if (n > IMAGE_CROPS_MOST) n = IMAGE_CROPS_MOST;
    uint64_t side = (longer + n - 1) / n;
    return side < CROP_SIDE_LEAST || shorter < CROP_SIDE_LEAST ? 0 : (uint32_t)n;
}

size_t image_crops(uint32_t width, uint32_t height, struct image_box crops[IMAGE_CROPS_MOST])
{
    bool wide = width >= height;
    uint32_t longer = wide ? width : height, shorter = wide ? height : width, n = count_crops(longer, shorter);
    uint32_t side = n ? (uint32_t)(((uint64_t)longer + n - 1) / n) : 0;
    for (uint32_t i = 0, at = 0; i < n; i++, at += side) {
        uint32_t length = longer - at < side ? longer - at : side; /* the last may be narrower */
        crops[i] = wide ? (struct image_box){at, 0, length, height} : (struct image_box){0, at, width, length};
    }
    return n;
}

/* ---- patches ---- */

int image_patches(float *out, const struct image *in, uint32_t patch, struct err *why)
{
    if (!patch || in->width != in->height || in->width % patch)
        return fail(why, E_INTERNAL, "a picture of %u × %u pixels does not fall into patches of %u", in->width,
                    in->height, patch);
    float value[256];
    for (int v = 0; v < 256; v++) value[v] = (float)v / 127.5f - 1.0f;
    for (uint32_t row = 0; row < in->height; row += patch)
        for (uint32_t column = 0; column < in->width; column += patch)
            for (uint32_t c = 0; c < 3; c++)
                for (uint32_t y = row; y < row + patch; y++)
                    for (uint32_t x = column; x < column + patch; x++)
                        *out++ = value[in->rgb[((size_t)y * in->width + x) * 3 + c]];
    return 0;
}
