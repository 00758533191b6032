/* tests/fuzz/replay.h — what one node heard in a real run, told to it again by peers that are not there, and changed on the way.
 *
 *   a real run in this process ──► record_port: what comes in, and after how many of its own frames ──► struct record
 *   struct record + a program of changes ──► replay_port ──► the same code, alone ──► what it sends is counted and hashed
 *
 * A frame is told when the node has sent as many frames as it had in the real run: that is what the peers waited for. Where changes have
 * made it send fewer, the next one is told all the same after a while: nothing here waits for ever. When all is told, all are lost.
 *
 * Heads are made anew (run, epoch, number, sums), so a record can be told again in a later epoch, and without the pieces that are not
 * wanted; what is
 * changed is changed after that, and summed again, or nothing would get past the port. */
#pragma once

#include "base/hash.h"
#include "base/little_endian.h"
#include "transport/links/port.h"
#include "worker/assign.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODES_MOST 8
#define TYPE_AT FRAME_TYPE_AT
#define TENSORS_MOST 256

/* What may be computed side by side is counted apart: which of them is ready first is chance. Pings come when they come. */
enum kind_of_frame { ABOUT_RUN, ABOUT_ROWS, ABOUT_SCORES, ABOUT_PICTURES, KINDS, ABOUT_PINGS = KINDS };

static inline enum kind_of_frame kind_of(unsigned type)
{
    switch (type) {
    case M_PING: case M_PONG: return ABOUT_PINGS;
    case M_WORK: case M_RESULT: return ABOUT_ROWS;
    case M_SCORE: case M_SCORED: case M_LOGITS: return ABOUT_SCORES;
    case M_PICTURE: case M_PICTURE_ROWS: return ABOUT_PICTURES;
    default: return ABOUT_RUN;
    }
}

struct told {
    struct frame *frame;
    int from;
    uint32_t after[KINDS]; /* frames that the node had sent by then */
};

struct record {
    struct told *at;
    uint32_t n, room;
    uint32_t nodes;
    int self;
    uint64_t out; /* sum of the hashes of what it computed and sent */
};

struct outgoing_sum {
    uint32_t sent[KINDS];
    uint64_t computed; /* rows, scores, tokens: what must be the same to the last bit */
};

static inline void count_out(struct outgoing_sum *o, struct frame *f)
{
    const enum kind_of_frame kind = kind_of(f->head.type);
    if (kind != ABOUT_PINGS) o->sent[kind]++;
    if (kind != ABOUT_PINGS && kind != ABOUT_RUN) o->computed += hash_fold(f->head.type, hash64(frame_body(f), f->head.body_bytes));
}

/* ---- recording ---- */

struct recorder {
    struct kind kind; /* first, so that the kind of a recorded port is a struct recorder */
    const struct kind *own;
    struct record *into;
    struct outgoing_sum out;
    uint64_t seen;                   /* of the port's counter */
    const struct frame *tail[NODES_MOST]; /* of what waited for each */
};

static inline int recorder_push(struct port *p, struct err *why)
{
    struct recorder *r = (struct recorder *)p->kind;
    for (int k = 0; p->counters.frames_out != r->seen && k < p->room; k++) { /* a frame more: the last one for some peer */
        struct peer *peer = peer_of(p, k);
        if (!peer || !peer->out.last || peer->out.last == r->tail[k]) continue;
        count_out(&r->out, peer->out.last);
        r->seen = p->counters.frames_out;
    }
    p->kind = r->own;
    const int code = r->own->push(p, why);
    p->kind = &r->kind;
    for (int k = 0; k < p->room && k < NODES_MOST; k++) r->tail[k] = peer_of(p, k) ? peer_of(p, k)->out.last : NULL;
    return code;
}

static inline int recorder_pull(struct port *p, struct frame **out, size_t *n, int *from, uint64_t until, struct err *why)
{
    struct recorder *r = (struct recorder *)p->kind;
    struct record *into = r->into;
    p->kind = r->own;
    const int code = r->own->pull(p, out, n, from, until, why);
    p->kind = &r->kind;
    if (code || !*out) return code;
    if (into->n == into->room) {
        into->room = into->room ? 2 * into->room : 64;
        into->at = realloc(into->at, into->room * sizeof *into->at);
        if (!into->at) abort();
    }
    struct frame *copy = frame_copy(*out);
    if (!copy) abort();
    memcpy(copy->bytes, (*out)->bytes, FRAME_HEAD_BYTES);
    into->at[into->n] = (struct told){.frame = copy, .from = *from};
    memcpy(into->at[into->n++].after, r->out.sent, sizeof r->out.sent);
    return 0;
}

