/* transport/links/address.c — see address.h. */
#include "transport/links/address.h"

#include "transport/wire/wire.h"

#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* libzmq takes port 99999 for 34463. */
static bool is_port(const char *digits)
{
    size_t n = strspn(digits, "0123456789");
    int port = n && n < 6 ? atoi(digits) : 0;
    return !digits[n] && port > 0 && port < 65536;
}

/* The part of tcp://HOST:PORT between slashes and last colon, brackets left out. NULL in *port if it is not written so. */
static void cut(const char *address, char host[WIRE_TEXT], const char **port)
{
    const char *begin = address + 6, *colon = strrchr(begin, ':');
    *port = NULL;
    if (!colon || colon == begin || !is_port(colon + 1)) return;
    const bool brackets = *begin == '[' && colon[-1] == ']';
    snprintf(host, WIRE_TEXT, "%.*s", (int)(colon - begin) - 2 * brackets, begin + brackets);
    *port = colon + 1;
}

int address_check(const char *address, struct err *why)
{
    char host[WIRE_TEXT];
    const char *port = NULL;
    if (strlen(address) >= WIRE_TEXT)
        return fail(why, E_LINK, "an address of %zu bytes; at most %d are allowed", strlen(address), WIRE_TEXT - 1);
    if (!strncmp(address, "ipc://", 6) && address[6]) return 0;
    if (!strncmp(address, "tcp://", 6)) cut(address, host, &port);
    if (!port) return fail(why, E_LINK, "'%s' is not an address: write tcp://HOST:PORT or ipc:///PATH", address);
    if (strchr(host, ':') && address[6] != '[')
        return fail(why, E_LINK, "'%s' has colons in its host: write an IPv6 address in brackets, tcp://[%s]:%s", address, host, port);
    return 0;
}

bool address_is_any(const char *address)
{
    return !strncmp(address, "tcp://*:", 8);
}

static int local_path(struct endpoints *out, const char *address, struct err *why)
{
    const char *path = address + 6;
    struct sockaddr_un *a = (struct sockaddr_un *)&out->to[0].at;
    if (strlen(path) >= sizeof a->sun_path)
        return fail(why, E_LINK, "the path of %s has %zu bytes; a socket's has %zu at most", address, strlen(path), sizeof a->sun_path - 1);
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(a->sun_path, path);
    if (*path == '@') a->sun_path[0] = 0; /* Linux: a name that is in no file system */
    out->to[0].size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + (*path != '@'));
    out->n = 1;
    return 0;
}

/* The same name may stand in /etc/hosts twice. */
static void add(struct endpoints *out, const struct sockaddr *at, socklen_t size)
{
    for (int i = 0; i < out->n; i++)
        if (out->to[i].size == size && !memcmp(&out->to[i].at, at, size)) return;
    struct endpoint *e = &out->to[out->n++];
    memcpy(&e->at, at, size);
    e->size = size;
}

/* Of getaddrinfo. `flags` of its hints. */
static int look_up(struct endpoints *out, const char *address, int flags)
{
    const struct addrinfo streams = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *list = NULL;
    char host[WIRE_TEXT];
    const char *port;
    out->n = 0;
    cut(address, host, &port);
    const int code = getaddrinfo(host, port, &streams, &list);
    if (code) return code;
    for (const struct addrinfo *i = list; i && out->n < ENDPOINTS_MOST; i = i->ai_next) add(out, i->ai_addr, i->ai_addrlen);
    freeaddrinfo(list);
    return 0;
}

const char *address_look_up(struct endpoints *out, const char *address)
{
    const int code = look_up(out, address, 0);
    return !code ? NULL : code == EAI_NONAME ? "there is no host of that name" : gai_strerror(code);
}

bool address_is_name(const char *address)
{
    struct endpoints number;
    return address[0] != 'i' && look_up(&number, address, AI_NUMERICHOST);
}

int address_resolve(struct endpoints *out, const char *address, struct err *why)
{
    TRY(address_check(address, why));
    out->n = 0;
    if (address[0] == 'i') return local_path(out, address, why);
    const char *unknown = address_look_up(out, address);
    return unknown ? fail(why, E_LINK, "%s: the name cannot be looked up: %s", address, unknown) : 0;
}

bool endpoint_text(const struct endpoint *e, char *out, size_t room)
{
    char host[WIRE_TEXT], port[16];
    if (e->at.ss_family == AF_UNIX) {
        const char *path = ((const struct sockaddr_un *)&e->at)->sun_path;
        return (size_t)snprintf(out, room, *path ? "ipc://%s" : "ipc://@%s", *path ? path : path + 1) < room;
    }
    if (getnameinfo((const struct sockaddr *)&e->at, e->size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
        return false;
    return (size_t)snprintf(out, room, e->at.ss_family == AF_INET6 ? "tcp://[%s]:%s" : "tcp://%s:%s", host, port) < room;
}

int endpoint_connect(const struct endpoint *e, bool *done)
{
    const int s = socket(e->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0) return -errno;
    *done = !connect(s, (const struct sockaddr *)&e->at, e->size);
    if (*done || errno == EINPROGRESS) return s;
    const int reason = errno;
    close(s);
    return -reason;
}

static bool is_loopback(const struct endpoint *e)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&e->at;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&e->at;
    if (e->at.ss_family == AF_INET) return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    return e->at.ss_family == AF_UNIX || (e->at.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr));
}

bool address_is_near(const char *address)
{
    struct endpoints all;
    struct err unknown;
    if (address_is_any(address) || address_resolve(&all, address, &unknown)) return false;
    for (int i = 0; i < all.n; i++)
        if (!is_loopback(&all.to[i])) return false;
    return all.n > 0;
}
