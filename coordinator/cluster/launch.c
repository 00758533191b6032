/* coordinator/cluster/launch.c — see launch.h: from a plan to "all are ready".
 *
 * A launch is told of events: it has no loop of its own and never waits. Between two events it only remembers how far each worker
 * is (struct outgoing). */
#include "coordinator/cluster/launch.h"

#include "base/little_endian.h"
#include "base/log.h"
#include "base/size_text.h"
#include "partition/file/delivery.h"
#include "partition/file/gguf_hashes.h"
#include "partition/model/part_text.h"
#include "partition/plan/rates.h"
#include "worker/assign.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define COMPARED_AT_ONCE 16 /* pieces of a worker's part: 16 MiB, a tenth of a second on a slow disk */
#define PIECES_ON_THE_WAY 4 /* per worker, unacknowledged: hides the round trip, bounds the memory */

uint64_t pipeline_planned(const struct pipeline *p, int worker)
{
    return p->plan.of[worker].total;
}

struct outgoing { /* one worker's part on its way */
    struct tensor *tensors; /* the text's, then the encoder's: the order in which PIECE numbers them */
    uint32_t text, vision, count; /* of tensors; all */
    uint8_t *have;    /* [count]: the worker has this tensor; NULL until it accepts */
    uint8_t *settled; /* [count]: and it is known to be ours */
    struct delivery delivery; /* of the others, to be sent or to be compared */
    uint64_t hash; /* of the tensor under way, as far as it has been read */
    uint32_t unacknowledged;
    bool sending;
};

struct launch {
    struct pipeline *pipe;
    int ready;
    char path[CHAINS][ASSIGN_PATH]; /* of the files on this machine, for workers that can open them too; empty: not to be used */
    struct outgoing *out; /* [workers] */
    struct progress progress;
    uint64_t sent;
    uint8_t *room; /* for a piece */
};

/* ---- assigning ---- */

static void find_path(const char *name, char out[ASSIGN_PATH])
{
    char absolute[PATH_MAX];
    const char *path = name && realpath(name, absolute) ? absolute : name;
    if (path && strlen(path) < ASSIGN_PATH) strcpy(out, path);
}

/* Workers that we started open the very file that we have open. Others may have one of their own, which is compared, and a cache
 * knows layers by their hashes. */
static bool may_differ(const struct pipeline *p)
{
    return !p->local || p->wish.cache;
}

static void fill_neighbour(const struct pipeline *p, const struct member *of, const struct member *to, char address[WIRE_TEXT], uint8_t key[KEY_BYTES])
{
    strcpy(address, pipeline_address(to, of));
    port_key(roster_port(p->roster), to->address, key);
}

/* The part of one chain, what follows it, and the types and hashes of its tensors. */
static void fill_chain(const struct pipeline *p, int worker, const struct route *route,
                       struct chain_assignment *out, uint8_t *lists, const struct tensor *tensors, uint32_t n)
{
    const int next = route_after(route, worker), before = route_before(route, worker);
    out->route = pipeline_route(p, route);
    out->epoch = p->epoch;
    out->plan = p->plan.hash;
    if (next >= 0) {
        out->next = (uint16_t)p->crew[next]->node;
        out->relayed = pipeline_relays(p, worker, next);
        fill_neighbour(p, p->crew[worker], p->crew[next], out->next_address, out->next_key);
    }
    if (before >= 0 && !pipeline_relays(p, before, worker)) {
        out->previous = (uint16_t)p->crew[before]->node;
        fill_neighbour(p, p->crew[worker], p->crew[before], out->previous_address, out->previous_key);
    }
    out->types = lists;
    out->n_types = n;
    if (may_differ(p)) out->hashes = lists + n;
    for (uint32_t i = 0; i < n; i++) {
        lists[i] = (uint8_t)tensors[i].type;
        put_le(lists + n + 8 * i, tensors[i].hash, 8);
    }
}

#define LISTED (1 + 8) /* bytes of a tensor's type and hash */

/* `lists` has room for LISTED of all tensors of the worker. */
static void fill_assignment(const struct launch *l, int worker, struct assignment *a, uint8_t *lists)
{
    const struct pipeline *p = l->pipe;
    const struct outgoing *o = &l->out[worker];
    struct chain_assignment *t = &a->of[CHAIN_TEXT], *v = &a->of[CHAIN_VISION];
    a->threads = (uint32_t)p->wish.threads;
    a->capacity.mode = p->wish.numbers; /* of pictures too */
    if (o->text) {
        a->text = p->model->config;
        a->capacity = p->plan.capacity;
        t->part = p->plan.of[worker].part[CHAIN_TEXT];
        t->fingerprint = p->model->fingerprint;
        strcpy(t->path, l->path[CHAIN_TEXT]);
        fill_chain(p, worker, plan_text_route(&p->plan), t, lists, o->tensors, o->text);
    }
    if (o->vision) {
        a->vision = p->encoder->config;
        a->vision_as = (uint8_t)p->plan.vision_type;
        a->pictures_in_flight = p->plan.pictures;
        v->part = p->plan.of[worker].part[CHAIN_VISION];
        v->fingerprint = p->encoder->fingerprint;
        strcpy(v->path, l->path[CHAIN_VISION]);
        fill_chain(p, worker, plan_picture_route(&p->plan, worker), v, lists + LISTED * o->text, o->tensors + o->text, o->vision);
    }
}

