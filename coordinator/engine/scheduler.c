/* coordinator/engine/scheduler.c — which rows travel next.
 *
 * Every sequence that holds a slot stands in one line, `order`; it goes to the end of the line, or of those as urgent as
 * it is, whenever it gets new rows to send. Decodes and prompts are both served from the front, so everyone's turn comes.
 *
 * Decodes: with n sequences answering in G groups a group takes n / G, the remainder in turn, also when more are ready.
 * G is M, the places in the pipe, if a group then still has GROUP_ENOUGH; a smaller one costs a stage as much time as a
 * larger one, because it reads the same weights, and then a group a stage is best: G = stages. The surplus waits for the
 * next place, at most one tick away, and that is what makes uneven groups even again after someone came or left. Taking
 * all that is ready instead lets the groups clot into one: then all stages but one stand still, for good. No more than G
 * groups are under way: a place that is free beside them is for prompts. Who is ready would fill it with a group more, all
 * became smaller, and stayed so.
 *
 * Prompts: n rows in pieces of p pass S stages in (n / p + S - 1) (c + p), where c is what a piece costs whatever its
 * size, in rows: the weights must be read again. That is least at p = sqrt(n c / (S - 1)); how much c is follows from
 * how fast the stages are (partition/plan/speed.h). While others answer, the rows that wait are divided over all places and a
 * piece stays small: everyone else waits behind it at every stage, so one large piece is a hole that travels. With four stages
 * of 10 ms + 0.5 ms a row and 200 mixed requests this keeps the busiest stage at 0.97-0.99 instead of 0.79-0.88
 * (tests/unit/engine/simulate_test.c), and the first token comes sooner, not later. No piece is cut smaller than piece_least
 * though: below that a stage reads all its weights for next to nothing, and a rest below half of that travels with the piece
 * before it.
 *
 * When requests wait for a slot, what counts is what the pipe gets done, and nobody gains by a prompt that is through at once
 * and then none for a while: micro-batches of unequal length make the stages wait for each other. So each group takes along
 * as many rows of prompts as there were to each decode in the requests that are over, a little less (those that ended first
 * had the shorter answers). With two, three and four stages and 16 sequences that was 1.12, 1.18 and 1.21 times the tokens a
 * second of pieces as above, with 64 sequences 1.00 to 1.05 times (simulated, docs/SPEED.md 32).
 *
 * A span that is never cut needs up to a whole micro-batch, and decodes that go first might never leave it that much
 * room. Hence the rule with DECODES_PER_PREFILL: a prompt passed over that often goes first, into an empty micro-batch.
 *
 * Memory is taken in scheduler_open, the queue of requests without a slot grows in schedule_add; steps take none (but
 * spans are copied when they come). A step costs a few walks over the slots: microseconds. */
#include "coordinator/engine/scheduler.h"

#include "base/limits.h"
#include "partition/plan/speed.h"
#include "transport/wire/wire.h"

#include <stdlib.h>
#include <string.h>

#define PIECE_QUARTERS 16 /* unless more is known */
#define PIECE_TILE 16 /* rows that matmul takes at a time: pieces of 18 gained nothing over 32 (docs/SPEED.md 19) */
#define PIECE_AMONG_ANSWERS 64
#define STEADY_TENTHS 8
#define DECODES_PER_PREFILL 4
#define READING_ROWS 2 /* of so many rows it is all there still */

#define SLOTS_MOST 65536u

struct request {
    uint64_t request;
    uint32_t known, sent; /* rows [0, sent) went into the pipe, rows [sent, known) can go */
    uint32_t pieces;      /* in flight */
    uint32_t decodes;     /* that went into the pipe, of `sent` */
    bool decode;          /* the row to send is a token just sampled */
    uint32_t guesses;     /* that may travel with it */
    double chance, all;   /* of the next of them; that it and those before it are right */
    bool leaving;         /* gets no more rows; gone when its pieces are home */
    bool lacking;         /* pages for its rows: none go */
    uint32_t beginning;   /* in the queue: that it will go on behind; or NO_BEGINNING */
    uint32_t begun;       /* rows of `sent` that it went on behind */
    uint32_t cut;         /* a piece ends there */
    int priority;
    struct span *spans;   /* all of its rows, by position; those not sent yet from next_span on */
    uint32_t n_spans, next_span;
};

struct place { /* of a micro-batch in the pipe */
    bool taken;
    bool speaks; /* it has decodes */
    struct schedule_batch batch;
};

