/* tests/support/obedient.c — see obedient.h. */
#include "tests/support/obedient.h"

#include "base/little_endian.h"
#include "partition/model/memory.h"
#include "partition/model/vision_memory.h"
#include "transport/links/faulty.h"
#include "transport/links/port.h"
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>

#define MS 1000000ull
#define LOOK_NS (500 * MS) /* between two looks at the time, as worker/loop.c has it */
#define LEAVING_NS (20000 * MS)

/* ---- what will happen ---- */

struct later {
    struct later *next;
    struct obedient *worker;
    uint32_t turn;
    int (*what)(struct obedient *w, struct later *l, struct err *why);
    struct frame *frame;
    int to;
};

static void later_free(struct later *l)
{
    struct later **at = &l->worker->of->later;
    while (*at != l) at = &(*at)->next;
    *at = l->next;
    frame_free(l->frame);
    free(l);
}

static uint64_t now_ns(const struct obedient *w)
{
    return clock_now(sim_clock(w->of->sim));
}

static void run_over(struct obedient *w, const struct err *failure);

static void happens(void *user)
{
    struct later *l = user;
    struct obedient *w = l->worker;
    struct err why = {0};
    if (w->turn == l->turn && now_ns(w) < w->stands_until_ns && !sim_at(w->of->sim, w->stands_until_ns, happens, l, NULL)) return;
    if (w->turn == l->turn && l->what(w, l, &why)) run_over(w, &why);
    later_free(l);
}

/* Takes the frame in any case. */
static int in(struct obedient *w, uint64_t ns, int (*what)(struct obedient *w, struct later *l, struct err *why), struct frame *f, int to,
              struct err *why)
{
    struct later *l = malloc(sizeof *l);
    if (!l) return frame_free(f), fail(why, E_MEMORY, "no memory");
    *l = (struct later){w->of->later, w, w->turn, what, f, to};
    w->of->later = l;
    return sim_at(w->of->sim, now_ns(w) + ns, happens, l, why);
}

void obedience_end(struct obedience *of)
{
    while (of->later) later_free(of->later);
}

/* ---- what should never be ---- */

static void note(const struct obedient *w, const char *what, uint64_t a, uint64_t b)
{
    w->of->note(w->of->user, w, what, a, b);
}

static int broken(struct obedient *w, struct err *why)
{
    if (!w->of->broken.code) w->of->broken = *why;
    return w->of->broken.code = E_WIRE;
}

/* ---- sending ---- */

static int send_home(struct obedient *w, struct frame *f, struct err *why)
{
    return port_send_off(w->port, 0, f, why);
}

static void out_forget(struct obedient *w)
{
    while (w->n_out) frame_free(w->out[--w->n_out]);
}

/* What is computed leaves while the lease holds. */
static int send_out(struct obedient *w, struct err *why)
{
    int sent = 0, code = 0;
    if (!bond_holds(&w->bond)) return 0;
    for (; sent < w->n_out && !code; sent++) {
        struct frame *f = w->out[sent];
        w->of->sends(w->of->user, w);
        code = port_send_off(w->port, w->out_to[sent], f, why);
        if (code == E_LINK && w->out_to[sent]) neighbours_lost(&w->neighbours, w->out_to[sent]), code = 0;
    }
    memmove(w->out, w->out + sent, (size_t)(w->n_out - sent) * sizeof *w->out);
    memmove(w->out_to, w->out_to + sent, (size_t)(w->n_out - sent) * sizeof *w->out_to);
    w->n_out -= sent;
    return code;
}

/* ---- a run ends ---- */

static void run_over(struct obedient *w, const struct err *failure)
{
    struct frame *f = NULL;
    struct fault fault = {.code = failure ? (uint32_t)failure->code : 0};
    struct err ignored;
    if (w->state == OBEDIENT_IDLE) return;
    if (failure) {
        snprintf(fault.text, sizeof fault.text, "%s", failure->text);
        if (!fault_write(&f, &fault, &ignored)) (void)send_home(w, f, &ignored);
        f = NULL;
    }
    note(w, failure ? "ends the run by itself" : "is told that the run is over", fault.code, 0);
    out_forget(w);
    w->turn++;
    w->state = OBEDIENT_IDLE;
    w->under_way = w->pictures = 0;
    (void)port_recv(w->port, &f, 0, &ignored); /* what comes twice may be what ended it */
    frame_free(f);
    (void)port_listen_again(w->port, NULL);
    if (w->leaving_ns) obedient_kill(w);
}

