/* coordinator/picture/image_header.c — which kind of picture this is and how large it says it is.
 *
 * Read before and apart from the decoder, for three reasons: sizes are judged before memory is asked for; a kind that
 * is not read gets its name in the sentence, not "unknown"; and some damage must not reach the decoder. A progressive
 * JPEG may repeat its scans, a few bytes each, and every one costs a pass over all pixels: they are counted. */
#include "coordinator/picture/image_header.h"

#include "base/little_endian.h"

#include <string.h>

#define SCANS_MOST 100 /* encoders write 1 or about 10 */

static uint32_t be16(const uint8_t *b)
{
    return (uint32_t)b[0] << 8 | b[1];
}

const char *image_kind_name(enum image_kind kind)
{
    static const char *const names[] = {"JPEG", "PNG", "GIF", "BMP", "PNM", "TGA", "WebP"};
    return names[kind];
}

int image_cut_short(const struct image_bytes *in, const char *kind, struct err *why)
{
    return fail(why, E_FILE, "%s is cut short: its %s header is not whole in %zu bytes", in->name, kind, in->n);
}

/* ---- JPEG: segments FF marker length … ; after SOS entropy-coded bytes up to the next real marker ---- */

static bool has_no_length(uint8_t marker)
{
    return marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8);
}

