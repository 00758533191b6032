/* tests/pipeline/vision_rows.c — pixels to rows through one or several stages in one process, for scripts.
 *
 *   vision_rows MMPROJ PIXELS.f32 OUT.f32 [q8_0|file|float32] [threads] [cuts, as "2,4": where stages end] [pictures]
 *
 * PIXELS holds float32 [image, image, 3], line by line; OUT gets [tokens, hidden]. Prints what each stage took of memory
 * and of time. */
#include "partition/file/encoder_file.h"
#include "base/clock.h"
#include "worker/encoder/vision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pictures as the file of pixels has them -> patches in rows: colour by colour, line by line. */
static float *patches_of(const struct vision_config *c, const float *pixels)
{
    const uint32_t side = vision_side(c), p = c->patch;
    float *rows = malloc((size_t)vision_patches(c) * vision_pixels(c) * sizeof *rows), *to = rows;
    for (uint32_t patch = 0; rows && patch < side * side; patch++)
        for (uint32_t colour = 0; colour < 3; colour++)
            for (uint32_t y = 0; y < p; y++)
                for (uint32_t x = 0; x < p; x++)
                    *to++ = pixels[(((size_t)(patch / side) * p + y) * c->image + patch % side * p + x) * 3 + colour];
    return rows;
}

static int load_all(struct vision_stage *s, const struct tensor *t, size_t n, struct err *why)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t row = block_row_bytes(t[i].type, t[i].cols);
        for (uint32_t r = 0; r < t[i].rows; r += 64)
            TRY(vision_stage_load(s, i, r, t[i].rows - r < 64 ? t[i].rows - r : 64, t[i].data + r * row, why));
    }
    return vision_stage_loaded(s, why);
}

static int run_stage(const struct vision_model *m, struct vision_plan_in *in, float **rows, int pictures,
                     struct err *why)
{
    struct kernels k;
    struct vision_stage *s;
    struct tensor *t = calloc(part_count(CHAIN_VISION, in->part), sizeof *t);
    float *out = malloc(vision_floats_out(&in->config, in->part) * sizeof *out);
    if (!t || !out) return fail(why, E_MEMORY, "no memory");
    vision_part_tensors(m, in->part, t);
    in->tensors = t;
    TRY(kernels_choose(&k, why));
    TRY(vision_stage_open(&s, in, &k, why));
    TRY(load_all(s, t, part_count(CHAIN_VISION, in->part), why));
    for (int i = 0; i < pictures; i++) {
        uint64_t since = clock_ns();
        TRY(vision_stage_run(s, *rows, out, why));
        printf("%u..%u %s: %.3f s\n", in->part.first, in->part.end, k.isa, (double)(clock_ns() - since) * 1e-9);
    }
    struct vision_times times = vision_stage_times(s);
    struct part_bytes b = vision_stage_memory(s);
    printf("  q k v %.2f s, attention %.2f, o and ffn %.2f, ends %.2f, of all threads; weights %.1f MB, scratch %.1f MB\n",
           times.before, times.attention, times.after, times.ends, (double)b.weights * 1e-6, (double)b.scratch * 1e-6);
    vision_stage_close(&s);
    free(t);
    free(*rows);
    *rows = out;
    return 0;
}

static int run(int argc, char **argv, struct err *why)
{
    struct vision_model *m;
    TRY(vision_open(&m, argv[1], why));
    const struct vision_config *c = &m->config;
    const size_t n = (size_t)c->image * c->image * 3;
    float *pixels = malloc(n * sizeof *pixels);
    FILE *f = fopen(argv[2], "rb");
    if (!pixels || !f || fread(pixels, sizeof *pixels, n, f) != n) return fail(why, E_FILE, "%s: not the pixels", argv[2]);
    fclose(f);
    float *rows = patches_of(c, pixels);
    free(pixels);
    if (!rows) return fail(why, E_MEMORY, "no memory");
    struct vision_plan_in in = {.config = *c, .threads = argc > 5 ? atoi(argv[5]) : 1};
    in.type = argc > 4 && !strcmp(argv[4], "q8_0") ? VISION_Q8_0 : argc > 4 && !strcmp(argv[4], "float32") ? VISION_FLOAT32 : VISION_AS_FILE;
    const char *cuts = argc > 6 ? argv[6] : "";
    do {
        char *end;
        in.part.first = in.part.end;
        in.part.end = *cuts ? (uint32_t)strtoul(cuts, &end, 10) : c->layers;
        cuts = *cuts ? end + (*end == ',') : cuts;
        in.part.front = in.part.first == 0, in.part.back_end = in.part.end == c->layers;
        TRY(run_stage(m, &in, &rows, argc > 7 ? atoi(argv[7]) : 1, why));
    } while (in.part.end < c->layers);
    f = fopen(argv[3], "wb");
    if (!f || fwrite(rows, sizeof *rows, vision_floats_out(c, in.part), f) == 0 || fclose(f))
        return fail(why, E_FILE, "%s: cannot be written", argv[3]);
    free(rows);
    vision_close(&m);
    return 0;
}

int main(int argc, char **argv)
{
    struct err why = {0};
    if (argc < 4) return fprintf(stderr, "vision_rows MMPROJ PIXELS.f32 OUT.f32 [q8_0|file|float32] [threads] [cuts] [pictures]\n"), 2;
    int code = run(argc, argv, &why);
    if (code) fprintf(stderr, "%s\n", why.text);
    return code;
}
