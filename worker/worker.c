/* worker/worker.c — see worker.h. Greeting, assignment, weights; then loop.c. */
#include "partition/file/encoder_file.h"
#include "partition/file/model_file.h"
#include "worker/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"
#include "base/version.h"
#include "partition/file/delivery.h"
#include "worker/loop.h"
#include "worker/encoder/encoder_stage.h"
#include "worker/source.h"
#include "worker/stage/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


struct member {
    struct port *port;
    const struct worker_options *options;
    struct kernels kernels;
    struct greet greet;
    struct assign assign;
    struct model_config config;
    struct part share;
    struct tensor *tensors; /* of the share; data set only while the file is mapped */
    uint32_t count;
    int threads;
    struct stage *stage;       /* NULL: only layers of the picture encoder */
    struct see_part see;       /* count 0: none of those */
    uint64_t heard; /* clock of the last frame from the coordinator */
};

/* ---- waiting for one message ---- */

static bool asked_to_stop(const struct member *m)
{
    return m->options->stop && *m->options->stop;
}

static int answer_ping(struct member *m, struct frame **ping, struct err *why)
{
    (*ping)->head.type = M_PONG;
    int code = port_send(m->port, 0, ping, why);
    if (code) frame_free(*ping);
    *ping = 0;
    return code;
}

/* One look at the port. Pings are answered, bad news become errors, anything else is *out (NULL: nothing came). */
static int look(struct member *m, struct frame **out, int timeout_ms, struct err *why)
{
    struct frame *f = 0;
    struct fault fault;
    *out = 0;
    if (asked_to_stop(m)) return fail(why, E_INTERRUPTED, "stopped by a signal");
    TRY(port_recv(m->port, &f, timeout_ms, why));
    if (!f) return 0;
    m->heard = clock_ns();
    if (f->head.type == M_PING) return answer_ping(m, &f, why);
    int code = 0;
    bool greeted = m->greet.nodes != 0;
    if (f->head.type == M_FAULT)
        code = fault_read(&fault, f, why) ? why->code : fail(why, E_WORKER, "the coordinator ended the run: %s", fault.text);
    else if (f->head.type == M_LOST && f->head.from == 0 && greeted)
        code = fail(why, E_WORKER, "the coordinator is gone; the run is over before it began");
    else if (f->head.type != M_LOST)
        *out = f;
    if (!*out) frame_free(f);
    return code;
}

/* The next frame that is not a ping. Before the greeting a worker waits for ever: that is its life. */
static int await(struct member *m, struct frame **out, struct err *why)
{
    for (;;) {
        TRY(look(m, out, 500, why));
        if (*out) return 0;
        if (m->greet.nodes && clock_ns() - m->heard > COORDINATOR_LEASE_NS)
            return fail(why, E_WORKER, "the coordinator fell silent before the run began");
    }
}

static int expected(const struct frame *f, unsigned type, struct err *why)
{
    if (f->head.type == type) return 0;
    return fail(why, E_WIRE, "%s came where %s was expected", message_name(f->head.type), message_name(type));
}

/* ---- greeting ---- */

static int be_greeted(struct member *m, bool *dismissed, struct err *why)
{
    struct frame *f = 0;
    TRY(await(m, &f, why));
    if (f->head.type == M_STOP) {
        frame_free(f);
        *dismissed = true;
        return 0;
    }
    int code = expected(f, M_GREET, why);
    if (!code) code = greet_read(&m->greet, f, why);
    frame_free(f);
    if (code) return code;
    TRY(kernels_choose(&m->kernels, why)); /* not before: now there is someone to tell */
    char name[32];
    snprintf(name, sizeof name, "worker %u", m->greet.node);
    if (strcmp(port_kind(m->port), "here")) log_open(name, log_level());

    struct hello hello = {.pid = (uint32_t)getpid()};
    snprintf(hello.build, sizeof hello.build, "gemmapipe %s", GEMMAPIPE_VERSION);
    if (gethostname(hello.host, sizeof hello.host - 1)) snprintf(hello.host, sizeof hello.host, "unknown");
    snprintf(hello.isa, sizeof hello.isa, "%s", m->kernels.isa);
    hello.threads = (uint32_t)(m->options->threads ? m->options->threads : cores_allowed());
    hello.memory = m->options->memory ? m->options->memory : memory_allowed();
    TRY(hello_write(&f, &hello, why));
    return port_send(m->port, 0, &f, why);
}

