/* coordinator/cluster/joiners.c — see joiners.h. */
#define _GNU_SOURCE
#include "coordinator/cluster/joiners.h"

#include "transport/links/address.h"
#include "transport/links/tunnel.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALLERS_MOST 16
#define CALLER_NS 2000000000ull
#define WORDS 128 /* bytes of what is said */
#define TUNNELS_MOST 64
#define TUNNELS_OF_HOST 32 /* machines behind one box look like one */
#define FORGOTTEN_NS 60000000000ull
#define TOLD_AGAIN_NS 500000000ull

struct caller {
    int fd; /* -1: none */
    uint64_t since_ns;
    size_t n;
    char said[WORDS];
    struct endpoint from;
};

struct by_tunnel { /* a worker that calls */
    bool used;
    uint64_t number, told_ns;
    struct tunnel tunnel;
    struct joiner who;
};

struct joiners {
    int fd;
    struct caller caller[CALLERS_MOST];
    struct by_tunnel by_tunnel[TUNNELS_MOST];
};

/* Every card, IPv4 through IPv6. */
static void any_endpoint(const char *address, struct endpoint *out)
{
    struct sockaddr_in6 *a = (struct sockaddr_in6 *)(void *)&out->at;
    *a = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT, .sin6_port = htons((uint16_t)atoi(strrchr(address, ':') + 1))};
    out->size = sizeof *a;
}

