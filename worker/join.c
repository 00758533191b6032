/* worker/join.c — a worker's talk with its coordinator before the work: pings, the greeting, who I am. */
#include "worker/run.h"

#include "base/clock.h"
#include "base/threads.h"
#include "base/version.h"

#include <stdio.h>
#include <unistd.h>

static int answer_ping(struct run *r, struct frame **ping, struct err *why)
{
    (*ping)->head.type = M_PONG;
    int code = port_send(r->port, 0, ping, why);
    if (code) frame_free(*ping);
    *ping = NULL;
    return code;
}

/* A frame that is not for whoever waits. NULLs *f if it was used up. */
static int deal_with(struct run *r, struct frame **f, struct err *why)
{
    struct fault fault;
    const bool greeted = r->greet.nodes != 0;
    switch ((*f)->head.type) {
    case M_PING: return answer_ping(r, f, why);
    case M_FAULT:
        TRY(fault_read(&fault, *f, why));
        return fail(why, E_WORKER, "the coordinator ended the run: %s", fault.text);
    case M_LOST:
        if ((*f)->head.from == 0 && greeted) return fail(why, E_WORKER, "the coordinator is gone; the run is over before it began");
        frame_free(*f);
        *f = NULL;
        return 0;
    case M_GREET:
        if (!greeted) return 0;
        r->greeting = *f;
        *f = NULL;
        return GREETED_AGAIN;
    default: return 0;
    }
}

int run_look(struct run *r, struct frame **out, int timeout_ms, struct err *why)
{
    const struct worker_options *o = &r->worker->options;
    struct frame *f = NULL;
    *out = NULL;
    if (o->stop && *o->stop) return fail(why, E_INTERRUPTED, "stopped by a signal");
    TRY(port_recv(r->port, &f, timeout_ms, why));
    if (!f) return 0;
    lease_heard(&r->lease, clock_ns());
    int code = deal_with(r, &f, why);
    if (code) frame_free(f);
    else *out = f;
    return code;
}

int run_await(struct run *r, struct frame **out, struct err *why)
{
    for (;;) {
        TRY(run_look(r, out, 500, why));
        if (*out) return 0;
        if (lease_over(&r->lease, clock_ns()) && r->greet.nodes)
            return fail(why, E_WORKER, "the coordinator fell silent before the run began");
    }
}

int run_expect(const struct frame *f, unsigned type, struct err *why)
{
    if (f->head.type == type) return 0;
    return fail(why, E_WIRE, "%s came where %s was expected", message_name(f->head.type), message_name(type));
}

static int say_hello(struct run *r, struct err *why)
{
    const struct worker_options *o = &r->worker->options;
    struct hello hello = {.pid = (uint32_t)getpid()};
    struct frame *f = NULL;
    snprintf(hello.build, sizeof hello.build, "gemmapipe %s", GEMMAPIPE_VERSION);
    if (gethostname(hello.host, sizeof hello.host - 1)) snprintf(hello.host, sizeof hello.host, "unknown");
    snprintf(hello.isa, sizeof hello.isa, "%s", r->worker->kernels.isa);
    hello.member = r->worker->member;
    hello.numeric = worker_numeric();
    hello.threads = (uint32_t)(o->threads ? o->threads : cores_allowed());
    hello.memory = o->memory ? o->memory : memory_allowed();
    hello.share = share_allowed();
    processor_name(hello.cpu, sizeof hello.cpu);
    TRY(hello_write(&f, &hello, why));
    int code = port_send(r->port, 0, &f, why);
    if (code) frame_free(f);
    return code;
}

int run_join(struct run *r, bool *dismissed, struct err *why)
{
    struct frame *f = r->greeting;
    r->greeting = NULL;
    if (!f) TRY(run_await(r, &f, why));
    *dismissed = f->head.type == M_STOP;
    int code = *dismissed ? 0 : run_expect(f, M_GREET, why);
    if (!code && !*dismissed) code = greet_read(&r->greet, f, why);
    frame_free(f);
    if (code || *dismissed) return code;
    if (r->greet.numeric != worker_numeric())
        return fail(why, E_USAGE,
                    "the coordinator computes by version %u of the numbers, this worker by version %u, and results would differ: "
                    "install the same program on both",
                    r->greet.numeric, worker_numeric());
    TRY(kernels_choose(&r->worker->kernels, why)); /* not before: now there is someone to tell */
    if (r->worker->options.named) r->worker->options.named(r->greet.node);
    return say_hello(r, why);
}
