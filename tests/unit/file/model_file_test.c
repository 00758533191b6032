/* tests/unit/file/model_file_test.c — a model file has exactly the tensors of the architecture, and a part is some of them. */
#define _GNU_SOURCE
#include "partition/file/model_file.h"
#include "partition/make/synth.h"
#include "partition/model/weights.h"
#include "tests/support/check.h"
#include "tests/support/forge.h"

#include <fcntl.h>
#include <sys/stat.h>

/* A model of two layers, written by synth and held in memory so that claims can damage it. */
struct image {
    uint8_t *b;
    size_t n;
};

static void small(struct synth *s)
{
    synth_size(s, "tiny", NULL);
    s->layers = 2, s->hidden = 64, s->ffn = 96, s->heads = 4, s->kv_heads = 2, s->head_dim = 16, s->vocab = 362;
    s->untied = true;
}

static int write_model(char path[64], const struct synth *s, struct err *why)
{
    snprintf(path, 64, "/tmp/weights_test.XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0) return fail_errno(why, E_FILE, "cannot make a temporary file");
    close(fd);
    return synth_write(s, path, why);
}

static struct image model_image(void)
{
    struct synth s;
    struct image m = {0};
    struct stat st;
    char path[64];
    small(&s);
    if (write_model(path, &s, NULL)) return m;
    int fd = open(path, O_RDONLY);
    if (fd >= 0 && !fstat(fd, &st) && (m.b = malloc((size_t)st.st_size)))
        m.n = (size_t)read(fd, m.b, (size_t)st.st_size);
    close(fd);
    unlink(path);
    return m;
}

static int open_image(struct model **out, const struct image *m, struct err *why)
{
    char path[64];
    int fd = memory_file(m->b, m->n, path);
    int rc = model_open(out, path, why);
    close(fd);
    return rc;
}

/* What follows the name in the file. Of a tensor: rank, dims, type, offset; of a key: type, value. */
static uint8_t *description(struct image *m, const char *name)
{
    char field[80] = {(char)strlen(name)};
    memcpy(field + 8, name, strlen(name));
    uint8_t *at = memmem(m->b, m->n, field, 8 + strlen(name));
    return at ? at + 8 + strlen(name) : NULL;
}

static void rename_tensor(struct image *m, const char *from, const char *to)
{
    uint8_t *at = description(m, from);
    if (at && strlen(from) == strlen(to)) memcpy(at - strlen(from), to, strlen(to));
    else CHECK(false, "the claim is wrong about %s", from);
}

static void refused(struct image *m, const char *word)
{
    struct model *model;
    struct err no = {0};
    int rc = open_image(&model, m, &no);
    CHECK(rc == E_FILE && !model && strstr(no.text, word), "wanted \"%s\", got %d: %s", word, rc, no.text);
    model_close(&model);
    free(m->b);
}

TEST(a_model_is_its_tensors_in_the_shapes_of_its_config)
{
    struct image m = model_image();
    struct model *x;
    NEED(open_image(&x, &m, why));
    const struct tensor *q = &x->layer_tensors[W_LAYER_ROLES + W_Q], *down = &x->layer_tensors[W_DOWN];
    CHECK(q->role == W_Q && q->layer == 1 && q->rows == 64 && q->cols == 64 && q->type == T_Q4_0 && q->data);
    CHECK(down->rows == 64 && down->cols == 96 && down->layer == 0);
    CHECK(q->data == gguf_tensor(x->file, "blk.1.attn_q.weight")->data);
    CHECK(x->layer_tensors[W_K_NORM].rows == 1 && x->layer_tensors[W_K_NORM].cols == 16);
    CHECK(x->layer_tensors[W_K_NORM].type == T_F32 && x->output_norm.cols == 64 &&
          x->output_norm.role == W_OUTPUT_NORM);
    CHECK(x->embedding.rows == 362 && x->embedding.data == gguf_tensor(x->file, "token_embd.weight")->data);
    CHECK(x->head.role == W_HEAD && x->head.data == gguf_tensor(x->file, "output.weight")->data);
    struct hash128 h = gguf_fingerprint(x->file);
    CHECK(x->fingerprint.low == h.low && x->fingerprint.high == h.high);
    model_close(&x);
    CHECK(!x);
    free(m.b);
}

TEST(without_a_head_of_its_own_the_embedding_is_the_head)
{
    struct synth s;
    struct model *x;
    char path[64];
    small(&s);
    s.untied = false;
    NEED(write_model(path, &s, why));
    NEED(model_open(&x, path, why));
    unlink(path);
    CHECK(x->head.data == x->embedding.data && x->head.role == W_HEAD && gguf_tensor_count(x->file) == 2 * 13 + 2);
    model_close(&x);
}

TEST(matrices_may_have_any_number_format)
{
    static const uint32_t types[] = {T_F32,  T_F16,  T_Q4_0, T_Q4_1, T_Q5_0, T_Q5_1,
                                     T_Q8_0, T_Q4_K, T_Q5_K, T_Q6_K, T_BF16};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct synth s;
        struct model *x;
        char path[64];
        small(&s);
        s.hidden = s.ffn = 256, s.head_dim = 64, s.layers = 1;
        s.matrix = s.head = s.embedding = types[i];
        NEED(write_model(path, &s, why));
        NEED(model_open(&x, path, why));
        unlink(path);
        CHECK(x->layer_tensors[W_GATE].type == types[i] && x->head.type == types[i] && x->embedding.type == types[i]);
        model_close(&x);
    }
}

