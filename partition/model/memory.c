/* partition/model/memory.c — one formula per buffer, used twice: by the planner to count and by the worker to allocate.
 *
 * Capacities come from a command line and may be absurd, so sums and products stop at the largest number instead of
 * wrapping: such a plan fits nowhere and is refused like any other that is too large. */
#include "partition/model/memory.h"

#include "base/checked.h"
#include "partition/format/panels.h"
#include "partition/format/tiles.h"

/* Room in a frame for everything but activations: header, segments, sampling parameters. */
#define FRAME_EXTRA (64ull << 10)

/* The same of one row that goes to the parts of a divided head. */
#define SCORE_EXTRA 128

#define COLS_PER_BLOCK 32

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t r;
    return mul_ok(a, b, &r) ? r : UINT64_MAX;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t r;
    return add_ok(a, b, &r) ? r : UINT64_MAX;
}

static uint64_t to_64(uint64_t a)
{
    uint64_t r;
    return round_up_ok(a, 64, &r) ? r : UINT64_MAX;
}

static uint64_t floats(uint64_t n)
{
    return to_64(times(n, sizeof(float)));
}

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool with_mpi;

void runtime_with_mpi(bool yes)
{
    with_mpi = yes;
}

uint64_t runtime_bytes(bool float32)
{
    return RUNTIME_BYTES + (with_mpi ? RUNTIME_MPI : 0) + (float32 ? SGEMM_RUNTIME : 0);
}

uint32_t kv_pages(const struct model_config *c, uint32_t layer, const struct capacity *cap)
{
    return layer_is_global(c, layer) ? (uint32_t)ceil_div(cap->context, KV_PAGE) : kv_ring(c, cap);
}

uint32_t kv_ring(const struct model_config *c, const struct capacity *cap)
{
    const uint64_t all = ceil_div(cap->context, KV_PAGE);
    if (!c->window) return (uint32_t)all;
    /* The oldest key any of these rows sees may begin a page late in its first page: hence one more. */
    const uint64_t ring = ceil_div((uint64_t)c->window - 1 + cap->rows, KV_PAGE) + 1;
    return (uint32_t)(ring < all ? ring : all);
}

