/* transport/links/zap.c — see zap.h. */
#include "transport/links/zap.h"

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <zmq.h>

#define DOMAIN "gemmapipe"
#define PROOF_MS 5000
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93 /* libzmq has it, and shows it only to those who ask for drafts */
#endif

struct zap {
    void *socket;
    struct keys *keys;
    pthread_t thread;
    atomic_bool aloud;
    uint8_t told[KEY_BYTES]; /* the last key that was refused aloud: who tries again and again fills no log */
};

/* ---- keys ---- */

static int no_curve(struct err *why)
{
    return fail(why, E_LINK, "libzmq was built without encryption (CURVE)");
}

int key_pair(uint8_t public[KEY_BYTES], uint8_t secret[KEY_BYTES], struct err *why)
{
    char p[41], s[41];
    if (!zmq_has("curve") || zmq_curve_keypair(p, s)) return no_curve(why);
    const bool good = zmq_z85_decode(public, p) && zmq_z85_decode(secret, s);
    explicit_bzero(s, sizeof s);
    return good ? 0 : no_curve(why);
}

int key_public(uint8_t public[KEY_BYTES], const uint8_t secret[KEY_BYTES], struct err *why)
{
    char p[41], s[41];
    const bool good = zmq_has("curve") && zmq_z85_encode(s, secret, KEY_BYTES) && !zmq_curve_public(p, s) && zmq_z85_decode(public, p);
    explicit_bzero(s, sizeof s);
    return good ? 0 : no_curve(why);
}

/* ---- who is let in ---- */

/* The parts of a request, in this order; what is longer than its room is cut, and so is no key. */
enum { VERSION, REQUEST, FROM_DOMAIN, ADDRESS, IDENTITY, MECHANISM, CREDENTIALS, PARTS };
struct request {
    uint8_t part[PARTS][256];
    int n[PARTS];
};

/* False: the context ends. *whole: it has the parts it should. */
static bool receive(void *socket, struct request *r, bool *whole)
{
    int parts = 0, more = 1;
    size_t size = sizeof more;
    uint8_t spare[256];
    while (more) {
        const int n = zmq_recv(socket, parts < PARTS ? r->part[parts] : spare, sizeof spare, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        if (parts < PARTS) r->n[parts] = n < (int)sizeof spare ? n : (int)sizeof spare; /* what is said is how long it was */
        parts++;
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size)) return false;
    }
    *whole = parts == PARTS;
    return true;
}

static bool is(const struct request *r, int part, const char *text)
{
    return r->n[part] == (int)strlen(text) && !memcmp(r->part[part], text, strlen(text));
}

static void tell(struct zap *z, const uint8_t *key)
{
    char hex[KEY_TEXT];
    if (!atomic_load(&z->aloud) || !memcmp(z->told, key, KEY_BYTES)) return;
    memcpy(z->told, key, KEY_BYTES);
    log_warn("a stranger was refused; if its key is to be served: gemmapipe keys trust NAME %s", key_text(hex, key));
}

static bool answer(struct zap *z, const struct request *r, bool whole)
{
    const bool asks = whole && is(r, VERSION, "1.0") && is(r, FROM_DOMAIN, DOMAIN) && is(r, MECHANISM, "CURVE") && r->n[CREDENTIALS] == KEY_BYTES;
    const uint8_t *key = r->part[CREDENTIALS];
    const bool in = asks && keys_let_in(z->keys, key);
    char user[KEY_TEXT] = "";
    if (in) key_text(user, key);
    if (asks && !in) tell(z, key);
    const struct { const void *bytes; size_t n; } said[] = {{"1.0", 3}, {r->part[REQUEST], (size_t)r->n[REQUEST]}, {in ? "200" : "400", 3},
                                                            {"", 0}, {user, strlen(user)}, {"", 0}};
    for (size_t i = 0; i < 6; i++)
        if (zmq_send(z->socket, said[i].bytes, said[i].n, i < 5 ? ZMQ_SNDMORE : 0) < 0 && errno != EINTR) return false;
    return true;
}

static void *answer_all(void *user)
{
    struct zap *z = user;
    sigset_t all;
    sigfillset(&all); /* signals are for the program's own threads */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        struct request r = {.n = {0}};
        bool whole;
        if (!receive(z->socket, &r, &whole) || !answer(z, &r, whole)) break;
    }
    zmq_close(z->socket);
    return NULL;
}

