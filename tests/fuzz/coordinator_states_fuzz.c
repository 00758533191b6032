/* tests/fuzz/coordinator_states_fuzz.c — a coordinator in every state, told what its workers said in a real run, changed on its way.
 *
 * The input is a program: which run, then six bytes for each change (replay.h). Whatever is told, the run ends, with one sentence if it
 * failed, and
 * all who asked are told; and the run as it was still says the very same words. */
#include "tests/fuzz/runs.h"

#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define CHANGES_MOST 8
#define AFTER 16 /* runs that are changed, to one that is not */

static int coordinate_told(size_t run, const struct change *changes, uint32_t n, uint64_t *said, struct err *why)
{
    struct replay *r = replay_open(&all_runs()[run].node[0], changes, n, n ? 1000 : 5000000);
    return coordinate_run(&recorded_runs[run], &r->port, said, why);
}

static void coordinate_unchanged(size_t run)
{
    struct err why = {0};
    uint64_t said;
    int code, tried = 0;
    do code = coordinate_told(run, NULL, 0, &said, &why);
    while (told_once_more(code, &tried));
    if (code) broken("a run as it was failed", &why);
    if (said != all_runs()[run].said) broken("a run as it was says other words", &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static uint32_t count;
    struct change changes[CHANGES_MOST];
    struct err why = {0};
    uint64_t said;
    if (n < 1 + CHANGE_BYTES) return 0;
    log_open("fuzz", LOG_ERROR);
    const size_t run = bytes[0] % RUNS;
    const uint32_t k = read_changes(changes, CHANGES_MOST, bytes + 1, n - 1);
    check_sentence(coordinate_told(run, changes, k, &said, &why), &why);
    if (++count % AFTER == 0) coordinate_unchanged(run);
    return 0;
}