static inline void recorder_close(struct port *p)
{
    struct recorder *r = (struct recorder *)p->kind;
    r->into->out = r->out.computed;
    p->kind = r->own;
    free(r);
    p->kind->close(p);
}

static inline void record_port(struct port *p, struct record *into)
{
    struct recorder *r = calloc(1, sizeof *r);
    if (!r) abort();
    *into = (struct record){.nodes = (uint32_t)port_nodes(p), .self = port_self(p)};
    *r = (struct recorder){.kind = *p->kind, .own = p->kind, .into = into};
    r->kind.push = recorder_push;
    r->kind.pull = recorder_pull;
    r->kind.close = recorder_close;
    p->kind = &r->kind;
}

static inline void record_free(struct record *r)
{
    for (uint32_t i = 0; i < r->n; i++) frame_free(r->at[i].frame);
    free(r->at);
    *r = (struct record){0};
}

/* ---- telling ---- */

static inline uint64_t le_of8(const uint8_t *p)
{
    return le_of(p, 8);
}

#define CHANGE_BYTES 6

struct change { /* of the frame at `at`, when it is its turn; with 0x8000 of those that are about no piece, which would be most of all */
    uint16_t at;
    uint8_t what, a, b, c;
};

enum {
    CHANGE_BIT, CHANGE_BORDER, CHANGE_STEP, CHANGE_CUT, CHANGE_LONGER, CHANGE_HEAD, CHANGE_DAMAGE, CHANGE_SKIP, CHANGE_GAP, CHANGE_TWICE,
    CHANGE_SWAP, CHANGE_INSERT, CHANGE_AGAIN, CHANGE_LOSE, CHANGE_TYPE, CHANGE_NOISE, CHANGES
};

#define SLOTS_MOST 64 /* lanes whose numbers are kept: a node and a route */

struct numbers {
    int from;
    uint16_t route;
    uint32_t next;
};

struct replay {
    struct port port; /* first, so that a port of this kind is a struct replay */
    const struct record *of;
    const struct change *changes;
    uint32_t n_changes;
    uint32_t patience_us; /* how long what should be sent may take, until the next frame is told all the same */
    uint32_t next;        /* of the record */
    struct outgoing_sum out, before; /* before: when it was told all again */
    uint32_t skipped;                /* pieces that it did not want, and so did not acknowledge */
    struct numbers numbers[SLOTS_MOST];
    uint32_t n_numbers, again;
    uint8_t have[TENSORS_MOST]; /* by its ACCEPT */
    uint32_t n_have;
    volatile sig_atomic_t *stop; /* set some looks after all was told: who was not greeted yet waits for ever; NULL: none */
    uint32_t looks;
    bool over, half; /* half: of two frames that are told at this place, the first was */
};

static inline struct replay *replay_of(struct port *p)
{
    return (struct replay *)p;
}

static inline bool replay_reachable(const struct port *p, int to)
{
    (void)p, (void)to;
    return true;
}

static inline void heed_accept(struct replay *r, struct frame *f)
{
    struct acceptance yes;
    if (acceptance_read(&yes, f, NULL) || yes.n > TENSORS_MOST) return;
    memcpy(r->have, yes.have, yes.n);
    r->n_have = yes.n;
}

static inline int replay_push(struct port *p, struct err *why)
{
    struct replay *r = replay_of(p);
    (void)why;
    for (int k = 0; k < p->room; k++) {
        struct peer *peer = peer_of(p, k);
        for (struct frame *f; peer && (f = queue_take(&peer->out)); frame_free(f)) {
            count_out(&r->out, f);
            if (f->head.type == M_ACCEPT) heed_accept(r, f);
        }
    }
    return 0;
}

