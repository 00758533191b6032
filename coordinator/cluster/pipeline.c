/* coordinator/cluster/pipeline.c — see pipeline.h: opening, listening to the workers, closing. Launching is in launch.c. */
#include "coordinator/cluster/pipeline.h"

#include "coordinator/report/trace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_SECONDS 60                /* for workers to answer, unless said otherwise */
#define PING_NS 1000000000ull          /* between two pings */
#define WORKER_LEASE_NS 10000000000ull /* a worker that says nothing for so long is lost, whatever its connection says */
#define LOADING_LEASE_NS 60000000000ull /* it cannot answer while the system finds it its memory */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void pipeline_catch_signals(void)
{
    struct sigaction on = {.sa_handler = on_signal};
    sigaction(SIGINT, &on, 0);
    sigaction(SIGTERM, &on, 0);
    signal(SIGPIPE, SIG_IGN);
}

bool pipeline_interrupted(void)
{
    return interrupted;
}

/* ---- opening ---- */

static int split_addresses(const char *list, char *copy, size_t room, const char **addresses, int *n, struct err *why)
{
    if (strlen(list) >= room) return fail(why, E_USAGE, "--connect is longer than %zu bytes", room - 1);
    strcpy(copy, list);
    *n = 0;
    char *rest = copy;
    for (char *a; (a = strsep(&rest, ","));) {
        if (!*a) return fail(why, E_USAGE, "--connect has an empty address in \"%s\"", list);
        if (*n == WIRE_STAGES - 1) return fail(why, E_USAGE, "--connect names more than %d workers", WIRE_STAGES - 1);
        addresses[(*n)++] = a;
    }
    return 0;
}

static int dial(struct pipeline *p, const char *const *addresses, int n, struct err *why)
{
    p->stages = n;
    for (int i = 0; i < n; i++) {
        struct node *node = &p->nodes[i + 1];
        if (strlen(addresses[i]) >= sizeof node->address)
            return fail(why, E_USAGE, "the address of worker %d is longer than %zu bytes", i + 1, sizeof node->address - 1);
        strcpy(node->address, addresses[i]);
        snprintf(node->name, sizeof node->name, "worker %d at %.150s", i + 1, addresses[i]);
    }
    return port_open_dial(&p->port, addresses, n, why);
}

static int dial_list(struct pipeline *p, const char *list, struct err *why)
{
    char copy[8192];
    const char *addresses[WIRE_STAGES];
    int n = 0;
    TRY(split_addresses(list, copy, sizeof copy, addresses, &n, why));
    return dial(p, addresses, n, why);
}

static int dial_cluster(struct pipeline *p, struct err *why)
{
    const char *addresses[MAX_STAGES];
    for (int i = 0; i < p->cluster.workers; i++) addresses[i] = p->cluster.addresses[i];
    return dial(p, addresses, p->cluster.workers, why);
}

static int split_count(const struct options *o, int *n, struct err *why)
{
    struct cut cuts[MAX_STAGES];
    return plan_read_split(o->split, cuts, n, why);
}

static int start_own(struct pipeline *p, struct err *why)
{
    const struct options *o = p->options;
    bool processes = !o->here && (o->workers || o->split);
    p->stages = o->here ? o->here : o->workers ? o->workers : 1;
    if (o->split && !o->here && !o->workers) {
        TRY(split_count(o, &p->stages, why));
        p->stages += o->vision_workers;
    }
    const int share = cores_allowed() / p->stages;
    struct worker_options how = {.threads = o->threads ? o->threads : share > 0 ? share : 1, .no_file = o->send_weights};
    if (o->pin) cores_for(&how.cores, p->stages * how.threads);
    const char *const *addresses = 0;
    if (!processes) return children_start_here(&p->children, p->stages, &how, &p->port, why);
    TRY(children_start(&p->children, p->stages, &how, &addresses, why));
    return dial(p, addresses, p->stages, why);
}

static int find_workers(struct pipeline *p, struct err *why)
{
    const struct options *o = p->options;
    if (p->port) {
        if (o->workers || o->here || o->connect || o->cluster)
            return fail(why, E_USAGE, "under mpirun the ranks are the workers: leave --workers, --here, --connect and --cluster away");
        return 0;
    }
    if (o->cluster) return dial_cluster(p, why);
    return o->connect ? dial_list(p, o->connect, why) : start_own(p, why);
}

