/* coordinator/engine/embed.c — see embed.h. */
#include "coordinator/engine/embed.h"

#include "base/half.h"

#include <math.h>

float embed_scale(uint32_t hidden, bool exact)
{
    float root = sqrtf((float)hidden);
    return exact ? root : bf16_to_f32(f32_to_bf16(root));
}

void embed_row(const struct tensor *embedding, float scale, const uint8_t *row, float *out)
{
    block_dequantize(embedding->type, row, out, embedding->cols);
    for (uint32_t c = 0; c < embedding->cols; c++) out[c] *= scale;
}
