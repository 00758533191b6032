/* tests/unit/file/shard_file_test.c — shards: written from a model, read back for the layers they hold, refused for others. */
#include "partition/file/model_file.h"
#include "partition/file/gguf_write.h"
#include "partition/file/shard_file.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

#define DEMO "models/demo/demo-q4_0.gguf"

static int written(struct folder *f, struct model **m, struct gguf **g, struct part s, struct err *why)
{
    TRY(model_open(m, DEMO, why));
    TRY(shard_write(*m, s, folder_path(f, "shard.gguf"), why));
    return gguf_open(g, folder_path(f, "shard.gguf"), why);
}

/* Every tensor of `s` comes from the shard with the bytes it has in the model. */
static void same_bytes(const struct model *m, const struct gguf *g, struct part s)
{
    size_t n = part_count(CHAIN_TEXT, s);
    struct shard_label label;
    NEED(shard_label_read(&label, g, why));
    CHECK(part_within(s, label.part));
    struct tensor *want = calloc(n, sizeof *want), *have = calloc(n, sizeof *have);
    text_part_tensors(m, s, want);
    text_part_tensors(m, s, have);
    for (size_t i = 0; i < n; i++) have[i].data = NULL;
    NEED(shard_tensors(g, &label, s, have, (uint32_t)n, why));
    for (size_t i = 0; i < n; i++)
        CHECK(!memcmp(want[i].data, have[i].data, want[i].rows * block_row_bytes(want[i].type, want[i].cols)),
              "%s of layer %u", role_name(want[i].role), want[i].layer);
    free(want);
    free(have);
}

TEST(a_shard_holds_its_share_and_its_label)
{
    struct folder f = folder_new();
    struct model *m;
    struct gguf *g;
    struct shard_label label;
    NEED(written(&f, &m, &g, (struct part){3, 8, 0, HEAD_PARTS, false}, why));
    NEED(shard_label_read(&label, g, why));
    CHECK(label.part.first == 3 && label.part.end == 8 && part_has_whole_head(label.part));
    CHECK(label.vocab == m->config.vocab);
    CHECK(label.fingerprint.low == m->fingerprint.low && label.fingerprint.high == m->fingerprint.high);
    CHECK(gguf_tensor_count(g) == 5 * W_LAYER_ROLES + 2 && !gguf_tensor(g, "blk.2.attn_q.weight"));
    CHECK(!gguf_has(g, "tokenizer.ggml.tokens") && gguf_has(g, "gemma3.block_count"));
    same_bytes(m, g, (struct part){3, 8, 0, HEAD_PARTS, false});
    same_bytes(m, g, (struct part){4, 6, 0, 0, false});
    same_bytes(m, g, (struct part){4, 6, 3, 11, false});
    gguf_close(&g);
    model_close(&m);
    folder_end(&f);
}

TEST(a_shard_may_hold_some_parts_of_the_head)
{
    struct folder f = folder_new();
    struct model *m;
    struct gguf *g;
    struct shard_label label;
    struct err no = {0};
    const struct part held = {2, 5, 4, 12, false};
    NEED(written(&f, &m, &g, held, why));
    NEED(shard_label_read(&label, g, why));
    CHECK(part_same(label.part, held));
    CHECK(gguf_tensor(g, "output.weight")->dims[1] == part_words(&m->config, held));
    same_bytes(m, g, held);
    same_bytes(m, g, (struct part){2, 3, 4, 5, false});
    same_bytes(m, g, (struct part){2, 3, 7, 12, false});
    same_bytes(m, g, (struct part){5, 5, 11, 12, false});
    const struct part others[] = {{5, 5, 3, 5, false}, {5, 5, 11, 13, false}, {5, 5, 0, HEAD_PARTS, false}, {5, 5, 12, 16, false}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct tensor t[2];
        text_part_tensors(m, others[i], t);
        CHECK(!part_within(others[i], held));
        CHECK(shard_tensors(g, &label, others[i], t, 2, &no) == E_FILE && strstr(no.text, "of the head, wanted"), "%s", no.text);
    }
    gguf_close(&g);
    model_close(&m);
    folder_end(&f);
}

/* A file of one tensor, for its label's sake. */
static int labelled(struct folder *f, uint32_t part, uint32_t back_end, uint32_t vocab, struct err *why)
{
    struct gguf_out *o;
    struct gguf *g;
    struct shard_label label;
    const uint64_t one = 1;
    const float number = 0;
    TRY(gguf_out_open(&o, folder_path(f, "label.gguf"), why));
    gguf_put_text(o, SHARD_FINGERPRINT, "0123456789abcdef0123456789abcdef");
    gguf_put_u32(o, SHARD_FIRST, 0);
    gguf_put_u32(o, SHARD_END, 1);
    gguf_put_u32(o, SHARD_FIRST_PART, part);
    gguf_put_u32(o, SHARD_END_PART, back_end);
    gguf_put_u32(o, SHARD_VOCABULARY, vocab);
    gguf_put_tensor(o, "output_norm.weight", T_F32, 1, &one);
    TRY(gguf_out_begin(o, why));
    TRY(gguf_out_data(o, &number, sizeof number, why));
    TRY(gguf_out_finish(o, why));
    gguf_out_close(&o);
    TRY(gguf_open(&g, folder_path(f, "label.gguf"), why));
    const int rc = shard_label_read(&label, g, why);
    gguf_close(&g);
    unlink(folder_path(f, "label.gguf")); /* what was read is not written over */
    return rc;
}

