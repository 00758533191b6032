/* worker/main.c — the program gemmapipe-worker: listens, serves one coordinator after another. */
#define _GNU_SOURCE
#include "base/arguments.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/size_text.h"
#include "base/standard_streams.h"
#include "base/threads.h"
#include "base/version.h"
#include "transport/links/address.h"
#include "transport/links/keys.h"
#include "transport/links/transport.h"
#include "transport/links/tunnel.h"
#include "worker/announce.h"
#include "worker/confine.h"
#include "worker/worker.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char manual[] =
    "gemmapipe-worker — holds some layers of a Gemma 3 model and computes them for a coordinator.\n"
    "\n"
    "  gemmapipe-worker --listen tcp://ADDRESS:PORT [options]\n"
    "  gemmapipe-worker --join tcp://COORDINATOR:PORT [options]    where nobody can connect to this machine\n"
    "\n"
    "It waits until `gemmapipe run --connect tcp://ADDRESS:PORT,…`, or another command that computes, calls, takes the layers it is\n"
    "assigned, answers, and waits for the next run. It needs no model file: its part is sent to it, unless it can open\n"
    "the coordinator's file under the same path itself; where other machines can connect that takes --models FOLDER.\n"
    "\n"
    "On any other address than loopback links are encrypted, and only coordinators are served whose keys were trusted\n"
    "(gemmapipe keys trust); the worker's own key, which these have to trust, is printed at the start.\n"
    "\n"
    "It confines itself before it listens: it starts no program and no other process, and writes no file but into --cache,\n"
    "as far as its kernel can see to that (docs/SECURITY.md).\n"
    "\n"
    "A run that fails (the coordinator or another worker was lost, a peer broke the protocol) is said on stderr, and the\n"
    "worker waits for the next one. It keeps the layers it has: a run that wants the same is ready at once.\n"
    "\n"
    "Told to end (SIGTERM, Ctrl-C) in the middle of a run it goes on until the others go on without it, 20 s at most; told\n"
    "twice, or where nothing is under way, it ends at once.\n"
    "\n"
    "Exit status: 0 ended by a signal; 2 command line; 5 address cannot be used. With --once: 0 the run was ended in order;\n"
    "4 memory; 6 a peer broke the protocol; 7 the run failed elsewhere.\n"
    "\n";

struct words { /* of the command line */
    char own[32]; /* where it listens for itself alone; empty: not so */
    const char *listen, *join, *keys, *user;
    struct worker_options worker;
    bool insecure, unconfined, once, quiet, child, help, version;
};

static int take_cores(void *into, const struct argument *a, const char *value, struct err *why)
{
    return cores_read(argument_to(into, a), value, why);
}

static int take_memory(void *into, const struct argument *a, const char *value, struct err *why)
{
    return read_size(value, argument_to(into, a), why);
}