struct scheduler {
    struct scheduler_limits limits;
    struct request *slot;  /* [limits.slots] */
    uint32_t *order;       /* slots in use, first come first */
    uint32_t *unused;      /* the others; the last one is given out next */
    uint32_t n_order, n_unused;
    struct place *place; /* [limits.in_flight] */
    struct move *moves;  /* [limits.in_flight][moves_most] */
    uint32_t moves_most, in_flight;
    uint32_t passed_over; /* micro-batches that left without the prompt that is first in line */
    double reading;    /* schedule_reading */
    uint32_t guessing; /* moves in flight that bring guesses */
    uint64_t next_batch;
    uint64_t past_prompt_rows, past_decodes; /* of all who have left */
    struct request *queue;  /* requests without a slot, who is next first: queue[head .. head + n_queue) */
    size_t head, n_queue, queue_room;
    uint64_t *left; /* [left_room]: who left and was not told yet; room for all that are here */
    size_t n_left, left_room;
};

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int limits_check(const struct scheduler_limits *l, struct err *why)
{
    if (!l->slots || !l->in_flight || !l->rows || !l->context)
        return fail(why, E_USAGE, "a schedule needs at least one sequence, micro-batch, row and position; it was given "
                    "%u, %u, %u and %u", l->slots, l->in_flight, l->rows, l->context);
    if (l->slots > SLOTS_MOST) return fail(why, E_USAGE, "%u sequences are more than %u", l->slots, SLOTS_MOST);
    if (l->in_flight > IN_FLIGHT_MOST)
        return fail(why, E_USAGE, "%u micro-batches in flight are more than %d", l->in_flight, IN_FLIGHT_MOST);
    return 0;
}

int scheduler_open(struct scheduler **out, const struct scheduler_limits *limits, struct err *why)
{
    *out = NULL;
    TRY(limits_check(limits, why));
    struct scheduler *s = calloc(1, sizeof *s);
    if (!s) return fail(why, E_MEMORY, "no memory for the scheduler");
    s->limits = *limits;
    s->next_batch = limits->first_batch;
    s->moves_most = least(limits->slots, limits->rows);
    s->slot = calloc(limits->slots, sizeof *s->slot);
    s->order = calloc(limits->slots, sizeof *s->order);
    s->unused = calloc(limits->slots, sizeof *s->unused);
    s->left = calloc(limits->slots, sizeof *s->left);
    s->left_room = limits->slots;
    s->place = calloc(limits->in_flight, sizeof *s->place);
    s->moves = calloc((size_t)limits->in_flight * s->moves_most, sizeof *s->moves);
    if (!s->slot || !s->order || !s->unused || !s->left || !s->place || !s->moves) {
        scheduler_close(&s);
        return fail(why, E_MEMORY, "no memory for a schedule of %u sequences and %u micro-batches", limits->slots,
                    limits->in_flight);
    }
    for (uint32_t i = 0; i < limits->slots; i++) s->unused[s->n_unused++] = limits->slots - 1 - i;
    for (uint32_t i = 0; i < limits->in_flight; i++) s->place[i].batch.moves = s->moves + (size_t)i * s->moves_most;
    *out = s;
    return 0;
}

void scheduler_close(struct scheduler **scheduler)
{
    struct scheduler *s = *scheduler;
    if (!s) return;
    for (uint32_t i = 0; i < s->n_order; i++) free(s->slot[s->order[i]].spans);
    for (size_t i = 0; i < s->n_queue; i++) free(s->queue[s->head + i].spans);
    free(s->slot);
    free(s->order);
    free(s->unused);
    free(s->left);
    free(s->place);
    free(s->moves);
    free(s->queue);
    free(s);
    *scheduler = NULL;
}

/* ---- what is known of a request --------------------------------------------------------------------------------- */