TEST(a_label_that_cannot_be_is_refused)
{
    struct folder f = folder_new();
    struct err no = {0};
    NEED(labelled(&f, 0, 16, 100, why));
    NEED(labelled(&f, 3, 3, 100, why));
    CHECK(labelled(&f, 0, 17, 100, &no) == E_FILE && strstr(no.text, "parts 0 to 17 of the 16"), "%s", no.text);
    CHECK(labelled(&f, 9, 8, 100, &no) == E_FILE && strstr(no.text, "parts 9 to 8"), "%s", no.text);
    CHECK(labelled(&f, 0, 16, 0, &no) == E_FILE && strstr(no.text, "vocabulary of 0"), "%s", no.text);
    CHECK(labelled(&f, 0, 16, UINT32_MAX, &no) == E_FILE && strstr(no.text, "vocabulary"), "%s", no.text);
    folder_end(&f);
}

TEST(what_a_shard_does_not_hold_is_refused)
{
    struct folder f = folder_new();
    struct model *m;
    struct gguf *g;
    struct tensor t[W_LAYER_ROLES];
    struct err no = {0};
    struct shard_label label;
    const struct part one = {1, 2, 0, 0, false};
    NEED(written(&f, &m, &g, (struct part){0, 2, 0, 0, false}, why));
    NEED(shard_label_read(&label, g, why));
    text_part_tensors(m, (struct part){2, 3, 0, 0, false}, t);
    CHECK(shard_tensors(g, &label, one, t, W_LAYER_ROLES, &no) == E_FILE && strstr(no.text, "has no tensor blk.2.attn_norm.weight"),
          "%s", no.text);
    text_part_tensors(m, one, t);
    t[W_Q].type = T_Q8_0;
    CHECK(shard_tensors(g, &label, one, t, W_LAYER_ROLES, &no) == E_FILE && strstr(no.text, "wanted Q8_0"), "%s", no.text);
    t[W_Q].type = T_Q4_0, t[W_Q].rows++;
    CHECK(shard_tensors(g, &label, one, t, W_LAYER_ROLES, &no) == E_FILE && strstr(no.text, "wanted Q4_0 [129, 128]"), "%s",
          no.text);
    gguf_close(&g);
    model_close(&m);
    folder_end(&f);
}

TEST(a_shard_is_no_model_and_a_model_is_no_shard)
{
    struct folder f = folder_new();
    struct model *m, *other;
    struct gguf *g;
    struct shard_label label;
    struct err no = {0};
    NEED(written(&f, &m, &g, (struct part){0, 2, 0, 0, false}, why));
    CHECK(model_open(&other, folder_path(&f, "shard.gguf"), &no) == E_FILE && strstr(no.text, "one worker's shard"),
          "%s", no.text);
    CHECK(shard_label_read(&label, m->file, &no) == E_FILE && strstr(no.text, "is not a worker's shard"), "%s",
          no.text);
    gguf_close(&g);
    model_close(&m);
    folder_end(&f);
}

TEST(shares_within_others)
{
    struct part have = {3, 8, 0, 0, false}, all = {0, 8, 0, HEAD_PARTS, false};
    CHECK(part_within((struct part){3, 8, 0, 0, false}, have) && part_within((struct part){4, 5, 0, 0, false}, have));
    CHECK(!part_within((struct part){2, 5, 0, 0, false}, have) && !part_within((struct part){3, 8, 0, HEAD_PARTS, false}, have));
    CHECK(part_within((struct part){8, 8, 0, HEAD_PARTS, false}, all) && part_within((struct part){8, 8, 3, 4, false}, all) && !part_within((struct part){8, 8, 0, HEAD_PARTS, false}, have));
}

TEST(fingerprints_survive_being_written)
{
    struct hash128 h = {.low = 0x0123456789abcdef, .high = 0xfedcba9876543210}, back = {0, 0};
    char hex[33];
    CHECK(!strcmp(show_hash128(hex, h), "fedcba98765432100123456789abcdef"));
    CHECK(read_hash128(&back, hex, 32) && back.low == h.low && back.high == h.high);
    CHECK(!read_hash128(&back, hex, 31) && !read_hash128(&back, "fedcba98765432100123456789abcdeg", 32));
}

TEST(a_hash_of_runs_is_the_hash_of_the_whole)
{
    uint8_t bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7);
    struct hash_stream *s = hash_stream_open();
    for (size_t at = 0, n = 1; at < sizeof bytes; at += n, n = n * 2 < sizeof bytes - at ? n * 2 : sizeof bytes - at)
        hash_stream_add(s, bytes + at, n);
    struct hash128 runs = hash_stream_close(&s), whole = hash128(bytes, sizeof bytes);
    CHECK(runs.low == whole.low && runs.high == whole.high && !s);
}
