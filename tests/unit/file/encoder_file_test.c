/* tests/unit/file/encoder_file_test.c — an encoder's file: its sizes, its tensors under old and new names, what is refused. */
#define _GNU_SOURCE
#include "partition/file/encoder_file.h"
#include "partition/model/vision_memory.h"
#include "tests/support/check.h"
#include "tests/support/encoder_recipe.h"

static int open_recipe(struct vision_model **m, const struct recipe *r, struct err *why)
{
    struct forge *f = cook(r);
    char path[64];
    int fd = memory_file(f->b, f->n, path), rc = vision_open(m, path, why);
    close(fd);
    free(f);
    return rc;
}

static void refused(struct recipe r, const char *word)
{
    struct vision_model *m;
    struct err no = {0};
    int rc = open_recipe(&m, &r, &no);
    CHECK(rc == E_FILE && strstr(no.text, word) && !m, "wanted \"%s\", got %d: %s", word, rc, no.text);
    vision_close(&m);
}

#define REFUSED(change, word)                                                                                          \
    do {                                                                                                               \
        struct recipe r = plain;                                                                                       \
        change;                                                                                                        \
        refused(r, word);                                                                                              \
    } while (0)

/* ---- what is read ---- */

TEST(an_encoder_is_read)
{
    struct vision_model *m;
    NEED(open_recipe(&m, &plain, why));
    const struct vision_config *c = &m->config;
    CHECK(vision_patches(c) == 16 && vision_tokens(c) == 1 && vision_pixels(c) == 12 && vision_head_dim(c) == 16);
    CHECK(c->layers == RECIPE_LAYERS && c->pool == 4 && c->hidden == 24 && c->mean[2] == 0.5f && c->deviation[0] == 0.5f);
    vision_close(&m);
}

TEST(the_real_encoder_has_439_tensors)
{
    const struct part all = {0, 27, 0, 1, true};
    CHECK(part_count(CHAIN_VISION, all) == 439, "%zu", part_count(CHAIN_VISION, all));
}

static void add_pool(struct forge *f)
{
    forge_u32(f, "clip.vision.projector.scale_factor", 2);
}

TEST(another_pooling_is_read)
{
    struct vision_model *m;
    struct recipe r = plain;
    r.add = add_pool;
    NEED(open_recipe(&m, &r, why));
    CHECK(m->config.pool == 2 && vision_tokens(&m->config) == 4);
    vision_close(&m);
}

TEST(old_names_of_the_ffn_mean_the_same)
{
    struct vision_model *m;
    for (int swapped = 0; swapped < 2; swapped++) {
        struct recipe r = plain;
        r.swapped = swapped;
        NEED(open_recipe(&m, &r, why));
        const struct gguf_tensor *up = gguf_tensor(m->file, swapped ? "v.blk.1.ffn_down.weight" : "v.blk.1.ffn_up.weight");
        const struct tensor *t = &m->layer_tensors[V_LAYER_ROLES + V_UP];
        CHECK(t->rows == RECIPE_FFN && t->cols == RECIPE_WIDTH && t->data == up->data, "swapped %d", swapped);
        t = &m->layer_tensors[V_LAYER_ROLES + V_DOWN_BIAS];
        CHECK(t->rows == 1 && t->cols == RECIPE_WIDTH, "swapped %d", swapped);
        vision_close(&m);
    }
}

TEST(shares_add_up_to_the_encoder)
{
    struct vision_model *m;
    NEED(open_recipe(&m, &plain, why));
    struct tensor all[64], cut[64];
    const struct part whole = {0, 2, 0, 1, true}, first = {0, 1, 0, 0, true}, last = {1, 2, 0, 1, false};
    vision_part_tensors(m, whole, all);
    vision_part_tensors(m, first, cut);
    vision_part_tensors(m, last, cut + part_count(CHAIN_VISION, first));
    CHECK(part_count(CHAIN_VISION, first) + part_count(CHAIN_VISION, last) == part_count(CHAIN_VISION, whole));
    CHECK(!memcmp(all, cut, part_count(CHAIN_VISION, whole) * sizeof *all));
    struct err why_not;
    CHECK(!vision_part_check(&m->config, whole, all, &why_not));
    vision_close(&m);
}