static int assign(struct launch *l, int worker, struct err *why)
{
    const uint32_t count = l->out[worker].count;
    uint8_t *lists = malloc(LISTED * (size_t)count);
    struct assignment *a = calloc(1, sizeof *a);
    struct frame *f = NULL;
    int code = lists && a ? 0 : fail(why, E_MEMORY, "no memory to list %u tensors", count);
    if (!code) {
        fill_assignment(l, worker, a, lists);
        code = assignment_write(&f, a, why);
    }
    free(lists);
    free(a);
    return code ? code : pipeline_send(l->pipe, worker, &f, why);
}

/* ---- handing out the parts ---- */

static const struct gguf *file_of(const struct pipeline *p, int chain)
{
    return chain == CHAIN_VISION ? p->encoder->file : p->model->file;
}

/* Into l->room. After its last piece a tensor's hash is known. */
static int read_piece(struct launch *l, struct outgoing *o, const struct delivery_piece *d, struct err *why)
{
    struct tensor *t = &o->tensors[d->tensor];
    TRY(gguf_read(file_of(l->pipe, t->chain), d->bytes, l->room, d->n, why));
    if (t->hash) return 0;
    if (d->first_row == 0) o->hash = 0;
    o->hash += hash_rows(d->first_row, d->rows, l->room, d->n / d->rows);
    if (d->first_row + d->rows < t->rows) return 0;
    t->hash = o->hash;
    return gguf_hash_learn(l->pipe->hashes[t->chain], t, t->hash, why);
}

static int send_piece(struct launch *l, int worker, struct piece m, struct err *why)
{
    struct frame *f = NULL;
    TRY(piece_write(&f, &m, why));
    TRY(pipeline_send(l->pipe, worker, &f, why));
    l->out[worker].unacknowledged++;
    l->sent += m.n;
    return 0;
}

/* What the worker does not have is sent. What it has in a file of its own is read here too, where its hash is not known yet, while
 * the worker reads it there, and only the hash is sent: a piece without rows. A few pieces at a time, so that everybody is
 * listened to in between. */
static int hand_out(struct launch *l, int worker, struct err *why)
{
    struct outgoing *o = &l->out[worker];
    struct delivery_piece d;
    int compared = 0;
    while (o->sending && o->unacknowledged < PIECES_ON_THE_WAY) {
        if (!delivery_next(&o->delivery, &d)) {
            o->sending = false;
            return 0;
        }
        TRY(read_piece(l, o, &d, why));
        if (!o->have[d.tensor]) {
            TRY(send_piece(l, worker, (struct piece){d.tensor, d.first_row, d.rows, hash64(l->room, d.n), d.n, l->room}, why));
            continue;
        }
        const uint64_t hash = o->tensors[d.tensor].hash;
        if (hash) TRY(send_piece(l, worker, (struct piece){.tensor = d.tensor, .hash = hash}, why));
        if (++compared < COMPARED_AT_ONCE) continue;
        roster_wake(l->pipe->roster);
        return 0;
    }
    return 0;
}

static int hand_out_all(struct launch *l, struct err *why)
{
    for (int i = 0; i < l->pipe->workers; i++) TRY(hand_out(l, i, why));
    return 0;
}

static int take_accept(struct launch *l, struct member *m, struct frame *f, struct err *why)
{
    struct outgoing *o = &l->out[m->worker];
    const uint64_t planned = pipeline_planned(l->pipe, m->worker);
    struct acceptance yes;
    if (o->have) return fail(why, E_WIRE, "%s accepted twice", m->name);
    TRY(acceptance_read(&yes, f, why));
    if (yes.bytes.total != planned)
        return fail(why, E_WIRE, "%s counts %llu bytes for its part, the plan %llu: are both of the same build?", m->name,
                    (unsigned long long)yes.bytes.total, (unsigned long long)planned);
    if (yes.n != o->count) return fail(why, E_WIRE, "%s says of %u tensors whether it has them, its part has %u", m->name, yes.n, o->count);
    o->have = malloc(o->count);
    o->settled = malloc(o->count);
    if (!o->have || !o->settled) return fail(why, E_MEMORY, "no memory to list %u tensors", o->count);
    memcpy(o->have, yes.have, o->count);
    for (uint32_t i = 0; i < o->count; i++) o->settled[i] = o->have[i] && (o->tensors[i].hash || !may_differ(l->pipe));
    o->delivery.have = o->settled;
    o->sending = true;
    uint32_t have = 0;
    for (uint32_t i = 0; i < o->count; i++) have += o->have[i];
    log_debug("%s has %u of its %u tensors", m->name, have, o->count);
    return 0;
}

