/* coordinator/engine/pages.c — see pages.h.
 *
 * Of local blocks a slot's own count is an upper bound: a ring is full once it is as long as the blocks that were written, whichever
 * of its places were shared meanwhile. What a slot had written before it gave its last window away to a beginning stays in the ring
 * until it is written over: `spare`. */
#include "coordinator/engine/pages.h"

#include "partition/model/memory.h"

#include <stdlib.h>
#include <string.h>

/* The list of orders is never full of what frees: so many places are for what makes rows go, and some of these for slots that go back,
 * who cannot wait. */
#define ORDERS_FREEING (WIRE_ORDERS - 256)
#define ORDERS_ENTERING (WIRE_ORDERS - GUESSING_MOST)

struct slot_pages {
    uint32_t rows;      /* that it has blocks for */
    uint32_t beginning; /* or NO_BEGINNING */
    uint32_t spare;     /* blocks of its ring that lie before the beginning's end and are its own */
    bool late;          /* it was left when the list of orders was full */
};

struct kept_pages { /* a beginning */
    bool used;
    uint32_t rows, parent, local; /* local: blocks that are its own */
    uint32_t behind;              /* slots and beginnings that go on there */
    uint64_t history;
};

struct pages {
    struct pages_limits limits;
    struct pages_stage *stages;
    struct slot_pages *slot;
    struct kept_pages kept[WIRE_BEGINNINGS];
    uint64_t global, local; /* blocks in use */
    struct order orders[WIRE_ORDERS];
    uint32_t n_orders;
};

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t blocks(uint32_t rows)
{
    return rows / KV_PAGE + (rows % KV_PAGE != 0);
}

/* The first block that a row behind `rows` rows sees in a local layer. */
static uint32_t seen_from(const struct pages *p, uint32_t rows)
{
    return rows >= p->limits.window ? (rows - p->limits.window + 1) / KV_PAGE : 0;
}

static bool fits(const struct pages *p, uint64_t global, uint64_t local)
{
    for (uint32_t i = 0; i < p->limits.n_stages; i++) {
        const struct pages_stage *s = &p->stages[i];
        if (s->global * global + s->local * local > s->pool) return false;
    }
    return true;
}

double pages_used(const struct pages *p)
{
    double most_used = 0;
    for (uint32_t i = 0; i < p->limits.n_stages; i++) {
        const struct pages_stage *s = &p->stages[i];
        const double used = s->pool ? (double)(s->global * p->global + s->local * p->local) / (double)s->pool : 0;
        if (used > most_used) most_used = used;
    }
    return most_used;
}

int pages_open(struct pages **out, const struct pages_limits *limits, struct err *why)
{
    struct pages *p = *out = calloc(1, sizeof *p);
    if (!p) return fail(why, E_MEMORY, "no memory for the account of pages");
    p->limits = *limits;
    p->slot = calloc(limits->slots, sizeof *p->slot);
    p->stages = calloc(limits->n_stages, sizeof *p->stages);
    if (!p->slot || !p->stages) {
        pages_close(out);
        return fail(why, E_MEMORY, "no memory for the account of the pages of %u sequences", limits->slots);
    }
    memcpy(p->stages, limits->stages, limits->n_stages * sizeof *p->stages);
    for (uint32_t i = 0; i < limits->slots; i++) p->slot[i].beginning = NO_BEGINNING;
    if (pages_could_hold(p, NO_BEGINNING, limits->context)) return 0;
    pages_close(out);
    return fail(why, E_USAGE, "a stage's pool of pages cannot hold one sequence of %u positions", limits->context);
}

void pages_close(struct pages **pages)
{
    struct pages *p = *pages;
    if (!p) return;
    free(p->slot);
    free(p->stages);
    free(p);
    *pages = NULL;
}

/* ---- what a slot owns ---- */

static uint32_t begun(const struct pages *p, uint32_t beginning)
{
    return beginning == NO_BEGINNING ? 0 : p->kept[beginning].rows;
}