/* Rows known..known+rows-1 become known. Nothing changes unless all is well. */
static int rows_add(struct request *q, const struct scheduler_limits *limits, uint32_t rows, const struct span *spans,
                    uint32_t n_spans, struct err *why)
{
    if (!rows) return fail(why, E_USAGE, "request %llu has no rows", (unsigned long long)q->request);
    if (rows > limits->context - q->known)
        return fail(why, E_USAGE, "request %llu wants %u positions after %u, but the context holds %u",
                    (unsigned long long)q->request, rows, q->known, limits->context);
    uint32_t end = 0;
    for (uint32_t i = 0; i < n_spans; i++) {
        if (spans[i].first < end || spans[i].first >= rows || !spans[i].n || spans[i].n > rows - spans[i].first)
            return fail(why, E_USAGE,
                        "request %llu: rows %u+%u that belong together do not lie in order within its %u rows",
                        (unsigned long long)q->request, spans[i].first, spans[i].n, rows);
        if (spans[i].n > limits->rows)
            return fail(why, E_USAGE, "request %llu: %u rows belong together, but a micro-batch holds %u",
                        (unsigned long long)q->request, spans[i].n, limits->rows);
        end = spans[i].first + spans[i].n;
    }
    if (n_spans) {
        struct span *more = realloc(q->spans, (q->n_spans + n_spans) * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for %u spans", q->n_spans + n_spans);
        for (uint32_t i = 0; i < n_spans; i++) more[q->n_spans++] = (struct span){q->known + spans[i].first, spans[i].n};
        q->spans = more;
    }
    q->known += rows;
    return 0;
}

static struct request *find_sequence(const struct scheduler *s, uint64_t request)
{
    for (uint32_t i = 0; i < s->n_order; i++)
        if (s->slot[s->order[i]].request == request) return &s->slot[s->order[i]];
    return NULL;
}

static void line_leave(struct scheduler *s, uint32_t slot)
{
    uint32_t i = 0;
    while (s->order[i] != slot) i++;
    memmove(s->order + i, s->order + i + 1, (s->n_order - i - 1) * sizeof *s->order);
    s->n_order--;
}

/* Behind all that are as urgent or more. */
static void line_enter(struct scheduler *s, uint32_t slot)
{
    uint32_t i = s->n_order++;
    for (; i && s->slot[s->order[i - 1]].priority < s->slot[slot].priority; i--) s->order[i] = s->order[i - 1];
    s->order[i] = slot;
}

static bool goes_before(const struct request *a, const struct request *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->request < b->request;
}

/* There is room. Mostly the end is its place. */
static void queue_put(struct scheduler *s, const struct request *q)
{
    struct request *at = s->queue + s->head + s->n_queue++;
    for (; at > s->queue + s->head && goes_before(q, at - 1); at--) *at = at[-1];
    *at = *q;
}

static struct request queue_take(struct scheduler *s, size_t i)
{
    struct request *q = s->queue + s->head + i, taken = *q;
    if (i) memmove(q, q + 1, (s->n_queue - i - 1) * sizeof *q);
    else s->head++;
    if (!--s->n_queue) s->head = 0;
    return taken;
}

/* ---- slots and pages -------------------------------------------------------------------------------------------- */

/* Of those with a slot whose rows wait for pages the one that goes before the others. */
static struct request *first_lacking(const struct scheduler *s)
{
    struct request *first = NULL;
    for (uint32_t i = 0; i < s->n_order; i++) {
        struct request *q = &s->slot[s->order[i]];
        if (q->lacking && !q->leaving && (!first || goes_before(q, first))) first = q;
    }
    return first;
}

static bool get_pages(const struct scheduler *s, struct request *q)
{
    struct pages *p = s->limits.pages;
    q->lacking = p && !pages_grow(p, (uint32_t)(q - s->slot), q->known);
    return !q->lacking;
}

/* Spans that were sent are behind it. */
static void pass_spans(struct request *q)
{
    while (q->next_span < q->n_spans && q->spans[q->next_span].first < q->sent) q->next_span++;
}

/* Who is first in the queue gets a free slot, if there are pages for its rows. */
static bool enter(struct scheduler *s)
{
    struct pages *p = s->limits.pages;
    const uint32_t slot = s->unused[s->n_unused - 1];
    struct request *q = &s->slot[slot];
    if (p && !pages_enter(p, slot, s->queue[s->head].beginning, s->queue[s->head].known)) return false;
    s->n_unused--;
    *q = queue_take(s, 0);
    if (q->beginning != NO_BEGINNING) q->sent = q->begun = pages_kept(p, q->beginning);
    pass_spans(q);
    line_enter(s, slot);
    return true;
}

/* What is free goes to whom it belongs, in order. Who has a slot comes before those of the same urgency who have none: they hold
 * pages that the others wait for. */
void schedule_settle(struct scheduler *s)
{
    for (;;) {
        struct request *q = first_lacking(s);
        const bool door = s->n_queue && s->n_unused;
        if (q && (!door || q->priority >= s->queue[s->head].priority)) {
            if (!get_pages(s, q)) return;
        } else if (!door || !enter(s)) {
            return;
        }
    }
}

enum lack schedule_lack(const struct scheduler *s)
{
    if (first_lacking(s) || (s->n_queue && s->n_unused)) return LACKS_PAGES;
    return s->n_queue ? LACKS_SLOT : LACKS_NOTHING;
}

/* Whoever is here can leave without anything being allocated. */
static int left_make_room(struct scheduler *s, struct err *why)
{
    const size_t here = s->limits.slots + s->n_queue + 1 + s->n_left;
    if (here <= s->left_room) return 0;
    uint64_t *grown = realloc(s->left, 2 * here * sizeof *grown);
    if (!grown) return fail(why, E_MEMORY, "no memory for a queue of %zu requests", s->n_queue + 1);
    s->left = grown;
    s->left_room = 2 * here;
    return 0;
}

static int queue_make_room(struct scheduler *s, struct err *why)
{
    TRY(left_make_room(s, why));
    if (s->head + s->n_queue < s->queue_room) return 0;
    if (s->head > s->n_queue) { /* more has left than is here: moving is cheaper than growing */
        memcpy(s->queue, s->queue + s->head, s->n_queue * sizeof *s->queue);
        s->head = 0;
        return 0;
    }
    size_t room = s->queue_room ? 2 * s->queue_room : 16;
    struct request *grown = realloc(s->queue, room * sizeof *grown);
    if (!grown) return fail(why, E_MEMORY, "no memory for a queue of %zu requests", room);
    s->queue = grown;
    s->queue_room = room;
    return 0;
}

int schedule_add(struct scheduler *s, uint64_t request, uint32_t rows, const struct span *spans, uint32_t n_spans,
                 int priority, struct err *why)
{
    return schedule_add_behind(s, request, rows, spans, n_spans, priority, NO_BEGINNING, why);
}

int schedule_add_behind(struct scheduler *s, uint64_t request, uint32_t rows, const struct span *spans, uint32_t n_spans,
                        int priority, uint32_t beginning, struct err *why)
{
    struct request q = {.request = request, .priority = priority, .beginning = beginning};
    if (find_sequence(s, request)) return fail(why, E_INTERNAL, "request %llu is here already", (unsigned long long)request);
    TRY(queue_make_room(s, why));
    TRY(rows_add(&q, &s->limits, rows, spans, n_spans, why));
    queue_put(s, &q);
    schedule_settle(s);
    return 0;
}

int schedule_more(struct scheduler *s, uint64_t request, uint32_t rows, const struct span *spans, uint32_t n_spans,
                  struct err *why)
{
    struct request *q = find_sequence(s, request);
    if (!q || q->pieces || q->leaving || q->sent < q->known)
        return fail(why, E_INTERNAL, "request %llu cannot go on: it is not waiting", (unsigned long long)request);
    TRY(rows_add(q, &s->limits, rows, spans, n_spans, why));
    q->decode = rows == 1;
    q->lacking = s->limits.pages != NULL;
    q->guesses = 0;
    uint32_t slot = (uint32_t)(q - s->slot);
    line_leave(s, slot);
    line_enter(s, slot);
    schedule_settle(s);
    return 0;
}

void schedule_guess(struct scheduler *s, uint64_t request, uint32_t n, double chance)
{
    struct request *q = find_sequence(s, request);
    if (!q || !q->decode || q->sent == q->known) return;
    q->guesses = least(least(n, WIRE_DRAFT), s->limits.context - q->known);
    q->chance = q->all = chance;
}

void schedule_reading(struct scheduler *s, double rows)
{
    s->reading = rows;
}

void schedule_back(struct scheduler *s, uint64_t request, uint32_t rows, uint64_t history)
{
    struct request *q = find_sequence(s, request);
    if (!q || q->pieces || rows > q->sent) return;
    if (s->limits.pages && rows < q->sent) pages_back(s->limits.pages, (uint32_t)(q - s->slot), rows, history);
    q->decodes -= q->sent - rows;
    q->sent = q->known = rows;
}

void schedule_dropped(struct scheduler *s, uint32_t beginning)
{
    for (size_t i = 0; i < s->n_queue; i++) {
        struct request *q = &s->queue[s->head + i];
        if (q->beginning == beginning) q->beginning = NO_BEGINNING;
    }
}

void schedule_cut(struct scheduler *s, uint64_t request, uint32_t rows)
{
    struct request *q = find_sequence(s, request);
    for (size_t i = s->n_queue; !q && i-- > 0;)
        if (s->queue[s->head + i].request == request) q = &s->queue[s->head + i];
    if (q) q->cut = rows;
}

void schedule_hand_over(struct scheduler *s, uint64_t request, uint64_t to, int priority)
{
    struct request *q = find_sequence(s, request);
    if (!q) return;
    q->request = to;
    if (q->priority == priority) return;
    uint32_t slot = (uint32_t)(q - s->slot);
    line_leave(s, slot);
    q->priority = priority;
    line_enter(s, slot);
}

/* ---- leaving ---------------------------------------------------------------------------------------------------- */

static void has_left(struct scheduler *s, struct request *q)
{
    s->left[s->n_left++] = q->request;
    free(q->spans);
    q->spans = NULL;
}

static void free_slot(struct scheduler *s, struct request *q)
{
    uint32_t slot = (uint32_t)(q - s->slot);
    s->past_prompt_rows += q->sent - q->begun - q->decodes;
    s->past_decodes += q->decodes;
    if (s->limits.pages) pages_leave(s->limits.pages, slot, q->sent > 0);
    has_left(s, q);
    line_leave(s, slot);
    *q = (struct request){0};
    s->unused[s->n_unused++] = slot;
    schedule_settle(s);
}

void schedule_leave(struct scheduler *s, uint64_t request)
{
    struct request *q = find_sequence(s, request);
    if (q) {
        q->leaving = true;
        if (!q->pieces) free_slot(s, q);
        return;
    }
    for (size_t i = 0; i < s->n_queue; i++) {
        if (s->queue[s->head + i].request != request) continue;
        struct request gone = queue_take(s, i);
        has_left(s, &gone);
        return;
    }
}

bool schedule_left(struct scheduler *s, uint64_t *request)
{
    if (!s->n_left) return false;
    *request = s->left[--s->n_left];
    return true;
}

bool schedule_yield(const struct scheduler *s, uint64_t *request)
{
    const struct request *lacking = first_lacking(s), *last = NULL;
    for (uint32_t i = 0; i < s->n_order; i++) {
        const struct request *q = &s->slot[s->order[i]];
        if (q->leaving) return false; /* what it holds is about to be free */
        if (!last || goes_before(last, q)) last = q;
    }
    if (!last) return false;
    *request = last->request;
    return (s->n_queue && last->priority < s->queue[s->head].priority) || (lacking && lacking != last);
}

/* ---- the next micro-batch --------------------------------------------------------------------------------------- */

static bool has_rows(const struct request *q)
{
    return q->sent < q->known && !q->leaving && !q->lacking;
}

static bool decode_ready(const struct request *q)
{
    return q->decode && has_rows(q);
}

static bool prefill_ready(const struct request *q)
{
    return !q->decode && has_rows(q);
}

/* Everything schedule_next wants to know before it chooses, in one walk. */
struct outlook {
    uint32_t answering;      /* sequences with a decode to send, or whose next token, or first, is on its way */
    uint32_t talking;        /* of these the ones whose first token is out */
    uint64_t prompt_rows;    /* that could go */
    struct request *oldest; /* prompt, NULL if there is none */
};

static struct outlook look(const struct scheduler *s)
{
    struct outlook o = {0};
    for (uint32_t i = 0; i < s->n_order; i++) {
        struct request *q = &s->slot[s->order[i]];
        if (prefill_ready(q)) {
            o.prompt_rows += q->known - q->sent;
            if (!o.oldest) o.oldest = q;
            continue;
        }
        bool under_way = decode_ready(q) || (q->pieces && !q->leaving);
        o.answering += under_way;
        o.talking += under_way && q->decode;
    }
    return o;
}

static void batch_take(struct scheduler *s, struct schedule_batch *b, uint32_t slot, uint32_t rows)
{
    struct request *q = &s->slot[slot];
    b->moves[b->n_moves++] = (struct move){
        .request = q->request,
        .slot = slot,
        .position = q->sent,
        .rows = rows,
        .start = q->sent == 0,
        .want_token = q->sent + rows == q->known,
    };
    b->rows += rows;
    q->sent += rows;
    q->pieces++;
    pass_spans(q);
}

static uint32_t groups(const struct scheduler_limits *l, uint32_t n)
{
    return groups_of(n, l->stages, l->in_flight);
}

/* This micro-batch's part of n sequences: n / G, and of the remainder one for every so many micro-batches, in turn. */
static uint32_t group_share(const struct scheduler *s, uint32_t n)
{
    uint64_t m = groups(&s->limits, n), turn = s->next_batch % m;
    uint32_t part = (uint32_t)((turn + 1) * n / m - turn * n / m);
    return part ? part : 1;
}

static uint32_t groups_under_way(const struct scheduler *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->limits.in_flight; i++) n += s->place[i].taken && s->place[i].speaks;
    return n;
}

