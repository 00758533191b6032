/* tests/unit/checkpoint/hf_config_test.c — config.json in its layouts: what it says, and what it leaves to the class. */
#include "partition/checkpoint/hf_config.h"
#include "tests/support/check.h"

static int parse(struct hf_config *c, const char *text, struct err *why)
{
    return hf_config_parse(c, text, strlen(text), "config.json", why);
}

static void refused(const char *text, const char *words)
{
    struct hf_config c;
    struct err why = {0};
    CHECK(parse(&c, text, &why) == E_FILE && strstr(why.text, words), "wanted \"%s\", got \"%s\"", words, why.text);
}

#define NESTED(text, rest) "{\"model_type\":\"gemma3\",\"text_config\":{" text "}" rest "}"
#define FOUR_B "\"hidden_size\":2560,\"intermediate_size\":10240,\"num_hidden_layers\":34,\"sliding_window\":1024"

TEST(what_the_first_4b_file_leaves_out_is_filled_in)
{
    struct hf_config c;
    NEED(parse(&c, NESTED(FOUR_B ",\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"}",
                          ",\"vision_config\":{\"hidden_size\":1152,\"image_size\":896,\"patch_size\":14}"), why));
    const struct model_config *t = &c.text;
    CHECK(t->layers == 34 && t->hidden == 2560 && t->ffn == 10240 && t->window == 1024);
    CHECK(t->heads == 8 && t->kv_heads == 4 && t->head_dim == 256 && t->vocab == 262208 && t->context == 131072);
    CHECK(t->pattern == 6 && t->rope_base_global == 1e6f && t->rope_base_local == 1e4f && t->rope_factor == 8);
    CHECK(t->norm_epsilon == 1e-6f && t->attention_scale == 0.0625f);
    CHECK(c.has_vision && c.vision.layers == 27 && c.vision.heads == 16 && c.vision.ffn == 4304 &&
          c.vision.image_rows == 256);
    CHECK(hf_vision_side(&c.vision) == 64);
}

TEST(a_flat_file_is_read_from_its_top)
{
    struct hf_config c;
    NEED(parse(&c, "{\"hidden_size\":640,\"num_hidden_layers\":18,\"intermediate_size\":2048,\"num_attention_heads\":4,"
                   "\"num_key_value_heads\":1,\"vocab_size\":262144,\"sliding_window\":512,\"rope_scaling\":null,"
                   "\"eos_token_id\":[1,106],\"bos_token_id\":2,\"model_type\":\"gemma3_text\"}", why));
    CHECK(c.text.layers == 18 && c.text.kv_heads == 1 && c.text.vocab == 262144 && c.text.rope_factor == 1);
    CHECK(!c.has_vision && c.eos_id == 1 && c.bos_id == 2 && c.pad_id == -1);
}

TEST(the_27b_has_its_own_attention_scale)
{
    struct hf_config c;
    NEED(parse(&c,
               NESTED("\"hidden_size\":5376,\"intermediate_size\":21504,\"num_hidden_layers\":62,\"sliding_window\":1024,"
                          "\"num_attention_heads\":32,\"num_key_value_heads\":16,\"head_dim\":128,\"query_pre_attn_scalar\":168",
                          ""), why));
    CHECK(c.text.attention_scale == 0.0771516750f, "%.9g", (double)c.text.attention_scale);
    refused(NESTED(FOUR_B ",\"query_pre_attn_scalar\":168", ""), "query_pre_attn_scalar is 168");
}

TEST(newer_keys_say_the_same)
{
    struct hf_config c;
    NEED(parse(&c, NESTED(FOUR_B ",\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"linear\",\"factor\":8,"
                          "\"rope_theta\":2e6},\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":20000}},"
                          "\"_sliding_window_pattern\":6", ""), why));
    CHECK(c.text.rope_factor == 8 && c.text.rope_base_global == 2e6f && c.text.rope_base_local == 2e4f &&
          c.text.pattern == 6);
    NEED(parse(&c, "{\"model_type\":\"gemma3_text\",\"num_hidden_layers\":4,\"layer_types\":[\"sliding_attention\","
                   "\"full_attention\",\"sliding_attention\",\"full_attention\"]}", why));
    CHECK(c.text.pattern == 2);
    NEED(parse(&c, "{\"model_type\":\"gemma3_text\",\"num_hidden_layers\":2,\"layer_types\":[\"sliding_attention\","
                   "\"sliding_attention\"]}", why));
    CHECK(c.text.pattern == 6, "%u", c.text.pattern);
}

TEST(models_we_do_not_run_are_refused_with_the_reason)
{
    refused("{\"model_type\":\"gemma2\"}", "model_type \"gemma2\"; gemmapipe runs gemma3");
    refused("{}", "has no model_type");
    refused(NESTED(FOUR_B, ",\"quantization_config\":{\"bits\":4}"), "quantised already; get the unquantised one");
    refused("{\"model_type\":\"gemma3_text\",\"use_bidirectional_attention\":true}", "embedding model");
    refused("{\"model_type\":\"gemma3_text\",\"final_logit_softcapping\":30.0}", "soft cap");
    refused("{\"model_type\":\"gemma3_text\",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":8}}", "\"yarn\"");
    refused(NESTED(FOUR_B, ",\"vision_config\":{\"vision_use_head\":true}"), "vision_use_head");
    refused(NESTED(FOUR_B, ",\"vision_config\":{\"model_type\":\"clip_vision_model\"}"), "wanted siglip_vision_model");
}