static uint32_t own_global(const struct pages *p, const struct slot_pages *s)
{
    return s->rows ? blocks(s->rows) - begun(p, s->beginning) / KV_PAGE : 0;
}

static uint32_t own_local(const struct pages *p, const struct slot_pages *s)
{
    return s->rows ? least(p->limits.ring, s->spare + own_global(p, s)) : 0;
}

/* The slot becomes what is given, if there is room for that and for so much beside; what becomes less always fits. */
static bool become(struct pages *p, struct slot_pages *s, struct slot_pages next, uint64_t global_too, uint64_t local_too)
{
    const uint64_t global = p->global - own_global(p, s) + own_global(p, &next);
    const uint64_t local = p->local - own_local(p, s) + own_local(p, &next);
    if (!fits(p, global + global_too, local + local_too)) return false;
    *s = next;
    p->global = global;
    p->local = local;
    return true;
}

static void say(struct pages *p, struct order order)
{
    p->orders[p->n_orders++] = order;
}

bool pages_enter(struct pages *p, uint32_t slot, uint32_t beginning, uint32_t rows)
{
    struct slot_pages next = {.rows = rows, .beginning = beginning};
    const uint32_t whole = blocks(p->limits.context);
    uint64_t global = 0, local = 0;
    if (p->slot[slot].late || p->n_orders >= ORDERS_ENTERING) return false;
    for (uint32_t i = 0; i < p->limits.slots; i++) {
        global += p->slot[i].rows && blocks(p->slot[i].rows) < whole;
        local += p->slot[i].rows && own_local(p, &p->slot[i]) < p->limits.ring;
    }
    if (!become(p, &p->slot[slot], next, global, local)) return false;
    if (beginning == NO_BEGINNING) return true;
    struct kept_pages *k = &p->kept[beginning];
    k->behind++;
    say(p, (struct order){ORDER_BEGIN, slot, beginning, k->rows, k->history});
    return true;
}

bool pages_grow(struct pages *p, uint32_t slot, uint32_t rows)
{
    struct slot_pages next = p->slot[slot];
    next.rows = most(rows, next.rows);
    return become(p, &p->slot[slot], next, 0, 0);
}

void pages_back(struct pages *p, uint32_t slot, uint32_t rows, uint64_t history)
{
    struct slot_pages next = p->slot[slot];
    next.rows = rows;
    become(p, &p->slot[slot], next, 0, 0);
    uint32_t i = p->n_orders;
    while (i && (p->orders[i - 1].kind == ORDER_DROP || p->orders[i - 1].slot != slot)) i--;
    const struct order back = {ORDER_BACK, slot, 0, rows, history};
    if (i && p->orders[i - 1].kind == ORDER_BACK) p->orders[i - 1] = back; /* it went less far before */
    else say(p, back);
}

/* True if the workers have not been told of its beginning, and will not be. */
static bool take_back_begin(struct pages *p, uint32_t slot)
{
    for (uint32_t i = 0; i < p->n_orders; i++) {
        if (p->orders[i].kind != ORDER_BEGIN || p->orders[i].slot != slot) continue;
        memmove(p->orders + i, p->orders + i + 1, (p->n_orders - i - 1) * sizeof *p->orders);
        p->n_orders--;
        return true;
    }
    return false;
}

static void empty(struct pages *p, struct slot_pages *s)
{
    const uint32_t beginning = s->beginning;
    become(p, s, (struct slot_pages){.beginning = NO_BEGINNING}, 0, 0);
    if (beginning != NO_BEGINNING) p->kept[beginning].behind--;
}

void pages_leave(struct pages *p, uint32_t slot, bool told)
{
    struct slot_pages *s = &p->slot[slot];
    if (told && !take_back_begin(p, slot)) {
        s->late = p->n_orders >= ORDERS_FREEING;
        if (s->late) return;
        say(p, (struct order){.kind = ORDER_FORGET, .slot = slot});
    }
    empty(p, s);
}

uint32_t pages_begun(const struct pages *p, uint32_t slot)
{
    return p->slot[slot].beginning;
}

