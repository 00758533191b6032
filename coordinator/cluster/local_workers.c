/* coordinator/cluster/local_workers.c — see local_workers.h. */
#define _GNU_SOURCE
#include "coordinator/cluster/local_workers.h"

#include "base/clock.h"
#include "base/log.h"
#include "worker/worker.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct local_worker {
    pid_t pid; /* 0: a thread, or ended and reaped */
    bool ended, told; /* told: by local_workers_ended */
    int status;
    pthread_t thread;
    bool threaded;
    struct port *port;
    struct worker_options options;
};

struct local_workers {
    int n;
    struct local_worker *child; /* [n], node i + 1 */
    char (*address)[64];
    const char **addresses;
    struct worker_options how; /* of processes */
    char program[PATH_MAX];
    volatile sig_atomic_t stop; /* told to threads that nobody dismisses */
};

static void local_workers_free(struct local_workers *c)
{
    if (!c) return;
    free(c->child);
    free(c->address);
    free(c->addresses);
    free(c);
}

static int local_workers_new(struct local_workers **out, int n, struct err *why)
{
    struct local_workers *c = *out = calloc(1, sizeof *c);
    if (c) {
        c->n = n;
        c->child = calloc((size_t)n, sizeof *c->child);
        c->address = calloc((size_t)n, sizeof *c->address);
        c->addresses = calloc((size_t)n, sizeof *c->addresses);
    }
    if (c && c->child && c->address && c->addresses) return 0;
    local_workers_free(c);
    *out = NULL;
    return fail(why, E_MEMORY, "no memory to keep track of %d workers", n);
}

/* ---- processes ---- */

int worker_program(char path[PATH_MAX], struct err *why)
{
    char self[PATH_MAX];
    ssize_t k = readlink("/proc/self/exe", self, sizeof self - 32);
    if (k < 0) return fail_errno(why, E_INTERNAL, "cannot find where this program lies");
    self[k] = 0;
    snprintf(path, PATH_MAX, "%s/gemmapipe-worker", dirname(self));
    if (access(path, X_OK)) return fail_errno(why, E_USAGE, "cannot run %s, which should stand beside gemmapipe", path);
    return 0;
}

/* A name that no file stands for: of sockets in a folder something would be left when everyone is killed. */
static int name_socket(struct local_workers *c, int i, struct err *why)
{
    uint64_t drawn;
    if (getrandom(&drawn, sizeof drawn, 0) != sizeof drawn) return fail_errno(why, E_INTERNAL, "cannot draw names for the workers' sockets");
    snprintf(c->address[i], sizeof c->address[i], "ipc://@gemmapipe-%016llx-%d", (unsigned long long)drawn, i + 1);
    c->addresses[i] = c->address[i];
    return 0;
}

/* of: how many threads it has, and which cores they are bound to. */
static int start_process(struct local_worker *child, const char *program, const char *address, const struct worker_options *of,
                         struct err *why)
{
    char count[16], cores[CORES_TEXT], size[24];
    snprintf(count, sizeof count, "%d", of->threads);
    snprintf(size, sizeof size, "%llu", (unsigned long long)of->cache_size);
    const char *argv[20] = {program, "--listen", address, "--once", "--child", "--threads", count};
    int n = 7;
    if (of->cores.n) argv[n++] = "--pin", argv[n++] = cores_text(&of->cores, cores);
    if (of->no_file) argv[n++] = "--no-file";
    if (of->cache) argv[n++] = "--cache", argv[n++] = of->cache;
    if (of->cache && of->cache_size) argv[n++] = "--cache-size", argv[n++] = size;
    if (of->crowded) argv[n++] = "--crowded";
    if (log_level() < LOG_INFO) argv[n++] = "--quiet";
    const pid_t self = getpid(), pid = fork();
    if (pid < 0) return fail_errno(why, E_INTERNAL, "cannot start a worker process");
    if (pid == 0) {
        /* No signal that could be caught, blocked, or kept waiting by one that is stopped. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self) _exit(127); /* we died before it asked */
        execv(program, (char *const *)argv);
        _exit(127);
    }
    child->pid = pid;
    return 0;
}

static struct worker_options child_options(const struct worker_options *how, int i)
{
    struct worker_options of = *how;
    of.cores = cores_from(&how->cores, i * of.threads, of.threads);
    return of;
}

static int start_child(struct local_workers *c, int i, struct err *why)
{
    const struct worker_options of = child_options(&c->how, i);
    c->child[i] = (struct local_worker){0};
    TRY(name_socket(c, i, why));
    return start_process(&c->child[i], c->program, c->address[i], &of, why);
}

int local_workers_start(struct local_workers **out, int n, const struct worker_options *how, const char *const **addresses,
                        struct err *why)
{
    struct local_workers *c;
    TRY(local_workers_new(&c, n, why));
    c->how = *how;
    int code = worker_program(c->program, why);
    for (int i = 0; i < n && !code; i++) code = start_child(c, i, why);
    if (code) {
        local_workers_finish(&c, 0);
        return code;
    }
    *addresses = c->addresses;
    *out = c;
    return 0;
}

/* ---- threads ---- */

