/* worker/announce.c — see announce.h. */
#include "worker/announce.h"

#include "base/clock.h"
#include "transport/links/address.h"
#include "transport/links/tunnel.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define AGAIN_NS 500000000ull
#define CALL_AGAIN_NS 50000000ull
#define PATIENCE_MS 2000

struct announcement {
    const char *to, *port;
    bool calls;
    uint64_t number;
    struct endpoint own;
    char name[64];
};

static int connect_to(const struct endpoint *e)
{
    bool done;
    const int s = endpoint_connect(e, &done);
    struct pollfd p = {.fd = s, .events = POLLOUT};
    if (s < 0 || done || poll(&p, 1, PATIENCE_MS) == 1) return s;
    close(s);
    return -1;
}

/* Whether anybody hears it shows in a greeting, and only there. */
static void say(const struct announcement *a, int s)
{
    char words[32];
    const int n = snprintf(words, sizeof words, "gemmapipe-join 1 %s\n", a->port);
    (void)!send(s, words, (size_t)n, MSG_NOSIGNAL);
    close(s);
}

/* Waits until somebody speaks, or the other end is gone. */
static void be_called(const struct announcement *a, int s)
{
    char words[128];
    struct pollfd p = {.fd = s, .events = POLLIN};
    const int n = snprintf(words, sizeof words, "gemmapipe-join 1 by %016llx %s\n", (unsigned long long)a->number, a->name);
    tunnel_usual(s);
    const bool spoken_to = send(s, words, (size_t)n, MSG_NOSIGNAL) == n && poll(&p, 1, -1) == 1 && recv(s, words, 1, MSG_PEEK) == 1;
    const int own = spoken_to ? connect_to(&a->own) : -1;
    if (own < 0) close(s);
    else (void)tunnel_join(s, own, NULL);
}

static void *announce(void *user)
{
    const struct announcement *a = user;
    for (;; sleep_ns(a->calls ? CALL_AGAIN_NS : AGAIN_NS)) {
        struct endpoints at;
        if (address_resolve(&at, a->to, NULL)) continue;
        for (int i = 0; i < at.n; i++) {
            const int s = connect_to(&at.to[i]);
            if (s >= 0) a->calls ? be_called(a, s) : say(a, s);
        }
    }
    return NULL;
}

static int draw_name(struct announcement *a, const char *listens, struct err *why)
{
    struct endpoints own;
    TRY(address_resolve(&own, listens, why));
    a->own = own.to[0];
    if (gethostname(a->name, sizeof a->name - 1)) strcpy(a->name, "unknown");
    return getrandom(&a->number, sizeof a->number, 0) == sizeof a->number ? 0 : fail_errno(why, E_INTERNAL, "cannot draw a number to be known by");
}

int announce_begin(const char *to, const char *listens, bool calls, struct err *why)
{
    pthread_t thread;
    TRY(address_check(to, why));
    TRY(address_check(listens, why));
    if (strncmp(listens, "tcp://", 6) || strncmp(to, "tcp://", 6)) return fail(why, E_USAGE, "who joins listens at a tcp:// address, and joins at one");
    struct announcement *a = calloc(1, sizeof *a); /* the thread's, for ever */
    if (!a) return fail(why, E_MEMORY, "no memory to join");
    *a = (struct announcement){.to = to, .port = strrchr(listens, ':') + 1, .calls = calls};
    if (calls) TRY(draw_name(a, listens, why));
    if (pthread_create(&thread, NULL, announce, a)) return fail_errno(why, E_INTERNAL, "cannot start a thread to join with");
    pthread_detach(thread);
    return 0;
}
