/* tests/peer/image_lines.c — pictures on request, for tests/peer/pillow_test.py. A command a line on stdin, an answer
 * each on stdout: "no CODE SENTENCE", or "ok …" and bytes.
 *
 *   open WHERE                the current picture from here on          ok WIDTH HEIGHT and its RGB bytes
 *   raw WIDTH HEIGHT + bytes  the same from the RGB bytes that follow   ok WIDTH HEIGHT and its RGB bytes
 *   resize X Y W H TO_W TO_H  a box of the current picture              ok WIDTH HEIGHT and its RGB bytes
 *   patches SIDE PATCH        the current picture stretched and cut     ok FLOATS 0 and them as float32
 *   crops WIDTH HEIGHT                                                  ok N 0 and N times four uint32 */
#include "coordinator/picture/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void answer(size_t a, size_t b, const void *bytes, size_t n)
{
    printf("ok %zu %zu\n", a, b);
    fwrite(bytes, 1, n, stdout);
}

static void answer_image(const struct image *image)
{
    answer(image->width, image->height, image->rgb, (size_t)image->width * image->height * 3);
}

static int read_raw(struct image *out, unsigned width, unsigned height, struct err *why)
{
    size_t n = (size_t)width * height * 3;
    *out = (struct image){width, height, malloc(n)};
    if (!out->rgb) return fail(why, E_MEMORY, "no memory for %zu bytes", n);
    return fread(out->rgb, 1, n, stdin) == n ? 0 : fail(why, E_FILE, "stdin ends within a picture");
}

static int cut(const struct image *image, unsigned side, unsigned patch, struct err *why)
{
    struct image square;
    TRY(image_resize(&square, image, image_whole(image), side, side, why));
    float *rows = malloc(image_patches_floats(side) * sizeof *rows);
    int code = rows ? image_patches(rows, &square, patch, why) : fail(why, E_MEMORY, "no memory for patches");
    if (!code) answer(image_patches_floats(side), 0, rows, image_patches_floats(side) * sizeof *rows);
    free(rows);
    image_free(&square);
    return code;
}

static int resize(const struct image *image, const unsigned *v, struct err *why)
{
    struct image to;
    TRY(image_resize(&to, image, (struct image_box){v[0], v[1], v[2], v[3]}, v[4], v[5], why));
    answer_image(&to);
    image_free(&to);
    return 0;
}

static int replace(struct image *image, struct image by, int code)
{
    if (code) {
        image_free(&by);
        return code;
    }
    image_free(image);
    *image = by;
    answer_image(image);
    return 0;
}

static int obey(char *line, struct image *image, struct err *why)
{
    unsigned v[6];
    struct image other = {0};
    struct image_box crops[IMAGE_CROPS_MOST];
    if (!strncmp(line, "open ", 5)) {
        int code = image_open(&other, line + 5, 0, why);
        return replace(image, other, code);
    }
    if (sscanf(line, "raw %u %u", v, v + 1) == 2) {
        int code = read_raw(&other, v[0], v[1], why);
        return replace(image, other, code);
    }
    if (sscanf(line, "resize %u %u %u %u %u %u", v, v + 1, v + 2, v + 3, v + 4, v + 5) == 6)
        return resize(image, v, why);
    if (sscanf(line, "patches %u %u", v, v + 1) == 2) return cut(image, v[0], v[1], why);
    if (sscanf(line, "crops %u %u", v, v + 1) == 2) {
        size_t n = image_crops(v[0], v[1], crops);
        answer(n, 0, crops, n * sizeof *crops);
        return 0;
    }
    return fail(why, E_USAGE, "what is \"%s\"?", line);
}

int main(void)
{
    struct image image = {0};
    char *line = 0;
    size_t room = 0;
    ssize_t n;
    while ((n = getline(&line, &room, stdin)) > 0) {
        struct err why = {0};
        line[n - 1] = 0;
        if (obey(line, &image, &why)) printf("no %d %s\n", why.code, why.text);
        fflush(stdout);
    }
    free(line);
    image_free(&image);
    return 0;
}