TEST(a_missing_tensor_is_named)
{
    static const char *const names[] = {"token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight",
                                        "blk.1.post_ffw_norm.weight", "blk.1.ffn_down.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct image m = model_image();
        char other[64];
        snprintf(other, sizeof other, "%s", names[i]);
        other[strlen(other) - 1] = 'T';
        rename_tensor(&m, names[i], other);
        refused(&m, names[i]);
    }
}

TEST(an_unknown_tensor_is_refused_by_name)
{
    static const char *const names[] = {"rope_f.weight", "v.conv.weight", "mm.abc.weight", "blk.0.weighty"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct image m = model_image();
        rename_tensor(&m, "output.weight", names[i]);
        refused(&m, names[i]);
    }
    struct image m = model_image();
    rename_tensor(&m, "output.weight", "v.conv.weight");
    refused(&m, "a file of its own");
    m = model_image();
    uint8_t *layers = description(&m, "gemma3.block_count");
    layers[4] = 1;
    refused(&m, "blk.1.attn_norm.weight");
    m = model_image();
    layers = description(&m, "gemma3.block_count");
    layers[4] = 3;
    refused(&m, "no tensor blk.2.attn_norm.weight");
}

TEST(a_layer_number_has_one_spelling)
{
    static const char *const names[] = {"blk.00.ffn_up", "blk.-1.ffn_up", "blk.+1.ffn_up"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct image m = model_image();
        rename_tensor(&m, "output.weight", names[i]);
        refused(&m, names[i]);
    }
}

TEST(a_tensor_of_another_shape_is_refused)
{
    struct image m = model_image();
    uint8_t *d = description(&m, "blk.0.ffn_gate.weight"); /* [96, 64]: swap the two */
    d[4] = 96, d[12] = 64;
    refused(&m, "blk.0.ffn_gate.weight is [64, 96], by the metadata it is [96, 64]");
    m = model_image();
    d = description(&m, "blk.1.attn_k.weight");
    d[12] -= 1;
    refused(&m, "blk.1.attn_k.weight is [31, 64]");
    m = model_image();
    d = description(&m, "gemma3.feed_forward_length");
    d[4] = 64;
    refused(&m, "blk.0.ffn_gate.weight is [96, 64], by the metadata it is [64, 64]");
}

/* The same 64 values, described as a matrix of one column of rows. */
TEST(a_tensor_of_another_rank_is_refused)
{
    struct forge *f = forge_new();
    struct image m = model_image();
    uint8_t *d = description(&m, "output_norm.weight");
    size_t head = (size_t)(d - m.b);
    f->n = 0;
    forge_bytes(f, m.b, head); /* everything before, */
    forge_le(f, 2, 4), forge_le(f, 64, 8), forge_le(f, 1, 8); /* another rank, */
    memmove(f->b + f->n, d + 12, m.n - head - 12);             /* and the rest eight bytes later */
    f->n += m.n - head - 12;
    free(m.b);
    m = (struct image){malloc(f->n + 64), f->n + 64};
    memset(m.b, 0, m.n);
    memcpy(m.b, f->b, f->n);
    free(f);
    refused(&m, "output_norm.weight has 2 dimensions, wanted 1");
}

TEST(a_norm_is_f32)
{
    struct image m = model_image();
    description(&m, "blk.1.ffn_norm.weight")[12] = T_F16;
    refused(&m, "blk.1.ffn_norm.weight is F16, a norm is F32");
}

/* ---- parts ---- */

TEST(a_share_is_its_layers_in_order_and_the_head_if_it_has_it)
{
    struct image m = model_image();
    struct model *x;
    struct tensor shape[2 * W_LAYER_ROLES + 2], full[2 * W_LAYER_ROLES + 2];
    NEED(open_image(&x, &m, why));
    static const struct part parts[] = {{0, 2, 0, HEAD_PARTS, false},  {0, 1, 0, 0, false}, {1, 2, 0, HEAD_PARTS, false},
                                          {1, 2, 0, 0, false}, {2, 2, 0, HEAD_PARTS, false}, {0, 0, 0, 0, false}};
    static const size_t counts[] = {28, 13, 15, 13, 2, 0};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        CHECK(part_count(CHAIN_TEXT, parts[i]) == counts[i]);
        text_part_shape(&x->config, parts[i], shape);
        text_part_tensors(x, parts[i], full);
        for (size_t k = 0; k < counts[i]; k++) {
            CHECK(shape[k].role == full[k].role && shape[k].layer == full[k].layer && !shape[k].data && full[k].data);
            CHECK(shape[k].rows == full[k].rows && shape[k].cols == full[k].cols, "part %zu tensor %zu", i, k);
        }
    }
    CHECK(full[0].role == W_ATTN_NORM || counts[5] == 0);
    model_close(&x);
    free(m.b);
}

TEST(role_names_are_those_of_the_file)
{
    CHECK(!strcmp(role_name(W_Q), "attn_q") && !strcmp(role_name(W_FFN_POST_NORM), "post_ffw_norm"));
    CHECK(!strcmp(role_name(W_HEAD), "output") && !strcmp(role_name(W_OUTPUT_NORM), "output_norm"));
    int norms = 0;
    for (int role = 0; role < W_ROLES; role++) norms += role_is_norm((enum role)role);
    CHECK(norms == 7);
}

TEST(a_file_without_a_model_is_refused)
{
    struct model *x;
    struct err no;
    CHECK(model_open(&x, "/nonexistent.gguf", &no) == E_FILE && !x);
    model_close(&x);
}
