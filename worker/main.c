/* worker/main.c — the program gemmapipe-worker: listens, serves one coordinator after another. */
#define _GNU_SOURCE
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/size_text.h"
#include "base/standard_streams.h"
#include "base/threads.h"
#include "base/version.h"
#include "partition/plan/plan_text.h"
#include "transport/links/transport.h"
#include "worker/worker.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char help[] =
    "gemmapipe-worker — holds some layers of a Gemma 3 model and computes them for a coordinator.\n"
    "\n"
    "  gemmapipe-worker --listen tcp://ADDRESS:PORT [options]\n"
    "\n"
    "It waits until `gemmapipe run --connect tcp://ADDRESS:PORT,…` (or chat, logits) calls, takes the layers it is\n"
    "assigned, answers, and waits for the next run. It needs no model file: its share is sent to it, unless it can open\n"
    "the coordinator's file under the same path itself.\n"
    "\n"
    "  --listen ADDRESS   tcp://127.0.0.1:7001, tcp://*:7001 or ipc:///path/to/socket\n"
    "  --threads N        threads to compute with (default: what the coordinator says, else all cores allowed)\n"
    "  --pin CORES        bind each thread to one of these cores, as 0-3,8 (lscpu has the numbers); without --threads as many\n"
    "                     threads as cores. On several sockets: a worker for each, with that one's cores\n"
    "  --memory SIZE      most memory to take, as 2G or 512M (default: what the machine or its cgroup has)\n"
    "  --no-file          never open the model file here, have the share sent\n"
    "  --shard FILE       take the share from this file of gemmapipe-partition split, if it is of the same model and holds\n"
    "                     the layers assigned; else it is sent\n"
    "  --once             end after one run\n"
    "  --quiet            say nothing but errors\n"
    "  --help, --version\n"
    "\n"
    "There is no encryption yet: listen on loopback or on a network you trust.\n"
    "\n"
    "A run that fails (the coordinator or another worker was lost, a peer broke the protocol) is said on stderr, and the\n"
    "worker waits for the next one. It keeps the layers it has: a run that wants the same is ready at once.\n"
    "\n"
    "Exit status: 0 ended by a signal; 2 command line; 5 address cannot be used. With --once: 0 the run was ended in order;\n"
    "4 memory; 6 a peer broke the protocol; 7 the run failed elsewhere.\n";

struct arguments {
    const char *listen;
    struct worker_options worker;
    bool once, quiet, child;
};

static int read_count(const char *name, const char *text, int least, int *out, struct err *why)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*end || end == text || n < least || n > 1024)
        return fail(why, E_USAGE, "%s wants a number from %d to 1024, not \"%s\"", name, least, text);
    *out = (int)n;
    return 0;
}

static int read_arguments(struct arguments *a, int argc, char **argv, struct err *why)
{
    static const struct option options[] = {
        {"listen", 1, 0, 'l'}, {"threads", 1, 0, 't'}, {"memory", 1, 0, 'm'},  {"no-file", 0, 0, 'f'}, {"once", 0, 0, 'o'},
        {"shard", 1, 0, 's'},  {"pin", 1, 0, 'p'},
        {"quiet", 0, 0, 'q'},  {"help", 0, 0, 'h'},    {"version", 0, 0, 'v'}, {"child", 0, 0, 'c'},   {0, 0, 0, 0},
    };
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "h", options, 0)) != -1;) {
        switch (c) {
        case 'l': a->listen = optarg; break;
        case 't': TRY(read_count("--threads", optarg, 1, &a->worker.threads, why)); break;
        case 'p': TRY(cores_read(&a->worker.cores, optarg, why)); break;
        case 'm': TRY(read_size(optarg, &a->worker.memory, why)); break;
        case 'f': a->worker.no_file = true; break;
        case 's': a->worker.shard = optarg; break;
        case 'o': a->once = true; break;
        case 'q': a->quiet = true; break;
        case 'c': a->child = true; break; /* started by a coordinator: lives no longer than it */
        case 'h': fputs(help, stdout); exit(0);
        case 'v': puts("gemmapipe-worker " GEMMAPIPE_VERSION); exit(0);
        default: return fail(why, E_USAGE, "unknown option or missing value: %s (--help lists them)", argv[optind - 1]);
        }
    }
    if (optind < argc) return fail(why, E_USAGE, "\"%s\" is not an option (--help lists them)", argv[optind]);
    if (!a->worker.threads) a->worker.threads = a->worker.cores.n;
    if (!a->listen) return fail(why, E_USAGE, "say where to listen: --listen tcp://127.0.0.1:7001");
    return 0;
}

/* A worker that the coordinator started leaves Ctrl-C to it, and ends with it even if it is killed. */
static void behave_as_child(void)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == 1) raise(SIGTERM); /* it died before we asked */
    signal(SIGINT, SIG_IGN);
}

static void name_the_log(int node)
{
    char name[32];
    snprintf(name, sizeof name, "worker %d", node);
    log_open(name, log_level());
}

/* One run after another; one that failed is said, and the next may come. */
static int serve_runs(struct arguments *a, struct worker *w, struct port *port, struct err *why)
{
    for (;;) {
        int code = worker_serve(w, port, why);
        if (code == E_INTERRUPTED && !interrupt_seen()) code = 0; /* the coordinator was, not we */
        if (a->once || interrupt_seen()) return code;
        log_open("worker", log_level());
        if (code) log_warn("%s", why->text);
        log_info("the run is over; listening on %s", a->listen);
        TRY(port_listen_again(port, why));
    }
}

static int serve(struct arguments *a, struct err *why)
{
    struct port *port = NULL;
    struct worker *w = NULL;
    TRY(port_open_listen(&port, a->listen, NULL, why));
    if (!a->child) log_info("listening on %s", a->listen);
    int code = worker_open(&w, &a->worker, why);
    if (!code) code = serve_runs(a, w, port, why);
    worker_close(&w);
    struct err ignored;
    port_flush(port, 1000, &ignored);
    port_close(&port);
    return code;
}

int main(int argc, char **argv)
{
    standard_streams_begin();
    threads_wait_politely(argv);
    struct arguments a = {.worker = {.stop = interrupt_flag(), .named = name_the_log}};
    struct err why = {0};
    log_open("worker", LOG_INFO);
    int code = read_arguments(&a, argc, argv, &why);
    if (!code) {
        log_open("worker", a.quiet ? LOG_ERROR : LOG_INFO);
        interrupt_catch();
        if (a.child) behave_as_child();
        code = serve(&a, &why);
    }
    if (code == E_INTERRUPTED) return 0; /* asked to end */
    /* A child's coordinator was told, and tells; if it is gone there is nobody to tell. */
    if (code && !(a.child && code != E_LINK)) log_error("%s", why.text);
    return code;
}