#define INTO struct words
static const struct argument table[] = {
    {"listen", "ADDRESS", 0, TEXT(listen), "tcp://127.0.0.1:7001, tcp://*:7001 or ipc:///path/to/socket"},
    {"join", "ADDRESS", 0, TEXT(join),
     "say to the coordinator that was told --accept ADDRESS that this worker is there; it connects to --listen, or,\n"
     "                           where that is not said, this worker makes the connections, as from behind NAT"},
    {"keys", "FOLDER", 0, TEXT(keys),
     "encrypt, also on loopback, with the keys of this folder (default: off loopback, with those of ~/.config/gemmapipe)"},
    {"insecure", NULL, 0, FLAG(insecure), "serve whoever reaches the port, and encrypt nothing"},
    {"threads", "N", 0, WHOLE(worker.threads, 1, 1024),
     "threads to compute with (default: what the coordinator says, else all cores allowed)"},
    {"pin", "CORES", 0, OWN(worker.cores, take_cores),
     "bind each thread to one of these cores, as 0-3,8 (lscpu has the numbers); without --threads as many\n"
     "                           threads as cores. On several sockets: a worker for each, with that one's cores"},
    {"memory", "SIZE", 0, OWN(worker.memory, take_memory),
     "most memory to take, as 2G or 512M (default: what the machine or its cgroup has)"},
    {"no-file", NULL, 0, FLAG(worker.no_file), "never open the model file here, have the part sent"},
    {"models", "FOLDER", 0, TEXT(worker.models),
     "open model files that the coordinator names only in there; who listens for other machines opens none without it"},
    {"shard", "FILE", 0, TEXT(worker.shard),
     "take the part from this file of gemmapipe-partition split, or folder of split --packed, if it is of the same\n"
     "                           model and holds the layers assigned; else it is sent. One that differs in a byte ends the run"},
    {"cache", "FOLDER", 0, TEXT(worker.cache),
     "keep the layers there as this program computes from them, by what is in them: a later run maps them and\n"
     "                           is ready at once, also one of another worker; made if it is not there"},
    {"cache-size", "SIZE", 0, OWN(worker.cache_size, take_memory),
     "most bytes of that folder; what was not used for the longest time goes first (default: no limit)"},
    {"user", "NAME", 0, TEXT(user), "become this user once the port is taken and the keys are read; only root can"},
    {"unconfined", NULL, 0, FLAG(unconfined), "keep every right that its user has, as to look into a worker with other tools"},
    {"once", NULL, 0, FLAG(once), "end after one run"},
    {"quiet", NULL, 0, FLAG(quiet), "say nothing but errors"},
    {"help", NULL, 0, FLAG(help), "this text"},
    {"h", NULL, 0, FLAG(help), NULL},
    {"version", NULL, 0, FLAG(version), "which one this is"},
    {"child", NULL, 0, FLAG(child), NULL}, /* started by a coordinator, with others perhaps */
    {"crowded", NULL, 0, FLAG(worker.crowded), NULL},
};

/* Only this process connects there. */
static int choose_port(struct words *w, struct err *why)
{
    struct tunnel t;
    TRY(tunnel_open(&t, why));
    tunnel_close(&t);
    strcpy(w->own, t.address);
    w->listen = w->own;
    return 0;
}

/* Whether nobody but this machine has to do with it. */
static bool is_near(const struct words *w)
{
    return address_is_near(w->listen) && (!w->own[0] || address_is_near(w->join));
}

static int read_words(struct words *w, int argc, char **argv, struct err *why)
{
    const struct arguments of = ARGUMENTS("gemmapipe-worker", table);
    TRY(arguments_read(&of, w, argc - 1, argv + 1, why));
    if (w->version) puts("gemmapipe-worker " GEMMAPIPE_VERSION);
    if (w->help) {
        fputs(manual, stdout);
        arguments_help(&of, stdout);
    }
    if (w->help || w->version) exit(0);
    if (!w->worker.threads) w->worker.threads = w->worker.cores.n;
    if (w->keys && w->insecure) return fail(why, E_USAGE, "--keys and --insecure exclude each other");
    if (!w->listen && w->join) return choose_port(w, why);
    return w->listen ? 0 : fail(why, E_USAGE, "say where to listen: --listen tcp://127.0.0.1:7001");
}