/* ---- assignment ---- */

static struct model_config config_of(const struct wire_config *w)
{
    return (struct model_config){
        .layers = w->layers, .hidden = w->hidden, .ffn = w->ffn, .heads = w->heads, .kv_heads = w->kv_heads,
        .head_dim = w->head_dim, .window = w->window, .pattern = w->pattern, .context = w->context, .vocab = w->vocab,
        .rope_base_global = w->rope_base_global, .rope_base_local = w->rope_base_local, .rope_factor = w->rope_factor,
        .norm_epsilon = w->norm_epsilon, .attention_scale = w->attention_scale,
    };
}

static int check_assignment(const struct member *m, struct err *why)
{
    const struct assign *a = &m->assign;
    TRY(config_check(&m->config, "the assignment", why));
    if (!text_part_possible(&m->config, m->share))
        return fail(why, E_WIRE, "the assignment says layers %u to %u of %u and parts %u to %u of the head", a->first, a->end,
                    m->config.layers, a->part, a->back_end);
    if (a->n_types != m->count)
        return fail(why, E_WIRE, "the assignment lists %u tensors, its layers have %u", a->n_types, m->count);
    if (!a->rows || a->rows > WIRE_ROWS || !a->sequences || a->sequences > WIRE_SEGMENTS || !a->in_flight ||
        a->in_flight > IN_FLIGHT_MOST || !a->context || a->context > (1u << 24))
        return fail(why, E_WIRE, "the assignment asks for %u rows, %u sequences, %u in flight and a context of %u", a->rows,
                    a->sequences, a->in_flight, a->context);
    if (a->next >= m->greet.nodes)
        return fail(why, E_WIRE, "the assignment sends results to node %u of %u", a->next, m->greet.nodes);
    return 0;
}

static int take_types(struct member *m, struct err *why)
{
    text_part_shape(&m->config, m->share, m->tensors);
    for (uint32_t i = 0; i < m->count; i++) {
        struct tensor *t = &m->tensors[i];
        t->type = m->assign.types[i];
        bool fits = block_info(t->type) && block_row_bytes(t->type, t->cols) && (!role_is_norm(t->role) || t->type == T_F32);
        if (!fits)
            return fail(why, E_WIRE, "the assignment gives %s of layer %u type %u, which cannot hold rows of %u", role_name(t->role),
                        t->layer, t->type, t->cols);
    }
    return 0;
}

static struct capacity capacity_of(const struct assign *a)
{
    return (struct capacity){.context = a->context, .sequences = a->sequences, .rows = a->rows, .in_flight = a->in_flight};
}

static int open_stage(struct member *m, struct err *why)
{
    struct stage_plan_in in = {
        .config = m->config, .share = m->share, .capacity = capacity_of(&m->assign), .tensors = m->tensors,
        .threads = m->threads,
    };
    uint64_t need = m->see.bytes.total, limit = m->options->memory ? m->options->memory : memory_allowed();
    if (m->count) need += text_part_bytes(&in.config, in.share, in.tensors, &in.capacity, in.threads).total;
    if (need > limit)
        return fail(why, E_MEMORY, "this stage needs %llu MiB, %llu MiB more than the %llu MiB this worker may take",
                    (unsigned long long)(need >> 20), (unsigned long long)((need - limit) >> 20), (unsigned long long)(limit >> 20));
    if (m->count) TRY(stage_open(&m->stage, &in, &m->kernels, why));
    return m->see.count ? see_open(&m->see, &m->kernels, why) : 0;
}

