/* tests/unit/cluster/local_workers_test.c — workers of this machine, where memory runs out while they are started. */
#include "base/sanitized.h"
#include "coordinator/cluster/local_workers.h"
#include "tests/support/check.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIES 20
#define WORKERS 400

static size_t bytes_of_addresses(void)
{
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%zu", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void allow(size_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_AS, &limit);
}

static int start_and_end(int n)
{
    const struct worker_options how = {.threads = 1};
    struct local_workers *w = NULL;
    struct port *port = NULL;
    struct err why = {0};
    const int code = local_workers_start_threads(&w, n, &how, &port, &why);
    if (code && (w || port || !*why.text)) return -1;
    port_close(&port);
    local_workers_finish(&w, 0);
    return code;
}

/* A process of its own, as limits stay. Returns how often starting failed, or 200 and more for what went wrong. */
static int failures_with_little_memory(void)
{
    int failures = 0;
    alarm(60);               /* a worker that waits for ever */
    mallopt(M_ARENA_MAX, 1); /* no room in reserve that threads left behind */
    if (start_and_end(2)) return 200;
    free(malloc(1 << 16)); /* so that a few small things can be had and the large ones not */
    for (size_t more = 0; more < 24u << 20; more += 512u << 10) {
        allow(bytes_of_addresses() + more);
        const int code = start_and_end(WORKERS);
        const size_t before = mallinfo2().uordblks;
        for (int i = 0; i < TRIES && code; i++)
            if (start_and_end(WORKERS) < 0) return 201;
        const size_t after = mallinfo2().uordblks;
        allow(RLIM_INFINITY);
        if (code < 0) return 202;
        if (!code) break;
        if (after > before + TRIES * 1000) return 203;
        failures += code != 0;
    }
    return failures;
}

TEST(where_memory_runs_out_nothing_is_left_of_workers)
{
    if (SANITIZED || getenv("EMULATOR")) {
        test_skip("sanitizers and emulators take all addresses");
        return;
    }
    const pid_t child = fork();
    if (!child) _exit(failures_with_little_memory());
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) > 0 && WEXITSTATUS(status) < 200, "signal %d, status %d", WTERMSIG(status),
          WEXITSTATUS(status));
}

TEST(more_workers_than_can_be_are_refused)
{
    const struct worker_options how = {.threads = 1};
    struct local_workers *w;
    struct port *port;
    struct err why = {0};
    CHECK(local_workers_start_threads(&w, 0, &how, &port, &why) == E_USAGE && !w);
    CHECK(local_workers_start_threads(&w, 1 << 20, &how, &port, &why) == E_USAGE && !w, "%s", why.text);
}
