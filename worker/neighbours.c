/* worker/neighbours.c — see neighbours.h. */
#include "worker/neighbours.h"

#include <stdio.h>
#include <string.h>

#define CALL_NS 1000000000ull
#define APART_NS 3000000000ull
#define HEARSAY_NS 3000000000ull /* for the coordinator to notice by itself that a neighbour is gone */

static int send_frame(struct port *port, int to, struct frame *f, struct err *why)
{
    const int code = port_send_off(port, to, f, why);
    return code == E_LINK && to ? 0 : code; /* it is gone: that is told */
}

static int call(struct neighbour *b, struct port *port, struct err *why)
{
    struct frame *f = NULL;
    b->called = true;
    TRY(port_reach(port, b->node, b->address, why));
    if (port_met(port, b->node)) return 0;
    TRY(empty_write(&f, M_HERE, why));
    return send_frame(port, b->node, f, why);
}

/* Under the lock. NULL: there are too many. */
static struct neighbour *known(struct neighbours *n, int node)
{
    for (int i = 0; i < n->n; i++)
        if (n->of[i].node == node) return &n->of[i];
    if (n->n == NEIGHBOURS_MOST) return NULL;
    n->of[n->n] = (struct neighbour){.node = node, .called = true, .since_ns = clock_now(n->clock)};
    return &n->of[n->n++];
}

static int add(struct neighbours *n, struct port *port, int node, const char *address, const uint8_t key[KEY_BYTES], bool sent_to, struct err *why)
{
    pthread_mutex_lock(&n->lock);
    struct neighbour *b = known(n, node);
    pthread_mutex_unlock(&n->lock);
    b->sent_to |= sent_to;
    if (b->address[0]) return 0; /* on the route of the other chain too */
    b->called = !*address;
    strcpy(b->address, address);
    TRY(port_neighbour(port, node, address, key, why));
    return sent_to && *address ? call(b, port, why) : 0;
}

int neighbours_add(struct neighbours *n, struct port *port, const struct chain_assignment *of, struct err *why)
{
    if (of->next && !of->relayed) TRY(add(n, port, of->next, of->next_address, of->next_key, true, why));
    return of->previous ? add(n, port, of->previous, of->previous_address, of->previous_key, false, why) : 0;
}

static int tell(struct neighbour *b, struct port *port, bool wrong, const char *reason, struct err *why)
{
    struct unreachable m = {.node = (uint32_t)b->node, .wrong = wrong};
    struct frame *f = NULL;
    b->told = true;
    snprintf(m.text, sizeof m.text, "%s", reason);
    TRY(unreachable_write(&f, &m, why));
    return send_frame(port, 0, f, why);
}

static int look(struct neighbour *b, struct port *port, bool wrong, uint64_t now, struct err *why)
{
    const char *silent = port_silence(port, b->node);
    if (b->told) return 0;
    if (wrong) return tell(b, port, true, b->wrong, why);
    if (b->lost_ns) return now - b->lost_ns < HEARSAY_NS ? 0 : tell(b, port, false, "their connection broke", why);
    b->met |= port_met(port, b->node);
    if (b->met) return 0;
    if (!b->called && now - b->since_ns > CALL_NS) return call(b, port, why);
    if (!b->sent_to || now - b->since_ns < APART_NS) return 0;
    return tell(b, port, false, silent ? silent : "neither of the two can connect to the other", why);
}

int neighbours_look(struct neighbours *n, struct port *port, struct err *why)
{
    const uint64_t now = clock_now(n->clock);
    bool wrong[NEIGHBOURS_MOST];
    pthread_mutex_lock(&n->lock);
    const int all = n->n;
    for (int i = 0; i < all; i++) wrong[i] = n->of[i].wrong[0];
    pthread_mutex_unlock(&n->lock);
    for (int i = 0; i < all; i++) TRY(look(&n->of[i], port, wrong[i], now, why));
    return 0;
}

bool neighbours_met(const struct neighbours *n, const struct port *port)
{
    for (int i = 0; i < n->n; i++)
        if (n->of[i].sent_to && !port_met(port, n->of[i].node)) return false;
    return true;
}

void neighbours_lost(struct neighbours *n, int node)
{
    pthread_mutex_lock(&n->lock);
    for (int i = 0; i < n->n; i++) {
        struct neighbour *b = &n->of[i];
        if (b->node != node || b->lost_ns) continue;
        if (b->met || b->sent_to) b->lost_ns = clock_now(n->clock);
        else b->called = !b->address[0], b->since_ns = clock_now(n->clock); /* our call came to nothing; it may call, or the next one come through */
    }
    pthread_mutex_unlock(&n->lock);
}

void neighbours_wrong(struct neighbours *n, int node, const char *what)
{
    pthread_mutex_lock(&n->lock);
    struct neighbour *b = known(n, node);
    if (b && !b->wrong[0]) snprintf(b->wrong, sizeof b->wrong, "it broke the protocol: %.*s", (int)sizeof b->wrong - 30, what);
    pthread_mutex_unlock(&n->lock);
}