static bool could_hold(const struct pages *p, uint32_t beginning, uint32_t spare, uint32_t rows)
{
    const uint32_t all = blocks(least(rows, p->limits.context));
    uint32_t local = least(p->limits.ring, spare + all - begun(p, beginning) / KV_PAGE);
    for (uint32_t b = beginning; b != NO_BEGINNING; b = p->kept[b].parent) local += p->kept[b].local;
    return fits(p, all, local);
}

bool pages_could_hold(const struct pages *p, uint32_t beginning, uint32_t rows)
{
    return could_hold(p, beginning, 0, rows);
}

bool pages_could_go_on(const struct pages *p, uint32_t slot, uint32_t rows)
{
    return could_hold(p, p->slot[slot].beginning, p->slot[slot].spare, rows);
}

/* ---- beginnings ---- */

bool pages_could_keep(const struct pages *p, uint32_t rows, uint32_t rows_most)
{
    const uint32_t end = rows / KV_PAGE, passed = end - seen_from(p, rows), all = blocks(least(rows_most, p->limits.context));
    return fits(p, all, passed + least(p->limits.ring, least(p->limits.ring, end) - passed + all - end));
}

/* Its own slot was sent `rows` rows and no more: the blocks of its ring that these rows are in are its own, but for those that lie
 * before its own beginning's end. */
bool pages_keep(struct pages *p, uint32_t slot, uint32_t beginning, uint32_t rows, uint64_t history, uint32_t rows_most)
{
    struct slot_pages *s = &p->slot[slot], next = *s;
    const uint32_t end = rows / KV_PAGE, from = begun(p, s->beginning) / KV_PAGE;
    const uint32_t passed = end - most(seen_from(p, rows), from), held = least(p->limits.ring, s->spare + end - from);
    if (p->n_orders >= ORDERS_FREEING) return false;
    p->kept[beginning] = (struct kept_pages){true, rows, s->beginning, passed, 1, history};
    next.beginning = beginning;
    next.spare = held - passed;
    p->global += end - from;
    p->local += passed;
    if (!could_hold(p, beginning, next.spare, rows_most) || !become(p, s, next, 0, 0)) {
        p->global -= end - from;
        p->local -= passed;
        p->kept[beginning] = (struct kept_pages){0};
        return false;
    }
    say(p, (struct order){ORDER_KEEP, slot, beginning, rows, history});
    return true;
}

uint32_t pages_kept(const struct pages *p, uint32_t beginning)
{
    return p->kept[beginning].rows;
}

bool pages_can_drop(const struct pages *p, uint32_t beginning)
{
    return p->kept[beginning].used && !p->kept[beginning].behind && p->n_orders < ORDERS_FREEING;
}

void pages_drop(struct pages *p, uint32_t beginning)
{
    struct kept_pages *k = &p->kept[beginning];
    p->global -= (k->rows - begun(p, k->parent)) / KV_PAGE;
    p->local -= k->local;
    if (k->parent != NO_BEGINNING) p->kept[k->parent].behind--;
    *k = (struct kept_pages){0};
    say(p, (struct order){.kind = ORDER_DROP, .beginning = beginning});
}

/* ---- to the workers ---- */

uint32_t pages_orders(struct pages *p, struct order *out)
{
    const uint32_t n = p->n_orders;
    memcpy(out, p->orders, n * sizeof *out);
    p->n_orders = 0;
    for (uint32_t i = 0; i < p->limits.slots && n >= ORDERS_FREEING; i++)
        if (p->slot[i].late) pages_leave(p, i, true);
    return n;
}

bool pages_are_free(const struct pages *p, uint32_t *beginnings)
{
    bool free = true;
    *beginnings = 0;
    for (uint32_t i = 0; i < p->limits.slots; i++) free &= !p->slot[i].rows;
    for (uint32_t i = 0; i < WIRE_BEGINNINGS; i++) *beginnings += p->kept[i].used;
    return free && (*beginnings || (!p->global && !p->local));
}
