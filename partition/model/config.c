/* partition/model/config.c — a model's sizes, held against what the engine can carry. */
#include "partition/model/config.h"

#include <math.h>
#include <stddef.h>

/* The largest real model has 62 layers, 5376 hidden, 21504 ffn, 131072 context. These leave room and keep every product
 * of four of them inside 64 bits. */
#define MAX_LAYERS 1024
#define MAX_HIDDEN 65536
#define MAX_FFN 1048576
#define MAX_HEADS 1024
#define MAX_HEAD_DIM 512
#define MAX_CONTEXT 16777216

/* The one size whose scale does not come from its head dimension is known by its number of layers. */
#define LAYERS_OF_27B 62

/* query_pre_attn_scalar^-1/2: 168 for the 27B, which is hidden / heads; the head dimension for all others. */
float config_attention_scale(const struct model_config *c)
{
    double of = c->layers == LAYERS_OF_27B ? (double)c->hidden / c->heads : (double)c->head_dim;
    return (float)(1.0 / sqrt(of));
}

int config_check(const struct model_config *c, const char *from, struct err *why)
{
    const struct {
        const char *name;
        uint32_t value, most;
    } sizes[] = {
        {"layers", c->layers, MAX_LAYERS},       {"hidden size", c->hidden, MAX_HIDDEN},
        {"ffn size", c->ffn, MAX_FFN},           {"heads", c->heads, MAX_HEADS},
        {"key/value heads", c->kv_heads, MAX_HEADS}, {"head dimension", c->head_dim, MAX_HEAD_DIM},
        {"context", c->context, MAX_CONTEXT},    {"vocabulary", c->vocab, MODEL_VOCAB_MOST},
        {"pattern of layers", c->pattern, MAX_LAYERS + 1},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
            return fail(why, E_FILE, "%s: %s is %u, wanted 1 to %u", from, sizes[i].name, sizes[i].value,
                        sizes[i].most);
    if (c->window > MAX_CONTEXT)
        return fail(why, E_FILE, "%s: sliding window is %u, wanted at most %d", from, c->window, MAX_CONTEXT);
    if (c->head_dim % 2) return fail(why, E_FILE, "%s: head dimension is %u, wanted an even number", from, c->head_dim);
    if (c->heads % c->kv_heads)
        return fail(why, E_FILE, "%s: %u heads over %u key/value heads; wanted a multiple", from, c->heads,
                    c->kv_heads);
    const struct {
        const char *name;
        float value, least, most;
    } numbers[] = {
        {"global RoPE base", c->rope_base_global, 1, 1e12f}, {"local RoPE base", c->rope_base_local, 1, 1e12f},
        {"RoPE factor", c->rope_factor, 1e-3f, 1e6f},        {"norm epsilon", c->norm_epsilon, 0, 1},
        {"attention scale", c->attention_scale, 1e-6f, 1e3f},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) /* written so that NaN fails */
        if (!(numbers[i].value >= numbers[i].least && numbers[i].value <= numbers[i].most))
            return fail(why, E_FILE, "%s: %s is %g, wanted %g to %g", from, numbers[i].name, (double)numbers[i].value,
                        (double)numbers[i].least, (double)numbers[i].most);
    return 0;
}