static int threads_of(const struct member *m, uint32_t said)
{
    return m->options->threads ? m->options->threads : said ? (int)said : cores_allowed();
}

static int take_text(struct member *m, struct frame *f, struct err *why)
{
    TRY(assign_read(&m->assign, f, why));
    m->config = config_of(&m->assign.config);
    m->share = (struct part){m->assign.first, m->assign.end, m->assign.part, m->assign.back_end, false};
    m->threads = threads_of(m, m->assign.threads);
    bool sane = m->share.first <= m->share.end && m->share.end <= m->config.layers && m->config.layers < 4096;
    m->count = sane ? (uint32_t)part_count(CHAIN_TEXT, m->share) : 0;
    TRY(check_assignment(m, why));
    if (!(m->tensors = calloc(m->count, sizeof *m->tensors))) return fail(why, E_MEMORY, "no memory to list %u tensors", m->count);
    TRY(take_types(m, why));
    m->assign.types = 0; /* they point into the frame */
    return 0;
}

static int take_vision(struct member *m, struct frame *f, struct err *why)
{
    struct assign_vision a;
    TRY(expected(f, M_ASSIGN_VISION, why));
    TRY(assign_vision_read(&a, f, why));
    if (!m->threads) m->threads = threads_of(m, 0);
    TRY(see_assign(&m->see, &a, m->greet.nodes, m->threads, why));
    if (!m->count) vision_bytes_alone(&m->see.bytes);
    return a.next && a.next != m->assign.next ? port_reach(m->port, a.next, a.next_address, why) : 0;
}

static void set_limits(struct member *m)
{
    uint64_t most = see_largest(&m->see), piece = delivery_largest(m->count ? &m->config : 0, m->see.count ? &m->see.config : 0) + 4096;
    uint64_t work = m->count ? work_bytes(WIRE_SEGMENTS, m->assign.rows, m->config.hidden, WIRE_F32) : 0;
    uint64_t scores = (uint64_t)m->config.vocab * 4 + 4096;
    if (work > most) most = work;
    if (piece > most) most = piece;
    port_limits(m->port, most > scores ? most : scores, 4096);
}

/* M_ASSIGN, then M_ASSIGN_VISION if that announced it; or M_ASSIGN_VISION alone. */
static int be_assigned(struct member *m, bool *dismissed, struct err *why)
{
    struct frame *f = 0;
    bool more = true;
    for (int i = 0; i < 2 && more; i++) {
        TRY(await(m, &f, why));
        *dismissed = f->head.type == M_STOP;
        int code = 0;
        if (!i) port_run(m->port, f->head.run, f->head.plan, f->head.epoch);
        if (!*dismissed) code = i == 0 && f->head.type == M_ASSIGN ? take_text(m, f, why) : take_vision(m, f, why);
        more = f->head.type == M_ASSIGN && m->assign.vision;
        frame_free(f);
        if (code || *dismissed) return code;
    }
    set_limits(m);
    if (m->assign.next) TRY(port_reach(m->port, m->assign.next, m->assign.next_address, why));
    return open_stage(m, why);
}

/* ---- weights ---- */

#define LOOK_AHEAD (16u << 20) /* bytes of the file fetched while earlier ones are packed */

/* Tensors of both parts are numbered through: the text's first. */
static int load_rows(struct member *m, uint32_t tensor, uint32_t first_row, uint32_t rows, const void *bytes, struct err *why)
{
    if (tensor < m->count) return stage_load(m->stage, tensor, first_row, rows, bytes, why);
    return vision_stage_load(m->see.stage, tensor - m->count, first_row, rows, bytes, why);
}

static int all_loaded(const struct member *m, struct err *why)
{
    if (m->stage) TRY(stage_loaded(m->stage, why));
    return m->see.stage ? vision_stage_loaded(m->see.stage, why) : 0;
}

