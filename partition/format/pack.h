/* partition/format/pack.h — file rows into panels. A weight is packed once: when a worker takes it, or when `split --packed` writes
 * it as a worker will hold it. */
#pragma once

#include "partition/format/panels.h"

/* A weight matrix [rows, cols] in panels (panels.h). Owns nothing. */
struct panels {
    enum panel_kind kind;
    uint32_t rows, cols;
    uint64_t panel_bytes;
    uint8_t *data; /* 64-byte aligned, panels_bytes() long */
};

void panels_init(struct panels *p, uint32_t tensor_type, uint32_t rows, uint32_t cols, void *memory);

/* Packs file rows first..first+n-1 (block_row_bytes each) into their place. `first` is a multiple of 16, and so is n
 * unless the rows end there: the rest of the last panel becomes zeros. Calls for different rows may run in parallel. */
void panels_pack(struct panels *p, uint32_t tensor_type, uint32_t first, uint32_t n, const void *file_rows);