static uint32_t blocks_of(const struct capacity *cap, uint32_t sequences)
{
    const uint64_t n = times(ceil_div(cap->context, KV_PAGE), sequences);
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

uint32_t capacity_blocks_least(const struct capacity *cap)
{
    return blocks_of(cap, 1);
}

uint32_t capacity_blocks_most(const struct capacity *cap)
{
    return blocks_of(cap, cap->sequences);
}

uint32_t capacity_blocks(const struct capacity *cap)
{
    const uint32_t least = capacity_blocks_least(cap), all = capacity_blocks_most(cap);
    if (!cap->blocks || cap->blocks > all) return all;
    return cap->blocks < least ? least : cap->blocks;
}

uint64_t kv_pool_pages(const struct model_config *c, struct part s, const struct capacity *cap)
{
    const uint64_t blocks = capacity_blocks(cap);
    uint64_t pages = 0;
    for (uint32_t layer = s.first; layer < s.end; layer++) {
        const uint64_t rings = times(kv_pages(c, layer, cap), cap->sequences);
        pages = plus(pages, rings < blocks ? rings : blocks);
    }
    return pages;
}

uint64_t kv_half_bytes(uint32_t head_dim, enum kv_type type)
{
    const uint64_t elements = times(KV_PAGE, head_dim), blocks = times(KV_PAGE, ceil_div(head_dim, KV_BLOCK));
    if (type == KV_Q8_0) return plus(elements, times(blocks, sizeof(uint16_t)));
    return times(elements, type == KV_F32 ? sizeof(float) : sizeof(uint16_t));
}

uint64_t kv_page_bytes(const struct model_config *c, enum kv_type type)
{
    return times(2 * (uint64_t)c->kv_heads, kv_half_bytes(c->head_dim, type));
}

uint64_t kv_tables_bytes(const struct model_config *c, struct part s, const struct capacity *cap)
{
    uint64_t each = 0;
    for (uint32_t layer = s.first; layer < s.end; layer++) each += kv_pages(c, layer, cap);
    const uint64_t numbers = times(kv_pool_pages(c, s, cap), KV_PAGE_NUMBERS * sizeof(uint32_t));
    return to_64(plus(numbers, times(times(each, cap->sequences), sizeof(void *))));
}

uint64_t act_bytes(uint32_t rows, uint32_t cols)
{
    uint64_t blocks = times(ceil_div(rows, ACT_TILE), ceil_div(cols, COLS_PER_BLOCK));
    uint64_t quants = to_64(times(blocks, ACT_TILE * COLS_PER_BLOCK)), per_block = floats(times(blocks, ACT_TILE));
    return plus(quants, times(5, per_block)); /* scale, sums, minus8, minus32 twice */
}

/* Sixteen lanes and the largest score, as long as a cache line allows; then the values, in whole sixteens. */
uint64_t attend_part(uint32_t head_dim)
{
    return 2 * PANEL_ROWS + ceil_div(head_dim, PANEL_ROWS) * PANEL_ROWS;
}

uint64_t attend_bytes(uint32_t head_dim)
{
    return floats(ATTEND_LINES * attend_part(head_dim));
}

static uint64_t attend_parts_bytes(const struct model_config *c, int threads)
{
    const uint64_t lines = times(attend_shared(threads), c->heads / c->kv_heads);
    return floats(times(lines, ATTEND_SPANS * attend_part(c->head_dim)));
}

uint64_t head_ids_bytes(const struct model_config *c, struct part s, int threads)
{
    const uint64_t at_once = threads < 1 ? 1 : threads < LOGIT_ROWS ? (uint64_t)threads : LOGIT_ROWS;
    return to_64(times(times(part_words(c, s), sizeof(uint32_t)), at_once));
}

uint64_t sgemm_bytes(uint32_t rows)
{
    const uint64_t tall = times(ceil_div(rows, SGEMM_ROWS), SGEMM_ROWS);
    return floats(plus((SGEMM_COLS + SGEMM_ROWS) * SGEMM_DEPTH, times(tall, SGEMM_COLS)));
}

uint64_t gate_room(const struct capacity *cap)
{
    return cap->mode.math == MATH_FLOAT32 ? most(gate_floats(cap->rows), times(cap->rows, SGEMM_COLS)) : gate_floats(cap->rows);
}

struct scratch_bytes scratch_bytes(const struct model_config *c, struct part s, const struct capacity *cap,
                                   int threads)
{
    uint64_t q = (uint64_t)c->heads * c->head_dim, kv = (uint64_t)c->kv_heads * c->head_dim;
    uint64_t widest = most(c->hidden, q), each = threads > 0 ? (uint64_t)threads : 1;
    uint64_t words = ((uint64_t)part_words(c, s) + PANEL_ROWS - 1) / PANEL_ROWS * PANEL_ROWS;
    struct scratch_bytes b = {
        .stream = floats(times(cap->rows, c->hidden)),
        .rows_a = floats(times(cap->rows, most(c->hidden, most(q + 2 * kv, c->ffn)))),
        .rows_b = floats(times(cap->rows, widest)),
        .acts = widest > UINT32_MAX ? UINT64_MAX : act_bytes(cap->rows, (uint32_t)widest),
        .ffn = act_bytes(cap->rows, c->ffn),
        .gate = times(each, floats(times(2, gate_room(cap)))),
        .rope = floats(times(cap->rows, 2 * (uint64_t)c->head_dim)),
        .attend = plus(times(each, attend_bytes(c->head_dim)), attend_parts_bytes(c, threads)),
    };
    if (cap->mode.math == MATH_FLOAT32) b.tiles = times(each, sgemm_bytes((uint32_t)most(cap->rows, LOGIT_ROWS)));
    if (part_has_head(s)) b.logits = plus(floats(times(LOGIT_ROWS, words)), head_ids_bytes(c, s, threads));
    return b;
}

uint64_t text_tensor_bytes(const struct tensor *t)
{
    if (role_is_norm(t->role)) return floats(times(t->rows, t->cols));
    return panels_bytes(t->type, t->rows, t->cols);
}

struct part_bytes text_part_bytes(const struct model_config *c, struct part s, const struct tensor *tensors,
                               const struct capacity *cap, int threads)
{
    struct part_bytes b = {.runtime = runtime_bytes(cap->mode.math == MATH_FLOAT32)};
    for (size_t i = 0; i < part_count(CHAIN_TEXT, s); i++) b.weights = plus(b.weights, text_tensor_bytes(&tensors[i]));

    b.kv = plus(times(kv_pool_pages(c, s, cap), kv_page_bytes(c, cap->mode.kv)), kv_tables_bytes(c, s, cap));

    struct scratch_bytes x = scratch_bytes(c, s, cap, threads);
    b.scratch =
        plus(plus(plus(x.stream, x.rows_a), plus(x.rows_b, x.acts)), plus(plus(x.ffn, x.gate), plus(plus(x.rope, x.attend), plus(x.tiles, x.logits))));

    uint64_t frame = plus(times(times(cap->rows, c->hidden), wire_value_bytes(cap->mode.wire)), FRAME_EXTRA);
    b.frames = most(times((uint64_t)cap->in_flight + 2, frame), LOADING_BYTES);
    /* Rows to be scored come besides; a sequence waits for one at a time. */
    const uint64_t row = plus(times(c->hidden, wire_value_bytes(cap->mode.wire)), SCORE_EXTRA);
    if (part_has_head(s) && !part_has_whole_head(s)) b.frames = plus(b.frames, times(cap->sequences, row));

    b.total = plus(plus(plus(b.weights, b.kv), plus(b.scratch, b.frames)), b.runtime);
    return b;
}
