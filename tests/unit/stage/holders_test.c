/* tests/unit/stage/holders_test.c — whatever becomes of slots and beginnings, each sees its own rows, and no page is lost or shared by
 * mistake. Histories are drawn against a plain model of what docs/WIRE.md says of orders: it copies instead of sharing, and counts
 * pages by giving every block a number of its own. */
#include "tests/support/check.h"
#include "tests/support/toy.h"

#include "worker/stage/sequences.h"

#include <stdlib.h>

enum { SLOTS = 5, BEGINNINGS = 4, HOLDERS = SLOTS + BEGINNINGS, CONTEXT = 420, ROWS = 40, BLOCKS = (CONTEXT + KV_PAGE - 1) / KV_PAGE };
#define NOT_OWN UINT32_MAX

struct place {
    uint32_t id;    /* of the block; 0: none */
    uint32_t index; /* the latest block that was written here */
    uint32_t own;   /* the first that was written here by this holder */
};

struct holder {
    uint32_t rows, shared, most;
    uint32_t ids[CONTEXT];
    uint64_t history[CONTEXT + 1], score[CONTEXT];
    uint32_t global[BLOCKS];
    struct place ring[BLOCKS];
};

struct world {
    uint64_t dice;
    uint32_t window, ring, next_id, vocab, obeyed[ORDER_BACK + 1];
    struct holder of[HOLDERS]; /* slots, then beginnings */
};

static uint32_t roll(struct world *m, uint32_t n)
{
    return (uint32_t)((toy_random(&m->dice) >> 33) % n);
}

static uint32_t blocks(uint32_t rows)
{
    return (rows + KV_PAGE - 1) / KV_PAGE;
}

static uint32_t seen_from(const struct world *m, uint32_t position)
{
    return position >= m->window ? (position - m->window + 1) / KV_PAGE : 0;
}

/* ---- the model: what an order means ---- */

static void forget(struct holder *h)
{
    memset(h, 0, sizeof *h);
    h->history[0] = HISTORY_EMPTY;
}

static void keep(const struct world *m, struct holder *h, struct holder *beginning)
{
    const uint32_t from = seen_from(m, h->rows);
    h->shared = h->most = h->rows;
    for (uint32_t i = 0; i < m->ring; i++) {
        struct place *p = &h->ring[i];
        p->own = NOT_OWN;
        if (p->id && (p->index < from || p->index >= h->rows / KV_PAGE)) p->id = 0;
    }
    *beginning = *h;
}

static bool can_go_back(const struct world *m, const struct holder *h, uint32_t rows)
{
    if (rows < h->shared || rows > h->rows || h->most - rows > WIRE_DRAFT) return false;
    for (uint32_t b = seen_from(m, rows); b < blocks(rows); b++)
        if (h->ring[b % m->ring].index != b) return false;
    return true;
}

static void go_back(const struct world *m, struct holder *h, uint32_t rows)
{
    for (uint32_t b = blocks(rows); b < blocks(h->rows); b++) h->global[b] = 0;
    for (uint32_t i = 0; i < m->ring; i++)
        if (h->ring[i].own != NOT_OWN && h->ring[i].own >= blocks(rows)) h->ring[i].id = 0;
    h->rows = rows;
}

static void grow(struct world *m, struct holder *h, uint32_t rows)
{
    for (uint32_t b = blocks(h->rows); b < blocks(h->rows + rows); b++) {
        struct place *p = &h->ring[b % m->ring];
        const bool own = p->id && p->own != NOT_OWN;
        h->global[b] = ++m->next_id;
        *p = (struct place){own ? p->id : ++m->next_id, b, own ? p->own : b};
    }
    for (uint32_t i = 0; i < rows; i++, h->rows++) {
        h->ids[h->rows] = roll(m, m->vocab);
        h->history[h->rows + 1] = history_after(h->history[h->rows], h->ids[h->rows]);
    }
    if (h->most < h->rows) h->most = h->rows;
}

