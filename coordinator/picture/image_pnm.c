/* coordinator/picture/image_pnm.c — PBM, PGM and PPM, plain and raw: P1 to P6.
 *
 * Samples run from 0 to a maximum that the header names and come out as 0..255, rounded to the nearest. A plain file
 * spells a sample with one byte at least, so the file's size bounds the picture before memory is asked for. */
#include "coordinator/picture/image_header.h"

#include "base/checked.h"

#include <stdlib.h>

struct reader {
    const struct image_bytes *in;
    size_t at;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}
static bool is_plain(const struct pnm *p)
{
    return p->magic <= '3';
}
static bool is_bits(const struct pnm *p)
{
    return p->magic == '1' || p->magic == '4';
}
static uint32_t channels(const struct pnm *p)
{
    return p->magic == '3' || p->magic == '6' ? 3 : 1;
}

static void skip_space(struct reader *r)
{
    const struct image_bytes *in = r->in;
    while (r->at < in->n && (is_space(in->data[r->at]) || in->data[r->at] == '#')) {
        if (in->data[r->at] == '#')
            while (r->at < in->n && in->data[r->at] != '\n' && in->data[r->at] != '\r') r->at++;
        else r->at++;
    }
}

/* A number of at most nine digits; false where none stands or the file ends within it. */
static bool read_number(struct reader *r, uint32_t *out)
{
    size_t digits = 0;
    skip_space(r);
    for (*out = 0; r->at < r->in->n && is_digit(r->in->data[r->at]) && digits < 9; digits++)
        *out = *out * 10 + (r->in->data[r->at++] - '0');
    return digits > 0 && (r->at == r->in->n || !is_digit(r->in->data[r->at]));
}

int image_pnm_header(struct pnm *out, const struct image_bytes *in, struct err *why)
{
    struct reader r = {in, 2};
    *out = (struct pnm){.magic = in->data[1], .maximum = 1};
    if (!read_number(&r, &out->width) || !read_number(&r, &out->height) ||
        (!is_bits(out) && !read_number(&r, &out->maximum)))
        return fail(why, E_FILE, "%s is a damaged PNM file: its header lacks a number", in->name);
    if (out->maximum < 1 || out->maximum > 65535)
        return fail(why, E_FILE, "%s is a damaged PNM file: its greatest value is %u, not 1 to 65535", in->name,
                    out->maximum);
    out->raster = r.at + !is_plain(out); /* raw: one white space, then the first sample */
    return 0;
}

/* Bytes of the raster; of a plain one, the fewest it can have. */
static bool raster_bytes(const struct pnm *p, uint64_t *out)
{
    uint64_t row = (uint64_t)p->width * channels(p);
    if (p->magic == '4') row = (row + 7) / 8;
    else if (!is_plain(p) && p->maximum > 255) row *= 2;
    else if (is_plain(p) && !is_bits(p)) row = 2 * row; /* a digit and a space */
    if (!mul_ok(row, p->height, out)) return false;
    if (is_plain(p) && !is_bits(p) && *out) (*out)--; /* the last needs no space */
    return true;
}

static uint8_t scale(uint32_t v, uint32_t maximum)
{
    if (v > maximum) v = maximum;
    return (uint8_t)((v * 510u + maximum) / (2 * maximum));
}

static bool plain_sample(struct reader *r, const struct pnm *p, uint8_t *out)
{
    uint32_t v;
    if (is_bits(p)) { /* digits may stand without a space */
        skip_space(r);
        if (r->at == r->in->n || (r->in->data[r->at] & ~1) != '0') return false;
        *out = r->in->data[r->at++] == '1' ? 0 : 255;
        return true;
    }
    if (!read_number(r, &v)) return false;
    *out = scale(v, p->maximum);
    return true;
}

static uint8_t raw_sample(const uint8_t *raster, const struct pnm *p, uint32_t x, uint32_t y, uint32_t c)
{
    size_t per_row = (size_t)p->width * channels(p), at = y * per_row + (size_t)x * channels(p) + c;
    if (p->magic == '4') return raster[y * ((per_row + 7) / 8) + x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
    if (p->maximum == 255) return raster[at];
    if (p->maximum < 255) return scale(raster[at], p->maximum);
    return scale((uint32_t)raster[2 * at] << 8 | raster[2 * at + 1], p->maximum);
}

/* False where the samples end early. */
static bool read_samples(uint8_t *rgb, const struct pnm *p, const struct image_bytes *in)
{
    struct reader r = {in, p->raster};
    for (uint32_t y = 0; y < p->height; y++)
        for (uint32_t x = 0; x < p->width; x++, rgb += 3) {
            for (uint32_t c = 0; c < channels(p); c++) {
                if (!is_plain(p)) rgb[c] = raw_sample(in->data + p->raster, p, x, y, c);
                else if (!plain_sample(&r, p, rgb + c)) return false;
            }
            if (channels(p) == 1) rgb[1] = rgb[2] = rgb[0];
        }
    return true;
}

int image_pnm_decode(struct image *out, const struct image_bytes *in, struct err *why)
{
    struct pnm p;
    uint64_t wanted;
    TRY(image_pnm_header(&p, in, why));
    size_t left = p.raster < in->n ? in->n - p.raster : 0;
    if (!raster_bytes(&p, &wanted) || wanted > left)
        return fail(why, E_FILE, "%s is cut short: %u × %u pixels do not fit into the %zu bytes after its PNM header",
                    in->name, p.width, p.height, left);
    struct image image = {p.width, p.height, malloc((size_t)p.width * p.height * 3)};
    if (!image.rgb) return fail(why, E_MEMORY, "no memory for the %u × %u pixels of %s", p.width, p.height, in->name);
    if (!read_samples(image.rgb, &p, in)) {
        image_free(&image);
        return fail(why, E_FILE, "%s is cut short, or holds something other than numbers after its PNM header",
                    in->name);
    }
    *out = image;
    return 0;
}
