/* tests/unit/file/gguf_test.c — what the GGUF reader reads, and above all what it refuses: one claim for each way in which a
 * file can try to make a reader believe it. */
#define _GNU_SOURCE
#include "tests/support/check.h"
#include "tests/support/forge.h"

#include "base/mapped.h"

#include <fcntl.h>
#include <time.h>

/* A sound file: some of every kind of value, two tensors. */
static struct forge *sound(void)
{
    struct forge *f = forge_new();
    forge_string(f, "general.architecture", "gemma3");
    forge_u32(f, "number", 7);
    forge_array(f, "words", GGUF_STRING, 2);
    forge_text(f, "one");
    forge_text(f, "");
    forge_tensor(f, "a", T_F32, 1, (uint64_t[]){8}, 0);
    forge_tensor(f, "b", T_Q4_0, 2, (uint64_t[]){64, 2}, 32);
    forge_data(f, 32, 32 + 72);
    return f;
}

static void refused(struct forge *f, const char *word)
{
    struct gguf *g;
    struct err why = {0};
    int rc = open_forged(&g, f, &why);
    CHECK(rc == E_FILE && !g, "wanted a refusal with \"%s\", got %d", word, rc);
    CHECK(strstr(why.text, word) && strstr(why.text, "/proc/self/fd/"), "wanted \"%s\" in: %s", word, why.text);
    CHECK(!strchr(why.text, '\n'));
    gguf_close(&g);
    free(f);
}

/* A file whose only key has a value of `type`, still to be added. */
static struct forge *with_value(uint32_t type)
{
    struct forge *f = forge_new();
    forge_key(f, "k", type);
    return f;
}

/* A file with one tensor as described and room for 64 bytes. */
static struct forge *with_tensor(uint32_t type, uint32_t n_dims, const uint64_t *dims, uint64_t offset)
{
    struct forge *f = forge_new();
    forge_tensor(f, "t", type, n_dims, dims, offset);
    forge_data(f, 32, 64);
    return f;
}

/* ---- what it reads ---- */

TEST(tensors_come_with_shape_and_place)
{
    struct forge *f = sound();
    struct gguf *g;
    NEED(open_forged(&g, f, why));
    CHECK(gguf_tensor_count(g) == 2 && gguf_file_count(g) == 1 && gguf_bytes(g, 0) == f->n);
    const struct gguf_tensor *a = gguf_tensor(g, "a"), *b = gguf_tensor(g, "b");
    CHECK(a && b && a == gguf_tensor_at(g, 0) && b == gguf_tensor_at(g, 1) && !gguf_tensor(g, "c"));
    CHECK(a->n_dims == 1 && a->dims[0] == 8 && a->dims[1] == 1 && a->dims[3] == 1 && a->bytes == 32 &&
          a->type == T_F32);
    CHECK(b->n_dims == 2 && b->dims[0] == 64 && b->dims[1] == 2 && b->bytes == 72 && b->file == 0);
    CHECK(b->offset == f->n - 72 && !memcmp(b->data, f->b + b->offset, 72));
    gguf_close(&g);
    CHECK(!g);
    gguf_close(&g);
    free(f);
}

