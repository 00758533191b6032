/* partition/format/pack.c — see pack.h.
 *
 * Every block of the file is taken apart into plain integers (block_split), and those are put where the sixteen lanes want them
 * (place). Nothing is rounded: a packed weight is the file's weight, q, d and m apart. Callers share rows among threads
 * (docs/SPEED.md 26: what it costs). */
#include "partition/format/pack.h"

#include "base/checked.h"
#include "base/inline.h"
#include "base/little_endian.h"
#include "partition/format/blocks.h"

#include <string.h>

/* One block of 32 columns of one row, as the panels store it: 32 bytes, or 16 of two nibbles, column j and 16 + j; Q6:
 * behind these 8 of four times two bits, column 16 h + 4 i + j in bits 2 i of byte 4 h + j. K kinds: d and m are the
 * superblock's. */
struct split {
    uint8_t q[BLOCK];
    uint16_t d, m;
    uint8_t s[2]; /* K4, K5: scale, minimum; Q6: scales of the two halves */
};

/* Four bytes as they lie: for what is done to each of them alone. */
static uint32_t four_at(const uint8_t *p)
{
    uint32_t four;
    memcpy(&four, p, 4);
    return four;
}

/* Columns 0..15 in the low nibbles, 16..31 in the high ones; the fifth bits in a 32-bit word, minus `offset`. */
static void split_five(uint8_t *q, const uint8_t *qs, uint32_t fifth, int offset)
{
    for (int j = 0; j < 16; j++) {
        q[j] = (uint8_t)(((qs[j] & 15) | (fifth >> j & 1) << 4) - offset);
        q[j + 16] = (uint8_t)(((qs[j] >> 4) | (fifth >> (j + 16) & 1) << 4) - offset);
    }
}

/* Eight six-bit scales and eight six-bit minima in twelve bytes. */
static void split_k_scales(uint8_t *s, const uint8_t *b, int g)
{
    s[0] = g < 4 ? b[g] & 63 : (b[g + 4] & 15) | (b[g - 4] >> 6) << 4;
    s[1] = g < 4 ? b[g + 4] & 63 : (b[g + 4] >> 4) | (b[g] >> 6) << 4;
}

/* Groups 2i and 2i+1 of 32 share 32 bytes, low and high nibbles; Q5_K has bit 4 of group g in bit g of qh. */
static void split_k(struct split *out, const uint8_t *super, int g, const uint8_t *qh, const uint8_t *qs)
{
    const uint8_t *from = qs + 32 * (g / 2);
    int shift = g & 1 ? 4 : 0;
    out->d = le16(super);
    out->m = le16(super + 2);
    split_k_scales(out->s, super + 4, g);
    if (qh)
        for (int j = 0; j < BLOCK; j++) out->q[j] = (uint8_t)((from[j] >> shift & 15) | (qh[j] >> g & 1) << 4);
    else
        for (int j = 0; j < 16; j++) out->q[j] = (uint8_t)((from[j] >> shift & 15) | (from[j + 16] >> shift & 15) << 4);
}

/* Group g of 32: half h of 128, quarter g % 4 of it. */
INLINE void split_q6_k(struct split *out, const uint8_t *super, int g)
{
    int h = g / 4, quarter = g % 4;
    const uint8_t *ql = super + 64 * h + 32 * (quarter & 1), *qh = super + 128 + 32 * h;
    int shift = quarter < 2 ? 0 : 4;
    uint32_t twos[2] = {0};
    for (int i = 0; i < 4; i++) {
        uint32_t low = four_at(ql + 4 * i) >> shift & 0x0f0f0f0f, high = four_at(ql + 16 + 4 * i) >> shift & 0x0f0f0f0f;
        uint32_t four = low | high << 4;
        memcpy(out->q + 4 * i, &four, 4);
        for (int half = 0; half < 2; half++)
            twos[half] |= (four_at(qh + 16 * half + 4 * i) >> 2 * quarter & 0x03030303) << 2 * i;
    }
    memcpy(out->q + 16, twos, 8);
    memcpy(out->s, super + 192 + 2 * g, 2);
    out->d = le16(super + 208);
}

/* Block b of its row, which lies at `at` or is a part of the superblock there. */
INLINE void block_split(struct split *out, uint32_t type, const uint8_t *at, uint32_t b)
{
    int g = (int)(b % SUPER);
    switch (type) {
    case T_Q4_K: split_k(out, at, g, NULL, at + 16); return;
    case T_Q5_K: split_k(out, at, g, at + 16, at + 48); return;
    case T_Q6_K: split_q6_k(out, at, g); return;
    }
    out->d = le16(at);
    switch (type) {
    case T_Q4_0: memcpy(out->q, at + 2, 16); break; /* the same nibbles as ours, 0..15; matmul takes the 8 off */
    case T_Q4_1: out->m = le16(at + 2), memcpy(out->q, at + 4, 16); break;
    case T_Q5_0: split_five(out->q, at + 6, le32(at + 2), 16); break;
    case T_Q5_1: out->m = le16(at + 2), split_five(out->q, at + 8, le32(at + 4), 0); break;
    case T_Q8_0: memcpy(out->q, at + 2, BLOCK); break;
    }
}