static int look(struct obedient *w, struct later *l, struct err *why)
{
    (void)l;
    TRY(send_out(w, why));
    TRY(bond_check(&w->bond, w->state == OBEDIENT_GREETED || (w->state == OBEDIENT_LOADING && (w->missing || w->unproved)), why));
    TRY(neighbours_look(&w->neighbours, w->port, why));
    if (w->leaving_ns && now_ns(w) - w->leaving_ns > LEAVING_NS) return fail(why, E_INTERRUPTED, "nobody took over");
    return in(w, LOOK_NS, look, NULL, 0, why);
}

/* ---- greeting ---- */

static int say_hello(struct obedient *w, struct later *l, struct err *why)
{
    struct hello hello = {.build = "obedient", .isa = "hash", .threads = 1, .numeric = worker_numeric(), .memory = w->memory};
    struct frame *f = NULL;
    (void)l;
    snprintf(hello.host, sizeof hello.host, "%s", w->host);
    TRY(hello_write(&f, &hello, why));
    return send_home(w, f, why);
}

static int take_greeting(struct obedient *w, struct frame *f, struct err *why)
{
    const bool later = w->state != OBEDIENT_IDLE;
    if (later && (f->head.run != w->run || f->head.epoch <= w->epoch))
        return fail(why, E_WIRE, "run %llx, epoch %u greets who is in %llx, epoch %u", (unsigned long long)f->head.run, f->head.epoch,
                    (unsigned long long)w->run, w->epoch), broken(w, why);
    TRY(greet_read(&w->greet, f, why));
    out_forget(w);
    w->turn++;
    w->state = OBEDIENT_GREETED;
    w->run = f->head.run;
    w->epoch = f->head.epoch;
    w->under_way = w->pictures = 0;
    w->neighbours = (struct neighbours){.clock = &w->clock, .lock = PTHREAD_MUTEX_INITIALIZER};
    w->computed = w->busy_until_ns = 0;
    bond_begin(&w->bond, w->port, &w->clock);
    note(w, "is greeted as node, in epoch", w->greet.node, w->epoch);
    TRY(in(w, LOOK_NS, look, NULL, 0, why));
    return in(w, later && !dice(w->of->dice, 4) ? dice(w->of->dice, 2500) * MS : dice(w->of->dice, 20) * MS, say_hello, NULL, 0, why);
}

/* ---- loading ---- */

static bool is_held(const struct obedient *w, const struct tensor *t)
{
    for (uint32_t i = 0; i < w->n_held; i++)
        if (w->held[i] == t->data && w->held_rows[i] == t->rows) return true;
    return false;
}

static void hold(struct obedient *w, const struct tensor *t)
{
    if (w->n_held == OBEDIENT_WEIGHTS) w->n_held = 0; /* it had no room for them all */
    w->held[w->n_held] = t->data;
    w->held_rows[w->n_held++] = t->rows;
}

static int say_ready(struct obedient *w, struct later *l, struct err *why)
{
    struct frame *f = NULL;
    (void)l;
    if (!neighbours_met(&w->neighbours, w->port)) return in(w, 20 * MS, say_ready, NULL, 0, why);
    w->state = OBEDIENT_WORKING;
    note(w, "is ready in epoch", w->epoch, 0);
    TRY(ready_write(&f, &(struct ready){.resident = 1, .seconds = 1}, why));
    return send_home(w, f, why);
}

static int maybe_ready(struct obedient *w, struct err *why)
{
    if (w->missing || w->unproved) return 0;
    return in(w, (dice(w->of->dice, 10) ? 2 + dice(w->of->dice, 300) : dice(w->of->dice, 5000) + 2) * MS, say_ready, NULL, 0, why);
}

/* Its own pages by its own reckoning: the engine's account must be the same. */
static void open_book(struct obedient *w)
{
    const struct model_config *c = w->stage.config;
    const struct part p = w->stage.part;
    struct pages_stage stage = {.pool = kv_pool_pages(c, p, &w->capacity)};
    const struct pages_limits limits = {.slots = w->capacity.sequences, .window = c->window, .ring = kv_ring(c, &w->capacity)};
    for (uint32_t layer = p.first; layer < p.end; layer++) {
        stage.global += layer_is_global(c, layer);
        stage.local += !layer_is_global(c, layer);
    }
    book_open(&w->stage.book, &stage, &limits);
}

