/* worker/join.c — a worker's first words with its coordinator: the greeting, and who I am. */
#include "worker/kernels/blas.h"
#include "worker/run.h"

#include "base/clock.h"
#include "base/threads.h"
#include "base/version.h"

#include <stdio.h>
#include <unistd.h>

/* The next frame that is for whoever is to be greeted. Nobody is hurried: a worker waits for ever. */
static int await_greeting(struct run *r, struct frame **out, struct err *why)
{
    while (!r->greeting) {
        struct frame *f = NULL;
        if (worker_is_to_end(&r->worker->options)) return fail(why, E_INTERRUPTED, "stopped by a signal");
        TRY(port_recv(r->port, &f, 500, why));
        int code = f ? run_hear(r, &f, why) : 0;
        if (!code && f) code = run_expect(f, M_GREET, why);
        frame_free(f);
        if (code) return code;
    }
    *out = r->greeting;
    r->greeting = NULL;
    return 0;
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
    const struct time_allowed time = time_allowed();
    hello.share = time.share, hello.period = time.period, hello.tick = time.tick, hello.group = time.group;
    processor_name(hello.cpu, sizeof hello.cpu);
    if (r->greet.mode.math == MATH_FLOAT32) snprintf(hello.blas, sizeof hello.blas, "%s", blas_name());
    TRY(hello_write(&f, &hello, why));
    return port_send_off(r->port, 0, f, why);
}

int run_join(struct run *r, struct err *why)
{
    struct frame *f = NULL;
    TRY(await_greeting(r, &f, why));
    const int code = greet_read(&r->greet, f, why);
    frame_free(f);
    if (code) return code;
    bond_begin(&r->bond, r->port, clock_system());
    if (r->greet.numeric != worker_numeric())
        return fail(why, E_USAGE,
                    "the coordinator computes by version %u of the numbers, this worker by version %u, and results would differ: "
                    "install the same program on both",
                    r->greet.numeric, worker_numeric());
    TRY(numeric_check(r->greet.mode, why));
    if (r->greet.mode.math == MATH_FLOAT32) TRY(blas_open(why));
    TRY(kernels_choose(&r->worker->kernels, why)); /* not before: now there is someone to tell */
    if (r->worker->options.named) r->worker->options.named(r->greet.node);
    return say_hello(r, why);
}
