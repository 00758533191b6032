/* tests/links/cluster.h — a coordinator and its workers in one process, over every kind of port that can live in one, and
 * roles that all of them play at once, a thread each. */
#pragma once

#include "tests/links/links.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum link_kind { HERE, IPC, TCP, KINDS };
static const char *const kind_names[KINDS] = {"here", "ipc", "tcp"};
#define EVERY_KIND(k) for (enum link_kind k = 0; k < KINDS; k++)
#define EVERY_ZMQ_KIND(k) for (enum link_kind k = IPC; k < KINDS; k++)

struct cluster {
    int nodes;
    uint64_t run;
    struct port *ports[8];
    char addresses[8][100];
};

static int socket_files;

/* Sockets in the file system outlive who made them. */
static inline void remove_socket_files(void)
{
    char path[100];
    while (socket_files--) {
        snprintf(path, sizeof path, "/tmp/gemmapipe-links-%d-%d", (int)getpid(), socket_files);
        unlink(path);
    }
}

/* An address nobody listens on at this moment. */
static inline void free_address(char out[100], enum link_kind kind)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    if (kind == IPC) {
        if (!socket_files) atexit(remove_socket_files);
        snprintf(out, 100, "ipc:///tmp/gemmapipe-links-%d-%d", (int)getpid(), socket_files++);
        return;
    }
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s, (struct sockaddr *)&a, sizeof a) || getsockname(s, (struct sockaddr *)&a, &size)) abort();
    snprintf(out, 100, "tcp://127.0.0.1:%d", ntohs(a.sin_port));
    close(s);
}

static inline int open_coordinator(struct cluster *c, struct err *why)
{
    int node;
    TRY(port_open_dial(&c->ports[0], NULL, why));
    for (int k = 1; k < c->nodes; k++) TRY(port_invite(c->ports[0], c->addresses[k], &node, why));
    return 0;
}

static inline int cluster_open(struct cluster *c, enum link_kind kind, int nodes, struct err *why)
{
    memset(c, 0, sizeof *c);
    c->nodes = nodes;
    c->run = RUN;
    if (kind == HERE) return port_open_here(c->ports, nodes, why);
    for (int k = 1; k < nodes; k++) {
        free_address(c->addresses[k], kind);
        TRY(port_open_listen(&c->ports[k], c->addresses[k], NULL, why));
    }
    return open_coordinator(c, why);
}

static inline void cluster_close(struct cluster *c)
{
    for (int k = 0; k < c->nodes; k++) port_close(&c->ports[k]);
}

/* ---- all nodes at once, a thread each ---- */

typedef int role(struct cluster *c, struct port *p, struct err *why);

struct actor {
    pthread_t thread;
    struct cluster *cluster;
    struct port *port;
    role *role;
    int code;
    struct err why;
};

static inline void *act(void *argument)
{
    struct actor *a = argument;
    a->code = a->role(a->cluster, a->port, &a->why);
    return 0;
}

/* The first sentence of a node that failed. */
static inline int play(struct cluster *c, role *each, struct err *why)
{
    struct actor actors[8];
    int code = 0;
    for (int k = 0; k < c->nodes; k++) {
        actors[k] = (struct actor){.cluster = c, .port = c->ports[k], .role = each};
        if (pthread_create(&actors[k].thread, 0, act, &actors[k])) abort();
    }
    for (int k = 0; k < c->nodes; k++) {
        pthread_join(actors[k].thread, 0);
        if (actors[k].code && !code) code = actors[k].code, *why = actors[k].why;
    }
    return code;
}

static inline int greet(struct cluster *c, struct port *p, struct err *why)
{
    port_limits(p, MAX_BODY, MAX_QUEUED);
    return greet_role(p, c->nodes, c->run, c->addresses, why);
}

static inline int open_and_greet(struct cluster *c, enum link_kind kind, int nodes, struct err *why)
{
    TRY(cluster_open(c, kind, nodes, why));
    return play(c, greet, why);
}