static struct part_bytes bytes_of(const struct obedient *w, uint32_t text, const struct assignment *a)
{
    const struct vision_model *e = w->of->encoder;
    struct part_bytes b = {0}, v = {0};
    if (text) b = text_part_bytes(w->stage.config, w->stage.part, w->tensor, &w->capacity, (int)a->threads);
    const enum vision_type as = (enum vision_type)a->vision_as;
    if (w->count > text) v = vision_part_bytes(&e->config, w->sees, w->tensor + text, as, w->pictures_most, (int)a->threads);
    if (!text) vision_bytes_alone(&v, as);
    b.weights += v.weights, b.scratch += v.scratch, b.frames += v.frames, b.runtime += v.runtime, b.total += v.total;
    return b;
}

static int accept(struct obedient *w, const struct assignment *a, struct err *why)
{
    const uint32_t text = (uint32_t)part_count(CHAIN_TEXT, a->of[CHAIN_TEXT].part);
    struct acceptance yes = {.n = w->count, .bytes = bytes_of(w, text, a)};
    uint8_t have[OBEDIENT_WEIGHTS];
    struct frame *f = NULL;
    yes.have = have;
    if (yes.bytes.total > w->memory)
        return fail(why, E_MEMORY, "a plan wants %llu bytes of who has %llu", (unsigned long long)yes.bytes.total,
                    (unsigned long long)w->memory), broken(w, why);
    w->missing = w->unproved = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        const uint8_t *hashes = i < text ? a->of[CHAIN_TEXT].hashes + 8 * (size_t)i : a->of[CHAIN_VISION].hashes + 8 * (size_t)(i - text);
        const uint64_t known = le_of(hashes, 8);
        w->got[i] = 0;
        have[i] = w->has_file || (known && is_held(w, &w->tensor[i]));
        w->missing += !have[i];
        w->unproved += have[i] && !known;
    }
    TRY(acceptance_write(&f, &yes, why));
    TRY(send_home(w, f, why));
    return maybe_ready(w, why);
}

/* Its part of one chain, whose tensors come behind those of the text. */
static int take_chain(struct obedient *w, enum chain c, const struct chain_assignment *of, struct err *why)
{
    const uint32_t first = w->count;
    if (part_is_empty(of->part)) return 0;
    w->count += of->n_types;
    if (w->count > OBEDIENT_WEIGHTS || !of->hashes || part_count(c, of->part) != of->n_types)
        return fail(why, E_WIRE, "an assignment has %u tensors of chain %d, and its part others", of->n_types, c), broken(w, why);
    w->route[c] = of->route;
    w->next[c] = of->next;
    w->relayed[c] = of->relayed;
    if (c == CHAIN_TEXT) text_part_tensors(w->of->model, of->part, w->tensor);
    else vision_part_tensors(w->of->encoder, of->part, w->tensor + first);
    TRY(port_route(w->port, of->route, of->plan, of->epoch, why));
    note(w, c == CHAIN_TEXT ? "gets layers" : "gets layers of the encoder", of->part.first, of->part.end);
    if (of->relayed) note(w, "is relayed to", of->next, 0);
    return neighbours_add(&w->neighbours, w->port, of, why);
}

static int take_assignment(struct obedient *w, struct frame *f, struct err *why)
{
    static struct assignment a; /* large */
    TRY(assignment_read(&a, f, why));
    const struct part text = a.of[CHAIN_TEXT].part;
    if (w->state != OBEDIENT_GREETED || !a.threads) return fail(why, E_WIRE, "an assignment came in state %d", w->state), broken(w, why);
    w->state = OBEDIENT_LOADING;
    const bool first = w->wrong && !w->stage.wrong && text.end > text.first;
    if (first) w->stage.wrong_layer = text.first + dice(w->of->dice, text.end - text.first);
    w->stage = (struct hash_stage){.config = &w->of->model->config, .part = text, .counts = w->of->counts, .wrong = w->stage.wrong || first,
                                   .wrong_layer = w->stage.wrong_layer};
    w->sees = a.of[CHAIN_VISION].part;
    w->pictures_most = a.pictures_in_flight;
    w->capacity = a.capacity;
    w->count = 0;
    memset(w->route, 0, sizeof w->route);
    for (enum chain c = CHAIN_TEXT; c < CHAINS; c++) TRY(take_chain(w, c, &a.of[c], why));
    if (!part_is_empty(text)) open_book(w);
    return accept(w, &a, why);
}