static void pack_decodes(struct scheduler *s, struct place *p, const struct outlook *o)
{
    struct schedule_batch *b = &p->batch;
    uint32_t share = least(group_share(s, o->answering), s->limits.rows - b->rows);
    if (groups_under_way(s) >= groups(&s->limits, o->answering)) return;
    for (uint32_t i = 0; i < s->n_order && share; i++) {
        struct request *q = &s->slot[s->order[i]];
        if (!decode_ready(q)) continue;
        batch_take(s, b, s->order[i], 1);
        q->decodes++;
        p->speaks = true;
        share--;
    }
}

/* One more guess for this move, if it pays. reading: in rows; *worth: of all rows. */
static bool take_guess(struct scheduler *s, struct schedule_batch *b, struct move *m, double reading, double *worth)
{
    struct request *q = &s->slot[m->slot];
    if (q->guesses == m->guesses || b->rows == s->limits.rows || (!m->guesses && s->guessing == GUESSING_MOST)) return false;
    if (q->all * (reading + b->rows) <= *worth) return false;
    if (s->limits.pages && !pages_grow(s->limits.pages, m->slot, q->sent + 1)) return false;
    s->guessing += !m->guesses;
    *worth += q->all;
    q->all *= q->chance;
    q->sent++;
    q->decodes++;
    m->guesses++;
    m->rows++;
    b->rows++;
    return true;
}

