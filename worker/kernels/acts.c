/* worker/kernels/acts.c — where activations lie: in tiles of up to ACT_TILE rows, block by block, so that a tile is read from front to
 * back while one panel is. A few rows get a tile of their own height: one row's blocks lie side by side. */
#include "worker/kernels/inside.h"

#include "base/checked.h"

/* Five arrays, each rounded up to 64 bytes, in the order of struct acts. */
void acts_init(struct acts *a, void *memory, uint32_t max_rows, uint32_t max_cols)
{
    size_t places = round_up(max_rows, ACT_TILE) * (round_up(max_cols, BLOCK) / BLOCK);
    size_t run = round_up(places * sizeof(float), 64);
    uint8_t *at = memory;
    *a = (struct acts){.q = (int8_t *)at};
    a->scale = (float *)(at += places * BLOCK);
    a->sums = (float *)(at += run);
    a->minus8 = (int32_t *)(at += run);
    a->minus32 = (int32_t *)(at + run);
}

void acts_shape(struct acts *a, uint32_t rows, uint32_t cols, const float *x, size_t ldx)
{
    a->rows = rows, a->cols = cols, a->x = x, a->ldx = ldx;
    for (a->tile = 1; a->tile < rows && a->tile < ACT_TILE;) a->tile *= 2;
}
