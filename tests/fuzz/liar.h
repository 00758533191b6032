/* tests/fuzz/liar.h — one worker of several whose frames are changed on their way to a coordinator, through all its epochs and under every
 * node that it has there, one after the other.
 *
 * A lie says which of its frames (the n-th of a kind, and so many after it), and what becomes of them: what replay.h does to one frame, or
 * that it never comes, comes twice, comes after the next one; that from then on it only says that it is at work; or a frame of another time comes beside it, as it was then, or as if it were
 * said now. What is left is numbered on as if it had meant it, or nothing would get past the port. */
#pragma once

#include "coordinator/cluster/pipeline.h"
#include "tests/fuzz/replay.h"

#define LIE_BYTES 8
#define LIES_MOST 8
#define HEARD_MOST 64 /* frames that are remembered, to be said again */
#define COMING_MOST 4

enum { LIE_SWALLOW = CHANGES, LIE_LATE, LIE_OLD, LIE_OLD_AS_NOW, LIE_UNREACHABLE, LIE_FAULT, LIE_LEAVE, LIE_BUSY, LIES };

struct lie {
    uint8_t type, what, at, times, a, b, c, d;
};

struct numbered { /* what is numbered for itself */
    int from;
    uint16_t route;
    uint32_t epoch, next;
};

struct coming {
    struct frame *f;
    size_t n;
    int from;
};

struct liar {
    struct kind kind; /* first, so that the kind of a changed port is a struct liar */
    const struct kind *own;
    const struct pipeline *pipe; /* knows who has which place */
    int place;                   /* of whoever lies */
    const struct lie *lies;
    uint32_t n_lies, seen[LIES_MOST];
    struct coming coming[COMING_MOST], late, heard[HEARD_MOST];
    uint32_t n_coming, n_heard;
    struct numbered numbered[SLOTS_MOST];
    uint32_t n_numbered;
    const struct lie *busy; /* as node `busy_as` it says that it is at work, or waits for work, as this lie has it, and nothing else */
    int busy_as;
    uint64_t last_ns; /* when it lied last */
    bool believed;    /* in what it computed: then nobody knows what is right; or of whom it spoke */
};

static inline struct liar *liar_of(struct port *p)
{
    return (struct liar *)p->kind;
}

static inline uint32_t *next_number(struct liar *l, const struct coming *c)
{
    const uint16_t route = le16(c->f->bytes + 36);
    const uint32_t epoch = le32(c->f->bytes + 24);
    for (uint32_t i = 0; i < l->n_numbered && i < SLOTS_MOST; i++)
        if (l->numbered[i].from == c->from && l->numbered[i].route == route && l->numbered[i].epoch == epoch) return &l->numbered[i].next;
    struct numbered *s = &l->numbered[l->n_numbered++ % SLOTS_MOST];
    *s = (struct numbered){c->from, route, epoch, 0};
    return &s->next;
}

static inline void comes(struct liar *l, struct coming c)
{
    if (l->n_coming < COMING_MOST) l->coming[l->n_coming++] = c;
    else frame_free(c.f);
}

/* Numbered on. */
static inline void comes_now(struct liar *l, struct coming c)
{
    put_le(c.f->bytes + 28, (*next_number(l, &c))++, 4);
    seal_as(c.f, c.n - FRAME_HEAD_BYTES);
    comes(l, c);
}

static inline struct frame *raw_copy(const struct coming *c)
{
    struct frame *f = frame_new(M_PING, c->n - FRAME_HEAD_BYTES);
    if (!f) abort();
    memcpy(f->bytes, c->f->bytes, c->n);
    return f;
}

static inline void remember(struct liar *l, const struct coming *c)
{
    struct coming *at = &l->heard[l->n_heard++ % HEARD_MOST];
    frame_free(at->f);
    *at = (struct coming){raw_copy(c), c->n, c->from};
}