int pipeline_open(struct pipeline **out, const struct options *o, struct port *mpi, struct err *why)
{
    struct pipeline *p = calloc(1, sizeof *p);
    if (!p) {
        port_close(&mpi);
        return fail(why, E_MEMORY, "no memory to begin with");
    }
    p->asked = *o;
    p->options = &p->asked;
    p->port = mpi;
    if (mpi) p->stages = port_nodes(mpi) - 1; /* known at once: whatever fails from here on, the ranks are told */
    *out = p;
    if (o->trace) TRY(trace_open(&p->trace, o->trace, why));
    if (o->model) {
        TRY(model_open(&p->model, o->model, why));
        TRY(tokenizer_open(&p->tokens, p->model->file, p->model->config.vocab, why));
    }
    if (o->mmproj) TRY(vision_open(&p->encoder, o->mmproj, why));
    if (o->model && o->mmproj) TRY(vision_config_fits(&p->encoder->config, p->model->config.hidden, o->mmproj, why));
    if (o->cluster) TRY(cluster_read(&p->cluster, o->cluster, why));
    if (!p->asked.context) p->asked.context = p->cluster.context;
    if (!p->asked.sequences) p->asked.sequences = p->cluster.sequences;
    p->wait = o->wait ? o->wait : p->cluster.wait ? (int)p->cluster.wait : WAIT_SECONDS;
    TRY(find_workers(p, why));
    if (o->vision_workers >= p->stages)
        return fail(why, E_USAGE, "--vision-workers %d of %d leaves no worker for the text", o->vision_workers, p->stages);
    for (int i = 1; i <= p->stages; i++)
        if (!p->nodes[i].name[0]) snprintf(p->nodes[i].name, sizeof p->nodes[i].name, "worker %d", i);
    return 0;
}

int pipeline_stages(const struct pipeline *p)
{
    return p->stages - p->options->vision_workers;
}

/* ---- listening ---- */

static int ping_all(struct pipeline *p, uint64_t now, struct err *why)
{
    if (now - p->pinged_ns < PING_NS) return 0;
    p->pinged_ns = now;
    for (int i = 1; i <= p->stages; i++) {
        struct node *n = &p->nodes[i];
        if (!n->greeted) continue;
        uint64_t lease = n->is_ready ? WORKER_LEASE_NS : LOADING_LEASE_NS;
        if (now - n->heard_ns > lease)
            return fail(why, E_WORKER, "%s was lost: it has not answered for %llu s", n->name, (unsigned long long)(lease / 1000000000ull));
        struct ping ping = {.at_ns = now};
        struct frame *f = 0;
        TRY(ping_write(&f, M_PING, &ping, why));
        TRY(pipeline_send(p, i, &f, why));
    }
    return 0;
}

static int check_children(struct pipeline *p, struct err *why)
{
    char how[100];
    int node = children_ended(p->children, how, sizeof how);
    if (!node) return 0;
    return fail(why, E_WORKER, "worker %d (process %d of this machine) %s", node, (int)children_pid(p->children, node), how);
}

/* The kernel tells of a dead child a moment later than the socket does; its word is the better one. */
static int lost(struct pipeline *p, int node, struct err *why)
{
    for (int i = 0; i < 50; i++) {
        TRY(check_children(p, why));
        if (!p->children) break;
        sleep_ns(4000000);
    }
    return fail(why, E_WORKER, "%s was lost: its connection was closed", p->nodes[node].name);
}

static int faulted(struct pipeline *p, struct frame *f, struct err *why)
{
    struct fault fault;
    int node = f->head.from;
    TRY(fault_read(&fault, f, why));
    int code = fault.code == E_USAGE || fault.code == E_FILE || fault.code == E_MEMORY ? (int)fault.code : E_WORKER;
    return fail(why, code, "%s cannot go on: %s", p->nodes[node].name, fault.text);
}

