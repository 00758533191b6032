/* tests/unit/slice_test.c — shards: written from a model, read back for the layers they hold, refused for others. */
#include "partition/slice.h"
#include "tests/check.h"
#include "tests/folder.h"

#define DEMO "models/demo/demo-q4_0.gguf"

static int written(struct folder *f, struct model **m, struct gguf **g, struct share s, struct err *why)
{
    TRY(model_open(m, DEMO, why));
    TRY(slice_write(*m, s, folder_path(f, "shard.gguf"), why));
    return gguf_open(g, folder_path(f, "shard.gguf"), why);
}

/* Every tensor of `s` comes from the shard with the bytes it has in the model. */
static void same_bytes(const struct model *m, const struct gguf *g, struct share s)
{
    size_t n = share_count(s);
    struct tensor *want = calloc(n, sizeof *want), *have = calloc(n, sizeof *have);
    share_tensors(m, s, want);
    share_tensors(m, s, have);
    for (size_t i = 0; i < n; i++) have[i].data = NULL;
    NEED(slice_tensors(g, have, (uint32_t)n, why));
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
    struct slice_label label;
    NEED(written(&f, &m, &g, (struct share){3, 8, 0, HEAD_PARTS}, why));
    NEED(slice_label_read(&label, g, why));
    CHECK(label.share.first == 3 && label.share.end == 8 && share_has_head(label.share));
    CHECK(label.fingerprint.low == m->fingerprint.low && label.fingerprint.high == m->fingerprint.high);
    CHECK(gguf_tensor_count(g) == 5 * W_LAYER_ROLES + 2 && !gguf_tensor(g, "blk.2.attn_q.weight"));
    CHECK(!gguf_has(g, "tokenizer.ggml.tokens") && gguf_has(g, "gemma3.block_count"));
    same_bytes(m, g, (struct share){3, 8, 0, HEAD_PARTS});
    same_bytes(m, g, (struct share){4, 6, 0, 0});
    gguf_close(&g);
    model_close(&m);
    folder_end(&f);
}

TEST(what_a_shard_does_not_hold_is_refused)
{
    struct folder f = folder_new();
    struct model *m;
    struct gguf *g;
    struct tensor t[W_LAYER_ROLES];
    struct err no = {0};
    NEED(written(&f, &m, &g, (struct share){0, 2, 0, 0}, why));
    share_tensors(m, (struct share){2, 3, 0, 0}, t);
    CHECK(slice_tensors(g, t, W_LAYER_ROLES, &no) == E_FILE && strstr(no.text, "has no tensor blk.2.attn_norm.weight"),
          "%s", no.text);
    share_tensors(m, (struct share){1, 2, 0, 0}, t);
    t[W_Q].type = T_Q8_0;
    CHECK(slice_tensors(g, t, W_LAYER_ROLES, &no) == E_FILE && strstr(no.text, "wanted Q8_0"), "%s", no.text);
    t[W_Q].type = T_Q4_0, t[W_Q].rows++;
    CHECK(slice_tensors(g, t, W_LAYER_ROLES, &no) == E_FILE && strstr(no.text, "wanted Q4_0 [129, 128]"), "%s",
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
    struct slice_label label;
    struct err no = {0};
    NEED(written(&f, &m, &g, (struct share){0, 2, 0, 0}, why));
    CHECK(model_open(&other, folder_path(&f, "shard.gguf"), &no) == E_FILE && strstr(no.text, "one worker's shard"),
          "%s", no.text);
    CHECK(slice_label_read(&label, m->file, &no) == E_FILE && strstr(no.text, "is not a worker's shard"), "%s",
          no.text);
    gguf_close(&g);
    model_close(&m);
    folder_end(&f);
}

TEST(shares_within_others)
{
    struct share have = {3, 8, 0, 0}, all = {0, 8, 0, HEAD_PARTS};
    CHECK(share_within((struct share){3, 8, 0, 0}, have) && share_within((struct share){4, 5, 0, 0}, have));
    CHECK(!share_within((struct share){2, 5, 0, 0}, have) && !share_within((struct share){3, 8, 0, HEAD_PARTS}, have));
    CHECK(share_within((struct share){8, 8, 0, HEAD_PARTS}, all) && !share_within((struct share){8, 8, 0, HEAD_PARTS}, have));
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