/* A frame of its own making, with the head of the one that comes. */
static inline void says(struct liar *l, struct frame *f, const struct coming *beside)
{
    const uint16_t type = f->head.type;
    const size_t body = f->head.body_bytes;
    memcpy(f->bytes, beside->f->bytes, FRAME_HEAD_BYTES);
    put_le(f->bytes + TYPE_AT, type, 2);
    comes_now(l, (struct coming){f, FRAME_HEAD_BYTES + body, beside->from});
}

static inline bool is_computed_by_it(unsigned type)
{
    switch (type) {
    case M_RESULT: case M_LOGITS: case M_SCORE: case M_SCORED: case M_WORK: case M_ROW_HASHES: return true;
    default: return false;
    }
}

/* Something comes beside the frame *c, before it. */
static inline void lie_beside(struct liar *l, const struct lie *lie, const struct coming *c)
{
    const struct coming *old = &l->heard[(lie->a | (uint32_t)lie->b << 8) % (l->n_heard < HEARD_MOST ? l->n_heard : HEARD_MOST)];
    const unsigned of_old = le16(old->f->bytes + TYPE_AT);
    const struct unreachable apart = {.node = lie->a % 6u, .wrong = lie->b & 1, .text = "it is told so"};
    const struct fault fault = {.code = lie->a, .text = "it cannot go on"};
    const bool routed = le16(c->f->bytes + 36);
    struct frame *f = NULL;
    struct err why;
    switch (lie->what % LIES) {
    case CHANGE_TWICE: case CHANGE_AGAIN: return comes_now(l, (struct coming){raw_copy(c), c->n, c->from});
    case LIE_OLD: return comes(l, (struct coming){raw_copy(old), old->n, c->from});
    case LIE_OLD_AS_NOW: case CHANGE_INSERT:
        if (routed != (le16(old->f->bytes + 36) != 0)) return;
        l->believed |= is_computed_by_it(of_old);
        f = raw_copy(old);
        memcpy(f->bytes + 8, c->f->bytes + 8, 32); /* run, plan, epoch, nodes and route of now */
        return comes_now(l, (struct coming){f, old->n, c->from});
    case LIE_UNREACHABLE:
        if (routed || unreachable_write(&f, &apart, &why)) return;
        l->believed = true;
        return says(l, f, c);
    case LIE_FAULT: return routed || fault_write(&f, &fault, &why) ? (void)0 : says(l, f, c);
    case LIE_LEAVE: return routed || empty_write(&f, M_LEAVE, &why) ? (void)0 : says(l, f, c);
    default: return;
    }
}

static inline void lie_busy(struct liar *l, struct port *p, struct coming *c)
{
    struct ping m;
    struct frame *f = NULL;
    struct err why;
    if (le16(c->f->bytes + TYPE_AT) != M_PONG) return frame_free(c->f);
    if (frame_open(c->f, c->n, FRAME_BODY_MOST, "a record", &why) || ping_read(&m, c->f, &why)) broken("a pong", &why);
    m.busy = l->busy->a % 8u;
    if (l->busy->b) m.steps = clock_now(p->clock) >> l->busy->b % 32u;
    if (l->busy->c & 1) m.batch = l->busy->c & 2 ? 0 : 1000;
    if (ping_write(&f, M_PONG, &m, &why)) broken("a pong", &why);
    says(l, f, c);
    frame_free(c->f);
}

