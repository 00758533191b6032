/* tests/fuzz/worker_states_fuzz.c — a worker in every state, told a real run that was changed on its way.
 *
 * The input is a program: which run, which of its workers, then six bytes for each change (replay.h). Whatever is told, the worker ends
 * the run, with one
 * sentence if it failed; and the same worker, with the weights it holds by then, serves the unchanged run with the very same bits. */
#include "tests/fuzz/runs.h"

#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define CHANGES_MOST 8
#define AFTER 8 /* runs that are changed, to one that is not */

static volatile sig_atomic_t stop;

/* With code 0 it was told to stop. */
static int serve_told(struct worker *w, const struct record *of, const struct change *changes, uint32_t n, uint64_t *computed, struct err *why)
{
    struct replay *r = replay_open(of, changes, n, n ? 2000 : 5000000);
    struct port *port = &r->port;
    stop = false;
    r->stop = &stop;
    const int code = worker_serve(w, port, why);
    *computed = r->out.computed;
    port_close(&port);
    return code;
}

static struct worker *worker_of(size_t run, int node)
{
    static struct worker *workers[RUNS][NODES_MOST];
    const struct worker_options options = {.threads = 1, .no_file = true, .memory = 64 << 20, .stop = &stop};
    struct err why;
    if (!workers[run][node] && worker_open(&workers[run][node], &options, &why)) broken("no worker", &why);
    return workers[run][node];
}

static void serve_unchanged(size_t run, int node)
{
    const struct record *of = &all_runs()[run].node[node];
    struct err why = {0};
    uint64_t computed;
    int code, tried = 0;
    do code = serve_told(worker_of(run, node), of, NULL, 0, &computed, &why);
    while (told_once_more(code, &tried));
    if (code) broken("a run as it was failed", &why);
    if (computed != of->out) broken("a run as it was has other bits", &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static uint32_t count;
    struct change changes[CHANGES_MOST];
    uint64_t computed;
    struct err why = {0};
    if (n < 1 + CHANGE_BYTES) return 0;
    log_open("fuzz", LOG_ERROR);
    const size_t run = bytes[0] % RUNS;
    const int node = 1 + bytes[0] / 16 % recorded_runs[run].workers;
    const uint32_t k = read_changes(changes, CHANGES_MOST, bytes + 1, n - 1);
    check_sentence(serve_told(worker_of(run, node), &all_runs()[run].node[node], changes, k, &computed, &why), &why);
    if (++count % AFTER == 0) serve_unchanged(run, node);
    return 0;
}
