/* transport/links/strangers.c — see strangers.h. */
#include "transport/links/strangers.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

int strangers_begin(struct strangers *s, struct err *why)
{
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    return s->epoll < 0 ? fail_errno(why, E_INTERNAL, "cannot watch who connects") : 0;
}

void strangers_end(struct strangers *s)
{
    if (s->epoll >= 0) close(s->epoll);
    s->epoll = -1;
}

static bool peer_of_fd(int fd, struct sockaddr_storage *from)
{
    socklen_t size = sizeof *from;
    memset(from, 0, sizeof *from);
    return !getpeername(fd, (struct sockaddr *)from, &size) && (from->ss_family == AF_INET || from->ss_family == AF_INET6);
}

/* Whether it is the connection that came once. */
static bool still(const struct stranger *one)
{
    struct sockaddr_storage now;
    return peer_of_fd(one->fd, &now) && !memcmp(&now, &one->from, sizeof now);
}

static void take_out(struct strangers *s, int i)
{
    epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->at[i].fd, NULL); /* closed already, perhaps */
    memmove(&s->at[i], &s->at[i + 1], (size_t)(--s->n - i) * sizeof *s->at);
}

static void end(struct strangers *s, int i)
{
    if (still(&s->at[i])) shutdown(s->at[i].fd, SHUT_RDWR);
    take_out(s, i);
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family) return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr == ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr));
}

/* The oldest of the host that has most of them. */
static int greediest(const struct strangers *s)
{
    int found = 0, most = 0;
    for (int i = 0; i < s->n; i++) {
        int of_host = 0;
        for (int k = i; k < s->n; k++) of_host += same_host(&s->at[i].from, &s->at[k].from);
        if (of_host > most) most = of_host, found = i;
    }
    return found;
}

static bool is_numbered(int fd)
{
    return fd >= 0 && fd < STRANGERS_FDS;
}

void strangers_came(struct strangers *s, int fd, uint64_t now)
{
    struct stranger one = {.fd = fd, .came_ns = now};
    struct epoll_event sends = {.events = EPOLLIN | EPOLLET, .data.fd = fd}; /* each time anew: libzmq reads it, not we */
    if (is_numbered(fd)) s->fd[fd] = FD_OPEN;
    strangers_known(s, fd);
    if (!peer_of_fd(fd, &one.from)) return;
    if (s->n == STRANGERS_MOST) end(s, greediest(s));
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &sends);
    s->at[s->n++] = one;
}

void strangers_spoke(struct strangers *s, int fd)
{
    for (int i = 0; i < s->n; i++)
        if (s->at[i].fd == fd) s->at[i].came_ns = 0;
}

void strangers_known(struct strangers *s, int fd)
{
    for (int i = s->n - 1; i >= 0; i--)
        if (s->at[i].fd == fd) take_out(s, i);
}

void strangers_left(struct strangers *s, int fd)
{
    if (is_numbered(fd)) s->fd[fd] = FD_CLOSED;
    strangers_known(s, fd);
}

bool strangers_connected(const struct strangers *s, int fd)
{
    return !is_numbered(fd) || s->fd[fd] != FD_CLOSED;
}

void strangers_tell(struct strangers *s, int fd)
{
    if (is_numbered(fd)) s->fd[fd] = FD_REFUSED;
}

bool strangers_told(const struct strangers *s, int fd)
{
    return is_numbered(fd) && s->fd[fd] == FD_REFUSED;
}

static uint64_t received(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) || size < offsetof(struct tcp_info, tcpi_bytes_received) + 8) return 0;
    return info.tcpi_bytes_received;
}

static bool is_too_silent(const struct stranger *one, uint64_t now)
{
    return one->came_ns && now > one->came_ns && now - one->came_ns > STRANGER_SILENT_NS;
}

void strangers_look(struct strangers *s, uint64_t most, uint64_t now)
{
    struct epoll_event sent[STRANGERS_MOST];
    if (!s->n || now < s->again_ns) return;
    const bool all = most < s->most; /* the run is over, say */
    const int n = epoll_wait(s->epoll, sent, STRANGERS_MOST, 0);
    s->most = most;
    s->again_ns = n > 0 ? now + STRANGERS_LOOK_NS : 0;
    for (int i = s->n - 1; i >= 0; i--) {
        bool asked = all;
        for (int k = 0; k < n && !asked; k++) asked = sent[k].data.fd == s->at[i].fd;
        if (is_too_silent(&s->at[i], now) || (asked && received(s->at[i].fd) > most)) end(s, i);
    }
}

uint64_t strangers_wait(const struct strangers *s, uint64_t now, uint64_t until, int *fd)
{
    *fd = s->n && now >= s->again_ns ? s->epoll : -1;
    if (s->n && *fd < 0 && s->again_ns < until) until = s->again_ns;
    for (int i = 0; i < s->n; i++)
        if (s->at[i].came_ns && s->at[i].came_ns + STRANGER_SILENT_NS < until) until = s->at[i].came_ns + STRANGER_SILENT_NS + 1;
    return until;
}