static void forge_numbers(struct forge *f)
{
    static const struct {
        const char *name;
        uint32_t type;
        int bytes;
        uint64_t value;
    } numbers[] = {
        {"u8", GGUF_U8, 1, 200},
        {"i8", GGUF_I8, 1, 100},
        {"u16", GGUF_U16, 2, 60000},
        {"i16", GGUF_I16, 2, 30000},
        {"u32", GGUF_U32, 4, 4000000000},
        {"i32", GGUF_I32, 4, 2000000000},
        {"u64", GGUF_U64, 8, 1ull << 63},
        {"i64", GGUF_I64, 8, 1ull << 62},
        {"minus8", GGUF_I8, 1, 0xff},
        {"minus32", GGUF_I32, 4, 0xfffffffe},
        {"minus64", GGUF_I64, 8, UINT64_MAX},
        {"yes", GGUF_BOOL, 1, 1},
        {"f64", GGUF_F64, 8, 0x3ff8000000000000},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        forge_key(f, numbers[i].name, numbers[i].type);
        forge_le(f, numbers[i].value, numbers[i].bytes);
    }
    forge_f32(f, "f32", 0.25f);
    forge_string(f, "text", "two\nlines");
    forge_array(f, "halves", GGUF_U16, 3);
    for (unsigned i = 1; i < 4; i++) forge_le(f, i, 2);
    forge_array(f, "nested", GGUF_ARRAY, 2);
    for (int i = 0; i < 2; i++) {
        forge_le(f, GGUF_U8, 4);
        forge_le(f, 2, 8);
        forge_le(f, 0x0102, 2);
    }
    forge_string(f, "after", "the nest");
}

TEST(every_kind_of_value_is_read)
{
    static const struct {
        const char *name;
        uint64_t value;
    } whole[] = {{"u8", 200}, {"i8", 100}, {"u16", 60000}, {"i16", 30000}, {"u32", 4000000000}, {"i32", 2000000000},
                 {"u64", 1ull << 63}, {"i64", 1ull << 62}};
    struct forge *f = forge_new();
    struct gguf *g;
    forge_numbers(f);
    NEED(open_forged(&g, f, why));
    free(f);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        uint64_t v = 0;
        CHECK(!gguf_u64(g, whole[i].name, &v, NULL) && v == whole[i].value, "%s", whole[i].name);
    }
    float x = 0;
    bool b = false;
    struct gguf_string s = {0};
    struct gguf_array list = {0};
    CHECK(!gguf_f32(g, "f32", &x, NULL) && x == 0.25f);
    CHECK(!gguf_f32(g, "f64", &x, NULL) && x == 1.5f);
    CHECK(!gguf_bool(g, "yes", &b, NULL) && b);
    CHECK(!gguf_text(g, "text", &s, NULL) && s.n == 9 && !memcmp(s.text, "two\nlines", 9));
    CHECK(!gguf_list(g, "halves", &list, NULL) && list.type == GGUF_U16 && list.count == 3 && list.data[4] == 3);
    CHECK(!gguf_text(g, "after", &s, NULL) && s.n == 8, "a nested array is walked over");
    gguf_close(&g);
}

TEST(a_value_of_the_wrong_kind_is_refused_by_name)
{
    static const char *const not_whole[] = {"minus8", "minus32", "minus64", "f32", "text", "halves", "yes", "missing"};
    struct forge *f = forge_new();
    struct gguf *g;
    struct err no;
    forge_numbers(f);
    NEED(open_forged(&g, f, why));
    free(f);
    uint64_t v;
    float x;
    bool b;
    struct gguf_string s;
    struct gguf_array list;
    for (size_t i = 0; i < sizeof not_whole / sizeof *not_whole; i++)
        CHECK(gguf_u64(g, not_whole[i], &v, &no) == E_FILE && strstr(no.text, not_whole[i]), "%s", not_whole[i]);
    CHECK(gguf_f32(g, "u32", &x, &no) == E_FILE && gguf_bool(g, "u8", &b, &no) == E_FILE);
    CHECK(gguf_text(g, "halves", &s, &no) == E_FILE && gguf_list(g, "text", &list, &no) == E_FILE);
    CHECK(gguf_list(g, "nested", &list, &no) == E_FILE && strstr(no.text, "array of arrays"));
    CHECK(gguf_has(g, "u8") && !gguf_has(g, "missing") && !gguf_has(g, ""));
    gguf_close(&g);
}

TEST(strings_of_an_array_are_walked_in_order)
{
    struct forge *f = sound();
    struct gguf *g;
    struct gguf_array list;
    NEED(open_forged(&g, f, why));
    CHECK(!gguf_list(g, "words", &list, NULL) && list.count == 2 && list.type == GGUF_STRING);
    const uint8_t *cursor = list.data;
    struct gguf_string one = gguf_next_string(&cursor), none = gguf_next_string(&cursor);
    CHECK(one.n == 3 && !memcmp(one.text, "one", 3) && none.n == 0);
    gguf_close(&g);
    free(f);
}

