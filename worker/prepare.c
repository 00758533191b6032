/* worker/prepare.c — from an assignment to memory: what came is checked, its bytes are counted, then taken. Before it the coordinator
 * may ask how fast the worker is, as often as it likes. */
#include "worker/run.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/threads.h"
#include "partition/file/delivery.h"
#include "transport/links/address.h"

#include <stdlib.h>
#include <string.h>

/* ---- the text ---- */

static int check_text(const struct run *r, const struct assignment *a, struct err *why)
{
    const struct chain_assignment *of = &a->of[CHAIN_TEXT];
    const struct capacity *c = &a->capacity;
    TRY(config_check(&r->config, "the assignment", why));
    if (of->part.front || !text_part_possible(&r->config, of->part))
        return fail(why, E_WIRE, "the assignment says layers %u to %u of %u and parts %u to %u of the head", of->part.first, of->part.end,
                    r->config.layers, of->part.back, of->part.back_end);
    if (of->n_types != part_count(CHAIN_TEXT, of->part))
        return fail(why, E_WIRE, "the assignment lists %u tensors, its layers have %zu", of->n_types, part_count(CHAIN_TEXT, of->part));
    if (!c->rows || c->rows > WIRE_ROWS || !c->sequences || c->sequences > WIRE_SEGMENTS || !c->in_flight ||
        c->in_flight > IN_FLIGHT_MOST || !c->context || c->context > (1u << 24))
        return fail(why, E_WIRE, "the assignment asks for %u rows, %u sequences, %u in flight and a context of %u", c->rows, c->sequences,
                    c->in_flight, c->context);
    if (of->next >= r->greet.nodes)
        return fail(why, E_WIRE, "the assignment sends results to node %u of %u", of->next, r->greet.nodes);
    return 0;
}

static int take_tensors(struct run *r, const struct chain_assignment *of, struct err *why)
{
    text_part_shape(&r->config, r->part, r->tensors);
    for (uint32_t i = 0; i < r->count; i++) r->tensors[i].type = of->types[i];
    assigned_hashes(of, r->tensors);
    return text_part_check(&r->config, r->part, r->tensors, why);
}

int run_take_text(struct run *r, const struct assignment *a, struct err *why)
{
    const struct chain_assignment *of = &a->of[CHAIN_TEXT];
    r->config = a->text;
    r->capacity = a->capacity;
    TRY(check_text(r, a, why));
    r->part = of->part;
    r->next = of->next;
    r->count = of->n_types;
    r->tensors = calloc(r->count, sizeof *r->tensors);
    if (!r->tensors) return fail(why, E_MEMORY, "no memory to list %u tensors", r->count);
    return take_tensors(r, of, why);
}

/* ---- both ---- */

static int check_address(const struct run *r, const char *address, struct err *why)
{
    if (!r->worker->options.only_network || strncmp(address, "ipc:", 4)) return 0;
    return fail(why, E_WIRE, "the assignment says %s, and this worker connects over the network only", address);
}

static int open_routes(struct run *r, void *assignment, struct err *why)
{
    const struct assignment *a = assignment;
    for (int i = 0; i < CHAINS; i++) {
        const struct chain_assignment *of = &a->of[i];
        if (part_is_empty(of->part)) continue;
        TRY(port_route(r->port, of->route, of->plan, of->epoch, why));
        r->route[i] = of->route;
        r->relayed[i] = of->relayed;
        TRY(check_address(r, of->next_address, why));
        TRY(check_address(r, of->previous_address, why));
        TRY(neighbours_add(&r->neighbours, r->port, of, why));
    }
    return 0;
}

/* A name is looked up here, which may take longer than anybody may be silent. One that stands for several addresses is left to the port,
 * which tries them all; the system has its answer by then, where it keeps answers. */
void run_look_up(char address[WIRE_TEXT])
{
    struct endpoints all;
    struct err unknown; /* said by who connects */
    char text[WIRE_TEXT];
    if (strncmp(address, "tcp:", 4) || address_resolve(&all, address, &unknown) || all.n != 1) return;
    if (endpoint_text(&all.to[0], text, sizeof text)) strcpy(address, text);
}

static int take_assignment(struct run *r, struct frame *f, struct err *why)
{
    struct assignment a;
    const int own = r->worker->options.threads;
    TRY(run_expect(f, M_ASSIGN, why));
    TRY(assignment_read(&a, f, why));
    if (!numeric_same(a.capacity.mode, r->greet.mode)) return fail(why, E_WIRE, "the assignment is for other numbers than the greeting");
    if (a.threads > THREADS_MOST) return fail(why, E_WIRE, "the assignment asks for %u threads", a.threads);
    r->threads = own ? own : a.threads ? (int)a.threads : cores_allowed();
    if (!own) threads_remark(r->threads);
    if (!part_is_empty(a.of[CHAIN_TEXT].part)) TRY(run_take_text(r, &a, why));
    if (!part_is_empty(a.of[CHAIN_VISION].part)) TRY(encoder_assign(&r->encoder, &a, r->greet.nodes, r->threads, why));
    if (!r->count) vision_bytes_alone(&r->encoder.bytes, (enum vision_type)a.vision_as);
    for (int i = 0; i < CHAINS; i++) {
        const struct chain_assignment *of = &a.of[i];
        memcpy(r->path[i], of->path, sizeof r->path[i]);
        r->fingerprint[i] = of->fingerprint;
        r->compared[i] = of->hashes != NULL;
    }
    for (int i = 0; i < CHAINS; i++) {
        run_look_up(a.of[i].next_address);
        run_look_up(a.of[i].previous_address);
    }
    return run_errand(r, open_routes, &a, why);
}