static int take_ready(struct launch *l, struct member *m, struct frame *f, struct err *why)
{
    struct ready ready;
    if (m->standing == READY || !l->out[m->worker].have) return fail(why, E_WIRE, "%s said READY out of turn", m->name);
    TRY(ready_read(&ready, f, why));
    m->standing = READY;
    m->ready_bytes = ready.resident;
    m->ready_seconds = ready.seconds;
    l->ready++;
    return 0;
}

static int take_frame(struct launch *l, struct member *m, struct frame *f, struct err *why)
{
    if (m->worker < 0) return fail(why, E_WIRE, "%s came from %s, which has no part of the plan", message_name(f->head.type), m->name);
    struct outgoing *o = &l->out[m->worker];
    switch (f->head.type) {
    case M_READY: return take_ready(l, m, f, why);
    case M_ACCEPT: TRY(take_accept(l, m, f, why)); break;
    case M_PIECE_ACK:
        if (!o->unacknowledged) return fail(why, E_WIRE, "%s acknowledged a piece that was not sent", m->name);
        o->unacknowledged--;
        break;
    default: return fail(why, E_WIRE, "%s came from %s while it was loading", message_name(f->head.type), m->name);
    }
    return hand_out(l, m->worker, why);
}

static int list_part(struct pipeline *p, int worker, struct outgoing *o, struct err *why)
{
    const struct part *part = p->plan.of[worker].part;
    o->text = (uint32_t)part_count(CHAIN_TEXT, part[CHAIN_TEXT]);
    o->vision = (uint32_t)part_count(CHAIN_VISION, part[CHAIN_VISION]);
    o->count = o->text + o->vision;
    o->tensors = calloc(o->count + 1, sizeof *o->tensors);
    if (!o->tensors) return fail(why, E_MEMORY, "no memory to list %u tensors", o->count);
    if (o->text) text_part_tensors(p->model, part[CHAIN_TEXT], o->tensors);
    if (o->vision) vision_part_tensors(p->encoder, part[CHAIN_VISION], o->tensors + o->text);
    for (uint32_t i = 0; i < o->count; i++) o->tensors[i].hash = gguf_hash(p->hashes[o->tensors[i].chain], &o->tensors[i]);
    delivery_begin(&o->delivery, o->tensors, o->count);
    return 0;
}

static int assign_all(struct launch *l, struct err *why)
{
    struct pipeline *p = l->pipe;
    uint64_t total = 0;
    l->out = calloc((size_t)p->workers, sizeof *l->out);
    l->room = malloc(delivery_largest(p->model ? &p->model->config : NULL, p->encoder ? &p->encoder->config : NULL));
    if (!l->out || !l->room) return fail(why, E_MEMORY, "no memory to keep track of %d workers", p->workers);
    if (p->model && !p->hashes[CHAIN_TEXT]) TRY(gguf_hashes_open(&p->hashes[CHAIN_TEXT], p->model->file, why));
    if (p->encoder && !p->hashes[CHAIN_VISION]) TRY(gguf_hashes_open(&p->hashes[CHAIN_VISION], p->encoder->file, why));
    if (!p->wish.send_weights) {
        find_path(p->wish.model, l->path[CHAIN_TEXT]);
        find_path(p->wish.mmproj, l->path[CHAIN_VISION]);
    }
    for (int i = 0; i < p->workers; i++) {
        struct outgoing *o = &l->out[i];
        TRY(list_part(p, i, o, why));
        if (o->count) TRY(assign(l, i, why));
        if (o->count) p->crew[i]->standing = LOADING, p->crew[i]->part_bytes = pipeline_planned(p, i);
        else l->ready++; /* more workers than layers of the encoder, and no text */
        total += delivery_total(o->tensors, o->count);
    }
    progress_begin(&l->progress, "handing out the weights", "B", total);
    return 0;
}