TEST(values_are_shown_without_what_could_steer_a_terminal)
{
    struct forge *f = forge_new();
    struct gguf *g;
    char out[64], tiny[4];
    uint32_t type;
    forge_string(f, "evil", "a\x1b[2J\xc2\x9b\xff▁\n");
    forge_array(f, "list", GGUF_I8, 8);
    forge_le(f, 0x00000000000002ff, 8);
    forge_string(f, "long", "01234567890123456789012345678901234567890123456789012345678901234567890123456789");
    NEED(open_forged(&g, f, why));
    free(f);
    CHECK(gguf_key_count(g) == 3);
    CHECK(!strcmp(gguf_key_at(g, 0, &type, out, sizeof out), "evil") && type == GGUF_STRING);
    CHECK(!strcmp(out, "\"a\\x1b[2J\\xc2\\x9b\\xff▁\\n\""), "%s", out);
    gguf_key_at(g, 1, &type, out, sizeof out);
    CHECK(!strcmp(out, "8 × i8: -1 2 0 0 0 0 …"), "%s", out);
    gguf_key_at(g, 2, NULL, out, sizeof out);
    CHECK(strlen(out) == sizeof out - 1);
    gguf_key_at(g, 2, NULL, tiny, sizeof tiny);
    CHECK(!strcmp(tiny, "\"01"));
    CHECK(!strcmp(gguf_key_at(g, 2, NULL, NULL, 0), "long"));
    gguf_close(&g);
}

TEST(version_2_lies_the_same_and_is_read)
{
    struct forge *f = sound();
    struct gguf *g;
    forge_patch(f, FORGE_VERSION, 2, 4);
    NEED(open_forged(&g, f, why));
    CHECK(gguf_tensor(g, "b"));
    gguf_close(&g);
    free(f);
}

TEST(an_alignment_of_its_own_moves_the_data)
{
    static const uint32_t good[] = {1, 8, 64, 65536};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct forge *f = forge_new();
        struct gguf *g;
        forge_u32(f, "general.alignment", good[i]);
        forge_tensor(f, "t", T_F32, 1, (uint64_t[]){4}, good[i]);
        forge_data(f, good[i], good[i] + 16);
        NEED(open_forged(&g, f, why));
        CHECK(gguf_tensor(g, "t")->offset == f->n - 16, "alignment %u", good[i]);
        gguf_close(&g);
        free(f);
    }
}

TEST(a_file_with_nothing_in_it_is_a_file)
{
    struct forge *f = forge_new();
    struct gguf *g;
    NEED(open_forged(&g, f, why));
    CHECK(gguf_tensor_count(g) == 0 && gguf_key_count(g) == 0 && !gguf_tensor(g, "x") && !gguf_has(g, "x"));
    gguf_fingerprint(g);
    gguf_close(&g);
    free(f);
}

/* ---- what it refuses ---- */

TEST(a_file_cut_at_any_byte_is_refused)
{
    struct forge *f = sound();
    for (size_t n = 0; n < f->n; n++) {
        struct forge *cut = malloc(sizeof *cut);
        *cut = *f;
        cut->n = n;
        refused(cut, "cut short");
    }
    free(f);
}

TEST(what_is_not_a_file_is_refused)
{
    struct gguf *g;
    struct err why;
    CHECK(gguf_open(&g, "/nonexistent/model.gguf", &why) == E_FILE && strstr(why.text, "/nonexistent/model.gguf"));
    CHECK(gguf_open(&g, "/", &why) == E_FILE && strstr(why.text, "not a file"), "%s", why.text);
    CHECK(gguf_open(&g, "/dev/null", &why) == E_FILE && !g);
}

