/* coordinator/cluster/launch.c — from "there may be workers" to "all are ready": greet, plan, assign, hand out the shares. */
#include "coordinator/cluster/pipeline.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"
#include "partition/file/delivery.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PIECES_ON_THE_WAY 4 /* per worker, unacknowledged: hides the round trip, bounds the memory */

/* ---- greeting ---- */

static int greet_all(struct pipeline *p, struct err *why)
{
    if (getrandom(&p->run, sizeof p->run, 0) != sizeof p->run) p->run = clock_ns();
    for (int i = 1; i <= p->stages; i++) {
        struct greet g = {.node = (uint16_t)i, .nodes = (uint16_t)(p->stages + 1), .run = p->run};
        struct frame *f = 0;
        TRY(greet_write(&f, &g, why));
        TRY(pipeline_send(p, i, &f, why));
    }
    return 0;
}

static void take_hello(struct pipeline *p, int node)
{
    struct node *n = &p->nodes[node];
    bool far = n->address[0] && !p->children;
    struct node named = *n;
    snprintf(n->where, sizeof n->where, "process %u on %.63s%s%.80s", named.hello.pid, named.hello.host, far ? ", " : "",
             far ? named.address : "");
    named = *n;
    snprintf(n->name, sizeof n->name, "worker %d (%s)", node, named.where);
    n->greeted = true;
    n->heard_ns = clock_ns();
}

static void name_the_silent(const struct pipeline *p, char *list, size_t room)
{
    list[0] = 0;
    for (int i = 1; i <= p->stages; i++) {
        size_t k = strlen(list);
        if (!p->nodes[i].greeted) snprintf(list + k, room - k, "%s%s", k ? ", " : "", p->nodes[i].name);
    }
}

static int hear_all(struct pipeline *p, struct err *why)
{
    uint64_t start = clock_ns(), end = start + (uint64_t)p->wait * 1000000000ull;
    bool told = false;
    char list[300];
    for (int have = 0; have < p->stages;) {
        struct frame *f = 0;
        TRY(pipeline_receive(p, &f, 250, why));
        if (!f) {
            uint64_t now = clock_ns();
            name_the_silent(p, list, sizeof list);
            if (now > end) return fail(why, E_LINK, "no answer within %d s from %s", p->wait, list);
            if (!told && now - start > 3000000000ull) log_info("waiting for %s", list), told = true;
            continue;
        }
        int node = f->head.from;
        int code = f->head.type == M_HELLO ? hello_read(&p->nodes[node].hello, f, why)
                                           : fail(why, E_WIRE, "%s came from %s where HELLO was expected", message_name(f->head.type),
                                                  p->nodes[node].name);
        frame_free(f);
        if (code) return code;
        if (!p->nodes[node].greeted) have++;
        take_hello(p, node);
    }
    return 0;
}

/* ---- planning ---- */

static bool shares_machine(const struct pipeline *p, int node)
{
    for (int i = 1; i <= p->stages; i++)
        if (i != node && !strcmp(p->nodes[i].hello.host, p->nodes[node].hello.host)) return true;
    return false;
}

static int make_offers(struct pipeline *p, struct err *why)
{
    uint64_t sizes[MAX_STAGES] = {0};
    int n = 0;
    if (p->options->memory) {
        TRY(plan_read_sizes(p->options->memory, sizes, &n, why));
        if (n != 1 && n != p->stages)
            return fail(why, E_USAGE, "--memory names %d sizes for %d workers", n, p->stages);
    }
    for (int i = 0; i < p->stages; i++) {
        const struct node *node = &p->nodes[i + 1];
        struct worker_offer *o = &p->offers[i];
        if (p->cluster.workers) *o = p->cluster.offers[i];
        if (!o->speed) o->speed = 1;
        snprintf(o->name, sizeof o->name, "%.120s", node->where);
        uint64_t said = n ? sizes[n == 1 ? 0 : i] : o->memory;
        o->shares_machine = !said && shares_machine(p, i + 1);
        o->memory = said && said < node->hello.memory ? said : node->hello.memory;
        o->threads = p->options->threads ? p->options->threads : (int)node->hello.threads;
    }
    return 0;
}

static int solve_text(struct pipeline *p, const struct capacity *wanted, struct err *why)
{
    struct model_shape shape = model_shape(p->model);
    shape.whole_head = p->whole_head || p->options->whole_head || !sampling_of_few(&p->options->sampling);
    if (!p->options->split && !p->cluster.by_hand)
        return plan_solve(&p->plan, &shape, p->offers, pipeline_stages(p), wanted, why);
    struct cut cuts[MAX_STAGES];
    int n = pipeline_stages(p);
    if (p->options->split) TRY(plan_read_split(p->options->split, cuts, &n, why));
    else memcpy(cuts, p->cluster.cuts, sizeof cuts);
    if (n != pipeline_stages(p)) return fail(why, E_USAGE, "--split names %d workers, there are %d for the text", n, pipeline_stages(p));
    return plan_by_hand(&p->plan, &shape, p->offers, cuts, n, wanted, why);
}

