/* tests/unit/checkpoint/checkpoint_test.c — the demo's checkpoint as tensors of a GGUF file, and folders that are not right.
 *
 * Other layouts and sizes: tests/pipeline/checkpoints_test.py. */
#define _GNU_SOURCE
#include "partition/format/blocks.h"
#include "partition/checkpoint/checkpoint.h"
#include "partition/checkpoint/checkpoint_inside.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

#define DEMO "models/demo/checkpoint"

static const struct checkpoint_tensor *find(const struct checkpoint *c, enum chain part, const char *name)
{
    for (size_t i = 0; i < checkpoint_count(c, part); i++)
        if (!strcmp(checkpoint_at(c, part, i)->name, name)) return checkpoint_at(c, part, i);
    return NULL;
}

/* Same names and shapes as the GGUF file that was made of it. */
static void same_tensors(const struct checkpoint *c, enum chain part, const char *path)
{
    struct gguf *g;
    NEED(gguf_open(&g, path, why));
    CHECK(checkpoint_count(c, part) == gguf_tensor_count(g));
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        const struct checkpoint_tensor *mine = find(c, part, t->name);
        CHECK(mine && mine->n_dims == t->n_dims && !memcmp(mine->dims, t->dims, sizeof t->dims), "%s", t->name);
        CHECK(mine && (mine->use == USE_F32) == (t->type == T_F32), "%s is %s", t->name, block_info(t->type)->name);
    }
    gguf_close(&g);
}

TEST(the_demo_has_the_tensors_of_its_gguf_files)
{
    struct checkpoint *c;
    NEED(checkpoint_open(&c, DEMO, why));
    CHECK(checkpoint_has_vision(c) && checkpoint_config(c)->vision.image_rows == 16);
    same_tensors(c, CHAIN_TEXT, "models/demo/demo-q4_0.gguf");
    same_tensors(c, CHAIN_VISION, "models/demo/demo-mmproj-f16.gguf");
    checkpoint_close(&c);
}

TEST(one_is_added_to_rms_norms_and_to_nothing_else)
{
    static const char *const norms[] = {"blk.0.attn_norm.weight", "blk.7.attn_q_norm.weight",
                                        "blk.3.post_ffw_norm.weight",
                                        "output_norm.weight"};
    struct checkpoint *c;
    size_t added = 0;
    NEED(checkpoint_open(&c, DEMO, why));
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++)
        CHECK(find(c, CHAIN_TEXT, norms[i])->add_one, "%s", norms[i]);
    for (size_t i = 0; i < checkpoint_count(c, CHAIN_TEXT); i++) added += checkpoint_at(c, CHAIN_TEXT, i)->add_one;
    CHECK(added == 6 * 8 + 1, "%zu", added);
    added = 0;
    for (size_t i = 0; i < checkpoint_count(c, CHAIN_VISION); i++) added += checkpoint_at(c, CHAIN_VISION, i)->add_one;
    CHECK(added == 1 && find(c, CHAIN_VISION, "mm.soft_emb_norm.weight")->add_one);
    checkpoint_close(&c);
}

TEST(reading_gives_the_mapped_bytes_and_never_more)
{
    struct checkpoint *c;
    uint8_t read[64];
    struct err no = {0};
    NEED(checkpoint_open(&c, DEMO, why));
    const struct checkpoint_tensor *t = find(c, CHAIN_TEXT, "blk.2.ffn_down.weight");
    CHECK(t->elements == 384 * 128 && t->bytes == 2 * t->elements && t->dims[0] == 384);
    NEED(checkpoint_read(c, t, t->bytes - 64, read, 64, why));
    CHECK(!memcmp(read, t->data + t->bytes - 64, 64));
    CHECK(checkpoint_read(c, t, t->bytes - 63, read, 64, &no) == E_INTERNAL);
    checkpoint_close(&c);
}

static void refused(const char *path, const char *words)
{
    struct checkpoint *c;
    struct err why = {0};
    int rc = checkpoint_open(&c, path, &why);
    CHECK(rc == E_FILE && strstr(why.text, words), "wanted \"%s\", got %d \"%s\"", words, rc, why.text);
    CHECK(!c);
    checkpoint_close(&c);
}

TEST(folders_that_are_no_checkpoint_say_what_they_lack)
{
    struct folder f = folder_new();
    refused("/nonexistent", "is not a folder");
    refused(f.path, "has no config.json");
    folder_put_text(&f, "config.json", "{\"model_type\":\"gemma3_text\",\"num_hidden_layers\":1,\"hidden_size\":4,"
                                       "\"intermediate_size\":2,\"num_attention_heads\":1,\"num_key_value_heads\":1,"
                                       "\"head_dim\":2,\"query_pre_attn_scalar\":2,\"vocab_size\":3}");
    refused(f.path, "neither model.safetensors");
    folder_put_safetensors(&f, "model.safetensors", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                           4);
    refused(f.path, "has no tensor embed_tokens.weight under any of the names in use");
    folder_put_safetensors(&f, "model.safetensors",
                           "{\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[3,5],\"data_offsets\":[0,60]}}", 60);
    refused(f.path, "model.embed_tokens.weight is [3, 5], by config.json it is [3, 4]");
    folder_put_safetensors(&f, "model.safetensors",
                           "{\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[0,48]}}", 48);
    refused(f.path, "has no tensor model.layers.0.input_layernorm.weight");
    folder_end(&f);
}

