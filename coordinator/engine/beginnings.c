/* coordinator/engine/beginnings.c — see beginnings.h.
 *
 * The table remembers of a hash the one that followed. If another follows, or a prompt ends there twice, two asks have shared its
 * rows and not the next 64: that is where a beginning pays. A place of the table is one of WAYS behind a hash's own; the one not
 * seen for longest is forgotten, but never the name of a beginning. */
#include "coordinator/engine/beginnings.h"

#include "coordinator/engine/live.h"

#include <stdlib.h>

#define NODES (1u << 14)
#define WAYS 8
#define LAST 1 /* what follows the last whole 64 rows of a prompt */

struct node {
    uint64_t hash, follows;
    uint32_t seen;   /* when: the lower the longer ago; 0: never */
    uint16_t number; /* of the beginning that ends here, + 1; 0: there is none */
    bool forks;
};

enum stage_of_making { NONE, PROMISED, KEPT };

struct beginning {
    enum stage_of_making standing;
    uint64_t hash, history, since;
    uint64_t maker; /* the ask that makes or made it */
    int priority;   /* of that */
    uint64_t salt;
    struct held held;
};

struct beginnings {
    struct node node[NODES];
    struct beginning of[WIRE_BEGINNINGS];
    uint32_t asks; /* seen so far */
};

int beginnings_open(struct beginnings **out, struct err *why)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : fail(why, E_MEMORY, "no memory for the table of beginnings");
}

void beginnings_close(struct beginnings **b)
{
    for (uint32_t i = 0; *b && i < WIRE_BEGINNINGS; i++) held_free(&(*b)->of[i].held);
    free(*b);
    *b = NULL;
}

/* ---- the table ---- */

static struct node *find(struct beginnings *b, uint64_t hash)
{
    for (uint32_t i = 0; i < WAYS; i++) {
        struct node *n = &b->node[(hash + i) % NODES];
        if (n->seen && n->hash == hash) return n;
    }
    return NULL;
}

static void see(struct beginnings *b, uint64_t hash, uint64_t follows)
{
    struct node *n = find(b, hash);
    if (n) {
        n->forks |= n->follows != follows || follows == LAST;
        n->seen = b->asks;
        return;
    }
    for (uint32_t i = 0; i < WAYS; i++) {
        struct node *at = &b->node[(hash + i) % NODES];
        if (!at->number && (!n || at->seen < n->seen)) n = at;
    }
    if (n) *n = (struct node){.hash = hash, .follows = follows, .seen = b->asks};
}

/* A row of which something is wanted is never shared. */
static bool hash_rows_of(const struct engine *e, struct live *a)
{
    const uint32_t n = live_unasked(a) / KV_PAGE;
    uint64_t hash = hash_fold(HISTORY_EMPTY, a->ask.salt);
    uint32_t ids[KV_PAGE];
    a->sharing.hash = n ? malloc(n * sizeof *a->sharing.hash) : NULL;
    if (!a->sharing.hash) return false;
    for (a->sharing.n = 0; a->sharing.n < n; a->sharing.n++) {
        for (uint32_t i = 0; i < KV_PAGE; i++) ids[i] = row_id_at(e, a, a->sharing.n * KV_PAGE + i);
        a->sharing.hash[a->sharing.n] = hash = hash_fold(hash, hash64(ids, sizeof ids));
    }
    return true;
}

void beginnings_see(struct engine *e, struct live *a)
{
    struct beginnings *b = e->beginnings;
    a->sharing.awaits = NO_BEGINNING;
    if (b && !a->ask.drawn && hash_rows_of(e, a)) beginnings_also(e, a);
}

void beginnings_also(struct engine *e, const struct live *a)
{
    struct beginnings *b = e->beginnings;
    if (!b || !a->sharing.n) return;
    if (!++b->asks) b->asks = 1;
    for (uint32_t i = 0; i < a->sharing.n; i++) see(b, a->sharing.hash[i], i + 1 < a->sharing.n ? a->sharing.hash[i + 1] : LAST);
}

/* ---- going on behind one ---- */

static struct beginning *at(const struct engine *e, uint64_t hash, uint32_t *number)
{
    const struct node *n = find(e->beginnings, hash);
    if (!n || !n->number) return NULL;
    *number = n->number - 1u;
    return &e->beginnings->of[*number];
}

bool beginnings_wait(const struct engine *e, struct live *a)
{
    struct sharing *c = &a->sharing;
    if (c->awaits == NO_BEGINNING) return false;
    const struct beginning *g = &e->beginnings->of[c->awaits];
    const bool the_same = g->maker == c->maker;
    if (the_same && g->standing == PROMISED) return true;
    c->in_vain = !(the_same && g->standing == KEPT);
    c->awaits = NO_BEGINNING;
    return false;
}

uint32_t beginnings_kept(const struct engine *e, const struct live *a)
{
    uint32_t i;
    for (uint32_t k = e->beginnings ? a->sharing.n : 0; k > 0; k--) {
        const struct beginning *g = at(e, a->sharing.hash[k - 1], &i);
        if (g && g->standing == KEPT && g->salt == a->ask.salt) return k * KV_PAGE;
    }
    return 0;
}

