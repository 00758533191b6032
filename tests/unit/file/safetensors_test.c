/* tests/unit/file/safetensors_test.c — files and shards as they should be, and the sentences for those that are not.
 *
 * tests/fuzz/safetensors_fuzz_test.c has the ways in which a header can be damaged. */
#include "partition/format/blocks.h"
#include "partition/file/safetensors.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

#define TWO                                                                                                            \
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"                                                 \
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[8,14]}}"
#define ONE(name) "{\"" name "\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}"
#define SHARD1 "model-00001-of-00002.safetensors"
#define SHARD2 "model-00002-of-00002.safetensors"
#define INDEX "model.safetensors.index.json"

/* Opens the folder, wants a refusal that holds `words`. */
static void refused(const struct folder *f, const char *words)
{
    struct safetensors *s;
    struct err why = {0};
    int rc = safetensors_open(&s, f->path, &why);
    CHECK(rc == E_FILE && strstr(why.text, words), "wanted \"%s\", got %d \"%s\"", words, rc, why.text);
    CHECK(!strchr(why.text, '\n'));
    safetensors_close(&s);
}

static struct folder two_shards(void)
{
    struct folder f = folder_new();
    folder_put_safetensors(&f, SHARD1, ONE("a"), 4);
    folder_put_safetensors(&f, SHARD2, ONE("b"), 4);
    folder_put_text(&f, INDEX, "{\"metadata\":{\"total_size\":8},"
                               "\"weight_map\":{\"b\":\"" SHARD2 "\",\"a\":\"" SHARD1 "\"}}");
    return f;
}

TEST(tensors_of_one_file_are_found_where_they_lie)
{
    struct folder f = folder_new();
    struct safetensors *s;
    folder_put_safetensors(&f, "model.safetensors", TWO, 14);
    NEED(safetensors_open(&s, f.path, why));
    const struct safetensor *a = safetensors_find(s, "a"), *b = safetensors_find(s, "b");
    CHECK(safetensors_count(s) == 2 && a && b && !safetensors_find(s, "c"));
    CHECK(a->type == T_F32 && a->n_dims == 2 && a->dims[0] == 2 && a->dims[1] == 1 && a->elements == 2 &&
          a->bytes == 8);
    CHECK(b->type == T_BF16 && b->n_dims == 1 && b->dims[0] == 3 && b->dims[1] == 1 && b->bytes == 6);
    CHECK(a->data[0] == 0 && a->data[7] == 7 && b->data[0] == 8 && b->data[5] == 13);
    uint8_t read[6];
    NEED(mapped_read(safetensors_file(s, 0), b->offset, read, 6, why));
    CHECK(!memcmp(read, b->data, 6));
    safetensors_close(&s);
    folder_end(&f);
}

TEST(an_index_joins_its_shards)
{
    struct folder f = two_shards();
    struct safetensors *s;
    NEED(safetensors_open(&s, f.path, why));
    CHECK(safetensors_files(s) == 2 && safetensors_count(s) == 2);
    CHECK(strstr(safetensors_file(s, safetensors_find(s, "a")->file)->path, SHARD1));
    CHECK(strstr(safetensors_file(s, safetensors_find(s, "b")->file)->path, SHARD2));
    safetensors_close(&s);
    folder_end(&f);
}

TEST(a_shard_that_is_not_there_is_named)
{
    struct folder f = two_shards();
    unlink(folder_path(&f, SHARD2));
    refused(&f, SHARD2 ", which is not there; download it too");
    folder_end(&f);
}

TEST(a_shard_that_was_cut_is_named)
{
    struct folder f = two_shards();
    CHECK(!truncate(folder_path(&f, SHARD1), 20));
    refused(&f, SHARD1);
    CHECK(!truncate(folder_path(&f, SHARD1), 0));
    refused(&f, SHARD1 " is cut short");
    folder_end(&f);
}

TEST(a_shard_that_cannot_be_read_is_named)
{
    struct folder f = two_shards();
    unlink(folder_path(&f, SHARD1));
    CHECK(!mkdir(folder_path(&f, SHARD1), 0700));
    refused(&f, SHARD1);
    CHECK(!rmdir(folder_path(&f, SHARD1)));
    folder_end(&f);
}

TEST(the_index_and_its_shards_must_agree)
{
    struct folder f = two_shards();
    folder_put_safetensors(&f, SHARD2, ONE("c"), 4);
    refused(&f, "the tensor b is not in " SHARD2);
    folder_put_safetensors(&f, SHARD2, ONE("a"), 4);
    refused(&f, "tensor a that is also in");
    folder_end(&f);
}

TEST(an_index_names_files_of_its_folder_only)
{
    static const char *const names[] = {"../x.safetensors", "/x.safetensors", "a/b.safetensors", "..", ".safetensors",
                                        "a..b.safetensors", "x.bin", "", "a\\\\b.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct folder f = folder_new();
        char text[200];
        snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"%s\"}}", names[i]);
        folder_put_text(&f, INDEX, text);
        refused(&f, "is not a plain file name");
        folder_end(&f);
    }
}

TEST(a_folder_without_weights_says_what_was_wanted)
{
    struct folder f = folder_new();
    refused(&f, "neither model.safetensors nor model.safetensors.index.json");
    folder_put_text(&f, "pytorch_model.bin", "x");
    refused(&f, "pytorch_model.bin is not read: get the safetensors");
    folder_end(&f);
}

TEST(faults_are_told_with_tensor_and_numbers)
{
    struct folder f = folder_new();
    folder_put_safetensors(&f, "model.safetensors", TWO, 13);
    refused(&f, "the tensor b ends at byte 14 of 13");
    folder_put_safetensors(&f, "model.safetensors", TWO, 15);
    refused(&f, "and the file has");
    folder_put_safetensors(&f, "model.safetensors", "{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}",
                           8);
    refused(&f, "the tensor a is of type \"U8\"; wanted the unquantised checkpoint");
    folder_put_safetensors(&f, "model.safetensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",
                           8);
    refused(&f, "the tensor a has 3 values of F32 in 8 bytes");
    folder_end(&f);
}