static uint64_t pages_held(const struct world *m, uint32_t global_layers, uint32_t local_layers)
{
    static uint32_t seen[1 << 18], turn;
    uint64_t pages = 0;
    turn++;
    for (const struct holder *h = m->of; h < m->of + HOLDERS; h++) {
        for (uint32_t b = 0; b < blocks(h->rows); b++)
            if (seen[h->global[b]] != turn) seen[h->global[b]] = turn, pages += global_layers;
        for (uint32_t i = 0; i < m->ring; i++)
            if (h->ring[i].id && seen[h->ring[i].id] != turn) seen[h->ring[i].id] = turn, pages += local_layers;
    }
    return pages;
}

/* ---- drawing what may happen ---- */

static void say(struct world *m, struct work *w, struct order o)
{
    w->orders[w->n_orders++] = o;
    m->obeyed[o.kind]++;
}

static void draw_order(struct world *m, struct work *w)
{
    const uint32_t slot = roll(m, SLOTS), number = roll(m, BEGINNINGS), what = roll(m, 16);
    struct holder *s = &m->of[slot], *b = &m->of[SLOTS + number];
    const uint32_t back = s->rows - roll(m, WIRE_DRAFT + 1);
    if (what == 0 || (what < 4 && b->rows)) {
        say(m, w, (struct order){.kind = ORDER_FORGET, .slot = slot});
        forget(s);
    }
    if (what == 4 && b->rows) {
        say(m, w, (struct order){.kind = ORDER_DROP, .beginning = number});
        forget(b);
    } else if (what < 5 && b->rows && !s->rows) {
        say(m, w, (struct order){ORDER_BEGIN, slot, number, b->rows, b->history[b->rows]});
        *s = *b;
    } else if (what < 10 && !b->rows && s->rows && s->rows % KV_PAGE == 0) {
        say(m, w, (struct order){ORDER_KEEP, slot, number, s->rows, s->history[s->rows]});
        keep(m, s, b);
    } else if (what >= 10 && back <= s->rows && can_go_back(m, s, back)) {
        say(m, w, (struct order){ORDER_BACK, slot, 0, back, s->history[back]});
        go_back(m, s, back);
    }
}

static void add_rows(struct world *m, struct work *w, uint32_t slot, uint32_t rows)
{
    struct holder *h = &m->of[slot];
    struct segment *g = &w->segments[w->n_segments++];
    *g = (struct segment){.slot = slot, .position = h->rows, .rows = rows, .history = h->history[h->rows], .flags = SEG_WANT_LOGITS,
                          .sampling = {.top_p = 1, .repeat_penalty = 1}};
    grow(m, h, rows);
    for (uint32_t p = g->position; p < h->rows; p++) w->rows[w->n_rows++] = (struct row){h->ids[p], p};
}

static void draw_segment(struct world *m, struct work *w, uint32_t slot)
{
    struct holder *h = &m->of[slot];
    const bool anew = !h->rows || !roll(m, 30);
    if (anew) forget(h);
    uint32_t rows = 1 + roll(m, roll(m, 3) ? ROWS - w->n_rows : WIRE_DRAFT + 1);
    if (!roll(m, 3)) rows = KV_PAGE - h->rows % KV_PAGE; /* as far as a beginning may go */
    if (rows > ROWS - w->n_rows) rows = ROWS - w->n_rows;
    if (rows > CONTEXT - h->rows) rows = CONTEXT - h->rows;
    if (!rows) return;
    add_rows(m, w, slot, rows);
    if (anew) w->segments[w->n_segments - 1].flags |= SEG_START;
}

/* An order that cannot be obeyed in this world. */
static struct order draw_nonsense(struct world *m)
{
    const uint32_t slot = roll(m, SLOTS), number = roll(m, BEGINNINGS);
    const struct holder *s = &m->of[slot], *b = &m->of[SLOTS + number];
    switch (roll(m, 8)) {
    case 0: return (struct order){.kind = ORDER_FORGET, .slot = SLOTS};
    case 1: return (struct order){.kind = ORDER_DROP, .beginning = b->rows ? WIRE_BEGINNINGS : number};
    case 2: return (struct order){ORDER_KEEP, slot, number, s->rows, s->history[s->rows] ^ 1};
    case 3: return (struct order){ORDER_KEEP, slot, number, s->rows + 1, s->history[s->rows]};
    case 4: return (struct order){ORDER_BEGIN, slot, number, b->rows, b->history[b->rows] ^ 1};
    case 5: return (struct order){ORDER_BEGIN, slot, number, b->rows + KV_PAGE, b->history[b->rows]};
    case 6: return (struct order){ORDER_BACK, slot, 0, s->rows + 1, s->history[s->rows]};
    default: return s->most > WIRE_DRAFT ? (struct order){ORDER_BACK, slot, 0, s->most - WIRE_DRAFT - 1, s->history[s->most - WIRE_DRAFT - 1]}
                                         : (struct order){.kind = ORDER_BACK + 1, .slot = slot};
    }
}