/* The more rows are known, the nearer their sums come to taking longer than reading the weights, which then costs nothing more: 8
 * sequences that repeat themselves took a quarter more of the processor with as many guesses as one (docs/SPEED.md 35).
 * Each sequence's first guess, then the second ones: the later, the less likely. */
static void pack_guesses(struct scheduler *s, struct schedule_batch *b)
{
    const double reading = b->rows > READING_ROWS ? s->reading * READING_ROWS / b->rows : s->reading;
    uint32_t tokens = 0;
    double worth = b->rows;
    if (schedule_lack(s) == LACKS_PAGES) return;
    for (uint32_t i = 0; i < b->n_moves; i++) tokens += b->moves[i].want_token;
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < b->n_moves && tokens < WIRE_SEGMENTS; i++) {
            const bool taken = take_guess(s, b, &b->moves[i], reading, &worth);
            tokens += taken;
            more |= taken;
        }
    }
}

static uint32_t quarters_of(const struct scheduler_limits *l)
{
    return l->piece_quarters ? l->piece_quarters : PIECE_QUARTERS;
}

/* In whole tiles, and at least eight times what it costs: no more than a ninth of the time goes into reading weights again. */
static uint32_t piece_least(const struct scheduler_limits *l)
{
    return (2 * quarters_of(l) + PIECE_TILE - 1) / PIECE_TILE * PIECE_TILE;
}