static int listen_at(struct joiners *j, const char *address, struct err *why)
{
    struct endpoints e = {.n = 1};
    const int on = 1, off = 0;
    TRY(address_check(address, why));
    if (strncmp(address, "tcp://", 6)) return fail(why, E_LINK, "'%s': who joins comes by tcp://", address);
    if (address_is_any(address)) any_endpoint(address, &e.to[0]);
    else TRY(address_resolve(&e, address, why));
    j->fd = socket(e.to[0].at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(j->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (e.to[0].at.ss_family == AF_INET6) setsockopt(j->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (j->fd < 0 || bind(j->fd, (const struct sockaddr *)&e.to[0].at, e.to[0].size) || listen(j->fd, CALLERS_MOST))
        return fail_errno(why, E_LINK, "cannot listen at %s for workers that join", address);
    return 0;
}

int joiners_open(struct joiners **out, const char *address, struct err *why)
{
    struct joiners *j = *out = calloc(1, sizeof *j);
    if (!j) return fail(why, E_MEMORY, "no memory for workers that join");
    j->fd = -1;
    for (int i = 0; i < CALLERS_MOST; i++) j->caller[i].fd = -1;
    const int code = listen_at(j, address, why);
    if (code) joiners_close(out);
    return code;
}

static void hang_up(struct caller *c)
{
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

void joiners_close(struct joiners **pj)
{
    struct joiners *j = *pj;
    *pj = NULL;
    if (!j) return;
    for (int i = 0; i < CALLERS_MOST; i++) hang_up(&j->caller[i]);
    for (int i = 0; i < TUNNELS_MOST; i++)
        if (j->by_tunnel[i].used) tunnel_close(&j->by_tunnel[i].tunnel);
    if (j->fd >= 0) close(j->fd);
    free(j);
}

static bool take_call(struct joiners *j, struct caller *c, uint64_t now)
{
    *c = (struct caller){.since_ns = now, .from.size = sizeof c->from.at};
    c->fd = accept4(j->fd, (struct sockaddr *)&c->from.at, &c->from.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return c->fd >= 0;
}

/* "gemmapipe-join 1 7001": the port, 0 if it is anything else. */
static uint16_t port_of(const struct caller *c)
{
    unsigned port = 0;
    int end = 0;
    if (sscanf(c->said, "gemmapipe-join 1 %5u%n", &port, &end) != 1 || (size_t)end != strlen(c->said) || port > 65535) return 0;
    return (uint16_t)port;
}

static bool call_back(struct caller *c, char address[WIRE_TEXT])
{
    const uint16_t port = port_of(c);
    if (!port) return false;
    if (c->from.at.ss_family == AF_INET6) ((struct sockaddr_in6 *)(void *)&c->from.at)->sin6_port = htons(port);
    else ((struct sockaddr_in *)(void *)&c->from.at)->sin_port = htons(port);
    return endpoint_text(&c->from, address, WIRE_TEXT);
}

/* True: it has said all, or never will. */
static bool hear(struct caller *c, uint64_t now)
{
    const ssize_t n = recv(c->fd, c->said + c->n, WORDS - 1 - c->n, 0);
    if (n > 0) c->n += (size_t)n;
    c->said[c->n] = 0;
    char *end = strchr(c->said, '\n');
    if (end) *end = 0;
    return end || n == 0 || c->n == WORDS - 1 || now - c->since_ns > CALLER_NS;
}

/* ---- who calls by a tunnel ---- */

static void host_of(const struct caller *c, char out[WIRE_TEXT])
{
    char text[WIRE_TEXT];
    if (!endpoint_text(&c->from, text, sizeof text)) text[0] = 0;
    snprintf(out, WIRE_TEXT, "%s", text[0] ? text + sizeof "tcp://" - 1 : "");
    char *port = strrchr(out, ':');
    if (port) *port = 0;
}

static bool is_over(const struct by_tunnel *b, uint64_t now)
{
    return b->used && b->tunnel.ready < 0 && now - b->told_ns > FORGOTTEN_NS;
}

/* The one of this number, or one more; who is gone for long makes room, and one host does not take all. */
static struct by_tunnel *tunnel_of(struct joiners *j, uint64_t number, const char *host, uint64_t now)
{
    struct by_tunnel *place = NULL;
    int of_host = 0;
    for (int i = 0; i < TUNNELS_MOST; i++) {
        struct by_tunnel *b = &j->by_tunnel[i];
        if (b->used && b->number == number) return b;
        if (is_over(b, now)) tunnel_close(&b->tunnel), b->used = false;
        of_host += b->used && !strcmp(b->who.host, host);
        if (!place && !b->used) place = b;
    }
    if (!place || of_host >= TUNNELS_OF_HOST || tunnel_open(&place->tunnel, NULL)) return NULL;
    *place = (struct by_tunnel){.used = true, .number = number, .tunnel = place->tunnel, .told_ns = now - TOLD_AGAIN_NS};
    return place;
}

/* True: it is one, and has its connection. */
static bool calls_by_tunnel(struct joiners *j, struct caller *c, uint64_t now)
{
    unsigned long long number;
    struct joiner who = {.calls = true};
    int end = 0;
    if (sscanf(c->said, "gemmapipe-join 1 by %16llx %63[a-zA-Z0-9._-]%n", &number, who.name, &end) != 2 || (size_t)end != strlen(c->said)) return false;
    host_of(c, who.host);
    struct by_tunnel *b = tunnel_of(j, number, who.host, now);
    if (!b) return false;
    strcpy(who.address, b->tunnel.address);
    b->who = who;
    tunnel_ready(&b->tunnel, c->fd);
    c->fd = -1;
    return true;
}

static bool next_by_tunnel(struct joiners *j, uint64_t now, struct joiner *out)
{
    for (int i = 0; i < TUNNELS_MOST; i++) {
        struct by_tunnel *b = &j->by_tunnel[i];
        if (!b->used) continue;
        tunnel_look(&b->tunnel);
        if (b->tunnel.ready < 0 || now - b->told_ns < TOLD_AGAIN_NS) continue;
        b->told_ns = now;
        *out = b->who;
        return true;
    }
    return false;
}

bool joiners_next(struct joiners *j, uint64_t now, struct joiner *out)
{
    for (int i = 0; i < CALLERS_MOST; i++) {
        struct caller *c = &j->caller[i];
        if ((c->fd < 0 && !take_call(j, c, now)) || !hear(c, now) || calls_by_tunnel(j, c, now)) continue;
        *out = (struct joiner){0};
        const bool known = call_back(c, out->address);
        hang_up(c);
        if (known) return true;
    }
    return next_by_tunnel(j, now, out);
}
