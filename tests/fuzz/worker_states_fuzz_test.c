/* tests/fuzz/worker_states_fuzz_test.c — the same programs of changes every time. */
#include "tests/support/check.h"
#include "tests/fuzz/worker_states_fuzz.c"
#include "tests/fuzz/drawn.h"

static void serve_all_unchanged(void)
{
    for (size_t run = 0; run < RUNS; run++)
        for (int node = 1; node <= recorded_runs[run].workers; node++) serve_unchanged(run, node);
}

TEST(a_run_told_again_is_answered_with_the_same_bits)
{
    serve_all_unchanged();
    serve_all_unchanged(); /* with the weights of the first */
}

/* Of each kind of frame the first, which is cut in the middle or left out: what was begun with it must not be gone on with. */
static void cut_each_kind(size_t run, int node)
{
    const struct record *of = &all_runs()[run].node[node];
    uint64_t seen = 0, computed;
    for (uint32_t i = 0; i < of->n; i++) {
        const uint64_t type = 1ull << le16(of->at[i].frame->bytes + TYPE_AT);
        for (uint8_t what = CHANGE_CUT; !(seen & type) && what <= CHANGE_GAP; what += CHANGE_GAP - CHANGE_CUT) {
            const struct change change = {.at = (uint16_t)i, .what = what, .a = 4};
            struct err why = {0};
            check_sentence(serve_told(worker_of(run, node), of, &change, 1, &computed, &why), &why);
        }
        seen |= type;
    }
    serve_unchanged(run, node);
}

TEST(a_frame_of_each_kind_that_is_cut_or_missing_ends_in_a_sentence)
{
    for (size_t run = 0; run < RUNS; run++)
        for (int node = 1; node <= recorded_runs[run].workers; node++) cut_each_kind(run, node);
}

TEST(no_change_of_what_a_worker_is_told_in_any_state_does_harm)
{
    const int rounds = feed_drawn_programs(17, 1, CHANGE_BYTES);
    serve_all_unchanged();
    CHECK(rounds > 0);
}
