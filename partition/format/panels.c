/* partition/format/panels.c — the sizes of the table in panels.h, nothing else: packing is the kernels' business.
 *
 * Both live by the same table, which is why it stands in a header: the planner counts bytes on a machine that may never
 * hold a panel. Sizes here cannot wrap for 32-bit rows and columns, except a whole matrix, which then is "as large as
 * can be said": no plan can have room for it. */
#include "partition/format/panels.h"

#include "base/checked.h"
#include "partition/format/blocks.h"

enum panel_kind panel_kind(uint32_t tensor_type)
{
    switch (tensor_type) {
    case T_Q4_0: return P_Q4;
    case T_Q4_1: return P_Q4M;
    case T_Q4_K: return P_K4;
    case T_Q5_0: return P_Q8;
    case T_Q8_0: return P_Q8;
    case T_Q5_1: return P_Q8M;
    case T_Q5_K: return P_K5;
    case T_Q6_K: return P_Q6;
    case T_F16: return P_F16;
    case T_BF16: return P_BF16;
    default: return P_F32;
    }
}

uint64_t panel_bytes(enum panel_kind kind, uint32_t cols)
{
    const struct panel_shape s = panel_shape(kind);
    const uint64_t blocks = cols / 32;
    if (kind == P_F32) return (uint64_t)cols * 64;
    if (kind == P_F16 || kind == P_BF16) return ((uint64_t)cols * 32 + 63) / 64 * 64;
    return blocks / s.blocks * s.shared + (blocks * s.scales + 63) / 64 * 64 + blocks * s.quants;
}

uint64_t panels_bytes(uint32_t tensor_type, uint32_t rows, uint32_t cols)
{
    uint64_t panels = ((uint64_t)rows + PANEL_ROWS - 1) / PANEL_ROWS, bytes;
    return mul_ok(panels, panel_bytes(panel_kind(tensor_type), cols), &bytes) ? bytes : UINT64_MAX;
}