/* Rows of the next piece: about `want`, at most `room`, never ending within a span. 0 if a span needs more room. */
static uint32_t piece_rows(const struct request *q, uint32_t want, uint32_t room, uint32_t least_rows)
{
    uint32_t left = (q->cut > q->sent ? q->cut : q->known) - q->sent, n = least(left, want);
    if (left - n < least_rows / 2 && left <= room) return left;
    uint32_t end = q->sent + n;
    for (uint32_t i = q->next_span; i < q->n_spans && q->spans[i].first < end; i++) {
        uint32_t first = q->spans[i].first, after = first + q->spans[i].n;
        if (end >= after) continue;
        if (first > q->sent) return first - q->sent;
        return after - q->sent <= room ? after - q->sent : 0;
    }
    return n;
}

/* The best length of a piece when nothing but `rows` rows of prompts is in the pipe; see above. */
static uint64_t best_piece(const struct scheduler_limits *l, uint64_t rows)
{
    const uint64_t stages = l->stages ? l->stages : l->in_flight > 1 ? l->in_flight - 1 : 1;
    if (stages == 1) return (rows + l->in_flight - 1) / l->in_flight;
    const uint64_t squared = rows * quarters_of(l) / (4 * (stages - 1)), half = PIECE_TILE / 2;
    uint64_t piece = piece_least(l); /* to the nearest whole tiles */
    while (piece < l->rows && (piece + half) * (piece + half) < squared) piece += PIECE_TILE;
    return piece < l->rows ? piece : l->rows;
}

