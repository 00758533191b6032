/* partition/file/delivery.c — see delivery.h. */
#include "partition/file/delivery.h"

#include "partition/format/panels.h"

static uint32_t rows_per_piece(uint64_t row_bytes)
{
    uint64_t panels = DELIVERY_BYTES / (row_bytes * PANEL_ROWS);
    return (uint32_t)(panels ? panels : 1) * PANEL_ROWS;
}

bool delivery_next(struct delivery *d, struct delivery_piece *out)
{
    while (d->have && d->tensor < d->count && d->have[d->tensor]) d->tensor++;
    if (d->tensor == d->count) return false;
    const struct tensor *t = &d->tensors[d->tensor];
    uint64_t row_bytes = block_row_bytes(t->type, t->cols);
    uint32_t rows = rows_per_piece(row_bytes);
    if (rows > t->rows - d->row) rows = t->rows - d->row;
    *out = (struct delivery_piece){
        .tensor = d->tensor,
        .first_row = d->row,
        .rows = rows,
        .bytes = t->data + d->row * row_bytes,
        .n = rows * row_bytes,
    };
    d->row += rows;
    if (d->row == t->rows) d->tensor++, d->row = 0;
    return true;
}

uint64_t delivery_total(const struct tensor *tensors, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += tensors[i].rows * block_row_bytes(tensors[i].type, tensors[i].cols);
    return sum;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t delivery_largest(const struct model_config *c, const struct vision_config *v)
{
    uint64_t widest = 1;
    if (c) widest = larger(larger(c->hidden, c->ffn), (uint64_t)c->heads * c->head_dim);
    if (v) widest = larger(larger(widest, vision_pixels(v)), larger(larger(v->width, v->ffn), v->hidden));
    return larger(widest * sizeof(float) * PANEL_ROWS, DELIVERY_BYTES);
}