/* `first`: number of the first of these tensors. */
static int load_from_file(struct member *m, const struct gguf *file, const struct tensor *tensors, uint32_t count, uint32_t first,
                          struct err *why)
{
    struct delivery d;
    struct delivery_piece p;
    delivery_begin(&d, tensors, count);
    while (delivery_next(&d, &p)) {
        gguf_expect(file, p.bytes + p.n, LOOK_AHEAD); /* past the share's end it does no harm */
        struct frame *f = 0;
        TRY(look(m, &f, 0, why));
        if (f) {
            int code = fail(why, E_WIRE, "%s came while the weights were loading", message_name(f->head.type));
            if (f->head.type == M_STOP) code = fail(why, E_INTERRUPTED, "dismissed while the weights were loading");
            frame_free(f);
            return code;
        }
        TRY(load_rows(m, first + p.tensor, p.first_row, p.rows, p.bytes, why));
        gguf_forget(file, p.bytes, p.n);
    }
    return 0;
}

static int check_piece(const struct member *m, const struct piece *p, struct err *why)
{
    uint32_t total = m->count + m->see.count;
    if (p->tensor >= total) return fail(why, E_WIRE, "a piece of tensor %u came, the share has %u", p->tensor, total);
    bool text = p->tensor < m->count;
    const struct tensor *v = text ? 0 : &m->see.tensors[p->tensor - m->count];
    const struct tensor *t = text ? &m->tensors[p->tensor] : 0;
    const char *name = text ? role_name(t->role) : vision_role_name(v->role);
    uint32_t layer = text ? t->layer : v->layer;
    uint64_t want = p->rows * (text ? block_row_bytes(t->type, t->cols) : block_row_bytes(v->type, v->cols));
    if (p->n != want)
        return fail(why, E_WIRE, "%u rows of %s of layer %u came as %llu bytes, they are %llu", p->rows, name, layer,
                    (unsigned long long)p->n, (unsigned long long)want);
    if (hash64(p->bytes, p->n) != p->hash)
        return fail(why, E_WIRE, "rows %u to %u of %s of layer %u arrived damaged", p->first_row, p->first_row + p->rows - 1, name, layer);
    return 0;
}

static int take_piece(struct member *m, struct frame *f, struct err *why)
{
    struct piece p;
    TRY(expected(f, M_PIECE, why));
    TRY(piece_read(&p, f, why));
    TRY(check_piece(m, &p, why));
    TRY(load_rows(m, p.tensor, p.first_row, p.rows, p.bytes, why));
    struct frame *ack = 0;
    TRY(empty_write(&ack, M_PIECE_ACK, why));
    return port_send(m->port, 0, &ack, why);
}

static int load_from_pieces(struct member *m, struct err *why)
{
    struct err missing;
    while (all_loaded(m, &missing)) {
        struct frame *f = 0;
        TRY(await(m, &f, why));
        int code = take_piece(m, f, why);
        frame_free(f);
        if (code) return code;
    }
    return 0;
}

/* The encoder's file, on the same terms as the model's. */
static struct vision_model *open_same_encoder(const struct member *m)
{
    const struct see_part *s = &m->see;
    struct vision_model *v = 0;
    struct err why = {0};
    if (m->options->no_file || !s->path[0] || vision_open(&v, s->path, &why)) return 0;
    if (v->fingerprint.low == s->fingerprint[0] && v->fingerprint.high == s->fingerprint[1]) return v;
    log_warn("%s here is not the coordinator's file of that name; asking for the share instead", s->path);
    vision_close(&v);
    return 0;
}

static int load_encoder(struct member *m, const struct vision_model *v, struct err *why)
{
    vision_part_tensors(v, m->see.share, m->see.tensors);
    return load_from_file(m, v->file, m->see.tensors, m->see.count, m->count, why);
}

static struct accept acceptance(const struct member *m, bool has_files)
{
    struct part_bytes b = m->stage ? stage_memory(m->stage) : (struct part_bytes){0};
    struct part_bytes v = m->see.bytes;
    return (struct accept){.has_file = has_files, .weights = b.weights + v.weights, .kv = b.kv, .scratch = b.scratch + v.scratch,
                           .frames = b.frames + v.frames, .runtime = b.runtime + v.runtime, .total = b.total + v.total};
}

