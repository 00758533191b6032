/* coordinator/serve/http.h — HTTP/1.1 towards clients, and nothing about what is served. The one door to libmicrohttpd.
 *
 *   one thread of the library              a watcher                 whoever answers, on any thread
 *   request, whole ─► arrived() ────────────────────────────────────► exchange_answer, or exchange_stream and
 *   (the connection sleeps)                                           exchange_write as often as there is something
 *   reader takes what there is ─► moved()  reader gone ─► moved()     exchange_end
 *
 * A request is handed over when all of it is there, within a limit on bytes and on time: a client that sends a byte a second is cut off. What
 * is written waits in the exchange until its reader takes it; exchange_pending says how much, and who writes stops when it is much. The
 * library does not see that a reader of a sleeping connection has gone, so the watcher asks the kernel.
 *
 * No TLS: that is for a proxy before it. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http;
struct exchange; /* one request and its answer */

struct http_setup {
    const char *address; /* numeric, IPv4 or IPv6 */
    uint16_t port;       /* 0: any that is free, see http_port */
    size_t body_most;    /* bytes; a longer request is answered 413 */
    size_t bodies_most;  /* bytes of all requests that came or are coming, until they are ended; beyond them one is answered 503 */
    uint32_t connections;      /* in all; more wait until one of them ends */
    uint32_t connections_each; /* of one address; more are closed at once */
    uint32_t seconds;    /* for a request to come in; more as its body grows, 64 KiB a second at least */
    /* On the library's thread; may not wait. The exchange is the user's until exchange_end. */
    void (*arrived)(void *user, struct exchange *x);
    /* On any thread: the reader of an exchange took something, or is gone. */
    void (*moved)(void *user);
    /* The body of an error that is the transport's: 413, 431 and the like. Malloc'd, or NULL for none. */
    char *(*error_body)(int status, const char *sentence);
    void *user;
};

/* Listens. E_LINK if the address cannot be used. */
int http_open(struct http **out, const struct http_setup *setup, struct err *why);
uint16_t http_port(const struct http *h);
void http_stop_listening(struct http *h); /* connections that are there stay */
/* All exchanges must be ended. Readers that have not taken all yet get `ms` for it. NULL is fine. */
void http_close(struct http **h, int ms);

/* What was asked. */
const char *exchange_method(const struct exchange *x); /* "POST" */
const char *exchange_path(const struct exchange *x);   /* "/v1/models", decoded, without what stands behind "?" */
const char *exchange_authorization(const struct exchange *x); /* NULL: none */
const char *exchange_origin(const struct exchange *x);        /* of a browser's page; NULL: none */
const char *exchange_body(const struct exchange *x, size_t *n);
void exchange_forget_body(struct exchange *x); /* it was read: others may come in its place */
const char *exchange_argument(const struct exchange *x, const char *name); /* behind "?"; NULL: none. In arrived() alone, as */
const char *exchange_content_type(const struct exchange *x);               /* this is */
uint64_t exchange_number(const struct exchange *x); /* from 1, as they came */

/* The answer. Each call is safe on any thread, but the calls of one exchange must not overlap. */
void exchange_header(struct exchange *x, const char *name, const char *value); /* before it begins; both are copied */
void exchange_answer(struct exchange *x, int status, const char *type, char *body, size_t n); /* body is malloc'd, and is taken */
void exchange_answer_file(struct exchange *x, const char *type, int fd, uint64_t bytes); /* 200; fd is taken */
void exchange_stream(struct exchange *x, const char *type);                 /* begins one of 200 */
bool exchange_write(struct exchange *x, const char *bytes, size_t n);       /* false: nobody reads any more, or there is no memory */
size_t exchange_pending(struct exchange *x); /* bytes that were written and not taken */
bool exchange_is_gone(struct exchange *x);   /* nobody reads any more */
void exchange_break(struct exchange *x);     /* what was streamed so far ends in the middle */
void exchange_end(struct exchange *x);       /* the user forgets it; what was written is still sent */