static bool is_frame(uint8_t marker)
{
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

/* The next FF that is neither a stuffed byte nor a restart. */
static size_t entropy_end(const struct image_bytes *in, size_t at)
{
    while (at + 1 < in->n) {
        const uint8_t *ff = memchr(in->data + at, 0xff, in->n - 1 - at);
        if (!ff) return in->n;
        at = (size_t)(ff - in->data);
        if (ff[1] != 0 && ff[1] != 0xff && !(ff[1] >= 0xd0 && ff[1] <= 0xd7)) return at;
        at += ff[1] == 0xff ? 1 : 2;
    }
    return in->n;
}

struct jpeg {
    struct image_header *h;
    const struct image_bytes *in;
    uint32_t channels; /* 0: no frame yet */
    uint32_t scans;
    bool is_turned, is_adobe;
};

/* Each channel in whole blocks, at the size it is stored in; where it comes in several scans, its coefficients too, in two
 * bytes each; and the picture. */
static uint64_t jpeg_decoding(const struct image_header *h, const uint8_t *channel, uint32_t channels, bool progressive)
{
    uint32_t across = 1, down = 1;
    uint64_t stored = 0;
    for (uint32_t i = 0; i < channels; i++) {
        uint32_t x = channel[3 * i + 1] >> 4, y = channel[3 * i + 1] & 15;
        if (x > across) across = x;
        if (y > down) down = y;
    }
    uint64_t columns = (h->width + 8 * across - 1) / (8 * across), rows = (h->height + 8 * down - 1) / (8 * down);
    for (uint32_t i = 0; i < channels; i++)
        stored += columns * 8 * (channel[3 * i + 1] >> 4) * rows * 8 * (channel[3 * i + 1] & 15);
    return stored * (progressive ? 3 : 1) + (uint64_t)h->width * h->height * (channels < 3 ? 1 : 3);
}

static int jpeg_frame(struct jpeg *j, uint8_t marker, const uint8_t *body, size_t n, struct err *why)
{
    if (marker > 0xc2)
        return fail(why, E_FILE,
                    "%s is a JPEG of a rare kind (frame type %u): read are baseline and progressive; save "
                    "it anew as an ordinary JPEG or as PNG",
                    j->in->name, marker - 0xc0u);
    if (n < 6) return image_cut_short(j->in, "JPEG", why);
    if (body[0] != 8)
        return fail(why, E_FILE, "%s is a JPEG of %u bits per channel; 8 are read: save it anew as PNG", j->in->name,
                    body[0]);
    j->h->height = be16(body + 1);
    j->h->width = be16(body + 3);
    j->channels = body[5] ? body[5] : 1;
    if (n >= 6 + 3 * (size_t)j->channels) j->h->decoding = jpeg_decoding(j->h, body + 6, j->channels, marker == 0xc2);
    return 0;
}

/* Huffman tables: 16 counts and as many values each. More than 256 values would run over the decoder's table; 2.27 of
 * it does not look. */
static int jpeg_tables(const struct jpeg *j, const uint8_t *body, size_t n, struct err *why)
{
    while (n) {
        size_t values = 0;
        for (size_t i = 1; i <= 16 && i < n; i++) values += body[i];
        if (n < 17 || values > 256 || values > n - 17)
            return fail(why, E_FILE, "%s is a damaged JPEG: a table of %zu codes, 256 at most, in %zu bytes",
                        j->in->name, values, n);
        body += 17 + values;
        n -= 17 + values;
    }
    return 0;
}

static int jpeg_segment(struct jpeg *j, uint8_t marker, const uint8_t *body, size_t n, struct err *why)
{
    if (is_frame(marker) && !j->channels) TRY(jpeg_frame(j, marker, body, n, why));
    if (marker == 0xc4) TRY(jpeg_tables(j, body, n, why));
    if (marker == 0xe1 && !j->is_turned && n >= 6 && !memcmp(body, "Exif\0", 6)) {
        j->h->orientation = image_exif_orientation(body + 6, n - 6);
        j->is_turned = true;
    }
    if (marker == 0xee && n >= 5 && !memcmp(body, "Adobe", 5)) j->is_adobe = true;
    if (marker == 0xda && ++j->scans > SCANS_MOST)
        return fail(why, E_FILE, "%s is a JPEG of more than %d scans, which no encoder writes", j->in->name,
                    SCANS_MOST);
    return 0;
}

static int read_jpeg(struct image_header *h, const struct image_bytes *in, struct err *why)
{
    struct jpeg j = {.h = h, .in = in};
    size_t at = 2;
    while (at + 4 <= in->n) {
        uint8_t marker = in->data[at + 1];
        if (in->data[at] != 0xff || marker == 0xff || has_no_length(marker)) {
            at += in->data[at] != 0xff || marker == 0xff ? 1 : 2;
            continue;
        }
        if (marker == 0xd9) break;
        size_t length = be16(in->data + at + 2);
        if (length < 2) return fail(why, E_FILE, "%s is a damaged JPEG: a segment of length %zu", in->name, length);
        if (length > in->n - at - 2)
            return fail(why, E_FILE, "%s is cut short: a JPEG segment at byte %zu is longer than the file", in->name,
                        at);
        TRY(jpeg_segment(&j, marker, in->data + at + 4, length - 2, why));
        at += 2 + length;
        if (marker == 0xda) at = entropy_end(in, at);
    }
    if (!j.channels) return image_cut_short(in, "JPEG", why);
    if (j.channels == 4 && !j.is_adobe)
        return fail(why, E_FILE, "%s is a JPEG of four channels that do not say what they are; save it anew as RGB",
                    in->name);
    return 0;
}

/* ---- the others: sizes at fixed places ---- */

static int read_gif(struct image_header *h, const struct image_bytes *in, struct err *why)
{
    if (in->n < 13) return image_cut_short(in, "GIF", why);
    h->width = le16(in->data + 6);
    h->height = le16(in->data + 8);
    return 0;
}

static int read_bmp(struct image_header *h, const struct image_bytes *in, struct err *why)
{
    bool old = in->n >= 18 && le32(in->data + 14) == 12;
    if (in->n < (old ? 26u : 34u)) return image_cut_short(in, "BMP", why);
    if (!old && (le32(in->data + 30) == 1 || le32(in->data + 30) == 2))
        return fail(why, E_FILE, "%s is a BMP with run-length coding, which is not read; save it without", in->name);
    int32_t width = old ? (int32_t)le16(in->data + 18) : (int32_t)le32(in->data + 18);
    int32_t height = old ? (int32_t)le16(in->data + 20) : (int32_t)le32(in->data + 22);
    h->width = width < 0 ? 0 : (uint32_t)width;
    h->height = height < 0 ? 0u - (uint32_t)height : (uint32_t)height; /* negative: rows from the top */
    return 0;
}

static int read_pnm(struct image_header *h, const struct image_bytes *in, struct err *why)
{
    struct pnm p;
    TRY(image_pnm_header(&p, in, why));
    h->width = p.width;
    h->height = p.height;
    return 0;
}

/* TGA has no magic: believe it only if every field makes sense. */
static bool looks_like_tga(const struct image_bytes *in)
{
    if (in->n < 18) return false;
    uint8_t mapped = in->data[1], type = in->data[2] & ~8, bits = in->data[16];
    if (mapped > 1 || (in->data[2] & ~11) || type == 0 || (type == 1) != (mapped == 1)) return false;
    if (bits != 8 && bits != 15 && bits != 16 && bits != 24 && bits != 32) return false;
    return le16(in->data + 12) && le16(in->data + 14);
}

static int read_tga(struct image_header *h, const struct image_bytes *in, struct err *why)
{
    (void)why;
    h->width = le16(in->data + 12);
    h->height = le16(in->data + 14);
    return 0;
}

/* ---- what it is ---- */

static bool holds(const struct image_bytes *in, size_t at, const char *magic, size_t n)
{
    return in->n >= at + n && !memcmp(in->data + at, magic, n);
}

static bool looks_like_pnm(const struct image_bytes *in)
{
    return in->n >= 3 && in->data[0] == 'P' && in->data[1] >= '1' && in->data[1] <= '6' &&
           (in->data[2] <= ' ' || in->data[2] == '#');
}

static bool looks_like_bmp(const struct image_bytes *in)
{
    if (!holds(in, 0, "BM", 2)) return false;
    if (in->n < 18) return true;
    uint32_t header = le32(in->data + 14);
    return header == 12 || header == 40 || header == 52 || header == 56 || header == 108 || header == 124;
}

static const char *unread_kind(const struct image_bytes *in)
{
    static const struct {
        size_t at, n;
        const char *magic, *name;
    } known[] = {
        {8, 4, "avif", "AVIF"},
        {8, 4, "avis", "AVIF"},
        {8, 4, "heic", "HEIC"},
        {8, 4, "heix", "HEIC"},
        {8, 4, "hevc", "HEIC"},
        {8, 4, "heim", "HEIC"},
        {8, 4, "heis", "HEIC"},
        {8, 4, "mif1", "HEIF"},
        {8, 4, "msf1", "HEIF"},
        {0, 4, "II*\0", "TIFF"},
        {0, 4, "MM\0*", "TIFF"},
        {0, 4, "8BPS", "Photoshop"},
        {0, 4, "%PDF", "PDF"},
        {0, 2, "\xff\x0a", "JPEG XL"},
        {4, 4, "JXL ", "JPEG XL"},
        {4, 4, "jP  ", "JPEG 2000"},
        {0, 4, "\xff\x4f\xff\x51", "JPEG 2000"},
        {0, 4, "\0\0\1\0", "Windows icon"},
        {0, 2, "P7", "PAM"},
        {0, 4, "<svg", "SVG"},
        {0, 2, "#?", "Radiance HDR"},
        {0, 4, "qoif", "QOI"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].at == 8 && !holds(in, 0, "RIFF", 4) && !holds(in, 4, "ftyp", 4)) continue;
        if (holds(in, known[i].at, known[i].magic, known[i].n)) return known[i].name;
    }
    return 0;
}