/* How many rows of prompts travel with a group while others answer. */
static uint64_t piece_among_answers(const struct scheduler *s, const struct outlook *o)
{
    const uint32_t places = s->limits.in_flight;
    if (s->limits.stages > 1 && s->n_queue && s->past_decodes)
        return s->past_prompt_rows * group_share(s, o->answering) * STEADY_TENTHS / (10 * s->past_decodes);
    return least((uint32_t)((o->prompt_rows + places - 1) / places), PIECE_AMONG_ANSWERS);
}

static void pack_prompts(struct scheduler *s, struct schedule_batch *b, const struct outlook *o)
{
    uint32_t room = s->limits.rows - b->rows;
    const uint32_t least_rows = piece_least(&s->limits);
    const uint64_t part = o->talking ? piece_among_answers(s, o) : best_piece(&s->limits, o->prompt_rows);
    uint32_t want = part > room ? room : (uint32_t)part;
    if (want < least_rows) want = least(least_rows, room);
    for (uint32_t i = 0; i < s->n_order && want; i++) {
        struct request *q = &s->slot[s->order[i]];
        uint32_t n = prefill_ready(q) ? piece_rows(q, want, room, least_rows) : 0;
        if (!n) continue;
        batch_take(s, b, s->order[i], n);
        room -= n;
        want -= least(n, want);
        want = least(want, room);
    }
}

static struct place *free_place(struct scheduler *s)
{
    for (uint32_t i = 0; i < s->limits.in_flight; i++)
        if (!s->place[i].taken) return &s->place[i];
    return NULL;
}

bool schedule_next(struct scheduler *s, struct schedule_batch *out)
{
    struct place *p = free_place(s);
    if (!p) return false;
    schedule_settle(s);
    struct outlook o = look(s);
    uint32_t oldest_sent = o.oldest ? o.oldest->sent : 0;
    struct schedule_batch *b = &p->batch;
    b->n_moves = b->rows = 0;
    p->speaks = false;
    if (s->passed_over < DECODES_PER_PREFILL) {
        pack_decodes(s, p, &o);
        pack_prompts(s, b, &o);
    } else {
        pack_prompts(s, b, &o);
        pack_decodes(s, p, &o);
    }
    if (!b->n_moves) return false;
    pack_guesses(s, b);
    s->passed_over = o.oldest && o.oldest->sent == oldest_sent ? s->passed_over + 1 : 0;
    b->id = s->next_batch++;
    p->taken = true;
    s->in_flight++;
    *out = *b;
    return true;
}

static struct place *find_place(const struct scheduler *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->limits.in_flight; i++)
        if (s->place[i].taken && s->place[i].batch.id == id) return &s->place[i];
    return NULL;
}

const struct schedule_batch *schedule_find(const struct scheduler *s, uint64_t id)
{
    const struct place *p = find_place(s, id);
    return p ? &p->batch : NULL;
}

int schedule_done(struct scheduler *s, uint64_t id, struct err *why)
{
    struct place *p = find_place(s, id);
    if (!p)
        return fail(why, E_WIRE, "a result came for micro-batch %llu, which is not in flight", (unsigned long long)id);
    p->taken = false;
    s->in_flight--;
    for (uint32_t i = 0; i < p->batch.n_moves; i++) {
        struct request *q = &s->slot[p->batch.moves[i].slot];
        s->guessing -= p->batch.moves[i].guesses > 0;
        if (!--q->pieces && q->leaving) free_slot(s, q);
    }
    return 0;
}

uint32_t schedule_in_flight(const struct scheduler *s)
{
    return s->in_flight;
}

bool schedule_under_way(const struct scheduler *s, uint64_t request)
{
    const struct request *q = find_sequence(s, request);
    return q && q->pieces;
}

uint32_t schedule_waiting(const struct scheduler *s)
{
    return (uint32_t)s->n_queue;
}
