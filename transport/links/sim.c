/* transport/links/sim.c — see sim.h.
 *
 * All that will happen lies in one heap, ordered by time and, within a moment, by when it was put there: so the same seed gives
 * the same order. pull of the driven port takes the next thing out, sets the clock to its time and does it, until there is a
 * frame for the driven port or its time is over. */
#include "transport/links/sim.h"

#include "base/dice.h"
#include "base/growing.h"
#include "transport/links/port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN_NS 1000000000ull /* not 0, which elsewhere means "never" */
#define NOBODY (-1)

/* Who is at the other end of a connection: a process that is started again is another one, and so is a second connection. */
struct end {
    int process; /* NOBODY: there is no connection */
    uint32_t life;
    uint64_t connection; /* its number, from 1 */
};

struct way { /* a connection, as one of its ends knows it */
    struct end to;
    bool ours, heard;    /* made by us; it is known that the other end got something */
    struct frame *first; /* a copy of what went out first, until then: if the connection ends before, it goes out again */
};

struct happening {
    uint64_t at_ns, order;
    enum { ARRIVES, LEAVES, CLOSES, CALLS } what;
    struct end from, to; /* LEAVES: `to` is a node */
    struct frame *frame; /* ARRIVES, LEAVES */
    void (*call)(void *user);
    void *user;
};

struct sim_port {
    struct port port; /* first, so that a port of this kind is a struct sim_port */
    struct sim *sim;
    int number;       /* of its process */
    struct way *way;  /* [room]: who is behind a node's number */
    int room;
    struct queue inbox;
};

struct process {
    struct sim_port *port; /* NULL: closed */
    sim_on_frame *on_frame; /* NULL: the driven one */
    void *user;
    bool ended, hangs;
    uint32_t life;            /* how often it ended: of one that is not there, the life to come */
    uint64_t stands_until_ns; /* it is stopped: what happens to it happens then */
    struct err why;
    uint64_t busy_until_ns;
    uint64_t refused;  /* the last connection whose greeting was: it is told once */
    uint64_t *last_ns; /* [n_last]: when the last frame to each process arrives */
    int n_last;
};

struct sim {
    struct sim_links links;
    struct clock clock;
    uint64_t now_ns, order, random, connections;
    struct happening *heap; /* [n], room heap_room */
    size_t n, heap_room;
    uint64_t *broken; /* [n_broken] connections: what is sent by them is lost */
    size_t n_broken, broken_room;
    struct process **process; /* [n_processes]; 0 is the driven one. They stay where they are */
    size_t process_room;
    int n_processes;
};

static struct sim_port *sim_of(const struct port *p)
{
    return (struct sim_port *)p;
}

/* ---- what will happen ---- */