uint64_t pipeline_planned(const struct pipeline *p, int node)
{
    return p->plan.stage[node - 1].bytes.total + p->vision.stage[node - 1].bytes.total;
}

/* Workers that share this machine share its memory too; each alone may fit where all together do not. */
static uint64_t planned_here(const struct pipeline *p)
{
    uint64_t sum = 0;
    for (int i = 1; i <= p->stages && p->children; i++) sum += pipeline_planned(p, i);
    return sum;
}

static bool fits_this_machine(const struct pipeline *p)
{
    return planned_here(p) <= memory_allowed();
}

static int solve_vision(struct pipeline *p, struct err *why)
{
    enum vision_type as = p->options->vision_q8 ? VISION_Q8_0 : VISION_AS_FILE;
    const struct plan *text = p->model ? &p->plan : 0;
    struct vision_wish wish;
    TRY(vision_wish_read(&wish, p->options->vision_split, why));
    wish.apart = p->options->vision_workers;
    TRY(vision_plan_make(&p->vision, p->encoder, as, text, p->offers, p->stages, &wish, why));
    if (wish.how != VISION_CHOOSE || !p->vision.copies || fits_this_machine(p)) return 0;
    wish.how = VISION_LAYERS;
    return vision_plan_make(&p->vision, p->encoder, as, text, p->offers, p->stages, &wish, why);
}

static int solve(struct pipeline *p, const struct capacity *wanted, struct err *why)
{
    TRY(make_offers(p, why));
    p->plan = (struct plan){.capacity = *wanted};
    if (p->model) TRY(solve_text(p, wanted, why));
    return p->encoder ? solve_vision(p, why) : 0;
}

static int check_this_machine(const struct pipeline *p, struct err *why)
{
    uint64_t sum = planned_here(p), have = memory_allowed();
    if (fits_this_machine(p)) return 0;
    return fail(why, E_MEMORY, "the %d workers of this machine need %llu MiB together, it has %llu MiB: %llu MiB are missing", p->stages,
                (unsigned long long)(sum >> 20), (unsigned long long)(have >> 20), (unsigned long long)((sum - have) >> 20));
}

/* ---- assigning ---- */

static struct wire_config wire_config(const struct model_config *c)
{
    return (struct wire_config){
        .layers = c->layers, .hidden = c->hidden, .ffn = c->ffn, .heads = c->heads, .kv_heads = c->kv_heads,
        .head_dim = c->head_dim, .window = c->window, .pattern = c->pattern, .context = c->context, .vocab = c->vocab,
        .rope_base_global = c->rope_base_global, .rope_base_local = c->rope_base_local, .rope_factor = c->rope_factor,
        .norm_epsilon = c->norm_epsilon, .attention_scale = c->attention_scale,
    };
}

/* Where the file is on this machine, for workers that can open it too; nothing if it is too long or not to be used. */
static void tell_path(const struct pipeline *p, const char *name, char *out, size_t room)
{
    char absolute[PATH_MAX];
    const char *path = realpath(name, absolute) ? absolute : name;
    if (!p->options->send_weights && strlen(path) < room) strcpy(out, path);
}

static int assign_encoder(struct pipeline *p, int node, struct err *why)
{
    const struct vision_stage_plan *s = &p->vision.stage[node - 1];
    const struct vision_config *c = &p->encoder->config;
    struct assign_vision a = {
        .config = {c->image, c->patch, c->layers, c->width, c->ffn, c->heads, c->pool, c->hidden, c->norm_epsilon},
        .first = s->share.first, .end = s->share.end, .patches = s->share.patches, .projector = s->share.projector,
        .as = (uint8_t)p->vision.as, .in_flight = p->vision.in_flight, .next = (uint16_t)(s->next + 1),
        .fingerprint = {p->encoder->fingerprint.low, p->encoder->fingerprint.high},
        .n_types = (uint32_t)vision_share_count(s->share),
    };
    struct vision_tensor *list = calloc(a.n_types, sizeof *list);
    a.types = malloc(a.n_types);
    if (!list || !a.types) {
        free(list);
        free(a.types);
        return fail(why, E_MEMORY, "no memory to list %u tensors", a.n_types);
    }
    vision_share_tensors(p->encoder, s->share, list);
    for (uint32_t i = 0; i < a.n_types; i++) a.types[i] = (uint8_t)list[i].type;
    if (a.next) strcpy(a.next_address, p->nodes[a.next].address);
    tell_path(p, p->options->mmproj, a.path, sizeof a.path);
    struct frame *f = 0;
    int code = assign_vision_write(&f, &a, why);
    free(list);
    free(a.types);
    return code ? code : pipeline_send(p, node, &f, why);
}

