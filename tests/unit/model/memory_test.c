/* tests/unit/model/memory_test.c — the bytes of a stage, against numbers worked out by hand and known of the real models. */
#include "partition/model/memory.h"
#include "partition/format/panels.h"
#include "tests/support/check.h"
#include "worker/kernels/kernels.h"

#include <stdlib.h>

static const struct model_config four_b = {
    .layers = 34, .hidden = 2560, .ffn = 10240, .heads = 8, .kv_heads = 4, .head_dim = 256, .window = 1024, .pattern = 6,
    .context = 131072, .vocab = 262144, .rope_base_global = 1e6f, .rope_base_local = 1e4f, .rope_factor = 8,
    .norm_epsilon = 1e-6f, .attention_scale = 0.0625f,
};

static const struct capacity usual = {.context = 4096, .sequences = 1, .rows = 64, .in_flight = 4};

static struct tensor *described(const struct model_config *c, struct part s, uint32_t matrix, uint32_t head)
{
    struct tensor *t = calloc(part_count(CHAIN_TEXT, s) + 1, sizeof *t);
    text_part_shape(c, s, t);
    for (size_t i = 0; i < part_count(CHAIN_TEXT, s); i++)
        if (!role_is_norm(t[i].role)) t[i].type = t[i].role == W_HEAD ? head : matrix;
    return t;
}

static struct part_bytes bytes_of(const struct model_config *c, struct part s, uint32_t matrix, uint32_t head,
                                   struct capacity cap)
{
    struct tensor *t = described(c, s, matrix, head);
    struct part_bytes b = text_part_bytes(c, s, t, &cap, 2);
    free(t);
    return b;
}

/* ---- panels ---- */

TEST(panels_of_the_exact_kinds_weigh_what_the_file_does)
{
    static const uint32_t same[] = {T_F32, T_F16, T_BF16, T_Q4_0, T_Q4_1, T_Q8_0};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        CHECK(panels_bytes(same[i], 1024, 2560) == 1024 * block_row_bytes(same[i], 2560), "%s", block_info(same[i])->name);
}

TEST(panels_of_the_widened_kinds_follow_the_table)
{
    CHECK(panel_bytes(P_K4, 256) == 8 * 32 + 64 + 8 * 256);
    CHECK(panel_bytes(P_K5, 256) == 8 * 32 + 64 + 8 * 512);
    CHECK(panel_bytes(P_Q6, 256) == 8 * 32 + 64 + 8 * 384, "16 f16 fill a line of 64 bytes");
    CHECK(panel_bytes(P_Q6, 512) == 2 * panel_bytes(P_Q6, 256));
    CHECK(panels_bytes(T_Q5_0, 16, 64) == 2 * (32 + 512) && panels_bytes(T_Q5_1, 16, 64) == 2 * (64 + 512));
    CHECK(panel_kind(T_Q5_0) == P_Q8 && panel_kind(T_Q5_1) == P_Q8M && panel_kind(T_Q6_K) == P_Q6);
}

TEST(every_panel_is_whole_lines_of_64_bytes)
{
    for (int kind = P_Q4; kind <= P_F32; kind++)
        for (uint32_t cols = 32; cols <= 2560; cols += 32) {
            if ((kind == P_K4 || kind == P_K5 || kind == P_Q6) && cols % 256) continue;
            CHECK(panel_bytes((enum panel_kind)kind, cols) % 64 == 0, "kind %d cols %u", kind, cols);
        }
    CHECK(panel_bytes(P_F16, 3) == 128 && panel_bytes(P_F32, 3) == 192);
}

TEST(rows_are_filled_up_to_whole_panels)
{
    CHECK(panels_bytes(T_Q4_0, 1, 32) == panels_bytes(T_Q4_0, 16, 32));
    CHECK(panels_bytes(T_Q4_0, 17, 32) == 2 * panels_bytes(T_Q4_0, 16, 32));
    CHECK(panels_bytes(T_Q4_0, 0, 32) == 0);
    CHECK(panels_bytes(T_F32, UINT32_MAX, UINT32_MAX) == UINT64_MAX, "stops instead of wrapping");
}