bool beginnings_choose(struct engine *e, struct live *a, uint32_t rows, uint32_t *number)
{
    struct sharing *c = &a->sharing;
    uint32_t i;
    *number = NO_BEGINNING;
    if (!c->n) return true;
    for (uint32_t k = c->n; k > rows / KV_PAGE; k--) {
        struct beginning *g = at(e, c->hash[k - 1], &i);
        if (!g) continue;
        if (g->standing == PROMISED && !c->in_vain && g->priority >= a->ask.priority) {
            c->awaits = i;
            c->maker = g->maker;
            return false;
        }
        if (g->standing != KEPT || g->salt != a->ask.salt || !held_begins(e, a, &g->held)) continue;
        if (!pages_could_hold(e->pages, i, live_rows_most(e, a))) continue;
        g->since = e->next_since++;
        *number = i;
        return true;
    }
    return true;
}

void beginnings_rows(const struct engine *e, uint32_t slot, uint32_t *rows, uint64_t *history)
{
    const struct beginning *g = &e->beginnings->of[pages_begun(e->pages, slot)];
    *rows = g->held.rows;
    *history = g->history;
}

/* ---- making one ---- */

static void forget(struct beginnings *b, struct beginning *g)
{
    struct node *n = find(b, g->hash);
    n->number = 0;
    held_free(&g->held);
    *g = (struct beginning){0};
}

static uint32_t take_number(struct engine *e)
{
    uint64_t since;
    for (uint32_t i = 0; i < WIRE_BEGINNINGS; i++)
        if (e->beginnings->of[i].standing == NONE) return i;
    const uint32_t longest = beginnings_longest(e, &since);
    if (longest != NO_BEGINNING) beginnings_drop(e, longest);
    return longest;
}

/* The first that it has promised and not made. */
static void set_next(struct engine *e, struct live *a)
{
    struct sharing *c = &a->sharing;
    uint32_t i;
    const uint32_t from = c->next / KV_PAGE;
    c->next = 0;
    for (uint32_t k = from; c->promised && !c->next && k < c->n; k++) {
        const struct beginning *g = at(e, c->hash[k], &i);
        if (g && g->standing == PROMISED && g->maker == a->number) c->next = (k + 1) * KV_PAGE;
    }
    schedule_cut(e->scheduler, a->number, c->next);
}

void beginnings_promise(struct engine *e, struct live *a, uint32_t rows)
{
    struct sharing *c = &a->sharing;
    for (uint32_t k = rows / KV_PAGE; k < c->n; k++) {
        struct node *n = find(e->beginnings, c->hash[k]);
        const uint32_t end = (k + 1) * KV_PAGE;
        if (!n || !n->forks || n->number || cuts_a_picture(a, end) || !pages_could_keep(e->pages, end, live_rows_most(e, a))) continue;
        const uint32_t number = take_number(e);
        if (number == NO_BEGINNING) break;
        e->beginnings->of[number] = (struct beginning){.standing = PROMISED, .hash = c->hash[k], .maker = a->number,
                                                       .priority = a->ask.priority, .salt = a->ask.salt};
        n->number = (uint16_t)(number + 1);
        c->promised++;
    }
    if (c->promised) set_next(e, a);
}

void beginnings_keep(struct engine *e, struct live *a, uint32_t slot)
{
    struct sharing *c = &a->sharing;
    uint32_t i = NO_BEGINNING;
    struct beginning *g = at(e, c->hash[c->next / KV_PAGE - 1], &i);
    const bool kept = held_copy(e, a, c->next, &g->held) && pages_keep(e->pages, slot, i, c->next, a->history, live_rows_most(e, a));
    g->standing = KEPT;
    g->history = a->history;
    g->since = e->next_since++;
    e->kept_some = true;
    if (!kept) forget(e->beginnings, g);
    c->promised--;
    set_next(e, a);
}

void beginnings_break(struct engine *e, struct live *a)
{
    for (uint32_t i = 0; a->sharing.promised && i < WIRE_BEGINNINGS; i++) {
        struct beginning *g = &e->beginnings->of[i];
        if (g->standing == PROMISED && g->maker == a->number) forget(e->beginnings, g);
    }
    a->sharing.promised = a->sharing.next = 0;
}

/* ---- dropping one ---- */

uint32_t beginnings_longest(const struct engine *e, uint64_t *since)
{
    uint32_t longest = NO_BEGINNING;
    for (uint32_t i = 0; e->beginnings && i < WIRE_BEGINNINGS; i++) {
        const struct beginning *g = &e->beginnings->of[i];
        if (g->standing != KEPT || (longest != NO_BEGINNING && g->since > *since) || !pages_can_drop(e->pages, i)) continue;
        longest = i;
        *since = g->since;
    }
    return longest;
}

void beginnings_drop(struct engine *e, uint32_t number)
{
    schedule_dropped(e->scheduler, number);
    pages_drop(e->pages, number);
    forget(e->beginnings, &e->beginnings->of[number]);
}

void beginnings_restart(struct engine *e)
{
    if (!e->beginnings) return;
    for (uint32_t i = 0; i < WIRE_BEGINNINGS; i++)
        if (e->beginnings->of[i].standing != NONE) forget(e->beginnings, &e->beginnings->of[i]);
    for (struct live *a = e->first; a; a = a->after) a->sharing.awaits = NO_BEGINNING;
}
