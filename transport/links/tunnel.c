/* transport/links/tunnel.c — see tunnel.h. */
#define _GNU_SOURCE
#include "transport/links/tunnel.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 65536
#define CALLERS ((int)(sizeof ((struct tunnel *)0)->caller / sizeof ((struct tunnel *)0)->caller[0]))

/* ---- joined ---- */

struct joined {
    int end[2];
    atomic_int ways; /* that still go on */
};

struct way {
    struct joined *of;
    int from, to;
    char bytes[ROOM];
};

static bool send_all(int to, const char *bytes, ssize_t n)
{
    for (ssize_t sent; n > 0; bytes += sent, n -= sent)
        if ((sent = send(to, bytes, (size_t)n, MSG_NOSIGNAL)) <= 0) return false;
    return true;
}

/* What is at its end in one direction is of no use in the other. */
static void *move(void *user)
{
    struct way *w = user;
    struct joined *j = w->of;
    for (ssize_t n; (n = recv(w->from, w->bytes, ROOM, 0)) > 0 && send_all(w->to, w->bytes, n);) continue;
    for (int i = 0; i < 2; i++) shutdown(j->end[i], SHUT_RDWR);
    free(w);
    if (atomic_fetch_sub(&j->ways, 1) > 1) return NULL;
    for (int i = 0; i < 2; i++) close(j->end[i]);
    free(j);
    return NULL;
}

void tunnel_usual(int fd)
{
    const int on = 1, idle = 20, every = 10, times = 3;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
}

/* The way is over before it began. */
static void give_up(struct way *w)
{
    const int from = w->from;
    shutdown(from, SHUT_RDWR); /* recv finds an end */
    move(w);
}

int tunnel_join(int a, int b, struct err *why)
{
    struct joined *j = malloc(sizeof *j);
    struct way *way[2] = {malloc(sizeof **way), malloc(sizeof **way)};
    if (!j || !way[0] || !way[1]) {
        free(j), free(way[0]), free(way[1]);
        close(a), close(b);
        return fail(why, E_MEMORY, "no memory to pass bytes on");
    }
    *j = (struct joined){.end = {a, b}, .ways = 2};
    int code = 0;
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        tunnel_usual(j->end[i]);
        way[i]->of = j, way[i]->from = j->end[i], way[i]->to = j->end[1 - i];
        if (!pthread_create(&thread, NULL, move, way[i])) pthread_detach(thread);
        else give_up(way[i]), code = fail(why, E_INTERNAL, "cannot start a thread to pass bytes on");
    }
    return code;
}

/* ---- where to call ---- */

int tunnel_open(struct tunnel *t, struct err *why)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    *t = (struct tunnel){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .ready = -1};
    for (int i = 0; i < CALLERS; i++) t->caller[i] = -1;
    if (t->fd < 0 || bind(t->fd, (struct sockaddr *)&at, size) || listen(t->fd, CALLERS) || getsockname(t->fd, (struct sockaddr *)&at, &size)) {
        fail_errno(why, E_LINK, "cannot listen on loopback for connections with a worker that calls");
        return tunnel_close(t), E_LINK;
    }
    snprintf(t->address, sizeof t->address, "tcp://127.0.0.1:%d", ntohs(at.sin_port));
    return 0;
}

static void hang_up(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

void tunnel_close(struct tunnel *t)
{
    for (int i = 0; i < CALLERS; i++) hang_up(&t->caller[i]);
    hang_up(&t->ready);
    hang_up(&t->fd);
}

void tunnel_ready(struct tunnel *t, int fd)
{
    hang_up(&t->ready);
    t->ready = fd;
    tunnel_usual(fd);
}

/* 1: something came; 0: nothing so far; -1: it has ended. */
static int look(int fd)
{
    char byte;
    const ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n > 0 ? 1 : n < 0 ? 0 : -1;
}

void tunnel_look(struct tunnel *t)
{
    if (t->ready >= 0 && look(t->ready)) hang_up(&t->ready); /* gone, or it speaks before it is spoken to */
    for (int i = 0; i < CALLERS; i++) {
        int *c = &t->caller[i];
        if (*c < 0) *c = accept4(t->fd, NULL, NULL, SOCK_CLOEXEC);
        const int came = *c < 0 ? 0 : look(*c);
        if (came < 0) hang_up(c);
        if (came <= 0 || t->ready < 0) continue;
        (void)tunnel_join(t->ready, *c, NULL); /* else both have ended, and are made anew */
        t->ready = *c = -1;
    }
}
