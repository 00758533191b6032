/* coordinator/engine/embed.c — see embed.h. Only the rows asked for are touched; the table itself stays on disk. */
#include "coordinator/engine/embed.h"

#include "base/half.h"

#include <math.h>

float embed_scale(uint32_t hidden, bool exact)
{
    float root = sqrtf((float)hidden);
    return exact ? root : bf16_to_f32(f32_to_bf16(root));
}

void embed_rows(const struct tensor *embedding, float scale, const uint32_t *ids, uint32_t n, float *out)
{
    uint64_t row_bytes = block_row_bytes(embedding->type, embedding->cols);
    for (uint32_t i = 0; i < n; i++) {
        float *row = out + (size_t)i * embedding->cols;
        block_dequantize(embedding->type, embedding->data + ids[i] * row_bytes, row, embedding->cols);
        for (uint32_t c = 0; c < embedding->cols; c++) row[c] *= scale;
    }
}