static bool is_text(const struct image_bytes *in)
{
    size_t n = in->n < 512 ? in->n : 512;
    for (size_t i = 0; i < n; i++)
        if (in->data[i] < ' ' && !(in->data[i] >= '\t' && in->data[i] <= '\r')) return false;
    return true;
}

static int no_picture(const struct image_bytes *in, struct err *why)
{
    const char *other = in->n ? unread_kind(in) : 0;
    if (!in->n) return fail(why, E_FILE, "%s is empty, not a picture", in->name);
    if (other)
        return fail(why, E_FILE, "%s is a %s file, which is not read; convert it to JPEG or PNG", in->name, other);
    return fail(why, E_FILE, "%s is %s, not a picture: JPEG, PNG, WebP, BMP, GIF, PNM and TGA are read", in->name,
                is_text(in) ? "text" : "something unknown");
}

int image_header_read(struct image_header *out, const struct image_bytes *in, struct err *why)
{
    *out = (struct image_header){.orientation = 1};
    static int (*const readers[])(struct image_header *, const struct image_bytes *,
                                  struct err *) = {read_jpeg, image_png_header, read_gif, read_bmp, read_pnm,
                                  read_tga, image_webp_header};
    if (holds(in, 0, "\xff\xd8", 2)) out->kind = IMAGE_JPEG;
    else if (holds(in, 0, "\x89PNG\r\n\x1a\n", 8)) out->kind = IMAGE_PNG;
    else if (holds(in, 0, "GIF87a", 6) || holds(in, 0, "GIF89a", 6)) out->kind = IMAGE_GIF;
    else if (holds(in, 0, "RIFF", 4) && holds(in, 8, "WEBP", 4)) out->kind = IMAGE_WEBP;
    else if (looks_like_bmp(in)) out->kind = IMAGE_BMP;
    else if (looks_like_pnm(in)) out->kind = IMAGE_PNM;
    else if (!unread_kind(in) && looks_like_tga(in)) out->kind = IMAGE_TGA;
    else return no_picture(in, why);
    TRY(readers[out->kind](out, in, why));
    /* GIF: two pictures of four channels and a map of what was drawn. */
    static const uint8_t per_pixel[] = {[IMAGE_GIF] = 9, [IMAGE_BMP] = 4, [IMAGE_PNM] = 3, [IMAGE_TGA] = 4, [IMAGE_WEBP] = 0};
    out->decoding += (uint64_t)out->width * out->height * per_pixel[out->kind];
    return 0;
}