/* With `nonsense` behind the orders, or without. */
static void draw_work(struct world *m, struct work *w, bool nonsense)
{
    w->batch++;
    w->n_orders = w->n_segments = w->n_rows = 0;
    for (uint32_t i = roll(m, 6); i; i--) draw_order(m, w);
    if (nonsense) w->orders[w->n_orders++] = draw_nonsense(m);
    for (uint32_t slot = roll(m, SLOTS), n = 1 + roll(m, 3); n && w->n_rows < ROWS; n--, slot = (slot + 1) % SLOTS)
        if (roll(m, 4)) draw_segment(m, w, slot);
}

/* ---- a stage without arithmetic: what a row leaves in a page is the history up to it ---- */

struct shelf {
    struct part part;
    struct kv kv;
    struct sequences sequences;
    uint8_t *memory;
    uint32_t pages, global, local; /* global, local: layers */
};

static void shelf_close(struct shelf *s)
{
    sequences_close(&s->sequences);
    kv_close(&s->kv);
    free(s->memory);
}

static int shelf_open(struct shelf *s, const struct model_config *c, struct part part, const struct capacity *cap, struct err *why)
{
    *s = (struct shelf){.part = part, .pages = (uint32_t)kv_pool_pages(c, part, cap)};
    s->memory = aligned_alloc(64, (s->pages * kv_page_bytes(c, cap->mode.kv) + kv_tables_bytes(c, part, cap) + 64) / 64 * 64);
    for (uint32_t l = part.first; l < part.end; l++) layer_is_global(c, l) ? s->global++ : s->local++;
    TRY(kv_open(&s->kv, c, part, cap, s->memory, why));
    return sequences_open(&s->sequences, cap, &s->kv, why);
}

static uint64_t mark_of(const struct holder *h, uint32_t position, uint32_t layer)
{
    return hash_fold(h->history[position + 1], layer);
}

static uint64_t *mark_at(uint8_t *page, uint32_t position)
{
    return (uint64_t *)(void *)page + position % KV_PAGE;
}

static uint32_t holders_of(const struct shelf *s, uint32_t layer, uint32_t holder, uint32_t block)
{
    const struct kv_blocks *b = &s->kv.of[s->kv.layer[layer].kind];
    return s->kv.holders[b->table[holder * b->places + block % b->places]];
}

static void write_rows(struct shelf *s, const struct world *m, const struct work *w)
{
    for (const struct segment *g = w->segments; g < w->segments + w->n_segments; g++)
        for (uint32_t l = 0; l < s->kv.layers; l++)
            for (uint32_t p = g->position; p < g->position + g->rows; p++) {
                CHECK(holders_of(s, l, g->slot, p / KV_PAGE) == 1, "a page of slot %u is written that others hold", g->slot);
                *mark_at(kv_slot(&s->kv, l, g->slot)[p / KV_PAGE % s->kv.layer[l].n_pages], p) = mark_of(&m->of[g->slot], p, l);
            }
}

/* A page of a beginning: its number is in the first layer's table, those of the other layers follow. */
static uint8_t *page_of(const struct shelf *s, uint32_t layer, uint32_t holder, uint32_t block)
{
    const struct kv_blocks *b = &s->kv.of[s->kv.layer[layer].kind];
    uint32_t page = b->table[holder * b->places + block % b->places];
    for (uint32_t l = 0; l < layer; l++)
        if (s->kv.layer[l].kind == s->kv.layer[layer].kind) page = s->kv.next[page];
    return s->kv.memory + page * s->kv.page_bytes;
}

