/* tests/unit/picture/image_test.c — claims about pictures that need no other program. What Pillow makes of the same bytes is
 * compared in tests/peer/pillow_test.py; damage at random is in tests/fuzz/image_fuzz_test.c. */
#define _GNU_SOURCE /* memmem */
#include "coordinator/picture/image.h"

#include "coordinator/picture/image_header.h"
#include "tests/support/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define SEEDS "tests/fuzz/seeds/image_fuzz/"

static struct image_bytes bytes_of(const void *data, size_t n)
{
    return (struct image_bytes){(uint8_t *)data, n, "x"};
}
#define BYTES(literal) bytes_of(literal, sizeof literal - 1)

static void check_refused(int line, struct image_bytes bytes, const struct image_limits *limits, const char *sentence)
{
    struct image image = {.width = 7};
    struct err why = {0};
    int code = image_decode(&image, &bytes, limits, &why);
    if (code != E_FILE || !strstr(why.text, sentence) || strncmp(why.text, bytes.name, strlen(bytes.name)))
        check_failed(__FILE__, line, "refused", " %d: %s; wanted: %s", code, why.text, sentence);
    if (image.width != 7) check_failed(__FILE__, line, "refused", " but written to");
    if (!code) image_free(&image);
}
#define CHECK_REFUSED(bytes, sentence) check_refused(__LINE__, bytes, 0, sentence)

static void check_pixels(int line, struct image_bytes bytes, uint32_t width, uint32_t height, const char *rgb)
{
    struct image image = {0};
    struct err why = {0};
    if (image_decode(&image, &bytes, 0, &why)) check_failed(__FILE__, line, "decoded", " %s", why.text);
    else if (image.width != width || image.height != height)
        check_failed(__FILE__, line, "decoded", " %u × %u", image.width, image.height);
    else
        for (size_t i = 0; i < (size_t)width * height * 3; i++)
            if (image.rgb[i] != (uint8_t)rgb[i])
                check_failed(__FILE__, line, "decoded", " byte %zu: %u, not %u", i, image.rgb[i], (uint8_t)rgb[i]);
    image_free(&image);
}
#define CHECK_PIXELS(bytes, width, height, rgb) check_pixels(__LINE__, bytes, width, height, rgb)

/* ---- what is in the bytes ---- */

#define TGA(type, w, h, bits) "\0\0" type "\0\0\0\0\0\0\0\0\0" w "\0" h "\0" bits "\x20"

TEST(alpha_is_composed_on_white)
{
    CHECK_PIXELS(BYTES(TGA("\2", "\3", "\1", "\x20") "\1\2\3\0"
                                                     "\1\2\3\xff"
                                                     "\0\0\0\x80"),
                 3, 1,
                 "\xff\xff\xff"
                 "\3\2\1"
                 "\x7f\x7f\x7f");
}

TEST(grey_has_three_equal_channels)
{
    CHECK_PIXELS(BYTES(TGA("\3", "\2", "\1", "\x8") "\x11\xee"), 2, 1, "\x11\x11\x11\xee\xee\xee");
    CHECK_PIXELS(BYTES("P5 2 1 255\n\x11\xee"), 2, 1, "\x11\x11\x11\xee\xee\xee");
}

TEST(pnm_is_read_plain_and_raw_and_scaled_to_its_maximum)
{
    CHECK_PIXELS(BYTES("P3\n# red, green\n2 1 # wide\n15\n15 0 0  0 15 7\n"), 2, 1, "\xff\0\0\0\xff\x77");
    CHECK_PIXELS(BYTES("P6 1 1 65535\n\xff\xff\x80\x00\x00\x80"), 1, 1, "\xff\x80\0");
    CHECK_PIXELS(BYTES("P1 3 1 1 01"), 3, 1, "\0\0\0\xff\xff\xff\0\0\0");
    CHECK_PIXELS(BYTES("P4 3 2\n\xa0\x40"), 3, 2, "\0\0\0\xff\xff\xff\0\0\0\xff\xff\xff\0\0\0\xff\xff\xff");
    CHECK_PIXELS(BYTES("P2 1 1 100 999999999"), 1, 1, "\xff\xff\xff");
}