/* A worker that the coordinator started leaves it to it what Ctrl-C and a closed terminal mean. */
static void behave_as_child(void)
{
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

static void name_the_log(int node)
{
    char name[32];
    snprintf(name, sizeof name, "worker %d", node);
    log_open(name, log_level());
}

static const char *where_word(const struct words *a)
{
    return a->own[0] ? "joining at" : "listening on";
}

static const char *where(const struct words *a)
{
    return a->own[0] ? a->join : a->listen;
}

/* One run after another; one that failed is said, and the next may come. */
static int serve_runs(struct words *a, struct worker *w, struct port *port, struct err *why)
{
    for (;;) {
        int code = worker_serve(w, port, why);
        if (code == E_INTERRUPTED && !interrupt_seen() && !interrupt_asked()) code = 0; /* the coordinator was, not we */
        if (a->once || interrupt_seen()) return code;
        if (interrupt_asked()) return E_INTERRUPTED;
        log_open("worker", log_level());
        if (code) log_warn("%s", why->text);
        log_info("the run is over; %s %s", where_word(a), where(a));
        TRY(port_listen_again(port, why));
    }
}

/* Without them whoever comes is served. */
static int take_keys(const struct words *a, struct keys **keys, struct err *why)
{
    const bool local = is_near(a);
    if (!a->insecure && (a->keys || !local)) return keys_open(keys, a->keys, why);
    if (!local) log_warn("nothing is encrypted, and whoever reaches %s is served", a->listen);
    return 0;
}

static void say_where(const struct words *a, const struct keys *keys)
{
    char key[KEY_TEXT];
    if (a->child) return;
    if (keys) log_info("%s %s; this worker's key is %s", where_word(a), where(a), key_text(key, keys_public(keys)));
    else log_info("%s %s", where_word(a), where(a));
}

/* A worker that was started here cannot be reached by others; it is kept in all the same, because files of others are read in it. */
static void say_how_confined(const struct words *a, bool files, bool calls)
{
    if (a->child || (files && calls)) return;
    if (!files && !calls) log_warn("not confined: neither this kernel nor this program can do it");
    else log_warn("half confined: %s", files ? "this program was built without a filter of system calls"
                                             : "this kernel has no Landlock, so what the worker's user may open is open to it");
}

/* Files before there is a second thread, the user once the port is bound, calls before anybody is heard. */
static int confine_and_listen(struct words *a, struct keys *keys, struct port **port, struct err *why)
{
    char folder[PATH_MAX] = "";
    bool files = true, calls = true;
    if (keys) TRY(keys_folder(folder, a->keys, why));
    const struct confinement c = {
        .user = a->user, .cache = a->worker.cache, .reads = {a->worker.models, a->worker.shard, folder}, .socket = a->listen,
        .reads_anything = !a->worker.models && !a->worker.no_file,
    };
    peak_resident_begin_anew(); /* opens what that takes, while it may */
    if (!a->unconfined) TRY(confine_files(&c, &files, why));
    TRY(port_open_listen(port, a->listen, &(struct link_options){.keys = keys}, why));
    TRY(confine_user(&c, why));
    if (!a->unconfined) TRY(confine_calls(&c, &calls, why));
    say_how_confined(a, files, calls);
    return 0;
}

static int serve(struct words *a, struct keys *keys, struct err *why)
{
    struct port *port = NULL;
    struct worker *w = NULL;
    a->worker.only_network = strncmp(a->listen, "ipc:", 4) != 0;
    if (!a->worker.models && !is_near(a)) a->worker.no_file = true; /* what strangers may name is not opened */
    int code = confine_and_listen(a, keys, &port, why);
    if (!code) say_where(a, keys);
    if (!code) code = worker_open(&w, &a->worker, why);
    if (!code && a->join) code = announce_begin(a->join, a->listen, a->own[0], why);
    if (!code) code = serve_runs(a, w, port, why);
    worker_close(&w);
    struct err ignored;
    if (port) port_flush(port, 1000, &ignored);
    port_close(&port);
    return code;
}

/* `gemmapipe status` reads this in the log (coordinator/up/remote.sh). */
static void say_what_it_holds(const char *part)
{
    log_info("holds %s", part);
}

int main(int argc, char **argv)
{
    standard_streams_begin();
    threads_wait_politely(argv);
    struct words a = {.worker = {.stop = interrupt_flag(), .leaves = interrupt_asked, .named = name_the_log}};
    struct err why = {0};
    log_open("worker", LOG_INFO);
    int code = read_words(&a, argc, argv, &why);
    if (!code) {
        log_open("worker", a.quiet ? LOG_ERROR : LOG_INFO);
        interrupt_catch();
        interrupt_ask_first(SIGTERM);
        if (!a.child) a.worker.holds = say_what_it_holds;
        if (!a.child) threads_remark(a.worker.threads);
        if (a.child) behave_as_child();
        struct keys *keys = NULL;
        code = take_keys(&a, &keys, &why);
        if (!code) code = serve(&a, keys, &why);
        keys_close(&keys);
    }
    if (code == E_INTERRUPTED) { /* asked to end */
        if (!a.child) log_info("%s", interrupt_seen() ? interrupt_reason() : "told to end");
        return 0;
    }
    /* A child's coordinator was told, and tells; if it is gone there is nobody to tell. */
    if (code && !(a.child && code != E_LINK)) log_error("%s", why.text);
    return code;
}