TEST(q8_0_fills_up_its_blocks_and_spares_memory)
{
    const struct tensor down = {CHAIN_VISION, V_DOWN, 0, T_F16, 1152, 4304, NULL, 0, 0}, bias = {CHAIN_VISION, V_O_BIAS, 0, T_F32, 1, 1152, NULL, 0, 0},
                               projection = {CHAIN_VISION, V_PROJECTION, 0, T_F16, 1152, 2560, NULL, 0, 0};
    struct vision_kept k = vision_kept(&down, VISION_Q8_0);
    CHECK(k.type == T_Q8_0 && k.rows == 1152 && k.cols == 4320, "%u [%u, %u]", k.type, k.rows, k.cols);
    k = vision_kept(&down, VISION_AS_FILE);
    CHECK(k.type == T_F16 && k.cols == 4304);
    k = vision_kept(&bias, VISION_Q8_0);
    CHECK(k.type == T_F32);
    k = vision_kept(&projection, VISION_Q8_0);
    CHECK(k.type == T_F16 && k.rows == 2560 && k.cols == 1152);
    CHECK(vision_tensor_bytes(&down, VISION_Q8_0) < vision_tensor_bytes(&down, VISION_AS_FILE) * 6 / 10);
}

/* ---- what is refused ---- */

TEST(other_files_are_refused)
{
    REFUSED(r.arch = "gemma3", "holds a text model");
    REFUSED(r.arch = "llama", "architecture \"llama\"");
    REFUSED(r.projector = "mlp", "for \"mlp\"");
    REFUSED(r.without = "clip.projector_type", "does not say");
    REFUSED(r.without = "clip.vision.image_size", "clip.vision.image_size");
    REFUSED(r.without = "clip.vision.attention.layer_norm_epsilon", "layer_norm_epsilon");
}

TEST(sizes_that_do_not_fit_are_refused)
{
    REFUSED(r.image = 9, "not whole patches");
    REFUSED(r.image = 4, "cannot be pooled");
    REFUSED(r.image = 0, "picture size is 0");
    REFUSED(r.image = 1u << 30, "picture size is");
    REFUSED(r.image = 8000, "65536 in all at most");
    REFUSED(r.image = 16, "v.position_embd.weight");
    REFUSED(r.heads = 3, "whole heads");
    REFUSED(r.hidden = 40, "mm.input_projection.weight");
}

TEST(wrong_tensors_are_refused)
{
    REFUSED(r.without = "v.blk.1.attn_k.bias", "has no tensor v.blk.1.attn_k.bias");
    REFUSED(r.without = "mm.soft_emb_norm.weight", "has no tensor mm.soft_emb_norm.weight");
    REFUSED(r.misshapen = "v.blk.0.attn_out.weight", "v.blk.0.attn_out.weight is 33");
    REFUSED(r.misshapen = "v.patch_embd.weight", "v.patch_embd.weight is 3");
    REFUSED(r.extra = "v.blk.2.ln1.weight", "holds the tensor v.blk.2.ln1.weight");
    REFUSED(r.extra = "v.class_embd", "holds the tensor v.class_embd");
    REFUSED(r.matrices = T_Q5_0, "wanted F32, F16 or BF16");
}

static void add_llava(struct forge *f)
{
    forge_key(f, "clip.has_llava_projector", GGUF_BOOL);
    forge_le(f, 1, 1);
}

TEST(what_old_files_say_more_must_fit)
{
    REFUSED(r.add = add_llava, "clip.has_llava_projector is true");
}

TEST(another_models_encoder_is_refused)
{
    struct vision_model *m;
    struct err no = {0};
    NEED(open_recipe(&m, &plain, why));
    CHECK(vision_config_fits(&m->config, 24, "p.gguf", &no) == 0);
    CHECK(vision_config_fits(&m->config, 2560, "p.gguf", &no) == E_FILE && strstr(no.text, "24") && strstr(no.text, "2560"),
          "%s", no.text);
    vision_close(&m);
}