/* Stored:  0 1   upright, by orientation: what lies where is EXIF's table.
 *          2 3
 *          4 5                                                                            */
TEST(every_orientation_turns_as_exif_says)
{
    static const char *const upright[] = {0,        "012345", "103254", "543210", "452301",
                                          "024135", "420531", "531420", "135024"};
    for (int o = 1; o <= 8; o++) {
        struct image image = {2, 3, malloc(18)};
        for (int i = 0; i < 18; i++) image.rgb[i] = (uint8_t)('0' + i / 3);
        NEED(image_turn(&image, o, why));
        CHECK(image.width == (o < 5 ? 2 : 3) && image.height == (o < 5 ? 3 : 2), "%d", o);
        for (int i = 0; i < 18; i++)
            CHECK(image.rgb[i] == (uint8_t)upright[o][i / 3], "orientation %d, pixel %d: %c", o, i / 3, image.rgb[i]);
        image_free(&image);
    }
}

TEST(exif_that_makes_no_sense_means_upright)
{
    const struct {
        struct image_bytes tiff;
        int orientation;
    } cases[] = {
        {BYTES("II*\0\x8\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0"), 6},
        {BYTES("MM\0*\0\0\0\x8\0\1\1\x12\0\3\0\0\0\1\0\x8\0\0"), 8},
        {BYTES("II*\0\x8\0\0\0\2\0\x0f\1\3\0\1\0\0\0\6\0\0\0\x12\1\3\0\1\0\0\0\2\0\0\0"), 2},
        {BYTES("II*\0\x8\0\0\0\xff\xff\x12\1\3\0\1\0\0\0\3\0\0\0"), 3}, /* says more entries than there are */
        {BYTES("II*\0\x8\0\0\0\1\0\x12\1\3\0\1\0\0\0\x9\0\0\0"), 1},    /* 9 is none */
        {BYTES("II*\0\x8\0\0\0\1\0\x12\1\4\0\1\0\0\0\6\0\0\0"), 1},     /* not a short */
        {BYTES("II*\0\x8\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0"), 1},       /* a byte is missing */
        {BYTES("II*\0\xff\xff\xff\xff\1\0"), 1},
        {BYTES("II*\0\x8\0\0\0"), 1},
        {BYTES("XX*\0\x8\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0"), 1},
        {BYTES(""), 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *copy = malloc(cases[i].tiff.n + 1);
        memcpy(copy, cases[i].tiff.data, cases[i].tiff.n);
        int got = image_exif_orientation(copy, cases[i].tiff.n);
        CHECK(got == cases[i].orientation, "case %zu: %d", i, got);
        free(copy);
    }
}

/* ---- what is refused ---- */

#define IHDR(w, h) "\x89PNG\r\n\x1a\n\0\0\0\rIHDR" w h "\x8\2\0\0\0\0\0\0\0"
#define BMP(w, h) "BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0" w h "\1\0\x18\0\0\0\0\0"

TEST(sizes_are_judged_by_the_header_alone)
{
    CHECK_REFUSED(BYTES(IHDR("\0\1\x86\xa0", "\0\1\x86\xa0")),
                  "x says it is 100000 × 100000 pixels; no side may have more");
    CHECK_REFUSED(BYTES(IHDR("\0\0\xff\xff", "\0\0\xff\xff")),
                  "65535 × 65535 pixels; a PNG of that size takes 24.00 GiB to decode, and may take 384.00 MiB");
    CHECK_REFUSED(BYTES(BMP("\xa0\x86\1\0", "\xa0\x86\1\0")), "100000 × 100000");
    CHECK_REFUSED(BYTES(BMP("\1\0\0\0", "\0\0\0\x80")), "1 × 2147483648");
    CHECK_REFUSED(BYTES("GIF89a\xff\xff\xff\xff\0\0\0"), "65535 × 65535");
    CHECK_REFUSED(BYTES("\xff\xd8\xff\xc0\0\x11\x8\xff\xff\xff\xff\3\1\x11\0\2\x11\0\3\x11\0"), "65535 × 65535");
    CHECK_REFUSED(BYTES("P6 100000 100000 255\n"), "100000 × 100000");
    CHECK_REFUSED(BYTES("P6 9999999999 1 255\n"), "lacks a number");
    CHECK_REFUSED(BYTES(TGA("\2", "\1", "\1", "\x20") ""), "cut short");
    check_refused(__LINE__, BYTES("P5 5 5 255\n"), &(struct image_limits){1000, 100, 9}, "5 × 5 pixels; a PNM of that size takes");
    check_refused(__LINE__, BYTES("P5 5 5 255\n"), &(struct image_limits){1000, 1 << 20, 4}, "no side may have more than 4");
    check_refused(__LINE__, BYTES("P5 5 5 255\n"), &(struct image_limits){10, 1 << 20, 9},
                  "has 11 bytes; a picture may have 10");
}

TEST(a_picture_without_pixels_is_refused)
{
    CHECK_REFUSED(BYTES(IHDR("\0\0\0\0", "\0\0\0\5")), "says it is 0 × 5 pixels");
    CHECK_REFUSED(BYTES("P5 5 0 255\n"), "5 × 0");
    CHECK_REFUSED(BYTES("GIF89a\0\0\5\0\0\0\0"), "0 × 5");
    CHECK_REFUSED(BYTES(BMP("\5\0\0\0", "\0\0\0\0")), "5 × 0");
    CHECK_REFUSED(BYTES(BMP("\xff\xff\xff\xff", "\1\0\0\0")), "0 × 1");
    CHECK_REFUSED(BYTES("\xff\xd8\xff\xc0\0\x11\x8\0\0\0\5\3\1\x11\0\2\x11\0\3\x11\0"), "5 × 0");
}

TEST(what_is_no_picture_is_called_what_it_is)
{
    CHECK_REFUSED(BYTES(""), "is empty");
    CHECK_REFUSED(BYTES("Dear model,\n\tplease look."), "is text, not a picture");
    CHECK_REFUSED(BYTES("Bonjour"), "is text");
    CHECK_REFUSED(BYTES("BM stands for bitmap, they say"), "is text");
    CHECK_REFUSED(BYTES("\1\2\3\4\5\6\7\x8"), "is something unknown");
    CHECK_REFUSED(BYTES("RIFF\x10\0\0\0WEBPVP8 "), "is cut short: the WebP data end");
    CHECK_REFUSED(BYTES("RIFF\x10\0\0\0WEBPnone\1\0\0\0\0\0\0\0"), "is a damaged WebP");
    CHECK_REFUSED(BYTES("\0\0\0\x18"
                        "ftypheic\0\0\0\0"),
                  "HEIC");
    CHECK_REFUSED(BYTES("\0\0\0\x18"
                        "ftypmif1\0\0\0\0"),
                  "HEIF");
    CHECK_REFUSED(BYTES("\0\0\0\x18"
                        "ftypavif\0\0\0\0"),
                  "AVIF");
    CHECK_REFUSED(BYTES("II*\0\x8\0\0\0"), "TIFF");
    CHECK_REFUSED(BYTES("%PDF-1.7"), "PDF");
    CHECK_REFUSED(BYTES("<svg xmlns="), "SVG");
    CHECK_REFUSED(BYTES("\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\0\0\0\0\0\0"), "icon");
    CHECK_REFUSED(BYTES("\xff\xd8\xff\xc9\0\x11\x8\0\5\0\5\3\1\x11\0\2\x11\0\3\x11\0"), "rare kind (frame type 9)");
    CHECK_REFUSED(BYTES("\xff\xd8\xff\xc0\0\x11\xc\0\5\0\5\3\1\x11\0\2\x11\0\3\x11\0"), "12 bits");
    CHECK_REFUSED(BYTES("\xff\xd8\xff\xc0\0\x14\x8\0\5\0\5\4\1\x11\0\2\x11\0\3\x11\0\4\x11\0"), "four channels");
}

/* Its decoder would write 4080 code lengths into a table of 257. */
TEST(a_jpeg_table_of_too_many_codes_never_reaches_the_decoder)
{
    uint8_t b[23] = {0xff, 0xd8, 0xff, 0xc4, 0, 19, 0};
    memset(b + 7, 255, 16);
    CHECK_REFUSED(bytes_of(b, sizeof b), "a table of 4080 codes");
    b[5] = 9; /* the table ends within its counts */
    CHECK_REFUSED(bytes_of(b, sizeof b), "a table of");
}

static int read_seed(struct image_bytes *out, const char *name, struct err *why)
{
    char path[200];
    snprintf(path, sizeof path, SEEDS "%s", name);
    TRY(image_read(out, path, 0, why));
    out->name = name;
    return 0;
}

TEST(a_jpeg_of_endless_scans_is_refused)
{
    struct image_bytes seed, many = {malloc(1 << 20), 0, "many.jpg"};
    NEED(read_seed(&seed, "progressive.jpg", why));
    const uint8_t *scan = memmem(seed.data, seed.n, "\xff\xda", 2);
    const uint8_t *next = memmem(scan + 2, seed.n - (size_t)(scan + 2 - seed.data), "\xff\xc4", 2);
    size_t head = (size_t)(scan - seed.data), each = (size_t)(next - scan);
    memcpy(many.data, seed.data, head);
    many.n = head;
    for (int i = 0; i < 101; i++, many.n += each) memcpy(many.data + many.n, scan, each);
    CHECK_REFUSED(many, "more than 100 scans");
    image_bytes_free(&seed), image_bytes_free(&many);
}

TEST(data_that_inflate_far_beyond_their_header_are_refused)
{
    struct image_bytes bomb;
    NEED(read_seed(&bomb, "bomb.png", why));
    CHECK_REFUSED(bomb, "is a damaged PNG: it says 1 × 1 pixels, its data hold far more");
    image_bytes_free(&bomb);
}

TEST(a_png_whose_bytes_do_not_have_their_checksum_is_damaged)
{
    struct image_bytes seed;
    NEED(read_seed(&seed, "rgb.png", why));
    seed.data[seed.n - 20] ^= 1; /* among the compressed pixels: the decoder would show another picture */
    CHECK_REFUSED(seed, "rgb.png is a damaged PNG: the ");
    image_bytes_free(&seed);
}

TEST(an_animated_webp_is_refused_by_name)
{
    struct image_bytes seed;
    NEED(read_seed(&seed, "animated.webp", why));
    CHECK_REFUSED(seed, "animated.webp is an animated WebP, which is not read; save one of its pictures");
    image_bytes_free(&seed);
}

/* The decoder gives up on this one in silence; what it said of an earlier picture must not stand in the sentence. */
TEST(a_refusal_without_a_reason_is_still_a_sentence)
{
    struct image_bytes seed;
    NEED(read_seed(&seed, "no-reason.png", why));
    CHECK_REFUSED(BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\3\2\0\0\0\xe7\xa7\x62\xcf"), "x cannot be decoded");
    CHECK_REFUSED(seed, "no-reason.png cannot be decoded as PNG of 3 × 3 pixels: damaged");
    image_bytes_free(&seed);
}

/* A few last bytes carry nothing: checksums, a GIF's trailer, a TGA's footer. */
TEST(every_beginning_of_a_picture_is_refused_or_the_whole_picture)
{
    static const char *const names[] = {"baseline.jpg", "progressive.jpg", "grey.jpg",     "rgb.png",     "rgba.png",
                                        "lossy.webp",   "lossless.webp",   "lossy-alpha.webp",
                                        "la.png",       "palette.png",     "palette.gif",  "several.gif", "rgb.bmp",
                                        "palette.bmp",  "rgb.tga",         "rgba-rle.tga", "palette.tga", "rgb.ppm",
                                        "grey.pgm",     "one.pbm",         "deep.png",     "plain.pbm"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        struct image_bytes seed;
        struct image whole;
        size_t opened = 0;
        NEED(read_seed(&seed, names[k], why));
        NEED(image_decode(&whole, &seed, 0, why));
        for (size_t n = 0; n < seed.n; n++) {
            struct image image = {0};
            struct err no = {0};
            struct image_bytes cut = {malloc(n + 1), n, "cut"};
            memcpy(cut.data, seed.data, n);
            if (image_decode(&image, &cut, 0, &no)) CHECK(no.text[0], "%s, %zu bytes", names[k], n);
            else {
                opened++;
                CHECK(!memcmp(image.rgb, whole.rgb, (size_t)whole.width * whole.height * 3), "%s, %zu of %zu bytes",
                      names[k], n, seed.n);
            }
            image_free(&image), image_bytes_free(&cut);
        }
        size_t most = strcmp(names[k], "several.gif") ? 30 : 200; /* only the first of its pictures is read */
        CHECK(opened <= most, "%s: %zu beginnings are pictures", names[k], opened);
        image_free(&whole), image_bytes_free(&seed);
    }
}

/* ---- where the bytes come from ---- */

static void check_unread(int line, const char *where, const struct image_limits *limits, int code, const char *sentence)
{
    struct image_bytes bytes = {0};
    struct err why = {0};
    int got = image_read(&bytes, where, limits, &why);
    if (got != code || !strstr(why.text, sentence))
        check_failed(__FILE__, line, "unread", " %d: %s; wanted: %s", got, why.text, sentence);
    if (!got) image_bytes_free(&bytes);
}

TEST(what_cannot_be_read_is_refused_in_a_sentence)
{
    const struct image_limits few = {100, 100, 100};
    check_unread(__LINE__, "no/such.png", 0, E_FILE, "cannot open no/such.png");
    check_unread(__LINE__, "tests", 0, E_FILE, "tests is not a file but a folder");
    check_unread(__LINE__, "/dev/zero", &few, E_FILE, "/dev/zero is not a file but a device");
    check_unread(__LINE__, SEEDS "rgb.bmp", &few, E_FILE, "has 834 bytes, wanted at most 100");
    check_unread(__LINE__, "data:image/png", 0, E_USAGE, "has no comma");
    check_unread(__LINE__, "data:,hello", 0, E_USAGE, "is not base64");
    check_unread(__LINE__, "data:image/png,abcd", 0, E_USAGE, "is not base64");
    check_unread(__LINE__, "data:;base64,ab!d", 0, E_USAGE, "byte 0x21 at place 2");
    check_unread(__LINE__, "data:;base64,abcda", 0, E_USAGE, "one digit is left over");
    check_unread(__LINE__, "data:;base64,ab==cd", 0, E_USAGE, "behind the padding");
    char long_url[400] = "data:;base64,";
    memset(long_url + 13, 'A', 380);
    check_unread(__LINE__, long_url, &few, E_FILE, "more than the 100 bytes");
}

TEST(a_pipe_and_a_data_url_bring_the_same_bytes_as_a_file)
{
    struct image_bytes bytes;
    int ends[2];
    NEED(image_read(&bytes, "data:text/plain;base64,Z2Vt bWE\n=", 0, why));
    CHECK(bytes.n == 5 && !memcmp(bytes.data, "gemma", 5), "%zu bytes", bytes.n);
    image_bytes_free(&bytes);
    NEED(image_read(&bytes, "data:;base64,", 0, why));
    CHECK(bytes.n == 0);
    image_bytes_free(&bytes);
    int kept = dup(0);
    if (pipe(ends) || write(ends[1], "P5 1 1 255\nx", 12) != 12 || dup2(ends[0], 0) < 0) return;
    close(ends[0]), close(ends[1]);
    NEED(image_read(&bytes, "-", 0, why));
    CHECK(bytes.n == 12 && !strcmp(bytes.name, "the picture on stdin"));
    CHECK_PIXELS(bytes, 1, 1, "xxx");
    image_bytes_free(&bytes);
    if (kept < 0) close(0);
    else dup2(kept, 0), close(kept);
}

/* ---- resizing, crops, patches ---- */

static struct image row_of(uint32_t width, uint32_t height)
{
    struct image image = {width, height, malloc((size_t)width * height * 3)};
    for (size_t i = 0; i < (size_t)width * height * 3; i++) image.rgb[i] = (uint8_t)(i * 7 % 251);
    return image;
}

/* Twice as large: weights 1; 3/4, 1/4; 1/4, 3/4; 1. Half: 3/7, 3/7, 1/7 at the edge, 1/8, 3/8, 3/8, 1/8 inside. */
TEST(resizing_weighs_as_the_triangle_does)
{
    struct image two = {2, 1, (uint8_t[]){0, 0, 0, 255, 100, 8}}, to;
    const uint8_t up[] = {0, 0, 0, 64, 25, 2, 191, 75, 6, 255, 100, 8};
    NEED(image_resize(&to, &two, image_whole(&two), 4, 1, why));
    CHECK(!memcmp(to.rgb, up, sizeof up), "%u %u %u %u", to.rgb[0], to.rgb[3], to.rgb[6], to.rgb[9]);
    image_free(&to);
    struct image line = {1, 8,
                         (uint8_t[]){70, 70, 70, 0, 0, 0, 140, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0}};
    NEED(image_resize(&to, &line, image_whole(&line), 1, 4, why));
    CHECK(to.rgb[0] == 50 && to.rgb[1] == 30, "%u %u", to.rgb[0], to.rgb[1]);
    CHECK(to.rgb[3] == 83 && to.rgb[9] == 3, "%u %u", to.rgb[3], to.rgb[9]); /* 3/8 (140 + 80) = 82.5; 3/7 of 7 */
    image_free(&to);
}

TEST(a_box_outside_its_picture_is_our_mistake)
{
    struct image in = row_of(5, 4), to = {0};
    const struct image_box wrong[] = {{0, 0, 6, 4}, {1, 0, 5, 4}, {0, 0, 5, 0}, {5, 0, 1, 1}, {0, UINT32_MAX, 1, 2}};
    struct err why;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(image_resize(&to, &in, wrong[i], 3, 3, &why) == E_INTERNAL && !to.rgb, "%zu", i);
    CHECK(image_resize(&to, &in, image_whole(&in), 0, 3, &why) == E_INTERNAL);
    CHECK(image_patches(0, &in, 2, &why) == E_INTERNAL);
    image_free(&in);
}

TEST(patches_go_row_by_row_and_channel_by_channel)
{
    enum { SIDE = 4, PATCH = 2 };
    struct image in = row_of(SIDE, SIDE);
    float out[3 * SIDE * SIDE];
    size_t i = 0;
    CHECK(image_patches_floats(SIDE) == sizeof out / sizeof *out);
    NEED(image_patches(out, &in, PATCH, why));
    for (uint32_t p = 0; p < 4; p++)
        for (uint32_t c = 0; c < 3; c++)
            for (uint32_t y = 0; y < PATCH; y++)
                for (uint32_t x = 0; x < PATCH; x++, i++) {
                    uint8_t v = in.rgb[((p / 2 * PATCH + y) * SIDE + p % 2 * PATCH + x) * 3 + c];
                    CHECK(out[i] == v / 127.5f - 1.0f, "%zu: %f", i, (double)out[i]);
                }
    in.rgb[0] = 0, in.rgb[3] = 255;
    NEED(image_patches(out, &in, PATCH, why));
    CHECK(out[0] == -1.0f && out[1] == 1.0f);
    image_free(&in);
}

TEST(pan_and_scan_cuts_long_pictures_only)
{
    const struct {
        uint32_t width, height;
        size_t n;
        struct image_box last;
    } cases[] = {
        {1000, 1000, 0, {0}},
        {1199, 1000, 0, {0}},
        {1200, 1000, 2, {600, 0, 600, 1000}},
        {1001, 500, 2, {501, 0, 500, 500}},
        {510, 300, 0, {0}},
        {511, 300, 2, {256, 0, 255, 300}},
        {512, 255, 0, {0}},
        {3000, 1000, 3, {2000, 0, 1000, 1000}},
        {256, 9000, 4, {0, 6750, 256, 2250}},
        {1, 1, 0, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct image_box crops[IMAGE_CROPS_MOST], last = cases[i].last;
        size_t n = image_crops(cases[i].width, cases[i].height, crops);
        CHECK(n == cases[i].n, "%u × %u: %zu", cases[i].width, cases[i].height, n);
        if (n && n == cases[i].n) CHECK(!memcmp(&crops[n - 1], &last, sizeof last), "%u × %u", last.width, last.height);
    }
}