TEST(other_formats_and_versions_are_refused)
{
    struct forge *f = sound();
    f->b[0] = 'g';
    refused(f, "not a GGUF file");
    f = sound(), forge_patch(f, FORGE_VERSION, 1, 4), refused(f, "version 1");
    f = sound(), forge_patch(f, FORGE_VERSION, 4, 4), refused(f, "version 4");
    f = sound(), forge_patch(f, FORGE_VERSION, 0x03000000, 4), refused(f, "big-endian");
}

TEST(absurd_counts_are_refused_before_anything_is_reserved)
{
    static const uint64_t counts[] = {100, 65537, 1ull << 32, 1ull << 60, UINT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct forge *f = sound();
        forge_patch(f, FORGE_KEYS, counts[i], 8), refused(f, "keys");
        f = sound(), forge_patch(f, FORGE_TENSORS, counts[i], 8), refused(f, "tensors");
    }
}

TEST(absurd_lengths_of_strings_are_refused)
{
    static const uint64_t lengths[] = {1000, (16u << 20) + 1, 1ull << 32, UINT64_MAX - 7, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct forge *f = with_value(GGUF_STRING);
        forge_le(f, lengths[i], 8), forge_data(f, 1, 100), refused(f, "k ");
        f = forge_new(), forge_patch(f, FORGE_KEYS, 1, 8);
        forge_le(f, lengths[i], 8), forge_data(f, 1, 100), refused(f, "a key");
        f = forge_new(), forge_patch(f, FORGE_TENSORS, 1, 8);
        forge_le(f, lengths[i], 8), forge_data(f, 1, 100), refused(f, "a tensor");
        f = with_value(GGUF_ARRAY);
        forge_le(f, GGUF_STRING, 4), forge_le(f, 1, 8), forge_le(f, lengths[i], 8);
        forge_data(f, 1, 100), refused(f, "k ");
    }
}

TEST(absurd_lengths_of_arrays_are_refused)
{
    static const uint32_t kinds[] = {GGUF_U8, GGUF_F32, GGUF_F64, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY};
    static const uint64_t counts[] = {1000, 1ull << 61, 1ull << 62, UINT64_MAX};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            struct forge *f = with_value(GGUF_ARRAY);
            forge_le(f, kinds[k], 4);
            forge_le(f, counts[i], 8);
            for (int j = 0; j < 12; j++) forge_le(f, 0, 8);
            refused(f, "k ");
        }
}

static struct forge *nest(int depth)
{
    struct forge *f = with_value(GGUF_ARRAY);
    for (int i = 1; i < depth; i++) forge_le(f, GGUF_ARRAY, 4), forge_le(f, 1, 8);
    forge_le(f, GGUF_U8, 4), forge_le(f, 1, 8), forge_le(f, 5, 1);
    return f;
}

TEST(arrays_nest_four_deep_and_no_deeper)
{
    struct gguf *g;
    struct forge *f = nest(4);
    NEED(open_forged(&g, f, why));
    gguf_close(&g);
    free(f);
    refused(nest(5), "deeper");
    refused(nest(80000), "deeper");
}

TEST(unknown_kinds_of_values_are_refused)
{
    struct forge *f = with_value(13);
    forge_le(f, 0, 8), refused(f, "value type 13");
    f = with_value(UINT32_MAX), forge_le(f, 0, 8), refused(f, "value type");
    f = with_value(GGUF_ARRAY), forge_le(f, 13, 4), forge_le(f, 1, 8), forge_le(f, 0, 8), refused(f, "value type 13");
    f = with_value(GGUF_BOOL), forge_le(f, 2, 8), refused(f, "truth value");
    f = with_value(GGUF_ARRAY), forge_le(f, GGUF_BOOL, 4), forge_le(f, 3, 8), forge_le(f, 0x030001, 3);
    refused(f, "truth value");
}