/* All that the next row of any holder could see is what its own rows left. */
static bool sees_its_own(const struct shelf *s, const struct world *m, uint32_t holder)
{
    const struct holder *h = &m->of[holder];
    bool good = true;
    for (uint32_t l = 0; l < s->kv.layers; l++) {
        const bool local = s->kv.layer[l].kind == KV_LOCAL;
        for (uint32_t p = local && h->rows >= m->window ? h->rows - m->window + 1 : 0; p < h->rows; p++) {
            uint8_t *page = page_of(s, l, holder, p / KV_PAGE);
            good &= *mark_at(page, p) == mark_of(h, p, l);
            if (holder < SLOTS) good &= page == kv_slot(&s->kv, l, holder)[p / KV_PAGE % s->kv.layer[l].n_pages];
        }
    }
    return good;
}

static uint64_t state_of(const struct shelf *s)
{
    uint64_t h = hash64(s->sequences.all, s->sequences.n * sizeof *s->sequences.all);
    h = hash_fold(h, hash64(s->kv.holders, 2 * s->pages * sizeof *s->kv.holders));
    for (int kind = 0; kind < KV_KINDS; kind++)
        if (s->kv.of[kind].layers)
            h = hash_fold(h, hash64(s->kv.of[kind].table, s->sequences.n * s->kv.of[kind].places * sizeof(uint32_t)));
    for (uint32_t l = 0; l < s->kv.layers; l++)
        h = hash_fold(h, hash64(s->kv.layer[l].pages, (size_t)SLOTS * s->kv.layer[l].n_pages * sizeof(uint8_t *)));
    return hash_fold(hash_fold(h, s->kv.first_free), s->kv.n_free);
}

static void refused(struct shelf *s, const struct work *w, const char *words)
{
    struct err why = {0};
    const uint64_t before = state_of(s);
    const int code = sequences_check(&s->sequences, w, &why);
    CHECK(code == E_WIRE && strstr(why.text, words), "%d \"%s\", wanted \"%s\"", code, why.text, words);
    CHECK(state_of(s) == before, "\"%s\" changed something", why.text);
}

/* ---- the claims ---- */

static struct model_config small_config(uint32_t window, uint32_t pattern)
{
    struct model_config c = toy_config();
    c.kv_heads = 1, c.head_dim = 2, c.window = window, c.pattern = pattern;
    return c;
}

static void world_open(struct world *m, const struct model_config *c, const struct capacity *cap, uint64_t seed)
{
    *m = (struct world){.dice = seed, .window = c->window, .ring = kv_ring(c, cap), .vocab = c->vocab};
    for (int i = 0; i < HOLDERS; i++) forget(&m->of[i]);
}

static bool fits(const struct world *m, const struct model_config *c, struct part part, const struct capacity *cap)
{
    uint32_t of_kind[2] = {0};
    for (uint32_t l = part.first; l < part.end; l++) of_kind[layer_is_global(c, l)]++;
    return pages_held(m, of_kind[true], of_kind[false]) <= kv_pool_pages(c, part, cap);
}

static void step_shelf(struct shelf *s, const struct world *m, const struct work *w)
{
    struct err why = {0};
    const int code = sequences_check(&s->sequences, w, &why);
    CHECK(code == 0, "%s", why.text);
    if (code) return;
    sequences_advance(&s->sequences, w);
    write_rows(s, m, w);
    const uint64_t held = pages_held(m, s->global, s->local);
    CHECK(s->kv.n_free == s->pages - held, "%u of %u pages are free, %llu are held", s->kv.n_free, s->pages, (unsigned long long)held);
    for (uint32_t i = 0; i < HOLDERS; i++) {
        const struct sequence *q = &s->sequences.all[i];
        CHECK(q->held.rows == m->of[i].rows && q->histories[q->held.rows % RECENT_HISTORIES] == m->of[i].history[m->of[i].rows]);
        CHECK(sees_its_own(s, m, i), "holder %u, %u rows, batch %llu", i, m->of[i].rows, (unsigned long long)w->batch);
    }
    for (uint32_t i = 0; i < SLOTS && w->batch % 16 == 0; i++) {
        const struct holder *h = &m->of[i];
        uint32_t recent[REPEAT_LAST_MOST];
        if (!h->rows) continue;
        const uint32_t n = sequences_recent(&s->sequences, i, h->rows - 1, REPEAT_LAST_MOST, recent);
        CHECK(!memcmp(recent, h->ids + h->rows - n, n * sizeof *recent), "the last ids of slot %u", i);
    }
}

