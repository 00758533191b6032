/* partition/model/config.h — the sizes of a Gemma 3 text model, from its file or from the wire (docs/MODEL.md, "Sizes"). */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define MODEL_VOCAB_MOST 16777216 /* rows of a head that the engine can carry */

struct model_config {
    uint32_t layers, hidden, ffn;
    uint32_t heads, kv_heads, head_dim;
    uint32_t window;  /* keys a local layer sees, the query's own included; 0: no local layers */
    uint32_t pattern; /* layer i (from 0) is global iff (i + 1) % pattern == 0 */
    uint32_t context; /* trained */
    uint32_t vocab;   /* rows of the head; ids >= 262144 are padding when vocab is 262208 */
    float rope_base_global, rope_base_local;
    float rope_factor;     /* angles of global layers are divided by it */
    float norm_epsilon;
    float attention_scale; /* multiplies q.k; derived, the file does not say it */
};

/* Bounds that every use relies on: nothing zero, head_dim even and <= 512, heads a multiple of kv_heads, every product
 * used for a size far from wrapping. Workers check what the wire brought with the same words. `from` names the source. */
int config_check(const struct model_config *c, const char *from, struct err *why);

/* What follows from the sizes, as GGUF files leave it unsaid. */
float config_attention_scale(const struct model_config *c);

static inline bool layer_is_global(const struct model_config *c, uint32_t layer)
{
    return c->window == 0 || (layer + 1) % c->pattern == 0;
}
