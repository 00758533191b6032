/* tests/fuzz/packed_file_fuzz_test.c — every way in which one byte, or the length, of a file of packed weights can be wrong. */
#include "tests/fuzz/packed_file_fuzz.c"

#include "tests/support/check.h"
#include "tests/support/folder.h"

#include <stdlib.h>

#define ROOM 8192

static size_t make_sound(uint8_t out[ROOM], struct err *why)
{
    struct folder f = folder_new();
    struct packed_out *o = NULL;
    static const uint64_t hashes[] = {11, 22};
    uint8_t weights[4096];
    size_t n = 0;
    for (size_t i = 0; i < sizeof weights; i++) weights[i] = (uint8_t)(i * 7 + i / 64);
    char path[300];
    snprintf(path, sizeof path, "%s", folder_path(&f, "sound.panels"));
    int code = packed_out_open(&o, path, &small_group, why);
    for (uint32_t i = 0; i < small_group.n && !code; i++)
        code = packed_out_add(o, weights, packed_tensor_bytes(&small_tensors[i], small_group.as), why);
    code = packed_out_close(&o, hashes, true, code, why);
    FILE *file = code ? NULL : fopen(path, "rb");
    if (file) n = fread(out, 1, ROOM, file);
    if (file) fclose(file);
    folder_end(&f);
    return n;
}

TEST(no_changed_byte_of_packed_weights_is_computed_from)
{
    uint8_t sound[ROOM], b[ROOM];
    struct err why = {0};
    const size_t n = make_sound(sound, &why);
    CHECK(n && n < ROOM && look(sound, n), "%s", why.text);
    for (size_t i = 0; i < n; i++) {
        memcpy(b, sound, n);
        b[i] ^= (uint8_t)(1 << i % 8);
        CHECK(!look(b, n), "byte %zu of %zu", i, n);
    }
}

TEST(packed_weights_of_another_length_are_not_computed_from)
{
    uint8_t sound[ROOM];
    struct err why = {0};
    const size_t n = make_sound(sound, &why);
    for (size_t i = 0; i < n; i++) CHECK(!look(sound, i), "%zu of %zu bytes", i, n);
    memmove(sound + 64, sound, n);
    CHECK(n && !look(sound, n + 64));
}