static inline uint32_t *number_of(struct replay *r, int from, uint16_t route)
{
    for (uint32_t i = 0; i < r->n_numbers; i++)
        if (r->numbers[i].from == from && r->numbers[i].route == route) return &r->numbers[i].next;
    if (r->n_numbers == SLOTS_MOST) return &r->numbers[0].next;
    r->numbers[r->n_numbers] = (struct numbers){from, route, 0};
    return &r->numbers[r->n_numbers++].next;
}

static inline bool is_unwanted_piece(const struct replay *r, const struct frame *f)
{
    if (le16(f->bytes + TYPE_AT) != M_PIECE || f->head.body_bytes < 12) return false;
    const uint32_t tensor = le32(f->bytes + FRAME_HEAD_BYTES), rows = le32(f->bytes + FRAME_HEAD_BYTES + 8);
    return rows && tensor < r->n_have && r->have[tensor];
}

/* What is to be told next: the frame that was heard first of those that are still to come; NULL: all was. */
static inline const struct told *next_told(struct replay *r, uint32_t *index)
{
    while (r->next < r->of->n) {
        const struct told *t = &r->of->at[r->next];
        *index = r->next;
        if (!is_unwanted_piece(r, t->frame)) return t;
        r->skipped++;
        r->next++;
    }
    return NULL;
}

static inline bool is_its_turn(const struct replay *r, const struct told *t)
{
    for (int k = 0; k < KINDS; k++)
        if (r->out.sent[k] - r->before.sent[k] + (k == ABOUT_RUN ? r->skipped : 0) < t->after[k]) return false;
    return true;
}

static inline void seal_as(struct frame *f, uint64_t body_bytes)
{
    put_le(f->bytes + 40, body_bytes, 8);
    put_le(f->bytes + 48, crc32c(0, f->bytes + FRAME_HEAD_BYTES, body_bytes), 4);
    put_le(f->bytes + 60, crc32c(0, f->bytes, 60), 4);
}

/* The routes of an assignment begin anew too. */
static inline struct frame *assign_again(struct frame *f, uint32_t again)
{
    struct assignment a;
    struct frame *later = NULL;
    if (frame_open(f, FRAME_HEAD_BYTES + f->head.body_bytes, FRAME_BODY_MOST, "a record", NULL) || assignment_read(&a, f, NULL)) return f;
    for (int c = 0; c < CHAINS; c++) a.of[c].epoch += again;
    if (assignment_write(&later, &a, NULL)) return f;
    later->head = f->head;
    frame_seal(later);
    frame_free(f);
    return later;
}

/* As its peer would say it now: numbered on, of this run and epoch. */
static inline struct frame *say_now(struct replay *r, const struct told *t, size_t *n)
{
    struct frame *f = frame_copy(t->frame);
    if (!f) abort();
    memcpy(f->bytes, t->frame->bytes, FRAME_HEAD_BYTES);
    if (r->again && le16(f->bytes + TYPE_AT) == M_ASSIGN) f = assign_again(f, r->again);
    const uint64_t body = le_of8(f->bytes + 40);
    const uint16_t route = le16(f->bytes + 36);
    if (r->port.self == 0 && r->port.run) put_le(f->bytes + 8, r->port.run, 8); /* a coordinator draws its own */
    put_le(f->bytes + 24, le32(f->bytes + 24) + r->again, 4);
    put_le(f->bytes + 28, (*number_of(r, t->from, route))++, 4);
    seal_as(f, body);
    *n = FRAME_HEAD_BYTES + body;
    return f;
}

static inline uint32_t border(uint8_t which)
{
    static const uint32_t borders[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 63, 64, 65, 127, 255, 256, 257, 511, 512, 513, 1023, 1024, 2000, 2001, 4095, 4096,
                                       4097, 16384, 16385, 65535, 65536, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0x7f800000, 0x7fc00000, 0xff800000};
    return borders[which % (sizeof borders / sizeof *borders)];
}

/* Where numbers lie: at the beginning mostly, and anywhere now and then. */
static inline size_t place(const struct change *c, size_t body)
{
    const size_t at = c->a | (size_t)c->b << 8, most = c->b & 0x80 ? body : 256;
    return at % (body < most ? body : most);
}