/* m->tensors point into `file`, if there are any. */
static int load_own(struct member *m, const struct gguf *file, struct vision_model *encoder, struct err *why)
{
    if (file) TRY(load_from_file(m, file, m->tensors, m->count, 0, why));
    return encoder ? load_encoder(m, encoder, why) : 0;
}

static int load(struct member *m, struct err *why)
{
    uint64_t start = clock_ns();
    struct source source = {0};
    struct wanted wanted = {
        .share = m->share, .tensors = m->tensors, .count = m->count,
        .fingerprint = {m->assign.fingerprint[0], m->assign.fingerprint[1]},
        .path = m->options->no_file ? 0 : m->assign.path,
    };
    bool text = !m->count || source_open(&source, &wanted, m->options->shard);
    struct vision_model *encoder = m->see.count ? open_same_encoder(m) : 0;
    bool mine = text && (encoder || !m->see.count);
    struct accept yes = acceptance(m, mine);
    struct frame *f = 0;
    int code = accept_write(&f, &yes, why);
    if (!code) code = port_send(m->port, 0, &f, why);
    if (!code) code = mine ? load_own(m, m->count ? source_file(&source) : 0, encoder, why) : load_from_pieces(m, why);
    source_close(&source);
    vision_close(&encoder);
    if (code) return code;
    TRY(all_loaded(m, why));
    struct ready ready = {.resident = resident_bytes(), .seconds = (double)(clock_ns() - start) / 1e9};
    TRY(ready_write(&f, &ready, why));
    return port_send(m->port, 0, &f, why);
}

/* ---- a whole run ---- */

/* A stage finds its memory when it is assigned: by threads that stay where those that compute will be. This one, which keeps the
 * port, may go anywhere afterwards. */
static int be_assigned_near(struct member *m, bool *dismissed, struct err *why)
{
    struct cores before;
    if (!m->options->cores.n) return be_assigned(m, dismissed, why);
    cores_mine(&before);
    cores_keep_to(&m->options->cores);
    int code = be_assigned(m, dismissed, why);
    cores_keep_to(&before);
    return code;
}

static int run(struct member *m, struct err *why)
{
    bool dismissed = false;
    TRY(be_greeted(m, &dismissed, why));
    if (dismissed) return 0;
    TRY(be_assigned_near(m, &dismissed, why));
    if (dismissed) return 0;
    TRY(load(m, why));
    struct loop_setup setup = {
        .port = m->port, .stage = m->stage, .share = m->share, .see = m->see.count ? &m->see : 0, .node = m->greet.node, .next = m->assign.next, .hidden = m->config.hidden,
        .in_flight = m->assign.in_flight, .threads = m->threads, .cores = &m->options->cores,
        .stop = m->options->stop,
    };
    return loop_run(&setup, why);
}

static void tell_coordinator(struct member *m, const struct err *why)
{
    struct fault fault = {.code = (uint32_t)why->code};
    snprintf(fault.text, sizeof fault.text, "%s", why->text);
    struct frame *f = 0;
    struct err ignored = {0};
    if (fault_write(&f, &fault, &ignored)) return;
    if (port_send(m->port, 0, &f, &ignored)) frame_free(f);
    port_flush(m->port, 1000, &ignored);
}

int worker_serve(struct port *port, const struct worker_options *options, struct err *why)
{
    struct member *m = calloc(1, sizeof *m);
    if (!m) return fail(why, E_MEMORY, "no memory to begin with");
    m->port = port;
    m->options = options;
    struct err mine = {0};
    int code = run(m, &mine);
    if (code && m->greet.nodes) tell_coordinator(m, &mine);
    stage_close(&m->stage);
    see_close(&m->see);
    free(m->tensors);
    free(m);
    if (code) *why = mine;
    return code;
}