static bool sooner(const struct happening *a, const struct happening *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

/* In its own order, which it may have got earlier. */
static int heap_put_again(struct sim *s, struct happening h, struct err *why)
{
    struct happening *heap = array_with_room(s->heap, s->n, &s->heap_room, sizeof *heap);
    if (!heap) return fail(why, E_MEMORY, "no memory for what happens in a simulation");
    s->heap = heap;
    size_t at = s->n++;
    for (size_t up; at && (up = (at - 1) / 2, sooner(&h, &s->heap[up])); at = up) s->heap[at] = s->heap[up];
    s->heap[at] = h;
    return 0;
}

static int heap_put(struct sim *s, struct happening h, struct err *why)
{
    h.order = s->order++;
    return heap_put_again(s, h, why);
}

static struct happening heap_take(struct sim *s)
{
    struct happening first = s->heap[0], last = s->heap[--s->n];
    size_t at = 0;
    for (size_t down = 1; down < s->n; down = 2 * at + 1) {
        if (down + 1 < s->n && sooner(&s->heap[down + 1], &s->heap[down])) down++;
        if (!sooner(&s->heap[down], &last)) break;
        s->heap[at] = s->heap[down];
        at = down;
    }
    if (s->n) s->heap[at] = last;
    return first;
}

static uint64_t draw(struct sim *s)
{
    return dice_throw(&s->random);
}

static uint64_t usual_ns(struct sim *s, const struct frame *f)
{
    const uint64_t bytes = f ? FRAME_HEAD_BYTES + f->head.body_bytes : 0;
    const uint64_t ns = s->links.delay_ns + (s->links.jitter_ns ? draw(s) % (s->links.jitter_ns + 1) : 0);
    return s->links.bytes_per_second > 0 ? ns + (uint64_t)((double)bytes / s->links.bytes_per_second * 1e9) : ns;
}

/* When something that leaves now arrives: never before what left before it. `f` NULL: no frame, the end of a connection. */
static int arrival_ns(struct sim *s, int from, int to, struct frame *f, uint64_t *at, struct err *why)
{
    struct process *p = s->process[from];
    if (to >= p->n_last) {
        uint64_t *more = realloc(p->last_ns, (size_t)s->n_processes * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for %d processes", s->n_processes);
        memset(more + p->n_last, 0, (size_t)(s->n_processes - p->n_last) * sizeof *more);
        p->last_ns = more;
        p->n_last = s->n_processes;
    }
    *at = s->now_ns + (s->links.travel_ns && f ? s->links.travel_ns(s->links.user, from, to, f) : usual_ns(s, f));
    if (s->links.cut_ns) *at += s->links.cut_ns(s->links.user, from, to);
    if (*at < p->last_ns[to]) *at = p->last_ns[to];
    p->last_ns[to] = *at;
    return 0;
}

/* ---- who is connected with whom ---- */

static bool sim_reachable(const struct port *port, int to)
{
    const struct sim_port *p = sim_of(port);
    return to >= 0 && to < p->room && p->way[to].to.process != NOBODY;
}

/* Who called us has come by it. */
static bool sim_met(const struct port *port, int node)
{
    return sim_reachable(port, node) && (sim_of(port)->way[node].heard || !sim_of(port)->way[node].ours);
}

static int sim_push(struct port *port, struct err *why);

static struct end end_of(const struct sim *s, int process, uint64_t connection)
{
    return (struct end){process, s->process[process]->life, connection};
}

/* It is there, and is not another than it was when the connection was made. */
static bool is_there(const struct sim *s, struct end e)
{
    return e.process != NOBODY && !s->process[e.process]->ended && s->process[e.process]->life == e.life;
}

static int connect_node(struct sim_port *p, int node, struct way way, struct err *why)
{
    if (node >= p->room) {
        struct way *more = realloc(p->way, ((size_t)node + 1) * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for connections with %d nodes", node + 1);
        for (int k = p->room; k <= node; k++) more[k] = (struct way){.to.process = NOBODY};
        p->way = more;
        p->room = node + 1;
    }
    frame_free(p->way[node].first);
    p->way[node] = way;
    return 0;
}

static void disconnect(struct way *way)
{
    frame_free(way->first);
    *way = (struct way){.to.process = NOBODY};
}

static struct way *way_by(const struct sim_port *p, uint64_t connection)
{
    for (int k = 0; p && k < p->room; k++)
        if (p->way[k].to.process != NOBODY && p->way[k].to.connection == connection) return &p->way[k];
    return NULL;
}

/* `about` closes a connection, whose other end is `to` and hears of it after all that was sent to it. */
static void close_connection(struct sim *s, int about, struct end to)
{
    struct happening h = {.what = CLOSES, .from = end_of(s, about, to.connection), .to = to};
    if (!is_there(s, to) || arrival_ns(s, about, to.process, NULL, &h.at_ns, NULL)) return;
    (void)heap_put(s, h, NULL);
}

/* Those that it knows of. */
static void close_own(struct sim *s, int number)
{
    const struct sim_port *p = s->process[number]->port;
    for (int k = 0; p && k < p->room; k++)
        if (p->way[k].to.process != NOBODY) close_connection(s, number, p->way[k].to);
}

static void break_connection(struct sim *s, uint64_t connection)
{
    uint64_t *broken = array_with_room(s->broken, s->n_broken, &s->broken_room, sizeof *broken);
    if (!broken) return;
    s->broken = broken;
    s->broken[s->n_broken++] = connection;
}

static bool is_broken(const struct sim *s, uint64_t connection)
{
    for (size_t i = s->n_broken; i-- > 0;)
        if (s->broken[i] == connection) return true;
    return false;
}

/* Those that `one` knows of with `other`: both hear of it. */
static void close_with(struct sim *s, int one, int other)
{
    const struct sim_port *p = s->process[one]->port;
    for (int k = 0; p && k < p->room; k++) {
        if (p->way[k].to.process != other) continue;
        break_connection(s, p->way[k].to.connection);
        close_connection(s, other, end_of(s, one, p->way[k].to.connection));
        close_connection(s, one, p->way[k].to);
    }
}

void sim_break(struct sim *s, int one, int other)
{
    if (one == other) return;
    close_with(s, one, other);
    close_with(s, other, one);
}

void sim_end(struct sim *s, int number)
{
    struct process *p = s->process[number];
    if (p->ended) return;
    for (int k = 0; k < s->n_processes; k++) sim_break(s, k, number);
    p->ended = true;
    p->life++;
}

int sim_restart(struct sim *s, int number, struct err *why)
{
    struct process *p = s->process[number];
    if (!p->ended || !p->port) return fail(why, E_INTERNAL, "process %d was not ended, and cannot be started again", number);
    for (int k = 0; k < p->port->room; k++) disconnect(&p->port->way[k]);
    queue_clear(&p->port->inbox);
    port_forget(&p->port->port);
    p->ended = p->hangs = false;
    p->busy_until_ns = p->stands_until_ns = 0;
    p->why.code = 0;
    for (int k = 0; k < s->n_processes; k++) /* who calls it since it was gone is heard now */
        if (s->process[k]->port && !s->process[k]->ended) TRY(sim_push(&s->process[k]->port->port, why));
    return 0;
}

void sim_stop(struct sim *s, int number, uint64_t until_ns)
{
    s->process[number]->stands_until_ns = until_ns;
}

void sim_hang(struct sim *s, int number)
{
    s->process[number]->hangs = true;
}

bool sim_is_alive(const struct sim *s, int number)
{
    return !s->process[number]->ended;
}

const struct err *sim_why(const struct sim *s, int number)
{
    return &s->process[number]->why;
}

/* ---- what happens ---- */

/* All frames that lie there, one after the other. */
static void process_runs(struct sim *s, int number)
{
    struct process *p = s->process[number];
    int code = 0;
    while (!code && !p->ended && p->port) {
        struct frame *f = NULL;
        const uint64_t dropped = p->port->port.counters.dropped;
        code = port_recv(&p->port->port, &f, 0, &p->why);
        if (!code && !f && p->port->port.counters.dropped > dropped) continue; /* others may lie behind it */
        if (!code && !f) return;
        if (!code) code = p->on_frame(p->user, &p->port->port, &f, &p->why);
        frame_free(f);
    }
    if (!code) return;
    p->why.code = code;
    sim_end(s, number);
}

/* As over real links: who was not greeted yet hears nothing but a greeting, and of a node that has no connection so far only
 * what is of this run, and for whom it is in it. */
static bool is_taken(const struct process *p, const struct frame_head *h, uint64_t connection)
{
    if (p->hangs || h->from >= p->port->port.room) return false;
    if (p->port->port.self < 0) return h->from == 0 && h->type == M_GREET;
    if (sim_met(&p->port->port, h->from) || way_by(p->port, connection)) return true;
    return (h->to == p->port->port.self || h->type == M_GREET) && port_fits(&p->port->port, h->from, h) != OTHER_RUN;
}

/* It serves another coordinator; the same one is known already. */
static void say_busy(struct sim *s, const struct happening *h)
{
    struct happening back = {.what = ARRIVES, .from = h->to, .to = h->from};
    struct process *p = s->process[h->to.process];
    if (h->frame->head.type != M_GREET || h->frame->head.run == p->port->port.run || p->refused == h->from.connection ||
        is_broken(s, h->from.connection))
        return;
    p->refused = h->from.connection;
    if (fault_write(&back.frame, &(struct fault){.code = E_LINK, .text = "busy"}, NULL)) return;
    back.frame->head.run = h->frame->head.run;
    back.frame->head.epoch = h->frame->head.epoch;
    back.frame->head.from = h->frame->head.to;
    frame_seal(back.frame);
    if (arrival_ns(s, h->to.process, h->from.process, back.frame, &back.at_ns, NULL) || heap_put(s, back, NULL)) frame_free(back.frame);
}

/* Whoever made this connection may send more by it. */
static void first_heard(struct sim_port *p, uint64_t connection)
{
    struct way *way = way_by(p, connection);
    if (!way || way->heard) return;
    way->heard = true;
    frame_free(way->first);
    way->first = NULL;
    (void)sim_push(&p->port, NULL);
}

/* What went out first and was not heard goes out first again. */
static void say_first_again(struct sim_port *p, struct way *way)
{
    struct peer *peer = way->first ? peer_made(&p->port, (int)(way - p->way)) : NULL;
    if (!peer) return;
    struct queue *out = &peer->out;
    way->first->next = out->first;
    out->first = way->first;
    if (!out->last) out->last = way->first;
    out->n++;
    way->first = NULL;
}

static void arrives(struct sim *s, struct happening *h)
{
    struct process *p = s->process[h->to.process];
    const int node = h->frame->head.from; /* whose connection this is from now on */
    if (!is_there(s, h->to) || !p->port) return frame_free(h->frame);
    if (!is_taken(p, &h->frame->head, h->from.connection)) { /* of an epoch that is over, say: but the connection is there */
        if (!p->hangs && p->port->port.self >= 0) first_heard(s->process[h->from.process]->port, h->from.connection);
        return frame_free(h->frame);
    }
    struct way *way = sim_reachable(&p->port->port, node) ? &p->port->way[node] : NULL;
    const bool other = way && way->to.connection != h->from.connection;
    if (other && node == 0 && h->frame->head.type == M_GREET && port_idles(&p->port->port) && !is_broken(s, h->from.connection)) {
        port_lost(&p->port->port, 0);
        process_runs(s, h->to.process); /* the run is over, and it listens again */
        if (p->port->port.self < 0) return arrives(s, h);
    }
    if (other && (node == 0 || sim_met(&p->port->port, node) || is_broken(s, h->from.connection))) {
        if (node == 0) say_busy(s, h);
        return frame_free(h->frame);
    }
    if (other) say_first_again(p->port, way); /* two call each other: who is heard first is answered by its own connection */
    if ((!way || other) && connect_node(p->port, node, (struct way){.to = h->from}, NULL)) return frame_free(h->frame);
    first_heard(p->port, h->from.connection);
    first_heard(s->process[h->from.process]->port, h->from.connection);
    queue_put(&p->port->inbox, h->frame);
    if (p->on_frame) process_runs(s, h->to.process);
}

static void leaves(struct sim *s, struct happening *h)
{
    struct process *p = s->process[h->from.process];
    struct err ignored;
    if (is_there(s, h->from) && !p->hangs && p->port) (void)port_send(&p->port->port, h->to.process, &h->frame, &ignored);
    frame_free(h->frame);
}

/* As nobody was heard, nothing is lost but what was said first. */
static void call_again(struct sim *s, struct sim_port *p, struct way *way)
{
    say_first_again(p, way);
    *way = (struct way){.to = end_of(s, way->to.process, ++s->connections), .ours = true};
    (void)sim_push(&p->port, NULL);
}

static void closes(struct sim *s, const struct happening *h)
{
    struct process *p = s->process[h->to.process];
    struct way *way = is_there(s, h->to) && !p->hangs ? way_by(p->port, h->from.connection) : NULL;
    if (!way) return;
    if (way->first) return call_again(s, p->port, way);
    disconnect(way);
    port_lost(&p->port->port, (int)(way - p->port->way));
    if (p->on_frame) process_runs(s, h->to.process);
}

/* A process that is stopped does nothing, and nothing is done to it: all of it waits. */
static bool waits(struct sim *s, struct happening *h)
{
    const struct process *p = h->what == CALLS ? NULL : s->process[h->what == LEAVES ? h->from.process : h->to.process];
    if (!p || p->ended || !p->on_frame || p->stands_until_ns <= h->at_ns) return false;
    h->at_ns = p->stands_until_ns;
    return !heap_put_again(s, *h, NULL);
}

static void happen(struct sim *s)
{
    struct happening h = heap_take(s);
    if (waits(s, &h)) return;
    if (h.at_ns > s->now_ns) s->now_ns = h.at_ns;
    switch (h.what) {
    case ARRIVES: arrives(s, &h); break;
    case LEAVES: leaves(s, &h); break;
    case CLOSES: closes(s, &h); break;
    case CALLS: h.call(h.user); break;
    }
}

void sim_pass(struct sim *s, uint64_t until_ns)
{
    while (s->n && s->heap[0].at_ns <= until_ns) happen(s);
    if (until_ns > s->now_ns) s->now_ns = until_ns;
}

int sim_at(struct sim *s, uint64_t at_ns, void (*what)(void *user), void *user, struct err *why)
{
    return heap_put(s, (struct happening){.at_ns = at_ns, .what = CALLS, .call = what, .user = user}, why);
}

int sim_send_later(struct port *port, int to, struct frame **f, uint64_t compute_ns, struct err *why)
{
    struct sim_port *p = sim_of(port);
    struct process *me = p->sim->process[p->number];
    const uint64_t now = p->sim->now_ns, begin = me->busy_until_ns > now ? me->busy_until_ns : now;
    me->busy_until_ns = begin + compute_ns;
    const struct happening h = {.at_ns = me->busy_until_ns, .what = LEAVES, .from = end_of(p->sim, p->number, 0), .to = {to, 0, 0}, .frame = *f};
    int code = heap_put(p->sim, h, why);
    if (code) frame_free(*f);
    *f = NULL;
    return code;
}

/* ---- the kind ---- */

/* A process that is not there yet is called until it is; and until it has heard the first frame, it gets no other. */
static bool must_wait(const struct sim *s, struct end to)
{
    return s->process[to.process]->ended && s->process[to.process]->life == to.life;
}

static int sim_push(struct port *port, struct err *why)
{
    struct sim_port *p = sim_of(port);
    if (p->sim->process[p->number]->ended) return 0;
    for (int k = 0; k < p->room; k++) {
        struct peer *peer = peer_of(port, k);
        while (peer && peer->out.n && p->way[k].to.process != NOBODY && !p->way[k].first && !must_wait(p->sim, p->way[k].to)) {
            struct way *way = &p->way[k];
            struct frame *f = peer->out.first;
            struct happening h = {.what = ARRIVES, .from = end_of(p->sim, p->number, way->to.connection), .to = way->to, .frame = f};
            if (way->ours && !way->heard && !(way->first = frame_copy(f))) return fail(why, E_MEMORY, "no memory for a copy of a frame");
            TRY(arrival_ns(p->sim, p->number, h.to.process, f, &h.at_ns, why));
            const bool lost = is_broken(p->sim, way->to.connection);
            if (!lost) TRY(heap_put(p->sim, h, why));
            (void)queue_take(&peer->out);
            if (lost) frame_free(f);
        }
    }
    return 0;
}

static int sim_pull(struct port *port, struct frame **out, size_t *n, int *from, uint64_t until, struct err *why)
{
    struct sim_port *p = sim_of(port);
    struct sim *s = p->sim;
    const bool driven = !s->process[p->number]->on_frame;
    while (driven && !p->inbox.n && !port->untold && !atomic_load(&port->woken)) {
        if (!s->n && until == NEVER)
            return fail(why, E_INTERNAL, "nothing will happen in this simulation any more, and somebody waits for it");
        if (!s->n || s->heap[0].at_ns > until) {
            if (until > s->now_ns) s->now_ns = until;
            return 0;
        }
        happen(s);
    }
    *out = queue_take(&p->inbox);
    if (!*out) return 0;
    *n = FRAME_HEAD_BYTES + (*out)->head.body_bytes;
    *from = (*out)->head.from;
    return 0;
}

static void sim_wake(struct port *port)
{
    (void)port; /* nobody sleeps: the next look sees it */
}

static int sim_reach(struct port *port, int node, const char *address, struct err *why)
{
    struct sim_port *p = sim_of(port);
    int number, used = 0;
    if (sscanf(address, "sim:%d%n", &number, &used) != 1 || address[used] || number < 1 || number >= p->sim->n_processes)
        return fail(why, E_LINK, "'%s' is no address of this simulation", address);
    if (sim_reachable(port, node) && !peer_lost(port, node) && p->way[node].to.process == number) return 0; /* it holds, as far as is known */
    port_returned(port, node);
    return connect_node(p, node, (struct way){.to = end_of(p->sim, number, ++p->sim->connections), .ours = true}, why);
}

static void sim_part(struct port *port, int node)
{
    struct sim_port *p = sim_of(port);
    if (!sim_reachable(port, node)) return;
    close_connection(p->sim, p->number, p->way[node].to);
    disconnect(&p->way[node]);
}

static int sim_again(struct port *port, struct err *why)
{
    struct sim_port *p = sim_of(port);
    if (!p->number) return fail(why, E_LINK, "only a worker listens again");
    close_own(p->sim, p->number);
    for (int k = 0; k < p->room; k++) disconnect(&p->way[k]);
    queue_clear(&p->inbox);
    port_forget(port);
    return 0;
}

static void sim_close_port(struct port *port)
{
    struct sim_port *p = sim_of(port);
    struct process *me = p->sim->process[p->number];
    (void)sim_push(port, NULL);
    sim_end(p->sim, p->number);
    me->port = NULL;
    queue_clear(&p->inbox);
    for (int k = 0; k < p->room; k++) frame_free(p->way[k].first);
    free(p->way);
    port_free(port);
}

static const struct kind simulated = {.name = "sim", .outlives = true, .by_address = true, .reachable = sim_reachable, .met = sim_met,
                                      .push = sim_push, .pull = sim_pull, .wake = sim_wake, .reach = sim_reach, .part = sim_part,
                                      .again = sim_again, .close = sim_close_port};

/* ---- a world ---- */

static uint64_t sim_now(void *user)
{
    return ((struct sim *)user)->now_ns;
}

const struct clock *sim_clock(const struct sim *s)
{
    return &s->clock;
}

/* Process `number`, the next; its port knows its node at once only if it is driven. */
static int process_new(struct sim *s, sim_on_frame *on_frame, void *user, struct err *why)
{
    struct process **more = array_with_room(s->process, (size_t)s->n_processes, &s->process_room, sizeof *more);
    if (more) s->process = more;
    struct process *p = more ? calloc(1, sizeof *p) : NULL;
    struct sim_port *port = p ? calloc(1, sizeof *port) : NULL;
    if (!port) {
        free(p);
        return fail(why, E_MEMORY, "no memory for a process");
    }
    *port = (struct sim_port){.sim = s, .number = s->n_processes};
    *p = (struct process){.port = port, .on_frame = on_frame, .user = user};
    const bool driven = !on_frame;
    int code = port_init(&port->port, &simulated, NULL, driven ? 0 : -1, driven ? 1 : 0, why);
    port->port.clock = &s->clock;
    if (code) {
        port_free(&port->port);
        free(p);
        return code;
    }
    s->process[s->n_processes++] = p;
    return 0;
}

int sim_open(struct sim **out, const struct sim_links *links, struct err *why)
{
    struct sim *s = *out = calloc(1, sizeof *s);
    if (!s) return fail(why, E_MEMORY, "no memory for a simulation");
    s->links = *links;
    s->random = links->seed;
    s->now_ns = BEGIN_NS;
    s->clock = (struct clock){.now = sim_now, .user = s};
    int code = process_new(s, NULL, NULL, why);
    if (code) sim_close(out);
    return code;
}

int sim_driven(struct sim *s, struct port **out, int *number, struct err *why)
{
    *number = s->n_processes;
    TRY(process_new(s, NULL, NULL, why));
    *out = &s->process[*number]->port->port;
    return 0;
}

int sim_port(struct sim *s, struct port **out, struct err *why)
{
    *out = NULL;
    if (!s->process[0]->port) return fail(why, E_INTERNAL, "the driven port of this simulation was closed already");
    *out = &s->process[0]->port->port;
    return 0;
}

int sim_process(struct sim *s, sim_on_frame *on_frame, void *user, char address[SIM_ADDRESS], int *number, struct err *why)
{
    *number = s->n_processes;
    snprintf(address, SIM_ADDRESS, "sim:%d", *number);
    return process_new(s, on_frame, user, why);
}

void sim_close(struct sim **ps)
{
    struct sim *s = *ps;
    if (!s) return;
    for (int i = 0; i < s->n_processes; i++) {
        struct process *p = s->process[i];
        struct port *port = p->port ? &p->port->port : NULL;
        port_close(&port);
    }
    for (size_t i = 0; i < s->n; i++) frame_free(s->heap[i].frame);
    for (int i = 0; i < s->n_processes; i++) {
        free(s->process[i]->last_ns);
        free(s->process[i]);
    }
    free(s->process);
    free(s->heap);
    free(s->broken);
    free(s);
    *ps = NULL; /* not before: whoever says how links are may ask for the time */
}