static inline void change_head(struct frame *f, const struct change *c)
{
    static const struct { uint8_t at, bytes; } fields[] = {{0, 4}, {4, 2}, {6, 2}, {8, 8}, {16, 8}, {24, 4}, {28, 4}, {32, 2}, {34, 2}, {36, 2}, {38, 2},
                                                           {40, 8}, {48, 4}, {52, 8}};
    const size_t which = c->a % (sizeof fields / sizeof *fields);
    uint8_t *p = f->bytes + fields[which].at;
    const uint64_t was = fields[which].bytes == 8 ? le_of8(p) : fields[which].bytes == 4 ? le32(p) : le16(p);
    const uint64_t is = c->b % 3 == 0 ? was + 1 : c->b % 3 == 1 ? was - 1 : border(c->c);
    put_le(p, is, fields[which].bytes);
    put_le(f->bytes + 60, crc32c(0, f->bytes, 60), 4);
}

/* Of one frame. May be another frame then. */
static inline struct frame *change_frame(struct frame *f, size_t *n, const struct change *c)
{
    size_t body = *n - FRAME_HEAD_BYTES;
    uint8_t *b = f->bytes + FRAME_HEAD_BYTES;
    const size_t at = body ? place(c, body) : 0, number = at & ~(size_t)3;
    switch (c->what % CHANGES) {
    case CHANGE_BIT: if (body) b[at] ^= (uint8_t)(1 << c->c % 8); break;
    case CHANGE_BORDER: if (number + 4 <= body) put_le(b + number, border(c->c), 4); break;
    case CHANGE_STEP: if (number + 4 <= body) put_le(b + number, le32(b + number) + (c->c % 2u ? 1u : UINT32_MAX) * (1u + c->c / 2u % 4u), 4); break;
    case CHANGE_NOISE: for (size_t i = at; i < body && i < at + 1 + c->c % 16; i++) b[i] = (uint8_t)hash_fold(c->a * 256u + c->b, i * 256 + c->c); break;
    case CHANGE_CUT: body = body ? at : 0; break;
    case CHANGE_LONGER: {
        struct frame *longer = frame_new(M_PING, body + c->c + 1u);
        if (!longer) abort();
        memcpy(longer->bytes, f->bytes, *n);
        memset(longer->bytes + *n, c->a, c->c + 1u);
        frame_free(f);
        f = longer;
        body += c->c + 1u;
        break;
    }
    case CHANGE_HEAD: return change_head(f, c), f;
    case CHANGE_DAMAGE: f->bytes[(c->a | (size_t)c->b << 8) % *n] ^= (uint8_t)(1 << c->c % 8); return f;
    case CHANGE_TYPE: put_le(f->bytes + TYPE_AT, c->a % (M_COUNT + 2), 2); break;
    default: return f;
    }
    seal_as(f, body);
    *n = FRAME_HEAD_BYTES + body;
    return f;
}

/* All from the beginning, in the next epoch. */
static inline void tell_again(struct replay *r)
{
    r->again++;
    r->next = 0;
    r->before = r->out;
    r->skipped = r->n_numbers = 0;
    r->n_have = 0;
}

static inline bool is_about_piece(const struct told *t)
{
    const unsigned type = le16(t->frame->bytes + TYPE_AT);
    return type == M_PIECE || type == M_PIECE_ACK;
}

static inline uint32_t place_of(const struct record *of, uint16_t at)
{
    uint32_t others = 0, i = 0;
    if (!(at & 0x8000)) return at % of->n;
    for (uint32_t k = 0; k < of->n; k++) others += !is_about_piece(&of->at[k]);
    for (uint32_t left = (at & 0x7fffu) % others + 1; i < of->n; i++)
        if (!is_about_piece(&of->at[i]) && !--left) break;
    return i;
}

static inline const struct change *change_at(const struct replay *r, uint32_t index)
{
    for (uint32_t i = 0; i < r->n_changes; i++)
        if (place_of(r->of, r->changes[i].at) == index) return &r->changes[i];
    return NULL;
}

