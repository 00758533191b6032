/* transport/links/zmq_sockets.c — see zmq_sockets.h. With zmq.c the only files with zmq.h. */
#include "transport/links/zmq_sockets.h"

#include "transport/links/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#define FILES_OF_PEER 4  /* a socket, its monitor, the monitor's other end, and the connection */
#define FILES_OTHERWISE 64 /* the model, the terminal, libzmq's own threads */

/* ---- how many ---- */

int zmq_files_enough(int peers, struct err *why)
{
    const rlim_t want = (rlim_t)peers * FILES_OF_PEER + FILES_OTHERWISE;
    struct rlimit may;
    if (getrlimit(RLIMIT_NOFILE, &may) || may.rlim_cur >= want) return 0;
    if (may.rlim_max < want)
        return fail(why, E_LINK, "connections to other processes take %llu open files, this process may have %llu: raise the limit (ulimit -n)",
                    (unsigned long long)want, (unsigned long long)may.rlim_max);
    may.rlim_cur = want;
    return setrlimit(RLIMIT_NOFILE, &may)
               ? fail_errno(why, E_LINK, "cannot raise the number of open files to %llu", (unsigned long long)want)
               : 0;
}

int zmq_context_new(void **context, struct err *why)
{
    TRY(zmq_files_enough(1, why));
    *context = zmq_ctx_new();
    if (!*context) return fail_errno(why, E_INTERNAL, "cannot prepare ZeroMQ");
    zmq_ctx_set(*context, ZMQ_MAX_SOCKETS, FILES_OF_PEER * (WORKERS_MOST + 1));
    return 0;
}

/* ---- sockets ---- */