static int assign(struct pipeline *p, int node, const struct tensor *tensors, uint32_t count, struct err *why)
{
    const struct stage_plan *s = &p->plan.stage[node - 1];
    const struct capacity *c = &p->plan.capacity;
    struct assign a = {
        .config = wire_config(&p->model->config), .first = s->share.first, .end = s->share.end, .part = (uint8_t)s->share.part, .part_end = (uint8_t)s->share.part_end,
        .context = c->context, .sequences = c->sequences, .rows = c->rows, .in_flight = c->in_flight,
        .threads = (uint32_t)p->options->threads, .next = (uint16_t)(node < p->plan.stages ? node + 1 : 0),
        .fingerprint = {p->model->fingerprint.low, p->model->fingerprint.high}, .n_types = count,
        .vision = p->vision.stage[node - 1].used,
    };
    uint8_t *types = malloc(count);
    if (!types) return fail(why, E_MEMORY, "no memory to list %u tensors", count);
    for (uint32_t i = 0; i < count; i++) types[i] = (uint8_t)tensors[i].type;
    a.types = types;
    if (a.next) strcpy(a.next_address, p->nodes[a.next].address);
    tell_path(p, p->options->model, a.path, sizeof a.path);
    struct frame *f = 0;
    int code = assign_write(&f, &a, why);
    free(types);
    if (code) return code;
    return pipeline_send(p, node, &f, why);
}

/* ---- handing out the shares ---- */

struct outgoing { /* one worker's share on its way */
    struct tensor *tensors;
    uint32_t count;
    struct delivery delivery;
    uint32_t unacknowledged;
    bool sending;
};

static int send_pieces(struct pipeline *p, int node, struct outgoing *o, uint64_t *sent, struct err *why)
{
    struct delivery_piece d;
    while (o->sending && o->unacknowledged < PIECES_ON_THE_WAY) {
        if (!delivery_next(&o->delivery, &d)) {
            o->sending = false;
            return 0;
        }
        struct piece m = {.tensor = d.tensor, .first_row = d.first_row, .rows = d.rows, .hash = hash64(d.bytes, d.n), .n = d.n};
        struct frame *f = 0;
        TRY(piece_write(&f, &m, why));
        memcpy(m.bytes, d.bytes, d.n);
        gguf_forget(p->model ? p->model->file : p->encoder->file, d.bytes, d.n);
        TRY(pipeline_send(p, node, &f, why));
        o->unacknowledged++;
        *sent += d.n;
    }
    return 0;
}

static int take_accept(struct pipeline *p, int node, struct outgoing *o, struct frame *f, struct err *why)
{
    struct node *n = &p->nodes[node];
    TRY(accept_read(&n->accept, f, why));
    if (n->accept.total != pipeline_planned(p, node))
        return fail(why, E_WIRE, "%s counts %llu bytes for its stage, the plan %llu: are both of the same build?", n->name,
                    (unsigned long long)n->accept.total, (unsigned long long)pipeline_planned(p, node));
    n->accepted = true;
    o->sending = !n->accept.has_file;
    return 0;
}

static int take_answer(struct pipeline *p, struct outgoing *all, struct frame *f, int *ready, uint64_t *sent, struct err *why)
{
    int node = f->head.from;
    struct node *n = &p->nodes[node];
    struct outgoing *o = &all[node];
    switch (f->head.type) {
    case M_ACCEPT: TRY(take_accept(p, node, o, f, why)); break;
    case M_PIECE_ACK:
        if (!o->unacknowledged) return fail(why, E_WIRE, "%s acknowledged a piece that was not sent", n->name);
        o->unacknowledged--;
        break;
    case M_READY:
        if (n->is_ready || !n->accepted) return fail(why, E_WIRE, "%s said READY out of turn", n->name);
        TRY(ready_read(&n->ready, f, why));
        n->is_ready = true;
        (*ready)++;
        return 0;
    default: return fail(why, E_WIRE, "%s came from %s while it was loading", message_name(f->head.type), n->name);
    }
    return send_pieces(p, node, o, sent, why);
}