TEST(names_must_be_there_once_and_be_printable)
{
    static const char *const bad[] = {"", "a\x01z", "a\x7f", "a\nb", "\x1b[31m", "caf\xc3\xa9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct forge *f = forge_new();
        forge_u32(f, bad[i], 1), refused(f, "the name of a key");
        f = forge_new(), forge_tensor(f, bad[i], T_F32, 1, (uint64_t[]){8}, 0), forge_data(f, 32, 64);
        refused(f, "the name of a tensor");
    }
    struct forge *f = sound();
    uint8_t *at = memmem(f->b, f->n, "number", 6);
    at[3] = 0, refused(f, "holds byte 0");
    char longest[66];
    memset(longest, 'x', 65), longest[65] = 0;
    f = forge_new(), forge_tensor(f, longest, T_F32, 1, (uint64_t[]){8}, 0), forge_data(f, 32, 64);
    refused(f, "65 bytes");
    f = forge_new(), forge_u32(f, "twice", 1), forge_u32(f, "other", 1), forge_u32(f, "twice", 1), refused(f, "twice");
    f = forge_new(), forge_tensor(f, "same", T_F32, 1, (uint64_t[]){8}, 0);
    forge_tensor(f, "same", T_F32, 1, (uint64_t[]){8}, 32), forge_data(f, 32, 64), refused(f, "same twice");
}

TEST(alignment_must_be_a_power_of_two_up_to_65536)
{
    static const uint32_t bad[] = {0, 3, 48, 131072, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct forge *f = forge_new();
        forge_u32(f, "general.alignment", bad[i]), refused(f, "alignment");
    }
    struct forge *f = forge_new();
    forge_string(f, "general.alignment", "32"), refused(f, "alignment");
}