static void set(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

/* What differs between the two ends. Strangers can connect to a ROUTER, so what they send unread is bounded; it is pinged
 * by the other end, which also says when silence means death. It must not ping by itself: libzmq 4.3.4 aborts the process
 * if a connection breaks while its input waits for room and the ping's clock strikes. A DEALER pings, and so its input
 * must never wait; it only meets peers that we chose, and credits bound what an honest one sends. */
static void set_end(void *s, int type)
{
    if (type == ZMQ_ROUTER) {
        set(s, ZMQ_ROUTER_MANDATORY, 1);
        set(s, ZMQ_RCVHWM, 2 * PORT_WINDOW);
        return;
    }
    set(s, ZMQ_RCVHWM, 0);
    /* For hosts that vanish without a word. A process that dies is seen by its connection, one that hangs by the
     * application's own pings; while a worker finds gigabytes of memory its threads may all stand still for seconds. */
    set(s, ZMQ_HEARTBEAT_IVL, 5000);
    set(s, ZMQ_HEARTBEAT_TIMEOUT, 60000);
    set(s, ZMQ_HEARTBEAT_TTL, 65000);
}

int zmq_socket_open(void *context, int type, const char *address, void **out, void **monitor, struct err *why)
{
    int64_t largest = FRAME_HEAD_BYTES + (int64_t)FRAME_BODY_MOST;
    void *s = zmq_socket(context, type);
    if (!s) return fail(why, E_LINK, "cannot make a socket for %s: %s", address, zmq_strerror(errno));
    zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    set(s, ZMQ_SNDHWM, 0);
    set(s, ZMQ_LINGER, 0);
    set(s, ZMQ_HANDSHAKE_IVL, 5000);
    set(s, ZMQ_RECONNECT_IVL, 50);
    set(s, ZMQ_RECONNECT_IVL_MAX, 1000);
    set(s, ZMQ_TCP_KEEPALIVE, 1);
    if (strchr(address, '[')) set(s, ZMQ_IPV6, 1);
    set_end(s, type);

    char name[64];
    snprintf(name, sizeof name, "inproc://monitor-%p", s);
    void *pair = zmq_socket(context, ZMQ_PAIR);
    int events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
    if (pair) set(pair, ZMQ_LINGER, 0);
    if (!pair || zmq_socket_monitor(s, name, events) || zmq_connect(pair, name)) {
        int code = fail(why, E_LINK, "cannot watch the socket for %s: %s", address, zmq_strerror(errno));
        if (pair) zmq_close(pair);
        zmq_close(s);
        return code;
    }
    *out = s;
    *monitor = pair;
    return 0;
}

void zmq_socket_between_workers(void *dealer)
{
    set(dealer, ZMQ_HEARTBEAT_TIMEOUT, 15000);
}

void zmq_socket_close(void **socket, void **monitor, int linger_ms)
{
    if (!*socket) return;
    zmq_socket_monitor(*socket, 0, 0);
    zmq_close(*monitor);
    set(*socket, ZMQ_LINGER, linger_ms);
    zmq_close(*socket);
    *socket = *monitor = 0;
}

bool zmq_next_event(void *monitor, uint16_t *event, uint32_t *value)
{
    uint8_t told[6], address[WIRE_TEXT];
    if (zmq_recv(monitor, told, sizeof told, ZMQ_DONTWAIT) != (int)sizeof told) return false;
    zmq_recv(monitor, address, sizeof address, ZMQ_DONTWAIT); /* its second part */
    memcpy(event, told, 2);
    memcpy(value, told + 2, 4);
    return true;
}

/* ---- addresses ---- */

/* libzmq takes port 99999 for 34463. */
static bool is_port(const char *digits)
{
    size_t n = strspn(digits, "0123456789");
    int port = n && n < 6 ? atoi(digits) : 0;
    return !digits[n] && port > 0 && port < 65536;
}

int zmq_address_check(const char *address, struct err *why)
{
    const char *colon = strrchr(address, ':');
    bool tcp = !strncmp(address, "tcp://", 6) && colon > address + 6 && is_port(colon + 1);
    bool ipc = !strncmp(address, "ipc://", 6) && address[6];
    if (strlen(address) >= WIRE_TEXT)
        return fail(why, E_LINK, "an address of %zu bytes; at most %d are allowed", strlen(address), WIRE_TEXT - 1);
    if (!tcp && !ipc) return fail(why, E_LINK, "'%s' is not an address: write tcp://HOST:PORT or ipc:///PATH", address);
    return 0;
}

/* libzmq unlinks the path of an ipc:// address before it binds, so a second worker would take it from the first. */
static bool ipc_in_use(const char *address)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strncmp(address, "ipc:///", 7) || strlen(address + 6) >= sizeof a.sun_path) return false;
    strcpy(a.sun_path, address + 6);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool used = s >= 0 && connect(s, (struct sockaddr *)&a, sizeof a) == 0;
    if (s >= 0) close(s);
    return used;
}

/* A socket file is as safe as its folder; a name without a file can be connected to by all, but for this. */
static int only_this_user(void *router, const char *address, struct err *why)
{
    const uid_t user = geteuid();
    if (strncmp(address, "ipc://@", 7) || !zmq_setsockopt(router, ZMQ_IPC_FILTER_UID, &user, sizeof user)) return 0;
    return fail(why, E_LINK, "cannot keep other users from %s: %s", address, zmq_strerror(errno));
}

int zmq_bind_address(void *router, const char *address, struct err *why)
{
    TRY(only_this_user(router, address, why));
    if (ipc_in_use(address)) errno = EADDRINUSE;
    else if (!zmq_bind(router, address)) return 0;
    switch (errno) {
    case EADDRINUSE: return fail(why, E_LINK, "%s is in use: another worker or program listens there; choose another", address);
    case EADDRNOTAVAIL:
    case ENODEV: return fail(why, E_LINK, "cannot listen on %s: this machine has no such address", address);
    case EINVAL: return fail(why, E_LINK, "'%s' is not an address: write tcp://HOST:PORT or ipc:///PATH", address);
    default: return fail(why, E_LINK, "cannot listen on %s: %s", address, zmq_strerror(errno));
    }
}