static int send_ack(struct obedient *w, struct later *l, struct err *why)
{
    struct frame *f = NULL;
    (void)l;
    TRY(empty_write(&f, M_PIECE_ACK, why));
    return send_home(w, f, why);
}

static bool is_of_file(const struct tensor *t, const struct piece *p)
{
    const uint64_t row = block_row_bytes(t->type, t->cols);
    if (!p->rows) return p->hash == hash_rows(0, t->rows, t->data, row);
    return p->n == p->rows * row && p->first_row + p->rows <= t->rows && !memcmp(p->bytes, t->data + p->first_row * row, p->n);
}

static int take_piece(struct obedient *w, struct frame *f, struct err *why)
{
    struct piece p;
    TRY(piece_read(&p, f, why));
    if (w->state != OBEDIENT_LOADING || p.tensor >= w->count || !is_of_file(&w->tensor[p.tensor], &p))
        return fail(why, E_WIRE, "a piece of tensor %u of %u is not what the file has", p.tensor, w->count), broken(w, why);
    w->steps++;
    w->got[p.tensor] += p.rows;
    if (!p.rows) w->unproved--;
    else if (w->got[p.tensor] == w->tensor[p.tensor].rows) hold(w, &w->tensor[p.tensor]), w->missing--;
    TRY(in(w, dice(w->of->dice, 4) * MS / 2, send_ack, NULL, 0, why));
    return maybe_ready(w, why);
}

/* ---- at work ---- */

static bool is_of_picture(const struct frame *f)
{
    return f->head.type == M_PICTURE || f->head.type == M_PICTURE_ROWS;
}

static int is_computed(struct obedient *w, struct later *l, struct err *why)
{
    w->steps++;
    w->under_way--;
    w->pictures -= is_of_picture(l->frame);
    if (w->n_out == OBEDIENT_OUT) return fail(why, E_INTERNAL, "%d frames wait for a lease", OBEDIENT_OUT), broken(w, why);
    w->out[w->n_out] = l->frame;
    w->out_to[w->n_out++] = l->to;
    l->frame = NULL;
    return send_out(w, why);
}

/* After what it computes already. */
static int compute(struct obedient *w, struct frame *f, int to, uint64_t takes_ns, struct err *why)
{
    const uint64_t now = now_ns(w);
    if (message_has_route(f->head.type)) f->head.route = w->route[is_of_picture(f) ? CHAIN_VISION : CHAIN_TEXT];
    w->under_way++;
    w->pictures += is_of_picture(f);
    w->busy_until_ns = (w->busy_until_ns > now ? w->busy_until_ns : now) + takes_ns;
    return in(w, w->busy_until_ns - now, is_computed, f, to, why);
}

static uint64_t takes_ns(struct obedient *w, uint32_t rows)
{
    const uint64_t usual = w->slow_ns * rows * (1 + w->stage.part.end - w->stage.part.first);
    return usual / 2 + usual * dice(w->of->dice, 64) / 64;
}

static int say(void *user, struct frame **f, struct err *why)
{
    struct obedient *w = user;
    struct frame *mine = *f;
    *f = NULL;
    return compute(w, mine, 0, takes_ns(w, 1), why);
}

static int score(struct obedient *w, struct err *why)
{
    return part_has_head(w->stage.part) ? hash_stage_score(&w->stage, &w->of->score, &w->of->scored, say, w, why) : 0;
}

static int divide(struct obedient *w, uint64_t takes, struct err *why)
{
    uint8_t kept[WIRE_SEGMENTS * 64 * sizeof(float)];
    struct frame *f = NULL;
    TRY(hash_stage_divide(&w->of->result, &w->of->score, &f, why));
    memcpy(kept, w->of->score.activations, (size_t)w->of->score.n_rows * w->of->score.cols * sizeof(float));
    TRY(compute(w, f, 0, takes, why));
    w->of->score.activations = kept;
    return score(w, why);
}

static int next_of(const struct obedient *w, enum chain c)
{
    return w->relayed[c] ? 0 : w->next[c];
}

