/* coordinator/up/greetings.c — see greetings.h. */
#include "coordinator/up/greetings.h"

#include "coordinator/cluster/roster.h"
#include "transport/links/address.h"
#include "transport/links/keys.h"

#include <stdio.h>

struct round {
    struct keys *keys; /* NULL: links are plain */
    struct roster *roster;
    struct greeting *out;
    int n;
    uint64_t end_ns;
};

static int hear(void *user, struct event *e, struct err *why)
{
    struct round *r = user;
    struct greeting *g = e->who ? &r->out[e->who->node - 1] : NULL;
    if (e->kind == EVENT_INTERRUPTED) return *why = e->why, e->why.code;
    if (g && e->kind == EVENT_JOINED) g->answered = true, g->hello = e->who->hello;
    if (g && (e->kind == EVENT_LOST || e->kind == EVENT_FAULT)) snprintf(g->why, sizeof g->why, "%s", e->why.text);
    return 0;
}

static bool all_heard(void *user)
{
    const struct round *r = user;
    bool all = true;
    for (int i = 0; i < r->n; i++) all &= r->out[i].answered || *r->out[i].why;
    return all || clock_now(roster_clock(r->roster)) > r->end_ns;
}

static int greet(struct round *r, const char *const *addresses, int seconds, struct err *why)
{
    struct port *port = NULL;
    TRY(port_open_dial(&port, &(struct link_options){.keys = r->keys}, why));
    TRY(roster_open(&r->roster, port, clock_system(), why));
    for (int i = 0; i < r->n; i++) TRY(roster_add(r->roster, addresses[i], why));
    TRY(roster_greet(r->roster, 1, why));
    r->end_ns = clock_now(roster_clock(r->roster)) + (uint64_t)seconds * 1000000000;
    const struct consumer c = {hear, all_heard, r};
    TRY(roster_until(r->roster, &c, 100, why));
    for (int i = 0; i < r->n; i++) {
        const char *silence = r->out[i].answered || *r->out[i].why ? NULL : port_silence(port, i + 1);
        if (!r->out[i].answered && !*r->out[i].why) snprintf(r->out[i].why, sizeof r->out[i].why, "%s", silence ? silence : "no answer");
    }
    roster_dismiss(r->roster, NULL);
    return 0;
}

/* As a run with these addresses would. */
static int take_keys(struct round *r, const char *const *addresses, const char *const *key_names, struct err *why)
{
    bool far = false;
    for (int i = 0; i < r->n; i++) far |= !address_is_near(addresses[i]);
    if (!far) return 0;
    TRY(keys_open(&r->keys, NULL, why));
    for (int i = 0; i < r->n; i++) TRY(keys_know(r->keys, addresses[i], key_names[i], why));
    return 0;
}

int greet_all(struct greeting *out, const char *const *addresses, const char *const *key_names, int n, int seconds, struct err *why)
{
    struct round r = {.out = out, .n = n};
    for (int i = 0; i < n; i++) out[i] = (struct greeting){0};
    int code = n ? take_keys(&r, addresses, key_names, why) : 0;
    if (!code && n) code = greet(&r, addresses, seconds, why);
    roster_close(&r.roster);
    keys_close(&r.keys);
    return code;
}