/* Drops and forgets all, as if everybody had gone. */
static void empty(struct shelf *shelves, int n, struct world *m, struct work *w)
{
    w->n_orders = w->n_segments = w->n_rows = 0;
    for (uint32_t i = 0; i < HOLDERS; i++) {
        if (!m->of[i].rows) continue;
        w->orders[w->n_orders++] = i < SLOTS ? (struct order){.kind = ORDER_FORGET, .slot = i}
                                             : (struct order){.kind = ORDER_DROP, .beginning = i - SLOTS};
        forget(&m->of[i]);
    }
    for (int i = 0; i < n; i++) {
        step_shelf(&shelves[i], m, w);
        CHECK(shelves[i].kv.n_free == shelves[i].pages, "%u pages of %u are left", shelves[i].kv.n_free, shelves[i].pages);
    }
}

static void draw_a_history(uint32_t window, uint32_t pattern, uint32_t pool, uint64_t seed, int steps, int *short_of)
{
    const struct model_config c = small_config(window, pattern);
    const struct capacity cap = {CONTEXT, SLOTS, ROWS, 2, pool, {0}};
    const struct part parts[] = {{0, 2, 0, 0, false}, {2, 3, 0, 0, false}, {3, 7, 0, 0, false}, {7, 7, 0, HEAD_PARTS, false}};
    enum { N = 4 };
    struct shelf shelves[N];
    struct world *m = malloc(sizeof *m), *next = malloc(sizeof *next);
    struct work *w = calloc(1, sizeof *w);
    world_open(m, &c, &cap, seed);
    for (int i = 0; i < N; i++) NEED(shelf_open(&shelves[i], &c, parts[i], &cap, why));
    for (int step = 0; step < steps; step++) {
        *next = *m;
        const bool nonsense = !roll(next, 6);
        draw_work(next, w, nonsense);
        m->dice = next->dice, m->next_id = next->next_id;
        if (nonsense) {
            for (int i = 0; i < N; i++) refused(&shelves[i], w, "");
            continue;
        }
        bool all_fit = true;
        for (int i = 0; i < N; i++) {
            if (fits(next, &c, parts[i], &cap)) continue;
            refused(&shelves[i], w, "pages of keys and values");
            all_fit = false;
        }
        if (!all_fit) {
            *short_of += 1;
            if (!roll(m, 20)) empty(shelves, N, m, w);
        } else {
            struct world *swap = m;
            m = next, next = swap;
            m->dice = swap->dice;
            for (int i = 0; i < N; i++) step_shelf(&shelves[i], m, w);
        }
    }
    for (int kind = ORDER_FORGET; kind <= ORDER_BACK; kind++) CHECK(m->obeyed[kind] >= 50, "orders of kind %d: %u", kind, m->obeyed[kind]);
    empty(shelves, N, m, w);
    for (int i = 0; i < N; i++) shelf_close(&shelves[i]);
    free(m);
    free(next);
    free(w);
}

TEST(every_holder_sees_its_own_rows_and_pages_are_counted_exactly)
{
    const struct { uint32_t window, pattern, pool; } drawn[] = {{20, 3, 0}, {70, 3, 12}, {130, 2, 16}, {200, 6, 24}, {1, 3, 9}, {64, 1, 20}};
    int short_of = 0;
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++)
        draw_a_history(drawn[i].window, drawn[i].pattern, drawn[i].pool, 100 + i, 1500, &short_of);
    CHECK(short_of > 100, "pages were short %d times", short_of);
}

/* `rows` more of a slot, as many at a time as may be. */
static void feed(struct shelf *s, struct world *m, struct work *w, uint32_t slot, uint32_t rows)
{
    for (uint32_t n; rows; rows -= n) {
        n = rows < s->sequences.capacity.rows ? rows : s->sequences.capacity.rows;
        w->n_orders = w->n_segments = w->n_rows = 0;
        add_rows(m, w, slot, n);
        step_shelf(s, m, w);
    }
}

static void refuses(struct shelf *s, struct work *w, const char *words, struct order last)
{
    w->orders[w->n_orders++] = last;
    refused(s, w, words);
    w->n_orders = w->n_segments = w->n_rows = 0;
}

