/* transport/links/name_lookup.c — see name_lookup.h. Whoever of the two is the last to leave gives it back: the thread cannot be hurried. */
#include "transport/links/name_lookup.h"

#include "transport/wire/wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct lookup {
    char address[WIRE_TEXT];
    struct endpoints found;
    const char *unknown;
    atomic_bool done;
    atomic_int holders;
};

static void let_go(struct lookup *l)
{
    if (atomic_fetch_sub(&l->holders, 1) == 1) free(l);
}

static void *look_up(void *of)
{
    struct lookup *l = of;
    l->unknown = address_look_up(&l->found, l->address);
    atomic_store(&l->done, true);
    let_go(l);
    return NULL;
}

struct lookup *lookup_begin(const char *address)
{
    struct lookup *l = calloc(1, sizeof *l);
    pthread_t thread;
    if (!l) return NULL;
    snprintf(l->address, sizeof l->address, "%s", address);
    atomic_init(&l->holders, 2);
    if (pthread_create(&thread, NULL, look_up, l)) return free(l), NULL;
    pthread_detach(thread);
    return l;
}

bool lookup_done(struct lookup *l, struct endpoints *out, const char **unknown)
{
    if (!atomic_load(&l->done)) return false;
    *unknown = l->unknown;
    if (!l->unknown) *out = l->found;
    return true;
}

void lookup_end(struct lookup **pl)
{
    struct lookup *l = *pl;
    *pl = NULL;
    if (l) let_go(l);
}