int zap_begin(struct zap **out, void *context, struct keys *keys, struct err *why)
{
    struct zap *z = calloc(1, sizeof *z);
    if (!z) return fail(why, E_MEMORY, "no memory to let anyone in");
    z->keys = keys;
    z->socket = zmq_socket(context, ZMQ_REP);
    const int none = 0;
    int code = 0;
    if (z->socket) zmq_setsockopt(z->socket, ZMQ_LINGER, &none, sizeof none);
    if (!z->socket || zmq_bind(z->socket, "inproc://zeromq.zap.01"))
        code = fail(why, E_INTERNAL, "cannot say who is let in: %s", zmq_strerror(errno));
    if (!code && pthread_create(&z->thread, NULL, answer_all, z)) code = fail_errno(why, E_INTERNAL, "cannot start a thread for handshakes");
    if (!code) return *out = z, 0;
    if (z->socket) zmq_close(z->socket);
    free(z);
    return code;
}

void zap_end(struct zap **pz)
{
    struct zap *z = *pz;
    *pz = NULL;
    if (!z) return;
    pthread_join(z->thread, NULL);
    free(z);
}

/* ---- sockets ---- */

int zap_serve(void *router, struct keys *keys, struct err *why)
{
    const int yes = 1;
    if (!zmq_setsockopt(router, ZMQ_CURVE_SERVER, &yes, sizeof yes) &&
        !zmq_setsockopt(router, ZMQ_CURVE_SECRETKEY, keys_secret(keys), KEY_BYTES) &&
        !zmq_setsockopt(router, ZMQ_ZAP_DOMAIN, DOMAIN, strlen(DOMAIN)) &&
        !zmq_setsockopt(router, ZMQ_ZAP_ENFORCE_DOMAIN, &yes, sizeof yes))
        return 0;
    return fail(why, E_LINK, "libzmq cannot keep strangers out here: %s", zmq_strerror(errno));
}

int zap_call(void *dealer, struct keys *keys, const uint8_t theirs[KEY_BYTES], struct err *why)
{
    if (!zmq_setsockopt(dealer, ZMQ_CURVE_SERVERKEY, theirs, KEY_BYTES) &&
        !zmq_setsockopt(dealer, ZMQ_CURVE_PUBLICKEY, keys_public(keys), KEY_BYTES) &&
        !zmq_setsockopt(dealer, ZMQ_CURVE_SECRETKEY, keys_secret(keys), KEY_BYTES))
        return 0;
    return fail(why, E_LINK, "libzmq cannot encrypt: %s", zmq_strerror(errno));
}

/* What becomes of the stranger: a ZMQ_EVENT_HANDSHAKE_…; 0: nothing in time. */
static int stranger_hears(void *monitor)
{
    uint8_t told[6] = {0}, address[256];
    uint16_t event = 0;
    zmq_pollitem_t item = {.socket = monitor, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, PROOF_MS) < 1 || zmq_recv(monitor, told, sizeof told, 0) < 2) return 0;
    zmq_recv(monitor, address, sizeof address, 0);
    memcpy(&event, told, 2);
    return event;
}

int zap_prove(struct zap *zap, void *context, void *router, struct err *why)
{
    char at[64], watch[64];
    uint8_t public[KEY_BYTES], secret[KEY_BYTES];
    uint64_t drawn = 0;
    const int none = 0;
    const int wanted = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    TRY(key_pair(public, secret, why));
    if (getrandom(&drawn, sizeof drawn, 0) != sizeof drawn) return fail_errno(why, E_INTERNAL, "cannot draw a name");
    snprintf(at, sizeof at, "ipc://@gemmapipe-proof-%016llx", (unsigned long long)drawn);
    snprintf(watch, sizeof watch, "inproc://proof-%016llx", (unsigned long long)drawn);
    void *stranger = zmq_socket(context, ZMQ_DEALER), *monitor = zmq_socket(context, ZMQ_PAIR);
    int heard = -1;
    if (stranger && monitor) {
        zmq_setsockopt(stranger, ZMQ_LINGER, &none, sizeof none);
        zmq_setsockopt(stranger, ZMQ_CURVE_SERVERKEY, keys_public(zap->keys), KEY_BYTES);
        zmq_setsockopt(stranger, ZMQ_CURVE_PUBLICKEY, public, KEY_BYTES);
        zmq_setsockopt(stranger, ZMQ_CURVE_SECRETKEY, secret, KEY_BYTES);
        if (!zmq_socket_monitor(stranger, watch, wanted) && !zmq_connect(monitor, watch) && !zmq_bind(router, at) && !zmq_connect(stranger, at))
            heard = stranger_hears(monitor);
    }
    zmq_unbind(router, at);
    if (stranger) zmq_close(stranger);
    if (monitor) zmq_close(monitor);
    if (heard == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) return atomic_store(&zap->aloud, true), 0;
    return fail(why, E_INTERNAL, "a stranger with a key drawn for the test was not refused (%s): nobody is served here",
                heard < 0 ? zmq_strerror(errno) : !heard ? "it heard nothing" : heard == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? "it was let in" : "it failed otherwise");
}