TEST(ranks_outside_1_to_4_are_refused)
{
    static const uint32_t bad[] = {0, 5, 8, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(with_tensor(T_F32, bad[i], (uint64_t[]){1, 1, 1, 1, 1, 1, 1, 1}, 0), "dimensions");
}

TEST(shapes_whose_product_wraps_are_refused)
{
    refused(with_tensor(T_F32, 2, (uint64_t[]){1ull << 62, 1}, 0), "larger than the file");
    refused(with_tensor(T_F32, 2, (uint64_t[]){1ull << 32, 1ull << 32}, 0), "larger than the file");
    uint64_t corner = 1 << 16;
    refused(with_tensor(T_F32, 4, (uint64_t[]){corner, corner, corner, corner}, 0), "larger than the file");
    refused(with_tensor(T_Q4_0, 2, (uint64_t[]){1ull << 63, 2}, 0), "larger than the file");
    /* 2^61 blocks of 18 bytes times 8 rows: 144 * 2^61 is 0 modulo 2^64 */
    refused(with_tensor(T_Q4_0, 2, (uint64_t[]){UINT64_MAX - 31, 8}, 0), "larger than the file");
    refused(with_tensor(T_F32, 2, (uint64_t[]){4, 0}, 0), "is 0");
    refused(with_tensor(T_F32, 1, (uint64_t[]){0}, 0), "is 0");
}

TEST(offsets_that_wrap_or_pass_the_end_are_refused)
{
    uint64_t eight[] = {8};
    refused(with_tensor(T_F32, 1, eight, 64), "ends at byte");
    refused(with_tensor(T_F32, 1, eight, 1ull << 40), "ends at byte");
    refused(with_tensor(T_F32, 1, eight, UINT64_MAX - 31), "ends at byte");
    refused(with_tensor(T_F32, 1, eight, UINT64_MAX - 63), "ends at byte");
    refused(with_tensor(T_F32, 1, eight, 16), "multiple of 32");
    refused(with_tensor(T_F32, 1, (uint64_t[]){17}, 0), "ends at byte");
    struct forge *f = with_tensor(T_F32, 1, eight, 32); /* the sound neighbour of the above */
    struct gguf *g;
    NEED(open_forged(&g, f, why));
    gguf_close(&g);
    free(f);
}

TEST(padding_that_passes_the_end_is_refused)
{
    struct forge *f = forge_new();
    forge_u32(f, "general.alignment", 65536);
    forge_tensor(f, "t", T_F32, 1, (uint64_t[]){1}, 0);
    forge_data(f, 32, 64);
    refused(f, "ends at byte");
}

TEST(tensors_may_not_overlap)
{
    struct forge *f = forge_new();
    forge_tensor(f, "far", T_F32, 1, (uint64_t[]){8}, 64);
    forge_tensor(f, "long", T_F32, 1, (uint64_t[]){9}, 32);
    forge_data(f, 32, 128);
    refused(f, "long ends");
    f = forge_new();
    forge_tensor(f, "x", T_F32, 1, (uint64_t[]){8}, 32);
    forge_tensor(f, "y", T_F32, 1, (uint64_t[]){8}, 32);
    forge_data(f, 32, 128);
    refused(f, "ends at");
}

TEST(number_formats_we_do_not_read_are_refused)
{
    static const uint32_t bad[] = {4, 5, 9, 10, 15, 16, 31, 36, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(with_tensor(bad[i], 1, (uint64_t[]){256}, 0), "number format");
    refused(with_tensor(T_Q4_0, 1, (uint64_t[]){48}, 0), "multiple of 32");
    refused(with_tensor(T_Q6_K, 1, (uint64_t[]){128}, 0), "multiple of 256");
}

/* ---- split models ---- */

static struct forge *piece(int number, int count, const char *tensor)
{
    struct forge *f = forge_new();
    if (number == 0) {
        forge_string(f, "general.architecture", "gemma3");
        forge_key(f, "split.tensors.count", GGUF_I32), forge_le(f, (uint64_t)count, 4);
    }
    forge_key(f, "split.no", GGUF_U16), forge_le(f, (uint64_t)number, 2);
    forge_key(f, "split.count", GGUF_U16), forge_le(f, (uint64_t)count, 2);
    forge_tensor(f, tensor, T_F32, 1, (uint64_t[]){8}, 0);
    forge_data(f, 32, 32);
    return f;
}

static char dir[64];

static void save(struct forge *f, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *to = fopen(path, "wb");
    if (to) fwrite(f->b, 1, f->n, to), fclose(to);
    free(f);
}

static int open_saved(struct gguf **g, const char *name, struct err *why)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return gguf_open(g, path, why);
}

static void unsave(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

static void split_refused(const char *name, const char *word)
{
    struct gguf *g;
    struct err why = {0};
    CHECK(open_saved(&g, name, &why) == E_FILE && strstr(why.text, word), "wanted \"%s\": %s", word, why.text);
    gguf_close(&g);
}

#define FIRST "m-00001-of-00003.gguf"
#define SECOND "m-00002-of-00003.gguf"
#define THIRD "m-00003-of-00003.gguf"

static bool save_split(void)
{
    snprintf(dir, sizeof dir, "/tmp/gguf_test.XXXXXX");
    if (!mkdtemp(dir)) return false;
    save(piece(0, 3, "one"), FIRST);
    save(piece(1, 3, "two"), SECOND);
    save(piece(2, 3, "three"), THIRD);
    return true;
}

static void unsave_split(void)
{
    unsave(FIRST), unsave(SECOND), unsave(THIRD), unsave("renamed.gguf");
    rmdir(dir);
}

TEST(a_split_model_opens_as_one)
{
    struct gguf *g;
    CHECK(save_split());
    NEED(open_saved(&g, FIRST, why));
    CHECK(gguf_file_count(g) == 3 && gguf_tensor_count(g) == 3);
    const struct gguf_tensor *t = gguf_tensor(g, "three");
    CHECK(t && t->file == 2 && t->data && strstr(gguf_path(g, 2), THIRD));
    CHECK(gguf_has(g, "general.architecture"));
    gguf_close(&g);
    unsave_split();
}

TEST(a_split_model_with_a_wrong_piece_is_refused)
{
    CHECK(save_split());
    split_refused(SECOND, "piece 2 of 3");
    save(piece(0, 3, "one"), "renamed.gguf");
    split_refused("renamed.gguf", "does not end in -00001-of-00003.gguf");
    save(piece(1, 3, "two"), THIRD);
    split_refused(FIRST, "by its name it is 3 of 3");
    save(piece(2, 4, "three"), THIRD);
    split_refused(FIRST, "by its name it is 3 of 3");
    save(piece(2, 3, "two"), THIRD);
    split_refused(FIRST, "two twice");
    save(sound(), THIRD);
    split_refused(FIRST, "split.no");
    unsave(THIRD);
    split_refused(FIRST, "cannot open");
    struct forge *f = piece(0, 3, "one");
    uint8_t *at = memmem(f->b, f->n, "split.tensors.count", 19);
    at[19 + 4] = 4;
    save(f, FIRST), save(piece(2, 3, "three"), THIRD);
    split_refused(FIRST, "split.tensors.count says 4");
    save(piece(0, 5000, "one"), FIRST);
    split_refused(FIRST, "5000 files");
    unsave_split();
}

/* ---- fingerprint and pages ---- */

static uint64_t fingerprint_of(struct forge *f)
{
    struct gguf *g;
    if (open_forged(&g, f, NULL)) return 0;
    struct hash128 h = gguf_fingerprint(g);
    CHECK(h.low != 0 && h.high != 0 && h.low != h.high);
    gguf_close(&g);
    return h.low ^ h.high;
}

TEST(a_fingerprint_sees_metadata_and_both_ends_of_every_tensor)
{
    struct forge *f = forge_new();
    forge_u32(f, "n", 1);
    forge_tensor(f, "t", T_F32, 2, (uint64_t[]){64, 256}, 0);
    forge_data(f, 32, 65536);
    size_t data = f->n - 65536;
    uint64_t was = fingerprint_of(f);
    CHECK(was && was == fingerprint_of(f));
    const size_t seen[] = {data, data + 4095, f->n - 4096, f->n - 1,
                           (size_t)((uint8_t *)memmem(f->b, f->n, "n", 1) - f->b) + 5};
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
        f->b[seen[i]] ^= 1;
        CHECK(fingerprint_of(f) != was, "byte %zu", seen[i]);
        f->b[seen[i]] ^= 1;
    }
    f->b[data + 30000] ^= 1;
    CHECK(fingerprint_of(f) == was, "the middle is not looked at");
    free(f);
}

TEST(forgotten_pages_come_back_when_read)
{
    struct forge *f = forge_new();
    struct gguf *g;
    forge_tensor(f, "t", T_F32, 1, (uint64_t[]){16384}, 0);
    forge_data(f, 32, 65536);
    NEED(open_forged(&g, f, why));
    const struct gguf_tensor *t = gguf_tensor(g, "t");
    for (size_t n = 0; n < 65536; n += 1111) {
        mapped_forget(t->data + n / 3, n / 2);
        mapped_forget(t->data, t->bytes);
    }
    mapped_forget(t->data, 0);
    CHECK(!memcmp(t->data, f->b + f->n - 65536, 65536));
    gguf_close(&g);
    free(f);
}

TEST(thousands_of_names_are_found_at_once)
{
    struct forge *f = forge_new();
    struct gguf *g;
    char name[32];
    for (int i = 0; i < 10000; i++)
        snprintf(name, sizeof name, "t%d", i), forge_tensor(f, name, T_F32, 1, (uint64_t[]){1}, (uint64_t)i * 32);
    forge_data(f, 32, 32 * 10000);
    const clock_t start = clock();
    NEED(open_forged(&g, f, why));
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "t%d", i);
        CHECK(gguf_tensor(g, name) == gguf_tensor_at(g, (size_t)i), "%s", name);
    }
    CHECK(clock() - start < CLOCKS_PER_SEC / 2, "computed for %g s", (double)(clock() - start) / CLOCKS_PER_SEC);
    gguf_close(&g);
    free(f);
}