static inline void lie_about(struct liar *l, struct port *p, const struct lie *lie, struct coming *c)
{
    const struct change change = {.what = lie->what % LIES, .a = lie->a, .b = lie->b, .c = lie->c};
    const unsigned type = le16(c->f->bytes + TYPE_AT), what = change.what;
    l->last_ns = clock_now(p->clock);
    l->believed |= is_computed_by_it(type) && what != LIE_SWALLOW && what != LIE_OLD;
    lie_beside(l, lie, c);
    switch (what) {
    case CHANGE_GAP: ++*next_number(l, c); /* falls through */
    case LIE_SWALLOW: case CHANGE_SKIP: return frame_free(c->f);
    case CHANGE_LOSE: port_lost(p, c->from); break;
    case LIE_BUSY:
        l->busy = lie;
        l->busy_as = c->from;
        return lie_busy(l, p, c);
    case LIE_LATE: case CHANGE_SWAP:
        if (l->late.f) break;
        l->late = *c;
        return;
    case CHANGE_BIT: case CHANGE_BORDER: case CHANGE_STEP: case CHANGE_CUT: case CHANGE_LONGER: case CHANGE_HEAD: case CHANGE_DAMAGE: case CHANGE_TYPE:
    case CHANGE_NOISE:
        l->believed |= what == CHANGE_TYPE;
        put_le(c->f->bytes + 28, (*next_number(l, c))++, 4);
        seal_as(c->f, c->n - FRAME_HEAD_BYTES);
        c->f = change_frame(c->f, &c->n, &change);
        return comes(l, *c);
    default: break;
    }
    comes_now(l, *c);
}

static inline const struct lie *lie_for(struct liar *l, unsigned type)
{
    static const uint8_t types[] = {0, M_HELLO, M_ACCEPT, M_PIECE_ACK, M_READY, M_RESULT, M_PONG, M_SCORE, M_SCORED, M_WORK, 0, M_PONG};
    const struct lie *found = NULL;
    for (uint32_t i = 0; i < l->n_lies; i++) {
        const unsigned wanted = types[l->lies[i].type % sizeof types];
        if (wanted ? wanted != type : type == M_PONG) continue;
        const uint32_t nth = l->seen[i]++, first = l->lies[i].at % 64u;
        if (!found && nth >= first && nth < first + 1u + l->lies[i].times % 64u) found = &l->lies[i];
    }
    return found;
}

static inline bool is_liar(const struct liar *l, int node)
{
    const struct roster *r = l->pipe->roster;
    return node >= 1 && node <= roster_size(r) && roster_member(r, node)->place == l->place;
}

static inline void frame_came(struct liar *l, struct port *p, struct coming c)
{
    const unsigned type = le16(c.f->bytes + TYPE_AT);
    const struct lie *lie = lie_for(l, type);
    if (type != M_PONG || !l->n_heard) remember(l, &c);
    if (l->busy && l->busy_as == c.from) return lie_busy(l, p, &c);
    if (lie) return lie_about(l, p, lie, &c);
    comes_now(l, c);
    if (l->late.f) comes_now(l, l->late);
    l->late.f = NULL;
}

static inline int liar_pull(struct port *p, struct frame **out, size_t *n, int *from, uint64_t until, struct err *why)
{
    struct liar *l = liar_of(p);
    if (!l->n_coming) {
        p->kind = l->own;
        const int code = l->own->pull(p, out, n, from, until, why);
        p->kind = &l->kind;
        if (code || !*out || !is_liar(l, *from)) return code;
        frame_came(l, p, (struct coming){*out, *n, *from});
        *out = NULL;
        if (!l->n_coming) return 0;
    }
    *out = l->coming[0].f;
    *n = l->coming[0].n;
    *from = l->coming[0].from;
    memmove(l->coming, l->coming + 1, --l->n_coming * sizeof *l->coming);
    return 0;
}

static inline void liar_close(struct port *p)
{
    struct liar *l = liar_of(p);
    p->kind = l->own;
    while (l->n_coming) frame_free(l->coming[--l->n_coming].f);
    for (int i = 0; i < HEARD_MOST; i++) frame_free(l->heard[i].f);
    frame_free(l->late.f);
    p->kind->close(p);
}

/* *l must live as long as the port; pipe, place and lies are set. */
static inline void liar_speaks(struct liar *l, struct port *p)
{
    l->own = p->kind;
    l->kind = *p->kind;
    l->kind.pull = liar_pull;
    l->kind.close = liar_close;
    p->kind = &l->kind;
}