static int deliver(struct pipeline *p, struct outgoing *all, int ready, struct err *why)
{
    struct progress progress;
    uint64_t sent = 0, total = 0;
    for (int i = 1; i <= p->stages; i++) total += delivery_total(all[i].tensors, all[i].count);
    progress_begin(&progress, "handing out the weights", "B", total);
    while (ready < p->stages) {
        struct frame *f = 0;
        int code = pipeline_receive(p, &f, 250, why);
        if (!code && f) code = take_answer(p, all, f, &ready, &sent, why);
        frame_free(f);
        if (code) {
            progress_end(&progress);
            return code;
        }
        if (sent) progress_at(&progress, sent);
    }
    progress_end(&progress);
    return 0;
}

/* The text's tensors, then the encoder's: the order in which PIECE numbers them. */
static int list_share(struct pipeline *p, int node, struct outgoing *o, uint32_t *text, struct err *why)
{
    const struct vision_stage_plan *v = &p->vision.stage[node - 1];
    uint32_t seen = v->used ? (uint32_t)vision_share_count(v->share) : 0;
    *text = node <= p->plan.stages ? (uint32_t)share_count(p->plan.stage[node - 1].share) : 0;
    o->count = *text + seen;
    o->tensors = calloc(o->count + 1, sizeof *o->tensors);
    struct vision_tensor *list = calloc(seen + 1, sizeof *list);
    if (!o->tensors || !list) {
        free(list);
        return fail(why, E_MEMORY, "no memory to list %u tensors", o->count);
    }
    if (*text) share_tensors(p->model, p->plan.stage[node - 1].share, o->tensors);
    if (seen) vision_share_tensors(p->encoder, v->share, list);
    delivery_of_vision(list, seen, o->tensors + *text);
    free(list);
    delivery_begin(&o->delivery, o->tensors, o->count);
    return 0;
}

static int assign_and_deliver(struct pipeline *p, struct outgoing *all, struct err *why)
{
    int idle = 0;
    for (int i = 1; i <= p->stages; i++) {
        uint32_t text = 0;
        TRY(list_share(p, i, &all[i], &text, why));
        if (text) TRY(assign(p, i, all[i].tensors, text, why));
        if (p->vision.stage[i - 1].used) TRY(assign_encoder(p, i, why));
        idle += all[i].count == 0; /* more workers than layers of the encoder, and no text */
    }
    return deliver(p, all, idle, why);
}

static void set_limits(struct pipeline *p)
{
    const struct model_config *c = p->model ? &p->model->config : 0;
    const struct vision_config *v = p->encoder ? &p->encoder->config : 0;
    uint64_t most = delivery_largest(c, v) + 4096;
    uint64_t work = c ? work_bytes(WIRE_SEGMENTS, p->plan.capacity.rows, c->hidden, WIRE_F32) : 0;
    uint64_t scores = c ? (uint64_t)c->vocab * 4 + 4096 : 0;
    uint64_t pixels = v ? see_bytes((uint64_t)vision_patches(v) * vision_pixels(v)) : 0;
    uint64_t rows = v ? see_bytes((uint64_t)vision_patches(v) * v->width) : 0, seen = v ? see_bytes((uint64_t)vision_tokens(v) * v->hidden) : 0;
    const uint64_t sizes[] = {work, scores, pixels, rows, seen, DIARY_PART_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i] > most) most = sizes[i];
    port_limits(p->port, most, 4096);
}

static void say_ready(const struct pipeline *p)
{
    for (int i = 1; i <= p->stages; i++) {
        const struct stage_plan *s = &p->plan.stage[i - 1];
        char bytes[24];
        char share[64] = "no text";
        if (i <= p->plan.stages) show_share(share, s->share);
        log_debug("%s holds %s, %s, %s in %.2f s", p->nodes[i].name, share, show_bytes(bytes, pipeline_planned(p, i)),
                  p->nodes[i].hello.isa, p->nodes[i].ready.seconds);
    }
}

int pipeline_launch(struct pipeline *p, const struct capacity *wanted, struct err *why)
{
    uint64_t start = clock_ns();
    TRY(greet_all(p, why));
    TRY(hear_all(p, why));
    TRY(solve(p, wanted, why));
    TRY(check_this_machine(p, why));
    port_run(p->port, p->run, p->plan.hash, 1);
    set_limits(p);
    struct outgoing *all = calloc((size_t)p->stages + 1, sizeof *all);
    if (!all) return fail(why, E_MEMORY, "no memory to keep track of %d workers", p->stages);
    int code = assign_and_deliver(p, all, why);
    for (int i = 1; i <= p->stages; i++) free(all[i].tensors);
    free(all);
    if (code) return code;
    p->launched = true;
    p->launch_seconds = (double)(clock_ns() - start) / 1e9;
    say_ready(p);
    return 0;
}