INLINE void place_scales(enum panel_kind kind, uint8_t *group, uint32_t j, uint32_t lane, const struct split *w)
{
    uint8_t *at = group + scales_at(kind, j);
    switch (kind) {
    case P_Q4M:
    case P_Q8M: memcpy(at + 32 + 2 * lane, &w->m, 2); /* fall through */
    case P_Q4:
    case P_Q8: memcpy(at + 2 * lane, &w->d, 2); break;
    case P_K4:
    case P_K5: memcpy(group + 32 + 2 * lane, &w->m, 2); /* fall through */
    default:
        memcpy(group + 2 * lane, &w->d, 2);
        at[lane] = w->s[0];
        at[16 + lane] = w->s[1];
    }
}

INLINE void place_quants(uint8_t *block, uint32_t quant_bytes, uint32_t lane, const uint8_t *q)
{
    for (uint32_t k = 0; k < quant_bytes / (4 * PANEL_ROWS); k++) memcpy(block + (k * PANEL_ROWS + lane) * 4, q + 4 * k, 4);
}

#define AHEAD 256 /* bytes: sixteen rows at once are more streams than a processor follows by itself */

/* Rows first..first+n-1, of one panel, block by block so that it is written from front to back; its other rows become
 * zeros. `type` and `kind` are constants where this is compiled. */
INLINE void pack_blocks(struct panels *p, const uint32_t type, const enum panel_kind kind, uint32_t first, uint32_t n, const uint8_t *rows)
{
    const uint64_t bytes = block_row_bytes(type, p->cols);
    const struct block_info info = *block_info(type);
    const struct panel_shape shape = panel_shape(kind);
    uint8_t *group = p->data + (first / PANEL_ROWS) * p->panel_bytes;
    for (uint32_t b = 0, j; b < p->cols / BLOCK; b++) {
        j = b % shape.blocks;
        if (b && j == 0) group += group_bytes(kind);
        const uint8_t *at = rows + (size_t)(b * BLOCK / info.elems) * info.bytes;
        for (uint32_t lane = 0; lane < PANEL_ROWS; lane++) {
            struct split w;
            if (lane < n) {
                __builtin_prefetch(at + lane * bytes + AHEAD);
                block_split(&w, type, at + lane * bytes, b);
            } else {
                memset(&w, 0, sizeof w);
            }
            place_scales(kind, group, j, lane, &w);
            place_quants(group + quants_at(kind, j), shape.quants, lane, w.q);
        }
    }
}

/* The published files' two kinds, with nothing in between: a 4B has a hundred million such blocks. */
static void pack_panel(struct panels *p, uint32_t type, uint32_t first, uint32_t n, const uint8_t *rows)
{
    if (type == T_Q4_0) pack_blocks(p, T_Q4_0, P_Q4, first, n, rows);
    else if (type == T_Q6_K) pack_blocks(p, T_Q6_K, P_Q6, first, n, rows);
    else pack_blocks(p, type, p->kind, first, n, rows);
}

static void pack_float_row(struct panels *p, uint32_t row, const uint8_t *file_row)
{
    size_t size = p->kind == P_F32 ? 4 : 2;
    uint8_t *at = p->data + (row / PANEL_ROWS) * p->panel_bytes + row % PANEL_ROWS * size;
    for (uint32_t c = 0; c < p->cols; c++, at += PANEL_ROWS * size)
        if (file_row) memcpy(at, file_row + c * size, size);
        else memset(at, 0, size);
}

void panels_init(struct panels *p, uint32_t tensor_type, uint32_t rows, uint32_t cols, void *memory)
{
    enum panel_kind kind = panel_kind(tensor_type);
    *p = (struct panels){
        .kind = kind, .rows = rows, .cols = cols, .panel_bytes = panel_bytes(kind, cols), .data = memory};
}

void panels_pack(struct panels *p, uint32_t tensor_type, uint32_t first, uint32_t n, const void *file_rows)
{
    uint64_t bytes = block_row_bytes(tensor_type, p->cols);
    const uint8_t *rows = file_rows;
    if (!kind_is_float(p->kind)) {
        for (uint32_t r = 0; r < n; r += PANEL_ROWS)
            pack_panel(p, tensor_type, first + r, n - r < PANEL_ROWS ? n - r : PANEL_ROWS, rows + r * bytes);
        return;
    }
    uint32_t end = first + n, padded = end == p->rows ? (uint32_t)round_up(end, PANEL_ROWS) : end;
    for (uint32_t r = first; r < padded; r++) pack_float_row(p, r, r < end ? rows + (r - first) * bytes : NULL);
}
