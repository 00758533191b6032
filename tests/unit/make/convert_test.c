/* tests/unit/make/convert_test.c — conversions as files: the order of tensors, the sameness whatever the threads, and what
 * is refused without leaving a file. */
#define _GNU_SOURCE
#include "base/half.h"
#include "partition/make/convert.h"
#include "partition/file/gguf.h"
#include "partition/format/quantize.h"
#include "tests/support/check.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define COLUMNS 512
#define ROWS 6000 /* three million values: several pieces, the last one short */
#define VALUES ((size_t)COLUMNS * ROWS)

static char folder[32], source[64], target[64], partial[80];

static void make_places(void)
{
    strcpy(folder, "/tmp/convert_test.XXXXXX");
    if (!mkdtemp(folder)) return;
    snprintf(source, sizeof source, "%s/source", folder);
    snprintf(target, sizeof target, "%s/model.gguf", folder);
    snprintf(partial, sizeof partial, "%s.partial", target);
}

static void remove_places(void)
{
    unlink(source);
    unlink(target);
    unlink(partial);
    rmdir(folder);
}

static float value_at(size_t i)
{
    return (float)((int)(i * 2654435761u >> 8 & 0xffff) - 0x8000) * 0x1p-20f;
}

/* A file of bf16 values after `skip` bytes that belong to nobody. */
static void write_source(size_t skip, size_t bad_at, float bad)
{
    FILE *f = fopen(source, "w");
    for (size_t i = 0; i < skip; i++) fputc(0xff, f);
    for (size_t i = 0; i < VALUES; i++) {
        uint16_t b = f32_to_bf16(i == bad_at ? bad : value_at(i));
        fputc(b & 255, f);
        fputc(b >> 8, f);
    }
    fclose(f);
}

static int convert(const struct conversion *list, size_t count, int threads, struct conversion_error *error,
                   struct err *why)
{
    const char *paths[] = {source};
    struct convert job = {list, count, paths, 1, threads, "converting", error};
    struct gguf_out *o;
    TRY(gguf_out_open(&o, target, why));
    gguf_put_text(o, "general.architecture", "test");
    int rc = convert_write(o, &job, why);
    if (!rc) rc = gguf_out_finish(o, why);
    gguf_out_close(&o);
    return rc;
}

static struct conversion matrix(const char *name, uint32_t type, uint64_t offset)
{
    struct conversion c = {
        .type = type, .n_dims = 2, .dims = {COLUMNS, ROWS, 1, 1}, .from_type = T_BF16, .offset = offset};
    snprintf(c.name, sizeof c.name, "%s", name);
    return c;
}

static bool no_file(void)
{
    return access(target, F_OK) && access(partial, F_OK);
}

TEST(any_number_of_threads_writes_the_same_file)
{
    make_places();
    write_source(6, SIZE_MAX, 0);
    struct conversion list[] = {matrix("a", T_Q4_0, 6), matrix("b", T_BF16, 6), matrix("c", T_Q6_K, 6),
                                matrix("d", T_F32, 6), matrix("e", T_F16, 6)};
    list[3].add_one = true;
    uint8_t *expected = malloc(VALUES * 4);
    float *x = malloc(VALUES * sizeof *x);
    for (size_t i = 0; i < VALUES; i++) x[i] = bf16_to_f32(f32_to_bf16(value_at(i)));
    struct quantizer q = quantizer_plain();
    struct conversion_error error[5];
    static const int threads[] = {1, 2, 7, 300};
    for (int k = 0; k < 4; k++) {
        NEED(convert(list, 5, threads[k], k == 1 ? error : NULL, why));
        CHECK(access(partial, F_OK));
        struct gguf *g;
        NEED(gguf_open(&g, target, why));
        for (size_t t = 0; t < 5; t++) {
            const struct gguf_tensor *made = gguf_tensor_at(g, t);
            for (size_t i = 0; t == 3 && i < VALUES; i++) x[i] += 1;
            quantize_values(&q, list[t].type, x, VALUES, expected);
            for (size_t i = 0; t == 3 && i < VALUES; i++) x[i] = bf16_to_f32(f32_to_bf16(value_at(i)));
            CHECK(!strcmp(made->name, list[t].name) && made->bytes == conversion_bytes(&list[t]));
            CHECK(!memcmp(made->data, expected, made->bytes), "tensor %zu, %d threads", t, threads[k]);
        }
        gguf_close(&g);
        unlink(target); /* what was read is not written over */
    }
    double q4 = sqrt(error[0].noise / error[0].signal);
    CHECK(q4 > 0.03 && q4 < 0.1 && error[1].noise == 0 && error[3].noise == 0 && error[1].signal > 0, "%g", q4);
    free(x);
    free(expected);
    remove_places();
}

