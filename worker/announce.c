/* worker/announce.c — see announce.h. */
#include "worker/announce.h"

#include "base/clock.h"
#include "transport/links/address.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGAIN_NS 500000000ull
#define PATIENCE_MS 2000

struct announcement {
    const char *to, *port;
};

/* Whether anybody hears it shows in a greeting, and only there. */
static void say(const struct endpoint *e, const char *port)
{
    bool done;
    char words[32];
    const int s = endpoint_connect(e, &done);
    if (s < 0) return;
    struct pollfd p = {.fd = s, .events = POLLOUT};
    const int n = snprintf(words, sizeof words, "gemmapipe-join 1 %s\n", port);
    if (done || poll(&p, 1, PATIENCE_MS) == 1) (void)!send(s, words, (size_t)n, MSG_NOSIGNAL);
    close(s);
}

static void *announce(void *user)
{
    const struct announcement *a = user;
    for (;; sleep_ns(AGAIN_NS)) {
        struct endpoints at;
        if (address_resolve(&at, a->to, NULL)) continue;
        for (int i = 0; i < at.n; i++) say(&at.to[i], a->port);
    }
    return NULL;
}

int announce_begin(const char *to, const char *listens, struct err *why)
{
    pthread_t thread;
    TRY(address_check(to, why));
    TRY(address_check(listens, why));
    if (strncmp(listens, "tcp://", 6) || strncmp(to, "tcp://", 6)) return fail(why, E_USAGE, "who joins listens at a tcp:// address, and joins at one");
    struct announcement *a = malloc(sizeof *a); /* the thread's, for ever */
    if (!a) return fail(why, E_MEMORY, "no memory to join");
    *a = (struct announcement){to, strrchr(listens, ':') + 1};
    if (pthread_create(&thread, NULL, announce, a)) return fail_errno(why, E_INTERNAL, "cannot start a thread to join with");
    pthread_detach(thread);
    return 0;
}