static int take_work(struct obedient *w, struct frame **f, struct err *why)
{
    struct work *m = &w->of->work;
    struct frame *reply = NULL;
    TRY(work_read(m, *f, why));
    if (w->state != OBEDIENT_WORKING || (*f)->head.route != w->route[CHAIN_TEXT])
        return fail(why, E_WIRE, "micro-batch %llu came in state %d", (unsigned long long)m->batch, w->state), broken(w, why);
    if (hash_stage_run(&w->stage, m, &w->of->result, &w->of->score, why)) return broken(w, why);
    w->computed = m->batch + 1;
    const uint64_t takes = takes_ns(w, m->n_rows);
    TRY(hash_stage_hashes(&w->stage, m->batch, &reply, why));
    if (reply) TRY(compute(w, reply, 0, 0, why));
    reply = NULL;
    if (w->next[CHAIN_TEXT]) {
        struct frame *on = *f;
        *f = NULL;
        return compute(w, on, next_of(w, CHAIN_TEXT), takes, why);
    }
    if (!part_has_whole_head(w->stage.part) && w->of->score.n_rows) return divide(w, takes, why);
    TRY(result_write(&reply, &w->of->result, why));
    return compute(w, reply, 0, takes, why);
}

/* What a picture is lies in its first value, but for the pixels. */
static int take_picture(struct obedient *w, struct frame *f, struct err *why)
{
    const struct vision_config *c = &w->of->encoder->config;
    const bool last = part_has_back(w->sees);
    struct picture_values m;
    struct frame *reply = NULL;
    uint64_t x;
    TRY(picture_values_read(&m, f, why));
    if (w->state != OBEDIENT_WORKING || f->head.route != w->route[CHAIN_VISION] || part_is_empty(w->sees) || w->pictures == w->pictures_most ||
        m.rows != vision_patches(c) || m.cols != (w->sees.front ? vision_pixels(c) : c->width))
        return fail(why, E_WIRE, "picture %llu came as %u rows of %u values to who has %u under way", (unsigned long long)m.picture, m.rows,
                    m.cols, w->pictures), broken(w, why);
    memcpy(&x, m.values, sizeof x);
    if (w->sees.front) x = hash64(m.values, (size_t)m.rows * m.cols * sizeof(float));
    if (w->sees.front && x == w->of->poison) return obedient_kill(w), 0;
    x = hash_picture(w->sees.first, w->sees.end, x);
    struct picture_values made = {.picture = m.picture, .rows = last ? vision_tokens(c) : m.rows, .cols = last ? c->hidden : c->width};
    TRY(picture_values_write(&reply, last ? M_PICTURE_ROWS : M_PICTURE, &made, why));
    memset(made.values, 0, (size_t)made.rows * made.cols * sizeof(float));
    memcpy(made.values, &x, sizeof x);
    for (uint32_t i = 0; i < made.rows && last; i++) {
        const uint64_t row = hash_picture_row(x, i);
        memcpy(made.values + (size_t)i * made.cols * sizeof(float), &row, sizeof row);
    }
    return compute(w, reply, next_of(w, CHAIN_VISION), takes_ns(w, vision_tokens(c)), why);
}

static int look_at_weights(struct obedient *w, struct frame *f, struct err *why)
{
    struct frame *reply = NULL;
    struct check m;
    TRY(check_read(&m, f, why));
    TRY(check_write(&reply, &(struct check){0}, why));
    return compute(w, reply, 0, w->slow_ns, why);
}

static int take_score(struct obedient *w, struct frame *f, struct err *why)
{
    TRY(score_read(&w->of->score, f, why));
    return score(w, why);
}

/* ---- signs of life ---- */

static int answer_ping(struct obedient *w, struct frame *f, struct err *why)
{
    const bool loads = w->state == OBEDIENT_LOADING && !w->missing && !w->unproved;
    const uint32_t busy = (w->under_way > w->pictures ? BUSY_ROWS : 0) | (w->pictures ? BUSY_PICTURE : 0);
    const struct ping state = {.batch = w->computed, .queue = w->under_way, .busy = loads ? BUSY_LOADING : busy,
                               .steps = w->steps + (w->under_way || loads ? now_ns(w) / (100 * MS) : 0)};
    TRY(bond_pong(&w->bond, f, state, why));
    return send_out(w, why);
}

