/* coordinator/main.c — the program gemmapipe: which command, and under mpirun which rank. */
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/standard_streams.h"
#include "base/threads.h"
#include "base/version.h"
#include "coordinator/cmd/advice.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/wish.h"
#include "partition/model/memory.h"
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void name_the_log(int node)
{
    char name[32];
    snprintf(name, sizeof name, "worker %d", node);
    log_open(name, log_level());
}

/* Ranks of one machine share its cores and take them one after the other. Where mpirun bound each to cores of its own there are
 * no more than these, and counting goes round. */
static struct worker_options options_of_rank(const struct options *o, struct mpi_mates mates)
{
    const int share = cores_allowed() / mates.workers;
    struct worker_options w = {.no_file = o->send_weights, .cache = o->cache, .cache_size = o->cache_size, .named = name_the_log};
    w.threads = o->threads ? o->threads : share > 0 ? share : 1;
    if (mates.number == 0) threads_remark(w.threads); /* of this rank: others may be bound to other cores */
    struct cores all;
    if (!o->pin) return w;
    cores_for(&all, mates.workers * w.threads);
    w.cores = cores_from(&all, mates.number * w.threads, w.threads);
    return w;
}

static int work_as_rank(struct port **port, const struct options *o, struct err *why)
{
    const struct worker_options how = options_of_rank(o, port_mpi_mates(*port));
    struct worker *w = NULL;
    signal(SIGUSR1, SIG_IGN); /* mpirun passes it on to all ranks, and it is for rank 0 */
    signal(SIGTERM, SIG_IGN); /* too: mpirun kills all as soon as one has died of it, before rank 0 could say what happened */
    int code = worker_open(&w, &how, why);
    if (!code) code = worker_serve(w, *port, why);
    worker_close(&w);
    if (code == E_WORKER && !port_shunned(*port, 0)) why->text[0] = 0; /* the run failed elsewhere: rank 0 says so, if it still says anything */
    struct err ignored;
    port_flush(*port, 1000, &ignored);
    port_close(port);
    return code;
}

static int coordinate(enum command command, const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    switch (command) {
    case CMD_RUN: return command_run(o, wish, mpi, why);
    case CMD_BATCH: return command_batch(o, wish, mpi, why);
    case CMD_SERVE: return command_serve(o, wish, mpi, why);
    case CMD_CHAT: return command_chat(o, wish, mpi, why);
    case CMD_EVAL: return command_eval(o, wish, mpi, why);
    case CMD_PERPLEXITY: return command_perplexity(o, wish, mpi, why);
    case CMD_EMBED: return command_embed_image(o, wish, mpi, why);
    case CMD_BENCH: return (o->axes || o->jobs ? command_sweep : command_bench)(o, wish, mpi, why);
    default: return command_logits(o, wish, mpi, why);
    }
}

/* What is wrong with the wish rank 0 says before MPI begins: then no rank waits for a word. */
static int run_pipeline(enum command command, struct options *o, struct err *why)
{
    struct cluster_wish wish;
    struct wish_lists *lists = NULL;
    struct port *port = NULL;
    int code = mpi_rank() ? 0 : wish_read(&wish, &lists, o, why);
    if (!code && mpi_launched()) runtime_with_mpi(true), code = port_open_mpi(&port, why);
    if (!code && port && port_self(port) > 0) {
        code = work_as_rank(&port, o, why);
    } else if (!code) {
        interrupt_catch();
        if (o->sampling.temperature > 0 && o->report && !(command & (CMD_BATCH | CMD_EVAL | CMD_PERPLEXITY))) log_info("seed %llu", (unsigned long long)o->sampling.seed);
        wish_complete(o, lists);
        code = coordinate(command, o, &wish, port, why);
    }
    wish_free(&lists);
    return code;
}

#define MACHINE_COMMANDS (CMD_UP | CMD_STATUS | CMD_LOGS | CMD_DOWN)

static int execute(enum command command, struct options *o, struct err *why)
{
    const bool looks_at_journal = command == CMD_BATCH && (o->status || o->repair);
    if (!(command & (CMD_TOKENIZE | CMD_DETOKENIZE | CMD_PLAN | MACHINE_COMMANDS)) && !looks_at_journal) return run_pipeline(command, o, why);
    if (mpi_rank()) return 0; /* rank 0 needs no help with it */
    if (looks_at_journal) return command_batch(o, NULL, NULL, why);
    if (command == CMD_PLAN) return command_plan(o, why);
    if (command & MACHINE_COMMANDS) return command_up(command, o, why);
    return command == CMD_TOKENIZE ? command_tokenize(o, why) : command_detokenize(o, why);
}

int main(int argc, char **argv)
{
    standard_streams_begin();
    threads_wait_politely(argv);
    struct err why = {0};
    struct options o;
    enum command command = CMD_RUN;
    log_open("gemmapipe", LOG_INFO);
    if (mpi_rank() && !freopen("/dev/null", "w", stdout)) return E_INTERNAL; /* results are rank 0's to print */
    if (argc < 2) {
        options_help(mpi_rank() ? stdout : stderr);
        return E_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        options_help(stdout);
        return 0;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("gemmapipe " GEMMAPIPE_VERSION);
        return 0;
    }
    if (!strcmp(argv[1], "keys")) {
        const int done = command_keys(argc - 2, argv + 2, &why);
        if (done) show_error(&why);
        return done;
    }
    int code = options_read(&o, &command, argc, argv, &why);
    if (code && mpi_rank()) return code; /* every rank reads the same words; one complaint is enough */
    if (!code) log_open("gemmapipe", o.quiet ? LOG_ERROR : o.verbose ? LOG_DEBUG : LOG_INFO);
    if (!code) code = execute(command, &o, &why);
    if (code && why.text[0]) show_error(&why);
    return mpi_leave(code);
}