/* ---- weights ---- */

TEST(a_layer_of_the_4b_weighs_what_is_published)
{
    struct part_bytes b = bytes_of(&four_b, (struct part){3, 4, 0, 0, false}, T_Q4_0, T_Q6_K, usual);
    CHECK(b.weights == 53127168, "%llu", (unsigned long long)b.weights);
    b = bytes_of(&four_b, (struct part){34, 34, 0, HEAD_PARTS, false}, T_Q4_0, T_Q8_0, usual);
    CHECK(b.weights == 713031680 + 2560 * 4, "%llu", (unsigned long long)b.weights);
    b = bytes_of(&four_b, (struct part){0, 34, 0, HEAD_PARTS, false}, T_Q4_0, T_F16, usual);
    CHECK(b.weights == 3148511232, "%llu", (unsigned long long)b.weights);
}

/* ---- keys and values ---- */

TEST(a_global_layer_holds_the_context_and_a_local_one_its_window)
{
    struct capacity cap = usual;
    CHECK(kv_page_bytes(&four_b, KV_F16) == 64 * 4096);
    CHECK(kv_page_bytes(&four_b, KV_Q8_0) == 64 * 4096 / 2 / 16 * 17 && kv_page_bytes(&four_b, KV_F32) == 2 * 64 * 4096);
    CHECK(kv_pages(&four_b, 5, &cap) == 64);
    CHECK(kv_pages(&four_b, 4, &cap) == 18, "1023 + 64 positions, and where the first begins: %u", kv_pages(&four_b, 4, &cap));
    cap.rows = 1;
    CHECK(kv_pages(&four_b, 4, &cap) == 17);
    cap.context = 100;
    CHECK(kv_pages(&four_b, 4, &cap) == 2 && kv_pages(&four_b, 5, &cap) == 2, "never more than the context");
    cap = usual, cap.rows = 10000;
    CHECK(kv_pages(&four_b, 4, &cap) == 64);
    struct model_config c = four_b;
    c.window = 0;
    CHECK(kv_pages(&c, 0, &usual) == 64, "without a window all layers are global");
}

/* Any run of window - 1 + rows positions touches no more pages than the ring has: none still seen is overwritten. */
TEST(a_ring_is_never_too_short)
{
    struct model_config c = four_b;
    struct capacity cap = {.context = 1 << 20, .sequences = 1, .in_flight = 1};
    for (c.window = 1; c.window < 300; c.window += 7)
        for (cap.rows = 1; cap.rows < 200; cap.rows += 13)
            for (uint32_t first = 0; first < KV_PAGE; first++) {
                uint32_t last = first + c.window - 1 + cap.rows - 1, touched = last / KV_PAGE - first / KV_PAGE + 1;
                CHECK(touched <= kv_pages(&c, 0, &cap), "window %u rows %u first %u", c.window, cap.rows, first);
            }
}

TEST(kv_grows_with_sequences)
{
    struct capacity cap = usual;
    const uint64_t pages = 5 * 64 + 29 * 18, each = 64 * 4096 + 2 * 4 + 8; /* with a page's numbers and where it is */
    uint64_t one = bytes_of(&four_b, (struct part){0, 34, 0, 0, false}, T_Q4_0, T_Q6_K, cap).kv;
    CHECK(one == (pages * each + 63) / 64 * 64, "%llu", (unsigned long long)one);
    cap.sequences = 7;
    CHECK(bytes_of(&four_b, (struct part){0, 34, 0, 0, false}, T_Q4_0, T_Q6_K, cap).kv == (7 * pages * each + 63) / 64 * 64);
    cap.blocks = 64;
    const uint64_t small = bytes_of(&four_b, (struct part){0, 34, 0, 0, false}, T_Q4_0, T_Q6_K, cap).kv;
    CHECK(small == (34 * 64 * (each - 8) + 7 * pages * 8 + 63) / 64 * 64, "a pool of one context, and tables for seven: %llu",
          (unsigned long long)small);
    CHECK(bytes_of(&four_b, (struct part){34, 34, 0, HEAD_PARTS, false}, T_Q4_0, T_Q6_K, cap).kv == 0);
}