/* Metadata alone, of a model with no tensors: enough to be read back. */
static int metadata(struct gguf **g, struct folder *f, enum chain part, struct err *why)
{
    struct checkpoint *c;
    struct gguf_out *o = NULL;
    TRY(checkpoint_open(&c, DEMO, why));
    int rc = checkpoint_read_tokens(c, why);
    if (!rc) rc = gguf_out_open(&o, folder_path(f, "m.gguf"), why);
    if (!rc) rc = checkpoint_put_metadata(c, o, part, 2, why);
    if (!rc) gguf_put_tensor(o, "x", T_F32, 1, (uint64_t[]){1, 1, 1, 1});
    if (!rc) rc = gguf_out_begin(o, why);
    if (!rc) rc = gguf_out_data(o, "\0\0\0", 4, why);
    if (!rc) rc = gguf_out_finish(o, why);
    gguf_out_close(&o);
    checkpoint_close(&c);
    return rc ? rc : gguf_open(g, folder_path(f, "m.gguf"), why);
}

/* Every key of the bundled pair is in ours with the same value. Names are free. */
static void same_metadata(enum chain part, const char *path)
{
    struct folder f = folder_new();
    struct gguf *mine, *theirs;
    NEED(metadata(&mine, &f, part, why));
    NEED(gguf_open(&theirs, path, why));
    for (size_t i = 0; i < gguf_key_count(theirs); i++) {
        char want[4000], have[4000] = "nothing";
        uint32_t type, mine_type = 99;
        const char *key = gguf_key_at(theirs, i, &type, want, sizeof want);
        if (!strcmp(key, "general.name") || !strcmp(key, "general.file_type")) continue;
        for (size_t k = 0; k < gguf_key_count(mine); k++)
            if (!strcmp(gguf_key_at(mine, k, NULL, NULL, 0), key)) gguf_key_at(mine, k, &mine_type, have, sizeof have);
        CHECK(type == mine_type && !strcmp(want, have), "%s is %s, wanted %s", key, have, want);
    }
    gguf_close(&mine);
    gguf_close(&theirs);
    folder_end(&f);
}

TEST(metadata_is_that_of_the_demos_gguf_files)
{
    same_metadata(CHAIN_TEXT, "models/demo/demo-q4_0.gguf");
    same_metadata(CHAIN_VISION, "models/demo/demo-mmproj-f16.gguf");
}

TEST(a_chat_template_is_written_where_the_folder_has_none)
{
    struct folder f = folder_new();
    struct gguf *g;
    struct gguf_string s;
    NEED(metadata(&g, &f, CHAIN_TEXT, why));
    NEED(gguf_text(g, "tokenizer.chat_template", &s, why));
    CHECK(memmem(s.text, s.n, "<start_of_turn>model\n", 21) && memmem(s.text, s.n, "<end_of_turn>\n", 14));
    CHECK(!gguf_has(g, "general.license"), "a licence is not guessed");
    gguf_close(&g);
    folder_end(&f);
}

/* The demo's folder, as links, without tokenizer.json. */
static void link_demo(struct folder *f)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.model"};
    char *here = realpath(DEMO, NULL), from[600];
    for (size_t i = 0; here && i < sizeof names / sizeof *names; i++) {
        snprintf(from, sizeof from, "%.400s/%s", here, names[i]);
        CHECK(!symlink(from, folder_path(f, names[i])), "%s", names[i]);
    }
    free(here);
}

TEST(a_folder_says_which_file_gave_which_tokens)
{
    struct folder f = folder_new();
    struct checkpoint *c;
    char remark[300], all[2000] = "";
    link_demo(&f);
    folder_put_text(&f, "added_tokens.json", "{\"<a>\":1000,\"<b>\":1001}");
    folder_put_text(&f, "tokenizer_config.json", "{\"added_tokens_decoder\":{\"1001\":{\"content\":\"<call>\",\"special\":true}}}");
    NEED(checkpoint_open(&c, f.path, why));
    NEED(checkpoint_read_tokens(c, why));
    CHECK(token_is(&c->tokens, 1000, "<a>") && c->tokens.token[1000].type == TOKEN_USER);
    CHECK(token_is(&c->tokens, 1001, "<call>") && c->tokens.token[1001].type == TOKEN_CONTROL);
    for (size_t i = 0; checkpoint_remark(c, i, remark, sizeof remark); i++) strcat(strcat(all, remark), "\n");
    CHECK(strstr(all, "the vocabulary is that of tokenizer.model, 1024 tokens\n") && strstr(all, "added_tokens.json: tokens added 0, renamed 2,") &&
          strstr(all, "tokenizer_config.json: tokens added 0, renamed 1,"), "%s", all);
    checkpoint_close(&c);
    folder_end(&f);
}
