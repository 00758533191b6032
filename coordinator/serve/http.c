/* coordinator/serve/http.c — see http.h.
 *
 * A connection that waits for its answer is suspended: the library forgets it until it is resumed. Under the exchange's lock it is decided
 * whether there is something to send and, if not, the connection is suspended; whoever brings something resumes it under the same
 * lock, so no wake-up is lost. An exchange lives until both the library and the user are done with it.
 *
 * Locks: that of the server first, then that of an exchange; an exchange's is held over calls of the library, which takes its own, and
 * never while the server's is asked for. */
#define _GNU_SOURCE /* POLLRDHUP */
#include "coordinator/serve/http.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MOST (64u << 10)   /* bytes of a request's line and headers */
#define SEND_BUFFER (64 << 10)  /* of the kernel: else a reader that stopped is seen after megabytes */
#define IDLE_SECONDS 75         /* between two requests of a connection */
#define WATCH_MS 100
#define BODY_BYTES_A_SECOND (64u << 10)
#define STREAM_BLOCK (16u << 10)

/* A connection, whether or not it asks something at the moment. */
struct line {
    struct line *next, **before;
    int fd;
    uint64_t since_ns; /* its last request began, its last answer ended, or it was opened */
    uint64_t received; /* of a body that is coming in */
    bool asks;         /* a request is coming in: its head is there */
    bool served;       /* it has had an answer: it may rest */
    bool waiting;      /* for an answer: it is ours to hurry, not the client's */
    struct exchange *x;
};

struct exchange {
    struct http *http;
    struct line *line; /* NULL when the library is done with it */
    pthread_mutex_t lock;
    struct MHD_Connection *connection;
    int owners; /* library and user */
    uint64_t number;
    char *method, *path, *authorization, *origin;
    char *body;
    size_t n, room;
    int refused; /* status: the request is not handed over */
    bool arrived, begun, streams, ended, gone, broken, asleep;
    int status;
    struct MHD_Response *response;
    char *header[8][2];
    int n_headers;
    char *type;
    char *out; /* [out_n], of which out_at are taken */
    size_t out_at, out_n, out_room;
};

struct http {
    struct http_setup setup;
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock; /* of the list of lines, of what stands in them, and of `held` */
    struct line *lines;
    size_t held; /* bytes of bodies */
    uint64_t exchanges;
    pthread_t watcher;
    bool watches, stopping;
    uint16_t port;
};

/* ---- an exchange's life ---- */

/* A thousand connections with a body each are more than there is memory, and nobody has asked for a key yet. */
static bool hold(struct http *h, size_t bytes)
{
    pthread_mutex_lock(&h->lock);
    const bool may = bytes <= h->setup.bodies_most - h->held;
    if (may) h->held += bytes;
    pthread_mutex_unlock(&h->lock);
    return may;
}

static void let_go_of(struct http *h, size_t bytes)
{
    pthread_mutex_lock(&h->lock);
    h->held -= bytes;
    pthread_mutex_unlock(&h->lock);
}

static void exchange_free(struct exchange *x)
{
    for (int i = 0; i < x->n_headers; i++) free(x->header[i][0]), free(x->header[i][1]);
    if (x->response) MHD_destroy_response(x->response);
    let_go_of(x->http, x->room);
    pthread_mutex_destroy(&x->lock);
    free(x->method);
    free(x->path);
    free(x->authorization);
    free(x->origin);
    free(x->body);
    free(x->type);
    free(x->out);
    free(x);
}

/* One of the two owners is done. */
static void let_go(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    const bool last = --x->owners == 0;
    pthread_mutex_unlock(&x->lock);
    if (last) exchange_free(x);
}

/* Under its lock: there is something to send, or to learn. */
static void wake(struct exchange *x)
{
    if (!x->asleep) return;
    x->asleep = false;
    MHD_resume_connection(x->connection);
}

static void fall_asleep(struct exchange *x)
{
    x->asleep = true;
    MHD_suspend_connection(x->connection);
}

static char *copy_of(const char *text)
{
    return text ? strdup(text) : NULL;
}

