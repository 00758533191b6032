/* worker/worker.c — see worker.h: the states of a worker, and what leads from one to the next.
 *
 *            GREET, HELLO back        ASSIGN, memory taken           weights there, READY          STOP
 *   IDLE ────────────────────► GREETED ──────────────────► LOADING ───────────────────► WORKING ────────► IDLE
 *    ▲                          ▲  │                          │                            │
 *    │                          └──┼── GREET of a later epoch ┴────────────────────────────┘
 *    └───── a failure of any kind ─┴── the coordinator is told, if it is there
 *
 * Each state is a function in a file of its own: run_join (join.c), run_prepare (prepare.c), run_load (load.c), loop_run
 * (loop.c). This thread keeps the port all the while and answers pings; what takes long is done aside (aside.c, loop.c). The weights outlive them all: they belong to the worker, not to the run. */
#include "worker/run.h"

#include "base/clock.h"
#include "base/mapped.h"
#include "partition/model/part_text.h"
#include "worker/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

uint32_t worker_numeric(void)
{
    return NUMERIC_VERSION;
}

int worker_open(struct worker **out, const struct worker_options *options, struct err *why)
{
    struct worker *w = *out = calloc(1, sizeof *w);
    if (!w) return fail(why, E_MEMORY, "no memory to begin with");
    w->options = *options;
    if (getrandom(&w->member, sizeof w->member, 0) != sizeof w->member) w->member = clock_ns() ^ ((uint64_t)getpid() << 40);
    w->store = (struct packed_store){.cache = options->cache, .most = options->cache_size};
    if (options->shard && is_folder(options->shard)) w->store.shard = options->shard;
    const bool lacks = options->models && !is_folder(options->models);
    const int code = lacks ? fail(why, E_FILE, "%s is no folder to open model files in", options->models) : held_open(&w->held, why);
    if (code) return worker_close(out), code;
    held_use(w->held, &w->store);
    return 0;
}

void worker_close(struct worker **pw)
{
    struct worker *w = *pw;
    *pw = NULL;
    if (!w) return;
    held_close(&w->held);
    free(w);
}

static int work(struct run *r, struct err *why)
{
    const struct loop_setup setup = {
        .bond = &r->bond, .steps = &r->steps,
        .port = r->port, .stage = r->stage, .part = r->part, .encoder = r->encoder.count ? &r->encoder : NULL,
        .route = {r->route[CHAIN_TEXT], r->route[CHAIN_VISION]}, .next = r->next, .relayed = {r->relayed[CHAIN_TEXT], r->relayed[CHAIN_VISION]}, .neighbours = &r->neighbours,
        .hidden = r->config.hidden, .rows = r->capacity.rows, .wire = r->capacity.mode.wire,
        .first_word = part_first_word(&r->config, r->part),
        .held = r->worker->held, .weights = r->weights, .in_flight = r->capacity.in_flight, .threads = r->threads, .cores = &r->worker->options.cores, .stop = r->worker->options.stop,
        .leaves = r->worker->options.leaves,
        .greeting = &r->greeting,
    };
    return loop_run(&r->loop, &setup, why);
}

static int get_ready(struct run *r, struct err *why)
{
    TRY(run_prepare(r, why));
    return run_load(r, why);
}

static void say_what_it_holds(const struct run *r)
{
    char text[64] = "nothing", pictures[64], all[160];
    if (!r->worker->options.holds) return;
    if (r->stage) show_part(text, r->part);
    snprintf(all, sizeof all, "%s", text);
    if (r->encoder.count) snprintf(all, sizeof all, "%s%sof pictures %s", r->stage ? text : "", r->stage ? "; " : "", show_vision_part(pictures, r->encoder.part));
    r->worker->options.holds(all);
}

/* After it WORK may come at any moment, which whoever was aside could not deal with. */
static int say_ready(struct run *r, struct err *why)
{
    struct frame *f = NULL;
    say_what_it_holds(r);
    TRY(ready_write(&f, &r->ready, why));
    const int code = port_send_off(r->port, 0, f, why);
    r->bond.ready = !code;
    return code;
}

/* From a greeting to the end of the run, or to the next greeting. */
static int serve_epoch(struct run *r, struct err *why)
{
    TRY(run_join(r, why));
    TRY(run_aside(r, get_ready, why));
    TRY(say_ready(r, why));
    return work(r, why);
}

/* All that a run took but the weights. Layers under way are computed to their end before, and gigabytes given back. */
static int put_away(struct run *r, struct err *why)
{
    (void)why;
    loop_close(&r->loop);
    stage_close(&r->stage);
    encoder_close(&r->encoder);
    free(r->tensors);
    r->tensors = NULL;
    for (int i = 0; i < CHAINS; i++) part_weights_close(&r->weights[i]);
    return 0;
}

static void tell_coordinator(struct run *r, const struct err *why)
{
    struct fault fault = {.code = (uint32_t)why->code};
    struct frame *f = NULL;
    struct err ignored = {0};
    snprintf(fault.text, sizeof fault.text, "%s", why->text);
    if (fault_write(&f, &fault, &ignored)) return;
    (void)port_send_off(r->port, 0, f, &ignored);
    port_flush(r->port, 1000, &ignored);
}

static struct run fresh(struct worker *w, struct port *port)
{
    return (struct run){.worker = w, .port = port, .neighbours = {.clock = clock_system(), .lock = PTHREAD_MUTEX_INITIALIZER}};
}

/* What ended the epoch, or what ended the run while it was put away, whose sentence is then *why. */
static int end_epoch(struct run *r, int code, struct err *why)
{
    struct err mine = {0};
    r->neighbours.n = 0;
    const int meanwhile = run_aside(r, put_away, &mine);
    (void)put_away(r, NULL); /* where no thread was to be had */
    struct run next = fresh(r->worker, r->port);
    next.greet = r->greet, next.greeting = r->greeting, next.bond = r->bond;
    *r = next;
    if (code != GREETED_AGAIN || !meanwhile) return code;
    *why = mine;
    return meanwhile;
}

int worker_serve(struct worker *w, struct port *port, struct err *why)
{
    struct run *r = calloc(1, sizeof *r);
    if (!r) return fail(why, E_MEMORY, "no memory to begin with");
    *r = fresh(w, port);
    bond_begin(&r->bond, port, clock_system());
    struct err mine = {0};
    int code;
    do {
        code = serve_epoch(r, &mine);
        if (code > 0 && r->greet.nodes) tell_coordinator(r, &mine);
        code = end_epoch(r, code, &mine);
    } while (code == GREETED_AGAIN);
    frame_free(r->greeting);
    free(r);
    if (code > 0) *why = mine;
    return code > 0 ? code : 0;
}