static void set_limits(struct pipeline *p)
{
    const struct model_config *c = p->model ? &p->model->config : NULL;
    const struct vision_config *v = p->encoder ? &p->encoder->config : NULL;
    uint64_t most = delivery_largest(c, v) + 4096;
    uint64_t work = c ? work_bytes_most(p->plan.capacity.sequences, p->plan.capacity.rows, c->hidden, c->vocab) : 0;
    uint64_t scores = c ? (uint64_t)c->vocab * 4 + 4096 : 0;
    uint64_t pixels = v ? picture_values_bytes((uint64_t)vision_patches(v) * vision_pixels(v)) : 0;
    uint64_t rows = v ? picture_values_bytes((uint64_t)vision_patches(v) * v->width) : 0;
    uint64_t made = v ? picture_values_bytes((uint64_t)vision_tokens(v) * v->hidden) : 0;
    const uint64_t sizes[] = {work, scores, pixels, rows, made, DIARY_PART_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i] > most) most = sizes[i];
    port_limits(roster_port(p->roster), most, 4096);
}

/* ---- from outside ---- */

int launch_begin(struct launch **out, struct pipeline *p, struct err *why)
{
    struct launch *l = *out = calloc(1, sizeof *l);
    if (!l) return fail(why, E_MEMORY, "no memory to hand out the parts");
    l->pipe = p;
    for (int i = 0; i < p->plan.n_routes; i++)
        TRY(port_route(roster_port(p->roster), pipeline_route(p, &p->plan.route[i]), p->plan.hash, p->epoch, why));
    set_limits(p);
    return assign_all(l, why);
}

int launch_take(struct launch *l, struct event *e, struct err *why)
{
    if (e->kind == EVENT_FRAME) TRY(take_frame(l, e->who, e->frame, why));
    else if (e->kind == EVENT_WOKEN) TRY(hand_out_all(l, why));
    if (l->sent) progress_at(&l->progress, l->sent);
    return 0;
}

static void say_ready(const struct pipeline *p)
{
    for (int i = 0; i < p->workers; i++) {
        const struct member *m = p->crew[i];
        char bytes[24];
        char part[64] = "no text";
        if (i < plan_stages(&p->plan)) show_part(part, p->plan.of[i].part[CHAIN_TEXT]);
        log_debug("%s holds %s, %s, %s in %.2f s", m->name, part, show_bytes(bytes, pipeline_planned(p, i)), m->hello.isa,
                  m->ready_seconds);
    }
}

/* Instruction sets of CPUs that are much slower than their cores let one think. Nominal speeds are those of the others (docs/SPEED.md 43). */
static const struct slow_isa {
    const char *name, *what;
    double speed; /* of a nominal thread */
} slow_isas[] = {{"ref", "in plain C, without AVX2 and FMA", 1 / 40.}, {"neon", "by NEON without its dot product", 1 / 3.}};

static const struct slow_isa *slow_isa_of(const struct member *m)
{
    for (size_t i = 0; i < sizeof slow_isas / sizeof *slow_isas; i++)
        if (!strcmp(m->hello.isa, slow_isas[i].name)) return &slow_isas[i];
    return NULL;
}

/* Whoever waits for a slow CPU should know that nothing is wrong. */
static void say_slow(const struct pipeline *p)
{
    const struct slow_isa *first = NULL;
    const char *who = NULL;
    struct rates r;
    int slow = 0;
    struct worker_offer *offers = calloc(WORKERS_MOST, sizeof *offers);
    for (int i = 0; i < p->workers && offers; i++) {
        const struct slow_isa *isa = slow_isa_of(p->crew[i]);
        offers[i] = p->offers[i];
        if (isa) offers[i].speed = (offers[i].speed > 0 ? offers[i].speed : 1) * isa->speed;
        if (isa && !slow++) first = isa, who = p->crew[i]->name;
    }
    if (slow && plan_stages(&p->plan)) {
        const struct model_shape shape = model_shape(p->model, p->encoder);
        plan_rates(&r, NULL, &p->plan, &shape, offers);
        log_info("%s%s computes %s: about %.2g tokens/s are to be expected of one answer, %s", who, slow > 1 ? ", like others," : "", first->what, r.alone,
                 r.measured ? "as measured" : "by nominal speeds");
    }
    free(offers);
}

int launch_done(const struct launch *l, bool *done, struct err *why)
{
    *done = l->ready == l->pipe->workers;
    if (!*done) return 0;
    say_ready(l->pipe);
    if (l->pipe->epoch == 1) say_slow(l->pipe);
    return pipeline_files_unchanged(l->pipe, why);
}

void launch_end(struct launch **pl)
{
    struct launch *l = *pl;
    *pl = NULL;
    if (!l) return;
    progress_end(&l->progress);
    for (int i = 0; i < l->pipe->workers && l->out; i++) {
        free(l->out[i].tensors);
        free(l->out[i].have);
        free(l->out[i].settled);
    }
    free(l->out);
    free(l->room);
    free(l);
}