/* ---- scratch ---- */

TEST(activations_are_tiles_of_16_rows_and_blocks_of_32)
{
    CHECK(ACT_TILE == 16, "memory.c has its own copy of this number");
    CHECK(act_bytes(16, 32) == 512 + 5 * 64);
    CHECK(act_bytes(16, 64) == 2 * 512 + 5 * 128);
    CHECK(act_bytes(1, 33) == act_bytes(16, 64) && act_bytes(17, 64) == 4 * 512 + 5 * 256);
    CHECK(act_bytes(0, 64) == 0);
    CHECK(act_bytes(64, 10240) == 64 * 10240 + 5 * 4 * 320 * 64);
}

TEST(scratch_has_room_for_the_widest_operand)
{
    const struct part whole = {0, 34, 0, HEAD_PARTS, false};
    struct scratch_bytes b = scratch_bytes(&four_b, whole, &usual, 2);
    CHECK(b.stream == 64 * 2560 * 4 && b.rows_a == 64 * 10240 * 4 && b.rows_b == 64 * 2560 * 4);
    CHECK(b.acts == act_bytes(64, 2560) && b.ffn == act_bytes(64, 10240));
    CHECK(b.gate == 2 * 2 * 16384 * 4 && gate_columns(64) == 256);
    CHECK(b.rope == 2 * 2 * 64 * 128 * 4);
    CHECK(b.attend == 2 * attend_bytes(256) + 3 * 2 * ATTEND_SPANS * (256 + 32) * 4);
    CHECK(attend_bytes(256) == 128 * (256 + 32) * 4 && attend_bytes(250) == attend_bytes(256));
    CHECK(b.logits == 16 * 262144 * 4 + 2 * 262144 * 4);
    CHECK(head_ids_bytes(&four_b, whole, 0) == 262144 * 4 && head_ids_bytes(&four_b, whole, 99) == 16 * 262144 * 4);
    CHECK(scratch_bytes(&four_b, (struct part){0, 34, 0, 0, false}, &usual, 2).logits == 0);

    struct model_config c = four_b;
    c.ffn = 96;
    b = scratch_bytes(&c, (struct part){0, 34, 0, HEAD_PARTS, false}, &usual, 2);
    CHECK(b.rows_a == 64 * (2048 + 2 * 1024) * 4, "q, k and v side by side");
    CHECK(b.rows_b == 64 * 2560 * 4 && b.acts == act_bytes(64, 2560));
}

TEST(a_piece_of_gate_and_up_has_room_for_any_number_of_rows)
{
    for (uint32_t most = 1; most < 5000; most += most < 40 ? 1 : 97)
        for (uint32_t rows = 1; rows <= most; rows++) {
            const uint32_t columns = gate_columns(rows);
            CHECK(columns >= 32 && columns % 32 == 0 && (uint64_t)rows * columns <= gate_floats(most), "%u of %u rows", rows, most);
        }
}

TEST(a_longer_context_needs_more_pages_and_nothing_else)
{
    struct capacity longer = usual;
    longer.context *= 32;
    struct part_bytes a = bytes_of(&four_b, (struct part){0, 34, 0, HEAD_PARTS, false}, T_Q4_0, T_Q6_K, usual);
    struct part_bytes b = bytes_of(&four_b, (struct part){0, 34, 0, HEAD_PARTS, false}, T_Q4_0, T_Q6_K, longer);
    CHECK(b.scratch == a.scratch && b.kv > a.kv && b.total - a.total == b.kv - a.kv);
}

TEST(spans_are_shared_out_only_when_there_are_threads_to_share)
{
    struct scratch_bytes one = scratch_bytes(&four_b, (struct part){0, 34, 0, HEAD_PARTS, false}, &usual, 1);
    CHECK(one.attend == attend_bytes(256) && ATTEND_SPAN % KV_PAGE == 0);
}