static void *worker_thread(void *user)
{
    struct local_worker *child = user;
    struct err why = {0};
    struct worker *w = NULL;
    int code = worker_open(&w, &child->options, &why);
    if (!code) code = worker_serve(w, child->port, &why);
    worker_close(&w);
    if (code) log_debug("a worker thread ended: %s", why.text);
    struct err ignored;
    port_flush(child->port, 1000, &ignored);
    port_close(&child->port);
    return 0;
}

static int start_thread(struct local_worker *child, struct port **port, const struct worker_options *how, struct err *why)
{
    child->port = *port;
    child->options = *how;
    if (pthread_create(&child->thread, NULL, worker_thread, child)) return fail_errno(why, E_INTERNAL, "cannot start a worker thread");
    child->threaded = true;
    *port = NULL; /* the thread's */
    return 0;
}

/* If one thread cannot be started, those that run are told to stop; the ports that are closed then wake them. */
static int start_threads(struct local_workers *c, struct port **ports, const struct worker_options *how, struct err *why)
{
    int code = port_open_here(ports, c->n + 1, why);
    if (code) return code;
    for (int i = 0; i < c->n && !code; i++) {
        struct worker_options of = child_options(how, i);
        of.stop = &c->stop;
        code = start_thread(&c->child[i], &ports[i + 1], &of, why);
    }
    if (code) c->stop = 1;
    for (int i = 0; i <= c->n && code; i++) port_close(&ports[i]);
    return code;
}

int local_workers_start_threads(struct local_workers **out, int n, const struct worker_options *how, struct port **port,
                                struct err *why)
{
    *out = NULL;
    if (n < 1 || n > WORKERS_MOST) return fail(why, E_USAGE, "%d workers were asked for, at most %d are possible", n, WORKERS_MOST);
    struct local_workers *c;
    TRY(local_workers_new(&c, n, why));
    struct port **ports = calloc((size_t)n + 1, sizeof *ports);
    int code = ports ? start_threads(c, ports, how, why) : fail(why, E_MEMORY, "no memory for %d ports", n + 1);
    if (code) local_workers_finish(&c, 0);
    else *port = ports[0], *out = c;
    free(ports);
    return code;
}

/* ---- life and death ---- */

static void look(struct local_worker *child)
{
    if (child->pid <= 0 || child->ended) return;
    pid_t r = waitpid(child->pid, &child->status, WNOHANG);
    if (r == child->pid || (r < 0 && errno == ECHILD)) child->ended = true;
}

int local_workers_ended(struct local_workers *c, char *how, size_t room)
{
    if (!c) return 0;
    for (int i = 0; i < c->n; i++) {
        struct local_worker *child = &c->child[i];
        look(child);
        if (child->pid <= 0 || !child->ended || child->told) continue;
        child->told = true;
        int s = child->status;
        if (WIFSIGNALED(s)) snprintf(how, room, "was ended by signal %d (%s)", WTERMSIG(s), strsignal(WTERMSIG(s)));
        else snprintf(how, room, "ended by itself with status %d", WEXITSTATUS(s));
        return i + 1;
    }
    return 0;
}

pid_t local_workers_pid(const struct local_workers *c, int number)
{
    return c && number >= 1 && number <= c->n ? c->child[number - 1].pid : 0;
}

int local_workers_again(struct local_workers *c, int number, const char **address, struct err *why)
{
    struct local_worker *child = &c->child[number - 1];
    look(child);
    if (child->pid > 0 && !child->ended) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
    *address = c->addresses[number - 1];
    return start_child(c, number - 1, why);
}

static bool all_ended(struct local_workers *c)
{
    bool all = true;
    for (int i = 0; i < c->n; i++) {
        look(&c->child[i]);
        if (c->child[i].pid > 0 && !c->child[i].ended) all = false;
    }
    return all;
}

static void wait_for_all(struct local_workers *c, int ms)
{
    uint64_t end = clock_ns() + (uint64_t)ms * 1000000;
    while (!all_ended(c) && clock_ns() < end) sleep_ns(2000000);
}

static void signal_all(struct local_workers *c, int number)
{
    for (int i = 0; i < c->n; i++)
        if (c->child[i].pid > 0 && !c->child[i].ended) kill(c->child[i].pid, number);
}

/* A thread that was dismissed ends by itself. One that was not, as where the run could not begin, is told to. */
static void join_threads(struct local_workers *c, int patience_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    const long ns = until.tv_nsec + patience_ms % 1000 * 1000000l;
    until.tv_sec += patience_ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    for (int i = 0; i < c->n; i++) {
        struct local_worker *child = &c->child[i];
        if (child->threaded && !pthread_timedjoin_np(child->thread, NULL, &until)) child->threaded = false;
        if (child->threaded) c->stop = 1;
    }
    for (int i = 0; i < c->n; i++)
        if (c->child[i].threaded) pthread_join(c->child[i].thread, NULL);
}

void local_workers_finish(struct local_workers **pc, int patience_ms)
{
    struct local_workers *c = *pc;
    if (!c) return;
    *pc = NULL;
    wait_for_all(c, patience_ms);
    signal_all(c, SIGTERM);
    wait_for_all(c, 2000);
    signal_all(c, SIGKILL);
    wait_for_all(c, 5000);
    join_threads(c, patience_ms);
    local_workers_free(c);
}