/* Behind a good order in the same list, which must not have happened either. */
TEST(an_order_that_does_not_fit_is_refused_with_a_sentence)
{
    const struct model_config c = small_config(70, 3);
    const struct capacity cap = {CONTEXT, SLOTS, ROWS, 2, 0, {0}};
    struct world *m = malloc(sizeof *m);
    struct work *w = calloc(1, sizeof *w);
    struct shelf s;
    world_open(m, &c, &cap, 3);
    NEED(shelf_open(&s, &c, (struct part){0, 7, 0, 0, false}, &cap, why));
    feed(&s, m, w, 0, 128);
    w->n_orders = w->n_segments = w->n_rows = 0;
    const uint64_t at_128 = m->of[0].history[128];
    say(m, w, (struct order){ORDER_KEEP, 0, 1, 128, at_128});
    keep(m, &m->of[0], &m->of[SLOTS + 1]);
    step_shelf(&s, m, w);
    feed(&s, m, w, 0, 5);
    feed(&s, m, w, 1, 70);
    const struct holder *zero = &m->of[0], *one = &m->of[1];
    const struct { const char *words; struct order order; } bad[] = {
        {"kind 6", {.kind = ORDER_BACK + 1}},
        {"slot 5", {.kind = ORDER_FORGET, .slot = SLOTS}},
        {"beginning 256", {ORDER_KEEP, 0, WIRE_BEGINNINGS, 128, at_128}},
        {"is to be dropped", {.kind = ORDER_DROP, .beginning = 2}},
        {"has 128 already", {ORDER_KEEP, 0, 1, zero->rows, zero->history[zero->rows]}},
        {"70 rows cannot be a beginning", {ORDER_KEEP, 1, 2, 70, one->history[70]}},
        {"slot 1 has 70", {ORDER_KEEP, 1, 2, 64, one->history[64]}},
        {"slot 3 has 0", {ORDER_KEEP, 3, 2, 0, HISTORY_EMPTY}},
        {"it holds 70 rows", {ORDER_BEGIN, 1, 1, 128, at_128}},
        {"beginning 1 has 128", {ORDER_BEGIN, 2, 1, 64, zero->history[64]}},
        {"beginning 1 has 128", {ORDER_BEGIN, 2, 1, 128, at_128 ^ 1}},
        {"beginning 2 has 0", {ORDER_BEGIN, 2, 2, 0, HISTORY_EMPTY}},
        {"back to 71 rows", {ORDER_BACK, 1, 0, 71, one->history[70]}},
        {"back to 53 rows", {ORDER_BACK, 1, 0, 53, one->history[53]}},
        {"of other tokens", {ORDER_BACK, 1, 0, 60, one->history[61]}},
        {"somebody else's", {ORDER_BACK, 0, 0, 127, zero->history[127]}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        w->orders[w->n_orders++] = (struct order){.kind = ORDER_FORGET, .slot = 4};
        refuses(&s, w, bad[i].words, bad[i].order);
    }
    /* what an earlier order of the list has changed counts */
    const struct order back = {ORDER_BACK, 1, 0, 64, one->history[64]};
    w->orders[w->n_orders++] = back;
    refuses(&s, w, "back to 65 rows", (struct order){ORDER_BACK, 1, 0, 65, one->history[65]});
    w->orders[w->n_orders++] = back;
    refuses(&s, w, "back to 53 rows", (struct order){ORDER_BACK, 1, 0, 53, one->history[70]}); /* where histories of 53 and 70 rows are kept */
    w->orders[w->n_orders++] = (struct order){.kind = ORDER_DROP, .beginning = 1};
    refuses(&s, w, "beginning 1 has 0", (struct order){ORDER_BEGIN, 2, 1, 128, at_128});
    add_rows(m, w, 1, 1);
    refuses(&s, w, "come to 0", (struct order){.kind = ORDER_FORGET, .slot = 1});
    w->n_orders = WIRE_ORDERS;
    refused(&s, (w->n_orders++, w), "1025 orders");
    shelf_close(&s);
    free(m);
    free(w);
}

/* With so few rows in a micro-batch a ring is written over sooner than a draft is long. */
TEST(nobody_goes_back_to_where_a_ring_has_been_written_over)
{
    const struct model_config c = small_config(57, 3);
    const struct capacity cap = {CONTEXT, SLOTS, 8, 2, 0, {0}};
    struct world *m = malloc(sizeof *m);
    struct work *w = calloc(1, sizeof *w);
    struct shelf s;
    world_open(m, &c, &cap, 4);
    NEED(shelf_open(&s, &c, (struct part){0, 7, 0, 0, false}, &cap, why));
    feed(&s, m, w, 0, 129);
    w->n_orders = w->n_segments = w->n_rows = 0;
    refuses(&s, w, "back to 113 rows", (struct order){ORDER_BACK, 0, 0, 113, m->of[0].history[113]});
    say(m, w, (struct order){ORDER_BACK, 0, 0, 120, m->of[0].history[120]});
    go_back(m, &m->of[0], 120);
    step_shelf(&s, m, w);
    feed(&s, m, w, 0, 40);
    shelf_close(&s);
    free(m);
    free(w);
}

/* ---- with arithmetic: scores ---- */

/* A whole sequence from its first row on, by a stage that has room for all of it. */
static void check_scores(struct relay *alone, const struct holder *h)
{
    struct work *w = alone->work;
    for (uint32_t p = 0; p < h->rows; p += w->n_rows) {
        work_clear(alone);
        w->segments[w->n_segments++] = (struct segment){.slot = 0, .position = p, .rows = h->rows - p < ROWS ? h->rows - p : ROWS,
                                                        .flags = SEG_WANT_LOGITS | (p ? 0 : SEG_START), .history = h->history[p],
                                                        .sampling = {.top_p = 1, .repeat_penalty = 1}};
        for (uint32_t i = 0; i < w->segments[0].rows; i++) w->rows[w->n_rows++] = (struct row){h->ids[p + i], p + i};
        NEED(relay_run(alone, why));
    }
    CHECK(!memcmp(alone->hashes, h->score, h->rows * sizeof *h->score), "a sequence of %u rows", h->rows);
}

static void take_scores(struct world *m, const struct relay *r)
{
    for (const struct segment *g = r->work->segments; g < r->work->segments + r->work->n_segments; g++)
        memcpy(m->of[g->slot].score + g->position, r->hashes + (size_t)g->slot * CONTEXT + g->position, g->rows * sizeof *r->hashes);
}

static void scores_do_not_depend_on_it(const struct toy *toy, const char *cuts, uint32_t pool, uint64_t seed)
{
    const struct relay_plan plan = {cuts, {CONTEXT, SLOTS, ROWS, 2, pool, {0}}, 1, NULL, NULL}, lone = {"4", {CONTEXT, 1, ROWS, 1, 0, {0}}, 1, NULL, NULL};
    struct world *m = malloc(sizeof *m), *next = malloc(sizeof *next);
    struct relay *r, *alone;
    uint32_t run = 0, rows = 0;
    NEED(relay_open(&r, toy, &plan, why));
    NEED(relay_open(&alone, toy, &lone, why));
    world_open(m, &toy->config, &plan.capacity, seed);
    while (run < 90) {
        *next = *m;
        work_clear(r);
        draw_work(next, r->work, false);
        m->dice = next->dice;
        bool all_fit = true;
        for (int i = 0; i < r->n; i++) all_fit &= fits(next, &toy->config, r->parts[i], &plan.capacity);
        if (!all_fit) continue;
        NEED(relay_run(r, why));
        take_scores(next, r);
        *m = *next;
        if (run++ % 18 == 17)
            for (uint32_t i = 0; i < SLOTS; i++) rows += m->of[i].rows, check_scores(alone, &m->of[i]);
    }
    CHECK(rows > 1500, "%u rows were compared", rows);
    for (int kind = ORDER_FORGET; kind <= ORDER_BACK; kind++) CHECK(m->obeyed[kind] >= 5, "orders of kind %d: %u", kind, m->obeyed[kind]);
    relay_close(&r);
    relay_close(&alone);
    free(m);
    free(next);
}

TEST(no_score_depends_on_who_began_or_went_back)
{
    struct model_config c = toy_config();
    c.layers = 4;
    struct toy *toy = toy_make(c, (struct toy_types){T_Q4_0, T_Q4_0, T_Q4_0, T_Q8_0}, 8);
    const char *cuts[] = {"4", "2,4", "1,3,4"};
    for (uint64_t i = 0; i < 3; i++) scores_do_not_depend_on_it(toy, cuts[i], i ? 16 : 0, 40 + i);
    toy_free(toy);
}