static struct exchange *exchange_new(struct http *h, struct MHD_Connection *c, const char *path, const char *method)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x) return NULL;
    pthread_mutex_init(&x->lock, NULL);
    x->http = h;
    x->connection = c;
    x->owners = 1;
    x->method = strdup(method);
    x->path = strdup(path);
    x->authorization = copy_of(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization"));
    x->origin = copy_of(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin"));
    if (x->method && x->path) return x;
    exchange_free(x);
    return NULL;
}

/* ---- what the library calls: a request comes in ---- */

static struct line *line_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void line_waits(struct http *h, struct line *l, struct exchange *x)
{
    pthread_mutex_lock(&h->lock);
    l->waiting = x != NULL;
    l->x = x;
    l->asks = false;
    l->served |= !x;
    l->since_ns = clock_ns();
    l->received = 0;
    pthread_mutex_unlock(&h->lock);
}

static void receive(struct exchange *x, const char *bytes, size_t n)
{
    if (x->refused) return;
    if (n > x->http->setup.body_most - x->n) {
        x->refused = MHD_HTTP_CONTENT_TOO_LARGE;
        return;
    }
    if (n >= x->room - x->n) {
        const size_t most = x->http->setup.body_most, twice = 2 * (x->n + n), room = (twice < most ? twice : most) + 1, more = room - x->room;
        const bool may = hold(x->http, more);
        char *grown = may ? realloc(x->body, room) : NULL;
        if (!grown) {
            if (may) let_go_of(x->http, more);
            x->refused = MHD_HTTP_SERVICE_UNAVAILABLE;
            return;
        }
        x->body = grown;
        x->room = room;
    }
    memcpy(x->body + x->n, bytes, n);
    x->n += n;
    x->body[x->n] = 0;
    pthread_mutex_lock(&x->http->lock);
    x->line->received += n;
    pthread_mutex_unlock(&x->http->lock);
}

static enum MHD_Result refuse(struct exchange *x, struct MHD_Connection *c)
{
    const char *why = x->refused == MHD_HTTP_CONTENT_TOO_LARGE ? "the request is longer than this server takes" :
                      x->refused == MHD_HTTP_BAD_REQUEST       ? "the request says more than once how long it is" :
                                                                 "there is no memory for this request";
    char *body = x->http->setup.error_body(x->refused, why);
    struct MHD_Response *r = MHD_create_response_from_buffer(body ? strlen(body) : 0, body, MHD_RESPMEM_MUST_FREE);
    if (!r) return free(body), MHD_NO;
    MHD_add_response_header(r, "Content-Type", "application/json");
    MHD_add_response_header(r, "Connection", "close");
    const enum MHD_Result ok = MHD_queue_response(c, (unsigned)x->refused, r);
    MHD_destroy_response(r);
    return ok;
}

static ssize_t give(void *user, uint64_t at, char *to, size_t most)
{
    struct exchange *x = user;
    (void)at;
    pthread_mutex_lock(&x->lock);
    ssize_t n = (ssize_t)(x->out_n - x->out_at);
    if (x->broken) n = MHD_CONTENT_READER_END_WITH_ERROR;
    else if (n > (ssize_t)most) n = (ssize_t)most;
    if (n > 0) {
        memcpy(to, x->out + x->out_at, (size_t)n);
        x->out_at += (size_t)n;
    } else if (n == 0 && x->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (n == 0) {
        fall_asleep(x);
    }
    pthread_mutex_unlock(&x->lock);
    if (n > 0) x->http->setup.moved(x->http->setup.user);
    return n;
}

/* Under its lock. Its answer, whole or a stream, is given to the library. */
static enum MHD_Result begin_answer(struct exchange *x)
{
    if (x->response) (void)0; /* a file */
    else if (x->streams) x->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, give, x, NULL);
    else x->response = MHD_create_response_from_buffer(x->out_n, x->out, MHD_RESPMEM_PERSISTENT);
    if (!x->response) return MHD_NO;
    if (x->type) MHD_add_response_header(x->response, "Content-Type", x->type);
    for (int i = 0; i < x->n_headers; i++) MHD_add_response_header(x->response, x->header[i][0], x->header[i][1]);
    return MHD_queue_response(x->connection, (unsigned)x->status, x->response);
}

/* All of the request is there: it is handed over, or its answer has come. */
static enum MHD_Result go_on(struct exchange *x)
{
    enum MHD_Result ok = MHD_YES;
    bool hand_over = false;
    pthread_mutex_lock(&x->lock);
    if (x->gone) ok = MHD_NO;
    else if (x->begun) ok = begin_answer(x);
    else {
        hand_over = !x->arrived;
        x->arrived = true;
        fall_asleep(x);
    }
    if (hand_over) x->owners++;
    pthread_mutex_unlock(&x->lock);
    if (!hand_over) return ok;
    line_waits(x->http, x->line, x);
    x->http->setup.arrived(x->http->setup.user, x);
    return ok;
}

static uint64_t announced_bytes(struct MHD_Connection *c)
{
    const char *text = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
    return text ? strtoull(text, NULL, 10) : 0;
}

static enum MHD_Result count_lengths(void *user, enum MHD_ValueKind kind, const char *name, const char *value)
{
    int *n = user;
    (void)kind, (void)value;
    *n += !strcasecmp(name, "Content-Length") || !strcasecmp(name, "Transfer-Encoding");
    return MHD_YES;
}

/* Whoever stands between may have taken the other length, and what one takes for a body is the next request to the other. */
static bool is_ambiguous(struct MHD_Connection *c)
{
    int n = 0;
    MHD_get_connection_values(c, MHD_HEADER_KIND, count_lengths, &n);
    return n > 1;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *c, const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_n, void **context)
{
    struct http *h = user;
    struct exchange *x = *context;
    (void)version;
    if (!x) {
        *context = x = exchange_new(h, c, path, method);
        if (!x) return MHD_NO;
        x->line = line_of(c);
        if (!x->line) return MHD_NO;
        pthread_mutex_lock(&h->lock);
        x->number = ++h->exchanges;
        x->line->asks = true;
        x->line->since_ns = clock_ns();
        pthread_mutex_unlock(&h->lock);
        if (is_ambiguous(c)) x->refused = MHD_HTTP_BAD_REQUEST;
        else if (announced_bytes(c) > h->setup.body_most) x->refused = MHD_HTTP_CONTENT_TOO_LARGE; /* before it is sent */
        return x->refused ? refuse(x, c) : MHD_YES;
    }
    if (*upload_n) {
        receive(x, upload, *upload_n);
        *upload_n = 0;
        return MHD_YES;
    }
    return x->refused ? refuse(x, c) : go_on(x);
}

static void on_completed(void *user, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode how)
{
    struct http *h = user;
    struct exchange *x = *context;
    struct line *l = line_of(c);
    (void)how;
    *context = NULL;
    if (l) line_waits(h, l, NULL);
    if (!x) return;
    pthread_mutex_lock(&x->lock);
    x->gone = true;
    x->asleep = false;
    x->line = NULL;
    const bool told = x->arrived;
    pthread_mutex_unlock(&x->lock);
    let_go(x);
    if (told) h->setup.moved(h->setup.user);
}

static void on_connection(void *user, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
    struct http *h = user;
    struct line *l = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        l = calloc(1, sizeof *l);
        *context = l;
        if (!l || !info) return;
        const int bytes = SEND_BUFFER;
        l->fd = info->connect_fd;
        l->since_ns = clock_ns();
        setsockopt(l->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        pthread_mutex_lock(&h->lock);
        l->next = h->lines;
        if (l->next) l->next->before = &l->next;
        l->before = &h->lines;
        h->lines = l;
        pthread_mutex_unlock(&h->lock);
        return;
    }
    *context = NULL;
    if (!l) return;
    pthread_mutex_lock(&h->lock);
    if (l->before) {
        *l->before = l->next;
        if (l->next) l->next->before = l->before;
    }
    pthread_mutex_unlock(&h->lock);
    free(l);
}

/* ---- the watcher ---- */

/* Its peer closed or reset the connection: a client that has its request sent and waits keeps both directions open. */
static bool peer_left(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static bool too_slow(const struct http *h, const struct line *l, uint64_t now)
{
    const uint64_t body = l->received / BODY_BYTES_A_SECOND, seconds = l->served && !l->asks ? IDLE_SECONDS : h->setup.seconds + body;
    return !l->waiting && now - l->since_ns > seconds * 1000000000ull;
}

/* Of a connection that waits for its answer. True: its reader is gone, and was not before. What a broken stream's reader did not take is
 * not worth waiting for. */
static bool look_at_reader(struct line *l)
{
    struct exchange *x = l->x;
    const bool left = peer_left(l->fd);
    pthread_mutex_lock(&x->lock);
    const bool news = left && !x->gone;
    if (x->broken) shutdown(l->fd, SHUT_RDWR);
    if (left) {
        x->gone = x->broken = true;
        wake(x);
    }
    pthread_mutex_unlock(&x->lock);
    return news;
}

static void *watch(void *user)
{
    struct http *h = user;
    for (;;) {
        bool moved = false;
        pthread_mutex_lock(&h->lock);
        if (h->stopping) break;
        const uint64_t now = clock_ns();
        for (struct line *l = h->lines; l; l = l->next) {
            if (l->waiting) moved |= look_at_reader(l);
            else if (too_slow(h, l, now)) shutdown(l->fd, SHUT_RDWR);
        }
        pthread_mutex_unlock(&h->lock);
        if (moved) h->setup.moved(h->setup.user);
        poll(NULL, 0, WATCH_MS);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* ---- opening and closing ---- */

static int address_of(struct sockaddr_storage *out, const struct http_setup *s, struct err *why)
{
    struct sockaddr_in *four = (void *)out;
    struct sockaddr_in6 *six = (void *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, s->address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(s->port);
        return 0;
    }
    if (inet_pton(AF_INET6, s->address, &six->sin6_addr) != 1)
        return fail(why, E_USAGE, "\"%.80s\" is not a numeric address to listen at", s->address);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(s->port);
    return 0;
}

static void be_quiet(void *user, const char *format, va_list args)
{
    (void)user, (void)format, (void)args;
}

/* "%00" would end a path where it stands, and make another of it. */
static size_t unescape(void *user, struct MHD_Connection *c, char *text)
{
    (void)user, (void)c;
    const size_t n = MHD_http_unescape(text);
    for (size_t i = 0; i < n; i++) text[i] = text[i] ? text[i] : 1;
    return n;
}

static int start(struct http *h, struct err *why)
{
    struct sockaddr_storage at;
    const struct http_setup *s = &h->setup;
    TRY(address_of(&at, s, why));
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (at.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    h->daemon = MHD_start_daemon(flags, s->port, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, be_quiet, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SOCK_ADDR, &at,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)s->connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)s->connections_each,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_MOST,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_UNESCAPE_CALLBACK, unescape, h, MHD_OPTION_END);
    if (!h->daemon) return fail_errno(why, E_LINK, "cannot listen at %s port %u", s->address, s->port);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
    h->port = info && info->port ? info->port : s->port;
    if (pthread_create(&h->watcher, NULL, watch, h)) return fail(why, E_MEMORY, "no thread to watch connections with");
    h->watches = true;
    return 0;
}

int http_open(struct http **out, const struct http_setup *setup, struct err *why)
{
    struct http *h = *out = calloc(1, sizeof *h);
    if (!h) return fail(why, E_MEMORY, "no memory for a server");
    h->setup = *setup;
    pthread_mutex_init(&h->lock, NULL);
    const int code = start(h, why);
    if (code) http_close(out, 0);
    return code;
}

uint16_t http_port(const struct http *h)
{
    return h->port;
}

void http_stop_listening(struct http *h)
{
    const MHD_socket fd = MHD_quiesce_daemon(h->daemon);
    if (fd != MHD_INVALID_SOCKET) shutdown(fd, SHUT_RDWR);
}

static bool someone_waits(struct http *h)
{
    bool waits = false;
    pthread_mutex_lock(&h->lock);
    for (const struct line *l = h->lines; l; l = l->next) waits |= l->waiting;
    pthread_mutex_unlock(&h->lock);
    return waits;
}

void http_close(struct http **ph, int ms)
{
    struct http *h = *ph;
    *ph = NULL;
    if (!h) return;
    for (; h->daemon && ms > 0 && someone_waits(h); ms -= WATCH_MS) poll(NULL, 0, WATCH_MS);
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    for (struct line *l = h->lines; l; l = l->next) {
        if (!l->x) continue;
        pthread_mutex_lock(&l->x->lock);
        l->x->broken = l->x->gone = true;
        wake(l->x);
        pthread_mutex_unlock(&l->x->lock);
    }
    pthread_mutex_unlock(&h->lock);
    if (h->watches) pthread_join(h->watcher, NULL);
    if (h->daemon) MHD_stop_daemon(h->daemon);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* ---- what was asked ---- */

const char *exchange_method(const struct exchange *x)
{
    return x->method;
}

const char *exchange_path(const struct exchange *x)
{
    return x->path;
}

const char *exchange_authorization(const struct exchange *x)
{
    return x->authorization;
}

const char *exchange_origin(const struct exchange *x)
{
    return x->origin;
}

const char *exchange_body(const struct exchange *x, size_t *n)
{
    *n = x->n;
    return x->body ? x->body : "";
}

void exchange_forget_body(struct exchange *x)
{
    let_go_of(x->http, x->room);
    free(x->body);
    x->body = NULL;
    x->n = x->room = 0;
}

const char *exchange_argument(const struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *exchange_content_type(const struct exchange *x)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Content-Type");
}

uint64_t exchange_number(const struct exchange *x)
{
    return x->number;
}

/* ---- the answer ---- */

void exchange_header(struct exchange *x, const char *name, const char *value)
{
    const int most = (int)(sizeof x->header / sizeof *x->header);
    if (x->n_headers == most) return;
    char **at = x->header[x->n_headers];
    at[0] = strdup(name), at[1] = strdup(value);
    if (at[0] && at[1]) x->n_headers++;
    else free(at[0]), free(at[1]);
}

void exchange_answer(struct exchange *x, int status, const char *type, char *body, size_t n)
{
    pthread_mutex_lock(&x->lock);
    x->status = status;
    x->type = copy_of(type);
    x->out = body;
    x->out_n = body ? n : 0;
    x->begun = x->ended = true;
    wake(x);
    pthread_mutex_unlock(&x->lock);
}

void exchange_answer_file(struct exchange *x, const char *type, int fd, uint64_t bytes)
{
    pthread_mutex_lock(&x->lock);
    x->status = MHD_HTTP_OK;
    x->type = copy_of(type);
    x->response = MHD_create_response_from_fd64(bytes, fd); /* closes it at its end */
    if (!x->response) close(fd);
    x->begun = x->ended = true;
    wake(x);
    pthread_mutex_unlock(&x->lock);
}

void exchange_stream(struct exchange *x, const char *type)
{
    pthread_mutex_lock(&x->lock);
    x->status = MHD_HTTP_OK;
    x->type = copy_of(type);
    x->begun = x->streams = true;
    wake(x);
    pthread_mutex_unlock(&x->lock);
}

/* Under its lock. */
static bool out_room(struct exchange *x, size_t n)
{
    if (x->out_at) {
        memmove(x->out, x->out + x->out_at, x->out_n - x->out_at);
        x->out_n -= x->out_at;
        x->out_at = 0;
    }
    if (x->out_room - x->out_n >= n) return true;
    const size_t room = 2 * (x->out_n + n);
    char *grown = realloc(x->out, room);
    if (!grown) return false;
    x->out = grown;
    x->out_room = room;
    return true;
}

bool exchange_write(struct exchange *x, const char *bytes, size_t n)
{
    pthread_mutex_lock(&x->lock);
    const bool ok = !x->gone && !x->broken && out_room(x, n);
    if (ok) {
        memcpy(x->out + x->out_n, bytes, n);
        x->out_n += n;
        wake(x);
    }
    pthread_mutex_unlock(&x->lock);
    return ok;
}

size_t exchange_pending(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    const size_t n = x->out_n - x->out_at;
    pthread_mutex_unlock(&x->lock);
    return n;
}

bool exchange_is_gone(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    const bool gone = x->gone;
    pthread_mutex_unlock(&x->lock);
    return gone;
}

void exchange_break(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    x->broken = true;
    wake(x);
    pthread_mutex_unlock(&x->lock);
}

void exchange_end(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    x->ended = true;
    wake(x);
    pthread_mutex_unlock(&x->lock);
    let_go(x);
}