/* The changes of a fuzzer's input. */
static inline uint32_t read_changes(struct change *out, uint32_t most, const uint8_t *b, size_t n)
{
    uint32_t k = 0;
    for (; k < most && n >= CHANGE_BYTES; k++, b += CHANGE_BYTES, n -= CHANGE_BYTES) out[k] = (struct change){le16(b), b[2], b[3], b[4], b[5]};
    return k;
}

static inline void broken(const char *what, const struct err *why)
{
    fprintf(stderr, "%s: %s\n", what, why->text);
    abort();
}

/* Whether a run as it was, that failed, is told once more: under an emulator that gets no core for half a minute whoever tells looks silent. */
static inline bool told_once_more(int code, int *tried)
{
    return code && getenv("EMULATOR") && ++*tried < 4;
}

/* Of a failure: for people, on a line. */
static inline void check_sentence(int code, const struct err *why)
{
    const size_t n = strlen(why->text);
    if (code && n < 12) broken("no sentence", why);
    for (size_t i = 0; code && i < n; i++)
        if ((uint8_t)why->text[i] < 32 || why->text[i] == 127) broken("a sentence that moves a terminal", why);
}

/* Tells *t with its change. NULL: nothing comes of it. */
static inline struct frame *tell(struct replay *r, const struct told *t, const struct change *c, size_t *n, int *from)
{
    const struct told *other = t;
    const unsigned what = c ? c->what % CHANGES : CHANGES;
    *from = t->from;
    switch (what) {
    case CHANGE_SKIP: r->next++; return NULL;
    case CHANGE_GAP: (*number_of(r, t->from, le16(t->frame->bytes + 36)))++; r->next++; return NULL;
    case CHANGE_TWICE: if (r->half) r->next++; r->half = !r->half; return say_now(r, t, n);
    case CHANGE_INSERT: /* what belongs elsewhere, in the middle */
    case CHANGE_SWAP:
        other = &r->of->at[what == CHANGE_SWAP ? (r->next + 1) % r->of->n : (c->a | (uint32_t)c->b << 8) % r->of->n];
        if (r->half) r->next++, other = t;
        r->half = !r->half;
        *from = other->from;
        return say_now(r, other, n);
    case CHANGE_AGAIN:
        if (r->again < 2) tell_again(r);
        else r->next++;
        return NULL;
    case CHANGE_LOSE: r->next++; port_lost(&r->port, t->from); return NULL;
    default: break;
    }
    r->next++;
    struct frame *f = say_now(r, t, n);
    return c ? change_frame(f, n, c) : f;
}

static inline void all_are_lost(struct replay *r)
{
    r->over = true;
    for (int k = 0; k < r->port.room; k++)
        if (k != r->port.self) port_lost(&r->port, k);
}

static inline int replay_pull(struct port *p, struct frame **out, size_t *n, int *from, uint64_t until, struct err *why)
{
    struct replay *r = replay_of(p);
    uint32_t index = 0;
    (void)why;
    *out = NULL;
    for (uint32_t waited = 0; !atomic_load(&p->woken); waited += 20) {
        const struct told *t = r->over ? NULL : next_told(r, &index);
        if (!t && !r->over) return all_are_lost(r), 0;
        if (r->over && r->stop && r->looks++ > 3) return *r->stop = true, 0;
        if (t && (is_its_turn(r, t) || waited > r->patience_us)) {
            if (!is_its_turn(r, t)) r->patience_us /= 4; /* what comes after it will hardly be waited for in vain less often */
            *out = tell(r, t, change_at(r, index), n, from);
            return 0;
        }
        if (p->untold || clock_ns() > until) return 0;
        usleep(20);
    }
    return 0;
}

static inline void replay_wake(struct port *p)
{
    (void)p;
}

static const struct kind replay_kind = {.name = "told", .outlives = true, .fixed = true, .reachable = replay_reachable, .push = replay_push,
                                        .pull = replay_pull, .wake = replay_wake, .close = port_free};

static inline struct replay *replay_open(const struct record *of, const struct change *changes, uint32_t n, uint32_t patience_us)
{
    struct replay *r = calloc(1, sizeof *r);
    if (!r || port_init(&r->port, &replay_kind, NULL, of->self, (int)of->nodes, NULL)) abort();
    r->of = of;
    r->changes = changes;
    r->n_changes = n;
    r->patience_us = patience_us;
    return r;
}