static int hear(struct obedient *w, struct frame **f, struct err *why)
{
    switch ((*f)->head.type) {
    case M_GREET: return take_greeting(w, *f, why);
    case M_ASSIGN: return take_assignment(w, *f, why);
    case M_PIECE: return take_piece(w, *f, why);
    case M_WORK: return take_work(w, f, why);
    case M_PICTURE: return take_picture(w, *f, why);
    case M_SCORE: return take_score(w, *f, why);
    case M_CHECK: return look_at_weights(w, *f, why);
    case M_PING: return answer_ping(w, *f, why);
    default: return fail(why, E_WIRE, "%s came", message_name((*f)->head.type)), broken(w, why);
    }
}

static int hears(void *user, struct port *port, struct frame **f, struct err *why)
{
    struct obedient *w = user;
    struct err mine = {0};
    const unsigned type = (*f)->head.type;
    const struct fault_wish twice = {.what = FAULT_DOUBLE, .skip = dice(w->of->dice, 60), .times = 9};
    if (!w->port && w->of->twice) TRY(port_make_faulty(port, &twice, why));
    w->port = port;
    if (type == M_HERE) return 0;
    if (type == M_LOST && (*f)->head.from) return neighbours_lost(&w->neighbours, (*f)->head.from), 0;
    if (type == M_LOST || type == M_STOP || type == M_FAULT) return run_over(w, NULL), 0;
    if (w->state != OBEDIENT_IDLE && (*f)->head.run != w->run) {
        fail(why, E_WIRE, "%s of another run is obeyed", message_name(type));
        return broken(w, why);
    }
    if (type != M_PING) note(w, message_name(type), (*f)->head.epoch, (*f)->head.sequence);
    if (w->state != OBEDIENT_IDLE && (*f)->head.from == 0) bond_heard(&w->bond, *f);
    if (hear(w, f, &mine)) run_over(w, &mine);
    return 0;
}

/* ---- from outside ---- */

static uint64_t boot_clock(void *user)
{
    const struct obedient *w = user;
    return now_ns(w) - w->booted_ns + MS;
}

static uint64_t other_clock(void *user)
{
    const struct obedient *w = user;
    return boot_clock(user) - w->slept_ns;
}

int obedient_open(struct obedient *w, struct obedience *of, struct err *why)
{
    *w = (struct obedient){.of = of};
    w->clock = (struct clock){.now = other_clock, .user = w, .boot = boot_clock};
    return sim_process(of->sim, hears, w, w->address, &w->number, why);
}

void obedient_kill(struct obedient *w)
{
    if (!sim_is_alive(w->of->sim, w->number)) return;
    note(w, "is killed", 0, 0);
    sim_end(w->of->sim, w->number);
    out_forget(w);
    w->turn++;
    w->state = OBEDIENT_IDLE;
    w->under_way = w->pictures = w->n_held = 0;
    w->stands_until_ns = w->leaving_ns = 0;
}

void obedient_leave(struct obedient *w)
{
    struct frame *f = NULL;
    struct err why;
    if (!sim_is_alive(w->of->sim, w->number) || w->stands_until_ns > now_ns(w) || w->leaving_ns) return;
    note(w, "is told to end", 0, 0);
    w->leaving_ns = now_ns(w);
    if (w->state == OBEDIENT_WORKING && !empty_write(&f, M_LEAVE, &why) && !send_home(w, f, &why)) return;
    fail(&why, E_INTERRUPTED, "stopped by a signal");
    if (w->state == OBEDIENT_IDLE) obedient_kill(w);
    else run_over(w, &why);
}

int obedient_restart(struct obedient *w, struct err *why)
{
    if (sim_is_alive(w->of->sim, w->number)) return 0;
    note(w, "is started again", 0, 0);
    if (dice(w->of->dice, 2)) w->booted_ns = now_ns(w), w->slept_ns = 0;
    return sim_restart(w->of->sim, w->number, why);
}

void obedient_stop(struct obedient *w, uint64_t until_ns, bool sleeps)
{
    if (!sim_is_alive(w->of->sim, w->number) || until_ns <= now_ns(w) || w->stands_until_ns > now_ns(w)) return;
    note(w, sleeps ? "sleeps for ms" : "is stopped for ms", (until_ns - now_ns(w)) / MS, 0);
    w->stands_until_ns = until_ns;
    if (sleeps) w->slept_ns += until_ns - now_ns(w);
    sim_stop(w->of->sim, w->number, until_ns);
}
