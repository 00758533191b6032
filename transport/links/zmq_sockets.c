/* transport/links/zmq_sockets.c — see zmq_sockets.h. With zmq.c and zap.c the only files with zmq.h. */
#include "transport/links/zmq_sockets.h"

#include "transport/links/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
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
     * application's own pings.
     * No time to live is asked for: after a pause of all (Ctrl-Z) it would be over, although everyone is there. */
    set(s, ZMQ_HEARTBEAT_IVL, 5000);
    set(s, ZMQ_HEARTBEAT_TIMEOUT, 60000);
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
    set_end(s, type);

    char name[64];
    snprintf(name, sizeof name, "inproc://monitor-%p", s);
    void *pair = zmq_socket(context, ZMQ_PAIR);
    int events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                 ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
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
    set(dealer, ZMQ_HEARTBEAT_IVL, 500);
    set(dealer, ZMQ_HEARTBEAT_TIMEOUT, 3000);
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

int zmq_connect_endpoint(void *dealer, const struct endpoint *e, struct err *why)
{
    char text[WIRE_TEXT] = "";
    set(dealer, ZMQ_IPV6, e->at.ss_family == AF_INET6);
    if (endpoint_text(e, text, sizeof text) && !zmq_connect(dealer, text)) return 0;
    return fail(why, E_LINK, "cannot connect to %s: %s", text, zmq_strerror(errno));
}

void zmq_disconnect_endpoint(void *dealer, const struct endpoint *e)
{
    char text[WIRE_TEXT];
    if (endpoint_text(e, text, sizeof text)) zmq_disconnect(dealer, text);
}

/* libzmq unlinks the path of an ipc:// address before it binds, so a second worker would take it from the first. */
static bool ipc_in_use(const struct endpoint *e)
{
    bool used = false;
    const int s = e->at.ss_family == AF_UNIX ? endpoint_connect(e, &used) : -1;
    if (s >= 0) close(s);
    return used || s == -EAGAIN; /* so many wait to be let in already */
}

/* A socket file is as safe as its folder; a name without a file can be connected to by all, but for this. */
static int only_this_user(void *router, const char *address, struct err *why)
{
    const uid_t user = geteuid();
    if (strncmp(address, "ipc://@", 7) || !zmq_setsockopt(router, ZMQ_IPC_FILTER_UID, &user, sizeof user)) return 0;
    return fail(why, E_LINK, "cannot keep other users from %s: %s", address, zmq_strerror(errno));
}

static int cannot_listen(const char *address, int reason, struct err *why)
{
    switch (reason) {
    case EADDRINUSE: return fail(why, E_LINK, "%s is in use: another worker or program listens there; choose another", address);
    case EADDRNOTAVAIL:
    case ENODEV: return fail(why, E_LINK, "cannot listen on %s: this machine has no such address", address);
    default: return fail(why, E_LINK, "cannot listen on %s: %s", address, zmq_strerror(reason));
    }
}

/* A family that this machine does not have is no hindrance if it has the other. */
int zmq_bind_address(void *router, const char *address, struct err *why)
{
    struct endpoints all;
    char text[WIRE_TEXT];
    int bound = 0, reason = EADDRNOTAVAIL;
    TRY(address_check(address, why));
    TRY(only_this_user(router, address, why));
    if (address_is_any(address)) return zmq_bind(router, address) ? cannot_listen(address, errno, why) : 0;
    const int unknown = address_resolve(&all, address, why);
    if (unknown) return zmq_bind(router, address) ? unknown : 0; /* the name of a network card, as eth0 */
    for (int i = 0; i < all.n; i++) {
        const struct endpoint *e = &all.to[i];
        set(router, ZMQ_IPV6, e->at.ss_family == AF_INET6);
        if (ipc_in_use(e)) return cannot_listen(address, EADDRINUSE, why);
        if (endpoint_text(e, text, sizeof text) && !zmq_bind(router, text)) bound++;
        else if ((reason = errno) == EADDRINUSE) return cannot_listen(address, reason, why);
    }
    return bound ? 0 : cannot_listen(address, reason, why);
}

const char *zmq_refusal(uint16_t event, uint32_t value, bool keys)
{
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        return "it does not serve the key of this machine (there: gemmapipe keys trust NAME KEY; here gemmapipe keys show prints the key)";
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL && value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
        return keys ? "its links are plain and ours are encrypted: start it with --keys, or say --insecure here and there"
                    : "its links are encrypted and ours are plain: its key has to be known here (gemmapipe keys trust), and --keys said";
    if (keys && (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL || event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL))
        return "it ends the connection during the handshake: its key is another than the one known here, its links are plain, or it is no worker";
    return NULL;
}

/* ---- frames ---- */

static void give_back(void *bytes, void *frame)
{
    struct frame *f = frame;
    (void)bytes;
    if (atomic_load_explicit(&f->handed, memory_order_acquire)) frame_free(f); /* from libzmq's thread */
}

int zmq_send_frame(void *socket, struct frame *f)
{
    zmq_msg_t m;
    zmq_msg_init_data(&m, f->bytes, FRAME_HEAD_BYTES + f->head.body_bytes, give_back, f);
    atomic_fetch_add_explicit(&f->handed, 1, memory_order_release); /* the last we do with it */
    if (zmq_msg_send(&m, socket, ZMQ_DONTWAIT) >= 0) return 0;
    int reason = errno;
    zmq_msg_close(&m);
    return reason;
}

int zmq_send_frame_to(void *router, const void *identity, size_t n, struct frame *f)
{
    if (zmq_send(router, identity, n, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        int reason = errno;
        frame_free(f);
        return reason;
    }
    return zmq_send_frame(router, f);
}

struct frame *zmq_frame_of(const void *message, size_t n, uint64_t most)
{
    const bool whole = n >= FRAME_HEAD_BYTES && n - FRAME_HEAD_BYTES <= most;
    struct frame *f = frame_new(0, whole ? n - FRAME_HEAD_BYTES : 0);
    if (f) memcpy(f->bytes, message, whole || n < FRAME_HEAD_BYTES ? n : FRAME_HEAD_BYTES);
    return f;
}