static int set_limits(struct run *r, void *none, struct err *why)
{
    (void)none, (void)why;
    const uint64_t sizes[] = {
        encoder_largest(&r->encoder),
        delivery_largest(r->count ? &r->config : NULL, r->encoder.count ? &r->encoder.config : NULL) + 4096,
        r->count ? work_bytes_most(r->capacity.sequences, r->capacity.rows, r->config.hidden, r->config.vocab) : 0,
        (uint64_t)r->config.vocab * 4 + 4096,
    };
    uint64_t most = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i] > most) most = sizes[i];
    port_limits(r->port, most, 4096);
    return 0;
}

/* Where somebody said how much memory this worker may take, what is left of it is for layers that may come back. */
static int check_memory(const struct run *r, struct err *why)
{
    const uint64_t said = r->worker->options.memory;
    uint64_t need = r->encoder.bytes.total, limit = said ? said : memory_allowed();
    if (r->count) need += text_part_bytes(&r->config, r->part, r->tensors, &r->capacity, r->threads).total;
    held_spare(r->worker->held, said > need ? said - need : 0);
    if (need <= limit) return 0;
    return fail(why, E_MEMORY, "this stage needs %llu MiB, %llu MiB more than the %llu MiB this worker may take",
                (unsigned long long)(need >> 20), (unsigned long long)((need - limit) >> 20), (unsigned long long)(limit >> 20));
}

static int take_memory(struct run *r, struct err *why)
{
    const struct wanted_part wanted[CHAINS] = {
        [CHAIN_TEXT] = {.chain = CHAIN_TEXT, .tensors = r->tensors, .n = r->count, .model = r->fingerprint[CHAIN_TEXT]},
        [CHAIN_VISION] = {.chain = CHAIN_VISION, .as = r->encoder.as, .tensors = r->encoder.tensors, .n = r->encoder.count,
                          .model = r->fingerprint[CHAIN_VISION]},
    };
    const struct stage_plan_in in = {.config = r->config, .part = r->part, .capacity = r->capacity, .tensors = r->tensors,
                                     .threads = r->threads, .crowded = r->worker->options.crowded, .weights = &r->weights[CHAIN_TEXT]};
    TRY(check_memory(r, why));
    store_begin(&r->worker->store);
    TRY(held_take(r->worker->held, wanted, CHAINS, r->threads, r->weights, why));
    if (r->count) TRY(stage_open(&r->stage, &in, &r->worker->kernels, why));
    return r->encoder.count ? encoder_open(&r->encoder, &r->worker->kernels, &r->weights[CHAIN_VISION], why) : 0;
}

/* Of another worker, whose mistakes are not this one's; but nobody who makes them is waited for. */
static int hear_another(struct run *r, struct frame *f, struct err *why)
{
    const bool gone = f->head.type == M_LOST;
    const int code = f->head.type == M_PROBE ? run_probe(r, f, why) : gone ? 0 : run_met(r, f, why);
    if (code && code != E_WIRE) return code;
    if (code) log_debug("node %u: %s", f->head.from, why->text);
    return (code || gone) && f->head.from == r->meeting.with ? run_meeting_over(r, why) : 0;
}

/* *over: it is something else. */
static int take_question(struct run *r, struct frame *f, bool *over, struct err *why)
{
    if (f->head.from) return hear_another(r, f, why);
    TRY(run_meeting_over(r, why));
    switch (f->head.type) {
    case M_PROBE: return run_probe(r, f, why);
    case M_MEET: return run_meet(r, f, why);
    default: *over = true; return 0;
    }
}

static int prepare(struct run *r, struct err *why)
{
    struct frame *f = NULL;
    bool over = false;
    int code = 0;
    while (!code && !over) {
        frame_free(f);
        f = NULL;
        code = run_await(r, &f, why);
        if (!code) code = take_question(r, f, &over, why);
    }
    if (code) return frame_free(f), code;
    code = take_assignment(r, f, why);
    frame_free(f);
    if (code) return code;
    TRY(run_errand(r, set_limits, NULL, why));
    return take_memory(r, why);
}

/* A stage finds its memory when it is assigned: by threads that stay where those that compute will be. */
int run_prepare(struct run *r, struct err *why)
{
    const struct cores *cores = &r->worker->options.cores;
    struct cores before;
    if (!cores->n) return prepare(r, why);
    cores_mine(&before);
    cores_keep_to(cores);
    int code = prepare(r, why);
    cores_keep_to(&before);
    return code;
}
