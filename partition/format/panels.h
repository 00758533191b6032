/* partition/format/panels.h — how matrices lie in a worker's memory, so that the planner can count the bytes exactly.
 *
 * A matrix [rows, cols] is cut into panels of 16 output rows. One SIMD lane is one output row, so a panel has all it
 * needs to add 16 results in the same order on every instruction set (worker/kernels/kernels.h says which order).
 * The last panel is filled up with rows of zeros.
 *
 * A panel is a run of lines of 64 bytes, read as one stream from front to back: a line with the scales of the next two
 * blocks of 32 columns (of one block, where its scales fill a line), then the quants of these blocks, and so on. K kinds
 * have in front of every 8 blocks a line with what the 8 share. (Scales in a run of their own would be a second stream,
 * and memory then gives half as much to one core: docs/SPEED.md 14.)
 *
 *   kind    from          scales, per block                        quants, per block
 *   P_Q4    Q4_0          f16 d[16]                                u8 [4][16][4]  low nibble column 4k+j, high 16+4k+j
 *   P_Q4M   Q4_1          f16 d[16], f16 m[16]                     the same
 *   P_K4    Q4_K          u8 s[16], u8 m[16]; shared: f16 d[16], f16 dmin[16]    the same
 *   P_Q8    Q8_0, Q5_0    f16 d[16]                                i8 [8][16][4]  column 4k+j
 *   P_Q8M   Q5_1          f16 d[16], f16 m[16]                     the same, 0..31
 *   P_K5    Q5_K          as P_K4                                  the same, 0..31
 *   P_Q6    Q6_K          i8 s[2][16] (columns 0-15, 16-31); shared: f16 d[16]    as P_Q4, then u8 [2][16][4]: bits 5 and 4 of column
 *                                                                  16h+4i+j are bits 2i+1 and 2i of [h][lane][j]; weight + 32
 *   P_F16   F16           none                                     u16 [cols][16]
 *   P_BF16  BF16          none                                     u16 [cols][16]
 *   P_F32   F32           none                                     f32 [cols][16]
 *
 * Q5 spends 8 bits a weight here; Q6, the kind of the published heads, its 6: a head is read whole for every token.
 * The planner counts these bytes, not the file's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Raised whenever a panel of any kind lies otherwise: there are files of them (partition/file/packed_file.h). */
#define PANELS_VERSION 1

#define PANEL_ROWS 16
#define BLOCK 32 /* columns that share a scale */
#define SUPER 8  /* blocks that share a d in the K kinds */

enum panel_kind { P_Q4, P_Q4M, P_K4, P_Q8, P_Q8M, P_K5, P_Q6, P_F16, P_BF16, P_F32 };

/* A group is what repeats: blocks that share something, or a line of scales. All in bytes but `blocks`. */
struct panel_shape {
    uint32_t blocks, shared;
    uint32_t scales, quants; /* of a block; scales: 32 or 64 */
};

/* Inline because kernels are compiled for each kind, and there these are constants. */
static inline struct panel_shape panel_shape(enum panel_kind kind)
{
    switch (kind) {
    case P_Q4: return (struct panel_shape){2, 0, 32, 256};
    case P_Q4M: return (struct panel_shape){1, 0, 64, 256};
    case P_K4: return (struct panel_shape){8, 64, 32, 256};
    case P_Q8: return (struct panel_shape){2, 0, 32, 512};
    case P_Q8M: return (struct panel_shape){1, 0, 64, 512};
    case P_K5: return (struct panel_shape){8, 64, 32, 512};
    case P_Q6: return (struct panel_shape){8, 64, 32, 384};
    case P_F16:
    case P_BF16: return (struct panel_shape){1, 0, 0, 1024};
    case P_F32: return (struct panel_shape){1, 0, 0, 2048};
    }
    __builtin_unreachable();
}

static inline bool kind_is_float(enum panel_kind kind)
{
    return kind == P_F16 || kind == P_BF16 || kind == P_F32;
}

static inline size_t group_bytes(enum panel_kind kind)
{
    const struct panel_shape s = panel_shape(kind);
    return s.shared + (size_t)s.blocks * (s.scales + s.quants);
}

/* Within a group, of its block j. What its blocks share stands at 0. Integer kinds only. */
static inline size_t scales_at(enum panel_kind kind, uint32_t j)
{
    const struct panel_shape s = panel_shape(kind);
    const uint32_t pair = 64 / s.scales; /* blocks whose scales fill a line */
    return s.shared + (size_t)(j / pair) * (64 + pair * s.quants) + j % pair * s.scales;
}

static inline size_t quants_at(enum panel_kind kind, uint32_t j)
{
    const struct panel_shape s = panel_shape(kind);
    const uint32_t pair = 64 / s.scales;
    return s.shared + (size_t)(j / pair) * (64 + pair * s.quants) + 64 + (size_t)(j % pair) * s.quants;
}

enum panel_kind panel_kind(uint32_t tensor_type);
uint64_t panel_bytes(enum panel_kind kind, uint32_t cols); /* of one panel, a multiple of 64 */
uint64_t panels_bytes(uint32_t tensor_type, uint32_t rows, uint32_t cols); /* of a whole matrix */