TEST(blocks_that_stay_are_copied_and_others_go_by_their_values)
{
    make_places();
    uint8_t blocks[64 * 18], want[64 * 34];
    float x[64 * 32];
    for (size_t i = 0; i < sizeof blocks; i++) blocks[i] = (uint8_t)(i % 18 == 1 ? 0x2c : i * 37);
    block_dequantize(T_Q4_0, blocks, x, 64 * 32);
    struct quantizer q = quantizer_plain();
    quantize_values(&q, T_Q8_0, x, 64 * 32, want);
    FILE *f = fopen(source, "w");
    fwrite(blocks, 1, sizeof blocks, f);
    fclose(f);
    struct conversion list[2] = {{"kept", T_Q4_0, 2, {64, 32, 1, 1}, T_Q4_0, false, 0, 0},
                                 {"made", T_Q8_0, 2, {64, 32, 1, 1}, T_Q4_0, false, 0, 0}};
    NEED(convert(list, 2, 2, NULL, why));
    struct gguf *g;
    NEED(gguf_open(&g, target, why));
    CHECK(!memcmp(gguf_tensor(g, "kept")->data, blocks, sizeof blocks));
    CHECK(!memcmp(gguf_tensor(g, "made")->data, want, sizeof want));
    gguf_close(&g);
    remove_places();
}

/* Two bad values, the later one in a piece that another thread may finish first: the earlier is the one told. */
TEST(a_value_that_is_no_number_is_named_with_its_place)
{
    static const struct {
        float bad;
        uint32_t type;
        const char *says;
    } cases[] = {{NAN, T_Q4_0, "NaN"}, {INFINITY, T_BF16, "infinite"}, {-INFINITY, T_Q6_K, "infinite"},
                 {NAN, T_F32, "NaN"}, {70000, T_F16, "F16 holds at most 65520"},
                 {-1e6f, T_Q4_0, "Q4_0 holds at most 524032"}};
    make_places();
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        size_t row = k % 2 ? 3 : 5500;
        write_source(0, row * COLUMNS + 17, cases[k].bad);
        struct conversion list[2] = {
            matrix("blk.0.ffn_up.weight", cases[k].type, 0), matrix("later", cases[k].type, 0)};
        char place[64];
        snprintf(place, sizeof place, "at row %zu, column 17", row);
        struct err no = {0};
        CHECK(convert(list, 2, 3, NULL, &no) == E_FILE, "case %zu", k);
        CHECK(strstr(no.text, source) && strstr(no.text, "blk.0.ffn_up.weight") && strstr(no.text, place) &&
                  strstr(no.text, cases[k].says), "%s", no.text);
        CHECK(no_file());
    }
    remove_places();
}

TEST(a_source_that_ends_early_or_is_gone_is_a_sentence)
{
    make_places();
    struct conversion list[1] = {matrix("blk.0.ffn_up.weight", T_Q4_0, 0)};
    struct err no = {0};
    CHECK(convert(list, 1, 2, NULL, &no) == E_FILE && strstr(no.text, "cannot read") && no_file(), "%s", no.text);
    write_source(0, SIZE_MAX, 0);
    CHECK(!truncate(source, VALUES * 2 - 100));
    CHECK(convert(list, 1, 2, NULL, &no) == E_FILE && strstr(no.text, "cut short") && no_file(), "%s", no.text);
    remove_places();
}

TEST(rows_that_are_not_whole_blocks_are_refused)
{
    make_places();
    write_source(0, SIZE_MAX, 0);
    struct conversion list[1] = {matrix("blk.0.ffn_up.weight", T_Q6_K, 0)};
    list[0].dims[0] = 640;
    struct err no = {0};
    CHECK(convert(list, 1, 1, NULL, &no) == E_USAGE && no_file());
    CHECK(strstr(no.text, "640 values, wanted a multiple of 256"), "%s", no.text);
    remove_places();
}

TEST(a_finished_file_takes_the_place_of_an_older_one_and_a_failed_one_does_not)
{
    make_places();
    write_source(0, SIZE_MAX, 0);
    FILE *f = fopen(target, "w");
    fputs("older", f);
    fclose(f);
    struct conversion list[1] = {matrix("a", T_Q4_0, 0)};
    struct err no = {0};
    struct gguf *g;
    list[0].dims[1] = ROWS + 1; /* more than the source has */
    CHECK(convert(list, 1, 1, NULL, &no) == E_FILE && !access(target, F_OK), "%s", no.text);
    char was[6] = "";
    f = fopen(target, "r");
    CHECK(fread(was, 1, 5, f) == 5 && !strcmp(was, "older"));
    fclose(f);
    list[0].dims[1] = ROWS;
    NEED(convert(list, 1, 1, NULL, why));
    NEED(gguf_open(&g, target, why));
    gguf_close(&g);
    remove_places();
}