static int look_at(struct pipeline *p, struct frame **f, struct err *why)
{
    int node = (*f)->head.from;
    if (node < 1 || node > p->stages) return fail(why, E_WIRE, "a frame came from node %d, there are %d workers", node, p->stages);
    p->nodes[node].heard_ns = clock_ns();
    switch ((*f)->head.type) {
    case M_LOST: return p->nodes[node].greeted ? lost(p, node, why) : 0;
    case M_FAULT: return faulted(p, *f, why);
    case M_PONG: break;
    default: return 0;
    }
    frame_free(*f);
    *f = 0;
    return 0;
}

int pipeline_receive(struct pipeline *p, struct frame **out, int timeout_ms, struct err *why)
{
    uint64_t end = clock_ns() + (uint64_t)timeout_ms * 1000000;
    for (;;) {
        *out = 0;
        if (interrupted) return fail(why, E_INTERRUPTED, "interrupted");
        uint64_t now = clock_ns();
        TRY(check_children(p, why));
        TRY(ping_all(p, now, why));
        uint64_t left = now < end ? (end - now) / 1000000 : 0;
        TRY(port_recv(p->port, out, left < 200 ? (int)left : 200, why));
        if (*out) {
            bool was_lost = (*out)->head.type == M_LOST;
            int code = look_at(p, out, why);
            if (code || was_lost) {
                frame_free(*out);
                *out = 0;
            }
            if (code) return code;
            if (*out) return 0;
        } else if (clock_ns() >= end) {
            return 0;
        }
    }
}

int pipeline_send(struct pipeline *p, int node, struct frame **f, struct err *why)
{
    int code = port_send(p->port, node, f, why);
    if (!code) return 0;
    frame_free(*f);
    *f = 0;
    return code == E_LINK ? lost(p, node, why) : code;
}

bool pipeline_computes(const struct pipeline *p, int node)
{
    return node <= p->plan.stages || p->vision.stage[node - 1].used;
}

int pipeline_reports(struct pipeline *p, struct err *why)
{
    int asked = 0;
    for (int i = 1; i <= p->stages; i++) {
        struct frame *ask = 0;
        p->nodes[i].reported = false;
        if (!pipeline_computes(p, i)) continue;
        asked++;
        TRY(empty_write(&ask, M_REPORT_ASK, why));
        TRY(pipeline_send(p, i, &ask, why));
    }
    uint64_t end = clock_ns() + WORKER_LEASE_NS;
    for (int have = 0; have < asked;) {
        struct frame *f = 0;
        TRY(pipeline_receive(p, &f, 1000, why));
        if (!f && clock_ns() > end) return fail(why, E_WORKER, "not every worker sent its report");
        if (!f) continue;
        struct node *n = &p->nodes[f->head.from];
        int code = f->head.type == M_REPORT ? report_read(&n->report, f, why)
                                            : fail(why, E_WIRE, "%s came where REPORT was expected", message_name(f->head.type));
        frame_free(f);
        if (code) return code;
        if (!n->reported) have++;
        n->reported = true;
    }
    return 0;
}

/* ---- closing ---- */

static void dismiss(struct pipeline *p, const struct err *failure)
{
    struct err ignored;
    for (int i = 1; i <= p->stages; i++) {
        struct frame *f = 0;
        struct fault fault = {.code = E_WORKER};
        /* MPI ranks wait for a word whatever happened; a listener that was never greeted does not know of us. */
        if (!p->nodes[i].greeted && strcmp(port_kind(p->port), "mpi") && strcmp(port_kind(p->port), "here")) continue;
        if (failure) snprintf(fault.text, sizeof fault.text, "%s", failure->text);
        bool tell = failure && failure->code != E_INTERRUPTED && p->nodes[i].greeted;
        if (tell ? fault_write(&f, &fault, &ignored) : empty_write(&f, M_STOP, &ignored)) continue;
        if (port_send(p->port, i, &f, &ignored)) frame_free(f);
    }
    port_flush(p->port, 1000, &ignored);
}

void pipeline_close(struct pipeline **pp, const struct err *failure)
{
    struct pipeline *p = *pp;
    if (!p) return;
    *pp = 0;
    trace_abandon(&p->trace);
    if (p->port) dismiss(p, failure);
    children_finish(&p->children, failure ? 500 : 5000);
    port_close(&p->port);
    tokenizer_close(&p->tokens);
    model_close(&p->model);
    vision_close(&p->encoder);
    free(p);
}