/* A planner may add parts up: nothing is counted twice but the norm and what every stage has. */
TEST(parts_of_a_head_weigh_what_the_whole_does)
{
    const struct part_bytes none = bytes_of(&four_b, (struct part){34, 34, 0, 0, false}, T_Q4_0, T_Q6_K, usual);
    const struct part_bytes whole = bytes_of(&four_b, (struct part){34, 34, 0, HEAD_PARTS, false}, T_Q4_0, T_Q6_K, usual);
    const uint64_t norm = 2560 * 4;
    for (uint32_t cut = 1; cut < HEAD_PARTS; cut++) {
        struct part_bytes a = bytes_of(&four_b, (struct part){34, 34, 0, cut, false}, T_Q4_0, T_Q6_K, usual);
        struct part_bytes b = bytes_of(&four_b, (struct part){34, 34, cut, HEAD_PARTS, false}, T_Q4_0, T_Q6_K, usual);
        CHECK(a.weights + b.weights == whole.weights + norm, "%u", cut);
        CHECK(a.scratch + b.scratch == whole.scratch + none.scratch, "%u", cut);
        CHECK(a.kv == 0 && a.frames == whole.frames + usual.sequences * (2560 * 4 + 128) && a.runtime == whole.runtime);
    }
    const struct part_bytes layers = bytes_of(&four_b, (struct part){3, 20, 0, 0, false}, T_Q4_0, T_Q6_K, usual);
    const struct part_bytes part = bytes_of(&four_b, (struct part){34, 34, 4, 9, false}, T_Q4_0, T_Q6_K, usual);
    const struct part_bytes both = bytes_of(&four_b, (struct part){3, 20, 4, 9, false}, T_Q4_0, T_Q6_K, usual);
    CHECK(both.total == layers.total + part.total - none.total);
}

TEST(the_total_is_the_sum)
{
    struct part_bytes b = bytes_of(&four_b, (struct part){0, 34, 0, HEAD_PARTS, false}, T_Q4_0, T_Q6_K, usual);
    struct scratch_bytes s = scratch_bytes(&four_b, (struct part){0, 34, 0, HEAD_PARTS, false}, &usual, 2);
    CHECK(b.scratch == s.stream + s.rows_a + s.rows_b + s.acts + s.ffn + s.gate + s.rope + s.attend + s.logits);
    CHECK(b.frames == LOADING_BYTES, "few frames take less than what comes before them");
    CHECK(b.total == b.weights + b.kv + b.scratch + b.frames + b.runtime);
}

TEST(frames_are_those_in_flight_or_pieces_of_weights)
{
    struct capacity many = usual;
    many.in_flight = 16;
    const struct part_bytes b = bytes_of(&four_b, (struct part){0, 34, 0, HEAD_PARTS, false}, T_Q4_0, T_Q6_K, many);
    CHECK(b.frames == (16 + 2) * (64 * 2560 * 4 + 65536));
    CHECK(b.runtime == RUNTIME_BYTES);
    runtime_with_mpi(true);
    const struct part_bytes m = bytes_of(&four_b, (struct part){0, 34, 0, HEAD_PARTS, false}, T_Q4_0, T_Q6_K, many);
    runtime_with_mpi(false);
    CHECK(m.total - b.total == RUNTIME_MPI && m.runtime - b.runtime == RUNTIME_MPI);
}

TEST(absurd_capacities_stop_at_the_largest_number)
{
    struct capacity cap = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, 0, {0}};
    struct model_config c = four_b;
    c.kv_heads = c.heads = 1024, c.head_dim = 512, c.hidden = 65536, c.ffn = 1 << 20, c.layers = 1024;
    struct part_bytes b = bytes_of(&c, (struct part){0, 1024, 0, HEAD_PARTS, false}, T_F32, T_F32, cap);
    CHECK(b.total == UINT64_MAX && b.kv == UINT64_MAX && b.frames == UINT64_MAX);
    CHECK(b.weights > 1ull << 40 && b.weights < 1ull << 60);
}
